"""The functions behind a `Format`: what those in ``reads`` and ``writes`` take and return.

Each gets the path of a local file first. Its keyword-only arguments are the options of the format; those that are declared
with ``click.option`` decorators are offered on the command line. A reader raises `InvalidDataError` with the file's name for
whatever it cannot read, allocates no more than a small multiple of the file's size, and never guesses a voxel size, an origin
or an angle.

A writer of volumes or meshes may also declare the keyword-only arguments ``run``, ``object_name``, ``kind`` and, for meshes,
``frame``. It then gets the name of the run (None for maps of objects), that of the object, what an address calls the kind
(such as ``"segmentation"``), and the frames of runs as a `PicksWriter` gets them. A writer may put further files beside its
own, which refers to them; they are moved to their place with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from trimesh.parent import Geometry

    from copick_core.volumes.sources import VolumeSource


class Frame(NamedTuple):
    """The volume that coordinates of a file count in.

    Attributes:
        shape: (z, y, x) in voxels.
        voxel_size: In angstrom.
    """

    shape: tuple[int, int, int]
    voxel_size: float


@dataclass(frozen=True)
class PicksTable:
    """Points of one object in one run.

    Attributes:
        positions: (n, 3) as x, y, z in angstrom.
        transforms: (n, 4, 4) as `CopickPicks` has them; None where the file holds no orientations.
        instance_ids: (n,), None where the file holds none.
        scores: (n,), None where the file holds none.
        run: Name of the run as the file has it (always text: ``"001"`` stays ``"001"``); None if the file names none.
        object_name: Name of the object as the file has it; None if the file names none.
        columns: What else the file keeps of each point, by the name that it has there: arrays of length n. Columns that a
            format does not interpret are text, as they are written in the file.
    """

    positions: NDArray[Any]
    transforms: NDArray[Any] | None = None
    instance_ids: NDArray[Any] | None = None
    scores: NDArray[Any] | None = None
    run: str | None = None
    object_name: str | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class FilamentsTable:
    """Filaments of one object in one run. Everything but the names has an entry for each filament.

    Attributes:
        polylines: Vertices (m, 3) as x, y, z in angstrom, at least two, in order along the filament.
        instance_ids: Ids from 1; None where the file holds none.
        polarity_known: Whether the order of the vertices is the polarity; None where the file does not say.
        scores: None where the file holds none.
        radii: In angstrom; None where the file holds none.
        metadata: What else the file keeps of each filament.
        run: As in `PicksTable`.
        object_name: As in `PicksTable`.
    """

    polylines: Sequence[NDArray[Any]]
    instance_ids: Sequence[int] | None = None
    polarity_known: Sequence[bool] | None = None
    scores: Sequence[float] | None = None
    radii: Sequence[float | None] | None = None
    metadata: Sequence[Mapping[str, Any]] | None = None
    run: str | None = None
    object_name: str | None = None


class ListedTomogram(NamedTuple):
    """A tomogram that a file lists.

    Attributes:
        path: Its file.
        run: Name of the run; None if the list names none.
        voxel_size: In angstrom; None if the list has none.
    """

    path: str
    run: str | None = None
    voxel_size: float | None = None


class TomogramsReader(Protocol):
    """``reads["tomograms"]``."""

    def __call__(self, path: str, /, **options: Any) -> Iterable[ListedTomogram]:
        """Read a list of tomograms, in its order.

        Raises:
            InvalidDataError: It is no such list; with the row where one cannot be read.
        """


class VolumeReader(Protocol):
    """``reads["volume"]``."""

    def __call__(self, path: str, /, **options: Any) -> VolumeSource:
        """Open a volume, reading no more than its header.

        Returns:
            A context manager that reads boxes (z, y, x) when they are asked for; its ``close()`` closes the file. Axes are
            turned to z, y, x as the header says; ``voxel_sizes`` are in angstrom, None where the file tells none.
        """


class VolumeWriter(Protocol):
    """``writes["volume"]``."""

    def __call__(self, path: str, volume: VolumeSource, /, **options: Any) -> None:
        """Write a new file slab by slab (`VolumeSource.each_slab`); whoever calls it moves the file to its place.

        Args:
            path: The new file.
            volume: The volume.
            **options: Options of the format, and what it declares of ``run``, ``object_name`` and ``kind``.

        Raises:
            InvalidDataError: The format cannot hold a value, the data type or the voxel size.
        """


class PicksReader(Protocol):
    """``reads["picks"]``."""

    def __call__(self, path: str, /, *, frame: Callable[[str | None], Frame | None], **options: Any) -> Iterator[PicksTable]:
        """Read a file, which may hold points of many runs and objects: one table for each pair, in the file's order.

        Args:
            path: The file.
            frame: Returns the frame of a run by its name in the file, None if it is not known. Called only if coordinates
                cannot be told without it (voxels, coordinates from a centre).
            **options: Options of the format.

        Raises:
            InvalidDataError: Also for a cell that cannot be read, with row and column.
        """


class PicksWriter(Protocol):
    """``writes["picks"]``."""

    def __call__(
        self, path: str, tables: Iterable[PicksTable], /, *, frame: Callable[[str | None], Frame | None], **options: Any
    ) -> Iterable[str] | None:
        """Write a new file of all tables; a format of which a file holds one run or one object refuses several.

        Returns:
            What the format cannot hold, so that the file lacks it: names of columns, ``"orientations"``, …; None for nothing.
        """


class FilamentsReader(Protocol):
    """``reads["filaments"]``."""

    def __call__(
        self, path: str, /, *, frame: Callable[[str | None], Frame | None], **options: Any
    ) -> Iterator[FilamentsTable]:
        """Read a file as a `PicksReader` does."""


class FilamentsWriter(Protocol):
    """``writes["filaments"]``."""

    def __call__(
        self, path: str, tables: Iterable[FilamentsTable], /, *, frame: Callable[[str | None], Frame | None], **options: Any
    ) -> Iterable[str] | None:
        """Write a new file as a `PicksWriter` does."""


class MeshReader(Protocol):
    """``reads["mesh"]``."""

    def __call__(self, path: str, /, **options: Any) -> Geometry:
        """Read a trimesh mesh or scene, vertices x, y, z in angstrom."""


class MeshWriter(Protocol):
    """``writes["mesh"]``."""

    def __call__(self, path: str, mesh: Geometry, /, **options: Any) -> None:
        """Write a new file.

        Args:
            path: The new file.
            mesh: Vertices x, y, z in angstrom.
            **options: Options of the format, and what it declares of ``run``, ``object_name``, ``kind`` and ``frame``.
        """
