"""What can be wrong in the content of a project, and between its layers: everything is read, and nothing is changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from copick_core.errors import redacted
from copick_core.layers.problems import Problem, Severity
from copick_core.projects.selection import Row, Selection, handle_of
from copick_core.tree.keys import Key, Kind, RunKey, SegmentationKey, TomogramKey, VoxelSpacingKey

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay

T = TypeVar("T")
#: A problem, and the name of the layer that it is in; "" is the configuration.
Item = tuple[str, Problem]
#: Voxels in (z, y, x) of each tomogram of a run.
Shapes = Mapping[TomogramKey, tuple[int, ...]]

#: Planes of a segmentation that are read at once.
_PLANES = 64
#: Most labels and objects that a message lists.
_LISTED = 10


def content_problems(root: CopickRootOverlay) -> Iterator[Item]:
    """Examine what a project holds, entity by entity.

    Yields:
        Objects that share a label, annotations of no object, empty annotations, points outside of every tomogram of their
        run, labels of no object, volumes of one spacing whose shapes differ, features without a tomogram, and what cannot
        be read.
    """
    yield from _shared_labels(root)
    for run in [key for key, _ in Selection(root, "*/").rows() if isinstance(key, RunKey)]:
        yield from _in_run(root, run)


def _shared_labels(root: CopickRootOverlay) -> Iterator[Item]:
    names: dict[int, list[str]] = defaultdict(list)
    for obj in root.config.pickable_objects:
        if obj.label is not None:
            names[obj.label].append(obj.name)
    for label, sharing in names.items():
        if len(sharing) > 1:
            message = f"objects {', '.join(sharing)} share label {label}, so multilabel segmentations cannot tell them apart"
            yield "", Problem("duplicate-label", None, "the configuration", "warning", f"{message}; give each its own")


def _in_run(root: CopickRootOverlay, run: RunKey) -> Iterator[Item]:
    rows, shapes = _rows_of(root, run), {}
    for key, layer in rows:
        if isinstance(key, TomogramKey):
            shape = yield from _tried(root, key, layer, _shape)
            if shape is not None:
                shapes[key] = shape
    for spacing in sorted({key.parent for key in shapes}):
        found = {shape for key, shape in shapes.items() if key.parent == spacing}
        if len(found) > 1:
            sizes = ", ".join(f"{key.tomo_type} {_times(s)}" for key, s in shapes.items() if key.parent == spacing)
            message = f"its tomograms have different shapes: {sizes}; move those that belong elsewhere"
            yield _item("shapes-differ", spacing, None, "warning", message)
    for key, layer in rows:
        if layer is not None and (check := _CHECKS.get(key.kind)) is not None:
            yield from _of_no_object(root, key, layer)
            yield from check(root, key, layer, shapes)


def _rows_of(root: CopickRootOverlay, run: RunKey) -> list[Row]:
    """Everything in a run that is an entity of one layer, but features."""
    rows: list[Row] = []
    for layer in root.layers.all:
        for kind in (Kind.PICKS, Kind.MESH, Kind.FILAMENTS, Kind.SEGMENTATION):
            rows += [(key, layer) for key in layer.list(kind, run)]
        for spacing in [key for key in layer.list(Kind.VOXEL_SPACING, run) if isinstance(key, VoxelSpacingKey)]:
            rows += [(key, layer) for key in layer.list(Kind.TOMOGRAM, spacing)]
    return sorted(rows, key=lambda row: (row[0].kind.value, str(row[0]), row[1].name if row[1] else ""))


def _of_no_object(root: CopickRootOverlay, key: Key, layer: Layer) -> Iterator[Item]:
    name = getattr(key, "object_name", None)
    if isinstance(key, SegmentationKey) and key.segmentation_type in ("binary", "instance"):
        name = key.name
    if name is not None and root.get_object(name) is None:
        message = f"the configuration has no object {name!r}; add it, or rename what is stored"
        yield _item("unknown-object", key, layer, "warning", message)


def _picks(root: CopickRootOverlay, key: Key, layer: Layer, shapes: Shapes) -> Iterator[Item]:
    arrays = yield from _tried(root, key, layer, lambda picks: picks.numpy())
    if arrays is None:
        return
    points = arrays[0] + arrays[1][:, :3, 3]
    if not len(points):
        yield _item("empty-annotation", key, layer, "warning", "it has no point; delete it, or pick")
    if outside := _outside(points, shapes):
        message = f"{outside} of {len(points)} points lie outside of every tomogram of the run; were they stored in voxels?"
        yield _item("points-outside", key, layer, "warning", message)


def _outside(points: Any, shapes: Shapes) -> int:
    """How many points (N, 3), x, y, z in angstrom, are in no tomogram; one voxel at the edges is forgiven."""
    import numpy as np

    if not shapes:
        return 0
    inside = np.zeros(len(points), bool)
    for key, shape in shapes.items():
        size = np.array(shape[::-1], float) * key.voxel_size
        inside |= ((points >= -key.voxel_size) & (points <= size)).all(axis=1)
    return int((~inside).sum())


def _mesh(root: CopickRootOverlay, key: Key, layer: Layer, shapes: Shapes) -> Iterator[Item]:
    empty = yield from _tried(root, key, layer, lambda mesh: bool(mesh.mesh.is_empty))
    if empty:
        yield _item("empty-annotation", key, layer, "warning", "it has no vertex; delete it, or make it again")


def _filaments(root: CopickRootOverlay, key: Key, layer: Layer, shapes: Shapes) -> Iterator[Item]:
    count = yield from _tried(root, key, layer, lambda filaments: len(filaments.filaments))
    if count == 0:
        yield _item("empty-annotation", key, layer, "warning", "it has no filament; delete it, or trace some")


def _segmentation(root: CopickRootOverlay, key: Key, layer: Layer, shapes: Shapes) -> Iterator[Item]:
    assert isinstance(key, SegmentationKey)
    found = yield from _tried(root, key, layer, lambda volume: (_shape(volume), _labels(volume)))
    if found is None:
        return
    shape, labels = found
    wanted = {s for tomogram, s in shapes.items() if tomogram.voxel_size == key.voxel_size}
    if wanted and shape not in wanted:
        message = f"its shape {_times(shape)} is not that of the tomogram, {' or '.join(map(_times, sorted(wanted)))}"
        yield _item("shapes-differ", key, layer, "error", f"{message}; make it again, or move it to its own voxel spacing")
    if not labels:
        yield _item("empty-annotation", key, layer, "warning", "it has no label but 0; delete it, or segment")
    if key.segmentation_type == "multilabel":
        known = {obj.label for obj in root.config.pickable_objects}
        unknown = sorted(labels - known)
        if unknown:
            more = f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
            listed = ", ".join(map(str, unknown[:_LISTED])) + more
            message = f"no object of the configuration has label {listed}; add it, or segment again"
            yield _item("label-of-no-object", key, layer, "error", message)


def _labels(volume: Any) -> set[int]:
    """Labels of a segmentation but 0, read some planes at once."""
    import numpy as np

    found: set[int] = set()
    view = volume.view(volume.levels[0])
    for begin in range(0, view.shape[-3], _PLANES):
        found.update(np.unique(volume.numpy(volume.levels[0], z=slice(begin, begin + _PLANES))).tolist())
    return found - {0}


def _shape(volume: Any) -> tuple[int, ...]:
    return tuple(volume.view(volume.levels[0]).shape[-3:])


_CHECKS: dict[Kind, Callable[[CopickRootOverlay, Key, Layer, Shapes], Iterator[Item]]] = {
    Kind.PICKS: _picks,
    Kind.MESH: _mesh,
    Kind.FILAMENTS: _filaments,
    Kind.SEGMENTATION: _segmentation,
}


def _tried(
    root: CopickRootOverlay, key: Key, layer: Layer | None, read: Callable[[Any], T]
) -> Generator[Item, None, T | None]:
    """What is read of an entity; yields a problem and gives None where that fails."""
    try:
        return read(handle_of(root, key, layer))
    except Exception as error:  # damage raises anything, and one problem hides no other
        reason = redacted(str(error)) or type(error).__name__
        yield _item("unreadable-content", key, layer, "error", f"it cannot be read: {reason}")
        return None


def _item(name: str, key: Key, layer: Layer | None, severity: Severity, message: str) -> Item:
    where = "" if layer is None else layer.name
    return where, Problem(name, key, f"layer {where!r}, {key}" if where else str(key), severity, message)


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
