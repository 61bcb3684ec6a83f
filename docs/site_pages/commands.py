"""Reference of the command line: from the click command of every registered command."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from copick_core import plugins

INTRODUCTION = """# Every command

Made from the commands in the code. `copick-core COMMAND --help` shows the same in the terminal.
"""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and group that is registered, with what is in groups, under the words that are typed."""
    for name in plugins.commands.names():
        yield from _below(name, plugins.resolved(plugins.commands.get(name).command))


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for sub in command.list_commands(context):
            below = command.get_command(context, sub)
            if below is not None and not below.hidden:
                yield from _below(f"{name} {sub}", below)


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([INTRODUCTION, *(_section(name, command) for name, command in commands())])


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"copick-core {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = inspect.cleandoc(command.help or "").replace("\b\n", "").replace("\f", "")
    parts = [f"{'#' * (2 + name.count(' '))} {name}\n", f"```text\n{usage}\n```\n", _markdown(text), ""]
    rows = [row for parameter in command.params if (row := _row(parameter, context))]
    if rows:
        parts += ["| option | meaning |", "| --- | --- |", *rows, ""]
    return "\n".join(parts)


def _markdown(text: str) -> str:
    return text.replace("``", "`").replace("<", "\\<")


def _row(parameter: click.Parameter, context: click.Context) -> str | None:
    record = parameter.get_help_record(context)
    if record is None or not record[1]:
        return None  # an argument: the usage names it, and the text describes it
    option, meaning = (text.replace("|", "\\|").replace("\n", " ") for text in (record[0], _markdown(record[1])))
    return f"| `{option}` | {meaning} |"
