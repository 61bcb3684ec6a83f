"""The commands that copick has without plugins."""

from __future__ import annotations

import click

from copick.cli.add import add
from copick.cli.config import config
from copick.cli.export import export
from copick.cli.info import browse, info
from copick.cli.manage import cp, deposit, mv, rm
from copick.cli.new import new
from copick.cli.stats import stats
from copick.cli.sync import sync


def core_commands() -> list[click.Command]:
    """All of them."""
    return [add, browse, config, cp, deposit, export, info, mv, new, rm, stats, sync]
