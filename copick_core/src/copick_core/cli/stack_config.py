"""Makes configurations of stacks, for ``copick-core new-config stack``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


@click.option("--overlay", metavar="CONFIG", help="Config file of the place to write to; without it the project is only read.")
@click.option("--static", multiple=True, metavar="CONFIG", help="Config file of a place that is only read; repeatable.")
def new_config(overlay: str | None = None, static: Sequence[str] = ()) -> dict[str, Any]:
    """Write the configuration of an overlay of any backend over static layers of any backends."""
    content: dict[str, Any] = {"static": [{"config": path} for path in static]}
    if overlay is not None:
        content["overlay"] = {"config": overlay}
    return content
