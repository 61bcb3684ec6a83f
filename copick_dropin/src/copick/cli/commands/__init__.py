"""The commands that copick has without plugins."""

from __future__ import annotations

import click


def core_commands() -> list[click.Command]:
    """All of them."""
    return []
