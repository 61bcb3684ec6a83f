"""Picks of many runs from and to files."""

from __future__ import annotations

import gc
import json

import numpy as np
import pytest
import starfile
from click.testing import CliRunner

import copick_core
from copick_core import plugins
from copick_core.cli.frame import command_line
from copick_core.errors import InvalidDataError, UnknownFormatError
from copick_core.picks import PicksArrays
from copick_core.plugins import discovery
from copick_core.plugins.format_functions import PicksTable
from support.points import apart, centres, table, write
from support.projects import project_in

OBJECTS = [{"name": "ribosome", "is_particle": True}, {"name": "other", "is_particle": True}]
CSV = "run_name,x,y,z,class\n"


@pytest.fixture
def root(tmp_path):
    root = project_in(tmp_path, OBJECTS)
    for name in ("TS_1", "TS_2", "001"):
        root.new_run(name).new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((20, 40, 30), "f4"), levels=1)
    return root


def points(path, text, header=CSV):
    path.write_text(header + text)
    return path


def stored(root, run="TS_1", object_name="ribosome"):
    (found,) = copick_core.open(root.config.model_dump(mode="json")).get_run(run).get_picks(object_name)
    return found


def states(report):
    return [(row.run, row.state, row.count) for row in report.rows]


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_file_of_many_runs_becomes_picks_of_each(root, tmp_path, executor):
    path = points(tmp_path / "a.csv", "TS_1,1,2,3,a\n001,4,5,6,b\nTS_1,7,8,9,c\n")

    report = copick_core.import_picks(root, path, "1", "ribosome", executor=executor)

    assert states(report) == [("TS_1", "done", 2), ("001", "done", 1)]
    assert stored(root).numpy()[0].tolist() == [[1, 2, 3], [7, 8, 9]]
    assert stored(root).columns["class"].tolist() == ["a", "c"]
    assert stored(root).user_id == "ana"


def test_a_file_of_many_runs_is_read_once(root, tmp_path):
    calls = []

    def read_once(path, *, frame):
        calls.append(path)
        return [PicksTable(np.ones((1, 3)), run=run) for run in ("TS_1", "TS_2", "001")]

    plugins.register(plugins.Format("once", 1, (".once",), reads={"picks": read_once}))
    try:
        report = copick_core.import_picks(root, points(tmp_path / "a.once", "", "of three runs"), "1", "ribosome")
    finally:
        discovery.reset()

    assert (report.count("done"), len(calls)) == (3, 1)


@pytest.mark.parametrize("dry_run", [False, True])
def test_progress_names_each_run_and_a_dry_run_has_none(root, tmp_path, dry_run):
    path = points(tmp_path / "a.csv", "TS_1,1,2,3,a\n001,4,5,6,b\n")
    told = []

    copick_core.import_picks(root, path, "1", "ribosome", dry_run=dry_run, progress=lambda *args: told.append(args))

    assert {name for name, _, _ in told} == (set() if dry_run else {"TS_1", "001"})
    assert [counts for _, *counts in told] == ([] if dry_run else [[1, 2], [2, 2]])


def test_progress_of_an_export_counts_its_files(root, tmp_path):
    filled(root)
    told = []

    copick_core.export_picks(root, "ribosome", tmp_path / "{run}.csv", progress=lambda *args: told.append(args[1:]))

    assert told == [(n, len(told)) for n in range(1, len(told) + 1)]
    assert len(told) == len([*tmp_path.glob("*.csv")])


def test_nothing_of_what_is_stored_stays_in_memory(root, tmp_path):
    path = points(tmp_path / "a.csv", "TS_1,1,2,3,a\n001,4,5,6,b\n")

    copick_core.import_picks(root, path, "1", "ribosome")
    gc.collect()

    held = [one for one in gc.get_objects() if isinstance(one, PicksArrays | PicksTable)]
    assert not [one for one in held if np.isin(one.positions, [[1, 2, 3], [4, 5, 6]]).all()]


def test_points_of_unknown_runs_are_listed_and_the_rest_is_imported(root, tmp_path):
    path = points(tmp_path / "a.csv", "TS_1,1,2,3,a\nTS_9,4,5,6,b\n")

    report = copick_core.import_picks(root, path, "1", "ribosome")

    assert states(report) == [("TS_9", "failed", 1), ("TS_1", "done", 1)]
    assert "'TS_9'" in report.failed[0].error


@pytest.mark.parametrize(("name", "text"), [("a.tbl", ""), ("a.csv", CSV)])
def test_a_file_without_points_is_listed(root, tmp_path, name, text):
    (tmp_path / name).write_text(text)

    report = copick_core.import_picks(root, tmp_path / name, "1", "ribosome")

    assert [(row.state, row.error) for row in report.rows] == [("skipped", f"{tmp_path / name}: holds no points")]
    assert report.failed == []


def test_runs_are_made_where_that_is_asked_for(root, tmp_path):
    copick_core.import_picks(root, points(tmp_path / "a.csv", "TS_9,4,5,6,b\n"), "1", "ribosome", create_runs=True)

    assert len(stored(root, "TS_9").points) == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("TS_1.tomostar", {}),
        ("grid_TS_1_bin4", {"run_regex": r"TS_\d"}),
        ("grid_1_bin4", {"run_regex": r"grid_(\d)", "run_prefix": "TS_"}),
        ("strange", {"run_names": {"strange": "TS_1"}}),
    ],
)
def test_runs_are_named_by_rules(root, tmp_path, name, options):
    report = copick_core.import_picks(root, points(tmp_path / "a.csv", f"{name},1,2,3,a\n"), "1", "ribosome", **options)

    assert states(report) == [("TS_1", "done", 1)]


def test_a_file_that_names_no_run_is_that_of_its_name(root, tmp_path):
    report = copick_core.import_picks(root, points(tmp_path / "TS_2.csv", "1,2,3\n", "x,y,z\n"), "1", "ribosome")

    assert states(report) == [("TS_2", "done", 1)]


@pytest.mark.parametrize("cell", ["", "nan", "text"])
def test_a_bad_cell_keeps_a_whole_file_out(root, tmp_path, cell):
    path = points(tmp_path / "a.csv", f"TS_1,1,2,3,a\nTS_2,1,{cell},3,a\n")

    report = copick_core.import_picks(root, [path, points(tmp_path / "b.csv", "TS_2,1,2,3,a\n")], "1", "ribosome")

    assert [(row.file, row.state) for row in report.rows] == [(str(path), "failed"), (str(tmp_path / "b.csv"), "done")]
    assert "row 2, column y" in report.failed[0].error
    assert root.get_run("TS_1").picks == []


@pytest.mark.parametrize("create_runs", [False, True])
@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/b", "..", "a\\b"])
def test_hostile_names_make_nothing(root, tmp_path, name, create_runs):
    before = sorted(tmp_path.rglob("*"))
    path = tmp_path.parent / f"{tmp_path.name}.csv"
    points(path, f"{name},1,2,3,a\n")

    report = copick_core.import_picks(root, path, "1", "ribosome", create_runs=create_runs)

    path.unlink()
    assert [row.state for row in report.rows] == ["failed"]
    assert sorted(tmp_path.rglob("*")) == before


def test_two_files_for_the_same_picks_are_not_mixed_up(root, tmp_path):
    files = [points(tmp_path / name, "TS_1,1,2,3,a\n") for name in ("a.csv", "b.csv")]

    report = copick_core.import_picks(root, files, "1", "ribosome")

    assert [(row.file[-5:], row.state) for row in report.rows] == [("b.csv", "failed"), ("a.csv", "done")]


@pytest.mark.parametrize("dry_run", [False, True])
def test_several_sets_of_a_file_for_the_same_picks_are_not_mixed_up(root, tmp_path, dry_run):
    sets = [PicksTable(np.full((n, 3), 10.0), object_name=name) for n, name in ((1, "a"), (2, "b"))]
    write(tmp_path / "TS_1.mod", sets, "imod")

    report = copick_core.import_picks(root, tmp_path / "TS_1.mod", "1", "ribosome", dry_run=dry_run)
    one = copick_core.import_picks(root, tmp_path / "TS_1.mod", "1", "ribosome", read_options={"object_number": 2})

    assert states(report) == [("TS_1", "failed", 1), ("TS_1", "failed", 2)]
    assert "holds 2 sets of points for 'ribosome'" in report.rows[0].error
    assert states(one) == [("TS_1", "done", 2)]


def test_a_dry_run_writes_nothing(root, tmp_path):
    report = copick_core.import_picks(root, points(tmp_path / "a.csv", "TS_1,1,2,3,a\n"), "1", "ribosome", dry_run=True)

    assert [(row.entity, row.state) for row in report.rows] == [("TS_1/ribosome:ana/1", "planned")]
    assert root.get_run("TS_1").picks == []


def test_an_import_can_be_resumed(root, tmp_path):
    first = points(tmp_path / "a.csv", "TS_1,1,2,3,a\n")
    copick_core.import_picks(root, first, "1", "ribosome")
    root.get_run("TS_2").new_picks("ribosome", "1")  # as a crash leaves them

    both = points(tmp_path / "b.csv", "TS_1,1,2,3,a\nTS_2,1,2,3,a\n")
    report = copick_core.import_picks(root, both, "1", "ribosome", resume=True)

    assert states(report) == [("TS_1", "skipped", 1), ("TS_2", "done", 1)]


@pytest.mark.parametrize(("options", "state"), [({}, "failed"), ({"exist_ok": True}, "done")])
def test_picks_that_exist_are_replaced_only_where_that_is_asked_for(root, tmp_path, options, state):
    root.get_run("TS_1").new_picks("ribosome", "1").from_numpy([[9, 9, 9]])

    report = copick_core.import_picks(root, points(tmp_path / "a.csv", "TS_1,1,2,3,a\n"), "1", "ribosome", **options)

    assert report.rows[0].state == state
    assert stored(root).numpy()[0].tolist() == ([[1, 2, 3]] if options else [[9, 9, 9]])


def test_coordinates_from_the_centre_use_the_tomogram_of_the_run(root, tmp_path):
    path = tmp_path / "a.star"
    labels = "\n".join(["_rlnTomoName", *(f"_rlnCenteredCoordinate{a}Angst" for a in "XYZ")])
    path.write_text(f"data_particles\nloop_\n{labels}\n001 1 2 3\n")

    copick_core.import_picks(root, path, "1", "ribosome")

    assert stored(root, "001").numpy()[0].tolist() == [[151, 202, 103]]


def test_an_unknown_object_is_reported(root, tmp_path):
    report = copick_core.import_picks(root, points(tmp_path / "a.csv", "TS_1,1,2,3,a\n"), "1", "ribosom")

    assert "Did you mean 'ribosome'" in report.failed[0].error


# ---------------------------------------------------------------- export


def filled(root):
    tables = {run: table(9, run, seed, scores=np.linspace(0, 1, 9)) for seed, run in enumerate(["TS_1", "TS_2"])}
    for run, one in tables.items():
        one.positions[:] %= [300, 400, 200]  # in their tomograms
        root.get_run(run).new_picks("ribosome", "1").from_numpy(
            one.positions, one.transforms, scores=one.scores, columns={"rlnClassNumber": np.arange(9)}
        )
    return tables


def test_picks_of_many_runs_are_exported_to_one_file(root, tmp_path):
    tables = filled(root)

    report = copick_core.export_picks(root, "TS_*/ribosome:ana/1", tmp_path / "out" / "a.star")

    frame = starfile.read(tmp_path / "out" / "a.star")["particles"]
    assert [(row.run, row.count) for row in report.rows] == [("TS_1", 9), ("TS_2", 9)]
    assert frame["rlnTomoName"].tolist() == ["TS_1"] * 9 + ["TS_2"] * 9
    assert frame["rlnClassNumber"].tolist() == [*range(9)] * 2
    centred = frame[[f"rlnCenteredCoordinate{a}Angst" for a in "XYZ"]].to_numpy()
    np.testing.assert_allclose(
        centred + np.array([150, 200, 100]), np.concatenate([centres(t) for t in tables.values()]), atol=1e-6, rtol=0
    )
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.star"]


def test_what_is_exported_can_be_imported_again(root, tmp_path):
    tables = filled(root)
    copick_core.export_picks(root, "ribosome:ana/1", tmp_path / "a.star")

    copick_core.import_picks(root, tmp_path / "a.star", "2", "ribosome")

    for run, one in tables.items():
        (found,) = root.get_run(run).get_picks("ribosome", "ana", "2")
        np.testing.assert_allclose(found.numpy()[0], centres(one), atol=1e-6, rtol=0)
        assert apart(found.numpy()[1], one.transforms) < 1e-7
        np.testing.assert_array_equal(found.scores(), one.scores)


def test_a_path_with_fields_makes_a_file_for_each_run(root, tmp_path):
    filled(root)

    copick_core.export_picks(root, "ribosome", str(tmp_path / "out" / "{run}_{object}.csv"))

    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["TS_1_ribosome.csv", "TS_2_ribosome.csv"]


def test_picks_that_a_file_could_not_tell_apart_are_refused(root, tmp_path):
    filled(root)
    root.get_run("TS_1").new_picks("other", "1").from_numpy([[1, 2, 3]])

    with pytest.raises(InvalidDataError, match="merge"):
        copick_core.export_picks(root, "*", tmp_path / "a.star")
    assert len(copick_core.export_picks(root, "*", tmp_path / "a.star", merge=True).rows) == 3


def test_a_file_that_exists_is_kept(root, tmp_path):
    filled(root)
    (tmp_path / "a.csv").write_text("mine")

    report = copick_core.export_picks(root, "ribosome", tmp_path / "a.csv")

    assert {row.state for row in report.rows} == {"failed"}
    assert (tmp_path / "a.csv").read_text() == "mine"


def test_a_failed_export_leaves_no_file(root, tmp_path):
    filled(root)
    root.get_run("TS_1").voxel_spacings[0].delete()

    report = copick_core.export_picks(root, "ribosome", tmp_path / "out" / "a.star")

    assert {row.state for row in report.rows} == {"failed"}
    assert [*(tmp_path / "out").iterdir()] == []


@pytest.mark.parametrize("address", ["nothing", "TS_9/ribosome"])
def test_an_export_of_nothing_is_an_error(root, tmp_path, address):
    with pytest.raises(InvalidDataError, match="nothing to export"):
        copick_core.export_picks(root, address, tmp_path / "a.csv")


def test_a_suffix_that_no_format_writes_is_an_error(root, tmp_path):
    filled(root)

    with pytest.raises(UnknownFormatError, match="no installed format writes picks"):
        copick_core.export_picks(root, "ribosome", tmp_path / "a.cbox")


# ---------------------------------------------------------------- commands


def run(*arguments):
    return CliRunner().invoke(command_line, [str(a) for a in arguments])


def test_the_commands_import_and_export(root, tmp_path):
    config = tmp_path / "config.json"
    write(tmp_path / "a.tbl", [table(5, "1")], "dynamo", doc=None)

    done = run(
        "import",
        "picks",
        "-c",
        config,
        tmp_path / "a.tbl",
        "--session",
        1,
        "--object",
        "ribosome",
        "--run-prefix",
        "TS_",
        "-O",
        "voxel_size=10",
        "--json",
    )
    assert (done.exit_code, [row["state"] for row in json.loads(done.stdout)]) == (0, ["done"])

    done = run("export", "picks", "-c", config, "TS_1/ribosome", tmp_path / "a.star", "-O", "coordinates=pixels")
    assert done.exit_code == 0
    assert "rlnCoordinateX" in starfile.read(tmp_path / "a.star")["particles"]


def test_the_exit_code_says_that_something_failed(root, tmp_path):
    path = points(tmp_path / "a.csv", "TS_9,1,2,3,a\n")

    done = run("import", "picks", "-c", tmp_path / "config.json", path, "--session", 1, "--object", "ribosome")

    assert done.exit_code == 1
    assert "failed" in done.stdout


def test_an_option_that_the_format_does_not_have_is_a_usage_error(root, tmp_path):
    path = points(tmp_path / "a.csv", "TS_1,1,2,3,a\n")

    done = run("import", "picks", "-c", tmp_path / "config.json", path, "--session", 1, "-O", "pixel=3")

    assert (done.exit_code, "run_column" in done.output) == (2, True)
