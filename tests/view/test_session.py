"""A run that is open in the page, without a browser: what changes in the viewer's state does to picks, and the other way."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

import copick_core

pytest.importorskip("neuroglancer", reason="neuroglancer is not installed (copick-core[view])")

from copick_core.errors import AddressError, InvalidDataError, NotFoundError
from copick_core.tree.addresses import address_of
from copick_core.tree.keys import RunKey
from copick_view.viewer.drafts import Difference, Left
from copick_view.viewer.links import page_of, run_in
from copick_view.viewer.questions import about_a_draft
from copick_view.viewer.scene import Sources
from copick_view.viewer.serving import PageServer

OWN, TOOL = "ribosome:alice/1", "ribosome:tool/0"


@pytest.fixture
def server(shared_project, tmp_path):
    """The page of alice."""
    with PageServer(copick_core.open(shared_project("alice")), drafts=tmp_path / "drafts") as server:
        yield server


@pytest.fixture
def session(server):
    """The run as it is open in the page of alice; its thread rests, so that tests say when it looks."""
    session = server.session("TS_1", f"127.0.0.1:{server.port}")
    session.close()
    return session


@pytest.fixture
def bob(shared_project):
    """The run, as bob has it."""
    return copick_core.open(shared_project("bob")).get_run("TS_1")


def _layer(session, name):
    return next(layer for layer in session.drawing.layers if layer["name"] == name)


def _in_page(session, name, change):
    """Change the annotations of a layer as the page does."""
    raw = copy.deepcopy(session.drawing.viewer.shared_state.raw_state)
    layer = next(layer for layer in raw["layers"] if layer["name"] == name)
    layer["annotations"] = change(layer.get("annotations", []))
    session.drawing.viewer.set_state(json.loads(json.dumps(raw)))
    session.take_over()


def _click(session, name, *place):
    _in_page(session, name, lambda old: [*old, {"type": "point", "id": f"new{len(old)}", "point": [*place]}])


def _alice(shared_project, session="1"):
    found = copick_core.open(shared_project("alice")).get_run("TS_1").get_picks("ribosome", "alice", session)
    return found[0].numpy()[0].tolist() if found else None


def test_neuroglancer_understands_the_state(session):
    state = session.drawing.viewer.state

    assert [layer.name for layer in state.layers] == [
        "wbp@13.5",
        "all:tool/0@13.5?multilabel=true",
        "membrane:tool/0 mesh",
        OWN,
        TOOL,
    ]
    assert state.layers[OWN].layer.to_json()["tool"] == "annotatePoint"
    assert state.position.tolist() == [27.5, 19.5, 11.5]


def test_layers_have_the_colors_of_the_objects(session):
    assert _layer(session, OWN)["annotationColor"] == "#e63c3c"
    assert _layer(session, "all:tool/0@13.5?multilabel=true")["segmentColors"] == {
        "1": "#e63c3c",
        "2": "#3ca0e6",
        "7": "#646464",
    }


def test_an_added_point_is_drawn_with_the_radius_of_its_object_and_stored_when_asked(session, shared_project):
    _click(session, OWN, 100.0, 110.0, 120.0)

    assert session.panel()["unsaved"] == {"ribosome": "1 added"}
    assert _alice(shared_project) == [[300.0, 200.0, 100.0]]
    assert session.store()
    assert _alice(shared_project) == [[300.0, 200.0, 100.0], [100.0, 110.0, 120.0]]
    assert session.panel()["unsaved"] == {}
    assert _layer(session, OWN)["annotations"][-1] == {
        "type": "ellipsoid",
        "id": "p1",
        "center": [100.0, 110.0, 120.0],
        "radii": [120.0] * 3,
    }


def test_steps_of_one_movement_are_undone_together(session):
    for x in (301.0, 302.0, 303.0):
        _in_page(session, OWN, lambda old, x=x: [{**old[0], "center": [x, 200.0, 100.0]}])

    session.undo()

    assert _layer(session, OWN)["annotations"][0]["center"] == [300.0, 200.0, 100.0]
    assert session.panel()["unsaved"] == {}


def test_a_change_of_read_only_picks_is_shown_as_a_question_and_done_to_a_copy(session, shared_project):
    _in_page(session, TOOL, lambda old: old[1:])

    assert len(_layer(session, TOOL)["annotations"]) == 2
    question = session.panel()["question"]
    assert question["kind"] == "copy"
    assert "read-only, in layer 'static'" in question["text"]
    session.answer(question["number"], "yes")
    assert session.panel()["unsaved"] == {"ribosome": "1 added"}
    assert _layer(session, TOOL)["visible"] is False
    assert session.store()
    assert _alice(shared_project) == [[300.0, 200.0, 100.0], [400.0, 300.0, 200.0]]


def test_no_leaves_read_only_picks_and_own_ones_as_they_are(session):
    session.copy_list(TOOL)

    session.answer(session.question.number, "no")

    assert (session.panel()["unsaved"], session.question) == ({}, None)


def test_what_somebody_else_stores_appears_and_is_marked(session, bob):
    bob.new_picks("proteasome", "7", "bob", positions=[[10.0, 20.0, 30.0]])

    session._others_stored(session._watch.look(now=True))

    listed = {found["name"]: found for found in session.panel()["lists"]}
    assert (listed["proteasome:bob/7"]["new"], listed["proteasome:bob/7"]["count"]) == (True, 1)
    assert _layer(session, "proteasome:bob/7")["annotations"][0]["point"] == [10.0, 20.0, 30.0]
    assert session.messages == ["proteasome:bob/7 was stored just now."]


def test_what_somebody_else_changes_and_deletes_is_followed(session, bob):
    picks = bob.new_picks("proteasome", "7", "bob", positions=[[10.0, 20.0, 30.0]])
    session._others_stored(session._watch.look(now=True))

    picks.from_numpy([[10.0, 20.0, 30.0], [1.0, 2.0, 3.0]])
    session._others_stored(session._watch.look(now=True))
    assert session.lists.get("proteasome:bob/7").points["p1"].location.z == 3.0

    picks.delete()
    session._others_stored(session._watch.look(now=True))
    assert session.lists.get("proteasome:bob/7") is None


def test_edits_are_kept_when_somebody_else_stores(session, bob):
    _click(session, OWN, 100.0, 110.0, 120.0)

    bob.new_picks("ribosome", "1", "bob", positions=[[10.0, 20.0, 30.0]])
    session._others_stored(session._watch.look(now=True))

    assert session.panel()["unsaved"] == {"ribosome": "1 added"}
    assert len(_layer(session, OWN)["annotations"]) == 2


def test_own_picks_that_another_page_stored_are_read_again(session, shared_project):
    other = copick_core.open(shared_project("alice")).get_run("TS_1").get_picks("ribosome", "alice")[0]
    other.from_numpy([[7.0, 8.0, 9.0]])

    session._others_stored(session._watch.look(now=True))

    assert _layer(session, OWN)["annotations"][0]["center"] == [7.0, 8.0, 9.0]


@pytest.fixture
def conflict(session, shared_project):
    """A page whose edits cannot be stored, because another one has stored meanwhile."""
    _click(session, OWN, 100.0, 110.0, 120.0)
    other = copick_core.open(shared_project("alice")).get_run("TS_1").get_picks("ribosome", "alice")[0]
    other.from_numpy([[7.0, 8.0, 9.0]])
    assert not session.store()
    return session


def test_a_conflict_is_shown_with_a_choice(conflict, shared_project):
    question = conflict.panel()["question"]

    assert (question["kind"], [*question["choices"]]) == ("conflict", ["reload", "save", "no"])
    assert _alice(shared_project) == [[7.0, 8.0, 9.0]]
    assert conflict.panel()["unsaved"] == {"ribosome": "1 added"}


def test_reloading_after_a_conflict_shows_what_is_stored(conflict):
    conflict.answer(conflict.question.number, "reload")

    assert [a["center"] for a in _layer(conflict, OWN)["annotations"]] == [[7.0, 8.0, 9.0]]
    assert conflict.panel()["unsaved"] == {}


def test_saving_as_another_session_after_a_conflict_keeps_both(conflict, shared_project):
    conflict.answer(conflict.question.number, "save", "2")

    assert _alice(shared_project) == [[7.0, 8.0, 9.0]]
    assert _alice(shared_project, "2") == [[300.0, 200.0, 100.0], [100.0, 110.0, 120.0]]
    assert conflict.panel()["session"] == "2"


def test_a_session_that_exists_asks_again(conflict):
    conflict.answer(conflict.question.number, "save", "1")

    assert "already exists" in conflict.panel()["question"]["text"]


def test_points_are_assigned_and_deleted_by_selection(session):
    _click(session, OWN, 100.0, 110.0, 120.0)
    session.go_to(OWN, "new1")
    session.assign("proteasome")
    assert session.panel()["unsaved"] == {"proteasome": "1 added"}

    session.go_to(OWN, "p0")
    session.delete_selected()

    assert session.panel()["unsaved"] == {"ribosome": "1 deleted", "proteasome": "1 added"}


def test_one_click_leads_from_a_list_to_the_place(session):
    (row,) = session.points(OWN)["points"]
    assert row == ["p0", 300.0, 200.0, 100.0, 1.0, 0]

    session.go_to(OWN, row[0])

    assert session.drawing.viewer.state.position.tolist() == pytest.approx([300 / 13.5, 200 / 13.5, 100 / 13.5])
    assert session.drawing.selection() == {OWN: "p0"}


def test_a_layer_that_was_closed_in_the_viewer_deletes_no_points(session):
    raw = copy.deepcopy(session.drawing.viewer.shared_state.raw_state)
    raw["layers"] = [layer for layer in raw["layers"] if layer["name"] != OWN]
    session.drawing.viewer.set_state(raw)

    session.take_over()

    assert session.panel()["unsaved"] == {}


def test_a_project_that_cannot_be_written_says_so_and_takes_no_points(shared_project, tmp_path):
    config = shared_project("alice")
    config = {**config, "overlay": None, "static": [*config["static"], config["overlay"]]}
    with PageServer(copick_core.open(config), drafts=tmp_path / "drafts") as server:
        session = server.session("TS_1", "127.0.0.1:1")
        session.close()
        assert "no layer that can be written" in session.panel()["why_not"]

        _click(session, OWN, 100.0, 110.0, 120.0)

        assert len(_layer(session, OWN)["annotations"]) == 1
        assert "no layer that can be written" in session.messages[-1]


@pytest.mark.parametrize("choice", ["yes", "no"])
def test_own_picks_of_a_read_only_layer_are_copied_only_after_asking(shared_project, tmp_path, choice):
    with PageServer(copick_core.open(shared_project("tool", "0")), drafts=tmp_path / "drafts") as server:
        session = server.session("TS_1", "127.0.0.1:1")
        session.close()
        _click(session, TOOL, 100.0, 110.0, 120.0)

        assert not session.store()
        question = session.question
        assert "Read-only: ribosome:tool/0 in layer 'static'" in question.text
        session.answer(question.number, choice)

    layers = [p.layer for p in copick_core.open(shared_project("alice")).get_run("TS_1").get_picks("ribosome", "tool")]
    assert layers == (["static", "overlay"] if choice == "yes" else ["static"])


def test_a_run_that_is_prepared_is_open_when_the_page_asks(server):
    server.prepare("TS_1").join()

    assert [*server._sessions] == [("TS_1", f"127.0.0.1:{server.port}")]


def test_a_run_that_cannot_be_prepared_is_told_when_the_page_asks(server):
    server.prepare("nowhere").join()

    with pytest.raises(NotFoundError):
        server.session("nowhere", f"127.0.0.1:{server.port}")


def test_a_question_about_a_draft_tells_what_is_stored_already():
    left = Left(Path("draft"), "2026-01-31T12:00:00Z", {"virus": Difference(deleted=((1.0, 2.0, 3.0),))}, stored=("ribosome",))

    text = about_a_draft(left).text

    assert "ribosome is stored, the rest is not" in text
    assert "virus: 1 deleted" in text


def test_edits_that_were_not_stored_are_offered_at_the_next_start(session, shared_project, tmp_path):
    _click(session, OWN, 100.0, 110.0, 120.0)
    session.editor.close()
    with PageServer(copick_core.open(shared_project("alice")), drafts=tmp_path / "drafts") as server:
        again = server.session("TS_1", "127.0.0.1:1")
        again.close()
        assert again.question.kind == "draft"

        again.answer(again.question.number, "yes")

        assert again.panel()["unsaved"] == {"ribosome": "1 added"}
        assert _layer(again, OWN)["annotations"][-1]["center"] == [100.0, 110.0, 120.0]


def test_coordinates_count_voxels_of_the_finest_level_that_is_drawn(session):
    session.open_tomogram("TS_1/wbp@13.5", 1)

    state = session.drawing.viewer.state
    assert state.dimensions.scales.tolist() == pytest.approx([27e-10] * 3)
    assert state.position.tolist() == pytest.approx([13.75, 9.75, 5.75])
    with pytest.raises(InvalidDataError):
        session.open_tomogram("TS_1/other@13.5")


def test_a_view_is_restored(session):
    session.show(["wbp@13.5"], visible=False)
    session.go_to(OWN, "p0")
    session.choose("proteasome")
    view = json.loads(json.dumps(session.view()))
    session.show(["wbp@13.5"], visible=True)
    session.go_to(TOOL, "p1")
    session.choose("ribosome")

    session.restore_view(view)

    assert session.view() == view


def test_each_channel_of_a_panoptic_segmentation_is_a_layer_and_stays_as_the_user_sets_it(server, bob):
    channels = np.zeros((2, 24, 40, 56), np.uint8)
    channels[:, 3:6, 3:6, 3:6] = 1
    channels[1, 3:6, 3:6, 5] = 2
    segmentation = bob.new_segmentation(13.5, "all", "1", user_id="bob", is_panoptic=True)
    segmentation.from_numpy(channels)
    name = str(address_of(segmentation.key)).partition("/")[2]
    session = server.session("TS_1", f"127.0.0.1:{server.port}")
    session.close()

    found = [layer["name"] for layer in session.drawing.layers if layer["name"].startswith(name)]
    hidden = session.drawing.hidden
    raw = copy.deepcopy(session.drawing.viewer.shared_state.raw_state)
    for layer in raw["layers"]:
        layer.pop("visible", None)  # as the viewer tells that all are visible
    session.drawing.viewer.set_state(raw)
    session.choose("proteasome")

    assert found == [name, f"{name} instance"]
    assert hidden == {f"{name} instance"}
    assert session.drawing.hidden == set()


def test_states_of_review_are_shown_and_set(session):
    assert session.panel()["reviews"]["ribosome"]["state"] == "open"

    session.review("ribosome", "done")

    assert session.panel()["reviews"]["ribosome"]["state"] == "done"
    assert session.root.reviews.get("TS_1", "ribosome").by == "alice"


def test_addresses_lead_to_a_run_of_the_page(server):
    assert page_of(server.root, "TS_1") == "#TS_1"
    assert page_of(server.root, "TS_1/wbp@13.5").startswith("#TS_1!")
    with pytest.raises(AddressError):
        page_of(server.root, "*/wbp@13.5")
    with pytest.raises(NotFoundError):
        page_of(server.root, "TS_9/")


def test_what_other_layers_have_at_the_same_address_is_named_after_them_and_hidden_at_first(shared_project, tmp_path):
    config = shared_project("tool", "0")
    run = copick_core.open(config["overlay"] | {"pickable_objects": config["pickable_objects"]}).get_run("TS_1")
    run.new_voxel_spacing(13.5).new_tomogram("wbp").from_numpy(np.ones((24, 40, 56), np.float32))
    run.new_segmentation(13.5, "all", "0", True, "tool").from_numpy(np.ones((24, 40, 56), np.uint8))
    run.new_picks("ribosome", "0", "tool", positions=[[1.0, 2.0, 3.0]])
    with PageServer(copick_core.open(config), drafts=tmp_path / "drafts") as server:
        session = server.session("TS_1", f"127.0.0.1:{server.port}")
        session.close()
        panel = session.panel()

        session.open_tomogram("TS_1/wbp@13.5 in static")

        labels = "all:tool/0@13.5?multilabel=true"
        assert panel["tomograms"] == ["TS_1/wbp@13.5", "TS_1/wbp@13.5 in static"]
        assert (panel["tomogram"], session.view()["tomogram"]) == (panel["tomograms"][0], panel["tomograms"][1])
        assert {(s["name"], s["layer"]) for s in panel["layers"]} >= {(labels, "overlay"), (f"{labels} in static", "static")}
        assert [(s["name"], s["own"], s["covered"]) for s in panel["lists"]] == [
            (TOOL, True, False),
            (OWN, False, False),
            (f"{TOOL} in static", False, True),
        ]
        assert session.drawing.hidden >= {f"{labels} in static", f"{TOOL} in static"}
        assert not session.drawing.hidden & {labels, TOOL, OWN}


def test_the_run_of_a_link_is_found_again(server):
    name = "TS 1!#%2"
    server.root.new_run(name)

    assert run_in(page_of(server.root, str(address_of(RunKey(name))))) == name


def test_files_of_what_changes_with_each_edit_are_dropped_again():
    sources = Sources("http://127.0.0.1:1/")

    addresses = [sources.add_files({"info": f"{n}".encode()}, "ribosome axes") for n in (0, 1, 2, 2, 3)]
    mesh = sources.add_files({"info": b"mesh"})

    assert addresses[2] == addresses[3]
    names = [address.rpartition("/")[2] for address in (addresses[0], addresses[1], addresses[4], mesh)]
    assert [sources.file(name, "info") for name in names] == [None, b"1", b"3", b"mesh"]


def test_a_page_that_does_not_know_the_newest_state_loses_no_click(session):
    viewer = session.drawing.viewer
    seen, generation = viewer.shared_state.raw_state_and_generation
    clicked = copy.deepcopy(seen)
    layer = next(layer for layer in clicked["layers"] if layer["name"] == OWN)
    layer["annotations"].append({"type": "point", "id": "click", "point": [100.0, 110.0, 120.0]})
    session.show(["wbp@13.5"], visible=False)

    found = viewer.set_state(clicked, "page/1", existing_generation=generation)

    assert not found.startswith("page/")  # so the page is sent the state that has both
    assert _layer(session, "wbp@13.5")["visible"] is False
    session.take_over()
    assert session.panel()["unsaved"] == {"ribosome": "1 added"}
