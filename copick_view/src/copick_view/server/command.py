"""``serve``: a project over HTTP."""

from __future__ import annotations

import click

from copick_core.cli.parameters import as_of_option, examples, project_option


@examples(
    "copick-core serve -c config.json",
    "copick-core serve -c config.json --allow-origin https://neuroglancer-demo.appspot.com",
)
@click.command
@project_option
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Address to listen on.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), metavar="PORT", help="Port; any free one by default.")
@click.option(
    "--token",
    envvar="COPICK_SERVE_TOKEN",
    show_envvar=True,
    metavar="TOKEN",
    help="Token in the address; a new one each time by default.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let web pages of this site read the project, * for all sites; repeatable.",
)
@as_of_option
def serve(config: str, host: str, port: int, token: str | None, origins: tuple[str, ...], as_of: str | None) -> None:
    """Serve a project over HTTP, read-only, for napari, Neuroglancer, Viv, ChimeraX, dask and zarr.

    It prints the address of the project, which has a token that callers must know. Only this machine can connect, unless
    --host names another address. Ctrl+C ends it.
    """
    from contextlib import suppress

    from copick_core import opening
    from copick_view.server.serving import Server

    root = opening.open(config)
    if as_of is not None:
        root = root.as_of(as_of)
    server = Server(root, host=host, port=port, token=token, origins=origins)
    with suppress(KeyboardInterrupt):
        server.run(lambda: click.echo(server.url))  # whoever reads it may interrupt at once
