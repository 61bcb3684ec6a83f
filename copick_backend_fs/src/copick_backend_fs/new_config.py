"""Makes configurations of filesystem projects, for ``copick-core new-config filesystem`` and ``copick_core.new_config``."""

from __future__ import annotations

import re
from typing import Any

import click

from copick_core.cli.parameters import json_object

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(://|::)")


@click.option("--overlay-root", metavar="LOCATION", help="Folder or URL to write to. Without --static-root: overlay.")
@click.option("--static-root", metavar="LOCATION", help="Folder or URL of reference data that is only read.")
@click.option("--overlay-fs-args", type=json_object, metavar="JSON", help="Arguments of the overlay's fsspec filesystem.")
@click.option("--static-fs-args", type=json_object, metavar="JSON", help="Arguments of the static fsspec filesystem.")
@click.option("--obstore/--no-obstore", default=True, help="Use obstore where it is installed and serves the location.")
def new_config(
    overlay_root: str | None = None,
    static_root: str | None = None,
    overlay_fs_args: dict[str, Any] | None = None,
    static_fs_args: dict[str, Any] | None = None,
    obstore: bool = True,
) -> dict[str, Any]:
    """Write the configuration of a project in folders, buckets and everything else that fsspec reaches."""
    content: dict[str, Any] = {}
    if overlay_root is None and static_root is None:
        overlay_root = "overlay"
    if overlay_root is not None:
        local = not _SCHEME.match(overlay_root)
        content["overlay_root"] = f"local://{overlay_root}" if local else overlay_root
        content["overlay_fs_args"] = {"auto_mkdir": True} if overlay_fs_args is None else overlay_fs_args
    if static_root is not None:
        content |= {"static_root": static_root, "static_fs_args": static_fs_args or {}}
    if not obstore:
        content["obstore"] = False
    return content
