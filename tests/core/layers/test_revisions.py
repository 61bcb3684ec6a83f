"""Changes that this process has made are counted, whoever asks."""

from copick_core.layers import revisions
from copick_core.layers.revisions import changes, note_change
from copick_core.tree.keys import FeaturesKey, RunKey, TomogramKey, VoxelSpacingKey
from support.locks import waits_for

TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")


def test_a_change_of_what_holds_an_entity_is_one_of_the_entity():
    for changed in (RunKey("TS_1"), VoxelSpacingKey("TS_1", 10.0), TOMOGRAM):
        before = changes(TOMOGRAM)

        note_change(changed)

        assert changes(TOMOGRAM) != before


def test_a_change_elsewhere_or_below_is_none_of_the_entity():
    before = changes(TOMOGRAM)

    for other in (RunKey("TS_2"), TomogramKey("TS_1", 10.0, "other"), FeaturesKey("TS_1", 10.0, "wbp", "sobel")):
        note_change(other)

    assert changes(TOMOGRAM) == before


def test_changes_of_several_threads_are_counted_one_after_another():
    assert waits_for(revisions._changes_lock, lambda: note_change(TOMOGRAM))
