"""``copick stats``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from copick.cli import util
from copick.cli.projects import one_line_errors, opened, options


@click.group(no_args_is_help=True)
def stats() -> None:
    """Count picks, meshes and segmentations."""


_common = options(
    util.add_config_option,
    util.add_debug_option,
    util.add_run_names_option,
    util.add_deprecated_run_alias("--runs"),
    click.option("--user-id", multiple=True, help="Only of this user; may be repeated."),
    click.option("--session-id", multiple=True, help="Only of this session; may be repeated."),
    click.option("--parallel/--no-parallel", default=True, hidden=True),
    click.option("--workers", type=int, default=8, hidden=True),
    click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to show it."),
)


def _show(found: Mapping[str, Any], output: str) -> None:
    found = {name: value for name, value in found.items() if not name.endswith("_combinations")}
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if not isinstance(value, Mapping):
            click.echo(f"{name.replace('_', ' ')}: {value}")
            continue
        click.echo(f"\n{name.replace('_', ' ')}")
        for key, number in sorted(value.items(), key=lambda item: str(item[0])):
            click.echo(f"  {key}\t{number}")


def _runs(given: Mapping[str, Any]) -> list[str] | None:
    return util.resolve_run_names(given["run_names"], given["legacy_run_names"], legacy_flag="--runs")


@stats.command("picks", short_help="Count points.")
@_common
@click.option("--object-name", multiple=True, help="Only of this object; may be repeated.")
@one_line_errors
def picks(config: str, output: str, object_name: tuple[str, ...], **given: Any) -> None:
    """Count points by run, user, session and object."""
    from copick.ops.stats import picks_stats

    users, sessions = [*given["user_id"]] or None, [*given["session_id"]] or None
    _show(picks_stats(opened(config), _runs(given), users, sessions, [*object_name] or None), output)


@stats.command("meshes", short_help="Count meshes.")
@_common
@click.option("--object-name", multiple=True, help="Only of this object; may be repeated.")
@one_line_errors
def meshes(config: str, output: str, object_name: tuple[str, ...], **given: Any) -> None:
    """Count meshes by run, user, session and object."""
    from copick.ops.stats import meshes_stats

    users, sessions = [*given["user_id"]] or None, [*given["session_id"]] or None
    _show(meshes_stats(opened(config), _runs(given), users, sessions, [*object_name] or None), output)


@stats.command("segmentations", short_help="Count segmentations.")
@_common
@click.option("--name", multiple=True, help="Only of this name; may be repeated.")
@click.option("--voxel-size", type=float, multiple=True, help="Only of this voxel size in angstrom; may be repeated.")
@click.option("--multilabel/--no-multilabel", default=None, help="Only multilabel ones, or only others.")
@click.option(
    "--segmentation-type",
    type=click.Choice(["binary", "multilabel", "instance", "panoptic", "all"]),
    help="Only of this type; binary and multilabel ones by default.",
)
@one_line_errors
def segmentations(
    config: str,
    output: str,
    name: tuple[str, ...],
    voxel_size: tuple[float, ...],
    multilabel: bool | None,
    segmentation_type: str | None,
    **given: Any,
) -> None:
    """Count segmentations by run, user, session, name, voxel size and type."""
    from copick.ops.stats import segmentations_stats
    from copick.util.segmentation import segmentation_type_query

    users, sessions = [*given["user_id"]] or None, [*given["session_id"]] or None
    types: Any = segmentation_type_query(segmentation_type)
    if multilabel is not None:
        types["is_multilabel"] = multilabel
    found = segmentations_stats(
        opened(config), _runs(given), users, sessions, name=[*name] or None, voxel_size=[*voxel_size] or None, **types
    )
    _show(found, output)
