"""Surfaces of labels, and labels of surfaces and spheres. Voxel i's centre lies at i × voxel size, as everywhere in a project.

Surfaces are made block by block: marching cubes, simplified, and watertight over all blocks.

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

    from copick_core.models import CopickMesh, CopickPicks, CopickSegmentation

#: Triangles, shape (n, 3 vertices, 3): (x, y, z) in voxels, the centre of a voxel being its index; outside is outside.
Triangles = npt.NDArray[np.float32]
#: Reads the box from ``start`` to ``stop``, both (z, y, x), of a volume of labels.
ReadBox = Callable[[Sequence[int], Sequence[int]], npt.NDArray[Any]]

#: Voxels along each side of a block: bounds memory.
BLOCK = 256
#: Decimals of a voxel to which vertices are one: far below what marching cubes and simplification make.
_WELD_DECIMALS = 4
#: Crossings of rays and triangles that are looked for at once.
_CANDIDATES = 1 << 20


def mesh_from_segmentation(
    segmentation: CopickSegmentation,
    label: int | None = None,
    *,
    level: str | int = "0",
    block: int = BLOCK,
    reduction: float = 1,
    max_error: float = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Trimesh:
    """The surface of a segmentation, in angstrom, half way between voxels inside and outside.

    Args:
        segmentation: The segmentation; of a panoptic one, its labels.
        label: The label; None for everything but 0 as one surface.
        level: The resolution level to take. A coarser one is placed as if its voxel j were centred at j × its voxel size.
        block: Voxels along each side of a block, which is what is in memory at a time.
        reduction: Simplify to one triangle in so many; 1 keeps all.
        max_error: How far simplification may move the surface, in voxels.
        progress: Called with (blocks done, all blocks).

    Returns:
        A watertight mesh, outward.

    Raises:
        InvalidDataError: There are no such voxels, or an option is out of its range.
        MissingDependencyError: zmesh is not installed (extra ``mesh``).

    Example:
        >>> mesh = mesh_from_segmentation(segmentation, reduction=10)  # doctest: +SKIP
        >>> run.new_mesh("membrane", "0", "mesher", mesh=mesh)  # doctest: +SKIP
    """
    view = segmentation.view(level)
    shape = view.shape[-3:]

    def read(start: Sequence[int], stop: Sequence[int]) -> npt.NDArray[Any]:
        region: list[Any] = [slice(a, b, 1) for a, b in zip(start, stop, strict=True)]
        labels = view.read([0, *region] if len(view.shape) == 4 else region)
        return np.asarray(labels != 0 if label is None else labels == label, np.uint8)

    parts = [
        found[1]
        for _, found in block_surfaces(read, shape, block=block, reduction=reduction, max_error=max_error, progress=progress)
    ]
    if not parts:
        what = "no voxel but those of label 0" if label is None else f"no voxel of label {label}"
        raise InvalidDataError(source=segmentation.key, reason=f"there is {what}, so there is no surface")
    finest = segmentation.view("0").shape[-3:] if str(level) != "0" else shape
    factor = round(finest[0] / shape[0])
    return welded(np.concatenate(parts), segmentation.voxel_size * factor)


def segmentation_from_mesh(
    mesh: CopickMesh | Any, shape: Sequence[int], voxel_size: float, label: int = 1, dtype: npt.DTypeLike = np.uint8
) -> npt.NDArray[Any]:
    """Label the voxels whose centres lie inside a closed mesh.

    Args:
        mesh: A mesh of a project, or a trimesh mesh or scene; vertices x, y, z in angstrom.
        shape: Shape (z, y, x) of the volume.
        voxel_size: In angstrom.
        label: The label inside.
        dtype: Data type of the volume.

    Returns:
        The labels (z, y, x), 0 outside. Parts of the mesh that reach out of the volume are cut off.

    Raises:
        InvalidDataError: The mesh is not closed, or the label does not fit the data type.
    """
    import trimesh

    geometry: Any = mesh if isinstance(mesh, trimesh.parent.Geometry) else mesh.mesh
    if isinstance(geometry, trimesh.Scene):
        geometry = geometry.to_mesh()
    _check_label(label, dtype)
    # Other programs write each triangle with corners of its own: what lies at one place is one.
    vertices, same = np.unique(np.asarray(geometry.vertices, np.float64), axis=0, return_inverse=True)
    faces = same.reshape(-1)[np.asarray(geometry.faces)].reshape(-1, 3)
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, uses = np.unique(edges[edges[:, 0] != edges[:, 1]], axis=0, return_counts=True)
    if not len(faces) or (uses % 2).any():
        raise InvalidDataError(source="mesh", reason="it is not closed, so it has no inside")
    return np.asarray(_inside(vertices / voxel_size, faces, shape) * np.asarray(label, dtype), dtype)


def segmentation_from_picks(
    picks: CopickPicks | npt.ArrayLike,
    shape: Sequence[int],
    voxel_size: float,
    radius: float,
    label: int | npt.ArrayLike = 1,
    dtype: npt.DTypeLike = np.uint8,
) -> npt.NDArray[Any]:
    """Label the voxels whose centres lie in spheres about points.

    Args:
        picks: Picks of a project (their full positions), or positions (n, 3) as x, y, z in angstrom.
        shape: Shape (z, y, x) of the volume.
        voxel_size: In angstrom.
        radius: Of the spheres, in angstrom.
        label: The label of all, or one for each (n,).
        dtype: Data type of the volume.

    Returns:
        The labels (z, y, x), 0 outside. Where spheres meet, the nearer centre's label counts, the first of equals. Parts of
        spheres that reach out of the volume are cut off.

    Raises:
        InvalidDataError: The radius is not a positive number, or a label does not fit the data type.
    """
    if not 0 < radius < float("inf"):
        raise InvalidDataError(source="radius", reason=f"{radius} is not a positive number")
    positions = picks.full_positions() if hasattr(picks, "full_positions") else np.asarray(picks, np.float64).reshape(-1, 3)
    labels = np.broadcast_to(np.asarray(label), len(positions))
    for value in np.unique(labels).tolist():
        _check_label(value, dtype)
    centres = positions[:, ::-1] / voxel_size
    extent = radius / voxel_size
    volume = np.zeros(tuple(shape), dtype)
    several = len(np.unique(labels)) > 1
    nearest = np.full(volume.shape, np.inf, np.float32) if several else None
    for centre, value in zip(centres, labels.tolist(), strict=True):
        low = [max(0, int(np.ceil(c - extent))) for c in centre]
        high = [min(n, int(np.floor(c + extent)) + 1) for c, n in zip(centre, volume.shape, strict=True)]
        if any(a >= b for a, b in zip(low, high, strict=True)):
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        z, y, x = (np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True))
        squares = (z * z)[:, None, None] + (y * y)[:, None] + x * x
        within = squares <= extent * extent
        if nearest is not None:
            within &= squares.astype(np.float32) < nearest[box]
            nearest[box][within] = squares[within]
        volume[box][within] = value
    return volume


def _inside(vertices: npt.NDArray[np.float64], faces: npt.NDArray[Any], shape: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Which voxels are inside a closed mesh: those with an odd number of triangles below them along z.

    Vertices are in voxels. An edge is crossed by the same arithmetic for both triangles that share it, so a ray through an
    edge or a vertex crosses just one of them.
    """
    nz, ny, nx = shape
    crossings = np.zeros((nz + 1, ny, nx), np.uint8)
    corners = vertices[faces]
    low = np.maximum(np.ceil(corners[..., :2].min(1)).astype(np.int64), 0)
    high = np.minimum(np.floor(corners[..., :2].max(1)).astype(np.int64) + 1, [nx, ny])
    sizes = np.maximum(high - low, 0)
    counts = sizes[:, 0] * sizes[:, 1]
    kept = np.flatnonzero(counts)
    ends = np.cumsum(counts[kept])
    at = 0
    while at < len(kept):
        before = int(ends[at - 1]) if at else 0
        stop = max(at + 1, int(np.searchsorted(ends, before + _CANDIDATES, "right")))
        part = kept[at:stop]
        at = stop
        owner = np.repeat(part, counts[part])
        first = np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        number = np.arange(len(owner)) - first
        x = low[owner, 0] + number % sizes[owner, 0]
        y = low[owner, 1] + number // sizes[owner, 0]
        crossed = np.zeros(len(owner), bool)
        for one, two in ((0, 1), (1, 2), (2, 0)):
            crossed ^= _crosses(corners[owner, one], corners[owner, two], x, y)
        owner, x, y = owner[crossed], x[crossed], y[crossed]
        a, b, c = (corners[owner, i] for i in range(3))
        normal = np.cross(b - a, c - a)
        with np.errstate(divide="ignore", invalid="ignore"):  # of triangles that stand upright, which no ray crosses
            height = a[:, 2] - (normal[:, 0] * (x - a[:, 0]) + normal[:, 1] * (y - a[:, 1])) / normal[:, 2]
        steps = np.clip(np.ceil(np.nan_to_num(height)), 0, nz).astype(np.int64)
        np.bitwise_xor.at(crossings, (steps, y, x), np.uint8(1))
    inside: npt.NDArray[np.bool_] = np.bitwise_xor.accumulate(crossings, axis=0)[:nz].astype(bool)
    return inside


def _crosses(
    one: npt.NDArray[np.float64], two: npt.NDArray[np.float64], x: npt.NDArray[Any], y: npt.NDArray[Any]
) -> npt.NDArray[np.bool_]:
    """Whether the ray from (x, y) along +x crosses the edge between two corners, seen along z."""
    swap = ((one[:, 1] > two[:, 1]) | ((one[:, 1] == two[:, 1]) & (one[:, 0] > two[:, 0])))[:, None]
    lower, upper = np.where(swap, two, one), np.where(swap, one, two)
    spans = (lower[:, 1] <= y) & (y < upper[:, 1])
    rise = np.where(spans, upper[:, 1] - lower[:, 1], 1.0)
    at = lower[:, 0] + (y - lower[:, 1]) / rise * (upper[:, 0] - lower[:, 0])
    crossed: npt.NDArray[np.bool_] = spans & (x < at)
    return crossed


def _check_label(label: int, dtype: npt.DTypeLike) -> None:
    limits = np.iinfo(dtype)
    if not (limits.min <= label <= limits.max and label == int(label)):
        raise InvalidDataError(source="label", reason=f"{label} does not fit {np.dtype(dtype)}")


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
