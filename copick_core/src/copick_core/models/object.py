"""Objects that can be annotated, with their density maps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Unpack

from copick_core.models.volume import ALL, NOTHING_OPEN, Volume
from copick_core.tree.keys import ObjectKey

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from copick_core.models.root import CopickRoot
    from copick_core.models.volume import Index
    from copick_core.tree.filament_spec import FilamentSpec
    from copick_core.tree.schema import PickableObject
    from copick_core.volumes.importing import ImportOptions
    from copick_core.volumes.ome import FormatOptions


class CopickObject(Volume[ObjectKey]):
    """An object of the project's configuration, with its density map if it has one.

    Args:
        root: The project.
        meta: Its entry in the configuration.

    Attributes:
        root: The project.
        config: The project's configuration.
    """

    __slots__ = ("config", "root")

    def __init__(self, root: CopickRoot, meta: PickableObject) -> None:
        self.root = root
        self.config = root.config
        self._key = ObjectKey(meta.name)
        self._meta = meta
        self._arrays = NOTHING_OPEN
        self._unsaved = False

    @property
    def meta(self) -> PickableObject:
        """Entry of the object in the configuration."""
        return self._meta  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        """Name."""
        return self.meta.name

    @property
    def is_particle(self) -> bool:
        """Whether points represent it (True) or segmentation masks (False)."""
        return self.meta.is_particle

    @property
    def label(self) -> int | None:
        """Value in multilabel segmentations."""
        return self.meta.label

    @property
    def color(self) -> tuple[int, int, int, int]:
        """RGBA color."""
        return self.meta.color

    @property
    def emdb_id(self) -> str | None:
        """EMDB id."""
        return self.meta.emdb_id

    @property
    def pdb_id(self) -> str | None:
        """PDB id."""
        return self.meta.pdb_id

    @property
    def identifier(self) -> str | None:
        """Gene Ontology id, UniProtKB accession or the like."""
        return self.meta.identifier

    @property
    def map_threshold(self) -> float | None:
        """Density threshold for isosurfaces of the map."""
        return self.meta.map_threshold

    @property
    def radius(self) -> float | None:
        """Radius in angstrom."""
        return self.meta.radius

    @property
    def metadata(self) -> dict[str, Any]:
        """Anything else that is known of it."""
        return self.meta.metadata

    @property
    def filament(self) -> FilamentSpec | None:
        """What is declared of it as a filament; None for an object that is none."""
        return self.meta.filament

    @property
    def is_filament(self) -> bool:
        """Whether it is declared a filament."""
        return self.meta.is_filament

    @property
    def voxel_size(self) -> float | None:
        """Voxel size of the density map in angstrom; None where the object has no map, or its metadata no size.

        Raises:
            InvalidDataError: The sizes along z, y and x differ.
        """
        from copick_core.volumes.ome import voxel_size_of

        store = self.zarr()
        return None if store is None else voxel_size_of(store, source=str(self._key))

    def numpy(self, zarr_group: str | int = "0", x: Index = ALL, y: Index = ALL, z: Index = ALL) -> NDArray[Any] | None:
        """Read the density map, or a region of it.

        Args:
            zarr_group: Resolution level.
            x: Index along x: a slice or an int, as NumPy takes them.
            y: Index along y.
            z: Index along z.

        Returns:
            Array (z, y, x); None where the object has no map.
        """
        return None if self.zarr() is None else self._read(zarr_group, (z, y, x))

    def from_numpy(
        self,
        data: ArrayLike,
        voxel_size: float,
        dtype: DTypeLike | None = "float32",
        levels: int = 1,
        **format: Unpack[FormatOptions],
    ) -> None:
        """Replace the density map.

        Args:
            data: Density, (z, y, x).
            voxel_size: Voxel size in angstrom.
            dtype: Type to store; None for that of the data.
            levels: Number of resolution levels.
            **format: ``format``, ``zarr_format``, ``chunks``, ``compressor``, ``shards`` of this volume, as
                :class:`~copick_core.volumes.ome.VolumeFormat` takes them; by default those of the configuration.

        Raises:
            InvalidDataError: The object is not a particle.
            ReadOnlyError: The map lives in a read-only layer.
        """
        self._check_particle()
        self._write_volume(data, voxel_size, format, levels=levels, dtype=dtype)

    def import_volume(
        self,
        source: Any,
        levels: int = 1,
        dtype: DTypeLike | None = "float32",
        **options: Unpack[ImportOptions],
    ) -> None:
        """Replace the density map by a volume that is read piece by piece.

        Args:
            source: As :meth:`CopickTomogram.import_volume` takes it. It must tell its voxel size, or ``voxel_size`` must.
            levels: Number of resolution levels.
            dtype: Type to store; None for that of the source.
            **options: ``voxel_size``, ``transpose``, ``flip``, ``progress`` and the options of :meth:`from_numpy`; see
                :meth:`CopickTomogram.import_volume`.

        Raises:
            InvalidDataError: The object is not a particle, or the source cannot be read or tells no voxel size.
            UnknownFormatError: No installed format reads the file; the message gives the line that installs one.
            ReadOnlyError: The map lives in a read-only layer.
        """
        self._check_particle()
        self._import_volume(source, None, levels, dtype, **options)

    def set_region(
        self,
        data: ArrayLike,
        zarr_group: str | int = "0",
        x: Index = ALL,
        y: Index = ALL,
        z: Index = ALL,
        update_levels: bool = False,
    ) -> None:
        """Write a region of the density map; see :meth:`CopickTomogram.set_region`."""
        self._check_particle()
        self._write_region(zarr_group, (z, y, x), data, update_levels)

    def delete(self) -> None:
        """Remove the object from the configuration in memory, and its density map from storage.

        Annotations of the object stay; ``root.save_config()`` makes the removal permanent.

        Raises:
            ReadOnlyError: Its map lives in a read-only layer.
        """
        if self.layer is not None:  # otherwise only the configuration changes
            self._check_deletable()
        self._delete_data()
        self.root._remove_object(self)

    @property
    def _root(self) -> CopickRoot:
        return self.root

    def _check_particle(self) -> None:
        if not self.is_particle:
            from copick_core.errors import InvalidDataError

            raise InvalidDataError(source=self._key, reason="only particles have a density map")

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        return ("name", self.name), ("is_particle", self.is_particle), ("label", self.label)
