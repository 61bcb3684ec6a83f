"""``copick-core convert``: meshes of segmentations, and segmentations of meshes and picks."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, TypeVar

import click

from copick_core.cli.parameters import examples, if_exists_option, json_option, project_option
from copick_tools.commands.options import ADDRESS, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from copick_tools.converting import Conversion, Target

F = TypeVar("F", bound="Callable[..., Any]")


@click.group(name="convert")
def convert() -> None:
    """Make meshes of segmentations, and segmentations of meshes and picks."""


def _target_options(command: F) -> F:
    """Give a command the names of what it makes."""
    for option in (
        json_option,
        click.option("-n", "--dry-run", is_flag=True, help="Only print what would be made."),
        if_exists_option("fail", "replace", what="results that exist already"),
        click.option("--session", "session_id", default="0", show_default=True, help="Session of the result."),
        click.option("--user", "user_id", help="User of the result; the config's by default."),
        click.option("--object", "object_name", help="Object of the result; the source's by default."),
    ):
        command = option(command)
    return command


def _volume_options(command: F) -> F:
    """Give a command the tomogram that says how large the volume is."""
    command = click.option("--tomo-type", help="Type of the tomogram whose shape the segmentation gets.")(command)
    return click.option(
        "--voxel-size", type=float, help="Voxel size of the segmentation, in angstrom; the run's smallest by default."
    )(command)


@examples("copick-core convert mesh-from-segmentation 'TS_*/membrane:alice/1@10.0' --reduction 10")
@convert.command
@click.argument("address", type=ADDRESS)
@project_option
@click.option("--reduction", type=float, default=1, show_default=True, help="Keep one triangle in this many.")
@click.option(
    "--max-error", type=float, default=1, show_default=True, help="How far simplification may move a surface, in voxels."
)
@_target_options
@click.pass_context
def mesh_from_segmentation(
    context: click.Context, /, address: str, config: str, reduction: float, max_error: float, as_json: bool, **names: Any
) -> None:
    """Make a mesh of each segmentation that ADDRESS matches (extra mesh). The exit code is 1 if one failed."""
    from copick_tools.converting import meshes_from_segmentations

    options = {"reduction": reduction, "max_error": max_error}
    _show(context, meshes_from_segmentations(opened(config), address, _target(names), **options), as_json)


@examples("copick-core convert segmentation-from-mesh 'TS_*/membrane:alice/1' --voxel-size 10")
@convert.command
@click.argument("address", type=ADDRESS)
@project_option
@_volume_options
@_target_options
@click.pass_context
def segmentation_from_mesh(context: click.Context, /, address: str, **given: Any) -> None:
    """Label the voxels inside each mesh that ADDRESS matches. The exit code is 1 if one failed."""
    _segmentations(context, address, "mesh", given)


@examples("copick-core convert segmentation-from-picks 'TS_*/ribosome:alice/1' --radius 120")
@convert.command
@click.argument("address", type=ADDRESS)
@project_option
@click.option("--radius", type=float, help="Radius of the spheres, in angstrom; the object's by default.")
@_volume_options
@_target_options
@click.pass_context
def segmentation_from_picks(context: click.Context, /, address: str, **given: Any) -> None:
    """Label spheres about the points of the picks that ADDRESS matches. The exit code is 1 if one failed."""
    _segmentations(context, address, "picks", given)


def _segmentations(context: click.Context, address: str, kind: Any, given: dict[str, Any]) -> None:
    from copick_tools.converting import segmentations_from

    config, as_json = given.pop("config"), given.pop("as_json")
    options = {name: given.pop(name) for name in ("voxel_size", "tomo_type", "radius") if name in given}
    _show(context, segmentations_from(opened(config), address, kind, _target(given), **options), as_json)


def _target(given: dict[str, Any]) -> Target:
    from copick_tools.converting import Target

    return Target(exist_ok=given.pop("if_exists") == "replace", **given)


def _show(context: click.Context, rows: list[Conversion], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        for row in rows:
            click.echo(f"{row.state:7}  {row.source}  {row.made or row.error or ''}".rstrip())
    context.exit(1 if any(row.state == "failed" for row in rows) else 0)
