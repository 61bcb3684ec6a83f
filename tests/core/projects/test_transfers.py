"""What imports and exports of many files share: names of runs, frames, new files that appear whole, and reports."""

import os

import numpy as np
import pytest

import copick_core
from copick_core.errors import AlreadyExistsError, InvalidDataError
from copick_core.plugins.format_functions import Frame
from copick_core.projects.transfers import (
    RunNames,
    Transfer,
    TransferReport,
    entities_at,
    export_each,
    filled,
    find_run,
    frame_of,
    new_file,
    state_before,
    stem_of,
)
from copick_core.tree.addresses import address_of
from support.objects import OBJECTS


@pytest.fixture
def project():
    root = copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "user_id": "alice"})
    for name in ("TS_1", "TS_2"):
        root.new_run(name).new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    return root


def picks_of(root, *names):
    return [root.get_run(name).picks[0] for name in names]


# ------------------------------------------------------------------------------------------------------- names of runs


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("data/TS_1.mrc", "TS_1"),
        ("TS_1.mrc.gz", "TS_1"),
        ("TS_1.mrc.bz2", "TS_1"),
        ("TS_1.rec.mrc", "TS_1.rec"),
        ("data/TS_1.zarr/", "TS_1"),
        ("TS_1", "TS_1"),
    ],
)
def test_a_file_gives_its_run_its_name_without_suffix_and_packing(path, stem):
    assert stem_of(path) == stem


@pytest.mark.parametrize(
    ("rules", "run"),
    [
        (RunNames(), "TS_1_rec"),
        (RunNames(r"TS_\d"), "TS_1"),
        (RunNames(r"(TS)_(\d)", "grid-"), "grid-TS"),
        (RunNames(r"no match", "grid-", {"TS_1_rec": "first"}), "first"),
        (RunNames(None, "grid-", {"TS_2": "second"}), "grid-TS_1_rec"),
    ],
)
def test_a_run_is_named_by_the_first_rule_that_knows_it(rules, run):
    assert rules.of("TS_1_rec") == run


@pytest.mark.parametrize("regex", ["TS_9", "(x*)TS", "(9)?TS"], ids=["no match", "empty group", "group without part"])
def test_a_rule_that_gives_no_name_is_an_error_that_names_both(regex):
    with pytest.raises(InvalidDataError, match="does not match this name") as caught:
        RunNames(regex, "grid-").of("TS_1_rec")

    assert caught.value.source == "TS_1_rec"
    assert repr(regex) in str(caught.value)


def test_a_rule_that_is_no_regular_expression_is_refused_before_any_file():
    with pytest.raises(InvalidDataError, match=r"'\(TS' is not a regular expression") as caught:
        RunNames("(TS")

    assert caught.value.source == "run_regex"


def test_a_run_is_found_by_its_name_first_and_then_without_a_suffix(project):
    project.new_run("TS_2.tomostar")

    found = [find_run(project, name) for name in ("TS_1", "TS_1.tomostar", "TS_2.tomostar", "TS_9.tomostar", "TS_9")]

    assert [run and run.name for run in found] == ["TS_1", "TS_1", "TS_2.tomostar", None, None]


# -------------------------------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize(
    ("wanted", "frame"),
    [
        ({}, Frame((4, 6, 8), 5.0)),
        ({"voxel_size": 10.0, "tomo_type": "wbp"}, Frame((2, 3, 4), 10.0)),
        ({"voxel_size": 10.0}, Frame((2, 3, 5), 10.0)),  # the first by name
        ({"tomo_type": "denoised"}, Frame((2, 3, 5), 10.0)),
        ({"voxel_size": 10.0, "tomo_type": "denoised"}, Frame((2, 3, 5), 10.0)),
        ({"voxel_size": 20.0}, None),
        ({"voxel_size": 5.0, "tomo_type": "denoised"}, None),
    ],
)
def test_coordinates_count_in_the_tomogram_of_the_smallest_voxels_or_in_the_one_that_is_asked_for(project, wanted, frame):
    run = project.get_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.ones((2, 3, 4)), levels=1)
    run.get_voxel_spacing(10.0).new_tomogram("denoised").from_numpy(np.ones((2, 3, 5)), levels=1)
    run.new_voxel_spacing(5.0).new_tomogram("wbp").from_numpy(np.ones((4, 6, 8)), levels=1)

    assert frame_of(run, **wanted) == frame


def test_a_run_without_tomograms_has_no_frame(project):
    assert frame_of(project.get_run("TS_1")) is None


# --------------------------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize("path", ["{user}.star", "{}.star", "{run", "{run.x}.star", "{run[0}"])
def test_a_path_with_other_braces_is_refused_with_those_that_there_are(path):
    with pytest.raises(InvalidDataError, match=r"a path may have \{run\}, \{name\}, and no other braces") as caught:
        filled(path, {"run": "TS_1", "name": "ribosome"})

    assert caught.value.source == path


def test_the_fields_of_a_path_are_filled():
    assert filled("{run}/{name}.star", {"run": "TS_1", "name": "ribosome"}) == "TS_1/ribosome.star"


@pytest.mark.parametrize(
    ("exists", "options", "state"),
    [
        (False, "", "done"),
        (False, "resume", "done"),
        (False, "dry_run", "planned"),
        (False, "resume dry_run", "planned"),
        (True, "overwrite", "done"),
        (True, "resume", "skipped"),
        (True, "resume overwrite", "skipped"),
        (True, "resume dry_run", "skipped"),
        (True, "dry_run", "failed"),
        (True, "overwrite dry_run", "planned"),
    ],
)
def test_what_becomes_of_a_file_is_known_before_it_is_written(tmp_path, exists, options, state):
    target = tmp_path / "picks.star"
    if exists:
        target.touch()

    found, reason = state_before(str(target), *(name in options for name in ("overwrite", "resume", "dry_run")))

    assert found == state
    assert reason == (f"{target} exists; pass overwrite=True to replace it" if state == "failed" else None)


# ----------------------------------------------------------------------------------------------------------- new files


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def write(path, text, **beside):
    folder = os.path.dirname(path)
    for name, other in {os.path.basename(path): text, **{f"{name}.txt": other for name, other in beside.items()}}.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(other)


def test_a_new_file_appears_when_it_is_whole_with_those_beside_it(tmp_path):
    with new_file(str(tmp_path / "new" / "a.star"), overwrite=False) as staged:
        write(staged, "all", frames="one")
        assert not (tmp_path / "new" / "a.star").exists()
        assert os.path.basename(staged) == "a.star"

    assert content(tmp_path) == {"new/a.star": "all", "new/frames.txt": "one"}
    assert sorted(os.listdir(tmp_path / "new")) == ["a.star", "frames.txt"]


def test_a_new_file_is_written_beside_its_place_in_a_hidden_folder(tmp_path):
    with new_file(str(tmp_path / "a.star"), overwrite=False) as staged:
        (folder,) = tmp_path.iterdir()
        assert os.path.dirname(staged) == str(folder)
        assert folder.name.startswith(".copick-")
        write(staged, "all")

    assert [path.name for path in tmp_path.iterdir()] == ["a.star"]


def test_a_name_without_a_folder_is_a_file_of_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with new_file("a.star", overwrite=False) as staged:
        write(staged, "all")

    assert content(tmp_path) == {"a.star": "all"}


def test_an_error_while_writing_leaves_what_was_there_and_nothing_else(tmp_path):
    (tmp_path / "a.star").write_text("old")

    with pytest.raises(TypeError), new_file(str(tmp_path / "a.star"), overwrite=True) as staged:
        write(staged, "half", frames=b"no text")

    assert os.listdir(tmp_path) == ["a.star"]
    assert content(tmp_path) == {"a.star": "old"}


def test_an_error_while_writing_names_the_file_and_not_where_it_is_staged(tmp_path):
    with pytest.raises(InvalidDataError) as caught, new_file(str(tmp_path / "a.star"), overwrite=False) as staged:
        raise InvalidDataError(source=staged, reason="it cannot be so")

    assert str(caught.value) == f"{tmp_path / 'a.star'}: it cannot be so"


def test_a_file_that_exists_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "a.star").write_text("old")

    with pytest.raises(AlreadyExistsError, match=r"a\.star.*overwrite=True"), new_file(str(tmp_path / "a.star"), False):
        pytest.fail("it must not be written")

    assert content(tmp_path) == {"a.star": "old"}


@pytest.mark.parametrize("options", [{"overwrite": True}, {"overwrite": False, "resume": True}])
def test_a_file_beside_is_replaced_where_that_was_asked_for_or_an_export_is_resumed(tmp_path, options):
    (tmp_path / "frames.txt").write_text("old")

    with new_file(str(tmp_path / "a.star"), **options) as staged:
        write(staged, "new", frames="new")

    assert content(tmp_path) == {"a.star": "new", "frames.txt": "new"}


def test_a_file_beside_that_exists_is_otherwise_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "frames.txt").write_text("old")

    with (
        pytest.raises(AlreadyExistsError, match=r"frames\.txt.*overwrite=True"),
        new_file(str(tmp_path / "a.star"), overwrite=False) as staged,
    ):
        write(staged, "new", frames="new")

    assert content(tmp_path) == {"frames.txt": "old"}


def replace_folder(folder, old):
    folder.mkdir()
    for name in old:
        (folder / name).write_text("old")
    with new_file(f"{folder}/", overwrite=True) as staged:
        os.mkdir(staged)
        write(f"{staged}/.zgroup", "new")


@pytest.mark.parametrize("old", [[], [".zgroup", "1"]], ids=["empty", "same kind"])
def test_a_folder_is_replaced_as_a_whole_by_one_of_its_kind(tmp_path, old):
    replace_folder(tmp_path / "a.zarr", old)

    assert content(tmp_path) == {"a.zarr/.zgroup": "new"}
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    with pytest.raises(InvalidDataError, match=r"none of the files \.zgroup, so it is not replaced") as caught:
        replace_folder(tmp_path / "a.zarr", ["notes"])

    assert caught.value.source == str(tmp_path / "a.zarr")
    assert content(tmp_path) == {"a.zarr/notes": "old"}
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "mine").mkdir()

    with pytest.raises(InvalidDataError, match="add the name of a file"), new_file(str(tmp_path / "mine"), True) as staged:
        write(staged, "new")

    assert (tmp_path / "mine").is_dir()


# ------------------------------------------------------------------------------------------------------------- reports


def test_a_report_counts_its_rows_by_what_became_of_them():
    states = ["done", "failed", "done", "planned"]
    report = TransferReport([Transfer(f"{n}.star", None, None, state) for n, state in enumerate(states)])

    assert [report.count(state) for state in ("done", "planned", "skipped", "failed")] == [2, 1, 0, 1]
    assert [row.file for row in report.failed] == ["1.star"]


def write_rows(run, *, files, lacking=(), fails=()):
    if run is not None and run.name in fails:
        raise ZeroDivisionError(f"no {run.name}")
    return [
        Transfer(target, None if run is None else run.name, str(address_of(entity.key)), "done", left_out=lacking)
        for target, places in files.items()
        for entity in entities_at(run, places)
    ]


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_rows_are_in_the_order_of_the_files_whoever_has_written_them(project_config, executor):
    root = copick_core.open(project_config())
    for name in ("TS_1", "TS_2"):
        root.new_run(name).new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    first, second = picks_of(root, "TS_1", "TS_2")
    targets = {"b": [first], "all": [first, second], "object": [root.get_object("ribosome")], "a": [second]}
    told = []

    report = export_each(write_rows, root, targets, {}, executor, 1, lambda *args: told.append(args))

    assert [(row.file, row.run, row.entity) for row in report.rows] == [
        ("b", "TS_1", "TS_1/ribosome:alice/1"),
        ("all", "TS_1", "TS_1/ribosome:alice/1"),
        ("all", "TS_1", "TS_2/ribosome:alice/1"),
        ("object", None, str(address_of(root.get_object("ribosome").key))),
        ("a", "TS_2", "TS_2/ribosome:alice/1"),
    ]
    assert told[:2] == [("all", 1, 4), ("object", 2, 4)]
    assert sorted(told[2:], key=lambda one: one[1])[0][1:] == (3, 4)
    assert {name for name, _, _ in told[2:]} == {"TS_1", "TS_2"}


def test_a_run_that_fails_gives_a_row_for_each_of_its_entities_and_the_others_are_written(project):
    first, second = picks_of(project, "TS_1", "TS_2")
    targets = {"a": [first], "b": [second]}

    report = export_each(write_rows, project, targets, {"fails": ["TS_1"]}, "thread", 1, None)

    failed, done = report.rows
    assert (failed.file, failed.run, failed.entity, failed.state) == ("a", "TS_1", "TS_1/ribosome:alice/1", "failed")
    assert failed.error == "no TS_1"
    assert (done.file, done.state, done.error) == ("b", "done", None)


@pytest.mark.parametrize(
    ("names", "said"),
    [(["TS_1"], "TS_1.x lacks"), (["TS_1", "TS_2"], "TS_1.x and 1 more lack")],
)
def test_what_files_lack_is_said_once_with_the_number_of_files(project, names, said):
    targets = {f"{name}.x": picks_of(project, name) for name in names}

    with pytest.warns(UserWarning, match=f"^{said} class, half, which the format cannot hold") as caught:
        export_each(write_rows, project, targets, {"lacking": ("class", "half")}, "thread", 1, None)

    assert len(caught) == 1
