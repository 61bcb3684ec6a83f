"""Surfaces of labels, block by block: marching cubes, simplified, and watertight over all blocks.

A block is read with one voxel more at its end, so that every cell of eight voxels belongs to just one block, and the volume
is taken to be surrounded by zeros. Neighbouring blocks then make the same vertices on their common face, and the simplifier
moves no vertex at the open edge of a block. So the blocks fit together without a gap, however few triangles are left.

Marching cubes and simplifier are those of zmesh (extra ``mesh``). meshoptimizer and fast-simplification are faster, but
let surfaces touch along edges, which four triangles then share, and fast-simplification moves open edges.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError, MissingDependencyError

if TYPE_CHECKING:
    from trimesh import Trimesh

#: Triangles, shape (n, 3 vertices, 3): (x, y, z) in voxels, the centre of a voxel being its index; outside is outside.
Triangles = npt.NDArray[np.float32]
#: Reads the box from ``start`` to ``stop``, both (z, y, x), of a volume of labels.
ReadBox = Callable[[Sequence[int], Sequence[int]], npt.NDArray[Any]]

#: Voxels along each side of a block: bounds memory.
BLOCK = 256
#: Decimals of a voxel to which vertices are one: far below what marching cubes and simplification make.
_WELD_DECIMALS = 4


def block_surfaces(
    read: ReadBox,
    shape: Sequence[int],
    *,
    block: int = BLOCK,
    downsample: int = 1,
    reduction: float = 1,
    max_error: float = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[tuple[int, int, int], dict[int, Triangles]]]:
    """The surfaces of all labels but 0, one block of the volume at a time.

    Args:
        read: Reads a box of labels: integers from 0.
        shape: Shape (z, y, x) of the volume.
        block: Voxels along each side of a block, rounded up to a multiple of ``downsample``.
        downsample: Pool labels by this factor first, the largest label of a cube being its label; surfaces grow by up to
            ``downsample - 1`` voxels.
        reduction: Simplify to one triangle in so many; 1 keeps all.
        max_error: How far simplification may move a surface, in voxels; it stops there, whatever ``reduction`` wants.
        progress: Called with (blocks done, all blocks).

    Yields:
        First voxel (z, y, x) of a block, and its triangles by label; blocks without a surface are left out.

    Raises:
        InvalidDataError: An option is out of its range, or there are labels less than 0.
        MissingDependencyError: zmesh is not installed.
    """
    zmesh = library()
    check_options(block=block, downsample=downsample, reduction=reduction, max_error=max_error)
    side = -(-block // downsample) * downsample
    grid = [range(0, n, side) for n in shape]
    total = len(grid[0]) * len(grid[1]) * len(grid[2])
    mesher = zmesh.Mesher((float(downsample),) * 3)
    simplify = {"reduction_factor": reduction, "max_error": max_error} if reduction > 1 else {}
    for done, start in enumerate(itertools.product(*grid), start=1):
        # Cells from one voxel before the volume to one after it; a block has the cells that begin in it.
        low = [-downsample if s == 0 else s for s in start]
        high = [min(s + side, -(-n // downsample) * downsample) + downsample for s, n in zip(start, shape, strict=True)]
        meshes = _march(mesher, _pooled(_padded(read, shape, low, high), downsample), simplify)
        corner = np.array(low[::-1], np.float32) + (downsample - 1) / 2
        surfaces = {value: np.asarray(triangles + corner, np.float32) for value, triangles in meshes.items()}
        if surfaces:
            yield (start[0], start[1], start[2]), surfaces
        if progress:
            progress(done, total)


def welded(triangles: Triangles, scale: float = 1.0) -> Trimesh:
    """A mesh of triangles, of which equal corners become one vertex.

    Args:
        triangles: Triangles of all blocks of one label.
        scale: Factor for the vertices, such as the voxel size.
    """
    import trimesh

    loose = triangles.reshape(-1, 3).astype(np.float64)
    first, same = trimesh.grouping.unique_rows(loose, digits=_WELD_DECIMALS)  # type: ignore[no-untyped-call,unused-ignore]
    vertices, corners = loose[first], same.reshape(-1, 3)
    # What welding has made of slivers.
    whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    return trimesh.Trimesh(vertices * scale, corners[whole], process=False)


def library() -> Any:
    """The package zmesh.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import zmesh  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingDependencyError(feature="Meshing", install='pip install "copick-core[mesh]"') from error
    return zmesh


def check_options(*, block: int, downsample: int, reduction: float, max_error: float) -> None:
    """Check the options of :func:`block_surfaces`.

    Raises:
        InvalidDataError: One is out of its range.
    """
    ranges = {"block": (block, 1), "downsample": (downsample, 1), "reduction": (reduction, 1), "max_error": (max_error, 0)}
    for name, (value, least) in ranges.items():
        if not value >= least:  # so that a NaN is refused too
            raise InvalidDataError(source=name, reason=f"{value} is less than {least}")


def _padded(read: ReadBox, shape: Sequence[int], low: Sequence[int], high: Sequence[int]) -> npt.NDArray[Any]:
    """A box that may reach out of the volume, where there are zeros."""
    inner_low = [max(a, 0) for a in low]
    inner_high = [min(b, n) for b, n in zip(high, shape, strict=True)]
    margins = [(a - c, d - b) for a, b, c, d in zip(inner_low, inner_high, low, high, strict=True)]
    inside = read(inner_low, inner_high)
    return np.pad(inside, margins) if any(map(any, margins)) else inside


def _pooled(box: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    if factor == 1:
        return box
    z, y, x = (n // factor for n in box.shape)
    pooled: npt.NDArray[Any] = box.reshape(z, factor, y, factor, x, factor).max(axis=(1, 3, 5))
    return pooled


def _march(mesher: Any, box: npt.NDArray[Any], simplify: dict[str, float]) -> dict[int, npt.NDArray[Any]]:
    """Triangles (x, y, z) by label, from the first voxel of the box."""
    lowest, highest = int(box.min()), int(box.max())
    if lowest < 0:
        raise InvalidDataError(source="labels", reason=f"there is the label {lowest}; labels are at least 0")
    if highest == 0 or lowest == highest:
        return {}
    # zmesh takes labels of a few types only: number the values from 1.
    if highest < 1 << 16:
        box = box.astype(np.uint16, copy=False)
        present = np.flatnonzero(np.bincount(box.ravel()))
        numbers = np.zeros(highest + 1, np.uint8 if len(present) < 256 else np.uint32)
        numbers[present] = np.arange(len(present))
        labels = numbers[box]
    else:
        present = np.unique(box)
        labels = np.searchsorted(present, box).astype(np.uint32)
    if present[0] != 0:
        labels, present = labels + np.uint32(1), np.array([0, *present])
    mesher.mesh(labels.T, close=False)
    meshes = {}
    for label in mesher.ids():
        mesh = mesher.get(int(label), normals=False, **(simplify or {"reduction_factor": 0, "max_error": 0}))
        if len(mesh.faces):
            meshes[int(present[int(label)])] = mesh.vertices[mesh.faces]
    mesher.clear()
    return meshes
