"""Examining the annotations of a project: labels of no object, sizes of no tomogram, points outside of all tomograms."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from copick_core.errors import CopickError, redacted
from copick_core.layers.problems import Problem

if TYPE_CHECKING:
    from copick_core.models import CopickRun
    from copick_core.overlay import CopickRootOverlay

#: Runs that are examined at once: most of the time is spent waiting for storage.
_AT_ONCE = 8


def implausible(root: CopickRootOverlay) -> list[tuple[str, Problem]]:
    """Find annotations that are hardly meant as they are, asking storage. Nothing is changed.

    Of a segmentation the coarsest stored level is read, whose labels are some of those of the finest one.

    Returns:
        The name of the layer, and the problem; a person has to decide about each.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copick_doctor") as pool:
        return [found for problems in pool.map(_of_run, root.runs) for found in problems]


def _of_run(run: CopickRun) -> list[tuple[str, Problem]]:
    found: list[tuple[str, Problem]] = []
    with suppress(CopickError, OSError):  # it cannot be listed, which is a problem of its layer
        for entity in run._annotations():
            layer = entity.layer or ""
            place = f"layer {layer!r}, {entity.key}"
            try:
                complaints = [*entity._implausible()]
            except (CopickError, OSError) as error:
                reason = redacted(str(error)) or type(error).__name__
                found.append((layer, Problem("unreadable-annotation", entity.key, place, "error", reason)))
                continue
            found += [(layer, Problem(what, entity.key, place, "warning", redacted(why))) for what, why in complaints]
    return found
