"""Checks of listing, existence, files, containers and deletion."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from copick_core.errors import NotFoundError
from copick_core.keys import ROOT, FeaturesKey, Key, Kind, MeshKey, PicksKey, RunKey, TomogramKey, VoxelSpacingKey
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.layer_base import ALL_KINDS, CONTAINER_KINDS, FILE_KINDS, LayerChecks
from copick_core.testing.model import Model

UNKNOWN_PARENT = "An unknown parent, or one without such entities, gives nothing; it is never an error."
ONCE = "a listing yields each entity once, in any order"
IN_ITS_LISTING = "keys in, keys out"
OWN_WRITES = "What a layer has written or deleted itself shows at once, in its listings too."
HOLDER_EXISTS = "A container that holds something exists, whether or not it was made with ensure()."
NAMES = "Names are taken as they are: no character of them is a pattern, a separator or an escape."
FOREIGN = "Whatever lies in a place and is not an entity is left out of listings; it is never an error."
ASKED = "Storage is asked each time; nothing is answered from memory."
BYTES = "A reader gets exactly the bytes that were written."
NOT_FOUND = "NotFoundError: Nothing is stored under the key."
FOLDERS = "Folders that are missing are made."
MARKER = "Make a container (run, voxel spacing) with its marker; one that exists stays as it is."
DELETE = "Delete an entity and everything below it."
MANY = "List the entities of a kind below many parents; remote layers overlap their requests."
FORGET = "Drop whatever is remembered about a parent and everything below it; the next call asks storage."
RECONNECT = "Drop connections and everything remembered; the next call makes new ones."


class ListingChecks(LayerChecks):
    """Listings and existence."""

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(UNKNOWN_PARENT)
    def test_unknown_parent_lists_nothing(self, layer: Layer, kind: Kind) -> None:
        assert [*layer.list(kind, samples.UNKNOWN_PARENTS[kind])] == []

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(UNKNOWN_PARENT)
    def test_parent_without_such_entities_lists_nothing(self, layer: Layer, kind: Kind) -> None:
        parent = samples.parents(kind)
        if isinstance(parent, RunKey | VoxelSpacingKey):
            self.need(parent.kind)
            samples.fill(layer, parent)

        assert [*layer.list(kind, parent)] == []

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises("Whether an entity is stored now.")
    def test_nothing_exists_in_an_empty_layer(self, layer: Layer, kind: Kind) -> None:
        assert layer.exists(samples.key(kind)) is False

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises("Whether an entity is stored now.")
    def test_a_stored_entity_exists(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)

        samples.fill(layer, samples.key(kind))

        assert layer.exists(samples.key(kind)) is True

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(ONCE)
    def test_a_listing_yields_each_entity_once(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        keys = samples.siblings(kind)
        for key in keys:
            samples.fill(layer, key)
        expected = {*keys, *([RunKey("TS_1")] if kind is Kind.RUN else [])}

        listed = [*layer.list(kind, keys[0].parent)]

        assert sorted(map(str, listed)) == sorted(map(str, expected))

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(IN_ITS_LISTING)
    def test_a_listed_key_is_the_key_that_was_stored(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key)

        [listed] = layer.list(kind, key.parent)

        assert listed == key
        assert type(listed) is type(key)
        assert hash(listed) == hash(key)
        assert layer.exists(listed)

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(IN_ITS_LISTING)
    def test_entities_of_another_parent_are_not_listed(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        if samples.parents(kind) == ROOT:
            pytest.skip("there is one project")
        samples.fill(layer, samples.key(kind, run="TS_10"))
        samples.fill(layer, samples.key(kind, run="TS"))

        assert [*layer.list(kind, samples.parents(kind, "TS_1"))] == []

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(IN_ITS_LISTING)
    def test_an_entity_is_listed_as_its_own_kind_only(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key)
        holders = {*Model.above(key)}

        assert self.whole(layer) - holders == ({key} if kind is not Kind.FEATURES else set())

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(OWN_WRITES)
    def test_a_new_entity_shows_in_a_listing_that_was_asked_before(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        first, second = samples.siblings(kind)[:2]
        samples.fill(layer, first)
        assert second not in [*layer.list(kind, first.parent)]

        samples.fill(layer, second)

        assert second in [*layer.list(kind, first.parent)]

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(HOLDER_EXISTS)
    def test_what_holds_an_entity_exists_and_is_listed(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        assert not layer.exists(samples.key(Kind.RUN))
        samples.fill(layer, key)

        for holder in Model.above(key):
            if holder.kind is not Kind.TOMOGRAM:
                assert layer.exists(holder), f"{holder} does not exist"
                assert holder in [*layer.list(holder.kind, holder.parent)], f"{holder} is not listed"

    @promises(IN_ITS_LISTING)
    def test_features_without_their_tomogram_are_listed(self, layer: Layer) -> None:
        self.need(Kind.FEATURES)
        key = FeaturesKey("TS_1", 10.0, "wbp", "sobel")
        samples.fill(layer, key)

        assert [*layer.list(Kind.FEATURES, key.parent)] == [key]
        assert [*layer.list(Kind.TOMOGRAM, key.parent.parent)] == []

    @promises(IN_ITS_LISTING)
    def test_features_are_listed_below_their_own_tomogram(self, layer: Layer) -> None:
        self.need(Kind.FEATURES, Kind.TOMOGRAM)
        for tomo_type in ("wbp", "wbp-2"):
            samples.fill(layer, TomogramKey("TS_1", 10.0, tomo_type))
            samples.fill(layer, FeaturesKey("TS_1", 10.0, tomo_type, "sobel"))

        for tomo_type in ("wbp", "wbp-2"):
            listed = [*layer.list(Kind.FEATURES, TomogramKey("TS_1", 10.0, tomo_type))]
            assert listed == [FeaturesKey("TS_1", 10.0, tomo_type, "sobel")]

    @pytest.mark.parametrize("size", [0.001, 0.5, 1.234, 7.84, 13.48, 10.0, 99.999, 12345.678])
    @promises(IN_ITS_LISTING)
    def test_voxel_sizes_come_back_as_they_were(self, layer: Layer, size: float) -> None:
        self.need(Kind.VOXEL_SPACING)
        samples.fill(layer, VoxelSpacingKey("TS_1", size))

        assert [*layer.list(Kind.VOXEL_SPACING, RunKey("TS_1"))] == [VoxelSpacingKey("TS_1", size)]

    @promises(NAMES)
    def test_names_that_differ_by_case_are_two_names(self, layer: Layer) -> None:
        self.need(Kind.RUN)
        if not self.case_sensitive:
            pytest.skip("case_sensitive is False")
        for name in ("ts", "TS"):
            samples.fill(layer, RunKey(name))

        assert {*layer.list(Kind.RUN, ROOT)} == {RunKey("ts"), RunKey("TS")}

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(MANY)
    def test_list_many_gives_what_list_gives(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        for run in ("TS_1", "TS_2"):
            samples.fill(layer, samples.key(kind, run))
        parents = [
            *dict.fromkeys([samples.parents(kind, "TS_1"), samples.parents(kind, "TS_2"), samples.UNKNOWN_PARENTS[kind]])
        ]

        many = layer.list_many(kind, parents)

        assert isinstance(many, Mapping)
        assert {p: {*many[p]} for p in parents} == {p: {*layer.list(kind, p)} for p in parents}

    @promises(MANY)
    def test_list_many_of_no_parents_is_empty(self, layer: Layer) -> None:
        assert dict(layer.list_many(Kind.PICKS, [])) == {}

    @pytest.mark.parametrize("path", samples.FOREIGN_FILES)
    @promises(FOREIGN)
    def test_a_foreign_file_is_not_listed(self, layer: Layer, path: str) -> None:
        self.need(Kind.PICKS, Kind.TOMOGRAM)
        key = PicksKey("TS_1", "ribo", "me", "1")
        samples.fill(layer, key)
        samples.fill(layer, TomogramKey("TS_1", 10.0, "wbp"))
        before = self.whole(layer)

        self.plant(layer, path, b"not of copick")
        layer.forget(ROOT)

        assert self.whole(layer) == before

    @promises("Give further fields for the entity's ``meta``, for places that know more than the key says.")
    def test_details_are_a_mapping_with_names(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        key = samples.key(Kind.PICKS)
        samples.fill(layer, key)

        assert all(isinstance(name, str) for name in layer.details(key))

    @promises("Where an entity lies, as text for messages and users; None where that has no meaning.")
    def test_location_is_text_or_none(self, layer: Layer) -> None:
        assert isinstance(layer.location(samples.key(Kind.PICKS)), str | None)

    @promises("Name of the layer, unique in its stack; used in messages and by ``layer=`` filters.")
    def test_a_layer_has_a_name(self, layer: Layer) -> None:
        assert isinstance(layer.name, str)
        assert layer.name


class HostileNameChecks(LayerChecks):
    """Legal names that careless code reads as something else."""

    @pytest.mark.parametrize("run", samples.HOSTILE_RUNS)
    @promises(NAMES)
    def test_a_run_name_is_taken_as_it_is(self, layer: Layer, run: str) -> None:
        self.need(Kind.PICKS, Kind.TOMOGRAM)
        keys: list[Key] = [PicksKey(run, "ribo", "me", "1"), TomogramKey(run, 10.0, "wbp")]
        decoy = PicksKey("TS1", "ribo", "me", "1")
        for key in [*keys, decoy]:
            samples.fill(layer, key)

        assert {*layer.list(Kind.RUN, ROOT)} == {RunKey(run), RunKey("TS1")}
        assert self.whole(layer, run) == {*keys, RunKey(run), RunKey("TS1"), VoxelSpacingKey(run, 10.0)}
        assert all(samples.holds(layer, key) for key in keys)
        layer.delete(RunKey(run))
        assert {*layer.list(Kind.RUN, ROOT)} == {RunKey("TS1")}
        assert samples.holds(layer, decoy)

    @pytest.mark.parametrize("name", samples.HOSTILE_NAMES)
    @promises(NAMES)
    def test_a_name_is_taken_as_it_is(self, layer: Layer, name: str) -> None:
        keys: list[Key] = [samples.key(kind, name=name) for kind in Kind if kind not in CONTAINER_KINDS and kind in self.kinds]
        keys += [
            key for key in (PicksKey("TS_1", "ribo", name, "1"), MeshKey("TS_1", "ribo", "me", name)) if key.kind in self.kinds
        ]
        for key in keys:
            samples.fill(layer, key)

        for key in keys:
            assert key in [*layer.list(key.kind, key.parent)], f"{key} is not listed"
            assert samples.holds(layer, key), f"{key} does not hold what was stored"


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
    def test_picks_and_meshes_of_one_name_are_two_entities(self, layer: Layer) -> None:
        self.need(Kind.PICKS, Kind.MESH)
        layer.write(samples.key(Kind.PICKS), b"picks")
        layer.write(samples.key(Kind.MESH), b"mesh")

        assert (layer.read(samples.key(Kind.PICKS)), layer.read(samples.key(Kind.MESH))) == (b"picks", b"mesh")

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(NOT_FOUND)
    def test_reading_what_is_not_stored_names_key_and_layer(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)

        with pytest.raises(NotFoundError) as caught:
            layer.read(key)

        assert (caught.value.key, caught.value.layer) == (key, layer.name)  # type: ignore[attr-defined]

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

    @pytest.mark.parametrize(
        "kind", [Kind.VOXEL_SPACING, Kind.TOMOGRAM, Kind.FEATURES, Kind.PICKS, Kind.MESH, Kind.SEGMENTATION]
    )
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

        assert (caught.value.key, caught.value.layer) == (key, layer.name)  # type: ignore[attr-defined]

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
