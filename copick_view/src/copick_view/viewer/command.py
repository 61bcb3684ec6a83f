"""``view``: a project in the browser."""

from __future__ import annotations

import click

from copick_core.cli.parameters import as_of_option, examples, project_option


@examples(
    "copick-core view -c config.json",
    "copick-core view TS_001/ -c config.json",
    "copick-core view TS_001/wbp@10.0 -c config.json --user alice --session 2",
)
@click.command
@click.argument("address", required=False)
@project_option
@click.option("--user", metavar="NAME", help="User who edits; the config's by default.")
@click.option("--session", metavar="ID", help="Session to edit in; the config's by default.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), metavar="PORT", help="Port; any free one by default.")
@click.option("--browser/--no-browser", default=True, help="Open the page in a browser, or only print its address.")
@as_of_option
def view(
    address: str | None, config: str, user: str | None, session: str | None, port: int, browser: bool, as_of: str | None
) -> None:
    """See a project in the browser, and edit its picks.

    ADDRESS is a run, or a tomogram of one; without it the page shows all runs. The address of the page is printed; it has a
    token, and only this machine can connect. Ctrl+C ends it; unsaved edits are offered again at the next start.
    """
    from copick_core import opening

    root = opening.open(config)
    if as_of is not None:
        root = root.as_of(as_of)
    show(root, address, user=user, session=session, port=port, browser=browser)


def show(
    root: object,
    address: str | None = None,
    *,
    user: str | None = None,
    session: str | None = None,
    port: int = 0,
    browser: bool = True,
) -> None:
    """Serve the page of a project until the process is interrupted.

    Args:
        root: The project.
        address: A run or tomogram to begin with.
        user: User who edits.
        session: Session in which is edited.
        port: Port; 0 for any that is free.
        browser: Whether to open a browser.

    Raises:
        AddressError: The address does not name one run.
        NotFoundError: There is no such run.
    """
    from contextlib import suppress

    from copick_view.viewer.links import page_of, run_in
    from copick_view.viewer.serving import PageServer

    place = "" if address is None else page_of(root, address)
    with PageServer(root, port=port, user_id=user, session_id=session) as server, suppress(KeyboardInterrupt):  # type: ignore[arg-type]
        click.echo(server.url + place)
        if place:
            server.prepare(run_in(place))
        if browser:
            click.launch(server.url + place)
        server.wait()
