"""``browse``: a project in the terminal."""

from __future__ import annotations

import sys

import click

from copick_core.cli.parameters import examples, project_option
from copick_tools.commands.options import ADDRESS, opened


@examples(
    "copick-core browse",
    "copick-core browse 'TS_*/ribosome:alice'",
)
@click.command
@click.argument("address", required=False, type=ADDRESS)
@project_option
def browse(address: str | None, config: str) -> None:
    """Browse a project in the terminal: what it has, what is stored where, pictures and states of review (extra browse).

    With ADDRESS, or a pattern for runs, only what matches is shown. The keys are listed at the bottom of the screen.
    """
    from copick_core.errors import MissingDependencyError

    try:
        from copick_tools.browsing.app import Browser
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise MissingDependencyError(
            feature="Browsing in the terminal", install='pip install "copick-tools[browse]"'
        ) from error
    root = opened(config)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("there is no terminal to browse in; copick-core tree and ls print what a project has")
    Browser(root, config, address or "").run()
