"""Reviews that several people set at once, in projects of several layers, and what an error says of them."""

import json

import pytest

import copick_core
from copick_core.errors import ConflictError, InvalidDataError, NotFoundError, ReadOnlyError
from copick_core.layers import WrapperLayer
from copick_core.projects import reviews
from copick_core.projects.reviews import Review
from copick_core.tree.keys import RunKey
from support.objects import OBJECTS


@pytest.fixture
def root():
    root = copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "user_id": "alice"})
    for name in ("TS_1", "TS_2"):
        root.new_run(name)
    return root


def others_write(monkeypatch, times, do=lambda: None):
    """Somebody else is quicker, so many times."""
    written, left = reviews.write_document, [None] * times

    def write(*args):
        if left:
            left.pop()
            do()
            return False
        return written(*args)

    monkeypatch.setattr(reviews, "write_document", write)
    return left


def stored(root, run="TS_1"):
    return json.loads(root.layers.overlay.read_record(RunKey(run), "reviews")[0])["reviews"]


def test_a_review_is_set_after_somebody_else_was_quicker(root, monkeypatch):
    left = others_write(monkeypatch, 2)

    assert root.reviews.set("TS_1", "done", "ribosome").state == "done"
    assert left == []
    assert stored(root)["ribosome"]["state"] == "done"


def test_a_run_is_taken_after_somebody_else_was_quicker_with_another_object(root, monkeypatch):
    others_write(monkeypatch, 1)

    assert root.reviews.next("ribosome").run == "TS_1"


def test_a_run_that_somebody_else_takes_first_is_left_to_them(root, monkeypatch):
    written = reviews.write_document

    def take():
        document = {"reviews": {"ribosome": {"state": "taken", "by": "bob"}}}
        assert written(root.layers.overlay, RunKey("TS_1"), "reviews", document, None)

    others_write(monkeypatch, 1, take)

    assert root.reviews.next("ribosome").run == "TS_2"
    assert stored(root)["ribosome"]["by"] == "bob"


def test_after_very_many_attempts_it_is_a_conflict(root, monkeypatch):
    monkeypatch.setattr(reviews, "ATTEMPTS", 3)
    left = others_write(monkeypatch, 3)

    with pytest.raises(ConflictError) as caught:
        root.reviews.set("TS_1", "done")

    assert left == []
    assert (caught.value.key, caught.value.layer) == ("review of run 'TS_1'", "overlay")
    assert (caught.value.expected, caught.value.found) == ({}, {})


def test_a_run_that_can_never_be_taken_is_passed_by(root, monkeypatch):
    monkeypatch.setattr(reviews, "ATTEMPTS", 2)
    others_write(monkeypatch, 2)

    assert root.reviews.next().run == "TS_2"


def test_a_conflict_names_the_review_and_what_was_expected_and_found(root):
    other = reviews.Reviews(root)
    root.reviews.set("TS_1", "taken", "ribosome")
    other.get("TS_1")
    other.set("TS_1", "checked", "ribosome", by="bob")

    with pytest.raises(ConflictError, match=r"Read it again with root\.reviews\.get\(\)") as caught:
        root.reviews.set("TS_1", "done", "ribosome")

    error = caught.value
    assert (error.key, error.layer) == ("review of 'ribosome' in run 'TS_1'", "overlay")
    assert [(entry["state"], entry["by"]) for entry in (error.expected, error.found)] == [
        ("taken", "alice"),
        ("checked", "bob"),
    ]


def test_what_is_set_is_what_was_read(root):
    root.reviews.set("TS_1", "taken", "proteasome", by="bob")
    root.reviews.set("TS_1", "done", "ribosome")
    other = reviews.Reviews(root)
    other.get("TS_1")

    assert other.set("TS_1", "checked", "ribosome").state == "checked"
    assert other.set("TS_1", "rejected", "ribosome").state == "rejected"
    assert other.set("TS_1", "done", "proteasome").state == "done"


def test_a_note_is_stored_only_where_there_is_one(root):
    root.reviews.set("TS_1", "done", "ribosome", note="clean")
    root.reviews.set("TS_1", "done")

    assert stored(root)["ribosome"]["note"] == "clean"
    assert set(stored(root)[""]) == {"state", "by", "at"}
    assert root.reviews.get("TS_1").note == ""


def test_a_review_says_what_it_is():
    review = Review("TS_1", "ribosome", "done", "bob", "2026-01-31T12:00:00Z", "clean")

    assert str(review) == "ribosome: done by bob on 2026-01-31, clean"
    assert str(Review("TS_1", None, "open")) == "open"
    assert review.to_json() == {
        "run": "TS_1",
        "object_name": "ribosome",
        "state": "done",
        "by": "bob",
        "at": "2026-01-31T12:00:00Z",
        "note": "clean",
    }


@pytest.mark.parametrize("runs", [["TS_2"], ["TS_2", "TS_1"], []])
def test_reviews_of_some_runs_are_read_and_counted(root, runs):
    root.reviews.set("TS_1", "done")

    assert [*root.reviews.of(runs)] == runs
    assert sum(root.reviews.summary(runs)[""].values()) == len(runs)


def test_a_state_of_an_older_config_is_counted_too(root):
    root.layers.overlay.write_record(RunKey("TS_1"), "reviews", b'{"reviews": {"": {"state": "gold"}}}')
    root.layers.overlay.write_record(RunKey("TS_2"), "reviews", b'{"reviews": {"": {"state": "gold"}}}')

    assert root.reviews.summary()[""]["gold"] == 2
    assert root.reviews.get("TS_1") == Review("TS_1", None, "gold")


def test_a_state_that_there_is_not_is_answered_with_the_nearest(root):
    with pytest.raises(InvalidDataError) as caught:
        root.reviews.set("TS_1", "don")

    assert caught.value.source == "state"
    assert caught.value.reason == "'don' is not one of: open, taken, done, checked, rejected. Did you mean 'done'?"


def test_a_run_that_is_missing_is_named_with_the_layers(root):
    with pytest.raises(NotFoundError) as caught:
        root.reviews.set("TS_9", "done")

    assert (caught.value.key, caught.value.layer) == (RunKey("TS_9"), "overlay")


def test_a_review_of_nobody_is_refused_with_the_ways_out(root):
    root.config.user_id = None

    with pytest.raises(InvalidDataError) as caught:
        root.reviews.next()

    assert caught.value.source == "the review"
    assert caught.value.reason == "nobody sets it: pass by=, or set user_id in the configuration"


# -------------------------------------------------------------------------------------------------------------- layers


class WithoutRecords(WrapperLayer):
    keeps_records = False

    def read_record(self, run, name):
        raise AssertionError("nobody asks for records that are not kept")


def test_a_layer_that_keeps_no_records_is_not_asked_and_not_written(root):
    root.layers = type(root.layers)(overlay=WithoutRecords(root.layers.overlay))

    assert root.reviews.get("TS_1").state == "open"
    with pytest.raises(ReadOnlyError) as caught:
        root.reviews.set("TS_1", "done")

    assert (caught.value.subject, caught.value.reason) == (
        "The reviews of run 'TS_1'",
        "layer 'overlay' keeps no records.",
    )


def two_layers(project_config):
    """A project over another one, whose run TS_1 is taken as a whole and done for ribosomes."""
    below = copick_core.open(project_config("below"))
    below.new_run("TS_1")
    below.reviews.set("TS_1", "taken", by="bob")
    below.reviews.set("TS_1", "done", "ribosome", by="bob")
    return copick_core.open(project_config("overlay", "below"))


def test_the_overlay_stores_only_what_was_set_in_it(project_config):
    root = two_layers(project_config)

    root.reviews.set("TS_1", "checked", "proteasome")

    assert [*stored(root)] == ["proteasome"]
    assert {r.object_name: r.state for r in root.reviews.of()["TS_1"]} == {
        None: "taken",
        "ribosome": "done",
        "proteasome": "checked",
    }


def test_what_a_static_layer_says_is_expected_too(project_config):
    root = two_layers(project_config)
    other = copick_core.open(project_config("overlay", "below"))
    other.reviews.get("TS_1")

    assert root.reviews.next("proteasome") is None
    root.reviews.set("TS_1", "checked", "ribosome")
    with pytest.raises(ConflictError) as caught:
        other.reviews.set("TS_1", "rejected", "ribosome")

    assert (caught.value.expected["state"], caught.value.found["state"]) == ("done", "checked")


# --------------------------------------------------------------------------------------------------------------- copies


def copy_of(root):
    target = copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "user_id": "carol"})
    for run in root.runs:
        target.new_run(run.name)
    return target


def test_reviews_are_brought_after_somebody_else_was_quicker(root, monkeypatch):
    root.reviews.set("TS_1", "done", "ribosome")
    target = copy_of(root)
    left = others_write(monkeypatch, 2)

    target.reviews.bring(root.reviews, ["TS_1", "TS_2"])

    assert left == []
    assert stored(target) == stored(root)


def test_reviews_that_are_there_already_are_not_written_again(root, monkeypatch):
    root.reviews.set("TS_1", "done", "ribosome")
    target = copy_of(root)
    target.reviews.bring(root.reviews, ["TS_1"])
    left = others_write(monkeypatch, 1)

    target.reviews.bring(root.reviews, ["TS_1"])

    assert len(left) == 1


def test_what_others_have_written_beside_the_reviews_stays_when_some_are_brought(root):
    root.reviews.set("TS_1", "done", "ribosome")
    target = copy_of(root)
    target.layers.overlay.write_record(RunKey("TS_1"), "reviews", b'{"of": "others", "reviews": {}}')

    target.reviews.bring(root.reviews, ["TS_1"])

    assert json.loads(target.layers.overlay.read_record(RunKey("TS_1"), "reviews")[0])["of"] == "others"


def test_a_project_that_cannot_be_written_is_brought_nothing_where_there_is_nothing(root, project_config):
    copick_core.open(project_config("below")).new_run("TS_1")
    target = copick_core.open(project_config(None, "below"))

    target.reviews.bring(root.reviews, ["TS_1"])
    root.reviews.set("TS_1", "done")
    with pytest.raises(ReadOnlyError):
        target.reviews.bring(root.reviews, ["TS_1"])
