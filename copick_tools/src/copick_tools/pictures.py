"""Pictures of the runs of a project: a slice of a tomogram with what was found in it, and one page of all runs."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import InvalidDataError, NotFoundError
from copick_tools.demo.render import BACKGROUND, Outline, PickMarks, Tint, draw
from copick_tools.planes import PlaneName, plane_across, plane_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from copick_core.overlay import CopickRootOverlay

#: Longest side, in voxels, of the level that is drawn: finer ones show nothing more in a picture of this size.
_LONGEST = 1024
#: The same where a plane lies across the axes, for which much of the level is read.
_LONGEST_TURNED = 512
_COLOR = (120, 190, 255, 255)


def picture(
    root: CopickRootOverlay,
    what: Any,
    users: Sequence[str] = (),
    *,
    plane: PlaneName = "z",
    side_by_side: bool = False,
) -> Image:
    """Draw a slice of a tomogram with what its run has: picks, segmentations as tints, meshes as outlines.

    Of several segmentations, or meshes, of one object that of the overlay is drawn, else that of the last session.

    Args:
        root: The project.
        what: A tomogram, or the name of a run, whose tomogram of the smallest voxels is drawn.
        users: Only what these users made; of all by default.
        plane: The middle slice across ``"z"``, ``"y"`` or ``"x"``, or the plane that fits the picks of the run best.
        side_by_side: Draw the same slice once for each user, beside each other.

    Returns:
        An RGB picture.

    Raises:
        InvalidDataError: The picks of the run have no plane.
        NotFoundError: There is no such run, or it has no tomogram.
    """
    tomogram = _finest(root, what) if isinstance(what, str) else what
    longest = _LONGEST_TURNED if plane == "picks" else _LONGEST
    level = next((name for name in tomogram.levels if max(tomogram.view(name).shape) <= longest), tomogram.levels[-1])
    scene = _Scene(root, tomogram, tomogram.view(level), plane, users)
    if not side_by_side:
        return scene.draw(users)
    return _beside([scene.draw([user], user) for user in users or scene.users()] or [scene.draw(users)])


def _beside(pictures: Sequence[Image]) -> Image:
    """Pictures in one row."""
    from PIL import Image

    row = Image.new("RGB", (sum(one.width for one in pictures), max(one.height for one in pictures)), BACKGROUND)
    left = 0
    for one in pictures:
        row.paste(one, (left, 0))
        left += one.width
    return row


class _Scene:
    """A plane through a tomogram, and what its run has there.

    Args:
        root: The project.
        tomogram: The tomogram.
        view: The level that is drawn.
        plane: Which plane.
        users: Whose picks the plane is fitted to; those of all by default.
    """

    def __init__(self, root: CopickRootOverlay, tomogram: Any, view: Any, plane: PlaneName, users: Sequence[str]) -> None:
        self.root = root
        self.tomogram = tomogram
        self.run = tomogram.voxel_spacing.run
        self.view = view
        factor = round(tomogram.view(tomogram.levels[0]).shape[2] / view.shape[2])
        voxel_size = tomogram.voxel_spacing.voxel_size * factor
        # A voxel of a coarser level is the mean of several finer ones, and lies in the middle of them.
        self.first = (factor - 1) / 2 * tomogram.voxel_spacing.voxel_size
        if plane != "picks":
            self.plane = plane_across(plane, view.shape, voxel_size)
            return
        found = [picks.numpy()[0] for picks in self.run.picks if not users or picks.user_id in users]
        points = np.concatenate(found) if found else np.zeros((0, 3))
        self.plane = plane_of(points - self.first, view.shape, voxel_size)

    def users(self) -> list[str]:
        """Everybody who has made something in the run."""
        return sorted({one.user_id for one in (*self.run.picks, *self.run.segmentations, *self.run.meshes)})

    def draw(self, users: Sequence[str], name: str = "") -> Image:
        """Draw what some users made, or all; under the name of one, if it is given."""
        lines = [name] if name else []
        lines += [f"{self.tomogram.tomo_type}, {self.tomogram.voxel_spacing.voxel_size:g} angstrom"]
        marks, tints, outlines = self._marks(users), self._tints(users), self._outlines(users)
        slices, size = self.plane.slices(self.view), self.plane.voxel_size
        return draw(slices, size, self.run.name, lines, marks, tints, outlines, caption=self.plane.caption)

    def _marks(self, users: Sequence[str]) -> list[PickMarks]:
        marks = []
        for definition in self.root.pickable_objects:
            sets = [p for p in self.run.get_picks(definition.name) if not users or p.user_id in users]
            arrays = [picks.numpy() for picks in sets]
            if sum(len(positions) for positions, _ in arrays):
                positions, transforms = (np.concatenate(parts) for parts in zip(*arrays, strict=True))
                placed = self.plane.turned(positions - self.first)
                notes = tuple(f"{len(a[0])} by {p.user_id} ({p.layer})" for p, a in zip(sets, arrays, strict=True))
                radius = definition.radius or 4 * self.plane.voxel_size
                turned = self.plane.turned_transforms(transforms)
                marks.append(PickMarks(definition.name, definition.color or _COLOR, placed, turned, radius, notes))
        return marks

    def _tints(self, users: Sequence[str]) -> list[Tint]:
        tints = []
        for definition in self.root.pickable_objects:
            found = [s for s in self.run.segmentations if s.name == definition.name and not s.is_multilabel]
            chosen, note = _chosen(found, users)
            if chosen is None:  # in one that holds several objects
                chosen, note = _chosen([s for s in self.run.segmentations if s.is_multilabel], users)
            if chosen is None:
                continue
            level = next((name for name in chosen.levels if max(chosen.view(name).shape) <= _LONGEST), chosen.levels[-1])
            values = self.plane.mask(chosen.view(level), self.view.shape)
            mask = values == definition.label if chosen.is_multilabel else values != 0
            if mask.any() or not chosen.is_multilabel:
                tints.append(Tint(definition.name, definition.color or _COLOR, mask, f"segmentation of {note}"))
        return tints

    def _outlines(self, users: Sequence[str]) -> list[Outline]:
        """Meshes, each as the lines in which it meets the plane."""
        outlines = []
        for definition in self.root.pickable_objects:
            chosen, note = _chosen([m for m in self.run.meshes if m.pickable_object_name == definition.name], users)
            if chosen is None:
                continue
            from trimesh.intersections import mesh_plane

            scene = chosen.mesh
            surfaces = scene.geometry.values() if hasattr(scene, "geometry") else [scene]
            normal, point = self.plane.axes[2], self.plane.point + self.first
            lines = [mesh_plane(s, normal, point) for s in surfaces]  # type: ignore[no-untyped-call,unused-ignore]
            segments = np.concatenate([np.reshape(part, (-1, 2, 3)) for part in lines] or [np.zeros((0, 2, 3))])
            placed = self.plane.turned(segments - self.first)
            outlines.append(Outline(definition.name, definition.color or _COLOR, placed, f"mesh of {note}"))
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
    plane: PlaneName = "z",
    side_by_side: bool = False,
) -> int:
    """Write one HTML page, complete in itself, with a picture of each run and its state of review.

    Runs that cannot be drawn, because they have no tomogram or their picks no plane, are named with the reason.

    Args:
        root: The project.
        path: File to write.
        runs: Names of the runs.
        tomograms: What is drawn instead of the runs.
        users: Only what these users made.
        plane: Which slices are drawn; see :func:`picture`.
        side_by_side: Draw each slice once for each user.

    Returns:
        How many pictures there are.
    """
    figures, drawn = [], 0
    wanted = [what if isinstance(what, str) else what.voxel_spacing.run.name for what in tomograms or runs]
    reviews = root.reviews.of(dict.fromkeys(wanted))
    for what in runs if tomograms is None else tomograms:
        name = what if isinstance(what, str) else what.voxel_spacing.run.name
        try:
            image = picture(root, what, users, plane=plane, side_by_side=side_by_side)
        except InvalidDataError as error:
            figures.append(f"<figure><p>{html.escape(name)}: {html.escape(error.reason)}</p></figure>")
            continue
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
    style = "body{background:#13161b;color:#eef0f3;font-family:sans-serif}main{display:flex;flex-wrap:wrap}img{height:23em}"
    head = f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}<h1>{title}</h1><main>{''.join(figures)}</main>\n")
    return drawn


def _finest(root: CopickRootOverlay, name: str) -> Any:
    run = root.get_run(name)
    tomograms = [t for spacing in run.voxel_spacings for t in spacing.tomograms] if run is not None else []
    if not tomograms:
        what = f"run {name!r}" if run is None else f"a tomogram of run {name!r}"
        raise NotFoundError(key=what, layer=", ".join(layer.name for layer in root.layers.all), way_out="Choose another run.")
    return min(tomograms, key=lambda tomogram: tomogram.voxel_spacing.voxel_size)
