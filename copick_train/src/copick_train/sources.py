"""What patches of one run are made of: its tomogram, and its segmentation or picks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from copick_core.errors import InvalidDataError
from copick_train.targets import HeatMap, Labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_core.models import CopickPicks, CopickSegmentation, CopickTomogram
    from copick_core.overlay import CopickRootOverlay


@dataclass(frozen=True)
class Source:
    """One run.

    Attributes:
        run: Its name.
        tomogram: Its tomogram.
        segmentation: Its labels, if they are the target.
        level: The level that is read, by name.
        shape: Shape of the level, (z, y, x).
        voxel_size: Voxel size of the level in angstrom, z, y, x.
        points: Picks of the heat map, (n, 3), z, y, x in voxels of the level.
        centres: Points that patches are chosen around, as ``points``, by object.
    """

    run: str
    tomogram: CopickTomogram
    segmentation: CopickSegmentation | None
    level: str
    shape: tuple[int, int, int]
    voxel_size: NDArray[np.float64]
    points: NDArray[np.float64]
    centres: Mapping[str, NDArray[np.float64]]

    def read(self, origin: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
        """Read a part of the tomogram; less than the shape at its end."""
        return self.tomogram.numpy(self.level, **_slices(origin, shape))

    def read_labels(self, origin: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
        """Read a part of the segmentation."""
        if self.segmentation is None:
            raise RuntimeError("labels of a source without a segmentation")
        found: NDArray[Any] = self.segmentation.numpy(self.level, **_slices(origin, shape))
        return found


def sources(
    root: CopickRootOverlay,
    tomogram: str,
    level: int,
    target: Labels | HeatMap | None,
    around: str | None,
    runs: Collection[str] | None,
) -> list[Source]:
    """The runs that have a tomogram and the target, by name."""
    tomograms = _one_each(root, tomogram, "tomogram")
    labels = _one_each(root, target.address, "segmentation") if isinstance(target, Labels) else {}
    points = _picks(root, target.address) if isinstance(target, HeatMap) else {}
    centres = {} if around is None else _picks(root, around)
    wanted = {*tomograms} if runs is None else {*tomograms} & {*runs}
    if target is not None:
        wanted &= {*labels} | {*points}
    found = []
    for run in sorted(wanted):
        volume = cast("CopickTomogram", tomograms[run])
        name = volume.levels[level]
        shape = volume.view(name).shape[-3:]
        factor = np.rint(np.divide(volume.view(volume.levels[0]).shape[-3:], shape))
        size = volume.voxel_spacing.voxel_size * factor
        segmentation = cast("CopickSegmentation | None", labels.get(run))
        if segmentation is not None and segmentation.view(name).shape[-3:] != shape:
            reason = f"its level {name} has the shape {segmentation.view(name).shape[-3:]}, the tomogram's {shape}"
            raise InvalidDataError(source=str(segmentation.key), reason=reason)
        every = np.concatenate([np.empty((0, 3)), *(_voxels(picks, size) for picks in points.get(run, ()))])
        around_it = {
            object_name: np.concatenate(
                [_voxels(p, size) for p in centres.get(run, ()) if p.pickable_object_name == object_name]
            )
            for object_name in sorted({p.pickable_object_name for p in centres.get(run, ())})
        }
        filled = {object_name: found_points for object_name, found_points in around_it.items() if len(found_points)}
        found.append(Source(run, volume, segmentation, name, cast("Any", shape), size, every, filled))
    return found


def _one_each(root: CopickRootOverlay, address: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entity in root.select(address, kind):
        run = cast("Any", entity).run.name if kind == "segmentation" else cast("Any", entity).voxel_spacing.run.name
        if run in found:
            reason = f"run {run!r} has several of them; name one: {found[run].key} or {entity.key}"
            raise InvalidDataError(source=f"address {address!r}", reason=reason)
        found[run] = entity
    return found


def _picks(root: CopickRootOverlay, address: str) -> dict[str, list[CopickPicks]]:
    found: dict[str, list[CopickPicks]] = {}
    for entity in root.select(address, "picks"):
        picks = cast("CopickPicks", entity)
        found.setdefault(picks.run.name, []).append(picks)
    return found


def _voxels(picks: CopickPicks, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points in voxels, z, y, x."""
    voxels: NDArray[np.float64] = picks.numpy()[0][:, ::-1] / size
    return voxels


def _slices(origin: tuple[int, ...], shape: tuple[int, ...]) -> dict[str, Any]:
    return {axis: slice(start, start + size) for axis, start, size in zip("zyx", origin, shape, strict=True)}
