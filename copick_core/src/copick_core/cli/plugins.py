"""``copick-core plugins``: which plugins of every kind are installed, and whether they work."""

from __future__ import annotations

import json

import click

from copick_core.cli.parameters import examples, json_option
from copick_core.errors import PluginError
from copick_core.plugins import installed
from copick_core.plugins.discovery import REGISTRIES


@examples(
    "copick-core plugins",
    "copick-core plugins --check",
)
@click.command
@click.option("--check", "importing", is_flag=True, help="Import all that the plugins need, which takes seconds.")
@json_option
def plugins(importing: bool, as_json: bool) -> None:
    """List the installed plugins of every kind: backends, commands, formats and wrappers.

    Each plugin is loaded, and the modules that it names are looked for. With --check they are imported too, which also
    finds what a plugin misses when it is used. Plugins that cannot be used are listed with the cause.
    """
    for registry in REGISTRIES:
        for name in registry.names():
            try:
                registry.check(name, importing)
            except PluginError:
                continue  # Its cause is in the listing.
    found = installed()
    if as_json:
        print(json.dumps([plugin._asdict() for plugin in found], indent=2))
        return
    rows = [("kind", "name", "distribution", "version", "state")]
    rows += [(p.kind, p.name, ", ".join(p.distributions), ", ".join(v or "-" for v in p.versions), p.state) for p in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for index, row in enumerate(rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if index and found[index - 1].cause:
            print(f"  cause: {found[index - 1].cause}")
