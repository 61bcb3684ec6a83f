"""Layers: the one interface that a backend implements.

A :class:`Layer` is one place where entities live: a folder, a bucket, a data portal, another application's volume. It lists,
reads and (where it is writable) writes entities by key, and knows nothing of the hierarchy, of overlays or of users.

Most storage that speaks of files and folders needs only a subclass of :class:`copick_core.layers.path_layer.PathLayer`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from copick_core.errors import NotFoundError, ReadOnlyError, copy_first
from copick_core.layers.revisions import ANY, AnyRevision, Revision
from copick_core.tree.keys import Key, Kind, ParentKey, RootKey, RunKey

if TYPE_CHECKING:
    from trimesh.parent import Geometry
    from zarr.abc.store import Store

    from copick_core.layers.contents import Content
    from copick_core.layers.problems import Problem
    from copick_core.picks import PicksArrays
    from copick_core.tree.schema import CopickConfig

L = TypeVar("L", bound="Layer")


class Layer(ABC):
    """One place where entities live.

    Contract for all methods: keys in, keys out; a listing yields each entity once, in any order, and never names that
    are being staged; methods may be called from several threads at once. Names are taken as they are: no character of
    them is a pattern, a separator or an escape. Whatever lies in a place and is not an entity is left out of listings; it
    is never an error. A container that holds something exists, whether or not it was made with ensure(). What a layer has
    written or deleted itself shows at once, in its listings too.

    Each of these sentences, and each in the docstrings of the methods, is proved by a check of
    :class:`copick_core.testing.LayerTests`.

    Attributes:
        name: Name of the layer, unique in its stack; used in messages and by ``layer=`` filters.
        read_only: Whether every write is refused. A stack may set it, and the name, after the layer was opened.
        process_bound: Why this layer cannot be reopened in another process, or None where it can.
        keeps_records: Whether the layer keeps records of runs: small files beside the entities (:meth:`read_record`).
    """

    name: str
    read_only: bool
    process_bound: str | None = None
    keeps_records: bool = False
    #: Whether :meth:`volume_version` takes a request to a server. It is then asked after a read only.
    versions_take_requests: bool = False
    #: How many requests this layer has sent to a server since it was opened; None where it sends none, or does not count.
    requests: int | None = None
    #: Fields of :class:`~copick_core.volumes.format.VolumeFormat` that all volumes of this place have, because its storage
    #: takes no others, such as ``{"zarr_format": 3, "key_encoding": "default"}``; empty where any volume can be stored. New
    #: volumes get them whatever the project is configured for, and volumes are copied to and from such places by value. Where
    #: ``zarr_format`` is fixed, stores have an attribute ``zarr_formats``, a tuple of the one that they take.
    volume_format: Mapping[str, Any] = MappingProxyType({})

    # ------------------------------------------------------------------ reading

    @abstractmethod
    def list(self, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        """List the entities of a kind below a parent.

        An unknown parent, or one without such entities, gives nothing; it is never an error.
        """

    @abstractmethod
    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now. Storage is asked each time; nothing is answered from memory."""

    @abstractmethod
    def read(self, key: Key) -> bytes:
        """Read a file (JSON of picks or filaments, GLB of a mesh), whole. A reader gets exactly the bytes that were written.

        Raises:
            NotFoundError: Nothing is stored under the key.
        """

    @abstractmethod
    def zarr(self, key: Key) -> Store:
        """Open the volume of a tomogram, feature map, segmentation or object.

        Returns:
            A store rooted at the entity (``"0/.zarray"`` or ``"0/zarr.json"`` is its first level), read-only if the
            layer is. Opening neither reads nor creates anything; writing to a store that did not exist creates it. The
            store keeps the promises of :class:`zarr.abc.store.Store`.
        """

    def volume_version(self, key: Key) -> Hashable | None:
        """Identity of the volume that is stored under a key now; None where nothing is, or where the layer cannot tell.

        Another one after every replacement and every deletion, by whatever process; the same while regions are written.

        Handles compare it after each read with that of the volume they opened, and read again if it changed: a read answers
        from one volume, not from two. It costs no more than a stat, or one small request where ``versions_take_requests``:
        there the store has an attribute ``seen_version``, the identity of the volume whose root document it read last.

        Returns:
            Anything that can be compared. What users hold open (``array()``, ``view()``, ``dask()``, ``zarr()``) is read
            without comparing it.

        Raises:
            BeingReplacedError: The volume is being replaced by somebody, who did not finish while this call waited.
        """
        return None

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """List the entities of a kind below many parents; remote layers overlap their requests.

        Returns:
            What each parent holds. A layer that can list only some of them may return a
            :class:`~copick_core.layers.layer.PartialListing`, which has the errors of the others.
        """
        return {parent: [*self.list(kind, parent)] for parent in parents}

    def listing_runs(self, runs: Sequence[RunKey]) -> AbstractContextManager[None]:
        """Enclose lists of all that is below many runs, which a layer may ask for together, and answer as of the beginning.

        Args:
            runs: The runs. Lists below them, and :meth:`revisions` of their files, may be as of the beginning of the block, in
                the thread that has entered it.
        """
        return nullcontext()

    def find(self, kind: Kind, fields: Mapping[str, str | float]) -> Sequence[Key] | None:
        """Find the entities of a kind whose keys have some values, below whatever parents, without asking storage.

        Args:
            kind: The kind.
            fields: Values by the name of the key's field, such as ``{"object_name": "ribosome"}``.

        Returns:
            All of them; None, the default, where parents would have to be listed to know.
        """
        return None

    def find_columns(self, kind: Kind, fields: Mapping[str, str | float]) -> Sequence[Sequence[Any]] | None:
        """Find entities as :meth:`find` does, and give them as columns; override where no key need be made for that.

        Returns:
            For each field of the keys (:func:`~copick_core.tree.keys.field_names`) its values, in the order of the keys; None
            where :meth:`find` gives None.
        """
        from copick_core.tree.keys import as_columns

        keys = self.find(kind, fields)
        return None if keys is None else as_columns(kind, sorted(keys))

    def find_content(
        self, kind: Kind, fields: Mapping[str, str | float], content: Content
    ) -> tuple[Sequence[Key], Sequence[Key]] | None:
        """Find the entities of a kind by the values of their keys and by what they contain, without asking storage.

        Args:
            kind: The kind.
            fields: Values by the name of the key's field, as for :meth:`find`.
            content: What they contain.

        Returns:
            Those that contain it, and those that must be read to know; None, the default, where nothing is known.
        """
        return None

    def revision(self, key: Key) -> Revision | None:
        """Token of what is stored under the key of a file now; None where nothing is.

        Two different contents never have one token; a rewrite of equal content may change it.
        """
        import hashlib

        try:
            return hashlib.sha256(self.read(key)).hexdigest()
        except NotFoundError:
            return None

    def revisions(self, keys: Sequence[Key]) -> Mapping[Key, Revision]:
        """Tokens of many files, as :meth:`revision` gives them, as far as stats or lists of folders tell them.

        Others are left out, and so are files that are missing; the default tells none.
        """
        return {}

    def modified(self, key: Key) -> float | None:
        """When a file or volume was last written, in seconds since 1970; None where nothing is, or the layer cannot tell."""
        return None

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Read like :meth:`read`, with the revision of what was read; override where one request gives both."""
        revision = self.revision(key)
        return self.read(key), revision

    def details(self, key: Key) -> Mapping[str, Any]:
        """Give further fields for the entity's ``meta``, for places that know more than the key says."""
        return {}

    def load_picks(self, key: Key) -> tuple[PicksArrays, Revision | None]:
        """Read picks as arrays; override for places that hold points in another format."""
        from copick_core.picks import decode

        data, revision = self.read_revised(key)
        return decode(data, str(key)), revision

    def load_mesh(self, key: Key) -> tuple[Geometry, Revision | None]:
        """Read a mesh; override for places that hold meshes in another format."""
        from copick_core.meshes import decode_mesh

        data, revision = self.read_revised(key)
        return decode_mesh(data, str(key)), revision

    def read_record(self, run: RunKey, name: str) -> tuple[bytes, Revision | None]:
        """Read a record of a run, with its revision.

        A record is a small file about a run that is not an entity, such as the states of its review: no listing shows it. By
        default there is none, and none can be stored. A layer that keeps records overrides both methods and sets
        ``keeps_records``.

        Args:
            run: The run; it need not be stored.
            name: What the record is about: lower-case letters only, such as ``"reviews"``.

        Raises:
            NotFoundError: There is no such record.
        """
        raise self.no_record(run, name)

    def forget(self, parent: ParentKey) -> None:  # noqa: B027 - layers that remember nothing have nothing to forget
        """Drop whatever is remembered about a parent and everything below it; the next call asks storage."""

    def reconnect(self) -> None:  # noqa: B027 - layers without a connection have nothing to renew
        """Drop connections and everything remembered; the next call makes new ones."""

    def location(self, key: Key) -> str | None:
        """Where an entity lies, as text for messages and users; None where that has no meaning."""
        return None

    def listing_version(self, parent: RunKey | RootKey) -> Hashable | None:
        """What differs after an entity was added to a run or deleted from it, by whomever; of the project, a run or an object.

        None, the default, where the layer cannot tell without listing, and where something has changed so recently that
        another change might not show.

        Returns:
            Anything that can be compared. Indexes ask for it before they answer: keep it to a stat for each folder.
        """
        return None

    def place_id(self) -> str | None:
        """Text that names the place of this layer among all places: server, folder, and what else decides what a key means.

        Two layers with one text hold the same entities under the same keys, in whatever process or project; caches that
        outlive the process go by it. It holds no secret. None, the default, where the layer cannot promise that.
        """
        return None

    def know_objects(self, config: CopickConfig) -> None:  # noqa: B027 - only file names need to be told apart
        """Take note of the project's objects, whose names tell how some file names of old projects are to be read."""

    def problems(self) -> Sequence[Problem]:
        """Examine the place: what is wrong in it. Changes nothing, and may take long; one problem never hides another.

        By default there are none.
        """
        return ()

    # ------------------------------------------------------------------ writing

    def write(self, key: Key, data: bytes, *, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Store a file, all or nothing: a reader sees the old bytes or the new ones, never a mixture.

        Folders that are missing are made.

        Args:
            key: Key of picks, filaments or a mesh.
            data: The file's bytes.
            if_revision: Write only if this is the revision that is stored (None: only if nothing is).

        Returns:
            The revision of what is stored now.

        Raises:
            ConflictError: Another revision is stored. Nothing was written.
            ReadOnlyError: The layer is read-only.
        """
        raise self.refusal(key)

    def write_record(
        self, run: RunKey, name: str, data: bytes, *, if_revision: Revision | AnyRevision | None = ANY
    ) -> Revision | None:
        """Store a record of a run, all or nothing.

        The run exists afterwards. Deleting it deletes its records.

        Args:
            run: The run.
            name: What the record is about: lower-case letters only.
            data: The record's bytes.
            if_revision: Write only if this is the revision that is stored (None: only if nothing is).

        Returns:
            The revision of what is stored now.

        Raises:
            ConflictError: Another revision is stored. Nothing was written.
            ReadOnlyError: The layer is read-only, or keeps no records.
        """
        raise ReadOnlyError(subject=f"The {name} of {run}", reason=f"layer {self.name!r} keeps no records of runs.")

    def ensure(self, key: Key) -> None:
        """Make a container (run, voxel spacing) with its marker; one that exists stays as it is.

        Raises:
            ReadOnlyError: The layer is read-only.
        """
        raise self.refusal(key)

    def replace_zarr(self, key: Key) -> AbstractContextManager[Store]:
        """Fill a fresh, empty store that takes the place of the entity's volume.

        The new volume becomes visible when the block ends without an error; otherwise, and if the process dies, the old
        one stays readable. What is being staged is never listed, and an error leaves nothing of it behind.

        Raises:
            ConflictError: Somebody else is filling a volume of this key, in a place that lets one writer at a time do so.
            ReadOnlyError: The layer is read-only.

        Example:
            >>> with layer.replace_zarr(key) as store:  # doctest: +SKIP
            ...     write_volume(store, data, voxel_size=10.0)
        """
        raise self.refusal(key)

    def changing(self, key: Key) -> AbstractContextManager[None]:
        """Enclose the writes of one region to a volume, so that a layer can store them together.

        Whatever is set in stores of :meth:`zarr` within the block is stored when it ends, at the latest; by default each value
        is stored at once.
        """
        return nullcontext()

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it.

        Raises:
            NotFoundError: Nothing is stored under the key.
            ReadOnlyError: The layer is read-only.
        """
        raise self.refusal(key)

    # ------------------------------------------------------------------ for wrappers

    @overload
    def unwrap(self) -> Layer: ...
    @overload
    def unwrap(self, cls: type[L]) -> L | None: ...
    def unwrap(self, cls: type[Layer] | None = None) -> Layer | None:
        """Find the layer of a class behind the wrappers that a configuration asked for.

        A backend that has methods beyond this interface finds its own layer so, where ``isinstance`` would see a wrapper.

        Args:
            cls: The class; without one, the innermost layer is given.

        Returns:
            This layer, or the first one that it is wrapped around, if it is of the class; otherwise None.
        """
        return self if cls is None or isinstance(self, cls) else None

    # ------------------------------------------------------------------ for implementers

    def check_writable(self, key: Key) -> None:
        """Refuse if the layer is read-only: the one place where that is decided. Call it first in every write."""
        if self.read_only:
            raise self.refusal(key)

    def refusal(self, key: Key) -> ReadOnlyError:
        """The error that refuses a write to this layer."""
        return ReadOnlyError(
            subject=key,
            reason=f"layer {self.name!r} is not writable. {copy_first()}",
        )

    def no_record(self, run: RunKey, name: str) -> NotFoundError:
        """The error for a record that there is not."""
        return NotFoundError(key=f"record {name!r} of {run}", layer=self.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}{', read-only' if self.read_only else ''}>"


class PartialListing(dict[ParentKey, Sequence[Key]]):
    """Entities below those of many parents that could be listed.

    Attributes:
        failures: The parents that could not be, each with the error.
    """

    failures: Mapping[ParentKey, Exception]


@dataclass(frozen=True)
class Layers:
    """The opened layers of one project: what a backend's ``open_layers(config)`` returns.

    Attributes:
        static: Read-only layers; earlier ones are listed first.
        overlay: The writable layer, or None for a project that is read-only.
        overlay_field: The config field that a user sets to have an overlay; for messages.
    """

    static: Sequence[Layer] = ()
    overlay: Layer | None = None
    overlay_field: str = "overlay_root"

    @property
    def all(self) -> list[Layer]:
        """Every layer in order: static ones first, the overlay last."""
        return [*self.static, *([self.overlay] if self.overlay else [])]


__all__ = ["ANY", "AnyRevision", "Layer", "Layers", "Revision"]
