"""What the options of several commands have in common, and examples in their help."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def examples(*lines: str) -> Callable[[click.Command], click.Command]:
    """Add examples to the help of a command, one in each line."""

    def add(command: click.Command) -> click.Command:
        head = "Example:" if len(lines) == 1 else "Examples:"
        command.help = "\n".join([inspect.cleandoc(command.help or ""), "", "\b", head, *(f"  {line}" for line in lines)])
        return command

    return add


def project_option(command: F) -> F:
    """Give a command ``-c/--config``, as ``config``."""
    return click.option(
        "-c",
        "--config",
        metavar="FILE",
        envvar="COPICK_CONFIG",
        show_envvar=True,
        required=True,
        is_eager=True,
        help="Config of the project, or a folder or URL.",
    )(command)


def as_of_option(command: F) -> F:
    """Give a command ``--as-of``, as ``as_of``: the moment of a project's history that it shows."""
    return click.option("--as-of", metavar="WHEN", help="Show it as it was: a tag, a commit or a time, if it has a history.")(
        command
    )


def json_option(command: F) -> F:
    """Give a command ``--json``, as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def json_object(text: str) -> dict[str, Any]:
    """Parse an option that is a JSON object, such as ``{"anon": true}``; raises click.BadParameter."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise click.BadParameter(f'{text!r} is not a JSON object, such as {{"anon": true}}')
    return content
