"""What patches of one run are made of: its tomogram, and its segmentation or picks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from copick_core.errors import InvalidDataError
from copick_train.label_voxels import LabelVoxels, label_voxels
from copick_train.targets import HeatMap, Labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_core.models import CopickFeatures, CopickPicks, CopickSegmentation, CopickTomogram
    from copick_core.overlay import CopickRootOverlay

#: Segmentations whose voxels are counted at once.
_COUNTED_AT_ONCE = 4


@dataclass(frozen=True)
class Source:
    """One run.

    Attributes:
        run: Its name.
        tomogram: Its tomogram.
        segmentation: Its labels, if they are the target.
        features: Its features, if patches have them.
        level: The level that is read, by name.
        shape: Shape of the level, (z, y, x).
        voxel_size: Voxel size of the level in angstrom, z, y, x.
        points: Picks of the heat map, (n, 3), z, y, x in voxels of the level.
        centres: Points or labelled voxels that patches are chosen around, as ``points``, by object.
    """

    run: str
    tomogram: CopickTomogram
    segmentation: CopickSegmentation | None
    features: CopickFeatures | None
    level: str
    shape: tuple[int, int, int]
    voxel_size: NDArray[np.float64]
    points: NDArray[np.float64]
    centres: Mapping[str, NDArray[np.float64] | LabelVoxels]

    def read(self, origin: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
        """Read a part of the tomogram; less than the shape at its end."""
        return self.tomogram.numpy(self.level, **_slices(origin, shape))

    def read_labels(self, origin: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
        """Read a part of the segmentation."""
        if self.segmentation is None:
            raise RuntimeError("labels of a source without a segmentation")
        found: NDArray[Any] = self.segmentation.numpy(self.level, **_slices(origin, shape))
        return found

    def read_features(self, origin: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
        """Read a part of the features: (z, y, x), with their other axes in front."""
        if self.features is None:
            raise RuntimeError("features of a source without any")
        return self.features.numpy(self.level, (..., *_slices(origin, shape).values()))


def sources(
    root: CopickRootOverlay,
    tomogram: str,
    level: int,
    target: Labels | HeatMap | None,
    features: str | None,
    around: str | Labels | None,
    runs: Collection[str] | None,
) -> list[Source]:
    """The runs that have a tomogram, the target and the features, by name."""
    tomograms = _one_each(root, tomogram, "tomogram")
    labels = _one_each(root, target.address, "segmentation") if isinstance(target, Labels) else {}
    points = _picks(root, target.address) if isinstance(target, HeatMap) else {}
    maps = {} if features is None else _one_each(root, features, "features")
    wanted = {*tomograms} if runs is None else {*tomograms} & {*runs}
    if target is not None:
        wanted &= {*labels} | {*points}
    if features is not None:
        wanted &= {*maps}
    counted = _counted(root, around.address, wanted, level) if isinstance(around, Labels) else {}
    centres = _picks(root, around) if isinstance(around, str) else {}
    found = []
    for run in sorted(wanted):
        volume = cast("CopickTomogram", tomograms[run])
        name = volume.levels[level]
        shape = volume.view(name).shape[-3:]
        factor = np.rint(np.divide(volume.view(volume.levels[0]).shape[-3:], shape))
        size = volume.voxel_spacing.voxel_size * factor
        segmentation = cast("CopickSegmentation | None", labels.get(run))
        of_the_same_shape = [
            labels.get(run),
            maps.get(run),
            *(voxels.segmentation for voxels in counted.get(run, {}).values()),
        ]
        for other in filter(None, of_the_same_shape):
            _check_shape(other, name, shape)
        every = np.concatenate([np.empty((0, 3)), *(_voxels(picks, size) for picks in points.get(run, ()))])
        around_it: dict[str, NDArray[np.float64] | LabelVoxels] = {
            object_name: np.concatenate(
                [_voxels(p, size) for p in centres.get(run, ()) if p.pickable_object_name == object_name]
            )
            for object_name in sorted({p.pickable_object_name for p in centres.get(run, ())})
        }
        around_it |= counted.get(run, {})
        filled = {object_name: positions for object_name, positions in around_it.items() if len(positions)}
        found.append(Source(run, volume, segmentation, maps.get(run), name, cast("Any", shape), size, every, filled))
    return found


def _check_shape(volume: Any, level: str, shape: tuple[int, ...]) -> None:
    found = volume.view(level).shape[-3:]
    if found != shape:
        reason = f"its level {level} has the shape {found}, the tomogram's {shape}"
        raise InvalidDataError(source=str(volume.key), reason=reason)


def _counted(root: CopickRootOverlay, address: str, runs: Collection[str], level: int) -> dict[str, dict[str, LabelVoxels]]:
    """Labelled voxels of each run, by object."""
    stored = [cast("CopickSegmentation", entity) for entity in root.select(address, "segmentation")]
    wanted = [segmentation for segmentation in stored if segmentation.run.name in runs]
    found: dict[str, dict[str, LabelVoxels]] = {}
    with ThreadPoolExecutor(_COUNTED_AT_ONCE) as pool:
        counts = pool.map(lambda segmentation: label_voxels(segmentation, segmentation.levels[level]), wanted)
        for segmentation, by_object in zip(wanted, counts, strict=True):
            of_run = found.setdefault(segmentation.run.name, {})
            for name, voxels in by_object.items():
                if name in of_run:
                    reason = f"two segmentations have {name}; name one: {of_run[name].segmentation.key} or {segmentation.key}"
                    raise InvalidDataError(source=f"address {address!r}", reason=reason)
                of_run[name] = voxels
    return found


def _one_each(root: CopickRootOverlay, address: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entity in root.select(address, kind):
        run = entity.key.run
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
