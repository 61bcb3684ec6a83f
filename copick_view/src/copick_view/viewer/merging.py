"""Changes of the viewer's state that page and server make at the same moment, brought together.

Neuroglancer's page sends its whole state with the generation that it last knew of, and drops what it has changed if that is
not the newest one; answers and events that overtake each other even leave it with an old generation for good. So an older one
is not an error here: what the page changed since then is done to the state as it is now.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

#: States that are remembered by their generation.
_REMEMBERED = 100


class Generations:
    """The last states by generation, as what a page has changed since is told from them."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, Json] = OrderedDict()

    def remember(self, generation: str, state: Json) -> None:
        """Keep a state."""
        self._states[generation] = state
        while len(self._states) > _REMEMBERED:
            self._states.popitem(last=False)

    def get(self, generation: str | None) -> Json | None:
        """The state of a generation; None if it was forgotten."""
        return None if generation is None else self._states.get(generation)


def merged(base: Json, theirs: Json, now: Json) -> Json:
    """Do to a state what somebody did to an older one.

    Args:
        base: The older state.
        theirs: What they made of it.
        now: The state as it is now.

    Returns:
        A new state. Layers are matched by name, annotations by id; where both changed one value, theirs counts.
    """
    result = _merged_values(base, theirs, now)
    if "layers" in now:
        result["layers"] = _merged_items(base, theirs, now, "layers", "name", _merged_layer)
    return result


def _merged_layer(base: Json, theirs: Json, now: Json) -> Json:
    result = _merged_values(base, theirs, now)
    if "annotations" in result or "annotations" in theirs:
        result["annotations"] = _merged_items(base, theirs, now, "annotations", "id", _merged_values)
    return result


def _merged_values(base: Json, theirs: Json, now: Json) -> Json:
    result = copy.deepcopy(now)
    for key in {*base, *theirs}:
        if key in theirs and theirs[key] != base.get(key):
            result[key] = copy.deepcopy(theirs[key])
        elif key in base and key not in theirs:
            result.pop(key, None)
    return result


def _merged_items(
    base: Json, theirs: Json, now: Json, key: str, name: str, merge: Callable[[Json, Json, Json], Json]
) -> list[Json]:
    old = {item.get(name): item for item in base.get(key, [])}
    new = {item.get(name): item for item in theirs.get(key, [])}
    have = {item.get(name): item for item in now.get(key, [])}
    kept = [
        merge(old[n], new[n], item) if n in old and n in new else item for n, item in have.items() if n in new or n not in old
    ]
    added = [item for n, item in new.items() if n not in old and n not in have]
    return [*kept, *added]
