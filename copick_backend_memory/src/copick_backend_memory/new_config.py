"""Makes configurations of projects in memory, for ``copick-core new-config memory``."""

from __future__ import annotations

import uuid
from typing import Any

import click


@click.option(
    "--place",
    metavar="NAME",
    help="Name of a place: projects of one process that name the same one share it. Default: a new one.",
)
def new_config(place: str | None = None) -> dict[str, Any]:
    """Write the configuration of a project in the memory of the process that opens it."""
    return {"place": place or f"project-{uuid.uuid4().hex[:12]}"}
