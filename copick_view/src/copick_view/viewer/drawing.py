"""The state of the viewer in the page: which layers it shows, and where it looks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from copick_view.viewer.layers import Json, state
from copick_view.viewer.placement import Level

#: What the user changes of a layer in the viewer, and keeps when it is shown anew.
_OF_THE_USER = ("visible", "archived", "opacity", "shaderControls", "selectedAlpha", "notSelectedAlpha", "tab", "panels")
#: Of the viewer's state, what depends on the tomogram; and what makes a view.
_OF_THE_TOMOGRAM = ("dimensions", "position", "crossSectionScale", "projectionScale")
_OF_THE_VIEW = (
    "position",
    "crossSectionScale",
    "crossSectionOrientation",
    "projectionOrientation",
    "projectionScale",
    "layout",
    "showSlices",
)


class Drawing:
    """The state that a page and this process share.

    Args:
        viewer: A ``neuroglancer`` viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer

    @property
    def layers(self) -> list[Json]:
        """The layers as the page has them."""
        return list(self.viewer.shared_state.raw_state.get("layers", []))

    @property
    def hidden(self) -> set[str]:
        """Names of layers that are hidden."""
        return {layer["name"] for layer in self.layers if layer.get("visible") is False}

    def begin(self, title: str, layers: Sequence[Json], finest: Level, selected: str | None) -> None:
        """Show layers for the first time."""
        shown = state(layers, finest)
        shown["title"] = title
        if selected is not None:
            shown["selectedLayer"] = {"layer": selected, "visible": False}
        self.viewer.shared_state.set_state(shown)

    def put(self, layers: Sequence[Json], selected: str | None, finest: Level | None = None) -> None:
        """Show layers as they are now, with what the user has set of them.

        Args:
            layers: The layers.
            selected: The one that new points are added to.
            finest: Begin in the middle of another tomogram, which is this; None: look where the page looks.
        """

        def change(raw: Json) -> None:
            before = {layer.get("name"): layer for layer in raw.get("layers", [])}
            for layer in layers:
                old = before.get(layer["name"])
                if old is not None:
                    layer.pop("visible", None)  # the viewer leaves out what is as by default
                    layer.update({key: old[key] for key in _OF_THE_USER if key in old})
            raw["layers"] = [*layers]
            if selected is not None:
                raw["selectedLayer"] = {**raw.get("selectedLayer", {}), "layer": selected}
            raw.pop("selection", None)
            if finest is not None:
                fresh = state(layers, finest)
                raw.update({key: fresh[key] for key in _OF_THE_TOMOGRAM})

        self._update(change)

    def put_annotations(self, wanted: Mapping[str, Sequence[Json]]) -> None:
        """Replace the annotations of layers."""

        def change(raw: Json) -> None:
            for layer in raw.get("layers", []):
                if layer.get("name") in wanted:
                    layer["annotations"] = [*wanted[layer["name"]]]

        self._update(change)

    def show(self, names: Iterable[str], visible: bool) -> None:
        """Show or hide layers."""
        chosen = {*names}

        def change(raw: Json) -> None:
            for layer in raw.get("layers", []):
                if layer.get("name") in chosen:
                    layer["visible"] = visible

        self._update(change)

    def selection(self) -> dict[str, str]:
        """Ids of annotations that are selected, by the name of their layer."""
        chosen = self.viewer.shared_state.raw_state.get("selection", {}).get("layers", {})
        return {name: str(found["annotationId"]) for name, found in chosen.items() if found and "annotationId" in found}

    def go(self, position: Sequence[float], layer: str | None, annotation: str) -> None:
        """Look at a place, in voxels, and select an annotation there if its layer is given."""

        def change(raw: Json) -> None:
            raw["position"] = [*position]
            if layer is not None:
                chosen = {"annotationId": annotation, "annotationSource": 0, "annotationSubsource": "default"}
                raw["selection"] = {**raw.get("selection", {}), "layers": {layer: chosen}}

        self._update(change)

    def view(self) -> Json:
        """Where the page looks, and what is hidden."""
        raw = self.viewer.shared_state.raw_state
        return {**{key: raw[key] for key in _OF_THE_VIEW if key in raw}, "hidden": sorted(self.hidden)}

    def restore(self, view: Mapping[str, Any]) -> None:
        """Look where :meth:`view` said, and hide what was hidden."""
        kept = {key: view[key] for key in _OF_THE_VIEW if key in view}
        hidden = {str(name) for name in view.get("hidden", ())}

        def change(raw: Json) -> None:
            raw.update(kept)
            for layer in raw.get("layers", []):
                layer["visible"] = layer.get("name") not in hidden

        self._update(change)

    def _update(self, change: Callable[[Json], None]) -> None:
        """Change the state without losing what the page changes at the same moment."""
        from neuroglancer.trackable_state import ConcurrentModificationError

        while True:
            raw, generation = self.viewer.shared_state.raw_state_and_generation
            self.viewer.generations.remember(generation, raw)
            new = copy.deepcopy(raw)
            change(new)
            try:
                self.viewer.shared_state.set_state(new, existing_generation=generation)
            except ConcurrentModificationError:
                continue
            return
