"""Checks of files, containers, deletion, and two layers on one place."""

from __future__ import annotations

import pytest

from copick_core.errors import NotFoundError
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.layer_base import ALL_KINDS, CONTAINER_KINDS, FILE_KINDS, LayerChecks
from copick_core.testing.layer_listing import OWN_WRITES
from copick_core.tree.keys import ROOT, FeaturesKey, Key, Kind, RunKey, TomogramKey, VoxelSpacingKey

ASKED = "Storage is asked each time; nothing is answered from memory."
BYTES = "A reader gets exactly the bytes that were written."
NOT_FOUND = "NotFoundError: Nothing is stored under the key."
FOLDERS = "Folders that are missing are made."
MARKER = "Make a container (run, voxel spacing) with its marker; one that exists stays as it is."
DELETE = "Delete an entity and everything below it."
FORGET = "Drop whatever is remembered about a parent and everything below it; the next call asks storage."
RECONNECT = "Drop connections and everything remembered; the next call makes new ones."


class FileChecks(LayerChecks):
    """Picks and meshes as bytes."""

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @pytest.mark.parametrize(
        "data",
        [b"", b"{}", b"\x00\xff\r\n\x1a", "Å 名前".encode(), bytes(range(256)) * 4096],
        ids=["nothing", "two", "binary", "utf-8", "a megabyte"],
    )
    @promises(BYTES)
    def test_bytes_come_back_exactly(self, layer: Layer, kind: Kind, data: bytes) -> None:
        self.need(kind)
        key = samples.key(kind)
        layer.write(key, data)

        read = layer.read(key)

        assert isinstance(read, bytes)
        assert read == data

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(BYTES)
    def test_a_second_write_takes_the_place_of_the_first(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        layer.write(key, b"a long first content")
        assert layer.read(key) == b"a long first content"

        layer.write(key, b"short")

        assert layer.read(key) == b"short"
        assert [*layer.list(kind, key.parent)] == [key]

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(BYTES)
    def test_each_key_keeps_its_own_bytes(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        keys = samples.siblings(kind)
        for n, key in enumerate(keys):
            layer.write(key, samples.file_bytes(kind, n))

        assert [layer.read(key) == samples.file_bytes(kind, n) for n, key in enumerate(keys)] == [True] * len(keys)

    @promises(BYTES)
    def test_files_of_one_name_and_several_kinds_are_several_entities(self, layer: Layer) -> None:
        kinds = [kind for kind in FILE_KINDS if kind in self.kinds]
        for kind in kinds:
            layer.write(samples.key(kind), kind.value.encode())

        assert [layer.read(samples.key(kind)) for kind in kinds] == [kind.value.encode() for kind in kinds]
        for kind in kinds:
            assert [*layer.list(kind, RunKey("TS_1"))] == [samples.key(kind)]

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(NOT_FOUND)
    def test_reading_what_is_not_stored_names_key_and_layer(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)

        with pytest.raises(NotFoundError) as caught:
            layer.read(key)

        assert (caught.value.key, caught.value.layer) == (key, layer.name)

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(NOT_FOUND)
    def test_reading_a_sibling_of_what_is_stored_finds_nothing(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        stored, *others = samples.siblings(kind)
        samples.fill(layer, stored)

        for key in others:
            with pytest.raises(NotFoundError):
                layer.read(key)

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(NOT_FOUND)
    def test_read_revised_of_what_is_not_stored_finds_nothing(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)

        with pytest.raises(NotFoundError):
            layer.read_revised(samples.key(kind))

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(FOLDERS)
    def test_writing_into_an_unknown_run_makes_what_is_missing(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind, run="new")

        layer.write(key, b"x")

        assert layer.read(key) == b"x"

    @promises("Read picks as arrays; override for places that hold points in another format.")
    def test_picks_load_with_their_revision(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        key = samples.key(Kind.PICKS)
        samples.fill(layer, key, seed=3)

        arrays, revision = layer.load_picks(key)

        assert arrays.positions.tolist() == [[3.0, 0.0, 0.5], [3.0, 1.0, 0.5]]
        assert revision == layer.revision(key)

    @promises("Read a mesh; override for places that hold meshes in another format.")
    def test_a_mesh_loads_with_its_revision(self, layer: Layer) -> None:
        self.need(Kind.MESH)
        key = samples.key(Kind.MESH)
        samples.fill(layer, key, seed=3)

        mesh, revision = layer.load_mesh(key)

        assert mesh.bounds.tolist() == [[0.0, 0.0, 0.0], [4.0, 1.0, 0.0]]
        assert revision == layer.revision(key)


class ContainerChecks(LayerChecks):
    """Runs and voxel spacings."""

    @pytest.mark.parametrize("kind", CONTAINER_KINDS)
    @promises(MARKER)
    def test_ensure_makes_a_container(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)

        layer.ensure(key)

        assert layer.exists(key)
        assert [*layer.list(kind, key.parent)] == [key]

    @pytest.mark.parametrize("kind", CONTAINER_KINDS)
    @promises(MARKER)
    def test_ensure_marks_the_container(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        layer.ensure(samples.key(kind))

        stored = self.stored_files(layer)

        if stored is None:
            pytest.skip("stored_files() is not overridden: this place keeps no files")
        marker = "ExperimentRuns/TS_1/.meta" if kind is Kind.RUN else "ExperimentRuns/TS_1/VoxelSpacing10.000/.meta"
        assert stored.get(marker) == b"meta"

    @pytest.mark.parametrize("kind", CONTAINER_KINDS)
    @promises(MARKER)
    def test_ensure_a_second_time_changes_nothing(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        layer.ensure(key)
        child = next(c for c in samples.children(key) if c.kind in self.kinds)
        samples.fill(layer, child)
        before = self.stored_files(layer)

        layer.ensure(key)

        assert samples.holds(layer, child)
        assert [*layer.list(kind, key.parent)] == [key]
        assert self.stored_files(layer) == before

    @promises(MARKER)
    def test_an_empty_container_holds_nothing(self, layer: Layer) -> None:
        self.need(Kind.RUN, Kind.VOXEL_SPACING)
        layer.ensure(RunKey("TS_1"))
        layer.ensure(VoxelSpacingKey("TS_1", 10.0))

        assert self.whole(layer) == {RunKey("TS_1"), VoxelSpacingKey("TS_1", 10.0)}

    @promises(MARKER)
    def test_an_empty_container_outlives_the_layer(self, layer: Layer) -> None:
        self.need(Kind.RUN)
        layer.ensure(RunKey("TS_1"))

        assert [*self.other(layer).list(Kind.RUN, ROOT)] == [RunKey("TS_1")]


class DeletionChecks(LayerChecks):
    """Deletion."""

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(DELETE)
    def test_a_deleted_entity_is_gone(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key)
        assert key in [*layer.list(kind, key.parent)]

        layer.delete(key)

        assert not layer.exists(key)
        assert key not in [*layer.list(kind, key.parent)]

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(DELETE)
    def test_siblings_of_a_deleted_entity_stay(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        deleted, *others = samples.siblings(kind)
        for n, key in enumerate([deleted, *others]):
            samples.fill(layer, key, n)

        layer.delete(deleted)

        gone = [str(key) for n, key in enumerate(others, 1) if not samples.holds(layer, key, n)]
        assert gone == []
        assert {*layer.list(kind, deleted.parent)} == {*others}

    @pytest.mark.parametrize("kind", [Kind.RUN, Kind.VOXEL_SPACING, Kind.TOMOGRAM])
    @promises(DELETE)
    def test_what_is_below_a_deleted_entity_is_gone(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind, name="wbp")
        below = [child for child in samples.children(key) if child.kind in self.kinds]
        samples.fill(layer, key)
        for child in below:
            samples.fill(layer, child)
        self.whole(layer)

        layer.delete(key)

        assert [str(c) for c in below if layer.exists(c)] == []
        assert [str(c) for c in below if c in [*layer.list(c.kind, c.parent)]] == []

    @pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.RUN, Kind.OBJECT)])
    @promises(DELETE)
    def test_the_run_of_a_deleted_entity_stays(self, layer: Layer, kind: Kind) -> None:
        self.need(kind, Kind.RUN)
        key = samples.key(kind)
        layer.ensure(RunKey("TS_1"))
        samples.fill(layer, key)

        layer.delete(key)

        assert [*layer.list(Kind.RUN, ROOT)] == [RunKey("TS_1")]

    @promises(DELETE)
    def test_deleting_features_leaves_their_tomogram(self, layer: Layer) -> None:
        self.need(Kind.FEATURES, Kind.TOMOGRAM)
        key = samples.key(Kind.FEATURES)
        samples.fill(layer, key.parent)  # type: ignore[arg-type]
        samples.fill(layer, key)

        layer.delete(key)

        assert samples.holds(layer, key.parent)  # type: ignore[arg-type]

    @promises(DELETE)
    def test_deleting_a_tomogram_leaves_the_features_of_others(self, layer: Layer) -> None:
        self.need(Kind.FEATURES, Kind.TOMOGRAM)
        kept = FeaturesKey("TS_1", 10.0, "wbp-2", "sobel")
        for key in (TomogramKey("TS_1", 10.0, "wbp"), TomogramKey("TS_1", 10.0, "wbp-2"), kept):
            samples.fill(layer, key)

        layer.delete(TomogramKey("TS_1", 10.0, "wbp"))

        assert samples.holds(layer, kept)

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(DELETE)
    def test_deleted_bytes_cannot_be_read(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key)

        layer.delete(key)

        assert layer.revision(key) is None
        with pytest.raises(NotFoundError):
            layer.read(key)

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(NOT_FOUND)
    def test_deleting_what_is_not_stored_names_key_and_layer(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)

        with pytest.raises(NotFoundError) as caught:
            layer.delete(key)

        assert (caught.value.key, caught.value.layer) == (key, layer.name)

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(NOT_FOUND)
    def test_deleting_twice_is_refused(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key)
        layer.delete(key)

        with pytest.raises(NotFoundError):
            layer.delete(key)

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(OWN_WRITES)
    def test_a_deleted_entity_can_be_stored_again(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key, seed=1)
        layer.delete(key)

        samples.fill(layer, key, seed=2)

        assert samples.holds(layer, key, seed=2)
        assert [*layer.list(kind, key.parent)] == [key]


class ExaminationChecks(LayerChecks):
    """What a layer finds wrong in its place."""

    @promises("By default there are none.")
    def test_a_healthy_place_has_no_problems(self, layer: Layer) -> None:
        for kind in self.kinds:
            samples.fill(layer, samples.key(kind))
            if kind is Kind.FEATURES and Kind.TOMOGRAM in self.kinds:
                samples.fill(layer, samples.key(Kind.TOMOGRAM, name="wbp"))  # features without it would be a problem

        assert [*layer.problems()] == []

    @promises("Changes nothing, and may take long; one problem never hides another.")
    def test_examining_a_place_changes_nothing(self, layer: Layer) -> None:
        for kind in self.kinds:
            samples.fill(layer, samples.key(kind), seed=1)
        before = self.stored_files(layer), self.whole(layer)

        self.other(layer, read_only=True).problems()

        layer.forget(ROOT)
        assert (self.stored_files(layer), self.whole(layer)) == before


class SharingChecks(LayerChecks):
    """Two layers on one place, and what a layer may remember."""

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(ASKED)
    def test_another_layer_sees_what_was_stored(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        samples.fill(layer, samples.key(kind), seed=1)

        other = self.other(layer)

        assert samples.holds(other, samples.key(kind), seed=1)
        assert [*other.list(kind, samples.parents(kind))] == [samples.key(kind)]

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(ASKED)
    def test_existence_is_asked_of_storage_each_time(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        other = self.other(layer)
        seen = [layer.exists(key)]
        samples.fill(other, key)
        seen.append(layer.exists(key))
        other.delete(key)
        seen.append(layer.exists(key))

        assert seen == [False, True, False]

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(BYTES)
    def test_bytes_that_another_layer_wrote_are_read(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        other = self.other(layer)
        layer.write(key, b"mine")
        assert layer.read(key) == b"mine"

        other.write(key, b"hers")

        assert layer.read(key) == b"hers"

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(NOT_FOUND)
    def test_bytes_that_another_layer_deleted_are_not_read(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        other = self.other(layer)
        layer.write(key, b"mine")
        assert layer.read(key) == b"mine"

        other.delete(key)

        with pytest.raises(NotFoundError):
            layer.read(key)

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(FORGET)
    def test_forgetting_the_parent_shows_what_another_layer_stored(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        first, second = samples.siblings(kind)[:2]
        samples.fill(layer, first)
        other = self.other(layer)
        [*layer.list(kind, first.parent)]
        samples.fill(other, second)

        layer.forget(first.parent)

        assert {*layer.list(kind, first.parent)} == {first, second}

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(FORGET)
    def test_forgetting_the_project_forgets_everything_below(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        first, second = samples.siblings(kind)[:2]
        samples.fill(layer, first)
        other = self.other(layer)
        [*layer.list(kind, first.parent)]
        other.delete(first)
        samples.fill(other, second)

        layer.forget(ROOT)

        assert {*layer.list(kind, first.parent)} == {second}

    @promises(FORGET)
    def test_forgetting_a_run_forgets_its_spacings_tomograms_and_features(self, layer: Layer) -> None:
        self.need(Kind.FEATURES, Kind.TOMOGRAM, Kind.VOXEL_SPACING)
        other = self.other(layer)
        samples.fill(layer, TomogramKey("TS_1", 10.0, "wbp"))
        self.whole(layer)
        new: list[Key] = [TomogramKey("TS_1", 20.0, "wbp"), FeaturesKey("TS_1", 10.0, "wbp", "sobel")]
        for key in new:
            samples.fill(other, key)

        layer.forget(RunKey("TS_1"))

        assert {*new} <= self.whole(layer)

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(RECONNECT)
    def test_after_reconnecting_listings_are_those_of_now(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        first, second = samples.siblings(kind)[:2]
        samples.fill(layer, first, 1)
        other = self.other(layer)
        [*layer.list(kind, first.parent)]
        samples.fill(other, second, 2)

        layer.reconnect()

        assert {*layer.list(kind, first.parent)} == {first, second}
        assert samples.holds(layer, first, 1)
        assert samples.holds(layer, second, 2)
