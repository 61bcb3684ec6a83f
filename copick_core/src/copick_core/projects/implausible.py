"""Examining the annotations of a project: labels of no object, sizes of no tomogram, points outside of all tomograms."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from copick_core.errors import CopickError, redacted
from copick_core.layers.problems import Problem
from copick_core.models.filaments import CopickFilaments
from copick_core.models.plausibility import label_check, outside, sizes_in, wrong_label, wrong_size

if TYPE_CHECKING:
    from copick_core.models import CopickPicks, CopickRun, CopickSegmentation
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
    for each in (_of_segmentations, _of_points):
        with suppress(CopickError, OSError):  # it cannot be listed, which is a problem of its layer
            found += each(run)
    return found


def _of_segmentations(run: CopickRun) -> Iterator[tuple[str, Problem]]:
    sizes: dict[float, list[Any]] = {}
    for segmentation in run.segmentations:
        try:
            size = segmentation.key.voxel_size
            if size not in sizes:
                sizes[size] = [*sizes_in(run, ask=True, voxel_size=size)]
            reasons = {
                "size-of-no-tomogram": wrong_size(segmentation.shape[-3:], sizes[size]),
                "label-of-no-object": _wrong_label_in(segmentation),
            }
        except (CopickError, OSError) as error:
            yield _problem(segmentation, "unreadable-volume", str(error), "error")
            continue
        for what, reason in reasons.items():
            if reason is not None:
                yield _problem(segmentation, what, reason)


def _wrong_label_in(segmentation: CopickSegmentation) -> str | None:
    check = label_check(segmentation)
    if check is not None:
        for block in segmentation._blocks(segmentation.levels[-1]):
            check(block)
    return wrong_label(check)


def _of_points(run: CopickRun) -> Iterator[tuple[str, Problem]]:
    import numpy as np

    annotations: list[CopickPicks | CopickFilaments] = [*run.picks, *run.filaments]
    sizes = [*sizes_in(run, ask=True)] if annotations else []
    for entity in annotations if sizes else ():
        try:
            parts = entity.numpy() if isinstance(entity, CopickFilaments) else [entity.numpy()[0]]
            found = outside(np.concatenate([np.empty((0, 3)), *parts]), sizes)
        except (CopickError, OSError) as error:
            yield _problem(entity, "unreadable-points", str(error), "error")
            continue
        if found is not None:
            yield _problem(entity, "points-outside", found[1])


def _problem(
    entity: CopickSegmentation | CopickPicks | CopickFilaments, what: str, reason: str, severity: Any = "warning"
) -> tuple[str, Problem]:
    layer = entity.layer or ""
    return layer, Problem(what, entity.key, f"layer {layer!r}, {entity.key}", severity, redacted(reason))
