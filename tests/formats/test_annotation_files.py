"""Filaments and meshes of many runs from and to files, and what all exports have in common."""

from __future__ import annotations

import json

import numpy as np
import pytest
import starfile
import trimesh
from click.testing import CliRunner

import copick_core
from copick_core.cli.frame import command_line
from copick_core.errors import InvalidDataError, InvalidNameError
from support.projects import project_in

OBJECTS = [
    {"name": "microtubule", "is_particle": True, "metadata": {"copick": {"filament": {"polar": True}}}},
    {"name": "membrane", "is_particle": False, "label": 2},
    {"name": "ribosome", "is_particle": True, "label": 3},
]
LINE = np.array([[0.0, 0, 0], [10, 0, 0], [20, 5, 0]])


@pytest.fixture
def root(tmp_path):
    root = project_in(tmp_path, OBJECTS)
    for name in ("TS_1", "TS_2"):
        root.new_run(name).new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((20, 40, 30), "f4"), levels=1)
    return root


def with_filaments(root):
    for number, run in enumerate(root.runs):
        run.new_filaments("microtubule", "1", polylines=[LINE + number, LINE * 3], scores=[0.5, 0.75], radii=[120.0, None])


def with_meshes(root):
    for number, run in enumerate(root.runs):
        run.new_mesh("membrane", "1", mesh=trimesh.creation.box((10 + number, 20, 30)))


def states(report):
    return [(row.run, row.state, row.count) for row in report.rows]


def run(*arguments):
    return CliRunner().invoke(command_line, [str(a) for a in arguments])


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("suffix", ["csv", "star"])
def test_filaments_go_to_one_file_and_come_back(root, tmp_path, suffix, executor):
    with_filaments(root)

    with pytest.warns(UserWarning, match="radius") if suffix == "star" else no_warning():
        report = copick_core.export_filaments(root, "microtubule", tmp_path / f"a.{suffix}", executor=executor)

    assert states(report) == [("TS_1", "done", 2), ("TS_2", "done", 2)]
    back = copick_core.import_filaments(root, tmp_path / f"a.{suffix}", "2", "microtubule", executor=executor)
    assert states(back) == [("TS_1", "done", 2), ("TS_2", "done", 2)]
    for one in copick_core.open(tmp_path / "config.json").runs:
        old, new = (one.get_filaments("microtubule", "ana", session)[0] for session in "12")
        np.testing.assert_allclose(np.concatenate(new.numpy()), np.concatenate(old.numpy()), atol=1e-6)
        assert [f.score for f in new.filaments] == [0.5, 0.75]


def no_warning():
    from contextlib import nullcontext

    return nullcontext()


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_meshes_go_to_a_file_each_and_come_back(root, tmp_path, executor):
    with_meshes(root)

    report = copick_core.export_meshes(root, "membrane", tmp_path / "{run}.stl", executor=executor)

    assert states(report) == [("TS_1", "done", 12), ("TS_2", "done", 12)]
    files = sorted(tmp_path.glob("*.stl"))
    back = copick_core.import_meshes(root, files, "2", "membrane", executor=executor)
    assert states(back) == [("TS_1", "done", 12), ("TS_2", "done", 12)]
    for number, one in enumerate(copick_core.open(tmp_path / "config.json").runs):
        assert one.get_meshes("membrane", "ana", "2")[0].mesh.extents.tolist() == [10 + number, 20, 30]


def test_meshes_never_share_a_file(root, tmp_path):
    with_meshes(root)

    with pytest.raises(InvalidDataError, match=r"put \{run\}"):
        copick_core.export_meshes(root, "membrane", tmp_path / "a.stl")


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_picks_go_to_a_file_for_each_run_in_threads_and_processes(root, tmp_path, executor):
    for one in root.runs:
        one.new_picks("ribosome", "1", positions=LINE)

    report = copick_core.export_picks(root, "ribosome", tmp_path / "{run}.star", executor=executor, workers=2)

    assert states(report) == [("TS_1", "done", 3), ("TS_2", "done", 3)]
    assert starfile.read(tmp_path / "TS_2.star")["particles"]["rlnTomoName"].tolist() == ["TS_2"] * 3


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_volumes_are_exported_in_threads_and_processes(root, tmp_path, executor):
    report = copick_core.export_volumes(root, "wbp@10.0", tmp_path / "{run}.mrc", executor=executor)

    assert states(report) == [("TS_1", "done", 24000), ("TS_2", "done", 24000)]
    assert sorted(p.name for p in tmp_path.glob("*.mrc")) == ["TS_1.mrc", "TS_2.mrc"]


def test_what_was_changed_in_memory_is_exported(root, tmp_path):
    picks = root.get_run("TS_1").new_picks("ribosome", "1", positions=LINE)
    picks.points[0].location.x = 77.0

    copick_core.export_picks(root, [picks], tmp_path / "a.csv")

    assert "77.0" in (tmp_path / "a.csv").read_text().splitlines()[1]


@pytest.mark.parametrize("name", ["a.tbl", "a.em", "a.mod"])
def test_columns_that_a_format_cannot_hold_are_named_in_a_warning_and_in_the_report(root, tmp_path, name):
    root.get_run("TS_1").new_picks("ribosome", "1", positions=LINE, columns={"ctf": [1, 2, 3]}, instance_ids=[1, 2, 3])

    with pytest.warns(UserWarning, match="lacks ctf, instance_ids, which the format cannot hold"):
        report = copick_core.export_picks(root, "ribosome", tmp_path / name)

    assert report.rows[0].left_out == ("ctf", "instance_ids")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "star", "tbl", "mod"])
def test_curves_that_no_format_holds_are_named_in_a_warning_and_in_the_report(root, tmp_path, suffix):
    root.get_run("TS_1").new_filaments("microtubule", "1").from_control_points([LINE], step=5.0)

    with pytest.warns(UserWarning, match="lacks curves, which"):
        report = copick_core.export_filaments(root, "microtubule", tmp_path / f"a.{suffix}")

    assert report.rows[0].left_out == ("curves",)


def test_a_dry_run_names_the_curves_that_a_file_would_lack(root, tmp_path):
    root.get_run("TS_1").new_filaments("microtubule", "1").from_control_points([LINE], step=5.0)

    with pytest.warns(UserWarning, match="curves"):
        report = copick_core.export_filaments(root, "microtubule", tmp_path / "a.csv", dry_run=True)

    assert [(row.state, row.left_out) for row in report.rows] == [("planned", ("curves",))]


def test_a_dry_run_of_an_export_says_what_would_fail(root, tmp_path):
    with_meshes(root)
    (tmp_path / "TS_1.stl").write_text("mine")

    report = copick_core.export_meshes(root, "membrane", tmp_path / "{run}.stl", dry_run=True)

    assert [row.state for row in report.rows] == ["failed", "planned"]
    assert not (tmp_path / "TS_2.stl").exists()


def test_a_dry_run_of_an_import_says_what_would_fail_and_what_is_done(root, tmp_path):
    with_meshes(root)
    copick_core.export_meshes(root, "membrane", tmp_path / "{run}.stl")
    files = sorted(tmp_path.glob("*.stl"))

    said = copick_core.import_meshes(root, files, "1", "membrane", dry_run=True)
    resumed = copick_core.import_meshes(root, files, "1", "membrane", dry_run=True, resume=True)

    assert [row.state for row in said.rows] == ["failed", "failed"]
    assert [row.state for row in resumed.rows] == ["skipped", "skipped"]


@pytest.mark.parametrize("kind", ["meshes", "filaments"])
def test_an_export_and_an_import_can_be_resumed(root, tmp_path, kind):
    (with_meshes if kind == "meshes" else with_filaments)(root)
    name, suffix = ("membrane", "stl") if kind == "meshes" else ("microtubule", "csv")
    export, load = getattr(copick_core, f"export_{kind}"), getattr(copick_core, f"import_{kind}")
    export(root, f"TS_1/{name}", tmp_path / f"{{run}}.{suffix}")

    exported = export(root, name, tmp_path / f"{{run}}.{suffix}", resume=True)
    load(root, tmp_path / f"TS_1.{suffix}", "2", name)
    imported = load(root, sorted(tmp_path.glob(f"*.{suffix}")), "2", name, resume=True)

    assert [row.state for row in exported.rows] == ["skipped", "done"]
    assert [row.state for row in imported.rows] == ["skipped", "done"]


def test_a_file_that_fails_is_reported_and_the_rest_is_imported(root, tmp_path):
    with_meshes(root)
    copick_core.export_meshes(root, "TS_2/membrane", tmp_path / "{run}.stl")
    (tmp_path / "TS_1.stl").write_bytes(b"solid nothing")

    report = copick_core.import_meshes(root, sorted(tmp_path.glob("*.stl")), "2", "membrane")

    assert [row.state for row in report.rows] == ["failed", "done"]
    assert "TS_1.stl" in report.failed[0].error


def test_who_imports_must_be_known(root, tmp_path):
    root.config.user_id = None

    with pytest.raises(InvalidNameError, match="user_id"):
        copick_core.import_meshes(root, tmp_path / "a.stl", "1", "membrane")


@pytest.mark.parametrize(
    ("kind", "name", "suffix"),
    [("meshes", "membrane", "ply"), ("filaments", "microtubule", "csv"), ("picks", "ribosome", "csv")],
)
def test_the_commands_import_and_export_each_kind(root, tmp_path, kind, name, suffix):
    with_meshes(root)
    with_filaments(root)
    for one in root.runs:
        one.new_picks("ribosome", "1", positions=LINE)
    config = tmp_path / "config.json"

    done = run("export", kind, "-c", config, name, tmp_path / f"{{run}}.{suffix}", "--json", "--executor", "process")
    assert (done.exit_code, [row["state"] for row in json.loads(done.stdout)]) == (0, ["done", "done"])

    files = sorted(tmp_path.glob(f"*.{suffix}"))
    done = run("import", kind, "-c", config, *files, "--session", 2, "--object", name, "--json")
    assert (done.exit_code, [row["state"] for row in json.loads(done.stdout)]) == (0, ["done", "done"])


def test_a_folder_for_relions_import_is_exported_and_imported(root, tmp_path):
    for one in root.runs:
        one.new_picks("ribosome", "1", positions=LINE)

    copick_core.export_picks(root, "ribosome", tmp_path / "import", file_format="relion-import")
    back = copick_core.import_picks(root, tmp_path / "import" / "particles.star", "2", "ribosome")

    assert states(back) == [("TS_1", "done", 3), ("TS_2", "done", 3)]
