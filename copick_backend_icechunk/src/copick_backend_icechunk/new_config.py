"""Makes configurations of projects with a history, for ``copick-core new-config icechunk``."""

from __future__ import annotations

from typing import Any

import click

from copick_core.cli.parameters import json_object


@click.option("--overlay-root", default="history", metavar="LOCATION", help="Folder or s3:// URL. Default: history.")
@click.option("--storage-args", type=json_object, metavar="JSON", help="Arguments of icechunk.s3_storage.")
@click.option("--branch", default="main", metavar="NAME", help="The branch to commit to. Default: main.")
def new_config(
    overlay_root: str = "history", storage_args: dict[str, Any] | None = None, branch: str = "main"
) -> dict[str, Any]:
    """Write the configuration of a project whose every change is a commit."""
    content: dict[str, Any] = {"overlay_root": overlay_root}
    if storage_args:
        content["storage_args"] = storage_args
    return content if branch == "main" else {**content, "branch": branch}
