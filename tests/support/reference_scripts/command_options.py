"""All commands of copick itself with their options and choices, as JSON: ``command_options.py OUT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from copick.cli import cli as commands


def walk(command, words, found):
    """Add a command and those below it, by its words."""
    found[" ".join(words)] = {
        parameter.name: {
            "options": sorted([*parameter.opts, *parameter.secondary_opts]) if isinstance(parameter, click.Option) else [],
            "choices": sorted(map(str, getattr(parameter.type, "choices", ()))),
        }
        for parameter in command.params
    }
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            walk(below, [*words, name], found)


def main(out):
    group = click.Group("copick")
    commands.add_core_commands(group)
    found = {}
    walk(group, [], found)
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
