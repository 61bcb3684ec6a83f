"""Pictures of the runs of a project: a tomogram's central slice with what was found in it, and one page of all runs."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import NotFoundError
from copick_tools.demo.render import Outline, PickMarks, Tint, draw

if TYPE_CHECKING:
    from PIL.Image import Image

    from copick_core.overlay import CopickRootOverlay

#: Longest side, in voxels, of the level that is drawn: finer ones show nothing more in a picture of this size.
_LONGEST = 1024
_COLOR = (120, 190, 255, 255)


def picture(root: CopickRootOverlay, what: Any, users: Sequence[str] = ()) -> Image:
    """Draw a tomogram's central slice with what its run has: picks, segmentations as tints, meshes as outlines.

    Of several segmentations, or meshes, of one object that of the overlay is drawn, else that of the last session.

    Args:
        root: The project.
        what: A tomogram, or the name of a run, whose tomogram of the smallest voxels is drawn.
        users: Only what these users made; of all by default.

    Returns:
        An RGB picture.

    Raises:
        NotFoundError: There is no such run, or it has no tomogram.
    """
    tomogram = _finest(root, what) if isinstance(what, str) else what
    run = tomogram.voxel_spacing.run
    level = next((name for name in tomogram.levels if max(tomogram.view(name).shape) <= _LONGEST), tomogram.levels[-1])
    density = tomogram.view(level)  # of which draw() reads a slab
    factor = round(tomogram.view(tomogram.levels[0]).shape[2] / density.shape[2])
    voxel_size = tomogram.voxel_spacing.voxel_size * factor
    # A voxel of a coarser level is the mean of several finer ones, and lies in the middle of them.
    first = (factor - 1) / 2 * tomogram.voxel_spacing.voxel_size
    marks = []
    for definition in root.pickable_objects:
        sets = [p for p in run.get_picks(definition.name) if not users or p.user_id in users]
        arrays = [picks.numpy() for picks in sets]
        if sum(len(positions) for positions, _ in arrays):
            positions, transforms = (np.concatenate(parts) for parts in zip(*arrays, strict=True))
            positions = positions - first
            notes = tuple(f"{len(a[0])} by {p.user_id} ({p.layer})" for p, a in zip(sets, arrays, strict=True))
            radius = definition.radius or 4 * voxel_size
            marks.append(PickMarks(definition.name, definition.color or _COLOR, positions, transforms, radius, notes))
    lines = [f"{tomogram.tomo_type}, {tomogram.voxel_spacing.voxel_size:g} Å"]
    middle = density.shape[0] // 2
    tints = _tints(root, run, users, middle / density.shape[0])
    outlines = _outlines(root, run, users, middle * voxel_size)
    return draw(density, voxel_size, run.name, lines, marks, tints, outlines)


def _tints(root: CopickRootOverlay, run: Any, users: Sequence[str], depth: float) -> list[Tint]:
    """Segmentations of a run, each as the plane at a relative depth."""
    tints = []
    for definition in root.pickable_objects:
        found = [s for s in run.segmentations if s.name == definition.name and not s.is_multilabel]
        chosen, note = _chosen(found, users)
        if chosen is None:  # in one that holds several objects
            chosen, note = _chosen([s for s in run.segmentations if s.is_multilabel], users)
        if chosen is None:
            continue
        level = next((name for name in chosen.levels if max(chosen.view(name).shape) <= _LONGEST), chosen.levels[-1])
        z = int(depth * chosen.view(level).shape[0])
        plane = chosen.numpy(level, z=slice(z, z + 1))
        mask = plane == definition.label if chosen.is_multilabel else plane != 0
        if mask.any() or not chosen.is_multilabel:
            tints.append(Tint(definition.name, definition.color or _COLOR, mask, f"segmentation of {note}"))
    return tints


def _outlines(root: CopickRootOverlay, run: Any, users: Sequence[str], depth: float) -> list[Outline]:
    """Meshes of a run, each as the lines in which it meets the plane at a depth in angstrom."""
    outlines = []
    for definition in root.pickable_objects:
        chosen, note = _chosen([m for m in run.meshes if m.pickable_object_name == definition.name], users)
        if chosen is None:
            continue
        from trimesh.intersections import mesh_plane

        scene = chosen.mesh
        surfaces = scene.geometry.values() if hasattr(scene, "geometry") else [scene]
        lines = [mesh_plane(s, (0, 0, 1), (0, 0, depth)) for s in surfaces]  # type: ignore[no-untyped-call,unused-ignore]
        segments = np.concatenate([np.reshape(part, (-1, 2, 3)) for part in lines] or [np.zeros((0, 2, 3))])
        outlines.append(Outline(definition.name, definition.color or _COLOR, segments, f"mesh of {note}"))
    return outlines


def _chosen(found: Sequence[Any], users: Sequence[str]) -> tuple[Any, str]:
    """Of several that some users made, that of the overlay, else that of the last session; and who made it."""
    wanted = [one for one in found if not users or one.user_id in users]
    if not wanted:
        return None, ""
    chosen = max(wanted, key=lambda one: (not one.read_only, one.session_id))
    others = f", {len(wanted) - 1} more not drawn" if len(wanted) > 1 else ""
    return chosen, f"{chosen.user_id}/{chosen.session_id} ({chosen.layer}){others}"


def contact_sheet(
    root: CopickRootOverlay,
    path: str,
    runs: Sequence[str],
    *,
    tomograms: Sequence[Any] | None = None,
    users: Sequence[str] = (),
) -> int:
    """Write one HTML page, complete in itself, with a picture of each run and its state of review.

    Runs without a tomogram are named.

    Args:
        root: The project.
        path: File to write.
        runs: Names of the runs.
        tomograms: What is drawn instead of the runs.
        users: Only what these users made.

    Returns:
        How many pictures there are.
    """
    figures, drawn = [], 0
    wanted = [what if isinstance(what, str) else what.voxel_spacing.run.name for what in tomograms or runs]
    reviews = root.reviews.of(dict.fromkeys(wanted))
    for what in runs if tomograms is None else tomograms:
        name = what if isinstance(what, str) else what.voxel_spacing.run.name
        try:
            image = picture(root, what, users)
        except NotFoundError:
            figures.append(f"<figure><p>{html.escape(name)}: no tomogram</p></figure>")
            continue
        drawn += 1
        png = io.BytesIO()
        image.save(png, "PNG", optimize=True)
        data = base64.b64encode(png.getvalue()).decode()
        caption = "<br>".join(html.escape(line) for line in (name, *map(str, reviews.get(name, []))))
        alt = html.escape(name)
        figures.append(
            f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
        )
    title = html.escape(root.config.name or "Runs")
    style = "body{background:#13161b;color:#eef0f3;font-family:sans-serif}main{display:flex;flex-wrap:wrap}img{width:32em}"
    head = f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}<h1>{title}</h1><main>{''.join(figures)}</main>\n")
    return drawn


def _finest(root: CopickRootOverlay, name: str) -> Any:
    run = root.get_run(name)
    tomograms = [t for spacing in run.voxel_spacings for t in spacing.tomograms] if run is not None else []
    if not tomograms:
        raise NotFoundError(key=f"a tomogram of run {name!r}", layer=", ".join(layer.name for layer in root.layers.all))
    return min(tomograms, key=lambda tomogram: tomogram.voxel_spacing.voxel_size)
