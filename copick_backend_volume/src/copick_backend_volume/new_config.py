"""Makes configurations of compose volumes, for ``copick-core new-config compose_volume``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from copick_core.cli.parameters import json_object


def _label(text: str) -> tuple[int, str]:
    number, separator, name = text.partition("=")
    if not separator or not name or not number.isdecimal():
        raise click.BadParameter(f"{text!r} is not written as VALUE=NAME, such as 1=membrane")
    return int(number), name


@click.option("--volume-root", required=True, metavar="FOLDER", help="The volume's folder.")
@click.option("--overlay-root", metavar="LOCATION", help="Folder or URL to write to; without it the project is only read.")
@click.option("--overlay-fs-args", type=json_object, metavar="JSON", help="Arguments of the overlay's fsspec filesystem.")
@click.option("--tomo-type", metavar="NAME", help="Type that the image of a job is listed as.")
@click.option("--voxel-size", type=float, metavar="SIZE", help="Voxel size of jobs that have none.")
@click.option("--voxel-size-unit", metavar="UNIT", help="Unit of the voxel size, as OME-NGFF names it. Default: angstrom.")
@click.option("--label", "labels", type=_label, metavar="VALUE=NAME", multiple=True, help="Name of a voxel value; repeatable.")
@click.option("--mesh-downsample", type=int, metavar="N", help="Factor by which the app pooled labels before meshing.")
@click.option("--write-back/--no-write-back", default=None, help="Allow the explicit calls that write into the volume.")
@click.option("--hide-incomplete/--show-incomplete", default=None, help="List volumes only when all their chunks are there.")
@click.option("--include-orphans/--no-orphans", default=None, help="List jobs that have folders but are in no database.")
def new_config(volume_root: str, labels: Sequence[tuple[int, str]] = (), **fields: Any) -> dict[str, Any]:
    """Write the configuration of a project over the shared volume of a segmentation web app."""
    content = {"volume_root": volume_root, **{name: value for name, value in fields.items() if value is not None}}
    if labels:
        content["labels"] = {str(value): {"name": name} for value, name in labels}
    return content
