"""The lists of points that are shown of a run: the own sets, which are edited, and the picks of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from copick_core.errors import CopickError
from copick_view.viewer import scene as scenes
from copick_view.viewer.layers import Json, points_layer, shapes_layer
from copick_view.viewer.points import Points, as_annotations, centre, stored_points
from copick_view.viewer.precomputed import orientations, spheres
from copick_view.viewer.scene import Sources, color_of, layer_name

if TYPE_CHECKING:
    from copick_core.models import CopickPicks
    from copick_core.overlay import CopickRootOverlay
    from copick_view.viewer.editing import RunEditor

#: Most points of a list of somebody else that can be changed with the mouse: all are sent with each change of the state.
_MOST_EDITABLE = 2000
#: What the names of layers that show orientations end with.
AXES = "axes"


@dataclass
class Listed:
    """A list of points that is shown: the own set of an object, or picks of somebody else.

    Attributes:
        name: Name of its layer in the viewer.
        object_name: The object.
        own: Whether it is what is edited.
        picks: What is stored; None for an own set that is not stored.
        points: The points that are shown.
        sent: Its annotations as they were last sent to the viewer or came from it; None where they are only looked at.
        new: Whether somebody else stored it while the page was open.
        covered: Whether picks of the same address in another layer take its place: it is hidden at first.
    """

    name: str
    object_name: str
    own: bool
    picks: CopickPicks | None
    points: Points
    sent: list[Json] | None = None
    new: bool = False
    covered: bool = False


class Lists:
    """The lists of one run.

    Args:
        root: The project.
        editor: What edits the own sets.
        sources: What shapes are served from.

    Attributes:
        chosen: The object that new points are given to; its own set is listed though it is empty.
        problems: Picks that cannot be shown, and why.
    """

    def __init__(self, root: CopickRootOverlay, editor: RunEditor, sources: Sources) -> None:
        self._root = root
        self._editor = editor
        self._sources = sources
        self._lists: dict[str, Listed] = {}
        self.chosen = next(iter(editor.objects), None)
        self.problems: list[str] = []
        self.read()

    def __iter__(self) -> Iterator[Listed]:
        return iter([*self._lists.values()])

    def get(self, name: str) -> Listed | None:
        """The list of a name."""
        return self._lists.get(name)

    def read(self) -> None:
        """Read all picks of the run: the own sets from the editor, those of others from storage."""
        before = self._lists
        self._lists = {}
        self.problems = []
        for name in self._editor.objects:
            self._list_own(name)
        for picks, place in scenes.placed(scenes.run_of(self._root, self._editor.run).picks):
            if self._editor.edits(picks) and not place:
                continue
            name = layer_name(picks, place)
            try:
                points = stored_points(picks.points)
            except CopickError as error:
                self.problems.append(f"{name} is not shown: {error}")
                continue
            listed = Listed(name, picks.pickable_object_name, False, picks, points, covered=bool(place))
            listed.new = listed.name in before and before[listed.name].new
            self._lists[listed.name] = listed

    def _list_own(self, object_name: str) -> None:
        own = self._editor.own[object_name]
        if own.shown or own.stored or object_name == self.chosen:
            name = self.own_name(object_name)
            self._lists[name] = Listed(name, object_name, True, own.picks, own.shown)

    def take_own(self) -> None:
        """Take the points of the own sets from the editor."""
        for listed in self:
            if listed.own:
                listed.points = self._editor.own[listed.object_name].shown
                listed.picks = self._editor.own[listed.object_name].picks

    def own_name(self, object_name: str) -> str:
        """The name of the layer of an own set."""
        return f"{object_name}:{self._editor.user_id or 'nobody'}/{self._editor.session_id}"

    # ------------------------------------------------------------------ how they are drawn

    def layers(self, voxel_size: float) -> list[Json]:
        """Layers of all lists.

        Args:
            voxel_size: Of the tomogram, in angstrom; objects without a radius are drawn in proportion to it.
        """
        return [layer for listed in self for layer in self._layers_of(listed, voxel_size)]

    def _layers_of(self, listed: Listed, voxel_size: float) -> list[Json]:
        """The layers of a list: its points, and where they are oriented, their z axes."""
        color = color_of(self._root, listed.object_name)
        radius = self.radius(listed.object_name)
        points = list(listed.points.values())
        centres = np.array([centre(p) for p in points], np.float64).reshape(-1, 3)
        if listed.own or len(points) <= _MOST_EDITABLE:
            listed.sent = as_annotations(listed.points, radius)
            layers = [points_layer(listed.name, color, listed.sent, editable=listed.own)]
        else:
            listed.sent = None
            url = self._sources.add_files(spheres(centres, radius or 2 * voxel_size).files(), listed.name)
            layers = [shapes_layer(listed.name, color, url, lines=False)]
        if listed.picks is None or listed.picks.trust_orientation:
            transforms = np.array([p.transformation_ for p in points], np.float64).reshape(-1, 4, 4)
            axes = orientations(centres, transforms, 1.6 * (radius or 4 * voxel_size))
            if len(axes.values):
                url = self._sources.add_files(axes.files(), f"{listed.name} {AXES}")
                layers.append(shapes_layer(f"{listed.name} {AXES}", color, url, lines=True))
        return [{**layer, "visible": False} for layer in layers] if listed.covered else layers

    def annotations(self) -> dict[str, list[Json]]:
        """The annotations of all lists that can be changed with the mouse, by name, as they should be in the viewer."""
        for listed in self:
            if listed.sent is not None:
                listed.sent = as_annotations(listed.points, self.radius(listed.object_name))
        return {listed.name: listed.sent for listed in self if listed.sent is not None}

    def radius(self, object_name: str) -> float | None:
        """Radius of an object in angstrom; None where it has none."""
        found = self._root.get_object(object_name)
        return None if found is None else found.radius
