"""Checks of what tells caches and indexes about a place: its name, and whether listings may have changed."""

from __future__ import annotations

import time
from collections.abc import Hashable

import pytest

from copick_core.errors import redacted
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.layer_base import LayerChecks
from copick_core.tree.keys import ROOT, Kind, RootKey, RunKey

ONE_PLACE = (
    "Two layers with one text hold the same entities under the same keys, in whatever process or project; caches that outlive "
    "the process go by it."
)
SAFE_TO_SHOW = "It holds no secret."
NO_PROMISE = "None, the default, where the layer cannot promise that."
CHANGES = (
    "What differs after an entity was added to a run or deleted from it, by whomever; of the project, a run or an object."
)
RECENT = (
    "None, the default, where the layer cannot tell without listing, and where something has changed so recently that another "
    "change might not show."
)

#: How long a layer may call a change recent, in seconds; checks wait no longer.
LONGEST = 10.0


class PlaceChecks(LayerChecks):
    """Names of places, and versions of listings."""

    def named(self, layer: Layer) -> str:
        """What the place is called, or skip."""
        place = layer.place_id()
        if place is None:
            pytest.skip("the place has no name")
        return place

    def settled(self, layer: Layer, parent: RunKey | RootKey) -> Hashable:
        """The version of a listing as soon as its last change is no longer recent, or skip."""
        give_up = time.monotonic() + LONGEST
        while (found := layer.listing_version(parent)) is None and time.monotonic() < give_up:
            time.sleep(0.05)
        if found is None:
            pytest.skip("the layer cannot tell whether listings changed")
        return found

    def telling(self, layer: Layer) -> None:
        """Skip unless the layer tells whether listings changed: it then does of an empty place."""
        if layer.listing_version(ROOT) is None:
            pytest.skip("the layer cannot tell whether listings changed")

    @promises(ONE_PLACE)
    def test_layers_on_one_place_have_one_name_and_the_same_entities(self, layer: Layer) -> None:
        self.need(Kind.RUN)
        place = self.named(layer)
        samples.fill(layer, RunKey("TS_1"))

        other = self.other(layer)

        assert other.place_id() == layer.place_id() == place
        assert [*other.list(Kind.RUN, ROOT)] == [RunKey("TS_1")]

    @promises(SAFE_TO_SHOW)
    def test_the_name_of_the_place_holds_no_password(self, layer: Layer) -> None:
        place = self.named(layer)

        assert redacted(place) == place

    @promises(NO_PROMISE)
    def test_a_place_that_no_other_process_sees_has_no_name(self, layer: Layer) -> None:
        if layer.process_bound is None:
            pytest.skip("other processes can open the place")

        assert layer.place_id() is None

    @promises(CHANGES)
    def test_the_version_of_the_project_differs_after_somebody_adds_or_deletes_a_run(self, layer: Layer) -> None:
        self.need(Kind.RUN)
        self.telling(layer)
        other = self.reopen(layer) if self.can_reopen else layer
        before = self.settled(layer, ROOT)

        samples.fill(other, RunKey("TS_1"))
        between = self.settled(layer, ROOT)
        other.delete(RunKey("TS_1"))

        assert between != before
        assert layer.listing_version(ROOT) != between

    @promises(CHANGES)
    def test_the_version_of_a_run_differs_after_somebody_adds_picks(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        self.telling(layer)
        other = self.reopen(layer) if self.can_reopen else layer
        first, second = samples.siblings(Kind.PICKS)[:2]
        samples.fill(other, first)
        before = self.settled(layer, RunKey("TS_1"))

        samples.fill(other, second)

        assert layer.listing_version(RunKey("TS_1")) != before

    @promises(RECENT)
    def test_changes_that_follow_each_other_closely_are_told_apart_or_not_told_at_all(self, layer: Layer) -> None:
        self.need(Kind.RUN)
        seen = [layer.listing_version(ROOT)]

        for n in range(20):
            samples.fill(layer, RunKey(f"TS_{n}"))
            seen.append(layer.listing_version(ROOT))

        told = [version for version in seen if version is not None]
        assert len({*told}) == len(told)
