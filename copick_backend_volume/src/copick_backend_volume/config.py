"""Configuration of a project over a volume."""

from __future__ import annotations

import math
import os
from collections import Counter
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from copick_backend_volume.places import is_label
from copick_core.tree.names import sanitize_name
from copick_core.tree.schema import CopickConfig, PickableObject


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


_Location = Annotated[str, BeforeValidator(_as_text)]
_Channel = Annotated[int, Field(ge=0, le=255)]


class VolumeLabel(BaseModel):
    """What a voxel value of the volume's segmentations means.

    Attributes:
        name: Name of the object.
        color: RGBA, each 0 to 255.
    """

    model_config = ConfigDict(extra="allow")

    name: str
    color: tuple[_Channel, _Channel, _Channel, _Channel] = (230, 200, 120, 255)

    @field_validator("name")
    @classmethod
    def _sane(cls, value: str) -> str:
        clean = sanitize_name(value, suppress_warnings=True)
        if clean != value:
            raise ValueError(f"object name {value!r} has invalid characters; use {clean!r}")
        return value


def has_label(obj: PickableObject) -> bool:
    """Whether a configuration gives an object a label; otherwise it has the default one, which means no value."""
    return "label" in obj.model_fields_set and obj.label is not None


class CopickConfigVolume(CopickConfig):
    """Configuration of a project over a compose volume.

    Attributes:
        volume_root: The volume's folder; a local one.
        overlay_root: Where copick writes: any location of the filesystem backend. Never inside the volume.
        overlay_fs_args: Arguments of its fsspec filesystem.
        overlay: Configuration of an overlay of any other backend, or ``{"config": "its.json"}``, instead of ``overlay_root``.
        tomo_type: Type that the image of a job is listed as.
        voxel_size: Voxel size of jobs that nothing else tells of; by default 1: voxels, not calibrated.
        voxel_size_unit: Unit of the voxel sizes here, as OME-NGFF names it.
        job_voxel_sizes: Voxel sizes by job id.
        labels: Meaning of voxel values: names and colours of their objects. Objects that are listed too must agree.
        write_back: Allow the explicit calls that write into the volume.
        mesh_downsample: Factor by which the app pooled labels before meshing, which nothing records; None if not known.
        hide_incomplete: List images and segmentations only when all their chunks are there.
        include_orphans: List jobs that have folders but stand in no database.
    """

    location_fields: ClassVar[tuple[str, ...]] = ("volume_root", "overlay_root")

    config_type: Literal["compose_volume"] = "compose_volume"
    volume_root: _Location
    overlay_root: _Location | None = None
    overlay_fs_args: dict[str, Any] = Field(default_factory=dict, repr=False)
    overlay: dict[str, Any] | str | None = Field(default=None, repr=False)
    tomo_type: str = "raw"
    voxel_size: float | None = None
    voxel_size_unit: str = "angstrom"
    job_voxel_sizes: dict[str, float] = Field(default_factory=dict)
    labels: dict[int, VolumeLabel] = Field(default_factory=dict)
    write_back: bool = False
    mesh_downsample: int | None = Field(default=None, ge=1)
    hide_incomplete: bool = True
    include_orphans: bool = True

    @field_validator("tomo_type")
    @classmethod
    def _tomo_type_is_sane(cls, value: str) -> str:
        if sanitize_name(value, suppress_warnings=True) != value:
            raise ValueError(f"{value!r} has invalid characters; use {sanitize_name(value, suppress_warnings=True)!r}")
        return value

    @field_validator("voxel_size_unit")
    @classmethod
    def _unit_is_known(cls, value: str) -> str:
        from copick_core.volumes.multiscales import to_angstrom

        to_angstrom(1.0, value)
        return value

    @model_validator(mode="after")
    def _volume_is_consistent(self) -> Self:
        for job, size in [("voxel_size", self.voxel_size), *self.job_voxel_sizes.items()]:
            if size is not None and not (math.isfinite(size) and size > 0):
                raise ValueError(f"voxel size {size} of {job} must be a positive number")
        for value in self.labels:
            if not is_label(value):
                raise ValueError(f"label {value} is not possible: 1 to 2^63 - 1 are")
        names = Counter(label.name for label in self.labels.values())
        shared = [name for name, times in names.items() if times > 1]
        if shared:
            raise ValueError(f"labels: several values are named {shared[0]!r}; an object has one label")
        self._check_objects()
        if self.overlay is not None and self.overlay_root is not None:
            raise ValueError("overlay_root and overlay are two overlays; give one")
        return self

    def _check_objects(self) -> None:
        """Refuse objects that have another name or label than their value: segmentations would be opened as something else."""
        values = {label.name: value for value, label in self.labels.items()}
        for index, obj in enumerate(self.pickable_objects):
            if not has_label(obj):
                continue
            place = f"pickable_objects[{index}]"
            value, named = values.get(obj.name, obj.label), self.labels.get(obj.label or 0)
            if value != obj.label:
                raise ValueError(
                    f"{place}: {obj.name!r} has label {obj.label}, but labels.{value} gives this name to value {value}. "
                    f"Write label {value}, or another name in labels.{value}."
                )
            if named is not None and named.name != obj.name:
                raise ValueError(
                    f"{place}: {obj.name!r} has label {obj.label}, but labels.{obj.label} names this value {named.name!r}. "
                    f"Write one name in both, or give {obj.name!r} another label."
                )
