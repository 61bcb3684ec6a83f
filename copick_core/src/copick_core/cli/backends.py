"""``copick-core backends``: which storage backends are installed, and whether they work."""

from __future__ import annotations

import argparse

from copick_core import plugins
from copick_core.errors import BackendError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: the subcommand takes no arguments."""


def run(args: argparse.Namespace) -> int:
    """Prints a table of the installed backends; loads each one, because only that shows whether it works."""
    for known in plugins.backends.installed():
        try:
            plugins.backends.get(known.name)
        except BackendError:
            continue  # Its cause is in the next listing.
    found = plugins.backends.installed()
    if not found:
        print('No backend is installed. pip install "copick-core[all]" brings those that copick-core comes with.')
        return 0
    rows = [("config_type", "distribution", "version", "state")]
    rows += [
        (known.name, ", ".join(known.distributions), ", ".join(v or "-" for v in known.versions), known.state)
        for known in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for index, row in enumerate(rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if index and found[index - 1].cause:
            print(f"  cause: {found[index - 1].cause}")
    return 0
