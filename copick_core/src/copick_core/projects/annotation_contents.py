"""What files of points, filaments and meshes have in common: how each kind is found, stored, and handed to a format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from copick_core.plugins.choosing import declared
from copick_core.plugins.format_functions import FilamentsTable, PicksTable

if TYPE_CHECKING:
    from trimesh.parent import Geometry

    from copick_core.models import CopickFilaments, CopickMesh, CopickPicks, CopickRun


@dataclass(frozen=True)
class MeshTable:
    """A mesh, with the run and object it belongs to where it comes from a project: files seldom hold these."""

    mesh: Geometry
    run: str | None = None
    object_name: str | None = None


@dataclass(frozen=True, eq=False)
class Content:
    """A kind of annotation, as files hold it.

    Attributes:
        name: What a format calls it in ``reads`` and ``writes``; its entry in `CONTENTS`.
        kind: What an address calls it.
        parts: What an annotation is made of, in messages.
        read: Reads all tables of a file by a format's function.
        write: Writes tables to a file by a format's function; returns what the file lacks.
        size: The number of parts of a table.
        find: The annotations of a run by object, user and session.
        store: Makes an annotation of a run, with the parts of a table.
        table: The table of an annotation.
        beyond: What an annotation has that no table can hold, so that every file lacks it.
    """

    name: str
    kind: str
    parts: str
    read: Callable[..., list[Any]]
    write: Callable[..., Iterable[str] | None]
    size: Callable[[Any], int]
    find: Callable[[CopickRun, str, str, str], list[Any]]
    store: Callable[[CopickRun, tuple[str, str, str | None, bool], Any], Any]
    table: Callable[[Any], Any]
    beyond: Callable[[Any], list[str]] = lambda entity: []


def _read_tables(function: Any, path: str, frame: Any, options: Mapping[str, Any]) -> list[Any]:
    return [*function(path, frame=frame, **options)]


def _write_tables(function: Any, path: str, tables: list[Any], frame: Any, options: Mapping[str, Any]) -> Any:
    return function(path, tables, frame=frame, **options)


def _read_mesh(function: Any, path: str, frame: Any, options: Mapping[str, Any]) -> list[MeshTable]:
    return [MeshTable(function(path, **options))]


def _write_mesh(function: Any, path: str, tables: list[MeshTable], frame: Any, options: Mapping[str, Any]) -> None:
    (table,) = tables
    context = {"run": table.run, "object_name": table.object_name, "kind": "mesh", "frame": frame}
    function(path, table.mesh, **{**declared(function, context), **options})


def _store_picks(run: CopickRun, names: tuple[str, str, str | None, bool], table: PicksTable) -> CopickPicks:
    return run.new_picks(
        *names,
        positions=table.positions,
        transforms=table.transforms,
        instance_ids=table.instance_ids,
        scores=table.scores,
        columns=table.columns,
    )


def _store_filaments(run: CopickRun, names: tuple[str, str, str | None, bool], table: FilamentsTable) -> CopickFilaments:
    return run.new_filaments(
        *names,
        polylines=table.polylines,
        instance_ids=table.instance_ids,
        polarity_known=table.polarity_known,
        scores=table.scores,
        radii=table.radii,
        metadata=table.metadata,
    )


def _picks_table(picks: CopickPicks) -> PicksTable:
    arrays = picks._as_arrays()
    return PicksTable(
        arrays.positions,
        arrays.transforms,
        arrays.instance_ids,
        arrays.scores,
        picks.run.name,
        picks.pickable_object_name,
        arrays.columns,
    )


def _filaments_table(entity: CopickFilaments) -> FilamentsTable:
    filaments = entity.filaments
    return FilamentsTable(
        [f.numpy() for f in filaments],
        [f.instance_id for f in filaments],
        [f.polarity_known for f in filaments],
        [f.score for f in filaments],
        [f.radius for f in filaments],
        [f.metadata for f in filaments],
        entity.run.name,
        entity.pickable_object_name,
    )


def _curves(entity: CopickFilaments) -> list[str]:
    return ["curves"] if any(filament.curve is not None for filament in entity.filaments) else []


def _mesh_table(entity: CopickMesh) -> MeshTable:
    return MeshTable(entity.mesh, entity.run.name, entity.pickable_object_name)


def _triangles(table: MeshTable) -> int:
    mesh: Any = table.mesh
    parts = mesh.geometry.values() if hasattr(mesh, "geometry") else [mesh]
    return sum(len(getattr(part, "faces", ())) for part in parts)


CONTENTS = {
    content.name: content
    for content in (
        Content(
            "picks", "picks", "points", _read_tables, _write_tables, lambda table: len(table.positions),
            lambda run, *names: run.get_picks(*names), _store_picks, _picks_table,
        ),
        Content(
            "filaments", "filaments", "filaments", _read_tables, _write_tables, lambda table: len(table.polylines),
            lambda run, *names: run.get_filaments(*names), _store_filaments, _filaments_table,
            _curves,
        ),
        Content(
            "mesh", "mesh", "triangles", _read_mesh, _write_mesh, _triangles,
            lambda run, *names: run.get_meshes(*names), lambda run, names, table: run.new_mesh(*names, mesh=table.mesh),
            _mesh_table,
        ),
    )
}  # fmt: skip
"""The kinds by their names in ``reads`` and ``writes`` of a format."""
