"""Filaments of a run: what is read when, what is kept, what is refused, and where they are in a project."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import copick_core
from copick_core.errors import ConflictError, FilamentNotFoundError, InvalidDataError, ReadOnlyError
from copick_core.models import CopickFilament, CopickFilamentsFile, FilamentSpec, PickableObject
from copick_core.overlay import CopickFilamentsOverlay
from copick_core.testing import samples
from copick_core.tree.keys import Kind, RunKey
from support.path_layer import DictPathLayer

LINE = [[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [20.0, 0.0, 0.0]]
CORNER = [[0.0, 0.0, 0.0], [100.0, 0.0, 0.0], [100.0, 60.0, 0.0]]
SPEC = {"copick": {"filament": {"polar": True}}}
OBJECTS = [
    {"name": "microtubule", "is_particle": True, "label": 1, "metadata": SPEC},
    {"name": "ribosome", "is_particle": True, "label": 2},
]


@pytest.fixture
def config(project_config):
    return project_config(pickable_objects=OBJECTS)


@pytest.fixture
def root(config):
    return copick_core.open(config)


@pytest.fixture
def filaments(root):
    return root.new_run("TS_1").new_filaments("microtubule", "1")


def place(root) -> Path:
    return Path(root.config.overlay_root) / "ExperimentRuns" / "TS_1" / "Filaments" / "alice_1_microtubule.json"


def again(root):
    return copick_core.open(root.config.file_content()).get_run("TS_1").filaments[0]


# ------------------------------------------------------------------------------------------------------------- content


def test_they_are_stored_where_the_released_library_looks(root, filaments):
    assert json.loads(place(root).read_text()) == {
        "pickable_object_name": "microtubule",
        "user_id": "alice",
        "session_id": "1",
        "run_name": "TS_1",
        "voxel_spacing": None,
        "unit": "angstrom",
        "version": 1,
        "filaments": [],
    }


def test_nothing_is_read_before_it_is_used(root, filaments):
    filaments.from_numpy([LINE])
    mine = again(root)

    assert mine.meta.filaments == []
    assert "len(filaments)=None" in repr(mine)
    assert len(mine.filaments) == 1
    assert "len(filaments)=1" in repr(mine)


def test_a_list_that_was_edited_in_place_is_stored(root, filaments):
    filaments.filaments.append(CopickFilament(instance_id=3, points=LINE))
    filaments.store()
    filaments.filaments.append(CopickFilament(instance_id=5, points=LINE))
    filaments.store()

    assert again(root).instance_ids().tolist() == [3, 5]


def test_two_filaments_of_one_id_are_refused(root, filaments):
    filaments.from_numpy([LINE])

    with pytest.raises(InvalidDataError) as caught:
        filaments.filaments = [*filaments.filaments, CopickFilament(instance_id=1, points=LINE)]

    assert caught.value.index == 1
    filaments.filaments.append(CopickFilament(instance_id=1, points=LINE))
    with pytest.raises(InvalidDataError, match="instance_id 1"):
        filaments.store()
    assert again(root).instance_ids().tolist() == [1]


def test_filaments_are_made_and_filled_in_one_step(root):
    run = root.new_run("TS_1")

    run.new_filaments("microtubule", "1", polylines=[LINE, CORNER], scores=[0.25, 0.5], radii=[None, 120.0])

    found = again(root).filaments[0]
    assert (found.points, found.score) == ([tuple(p) for p in LINE], 0.25)
    assert [f.radius for f in again(root).filaments] == [None, 120.0]


def test_curves_are_made_and_filled_in_one_step(root):
    curve = {"kind": "linear", "control_points": CORNER, "step": 30.0}

    root.new_run("TS_1").new_filaments("microtubule", "1", curves=[curve], voxel_spacing=10.0)

    assert len(again(root).filaments[0].points) == 7
    assert again(root).voxel_spacing == 10.0


@pytest.mark.parametrize(
    "content",
    [
        {"polylines": [LINE[:1]]},
        {"polylines": [LINE], "scores": [1.0, 2.0]},
        {"scores": [1.0]},
        {"polylines": [LINE], "curves": [{"kind": "linear", "control_points": CORNER, "step": 30.0}]},
    ],
)
def test_filaments_that_cannot_be_filled_are_not_made(root, content):
    run = root.new_run("TS_1")

    with pytest.raises(InvalidDataError):
        run.new_filaments("microtubule", "1", **content)

    assert run.filaments == []
    assert not place(root).exists()


def test_filaments_that_exist_are_replaced_in_one_step(root, filaments):
    filaments.from_numpy([LINE])

    filaments.run.new_filaments("microtubule", "1", exist_ok=True, polylines=[CORNER])

    assert again(root).filaments[0].points == [tuple(p) for p in CORNER]


def test_a_filament_is_got_by_its_id(filaments):
    filaments.from_numpy([LINE, CORNER], [7, 4])

    assert filaments.get(4) is filaments.filaments[1]
    assert filaments.get(5) is None


def test_a_curve_to_edit_has_the_step_of_the_voxel_spacing(filaments):
    filaments.from_numpy([np.array(CORNER) * 2], voxel_spacing=20)

    assert filaments.editable_curve(1).step == 20


def test_ids_are_integers_even_of_none(filaments):
    assert (filaments.instance_ids().dtype, filaments.instance_ids().tolist()) == (np.int64, [])


def test_the_curve_of_an_unknown_id_is_told_with_those_that_there_are(filaments):
    filaments.from_numpy([LINE], [7])

    with pytest.raises(KeyError, match="their ids are 7") as caught:
        filaments.editable_curve(2)

    assert isinstance(caught.value, FilamentNotFoundError)
    assert (caught.value.instance_id, caught.value.instance_ids) == (2, [7])


def test_control_points_need_a_step(filaments):
    with pytest.raises(InvalidDataError, match="pass step or voxel_spacing"):
        filaments.from_control_points([CORNER])


def test_the_step_is_the_stored_voxel_spacing_where_none_is_given(root, filaments):
    filaments.from_numpy([], voxel_spacing=25)
    mine = again(root)

    mine.from_control_points([CORNER], kind="linear")

    assert (mine.voxel_spacing, mine.filaments[0].curve.step) == (25, 25)
    assert mine.filaments[0].curve.alpha is None


def test_control_points_are_none_where_the_curve_is_outdated(filaments):
    filaments.from_control_points([CORNER, CORNER], step=30)
    filaments.filaments[1].points = LINE

    assert [points if points is None else points.tolist() for points in filaments.control_points()] == [CORNER, None]


@pytest.mark.parametrize("curves", [[{"kind": "nurbs", "control_points": LINE, "step": 1}], [{"kind": "linear"}]], ids=str)
def test_a_curve_that_cannot_be_evaluated_is_named(filaments, curves):
    good = {"kind": "linear", "control_points": LINE, "step": 5}

    with pytest.raises(InvalidDataError) as caught:
        filaments.from_curves([good, *curves])

    assert caught.value.index == 1


def test_curves_are_evaluated_and_kept(root, filaments):
    knots = [0] * 4 + [1] * 4
    arch = [[0, 0, 0], [10, 30, 0], [60, 30, 0], [90, 0, 0]]
    curve = {"kind": "bspline", "control_points": arch, "step": 25, "degree": 3, "knots": knots, "fit": "a"}

    filaments.from_curves([curve], scores=[0.5])

    [mine] = again(root).filaments
    assert (len(mine.points), mine.score, mine.curve.model_dump()["fit"]) == (6, 0.5, "a")
    assert mine.curve_is_current()


def test_an_outdated_curve_is_left_out_with_a_message_in_the_log(root, filaments, caplog):
    filaments.from_control_points([CORNER, CORNER], step=30)
    filaments.filaments[1].points = LINE

    filaments.store()

    assert [f.curve is None for f in filaments.filaments] == [f.curve is None for f in again(root).filaments] == [False, True]
    assert "the curve of filament 2 does not describe its points" in caplog.text


def test_a_curve_of_an_unknown_kind_is_kept(root, filaments):
    curve = {"kind": "nurbs", "control_points": CORNER, "step": 1.0, "weights": [1, 2, 3]}
    filaments.filaments = [CopickFilament(instance_id=1, points=LINE, curve=curve)]
    filaments.store()

    mine = again(root)
    mine.store()

    stored = json.loads(place(root).read_text())["filaments"][0]
    assert stored["curve"] == curve


def test_nothing_is_lost_where_storing_fails(root, filaments):
    filaments.from_control_points([CORNER, CORNER], step=30)
    before = place(root).read_bytes()
    filaments.filaments[0].points = LINE
    filaments.filaments[1].points[0] = (float("nan"), 0, 0)

    with pytest.raises(InvalidDataError) as caught:
        filaments.store()

    assert caught.value.index == 1
    assert place(root).read_bytes() == before
    assert filaments.filaments[0].curve is not None


# -------------------------------------------------------------------------------------------------------------- storage


def write(root, **fields):
    content = json.loads(place(root).read_text())
    place(root).write_text(json.dumps({**content, **fields}))


def test_what_other_programs_wrote_is_kept(root, filaments):
    write(root, history=["a"], filaments=[{"instance_id": 2, "points": LINE, "lumen": 3}], version=2)

    again(root).store()
    mine = again(root)
    mine.filaments[0].score = 0.5
    mine.store()

    stored = json.loads(place(root).read_text())
    assert (stored["history"], stored["version"], stored["filaments"][0]["lumen"]) == (["a"], 2, 3)
    assert stored["filaments"][0]["score"] == 0.5


def test_a_header_that_is_set_before_reading_keeps_the_filaments(root, filaments):
    filaments.from_numpy([LINE])
    mine = again(root)

    mine.meta.voxel_spacing = 10.0
    mine.store()

    assert (again(root).voxel_spacing, len(again(root).filaments)) == (10.0, 1)


def test_a_whole_file_can_be_assigned(root, filaments):
    names = {"pickable_object_name": "microtubule", "user_id": "alice", "session_id": "1"}
    filaments.meta = CopickFilamentsFile(**names, voxel_spacing=5, filaments=[{"instance_id": 9, "points": LINE}])
    filaments.store()

    assert (again(root).voxel_spacing, again(root).instance_ids().tolist()) == (5, [9])


@pytest.mark.parametrize(("named", "stored"), [(None, "TS_1"), ("TS_1 elsewhere", "TS_1 elsewhere")])
def test_a_file_is_stored_with_the_run_that_it_names_or_else_belongs_to(root, filaments, named, stored):
    names = {"pickable_object_name": "microtubule", "user_id": "alice", "session_id": "1"}
    filaments.meta = CopickFilamentsFile(**names, run_name=named)
    filaments.store()

    assert again(root).load().run_name == stored


def test_the_name_of_a_file_is_believed_with_a_warning(root, filaments):
    write(root, user_id="bob")

    with pytest.warns(UserWarning, match="user_id='bob'; its name is believed"):
        mine = again(root).load()

    assert mine.user_id == "alice"


@pytest.mark.parametrize("store", [lambda f: setattr(f, "filaments", []) or f.store(), lambda f: f.from_numpy([LINE])])
def test_who_replaces_unseen_what_somebody_else_stored_meanwhile_gets_a_conflict(root, filaments, store):
    hers = again(root)
    hers.load()
    filaments.from_numpy([LINE])

    with pytest.raises(ConflictError):
        store(hers)

    hers.refresh()
    store(hers)


def test_a_damaged_file_is_told_and_can_be_replaced(root, filaments):
    place(root).write_text("{")

    with pytest.raises(InvalidDataError, match="not valid JSON"):
        _ = again(root).filaments
    mine = again(root)
    with pytest.warns(UserWarning, match="It will be replaced"):
        mine.from_numpy([LINE])

    assert len(again(root).filaments) == 1


def test_deleted_filaments_are_gone_from_the_run_and_from_disk(root, filaments):
    run = filaments.run

    run.delete_filaments(object_name="microtubule", user_id="alice", session_id="1")

    assert (run.filaments, run.get_filaments("microtubule", "alice", "1"), place(root).exists()) == ([], [], False)


def test_filaments_go_to_other_processes_with_their_edits(root, filaments):
    filaments.from_numpy([LINE])
    filaments.filaments[0].score = 0.25

    sent = pickle.loads(pickle.dumps(filaments))

    assert (sent.filaments[0].score, sent.key, again(root).filaments[0].score) == (0.25, filaments.key, 1.0)
    assert pickle.loads(pickle.dumps(again(root))).filaments[0].score == 1.0


def test_filaments_of_a_reference_are_copied_byte_for_byte_before_they_are_changed(root, filaments, project_config):
    write(root, history=["a"])
    layered = copick_core.open(project_config("mine", "overlay", pickable_objects=OBJECTS))
    run = layered.get_run("TS_1")
    [static] = run.filaments

    with pytest.raises(ReadOnlyError, match="static"):
        static.from_numpy([LINE])
    with pytest.raises(ReadOnlyError, match="static"):
        static.delete()
    copy = run.new_filaments("microtubule", "1", exist_ok=True)

    assert (copy.layer, [f.layer for f in run.filaments]) == ("overlay", ["static", "overlay"])
    assert copy.fs.cat_file(copy.path) == place(root).read_bytes()
    copy.from_numpy([LINE])
    assert (static.load().filaments, len(copy.filaments)) == ([], 1)


def test_filaments_know_their_files(root, filaments):
    assert (filaments.path, filaments.filename) == (str(place(root)), "alice_1_microtubule.json")
    assert isinstance(filaments, CopickFilamentsOverlay)


# -------------------------------------------------------------------------------------------------------------- objects


def test_an_object_is_declared_a_filament(root, tmp_path):
    new = root.new_object("actin", True, filament={"helical_rise_a": 27.5})
    root.save_config(tmp_path / "config.json")

    reopened = copick_core.open(tmp_path / "config.json").get_object("actin")

    assert (new.is_filament, reopened.filament) == (True, FilamentSpec(helical_rise_a=27.5))
    assert reopened.metadata == {"copick": {"filament": {"helical_rise_a": 27.5}}}
    assert (root.get_object("ribosome").filament, root.get_object("ribosome").is_filament) == (None, False)


def test_a_declaration_is_changed_and_the_other_metadata_stay(root):
    changed = root.new_object("microtubule", True, exist_ok=True, radius=125, filament=FilamentSpec(polar=False))

    assert (changed.filament.polar, changed.radius) == (False, 125)
    with_others = root.new_object("actin", True, metadata={"copick": {"x": 1}, "y": 2}, filament={})
    assert with_others.metadata == {"copick": {"x": 1, "filament": {}}, "y": 2}


def test_a_declaration_is_set_and_removed():
    declared = PickableObject(name="mt", is_particle=True, metadata={"copick": {"x": 1}})

    declared.set_filament({"polar": True, "note": "13 pf"})
    assert declared.metadata == {"copick": {"x": 1, "filament": {"polar": True, "note": "13 pf"}}}
    declared.set_filament(None)
    assert (declared.metadata, declared.is_filament) == ({"copick": {"x": 1}}, False)


@pytest.mark.parametrize("spec", [{"helical_rise_a": 0}, {"polar": "maybe"}, 3], ids=str)
def test_an_impossible_declaration_is_refused_and_changes_nothing(spec):
    declared = PickableObject(name="mt", is_particle=True)

    with pytest.raises(ValidationError):
        declared.set_filament(spec)

    assert declared.metadata == {}


@pytest.mark.parametrize("spec", [{"polar": True}, {}])
def test_what_is_no_particle_is_no_filament(root, spec):
    with pytest.raises(ValidationError, match="is_particle must be True"):
        root.new_object("membrane", False, filament=spec)


def test_what_is_no_mapping_under_the_reserved_key_is_left_alone():
    other = PickableObject(name="mt", is_particle=False, metadata={"copick": "mine"})

    assert (other.filament, other.metadata) == (None, {"copick": "mine"})
    with pytest.raises(InvalidDataError, match="reserved for a mapping"):
        other.set_filament({})


def test_filaments_of_an_object_that_is_not_declared_one_are_noted_in_the_log(root, caplog):
    root.new_run("TS_1").new_filaments("ribosome", "1")
    assert "'ribosome' is not declared a filament" in caplog.text


def test_filaments_of_a_declared_object_are_not_noted(root, filaments, caplog):
    with caplog.at_level(logging.WARNING):
        filaments.run.new_filaments("microtubule", "2")

    assert caplog.text == ""


# ------------------------------------------------------------------------------------------------------- whole projects


class Asked(DictPathLayer):
    """Notes the folders that it lists."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = []

    def list_folder(self, path):
        self.asked.append(path)
        return super().list_folder(path)


def test_a_folder_of_filaments_is_asked_only_where_the_run_has_one():
    layer = Asked()
    for run in ("TS_1", "TS_2"):
        samples.fill(layer, samples.key(Kind.PICKS, run))
    samples.fill(layer, samples.key(Kind.FILAMENTS, "TS_2"))
    layer.reconnect()
    runs = [RunKey("TS_1"), RunKey("TS_2")]
    for kind in (Kind.VOXEL_SPACING, Kind.PICKS, Kind.SEGMENTATION):
        layer.list_many(kind, runs)
    layer.asked.clear()

    many = layer.list_many(Kind.FILAMENTS, runs)
    one_by_one = [*layer.list(Kind.FILAMENTS, runs[0])]

    assert layer.asked == ["ExperimentRuns/TS_2/Filaments"]
    assert (many, one_by_one) == ({runs[0]: [], runs[1]: [samples.key(Kind.FILAMENTS, "TS_2")]}, [])


def test_a_project_is_copied_with_its_filaments(root, filaments):
    filaments.from_control_points([CORNER], step=30)
    write(root, history=["a"])
    target = copick_core.open({"config_type": "memory", "pickable_objects": []})

    report = copick_core.copy_project(root, target, verify=True)

    assert filaments.key in report.verified
    overlay = target.layers.overlay
    assert overlay.read(filaments.key) == place(root).read_bytes()
    assert target.get_object("microtubule").is_filament


def test_a_guessed_project_has_the_objects_of_its_filaments(root, filaments):
    with pytest.warns(UserWarning, match="microtubule|objects"):
        guessed = copick_core.open(root.config.overlay_root)

    assert [(o.name, o.is_particle) for o in guessed.pickable_objects] == [("microtubule", True)]
    assert len(guessed.get_run("TS_1").filaments) == 1
