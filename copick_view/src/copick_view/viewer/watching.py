"""What other users store in a run, noticed without reading their picks again and again."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import TYPE_CHECKING

from copick_core.errors import CopickError
from copick_core.tree.keys import Kind, PicksKey, RunKey

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay

#: Seconds between two looks at the overlay, where others store; and at static layers, which hardly ever change.
OVERLAY_EVERY = 2.0
STATIC_EVERY = 60.0

#: Picks by their key and layer.
Place = tuple[PicksKey, str]


class Watch:
    """The picks of a run in all layers, by revision.

    A look lists the picks and asks for their revisions, which is a stat each in folders, and reads nothing.

    Args:
        root: The project.
        run: Name of the run.
    """

    def __init__(self, root: CopickRootOverlay, run: str) -> None:
        self._root = root
        self._run = RunKey(run)
        self._seen: dict[str, dict[PicksKey, Hashable]] = {}
        self._looked: dict[str, float] = {}

    def look(self, *, now: bool = False) -> set[Place]:
        """Picks that are new, other ones than at the last look, or gone; of a layer that is seen for the first time: none.

        Args:
            now: Look at all layers, however long ago that was done.
        """
        changed: set[Place] = set()
        for layer in self._root.layers.all:
            every = OVERLAY_EVERY if layer is self._root.layers.overlay else STATIC_EVERY
            if not now and time.monotonic() - self._looked.get(layer.name, -every) < every:
                continue
            try:
                found = self._revisions(layer)
            except (CopickError, OSError):
                continue  # a place that does not answer now is asked again at the next look
            self._looked[layer.name] = time.monotonic()
            before = self._seen.get(layer.name)
            self._seen[layer.name] = found
            if before is not None:
                keys = {key for key in {*before, *found} if before.get(key) != found.get(key)}
                changed |= {(key, layer.name) for key in keys}
        return changed

    def _revisions(self, layer: Layer) -> dict[PicksKey, Hashable]:
        layer.forget(self._run)
        keys = [key for key in layer.list(Kind.PICKS, self._run) if isinstance(key, PicksKey)]
        asks = layer is self._root.layers.overlay
        # Static layers may be far away, and their files are not changed in place: their list is enough.
        return {key: layer.revision(key) if asks else None for key in keys}
