"""``copick sync``."""

from __future__ import annotations

from typing import Any

import click

from copick.cli import util
from copick.cli.projects import listed, mapping, one_line_errors, opened, options


@click.group(no_args_is_help=True)
def sync() -> None:
    """Synchronize data between Copick projects: bring entities of one into another."""


_common = options(
    util.add_config_option,
    util.add_debug_option,
    click.option("--source-dataset-ids", default="", help="Datasets of the portal, with commas, instead of --config."),
    click.option("--target-config", required=True, type=click.Path(exists=True), help="Configuration of the other project."),
    click.option("--source-runs", default="", help="Runs, with commas; all by default."),
    click.option("--target-runs", default="", help="Their names in the other project: a:b,c:d."),
    click.option("--exist-ok/--no-exist-ok", default=False, show_default=True, help="Replace what exists."),
    click.option("--max-workers", type=int, default=4, hidden=True),
    click.option("--log/--no-log", default=False, hidden=True),
)
_users = options(
    click.option("--source-users", default="", help="Users, with commas; all by default."),
    click.option("--target-users", default="", help="Their names in the other project: a:b,c:d."),
)
_objects = options(
    click.option("--source-objects", default="", help="Objects, with commas; all by default."),
    click.option("--target-objects", default="", help="Their names in the other project: a:b,c:d."),
)


def _projects(given: dict[str, Any]) -> tuple[Any, Any]:
    if given["source_dataset_ids"]:
        import tempfile

        from copick.ops.open import from_czcdp_datasets

        ids = [int(part) for part in given["source_dataset_ids"].split(",")]
        source: Any = from_czcdp_datasets(ids, tempfile.mkdtemp(prefix="copick-sync-"))
    else:
        source = opened(given["config"])
    return source, opened(given["target_config"])


def _run(function: Any, given: dict[str, Any], **names: Any) -> None:
    from copick.util.sync import add_objects

    source, target = _projects(given)
    before = len(target.config.pickable_objects)
    if "source_objects" in names:
        wanted = names["source_objects"] or [obj.name for obj in source.pickable_objects]
        add_objects(source, target, wanted, names["target_objects"] or {})
    done = function(
        source,
        target,
        source_runs=listed(given["source_runs"]),
        target_runs=mapping(given["target_runs"]),
        exist_ok=given["exist_ok"],
        **names,
    )
    if len(target.config.pickable_objects) != before:
        target.save_config(given["target_config"], overwrite=True)
    click.echo(f"Sync completed successfully: copied {done}.", err=True)


def _of_users(given: dict[str, Any]) -> dict[str, Any]:
    return {"source_users": listed(given["source_users"]), "target_users": mapping(given["target_users"])}


def _of_objects(given: dict[str, Any]) -> dict[str, Any]:
    return {"source_objects": listed(given["source_objects"]), "target_objects": mapping(given["target_objects"])}


@sync.command("picks", short_help="Synchronize picks.")
@_common
@_objects
@_users
@one_line_errors
def picks(**given: Any) -> None:
    """Synchronize picks between two Copick projects."""
    from copick.ops.sync import sync_picks

    _run(sync_picks, given, **_of_objects(given), **_of_users(given))


@sync.command("meshes", short_help="Synchronize meshes.")
@_common
@_objects
@_users
@one_line_errors
def meshes(**given: Any) -> None:
    """Synchronize meshes between two Copick projects."""
    from copick.ops.sync import sync_meshes

    _run(sync_meshes, given, **_of_objects(given), **_of_users(given))


def _sizes(given: dict[str, Any]) -> list[float] | None:
    return [float(size) for size in listed(given["voxel_spacings"]) or ()] or None


_spacings = click.option("--voxel-spacings", default="", help="Voxel sizes in angstrom, with commas; all by default.")


@sync.command("segmentations", short_help="Synchronize segmentations.")
@_common
@_spacings
@click.option("--source-names", default="", help="Names, with commas; all by default.")
@click.option("--target-names", default="", help="Their names in the other project: a:b,c:d.")
@click.option(
    "--segmentation-type", type=click.Choice(["binary", "multilabel", "instance", "panoptic", "all"]), help="Only this type."
)
@_users
@one_line_errors
def segmentations(**given: Any) -> None:
    """Synchronize segmentations between two Copick projects."""
    from copick.ops.sync import sync_segmentations
    from copick.util.segmentation import segmentation_type_query

    _run(
        sync_segmentations,
        given,
        voxel_spacings=_sizes(given),
        source_names=listed(given["source_names"]),
        target_names=mapping(given["target_names"]),
        **segmentation_type_query(given["segmentation_type"]),
        **_of_users(given),
    )


@sync.command("tomograms", short_help="Synchronize tomograms.")
@_common
@_spacings
@click.option("--source-tomo-types", default="", help="Types, with commas; all by default.")
@click.option("--target-tomo-types", default="", help="Their names in the other project: a:b,c:d.")
@one_line_errors
def tomograms(**given: Any) -> None:
    """Synchronize tomograms between two Copick projects."""
    from copick.ops.sync import sync_tomograms

    _run(
        sync_tomograms,
        given,
        voxel_spacings=_sizes(given),
        source_tomo_types=listed(given["source_tomo_types"]),
        target_tomo_types=mapping(given["target_tomo_types"]),
    )
