"""What the options of several commands have in common, and examples in their help."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

#: Where the first sentence of a help ends.
_SENTENCE = re.compile(r"[.;](?:\s|$)")
#: Where what ``-c`` names is kept until CONFIG is read.
_GIVEN = "copick_core.config"


def examples(*lines: str) -> Callable[[click.Command], click.Command]:
    """Add examples to the help of a command, one in each line."""

    def add(command: click.Command) -> click.Command:
        head = "Example:" if len(lines) == 1 else "Examples:"
        text = inspect.cleandoc(command.help or "")
        # In the list of a group: the first sentence, which click would cut off where the line ends.
        command.short_help = command.short_help or " ".join(_SENTENCE.split(text.partition("\n\n")[0], maxsplit=1)[0].split())
        command.help = "\n".join([text, "", "\b", head, *(f"  {line}" for line in lines)])
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
        help="Config file of the project, or the project's folder or URL.",
    )(command)


def project_argument(command: F) -> F:
    """Give a command the argument CONFIG, as ``config``, which ``-c/--config`` or ``COPICK_CONFIG`` may name instead."""

    def remember(context: click.Context, param: click.Parameter, value: str | None) -> None:
        context.meta[_GIVEN] = value

    def named(context: click.Context, param: click.Parameter, value: str | None) -> str:
        found = value or context.meta.get(_GIVEN)
        if not found:
            raise click.UsageError("No project is named. Pass CONFIG or -c/--config, or set COPICK_CONFIG.", context)
        return str(found)

    help_text = "Config file of the project, if CONFIG is left out."
    how: dict[str, Any] = {"envvar": "COPICK_CONFIG", "show_envvar": True, "is_eager": True, "expose_value": False}
    option = click.option("-c", "--config", "named_config", metavar="FILE", callback=remember, help=help_text, **how)
    return option(click.argument("config", required=False, callback=named)(command))


def as_of_option(command: F) -> F:
    """Give a command ``--as-of``, as ``as_of``: the moment of a project's history that it shows."""
    return click.option(
        "--as-of", metavar="WHEN", help="Show an earlier state: a tag, a commit or a time. Needs a project with a history."
    )(command)


def json_option(command: F) -> F:
    """Give a command ``--json``, as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def if_exists_option(*choices: str, what: str, default: str = "fail") -> Callable[[F], F]:
    """Give a command ``--if-exists``, as ``if_exists``.

    Args:
        choices: What the command can do, of ``"fail"``, ``"skip"``, ``"replace"`` and ``"newer"``.
        what: What may exist, for the help.
        default: What it does if nothing is said.
    """
    return click.option(
        "--if-exists",
        type=click.Choice(choices),
        default=default,
        show_default=True,
        help=f"What to do with {what}.",
    )


def json_object(text: str) -> dict[str, Any]:
    """Parse an option that is a JSON object, such as ``{"anon": true}``; raises click.BadParameter."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise click.BadParameter(f'{text!r} is not a JSON object, such as {{"anon": true}}')
    return content
