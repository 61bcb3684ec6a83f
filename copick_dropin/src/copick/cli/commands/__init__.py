"""The commands that copick has without plugins."""

from __future__ import annotations

import click

from copick.cli.commands.adding import add
from copick.cli.commands.configuring import config
from copick.cli.commands.counting import stats
from copick.cli.commands.exporting import export
from copick.cli.commands.looking import browse, info
from copick.cli.commands.making import new
from copick.cli.commands.managing import cp, deposit, mv, rm
from copick.cli.commands.syncing import sync


def core_commands() -> list[click.Command]:
    """All of them."""
    return [add, browse, config, cp, deposit, export, info, mv, new, rm, stats, sync]
