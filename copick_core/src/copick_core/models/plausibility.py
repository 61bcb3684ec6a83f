"""Values that can be stored and still are hardly meant: labels of no object, sizes of no tomogram, points outside of all.

They are warned of, once for each entity, and refused where ``strict`` is set, in the call or in the configuration. Without it
only what this process knows already is compared, and no request is made; with it, storage is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError, LevelNotFoundError, by_caller
from copick_core.tree.keys import TomogramKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from copick_core.models.entity import Entity
    from copick_core.models.root import CopickRoot
    from copick_core.models.run import CopickRun
    from copick_core.models.segmentation import CopickSegmentation
    from copick_core.volumes.labels import LabelCheck

#: Sizes (z, y, x) of the tomograms of one run, by key and layer.
Sizes = dict[tuple[TomogramKey, str | None], tuple[int, ...]]


def complain(entity: Entity[Any], root: CopickRoot, strict: bool, what: str, reason: str, index: int | None = None) -> None:
    """Refuse what an entity is given, or warn of it unless that has been done.

    Raises:
        InvalidDataError: If ``strict``.
    """
    if strict:
        raise InvalidDataError(source=entity.key, reason=f"{reason} (refused because strict is set)", index=index)
    if (entity.key, what) not in root._complained:
        root._complained.add((entity.key, what))
        refuse = by_caller("strict=True refuses such", "copick-core config set strict true refuses such")
        warn_caller(f"{entity.key}: {reason}. Check the data; {refuse}.")


def is_strict(root: CopickRoot, strict: bool | None) -> bool:
    """Whether implausible values are refused: as the call says, or else the configuration."""
    return root.config.strict if strict is None else strict


# ---------------------------------------------------------------------------------------------------- sizes of tomograms


def sizes_in(run: CopickRun, *, ask: bool, voxel_size: float | None = None) -> Iterator[tuple[TomogramKey, tuple[int, ...]]]:
    """Sizes of the tomograms of a run.

    Args:
        run: The run.
        ask: Ask storage for those that are not known; else they are left out.
        voxel_size: Only those of this voxel size.
    """
    if ask:
        for spacing in run.voxel_spacings:
            if voxel_size in (None, spacing.key.voxel_size):
                for tomogram in spacing.tomograms:
                    try:
                        yield tomogram.key, tomogram.shape
                    except (LevelNotFoundError, InvalidDataError):  # not written yet, or damaged: others tell of that
                        continue
        return
    for (key, _), shape in [*run.root._sizes.get(run.name, {}).items()]:
        if voxel_size in (None, key.voxel_size):
            yield key, shape


# ------------------------------------------------------------------------------------------------------------- the checks


def wrong_size(shape: Sequence[int], sizes: Iterable[tuple[TomogramKey, Sequence[int]]]) -> str | None:
    """What is wrong with the size (z, y, x) of a segmentation; None if a tomogram has it, or if there are none."""
    known = {tuple(size): key for key, size in sizes}
    if not known or tuple(shape) in known:
        return None
    others = ", ".join(f"{size} of {key}" for size, key in [*known.items()][:3])
    return f"its size (z, y, x) is {tuple(shape)}, which no tomogram of this voxel size has: there is {others}"


def check_size(segmentation: CopickSegmentation, shape: Sequence[int], strict: bool) -> None:
    """Complain of a segmentation of another size than the tomograms of its run at its voxel size.

    Raises:
        InvalidDataError: If ``strict``.
    """
    run = segmentation.run
    if reason := wrong_size(shape[-3:], sizes_in(run, ask=strict, voxel_size=segmentation.key.voxel_size)):
        complain(segmentation, run.root, strict, "size", reason)


def label_check(segmentation: CopickSegmentation) -> LabelCheck | None:
    """What notices labels that no object has; None where any number may stand, or the project lists no objects."""
    from copick_core.volumes.labels import LabelCheck

    if segmentation.is_instance or segmentation.is_panoptic:  # ids; panoptic labels are refused anyway
        return None
    labels = [obj.label for obj in segmentation.run.root.config.pickable_objects if obj.label is not None]
    if not labels:
        return None
    if segmentation.segmentation_type == "binary":
        return LabelCheck([1, *labels])
    return LabelCheck(labels, {label for label in labels if labels.count(label) > 1})


def wrong_label(check: LabelCheck | None) -> str | None:
    """What is wrong with the labels that were looked at; None if nothing is."""
    if check is None or check.found is None:
        return None
    return f"it has voxels of value {check.found}, which is the label of no object of the project"


def check_labels(segmentation: CopickSegmentation, check: LabelCheck | None, strict: bool) -> None:
    """Complain of labels that no object has, and warn of those that several objects share.

    Raises:
        InvalidDataError: If ``strict``, of labels that no object has.
    """
    root = segmentation.run.root
    if check is not None and check.found_shared is not None:
        warn_of_shared(segmentation, root, check.found_shared)
    if reason := wrong_label(check):
        complain(segmentation, root, strict, "labels", reason)


def warn_of_shared(segmentation: CopickSegmentation, root: CopickRoot, label: int) -> None:
    """Warn, once for each segmentation, of a label that several objects have, where it should tell them apart."""
    sharing = [obj.name for obj in root.config.pickable_objects if obj.label == label]
    if len(sharing) < 2 or (segmentation.key, "shared label") in root._complained:
        return
    root._complained.add((segmentation.key, "shared label"))
    warn_caller(
        f"Objects {', '.join(map(repr, sharing))} have the same label {label}, so that {segmentation.key} cannot tell them "
        "apart. Give each a label of its own in the configuration."
    )


def outside(positions: NDArray[Any], sizes: Iterable[tuple[TomogramKey, Sequence[int]]]) -> tuple[int, str] | None:
    """The first point that lies outside of every tomogram, and what to say of it; None if there are no tomograms.

    Args:
        positions: Points (n, 3), columns x, y, z in angstrom.
        sizes: Tomograms with their sizes. A voxel's width around them is allowed, as conventions differ by half of one.
    """
    import numpy as np

    boxes = [(np.array(shape[:-4:-1], float) * key.voxel_size, key.voxel_size) for key, shape in sizes]
    if not boxes or not len(positions):
        return None
    inside = np.zeros(len(positions), bool)
    for extent, size in boxes:
        inside |= ((positions >= -size) & (positions <= extent)).all(axis=1)
    if inside.all():
        return None
    first = int(np.argmin(inside))
    x, y, z = (float(v) for v in positions[first])
    high = np.max([extent for extent, _ in boxes], axis=0)
    return first, (
        f"{np.count_nonzero(~inside)} of {len(positions)} points lie outside of every tomogram of the run, the first at "
        f"x={x:g}, y={y:g}, z={z:g} (index {first}); the largest tomogram ends at "
        f"x={high[0]:g}, y={high[1]:g}, z={high[2]:g} angstrom"
    )


def check_points(entity: Entity[Any], run: CopickRun, parts: Sequence[NDArray[Any]], strict: bool) -> None:
    """Complain of points, in some arrays (n, 3), that lie outside of every tomogram of a run.

    Raises:
        InvalidDataError: If ``strict``.
    """
    import numpy as np

    sizes = [*sizes_in(run, ask=strict)]
    if sizes and parts and (found := outside(np.concatenate(parts), sizes)):
        complain(entity, run.root, strict, "points", found[1], found[0])
