"""The writers of napari: points are stored as picks, labels as segmentations.

A path with an address says what they become. A path without one, such as a file of a configuration, stores each layer where
it came from; what is read-only, or somebody else's, becomes an entity of the user and session of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from copick_core.errors import AddressError, ConflictError, CopickError, InvalidDataError
from copick_core.tree.addresses import address_of, key_of, parse
from copick_core.tree.keys import Kind, PicksKey, SegmentationKey, voxel_size_key
from copick_view.napari_plugin.layers import NEW_POINT
from copick_view.napari_plugin.paths import Place, place_of
from copick_view.napari_plugin.source import Source, source_of, volume_version

if TYPE_CHECKING:
    from copick_core.models import CopickPicks, CopickRun, CopickSegmentation
    from copick_core.overlay import CopickRootOverlay


class StoreError(CopickError, RuntimeError):
    """Something was not stored, for the reason that the error it was raised from has.

    napari takes a ValueError of a writer to mean that it is not for such layers, and says only that.
    """


F = TypeVar("F", bound=Callable[..., Any])


def shown(writer: F) -> F:
    """Raise what napari would not show as a :class:`StoreError`, with the same words."""

    @wraps(writer)
    def wrapped(*args: Any) -> Any:
        try:
            return writer(*args)
        except ValueError as error:
            raise StoreError(str(error)) from error

    return cast(F, wrapped)


@shown
def store_points(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Store a layer of points as picks.

    Points that were read keep what is stored with them, orientation and columns; new ones have none.

    Args:
        path: ``copick://CONFIG#ADDRESS`` of picks, or a project, for where the layer came from.
        data: Coordinates (n, 3), axes (z, y, x), in the layer's scale.
        meta: What is set of the layer.

    Returns:
        The path of what was stored.

    Raises:
        ConflictError: Somebody else has stored them since they were read. Nothing was written.
        StoreError: They would take the place of others of the user's own; or there is no address, and the layer was made in
            napari, or it is not that of picks; or a value cannot be stored.
        ReadOnlyError: The project has no overlay.
    """
    place, source = place_of(path), source_of(meta)
    root = _root(place, source)
    key = _key(root, place, source, Kind.PICKS, None)
    values = _values(data, meta, source)
    run = _run(root, key)
    if source is not None and _is_own(source, root, key):
        picks: CopickPicks = source.handle
        picks.from_numpy(**values)
    else:
        run.new_picks(key.object_name, key.session_id, key.user_id, **values)
    return [str(Place(place.config, str(address_of(key))))]


@shown
def store_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Store a layer of labels as a segmentation.

    Args:
        path: ``copick://CONFIG#ADDRESS`` of a segmentation, whose voxel size is that of the layer where it has none; or a
            project, for where the layer came from.
        data: Labels (z, y, x).
        meta: What is set of the layer; its scale is the voxel size.

    Returns:
        The path of what was stored.

    Raises:
        ConflictError: Somebody else has replaced it since it was read. Nothing was written.
        StoreError: It would take the place of another one of the user's own; the layer has another voxel size than the
            address, or shows levels of a volume that is too large to be painted; there is no address, and the layer was made
            in napari, or it is not that of a segmentation.
        ReadOnlyError: The project has no overlay.
    """
    place, source = place_of(path), source_of(meta)
    root = _root(place, source)
    key = _key(root, place, source, Kind.SEGMENTATION, np.ravel(meta.get("scale", 1.0))[-1])
    labels = _labels(data, meta, key)
    run = _run(root, key)
    if source is not None and _is_own(source, root, key):
        segmentation: CopickSegmentation = source.handle
        found = volume_version(segmentation)
        if found != source.version:
            raise ConflictError(key=key, layer=segmentation.layer or "", expected=str(source.version), found=str(found))
        levels = len(segmentation.levels)
    else:
        kinds = {f"is_{key.segmentation_type}": True} if key.segmentation_type != "binary" else {}
        segmentation = run.new_segmentation(key.voxel_size, key.name, key.session_id, user_id=key.user_id, **kinds)
        levels = 1 if source is None else len(source.handle.levels)
    segmentation.from_numpy(labels, levels=levels)
    return [str(Place(place.config, str(address_of(key))))]


@shown
def store_layers(path: str, layers: list[tuple[Any, dict[str, Any], str]]) -> list[str]:
    """Store several layers of points and labels, each where it came from.

    Args:
        path: The project, without an address.
        layers: The layers, as napari gives them.

    Returns:
        The paths of what was stored.

    Raises:
        StoreError: The path has an address, which would be that of all layers; or as :func:`store_points` raises it. Layers
            before that one were stored.
        ConflictError: As :func:`store_points` and :func:`store_labels` raise it; layers before it were stored.
    """
    if place_of(path).address is not None and len(layers) > 1:
        raise AddressError(address=path, position=None, reason="several layers cannot have one address; leave it out")
    writers = {"points": store_points, "labels": store_labels}
    return [stored for data, meta, kind in layers for stored in writers[kind](path, data, meta)]


def _root(place: Place, source: Source | None) -> CopickRootOverlay:
    """The project: the one that the layer is of, if it is the same, so that conflicts show."""
    from copick_core import opening

    if source is not None and source.config == place.config:
        root: CopickRootOverlay = source.handle.run.root
        return root
    return opening.open(place.config)


def _key(root: CopickRootOverlay, place: Place, source: Source | None, kind: Kind, size: float | None) -> Any:
    """What the layer becomes."""
    if place.address is not None:
        address = parse(place.address)
        if size is not None and address.voxel_size is None:
            address = replace(address, voxel_size=str(voxel_size_key(size)))
        key = key_of(address, kind)
        if key is None:
            reason = f"it must name one entity ({kind.value}) with its run, object, user and session"
            raise AddressError(address=place.address, position=None, reason=reason)
        return key
    if source is None or source.handle.key.kind is not kind:
        reason = f"the layer was made in napari; write what it becomes, such as {Place(place.config, _EXAMPLES[kind])}"
        raise AddressError(address=str(place), position=None, reason=reason)
    key = source.handle.key
    if not source.handle.read_only and key.user_id == (root.user_id or key.user_id):
        return key
    return key._replace(user_id=root.user_id or key.user_id, session_id=root.session_id or key.session_id)


_EXAMPLES = {Kind.PICKS: "TS_001/ribosome:alice/1", Kind.SEGMENTATION: "TS_001/membrane:alice/1"}


def _is_own(source: Source, root: CopickRootOverlay, key: Any) -> bool:
    """Whether a layer is stored in the place of what it was made of."""
    return source.handle.key == key and source.handle.run.root is root and not source.handle.read_only


def _run(root: CopickRootOverlay, key: PicksKey | SegmentationKey) -> CopickRun:
    return root.get_run(key.run) or root.new_run(key.run)


def _values(data: Any, meta: dict[str, Any], source: Source | None) -> dict[str, Any]:
    """Points as picks have them; those that were read with all that is stored of them."""
    points = _in_angstrom(np.asarray(data, dtype=np.float64), meta)[:, ::-1]
    features = meta.get("features", {})
    count = len(points)

    def column(name: str, kind: type) -> Any:
        known = name in features and len(features[name]) == count
        return np.asarray(features[name] if known else [NEW_POINT[name]] * count, dtype=kind)

    transforms = np.tile(np.eye(4), (count, 1, 1))
    columns: dict[str, Any] = {}
    if source is not None and source.stored is not None:
        rows = column("row", int)
        stored = source.stored
        kept = (rows >= 0) & (rows < len(stored.transforms))
        transforms[kept] = stored.transforms[rows[kept]]
        columns = {name: _spread(values, rows, kept) for name, values in stored.columns.items()}
    ids, scores = column("instance_id", int), column("score", float)
    return {"positions": points, "transforms": transforms, "instance_ids": ids, "scores": scores, "columns": columns}


def _spread(values: Any, rows: Any, kept: Any) -> Any:
    """A column of further values for the points that there are now; new points have none of their own."""
    values = np.asarray(values)
    if kept.all():
        return values[rows]
    is_float = values.dtype.kind == "f"
    spread = np.full(len(rows), np.nan if is_float else None, dtype=values.dtype if is_float else object)
    spread[kept] = values[rows[kept]]
    return spread


def _in_angstrom(points: Any, meta: dict[str, Any]) -> Any:
    """Coordinates in the world, which is in angstrom.

    Raises:
        InvalidDataError: There are not three axes, or the layer is turned or sheared.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise InvalidDataError(source="layer", reason=f"its points have {points.shape[-1]} axes, not z, y and x")
    if not np.allclose(meta.get("rotate", np.eye(3)), np.eye(3)) or not np.allclose(meta.get("shear", 0), 0):
        raise InvalidDataError(source="layer", reason="it is turned or sheared; reset its transform")
    if not np.allclose(meta.get("affine", np.eye(4)), np.eye(4)):
        raise InvalidDataError(source="layer", reason="it has an affine transform; reset it")
    return points * np.asarray(meta.get("scale", 1.0)) + np.asarray(meta.get("translate", 0.0))


def _labels(data: Any, meta: dict[str, Any], key: SegmentationKey) -> Any:
    """The labels of a layer as an array.

    Raises:
        InvalidDataError: It has several levels, or another voxel size than the segmentation.
    """
    if meta.get("multiscale") or not hasattr(data, "ndim"):
        raise InvalidDataError(source=key, reason="the layer shows levels of a large volume, which napari cannot paint")
    if not np.allclose(meta.get("scale", 1.0), key.voxel_size, atol=5e-4):
        size = [float(value) for value in np.ravel(meta.get("scale", 1.0))]
        reason = f"the layer has voxels of {size} angstrom, not of {key.voxel_size}"
        raise InvalidDataError(source=key, reason=reason)
    if not np.allclose(meta.get("translate", 0.0), 0):
        raise InvalidDataError(source=key, reason="the layer is shifted; segmentations begin at the origin")
    return np.asarray(data)
