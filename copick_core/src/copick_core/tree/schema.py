"""Value models: what stands in configs and annotation files.

Pydantic models of everything that is written as JSON, and of the metadata that each entity carries. Coordinates are x, y, z in
angstrom; divided by the voxel size they are array indices, so the centre of the first voxel is the origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from copick_core.errors import redacted
from copick_core.tree.keys import voxel_size_key
from copick_core.tree.names import RESERVED, check_run_name, sanitize_name

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.filament_spec import FilamentSpec

IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))

# Defaults below are no factories: pydantic copies a default, and asks a factory for its signature, which takes a short command
# a twentieth of its time.

#: States of review of projects that name none: the first is that of what nobody has set, the second of what somebody has.
REVIEW_STATES = ("open", "taken", "done", "checked", "rejected")

#: Label of objects that are given none.
DEFAULT_LABEL = 1


def _identity() -> list[list[float]]:
    return [list(row) for row in IDENTITY]


class PickableObject(BaseModel):
    """An object that can be annotated in tomograms.

    Attributes:
        name: Name, as :func:`~copick_core.tree.names.sanitize_name` would leave it.
        is_particle: Whether points represent it (True) or segmentation masks (False).
        label: Value in multilabel segmentations, at least 1 (0 is the background).
        color: RGBA, each 0 to 255.
        emdb_id: EMDB id.
        pdb_id: PDB id.
        identifier: Gene Ontology id, UniProtKB accession or the like; ``go_id`` is its old name.
        map_threshold: Density threshold for isosurfaces of its map.
        radius: Radius in angstrom of the spheres that show particles, or of the tube that shows a filament.
        metadata: Anything else; the key ``"copick"`` is reserved, and ``metadata["copick"]["filament"]`` declares a filament.
    """

    model_config = ConfigDict(extra="allow", defer_build=True)

    name: str
    is_particle: bool
    label: int | None = DEFAULT_LABEL
    color: tuple[int, int, int, int] = (100, 100, 100, 255)
    emdb_id: str | None = None
    pdb_id: str | None = None
    identifier: str | None = Field(default=None, validation_alias=AliasChoices("identifier", "go_id"))
    map_threshold: float | None = None
    radius: float | None = None
    metadata: dict[str, Any] = {}

    @field_validator("name")
    @classmethod
    def _name_is_sane(cls, value: str) -> str:
        clean = sanitize_name(value, suppress_warnings=True)
        if clean != value:
            raise ValueError(f"object name {value!r} has invalid characters; use {clean!r}")
        return value

    @field_validator("label")
    @classmethod
    def _label_is_not_background(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ValueError(f"label {value} is not possible: labels start at 1. Label 0 is reserved for background")
        return value

    @field_validator("color")
    @classmethod
    def _color_is_in_range(cls, value: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        if not all(0 <= part <= 255 for part in value):
            raise ValueError(f"Color values must be in the range [0, 255], not {value}")
        return value

    @field_validator("metadata", mode="before")
    @classmethod
    def _no_metadata_is_empty(cls, value: Any) -> Any:
        return {} if value is None else value

    @model_validator(mode="after")
    def _filament_is_possible(self) -> Self:
        spec = self.filament
        if spec is not None:
            from copick_core.tree.filament_spec import with_declaration

            if not self.is_particle:
                raise ValueError(f"object {self.name!r} is a filament: points represent it, so is_particle must be True")
            self.metadata = with_declaration(self.metadata, spec)
        return self

    @property
    def filament(self) -> FilamentSpec | None:
        """What is declared of the object as a filament; None for an object that is none."""
        if RESERVED not in self.metadata:  # of most objects; making the model takes a hundredth of the time that opening takes
            return None
        from copick_core.tree.filament_spec import declared

        return declared(self.metadata)

    @property
    def is_filament(self) -> bool:
        """Whether the object is declared a filament."""
        return self.filament is not None

    def set_filament(self, filament: FilamentSpec | dict[str, Any] | None) -> None:
        """Declare the object a filament, or with None remove the declaration.

        Raises:
            pydantic.ValidationError: The declaration is not possible; the object stays as it was.
        """
        from copick_core.tree.filament_spec import with_declaration

        metadata = with_declaration(self.metadata, filament)
        self.metadata = type(self).model_validate({**self.model_dump(), "metadata": metadata}).metadata

    @property
    def go_id(self) -> str | None:
        """Old name of :attr:`identifier`."""
        return self.identifier

    @go_id.setter
    def go_id(self, value: str | None) -> None:
        self.identifier = value


def _sanitised_id(value: Any) -> Any:
    if isinstance(value, str):
        clean = sanitize_name(value, suppress_warnings=True)
        if clean != value:
            raise ValueError(f"{value!r} has invalid characters; use {clean!r}")
    return value


_Id = Annotated[str | None, BeforeValidator(_sanitised_id)]


class CopickConfig(BaseModel):
    """Configuration of a project: what every backend's configuration has.

    Keys that no model knows are kept, so that a newer or another program's settings survive a load and a save.

    Attributes:
        config_type: Backend that opens the project.
        name: Name of the project.
        description: Description of the project.
        version: Version of the copick API that wrote it.
        pickable_objects: Objects that can be annotated.
        user_id: User whose annotations are made by default.
        session_id: Session of that user.
        runs: Index of run names; static storage is then not listed for runs.
        voxel_spacings: Index of voxel sizes in angstrom of every static run.
        tomograms: Index of tomogram types of every static run, by voxel size in angstrom.
        format: Layout of volumes that are written: ``"copick-1"`` (OME-Zarr 0.4, as by default), ``"copick-2"`` (as copick 2.0
            writes them), ``"ome-0.5"`` (OME-Zarr 0.5 in bounded shards). The four fields that follow change parts of it.
        zarr_format: Format of volumes that are written: 2 (OME-NGFF 0.4, which every tool reads) or 3 (OME-NGFF 0.5).
        chunks: Chunk shape of volumes that are written, (z, y, x).
        compressor: Compressor of volumes that are written: a name, a numcodecs configuration, or None.
        shards: Shard shape (z, y, x) of volumes that are written with ``zarr_format`` 3, or ``"level"`` for one shard for each
            level; None for no sharding.
        chunk_cache_bytes: Decoded chunks that are kept for reading regions again; 0 for none.
        strict: Refuse what is hardly meant instead of warning of it: labels that no object has, segmentations of a size that
            no tomogram has, points outside of every tomogram.
        wrappers: Layers around the project's layers, such as ``[{"name": "log"}]``; the first is the outermost. Each has the
            ``name`` of a plugin, its options, and where there are several layers the ``layer`` that is meant.
        review_states: States of review, at least two: that of what nobody has set, that of what somebody works on, and any
            others. None for ``["open", "taken", "done", "checked", "rejected"]``.
    """

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True, defer_build=True)

    #: Names of the fields that hold a location; a relative one is resolved against the config file's folder.
    location_fields: ClassVar[tuple[str, ...]] = ()

    config_type: str = ""
    name: str | None = "CoPick"
    description: str | None = "Let's CoPick!"
    version: str | None = "0.2.0"
    pickable_objects: list[PickableObject] = []
    user_id: _Id = None
    session_id: _Id = None
    runs: list[str] | None = None
    voxel_spacings: list[float] | None = None
    tomograms: dict[float, list[str]] | None = {}
    format: Literal["copick-1", "copick-2", "ome-0.5"] | None = None
    zarr_format: Literal[2, 3] = 2
    chunks: tuple[int, int, int] = (128, 128, 128)
    compressor: str | dict[str, Any] | None = "blosc"
    shards: tuple[int, int, int] | Literal["level"] | None = None
    chunk_cache_bytes: int = Field(default=0, ge=0)
    strict: bool = False
    wrappers: list[dict[str, Any]] = Field(default=[], repr=False)
    review_states: list[str] | None = None

    _folder: str | None = PrivateAttr(default=None)
    #: The file that it was loaded from or saved to: its place, and what it held.
    _file: tuple[str, bytes] | None = PrivateAttr(default=None)
    #: The files that led here, by their places: its own, after those that refer to it.
    _referrers: tuple[str, ...] = PrivateAttr(default=())
    #: Files that wrappers keep, by their places, and which wrapper keeps each.
    _wrapper_files: dict[str, str] = PrivateAttr(default_factory=dict)
    #: Locations that were relative, by their path in the JSON: as they were resolved, and as they were written.
    _as_written: dict[tuple[str | int, ...], tuple[str, str]] = PrivateAttr(default_factory=dict)

    @field_validator("runs")
    @classmethod
    def _runs_are_possible(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            check_run_name(name)
        return value

    @field_validator("voxel_spacings", "tomograms")
    @classmethod
    def _sizes_are_possible(cls, value: Any) -> Any:
        for size in value or ():
            voxel_size_key(size)
        return value

    @field_validator("review_states")
    @classmethod
    def _states_differ(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and (len(value) < 2 or len({*value}) < len(value) or not all(value)):
            raise ValueError("review_states needs two or more different names")
        return value

    @model_validator(mode="after")
    def _objects_are_unique(self) -> Self:
        names: set[str] = set()
        labels: dict[int, str] = {}
        for obj in self.pickable_objects:
            if obj.name in names:
                raise ValueError(f"two objects are named {obj.name!r}")
            names.add(obj.name)
            # Objects that were given no label share the default, in every config of copick 1.x and once it is saved.
            if obj.label not in (None, DEFAULT_LABEL):
                if obj.label in labels:
                    raise ValueError(f"objects {labels[obj.label]!r} and {obj.name!r} have the same label {obj.label}")
                labels[obj.label] = obj.name
        return self

    @classmethod
    def from_file(cls, filename: str | os.PathLike[str]) -> Self:
        """Load a configuration of this type from a JSON file.

        Raises:
            ConfigError: The file is not JSON, or not such a configuration.
        """
        from copick_core.opening.configs import load_config

        return load_config(filename, cls)

    def root_class(self) -> type[CopickRootOverlay] | None:
        """Class of the root that this configuration asks for; None for that of its backend."""
        return None

    def file_content(self) -> dict[str, Any]:
        """The content of its file, as JSON values: what was set or read, also keys that no model knows, and no defaults."""
        content = _without_defaults(self, self.model_dump(mode="json"))
        content["pickable_objects"] = [
            _without_defaults(obj, dumped)
            for obj, dumped in zip(self.pickable_objects, content.get("pickable_objects", ()), strict=False)
        ]
        return content

    def check_object(self, obj: PickableObject) -> None:
        """Refuse an object that a nested configuration contradicts: this one could not be opened again."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what is declared and not hidden; keys that no model knows may hold secrets."""
        return shown_fields(self, super().__repr_args__())


def _without_defaults(model: BaseModel, dumped: Mapping[str, Any]) -> dict[str, Any]:
    """A model's content without the fields that were never set and still have their defaults."""
    changed = model.model_dump(mode="json", exclude_defaults=True).keys()
    unset = type(model).model_fields.keys() - model.model_fields_set - changed - {"config_type"}
    return {name: value for name, value in dumped.items() if name not in unset}


def shown_fields(model: BaseModel, fields: Iterable[tuple[str | None, Any]]) -> Iterator[tuple[str | None, Any]]:
    """The fields of a model as it is shown: those it declares, and addresses without their secrets."""
    declared = type(model).model_fields
    for name, value in fields:
        if name in declared:
            yield name, redacted(value) if isinstance(value, str) else value  # any field may hold an address


class CopickLocation(BaseModel):
    """A location in angstrom."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    x: float
    y: float
    z: float


class CopickPoint(BaseModel):
    """A picked point.

    Attributes:
        location: Where it is, in angstrom.
        transformation_: 4 x 4 matrix from object space to tomogram space, last row 0, 0, 0, 1. Its translation is a shift in
            angstrom: the particle's centre is ``location`` plus it.
        instance_id: Id of the instance that it belongs to.
        score: Score.
    """

    model_config = ConfigDict(extra="allow", defer_build=True)

    location: CopickLocation
    transformation_: list[list[float]] = Field(default_factory=_identity)
    instance_id: int | None = 0
    score: float | None = 1.0

    @field_validator("transformation_", mode="before")
    @classmethod
    def _is_affine(cls, value: Any) -> list[list[float]]:
        if value is None:
            return _identity()
        rows = [[float(v) for v in row] for row in value]
        if len(rows) != 4 or any(len(row) != 4 for row in rows):
            raise ValueError("transformation must be a 4 x 4 matrix")
        if any(abs(a - b) > 1e-8 + 1e-5 * abs(b) for a, b in zip(rows[3], IDENTITY[3], strict=True)):
            raise ValueError("last row of a transformation must be 0, 0, 0, 1")
        return rows

    @property
    def transformation(self) -> NDArray[np.float64]:
        """The matrix as an array of shape (4, 4); setting it checks shape and last row."""
        import numpy as np

        return np.array(self.transformation_, dtype=np.float64)

    @transformation.setter
    def transformation(self, value: ArrayLike) -> None:
        self.transformation_ = self._is_affine(value)


class CopickPicksFile(BaseModel):
    """Content of a picks file.

    Attributes:
        pickable_object_name: Object.
        user_id: User or tool.
        session_id: Session; "0" for tools.
        run_name: Run.
        voxel_spacing: Voxel size in angstrom of the tomogram that was picked in.
        unit: Unit of the locations.
        points: The points; None while they have not been read.
        trust_orientation: Whether the points' rotations mean something.
    """

    model_config = ConfigDict(extra="allow", defer_build=True)

    pickable_object_name: str
    user_id: str
    session_id: str
    run_name: str | None = None
    voxel_spacing: float | None = None
    unit: str = "angstrom"
    points: list[CopickPoint] | None = Field(default_factory=list)
    trust_orientation: bool | None = True


class _Meta(BaseModel):
    """Metadata of an entity; layers may add fields (``Layer.details``)."""

    model_config = ConfigDict(extra="allow", defer_build=True)


class CopickRunMeta(_Meta):
    """Metadata of a run."""

    name: str


class CopickVoxelSpacingMeta(_Meta):
    """Metadata of a voxel spacing; ``voxel_size`` in angstrom."""

    voxel_size: float


class CopickTomogramMeta(_Meta):
    """Metadata of a tomogram."""

    tomo_type: str


class CopickFeaturesMeta(_Meta):
    """Metadata of a feature map."""

    tomo_type: str
    feature_type: str


class CopickMeshMeta(_Meta):
    """Metadata of a mesh."""

    pickable_object_name: str
    user_id: str
    session_id: str


class CopickSegmentationMeta(_Meta):
    """Metadata of a segmentation; at most one of the three flags is set."""

    user_id: str
    session_id: str
    name: str
    is_multilabel: bool
    is_instance: bool = False
    is_panoptic: bool = False
    voxel_size: float

    @model_validator(mode="after")
    def _one_type(self) -> Self:
        if self.is_multilabel + self.is_instance + self.is_panoptic > 1:
            raise ValueError("a segmentation is multilabel, instance or panoptic, not several of them")
        return self
