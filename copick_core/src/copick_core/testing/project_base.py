"""What an author tells the kit about a backend, and the projects that its checks work on."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from copick_core import opening, plugins
from copick_core.layers import Layer, Layers
from copick_core.overlay import CopickRootOverlay
from copick_core.plugins import Backend
from copick_core.testing import samples
from copick_core.testing.wrappers import wrapped
from copick_core.tree.keys import CONTAINER_KINDS, FILE_KINDS
from copick_core.tree.schema import CopickConfig

#: Objects of every project of the kit.
OBJECTS: list[dict[str, Any]] = [
    {"name": "ribosome", "is_particle": True, "label": 1, "color": [230, 60, 60, 255], "radius": 120.0},
    {"name": "membrane", "is_particle": False, "label": 2, "color": [60, 160, 230, 255]},
    {"name": "microtubule", "is_particle": True, "label": 3, "metadata": {"copick": {"filament": {"polar": True}}}},
    {"name": "proteasome", "is_particle": True, "label": 7, "color": [10, 20, 30, 255]},
]
FIELDS: dict[str, Any] = {"pickable_objects": OBJECTS, "user_id": "alice"}

#: Flags of ``new_segmentation()`` for each type.
SEGMENTATION_TYPES: dict[str, dict[str, bool]] = {
    "binary": {},
    "multilabel": {"is_multilabel": True},
    "instance": {"is_instance": True},
    "panoptic": {"is_panoptic": True},
}
LEAVES = ("picks", "mesh", "filaments", "binary", "multilabel", "instance", "panoptic", "tomogram", "features")


class BackendChecks:
    """Checks of a backend, which need not be installed."""

    backend: ClassVar[Backend | None] = None

    @pytest.fixture(autouse=True)
    def _registered(self) -> Iterator[None]:
        if self.backend is None or self.backend.config_type in plugins.backends.names():
            yield
            return
        plugins.register(self.backend)
        yield
        plugins.reset()


class ProjectChecks(BackendChecks):
    """What every group of checks on whole projects shares: override what stands here, and nothing else.

    Attributes:
        backend: The backend's record, if it is not installed with an entry point; the kit registers it then.
        shared: Whether two projects that are opened from one configuration see the same entities.
        zarr_formats: The zarr formats that volumes can have: ``(3,)`` for a backend whose layers fix it.
        process_bound: Whether projects live in one process, so that pickling them is refused.
        any_run_name: Whether every legal run name is taken. False only for places that refuse some characters, as Windows
            shares do: there a name is taken as it is, or refused with an InvalidNameError.
        examples: How many random histories the state machine runs.
        steps: How many steps each of them has.
    """

    shared: ClassVar[bool] = True
    zarr_formats: ClassVar[tuple[int, ...]] = (2, 3)
    process_bound: ClassVar[bool] = False
    any_run_name: ClassVar[bool] = True
    examples: ClassVar[int] = 8
    steps: ClassVar[int] = 15

    def make_config(self, folder: Path, name: str) -> dict[str, Any]:
        """Give the configuration of an empty, writable project. Override it.

        Values that hold the folder's path are locations: their fields must be among ``location_fields`` of the model.

        Args:
            folder: An empty folder of this test.
            name: Tells apart the projects of one test; two names are two places, one name is one place.
        """
        raise NotImplementedError("override make_config(): the configuration of an empty, writable project")

    # ------------------------------------------------------------------ for checks

    @pytest.fixture
    def config(self, tmp_path: Path) -> dict[str, Any]:
        """Configuration of an empty project."""
        return FIELDS | self.make_config(tmp_path, "first")

    @pytest.fixture
    def root(self, config: dict[str, Any]) -> CopickRootOverlay:
        """An empty project."""
        return opening.open(config)

    @pytest.fixture
    def filled(self, root: CopickRootOverlay) -> CopickRootOverlay:
        """A project that holds one entity of each kind."""
        fill_project(root)
        return root

    @pytest.fixture
    def stack(self, tmp_path: Path, config: dict[str, Any]) -> dict[str, Any]:
        """Configuration of an empty overlay over :meth:`filled`, both of this backend."""
        fields = FIELDS | {"user_id": "bob"}
        overlay = self.make_config(tmp_path, "overlay")
        return {"config_type": "stack", "overlay": overlay, "static": [{**config, "layer_name": "reference"}], **fields}

    @pytest.fixture
    def layered(self, filled: CopickRootOverlay, stack: dict[str, Any]) -> CopickRootOverlay:
        """A project whose reference holds one entity of each kind, under an empty overlay."""
        self.need_sharing()
        return opening.open(stack)

    def elsewhere(self) -> str:
        """Python code that makes the backend available in another process; skips where a project cannot be reached there."""
        if self.process_bound:
            pytest.skip("process_bound is True")
        code = f"import sys\nsys.path[:] = {sys.path!r}\n"
        if self.backend is None:
            return code
        try:
            record = pickle.dumps(self.backend)
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            pytest.skip(f"the backend's record cannot be imported by another process: {error}")
        return f"{code}import pickle\nfrom copick_core import plugins\nplugins.register(pickle.loads({record!r}))\n"

    def need_sharing(self) -> None:
        """Skip where a project cannot be opened twice."""
        if not self.shared:
            pytest.skip("shared is False")

    def again(self, config: dict[str, Any]) -> CopickRootOverlay:
        """Open a project once more, as somebody else."""
        self.need_sharing()
        return opening.open(config)


def open_wrapped(config: Mapping[str, Any], wrap: Callable[[Layer], Layer]) -> CopickRootOverlay:
    """Open a project whose layers are wrapped."""
    backend = plugins.backends.get(config["config_type"])
    validated: CopickConfig = opening.validated(backend.config_cls, dict(config), "<dict>", None)

    def open_layers(config: Any) -> Layers:
        return wrapped(backend.open_layers(config), wrap)

    return (backend.root_cls or CopickRootOverlay)(validated, open_layers)


def triangle(seed: int = 0) -> Any:
    """A mesh of one triangle."""
    import trimesh

    return trimesh.Trimesh([[0, 0, 0], [1 + seed, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False)


def labels(segmentation_type: str, seed: int = 0) -> Any:
    """A small segmentation of a type, (z, y, x) or (channel, z, y, x)."""
    value = {"binary": 1, "multilabel": 2, "instance": 300 + seed, "panoptic": 1}[segmentation_type]
    data = np.zeros((4, 5, 6), np.uint16)
    data[seed % 4, 1:3, 2:5] = value
    return np.stack([data, (data > 0) * np.uint16(5 + seed)]) if segmentation_type == "panoptic" else data


def leaf(root: CopickRootOverlay, what: str, *, exist_ok: bool = False) -> Any:
    """Create, or get, the example entity of a kind; picks are there when they were created, volumes when they are filled."""
    run = root.get_run("TS_1") or root.new_run("TS_1")
    if what == "picks":
        return run.new_picks("ribosome", "1", "alice", exist_ok=exist_ok)
    if what == "mesh":
        return run.new_mesh("membrane", "1", "alice", exist_ok=exist_ok)
    if what == "filaments":
        return run.new_filaments("microtubule", "1", "alice", exist_ok=exist_ok)
    if what in SEGMENTATION_TYPES:
        name = "painting" if what in ("multilabel", "panoptic") else "membrane"
        return run.new_segmentation(10.0, name, "1", user_id="alice", exist_ok=exist_ok, **SEGMENTATION_TYPES[what])
    spacing = run.get_voxel_spacing(10.0) or run.new_voxel_spacing(10.0)
    if what == "tomogram":
        return spacing.new_tomogram("wbp", exist_ok=exist_ok)
    tomograms = spacing.get_tomograms("wbp")
    if not tomograms:
        tomograms = [spacing.new_tomogram("wbp")]
        put(tomograms[0], "tomogram")
    return tomograms[0].new_features("sobel", exist_ok=exist_ok)


def put(entity: Any, what: str, seed: int = 0) -> None:
    """Store deterministic content in an entity."""
    if what == "picks":
        entity.from_numpy([[seed, 2.0, 3.0], [4.0, 5.0, 6.5]])
    elif what == "mesh":
        entity.mesh = triangle(seed)
        entity.store()
    elif what == "filaments":
        entity.from_numpy([[[seed, 2.0, 3.0], [4.0, 5.0, 6.5]]])
    elif what in SEGMENTATION_TYPES:
        entity.from_numpy(labels(what, seed))
    else:
        entity.from_numpy(samples.volume(seed, (4, 5, 6)))


def holds(entity: Any, what: str, seed: int = 0) -> bool:
    """Whether an entity holds what :func:`put` stored, asked of storage."""
    entity.refresh()
    if what == "picks":
        return bool(np.array_equal(entity.numpy()[0], [[seed, 2.0, 3.0], [4.0, 5.0, 6.5]]))
    if what == "mesh":
        return bool(np.array_equal(entity.mesh.bounds, triangle(seed).bounds))
    if what == "filaments":
        return [points.tolist() for points in entity.numpy()] == [[[seed, 2.0, 3.0], [4.0, 5.0, 6.5]]]
    if what in SEGMENTATION_TYPES:
        return bool(np.array_equal(entity.numpy(), labels(what, seed)))
    return bool(np.array_equal(entity.numpy(), samples.volume(seed, (4, 5, 6))))


def listed(root: CopickRootOverlay, what: str, run: str = "TS_1") -> list[Any]:
    """List the entities of a kind in a run."""
    handle = root.get_run(run)
    if handle is None:
        return []
    if what == "picks":
        return [*handle.picks]
    if what == "mesh":
        return [*handle.meshes]
    if what == "filaments":
        return [*handle.filaments]
    if what in SEGMENTATION_TYPES:
        return [s for s in handle.segmentations if s.segmentation_type == what]
    tomograms = [t for spacing in handle.voxel_spacings for t in spacing.tomograms]
    return tomograms if what == "tomogram" else [f for t in tomograms for f in t.features]


def fill_project(root: CopickRootOverlay) -> None:
    """Store one entity of each kind."""
    for what in LEAVES:
        put(leaf(root, what), what)
    density: Any = root.get_object("ribosome")
    density.from_numpy(samples.volume(9, (3, 3, 3)), 10.0)


def contents(root: CopickRootOverlay) -> dict[str, str]:
    """Fingerprint of every byte that the layers of a project hold, by layer and entity."""
    import hashlib

    found: dict[str, str] = {}
    for layer in root.layers.all:
        for key in everything(layer):
            digest = hashlib.sha256()
            if key.kind in FILE_KINDS:
                digest.update(layer.read(key))
            elif key.kind not in CONTAINER_KINDS:
                for name, value in store_values(layer.zarr(key)).items():
                    digest.update(name.encode() + b"\0" + value)
            found[f"{layer.name}: {key}"] = digest.hexdigest()
    return found


def everything(layer: Layer) -> list[Any]:
    """List all entities of a layer, freshly."""
    from copick_core.tree.keys import KINDS, PARENT_KIND, ROOT

    layer.forget(ROOT)
    found: list[Any] = []
    for kind in KINDS:
        above = PARENT_KIND[kind]
        parents: list[Any] = [ROOT] if above is None else [key for key in found if key.kind is above]
        found += [key for parent in parents for key in layer.list(kind, parent)]
    return sorted(found, key=str)


def store_values(store: Any) -> dict[str, bytes]:
    """Read all values of a store."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    async def read() -> dict[str, bytes]:
        names = sorted([name async for name in store.list()])
        return {name: (await store.get(name, default_buffer_prototype())).to_bytes() for name in names}

    return sync(read())
