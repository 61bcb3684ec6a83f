"""Checks of listing, existence, and names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from copick_core.errors import InvalidNameError
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.layer_base import ALL_KINDS, CONTAINER_KINDS, FILE_KINDS, LayerChecks
from copick_core.testing.model import Model
from copick_core.tree.keys import ROOT, FeaturesKey, Key, Kind, PicksKey, RunKey, TomogramKey, VoxelSpacingKey

UNKNOWN_PARENT = "An unknown parent, or one without such entities, gives nothing; it is never an error."
ONCE = "a listing yields each entity once, in any order"
IN_ITS_LISTING = "keys in, keys out"
OWN_WRITES = "What a layer has written or deleted itself shows at once, in its listings too."
HOLDER_EXISTS = "A container that holds something exists, whether or not it was made with ensure()."
NAMES = "Names are taken as they are: no character of them is a pattern, a separator or an escape."
FOREIGN = "Whatever lies in a place and is not an entity is left out of listings; it is never an error."
MANY = "List the entities of a kind below many parents; remote layers overlap their requests."
RUNS = "Enclose lists of all that is below many runs, which a layer may ask for together, and answer as of the beginning."


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

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(RUNS)
    def test_lists_of_runs_that_are_listed_as_wholes_are_the_same(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        runs = [RunKey("TS_1"), RunKey("TS_2"), RunKey("unknown")]
        for run in runs[:2]:
            samples.fill(layer, samples.key(kind, run.name))
        parents = [*dict.fromkeys(samples.parents(kind, run.name) for run in runs[:2])]
        expected = {parent: {*layer.list(kind, parent)} for parent in parents}
        layer.forget(ROOT)

        with layer.listing_runs(runs):
            found = {parent: {*layer.list(kind, parent)} for parent in parents}
            many = {parent: {*keys} for parent, keys in layer.list_many(kind, parents).items()}

        assert found == many == expected

    @promises(MANY)
    def test_list_many_of_no_parents_is_empty(self, layer: Layer) -> None:
        assert dict(layer.list_many(Kind.PICKS, [])) == {}

    @pytest.mark.parametrize("path", samples.FOREIGN_FILES)
    @pytest.mark.filterwarnings("ignore:.*have underscores in parts of their names")
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
        try:
            layer.ensure(RunKey(run))
        except InvalidNameError:
            assert (self.any_run_name, [*layer.list(Kind.RUN, ROOT)]) == (False, [])
            return
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
        for kind in [kind for kind in FILE_KINDS if kind in self.kinds]:
            key: Any = samples.key(kind)
            keys += [key._replace(user_id=name), key._replace(session_id=name)]
        for key in keys:
            samples.fill(layer, key)

        for key in keys:
            assert key in [*layer.list(key.kind, key.parent)], f"{key} is not listed"
            assert samples.holds(layer, key), f"{key} does not hold what was stored"
