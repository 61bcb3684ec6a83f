"""Segmentations: names of their stores, their types, and dtypes of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.models import PANOPTIC_CHANNELS
from copick_core.tree import layout
from copick_core.tree.keys import Kind, RunKey, SegmentationKey, SegmentationType
from copick_core.volumes.labels import cast_lossless, smallest_unsigned

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "PANOPTIC_CHANNELS",
    "SEGMENTATION_TYPE_FILTERS",
    "checked_label_cast",
    "label_dtype",
    "panoptic_channel_index",
    "parse_segmentation_store_name",
    "segmentation_directory",
    "segmentation_store_name",
    "segmentation_type",
    "segmentation_type_query",
]

#: What commands take as types of segmentations.
SEGMENTATION_TYPE_FILTERS = ("binary", "multilabel", "instance", "panoptic", "all")
_FOLDERS = {
    "binary": "Segmentations",
    "multilabel": "Segmentations",
    "instance": "InstanceSegmentations",
    "panoptic": "PanopticSegmentations",
}
_RUN = RunKey("run")


def segmentation_type(is_multilabel: bool = False, is_instance: bool = False, is_panoptic: bool = False) -> str:
    """The one type that flags say.

    Raises:
        ValueError: Two flags are set.
    """
    flags = {"multilabel": is_multilabel, "instance": is_instance, "panoptic": is_panoptic}
    chosen = [name for name, given in flags.items() if given]
    if len(chosen) > 1:
        raise InvalidDataError(source="segmentation", reason=f"it has one type, not {' and '.join(chosen)}")
    return chosen[0] if chosen else "binary"


def segmentation_directory(is_multilabel: bool = False, is_instance: bool = False, is_panoptic: bool = False) -> str:
    """The folder of a run that segmentations of a type are in."""
    return _FOLDERS[segmentation_type(is_multilabel, is_instance, is_panoptic)]


def segmentation_store_name(
    voxel_size: float,
    user_id: str,
    session_id: str,
    name: str,
    is_multilabel: bool = False,
    is_instance: bool = False,
    is_panoptic: bool = False,
) -> str:
    """The name of a segmentation's folder."""
    kind = segmentation_type(is_multilabel, is_instance, is_panoptic)
    key = SegmentationKey(_RUN.name, voxel_size, name, user_id, session_id, cast("SegmentationType", kind))
    return layout.path(key).rpartition("/")[2]


def parse_segmentation_store_name(store_name: str, directory: str = "Segmentations") -> dict[str, Any] | None:
    """What the name of a segmentation's folder says; None for names of something else.

    Raises:
        ValueError: It is not a folder of segmentations.
    """
    if directory not in _FOLDERS.values():
        raise InvalidDataError(source=directory, reason=f"it is none of {', '.join(dict.fromkeys(_FOLDERS.values()))}")
    key = layout.parse(Kind.SEGMENTATION, _RUN, store_name, f"ExperimentRuns/run/{directory}")
    if not isinstance(key, SegmentationKey):
        return None
    parts = {name: getattr(key, name) for name in ("voxel_size", "user_id", "session_id", "name")}
    return parts | {f"is_{kind}": key.segmentation_type == kind for kind in ("multilabel", "instance", "panoptic")}


def segmentation_type_query(segmentation_type: str | None = None) -> dict[str, bool | None]:
    """The flags that a getter takes for a type: binary and multilabel ones by default."""
    if segmentation_type is None:
        return {"is_multilabel": None, "is_instance": False, "is_panoptic": False}
    if segmentation_type == "all":
        return {"is_multilabel": None, "is_instance": None, "is_panoptic": None}
    if segmentation_type not in _FOLDERS:
        known = ", ".join(SEGMENTATION_TYPE_FILTERS)
        raise InvalidDataError(source=segmentation_type, reason=f"Unknown segmentation type: choose one of {known}")
    return {f"is_{name}": segmentation_type == name for name in ("multilabel", "instance", "panoptic")}


def panoptic_channel_index(channel: str) -> int:
    """The index of ``"label"`` or ``"instance"`` in a panoptic segmentation."""
    return PANOPTIC_CHANNELS.index(channel)


def label_dtype(data: ArrayLike, floor: DTypeLike = np.uint8) -> np.dtype[Any]:
    """The narrowest unsigned dtype that holds all labels.

    Raises:
        ValueError: A label is negative, or is not finite.
    """
    try:
        return smallest_unsigned(data, floor)
    except InvalidDataError as error:
        raise InvalidDataError(source="labels", reason=f"they must be non-negative, whole and finite: {error}") from error


def checked_label_cast(data: ArrayLike, dtype: DTypeLike | None) -> NDArray[Any]:
    """Labels in another dtype; None leaves them as they are.

    Raises:
        ValueError: A label would change.
    """
    if dtype is None:
        return data  # type: ignore[return-value]
    try:
        return cast_lossless(data, dtype)
    except InvalidDataError as error:
        name = np.dtype(dtype)
        what = "are not exactly representable in" if name.kind == "f" else "do not fit"
        raise InvalidDataError(source="labels", reason=f"they {what} {name}: {error}") from error
