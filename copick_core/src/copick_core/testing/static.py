"""Checks of places that are only read: data portals, other applications' volumes, archives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from copick_core import opening, plugins
from copick_core.errors import NotFoundError, ReadOnlyError
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.dict_layer import DICT_BACKEND
from copick_core.testing.layer_base import ALL_KINDS
from copick_core.testing.layer_writes import at_once
from copick_core.testing.project_base import BackendChecks, everything, store_values
from copick_core.tree.keys import CONTAINER_KINDS, FILE_KINDS, PARENT_KIND, ROOT, VOLUME_KINDS, Key, Kind

NEVER = "A static layer never changes."


class StaticBackendTests(BackendChecks):
    """Checks that a read-only backend shows what lies in its place, and never changes it.

    The author lays known content into the place, behind the backend's back, and says what must be seen of it.

    Attributes:
        backend: The backend's record, if it is not installed with an entry point.

    Example:
        In the tests of a backend::

            class TestPortal(StaticBackendTests):
                @pytest.fixture
                def config(self, server):
                    return {"config_type": "portal", "url": server.url, "dataset_ids": [1]}

                @pytest.fixture
                def expected(self, server):
                    return {RunKey("17"): None, PicksKey("17", "ribosome", "data-portal", "4"): [[1.0, 2.0, 3.0]]}
    """

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        """Configuration of a project whose place holds known content. Override it."""
        raise NotImplementedError("give the fixture 'config'")

    @pytest.fixture
    def expected(self, config: dict[str, Any]) -> Mapping[Key, Any]:
        """Everything to be seen: positions (N, 3) of picks, bounds (2, 3) of meshes, level 0 of volumes; None is any."""
        raise NotImplementedError("give the fixture 'expected'")

    def fingerprint(self, config: dict[str, Any]) -> object:
        """What is equal as long as nothing in the place changes, read without the backend; override it where you can."""
        return None

    # ------------------------------------------------------------------ for checks

    @pytest.fixture
    def layer(self, config: dict[str, Any]) -> Layer:
        """The layer that holds the content."""
        return opening.open(config).layers.static[0]

    @pytest.fixture(autouse=True)
    def _unchanged(self, config: dict[str, Any]) -> Iterator[None]:
        before = self.fingerprint(config)
        yield
        assert self.fingerprint(config) == before, (
            f"Contract broken: “{NEVER}”\nSeen: the place holds something else than before"
        )

    @staticmethod
    def _some(expected: Mapping[Key, Any], kinds: frozenset[Kind]) -> list[Key]:
        keys = [key for key in expected if key.kind in kinds]
        if not keys:
            pytest.skip(f"the content has no {', '.join(sorted(kind.value for kind in kinds))}")
        return keys

    # ------------------------------------------------------------------ checks

    @promises("Whether every write is refused.")
    def test_the_layer_is_read_only(self, layer: Layer) -> None:
        assert layer.read_only is True

    @promises("keys in, keys out")
    def test_everything_is_listed_and_nothing_else(self, layer: Layer, expected: Mapping[Key, Any]) -> None:
        assert [str(key) for key in everything(layer)] == sorted(map(str, expected))

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises("An unknown parent, or one without such entities, gives nothing; it is never an error.")
    def test_unknown_parents_list_nothing(self, layer: Layer, kind: Kind) -> None:
        if PARENT_KIND[kind] is None:
            pytest.skip("there is one project")

        assert [*layer.list(kind, samples.UNKNOWN_PARENTS[kind])] == []

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises("Whether an entity is stored now.")
    def test_what_is_not_there_does_not_exist(self, layer: Layer, kind: Kind) -> None:
        assert layer.exists(samples.key(kind, run="nowhere", name="nothing")) is False

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises("Whether an entity is stored now.")
    def test_what_is_there_exists(self, layer: Layer, expected: Mapping[Key, Any], kind: Kind) -> None:
        assert [str(key) for key in self._some(expected, frozenset({kind})) if not layer.exists(key)] == []

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises("List the entities of a kind below many parents; remote layers overlap their requests.")
    def test_list_many_gives_what_list_gives(self, layer: Layer, expected: Mapping[Key, Any], kind: Kind) -> None:
        parents: list[Any] = [*dict.fromkeys(key.parent for key in self._some(expected, frozenset({kind})))]
        parents.append(samples.UNKNOWN_PARENTS[kind])

        many = layer.list_many(kind, parents)

        assert {p: {*many[p]} for p in parents} == {p: {*layer.list(kind, p)} for p in parents}

    @promises("Read picks as arrays; override for places that hold points in another format.")
    def test_picks_are_read(self, layer: Layer, expected: Mapping[Key, Any]) -> None:
        for key in self._some(expected, frozenset({Kind.PICKS})):
            arrays, _ = layer.load_picks(key)
            assert expected[key] is None or np.allclose(arrays.positions, expected[key]), str(key)

    @promises("Read a mesh; override for places that hold meshes in another format.")
    def test_meshes_are_read(self, layer: Layer, expected: Mapping[Key, Any]) -> None:
        for key in self._some(expected, frozenset({Kind.MESH})):
            mesh, _ = layer.load_mesh(key)
            assert expected[key] is None or np.allclose(mesh.bounds, expected[key]), str(key)

    @promises(
        'A store rooted at the entity (``"0/.zarray"`` or ``"0/zarr.json"`` is its first level), read-only if the layer is.'
    )
    def test_volumes_are_read(self, layer: Layer, expected: Mapping[Key, Any]) -> None:
        for key in self._some(expected, VOLUME_KINDS):
            array = samples.read_volume(layer.zarr(key))
            assert expected[key] is None or np.array_equal(array, expected[key]), str(key)

    @promises(
        'A store rooted at the entity (``"0/.zarray"`` or ``"0/zarr.json"`` is its first level), read-only if the layer is.'
    )
    def test_volumes_cannot_be_written(self, layer: Layer, expected: Mapping[Key, Any]) -> None:
        import zarr

        for key in self._some(expected, VOLUME_KINDS):
            store = layer.zarr(key)
            assert store.read_only is True
            with pytest.raises((ValueError, PermissionError)):
                zarr.open_array(store, path="0", mode="r+")[...] = 0
            assert store_values(store)

    @promises("NotFoundError: Nothing is stored under the key.")
    def test_picks_that_are_not_there_are_not_read(self, layer: Layer) -> None:
        with pytest.raises(NotFoundError):
            layer.load_picks(samples.key(Kind.PICKS, run="nowhere"))

    @pytest.mark.parametrize("method", ["write", "ensure", "replace_zarr", "delete"])
    @promises("Whether every write is refused.")
    def test_every_write_is_refused(self, layer: Layer, expected: Mapping[Key, Any], method: str) -> None:
        kinds = {"write": FILE_KINDS, "ensure": CONTAINER_KINDS, "replace_zarr": VOLUME_KINDS, "delete": frozenset(Kind)}[
            method
        ]
        keys = [key for key in expected if key.kind in kinds]
        keys += [samples.key(kind, run="new") for kind in kinds]

        for key in keys:
            with pytest.raises(ReadOnlyError):
                self._attempt(layer, method, key)
        assert [str(key) for key in everything(layer)] == sorted(map(str, expected))

    @staticmethod
    def _attempt(layer: Layer, method: str, key: Key) -> None:
        if method == "write":
            layer.write(key, b"x")
        elif method == "ensure":
            layer.ensure(key)
        elif method == "delete":
            layer.delete(key)
        else:
            with layer.replace_zarr(key) as store:
                samples.write_volume(store, samples.volume())

    @promises("methods may be called from several threads at once.")
    def test_threads_read_at_once(self, layer: Layer, expected: Mapping[Key, Any]) -> None:
        results = at_once(*[lambda: sorted(map(str, layer.list(Kind.RUN, ROOT)))] * 8)

        assert results == [sorted(str(key) for key in expected if key.kind is Kind.RUN)] * 8

    @promises("Drop connections and everything remembered; the next call makes new ones.")
    def test_everything_is_there_after_reconnecting(self, layer: Layer, expected: Mapping[Key, Any]) -> None:
        everything(layer)

        layer.reconnect()

        assert [str(key) for key in everything(layer)] == sorted(map(str, expected))

    @promises("Entries of every layer are listed, static ones first; a sandbox in memory lies over anything.")
    def test_an_overlay_in_memory_lies_over_it(self, config: dict[str, Any], expected: Mapping[Key, Any]) -> None:
        static = {k: v for k, v in config.items() if not k.startswith("overlay")}
        plugins.register(DICT_BACKEND)
        stack = {"config_type": "stack", "overlay": {"config_type": DICT_BACKEND.config_type}, "static": [static]}
        root = opening.open({**stack, "user_id": "kit", "pickable_objects": config.get("pickable_objects", [])})

        runs = [key for key in expected if key.kind is Kind.RUN]
        assert {run.key for run in root.runs} == {*runs}
        run = root.runs[0]
        obj: Any = root.new_object("kit-object", is_particle=True)
        run.new_picks(obj.name, "1").from_numpy([[1, 2, 3]])
        assert [p.read_only for p in run.get_picks(obj.name)] == [False]
