"""The portal as a read-only layer."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from copick_backend_portal.errors import PortalError, PortalUnreachableError, PortalWarning
from copick_backend_portal.names import PORTAL_USER
from copick_backend_portal.queries import Row
from copick_backend_portal.rows import Objects, PortalAnnotation, PortalTomogram, annotated, spacings, tomograms
from copick_core.callers import warn_caller
from copick_core.errors import NotFoundError, by_caller, redacted
from copick_core.layers import Layer
from copick_core.layers.layer import PartialListing
from copick_core.tree.keys import (
    Key,
    Kind,
    MeshKey,
    ParentKey,
    PicksKey,
    RootKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
)

if TYPE_CHECKING:
    from trimesh.parent import Geometry
    from zarr.abc.store import Store

    from copick_backend_portal.config import CopickConfigCDP
    from copick_backend_portal.connection import Connection
    from copick_backend_portal.disk_cache import DiskCache
    from copick_backend_portal.index import PortalIndex
    from copick_backend_portal.store import PortalFiles
    from copick_core.layers import Revision
    from copick_core.layers.problems import Problem
    from copick_core.picks import PicksArrays

#: What the portal is asked about runs, for people.
_IN_PART = {"volumes": "voxel spacings and tomograms", "annotations": "picks, meshes and segmentations"}
_ANNOTATION_KINDS = {Kind.PICKS: PicksKey, Kind.MESH: MeshKey, Kind.SEGMENTATION: SegmentationKey}


class PortalLayer(Layer):
    """Datasets of the CryoET Data Portal.

    Nothing is asked of the portal before the first listing. Where the project has an overlay and the portal cannot be
    reached, listings give nothing after one warning, so that the overlay can be used offline.

    Args:
        config: The project's configuration.
        name: Name of the layer.

    Attributes:
        offline_ok: Whether listings give nothing, instead of failing, while the portal cannot be reached.
    """

    read_only = True

    def __init__(self, config: CopickConfigCDP, name: str = "portal") -> None:
        self.name = name
        self.read_only = True
        self._config = config
        self.offline_ok = False
        self._lock = threading.RLock()
        self._index: PortalIndex | None = None
        self._connection: Connection | None = None
        self._files: PortalFiles | None = None
        self._ask_again = False
        #: Whether somebody compares with the portal, who wants nothing that was kept on disk.
        self._is_compared = False
        self._forget_entities()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._config, self.name, self.offline_ok)

    def _forget_entities(self) -> None:
        self._objects = Objects(self._config.pickable_objects)
        self._volumes: dict[str, tuple[dict[VoxelSpacingKey, Row], dict[TomogramKey, PortalTomogram]]] = {}
        self._annotations: dict[str, dict[PicksKey | MeshKey | SegmentationKey, PortalAnnotation]] = {}
        self._complaints: set[str] = set()
        self._is_offline = False

    @property
    def dataset_ids(self) -> Sequence[int]:
        """Ids of the datasets."""
        return [*self._config.dataset_ids]

    # ------------------------------------------------------------------ what is made on first need

    @property
    def index(self) -> PortalIndex:
        """What has been asked of the portal."""
        with self._lock:
            if self._index is None:
                from copick_backend_portal.index import PortalIndex

                c = self._config
                cache = self.cache if c.cache_settings()[0] else None
                self._index = PortalIndex(
                    self.connection,
                    c.dataset_ids,
                    c.identifiers(),
                    c.portal_batch_runs,
                    cache,
                    self._ask_again or self._is_compared,
                    c.portal_offline_seconds,
                )
                self._ask_again = False
            return self._index

    @property
    def connection(self) -> Connection:
        """The one connection to the portal."""
        with self._lock:
            if self._connection is None:
                from copick_backend_portal.connection import Connection

                c = self._config
                self._connection = Connection(
                    c.graphql_url, c.portal_timeout_seconds, c.portal_batch_runs, c.portal_connections
                )
            return self._connection

    @property
    def files(self) -> PortalFiles:
        """The portal's files."""
        with self._lock:
            if self._files is None:
                from copick_backend_portal.store import PortalFiles

                self._files = PortalFiles(self._config.s3_endpoint_url, self._config.static_fs_args)
            return self._files

    def _fingerprint(self) -> dict[str, Any]:
        """What decides what the keys of this project mean on the portal."""
        from importlib.metadata import version

        c = self._config
        return {
            "url": redacted(c.graphql_url),  # it is stored, and names folders
            "dataset_ids": sorted(set(c.dataset_ids)),
            "identifiers": c.identifiers(),
            "client": version("cryoet-data-portal"),
        }

    def place_id(self) -> str:
        """The portal, the datasets, and how its objects are named here."""
        import json

        facts = {**self._fingerprint(), "objects": sorted(obj.name for obj in self._config.pickable_objects)}
        return f"CryoET Data Portal {json.dumps(facts, sort_keys=True)}"

    @property
    def cache(self) -> DiskCache:
        """Where answers of the portal are kept on disk."""
        from copick_backend_fs.layer import local_path
        from copick_backend_portal.disk_cache import DiskCache, default_folders

        c = self._config
        _, ttl, pinned, lock_timeout = c.cache_settings()
        overlay = local_path(c.overlay_root) if c.overlay_root else None
        folders: list[Path] = default_folders(pinned, overlay)
        return DiskCache(folders, self._fingerprint(), ttl, lock_timeout)

    # ------------------------------------------------------------------ entities of a run

    def _complain(self, what: str, why: str) -> None:
        """Tell once that something of the portal cannot be used."""
        if what not in self._complaints:
            self._complaints.add(what)
            warn_caller(f"CryoET Data Portal: {what} is left out: {why}.", PortalWarning)

    def _volumes_of(self, run: str) -> tuple[dict[VoxelSpacingKey, Row], dict[TomogramKey, PortalTomogram]]:
        volumes = self._volumes  # another one once somebody forgets, which must not get what was asked before
        found = volumes.get(run)
        if found is None:
            rows = self.index.rows("volumes", run)
            found = volumes[run] = spacings(run, rows, self._complain), tomograms(run, rows, self._complain)
        return found

    def _annotations_of(self, run: str) -> dict[PicksKey | MeshKey | SegmentationKey, PortalAnnotation]:
        annotations = self._annotations
        found = annotations.get(run)
        if found is None:
            rows = self.index.rows("annotations", run)
            sizes = self.index.rows("volumes", run)["spacings"] if rows["files"] else []
            found = annotations[run] = annotated(run, rows, sizes, self._objects, self._complain)
        return found

    def annotation(self, key: Key) -> PortalAnnotation:
        """The rows of picks, a mesh or a segmentation.

        Raises:
            NotFoundError: The portal has none under the key.
        """
        if isinstance(key, PicksKey | MeshKey | SegmentationKey) and key.user_id == PORTAL_USER:
            found = self._annotations_of(key.run).get(key)
            if found is not None:
                return found
        raise NotFoundError(key=key, layer=self.name)

    def tomogram(self, key: Key) -> PortalTomogram:
        """The row of a tomogram.

        Raises:
            NotFoundError: The portal has none under the key.
        """
        found = self._volumes_of(key.run)[1].get(key) if isinstance(key, TomogramKey) else None
        if found is None:
            raise NotFoundError(key=key, layer=self.name)
        return found

    def runs(self) -> dict[str, Row]:
        """The runs of the datasets by name; none while offline."""
        try:
            return {} if self._is_offline else self.index.runs()
        except PortalUnreachableError as error:
            self._go_offline(error)
            return {}

    def _go_offline(self, error: PortalUnreachableError) -> None:
        """Warn once, and list nothing until :meth:`reconnect` or :meth:`forget`; or fail if there is nothing else to show."""
        if not self.offline_ok:
            raise error
        if not self._is_offline:
            self._is_offline = True
            until = by_caller(" until refresh() or reconnect()", "")
            warn_caller(f"{error} Only the overlay is listed{until}.", PortalWarning)

    # ------------------------------------------------------------------ the layer

    def list(self, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        """List the entities of a kind below a parent."""
        if kind is Kind.RUN:
            return [RunKey(name) for name in self.runs()]
        if kind in (Kind.OBJECT, Kind.FEATURES) or self._is_offline:
            return []
        try:
            return self._listed(kind, parent)
        except PortalUnreachableError as error:
            self._go_offline(error)
            return []

    def _listed(self, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        if isinstance(parent, VoxelSpacingKey) and kind is Kind.TOMOGRAM:
            return [k for k in self._volumes_of(parent.run)[1] if k.voxel_size == parent.voxel_size]
        if not isinstance(parent, RunKey):
            return []
        if kind is Kind.VOXEL_SPACING:
            return [*self._volumes_of(parent.name)[0]]
        cls = _ANNOTATION_KINDS.get(kind)
        return [k for k in self._annotations_of(parent.name) if cls is not None and isinstance(k, cls)]

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """List the entities of a kind below many parents; all runs are asked for at once.

        Returns:
            What each parent holds; a :class:`~copick_core.layers.layer.PartialListing` where the portal refuses to answer for
            some runs.
        """
        part = "annotations" if kind in _ANNOTATION_KINDS else "volumes"
        runs = {p: p.name if isinstance(p, RunKey) else p.run for p in parents if isinstance(p, RunKey | VoxelSpacingKey)}
        if runs and not self._is_offline and kind is not Kind.FEATURES:
            try:
                self.index.load(part, runs.values())
            except PortalUnreachableError as error:
                self._go_offline(error)
            refused = {} if self._is_offline else self.index.refused(part)
            failures: dict[ParentKey, Exception] = {parent: refused[run] for parent, run in runs.items() if run in refused}
            if failures and len(failures) == len(parents):
                raise next(iter(failures.values()))
            if failures:
                partial = PartialListing(super().list_many(kind, [p for p in parents if p not in failures]))
                partial.failures = failures
                return partial
        return super().list_many(kind, parents)

    def problems(self) -> Sequence[Problem]:
        """Runs that the portal refuses to answer for, however few it is asked about at once."""
        from copick_core.layers.problems import Problem

        runs = [*self.runs()]
        found: builtins.list[Problem] = []
        for part in ("volumes", "annotations"):
            self.index.load(part, runs)
            for run, error in self.index.refused(part).items():
                place = f"layer {self.name!r}, run {run}"
                message = f"its {_IN_PART[part]} cannot be listed: {error.reason}"
                found.append(Problem("unlisted-run", RunKey(run), place, "error", message))
        return found

    def exists(self, key: Key) -> bool:
        """Whether the portal has an entity. Keys that it cannot have are told without asking."""
        if isinstance(key, RunKey):
            return key.name.isascii() and key.name.isdigit() and key.name in self.runs()
        if isinstance(key, PicksKey | MeshKey | SegmentationKey) and key.user_id != PORTAL_USER:
            return False
        return key in self.list(key.kind, key.parent)

    def read(self, key: Key) -> bytes:
        """Picks as a picks file, or a mesh as GLB, whatever format the portal has them in."""
        if isinstance(key, PicksKey):
            from copick_core.picks import encode

            return encode(self.load_picks(key)[0], str(key))
        item = self.annotation(key)
        if item.file["format"] == "glb":
            return self._read_file(key, item.path)
        from copick_core.meshes import encode_mesh

        return encode_mesh(self.load_mesh(key)[0], str(key))

    def _read_file(self, key: Key, path: str) -> bytes:
        try:
            return self.files.read(path)
        except FileNotFoundError as error:
            raise NotFoundError(key=key, layer=self.name, location=path) from error

    def zarr(self, key: Key) -> Store:
        """Open a volume; known objects are read without listing or asking whether they exist."""
        path = self.tomogram(key).path if isinstance(key, TomogramKey) else self.annotation(key).path
        return self.files.volume(path)

    def load_picks(self, key: Key) -> tuple[PicksArrays, Revision | None]:
        """Read a point file with one GET; locations become angstrom by the portal's exact voxel spacing."""
        from copick_backend_portal.points import decode_points

        item = self.annotation(key)
        picks = cast("PicksKey", key)
        size = float(item.spacing["voxelSpacing"]) if item.spacing else 1.0
        header = {
            "pickable_object_name": picks.object_name,
            "user_id": picks.user_id,
            "session_id": picks.session_id,
            "run_name": picks.run,
            "voxel_spacing": size,
            "trust_orientation": item.shape["shapeType"] == "OrientedPoint",
            "portal_annotation_id": item.annotation["id"],
            "portal_annotation_file_id": item.file["id"],
        }
        return decode_points(self._read_file(key, item.path), size, header, str(key)), self.revision(key)

    def load_mesh(self, key: Key) -> tuple[Geometry, Revision | None]:
        """Read a mesh in any format that trimesh knows."""
        import io

        import trimesh

        from copick_core.errors import InvalidDataError
        from copick_core.meshes import decode_mesh

        item = self.annotation(key)
        data, form = self._read_file(key, item.path), item.file["format"]
        if form == "glb":
            return decode_mesh(data, str(key)), self.revision(key)
        try:
            mesh = trimesh.load_scene(io.BytesIO(data), file_type=form, process=False)
        except Exception as error:
            raise InvalidDataError(source=key, reason=f"not a readable {form} mesh ({error})") from error
        return mesh, self.revision(key)

    def revision(self, key: Key) -> Revision | None:
        """Files of the portal never change: their id is their revision."""
        try:
            return "portal", self.annotation(key).file["id"]
        except NotFoundError:
            return None

    def revisions(self, keys: Sequence[Key]) -> Mapping[Key, Revision]:
        """The ids of files, of runs that are listed anyway."""
        told = {key: self.revision(key) for key in keys}
        return {key: revision for key, revision in told.items() if revision is not None}

    def listing_version(self, parent: RunKey | RootKey) -> Hashable | None:
        """A digest of the ids and dates of a run's annotations and tomograms, or of the ids of all runs.

        Who asks compares with the portal: from then on, listings come from it and not from what is kept on disk. Dates are
        asked once for many runs.
        """
        import hashlib

        if not self._is_compared:
            self._is_compared = True
            self._forget_all(ask_again=True)
        if self._is_offline:
            return None
        try:
            if isinstance(parent, RunKey):
                self.index.load("dates", self.index.runs())
                dates = self.index.rows("dates", parent.name)
                facts: Any = [sorted((row["id"], row["lastModifiedDate"]) for row in rows) for rows in dates.values()]
            else:
                facts = sorted(self.index.runs())
        except PortalError:
            return None
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Read with the revision."""
        return self.read(key), self.revision(key)

    def location(self, key: Key) -> str | None:
        """Where an entity's data are: its ``s3://`` address."""
        try:
            return self.tomogram(key).path if isinstance(key, TomogramKey) else self.annotation(key).path
        except NotFoundError:
            return None

    # ------------------------------------------------------------------ metadata

    def details(self, key: Key) -> Mapping[str, Any]:
        """The portal's ids of an entity; its other fields are asked for when they are used."""
        from copick_backend_portal.metadata import PortalMetadata, PortalRunMetadata

        if isinstance(key, RunKey):
            run = self.index.run(key.name) if not self._is_offline and key.name.isdigit() else None
            return {} if run is None else {**_run_details(run), "portal_metadata": PortalRunMetadata(self, key, run["id"])}
        if isinstance(key, VoxelSpacingKey):
            spacing = None if self._is_offline else self._volumes_of(key.run)[0].get(key)
            return {} if spacing is None else {"portal_vs_id": spacing["id"], "portal_voxel_size": spacing["voxelSpacing"]}
        if isinstance(key, TomogramKey):
            row = self.tomogram(key).row
            return {
                "portal_tomo_id": row["id"],
                "portal_tomo_path": row["s3OmezarrDir"],
                "portal_alignment_id": row["alignmentId"],
                "portal_metadata": PortalMetadata(self, key, row["id"]),
            }
        if not isinstance(key, PicksKey | MeshKey | SegmentationKey):
            return {}
        item = self.annotation(key)
        details = {
            "portal_annotation_id": item.annotation["id"],
            "portal_annotation_file_id": item.file["id"],
            "portal_annotation_file_path": item.path,
            "portal_alignment_id": item.file["alignmentId"],
            "portal_metadata": PortalMetadata(self, key, item.file["id"]),
        }
        if isinstance(key, PicksKey) and item.spacing is not None:
            details["voxel_spacing"] = float(item.spacing["voxelSpacing"])
            details["trust_orientation"] = item.shape["shapeType"] == "OrientedPoint"
        return details

    def fields(self, key: Key, columns: Iterable[str]) -> Row:
        """Fields of a tomogram's or annotation's row, asked for only if they are not known."""
        row = self.tomogram(key).row if isinstance(key, TomogramKey) else self.annotation(key).annotation
        return row if all(column in row for column in columns) else self.all_fields(key)

    def all_fields(self, key: Key) -> Row:
        """All fields of a tomogram's or annotation's row."""
        if isinstance(key, TomogramKey):
            wanted = self.tomogram(key).row["id"]
            rows = self.index.rows("volume_details", key.run)["tomogram_details"]
        else:
            wanted = self.annotation(key).annotation["id"]
            rows = self.index.rows("annotation_details", _run_of(key))["annotation_details"]
        return next((row for row in rows if row["id"] == wanted), {"id": wanted})

    def authors(self, key: Key) -> list[str]:  # type: ignore[valid-type]
        """Names of the authors of a tomogram or annotation, in their order."""
        if isinstance(key, TomogramKey):
            column, wanted = "tomogramId", self.tomogram(key).row["id"]
            rows = self.index.rows("volume_details", key.run)["tomogram_authors"]
        else:
            column, wanted = "annotationId", self.annotation(key).annotation["id"]
            rows = self.index.rows("annotation_details", _run_of(key))["annotation_authors"]
        return [row["name"] for row in rows if row[column] == wanted]

    def run_rows(self, key: Key, name: str) -> Sequence[Row]:
        """Rows about an entity's run beside what is listed of it: those of a query of ``"run_details"``."""
        run = key.name if isinstance(key, RunKey) else _run_of(key)
        return self.index.rows("run_details", run)[name]

    def alignment_of(self, key: Key) -> int | None:
        """Id of the alignment that a tomogram was reconstructed with, or that an annotation's coordinates are of."""
        found = self.tomogram(key).row if isinstance(key, TomogramKey) else self.annotation(key).file
        return cast("int | None", found["alignmentId"])

    def text(self, path: str) -> str:
        """Text of a file of the portal."""
        return self.files.read(path).decode()

    # ------------------------------------------------------------------ forgetting

    def forget(self, parent: ParentKey) -> None:
        """Drop what is remembered, if the whole project is meant: runs of the portal do not change under their id.

        What is kept on disk, and still fresh, is used again; :meth:`reconnect` asks the portal.
        """
        if not isinstance(parent, RunKey | VoxelSpacingKey | TomogramKey):
            self._forget_all(ask_again=False)

    def reconnect(self) -> None:
        """Drop connections and everything remembered, also what is fresh on disk; the next call asks the portal."""
        self._forget_all(ask_again=True, disconnect=True)

    def _forget_all(self, *, ask_again: bool, disconnect: bool = False) -> None:
        with self._lock:
            if disconnect:
                self._connection = self._files = None
            # Forgetting twice in a row must not undo the wish to ask again.
            self._ask_again = ask_again or (self._ask_again and self._index is None)
            self._index = None
            self._forget_entities()


def _run_of(key: Key) -> str:
    return cast("PicksKey", key).run


def _run_details(row: Row) -> dict[str, Any]:
    return {"portal_run_id": row["id"], "portal_run_name": row["name"], "portal_dataset_id": row["datasetId"]}


def _reopened(config: CopickConfigCDP, name: str, offline_ok: bool) -> PortalLayer:
    layer = PortalLayer(config, name)
    layer.offline_ok = offline_ok
    return layer
