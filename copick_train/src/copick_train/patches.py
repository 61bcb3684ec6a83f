"""Patches of tomograms over many runs: random ones or a grid, reproducible, in shards, read ahead."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import InvalidDataError
from copick_train.sources import Source, sources
from copick_train.splits import runs_of
from copick_train.targets import HeatMap, Labels, heat_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_core.overlay import CopickRootOverlay

#: Patches that each worker reads ahead.
_AHEAD = 4


@dataclass(frozen=True)
class Patch:
    """A part of a tomogram.

    Attributes:
        run: Name of its run.
        origin: Its first voxel in the level, (z, y, x).
        volume: Its voxels (z, y, x), as they are stored; zeros beyond the edge of a tomogram that is smaller.
        target: The target (z, y, x), if one was asked for: labels as stored, or a heat map in float32.
        object_name: The object that it was chosen for, if any.
        features: Its features, if they were asked for: (z, y, x) with their other axes in front, as they are stored.
    """

    run: str
    origin: tuple[int, int, int]
    volume: NDArray[Any]
    target: NDArray[Any] | None
    object_name: str | None
    features: NDArray[Any] | None = None


@dataclass(frozen=True)
class _Place:
    source: int
    origin: tuple[int, int, int]
    object_name: str | None = None


class Patches:
    """The patches of a project, by number within an epoch.

    A patch depends on the seed, the epoch and its number alone: any number of ranks and workers sees the same patches. Runs
    without the tomogram are left out, and those without the target or the features that were asked for.

    Args:
        root: The project.
        tomogram: The tomogram of each run, such as ``"*/wbp@10.0"``.
        shape: Shape of the patches, (z, y, x) in voxels of the level.
        level: Level of the tomogram, and of the segmentation that is the target; 0 is the finest.
        target: What is to be predicted.
        features: The features of each run that patches have too, such as ``"*/wbp@10.0:sobel"``, of the tomogram's shape.
        split: Only runs of this split.
        count: Random patches in an epoch; None for all patches of a grid.
        stride: Distance of the grid's patches, (z, y, x) in voxels; by default the shape. The last ones are moved so that
            they end with the volume.
        around: What random patches are chosen around: picks, such as ``"*/*:alice"``, or the voxels of segmentations, such as
            ``Labels("*/cells:alice/1@10.0")``. Each object is chosen as often as any other, and so is each of its points or
            voxels. To count voxels, segmentations are read once when the patches are made.
        background: The share of random patches that are chosen anywhere instead, each voxel of each run as likely.
        seed: Of all random choices.

    Attributes:
        current_epoch: The epoch that ``[i]`` gives patches of.

    Raises:
        AddressError: A text is not an address, or cannot mean what is wanted.
        InvalidDataError: No run has what is wanted, a run has several of it, or there is no such split.
    """

    def __init__(
        self,
        root: CopickRootOverlay,
        tomogram: str,
        shape: tuple[int, int, int],
        *,
        level: int = 0,
        target: Labels | HeatMap | None = None,
        features: str | None = None,
        split: str | None = None,
        count: int | None = None,
        stride: tuple[int, int, int] | None = None,
        around: str | Labels | None = None,
        background: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.shape = shape
        self.target = target
        self.seed = seed
        self.background = background
        self.current_epoch = 0
        self._count = count
        runs = None if split is None else runs_of(root, split)
        self._sources: list[Source] = sources(root, tomogram, level, target, features, around, runs)
        if not self._sources:
            raise InvalidDataError(source=f"address {tomogram!r}", reason="no run has what is wanted of it")
        self._objects = sorted({name for source in self._sources for name in source.centres})
        if around is not None and not self._objects and count is not None:
            text = around.address if isinstance(around, Labels) else around
            wanted = "labelled voxels" if isinstance(around, Labels) else "picks with points"
            raise InvalidDataError(source=f"address {text!r}", reason=f"no run has {wanted} there")
        self._totals = {
            name: np.cumsum([len(source.centres.get(name, ())) for source in self._sources]) for name in self._objects
        }
        self._voxels = np.cumsum([float(np.prod(source.shape)) for source in self._sources])
        self._grid = [] if count is not None else self._all_places(stride or shape)

    def __len__(self) -> int:
        """The number of patches in an epoch."""
        return len(self._grid) if self._count is None else self._count

    @property
    def has_labels(self) -> bool:
        """Whether targets are labels, not heat maps."""
        return isinstance(self.target, Labels)

    def __getitem__(self, number: int) -> Patch:
        """One patch of the current epoch.

        Raises:
            IndexError: There is none of this number.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"patch {number} of {len(self)}")
        return self._read(self._place(self.current_epoch, number))

    def epoch(self, epoch: int = 0, *, rank: int = 0, ranks: int = 1, workers: int = 1) -> Iterator[Patch]:
        """The patches of an epoch in order, read ahead by threads.

        Args:
            epoch: Its number.
            rank: Which of several processes this is: it gets each patch whose number leaves this remainder.
            ranks: How many there are.
            workers: Threads that read.
        """
        numbers = iter(range(rank, len(self), ranks))
        with ThreadPoolExecutor(workers) as pool:

            def begin(number: int) -> Future[Patch]:
                return pool.submit(lambda: self._read(self._place(epoch, number)))

            waiting = deque(begin(number) for number in itertools.islice(numbers, workers * _AHEAD))
            try:
                while waiting:
                    patch = waiting.popleft().result()
                    waiting.extend(begin(number) for number in itertools.islice(numbers, 1))
                    yield patch
            finally:
                for future in waiting:
                    future.cancel()

    # ------------------------------------------------------------------ where

    def _all_places(self, stride: Sequence[int]) -> list[_Place]:
        found = []
        for number, source in enumerate(self._sources):
            starts = [_starts(size, part, step) for size, part, step in zip(source.shape, self.shape, stride, strict=True)]
            found += [_Place(number, (z, y, x)) for z, y, x in itertools.product(*starts)]
        return found

    def _place(self, epoch: int, number: int) -> _Place:
        if self._count is None:
            return self._grid[number]
        rng = np.random.default_rng((self.seed, epoch, number))
        if self._objects and rng.random() >= self.background:
            return self._around_a_point(rng)
        chosen = int(np.searchsorted(self._voxels, rng.random() * self._voxels[-1], side="right"))
        free = np.maximum(np.subtract(self._sources[chosen].shape, self.shape), 0)
        return _Place(chosen, _three(rng.integers(0, free + 1)))

    def _around_a_point(self, rng: np.random.Generator) -> _Place:
        name = self._objects[int(rng.integers(len(self._objects)))]
        totals = self._totals[name]
        point = int(rng.integers(totals[-1]))
        chosen = int(np.searchsorted(totals, point, side="right"))
        source = self._sources[chosen]
        centre = source.centres[name][point - (totals[chosen - 1] if chosen else 0)]
        quarter = np.asarray(self.shape) // 4
        origin = np.rint(centre).astype(int) - np.asarray(self.shape) // 2 + rng.integers(-quarter, quarter + 1)
        free = np.maximum(np.subtract(source.shape, self.shape), 0)
        return _Place(chosen, _three(np.clip(origin, 0, free)), name)

    # ------------------------------------------------------------------ reading

    def _read(self, place: _Place) -> Patch:
        source = self._sources[place.source]
        target: NDArray[Any] | None = None
        if isinstance(self.target, Labels):
            target = self._padded(source.read_labels(place.origin, self.shape))
        elif isinstance(self.target, HeatMap):
            target = heat_map(source.points, place.origin, self.shape, self.target.sigma / source.voxel_size)
        features = self._padded(source.read_features(place.origin, self.shape)) if source.features is not None else None
        volume = self._padded(source.read(place.origin, self.shape))
        return Patch(source.run, place.origin, volume, target, place.object_name, features)

    def _padded(self, data: NDArray[Any]) -> NDArray[Any]:
        missing = np.subtract(self.shape, data.shape[-3:])
        if not missing.any():
            return data
        return np.pad(data, [*[(0, 0)] * (data.ndim - 3), *((0, int(width)) for width in missing)])


def _starts(size: int, part: int, step: int) -> list[int]:
    last = max(0, size - part)
    return [*range(0, last, step), last]


def _three(values: NDArray[Any]) -> tuple[int, int, int]:
    z, y, x = (int(value) for value in values)
    return z, y, x
