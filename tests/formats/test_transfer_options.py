"""What imports and exports hand on: to formats, to what they store, to its provenance, and to the workers."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import mrcfile
import numpy as np
import pytest
import trimesh

import copick_core
from copick_core import plugins
from copick_core.errors import InvalidDataError
from copick_core.layers.provenance import provenance_of
from copick_core.models import CopickRun
from copick_core.plugins import discovery
from copick_core.plugins.format_functions import FilamentsTable, Frame, PicksTable
from support.projects import project_in

OBJECTS = [
    {"name": "microtubule", "is_particle": True, "metadata": {"copick": {"filament": {"polar": True}}}},
    {"name": "membrane", "is_particle": False, "label": 2},
    {"name": "ribosome", "is_particle": True, "label": 3},
    {"name": "proteasome", "is_particle": True, "label": 4},
]
POINTS = np.array([[1.0, 2, 3], [4, 5, 6]])
LINES = [np.array([[0.0, 0, 0], [10, 0, 0]]), np.array([[0.0, 0, 0], [0, 10, 0], [0, 10, 5]])]


@pytest.fixture
def root(tmp_path):
    root = project_in(tmp_path, OBJECTS)
    root.new_run("TS_1")
    return root


@pytest.fixture
def register():
    yield plugins.register
    discovery.reset()


def file(folder, name="TS_1.odd"):
    path = folder / name
    path.write_text("anything")
    return path


def volume_file(folder, name="TS_1.mrc"):
    with mrcfile.new(folder / name, np.ones((3, 4, 5), "f4")) as made:
        made.voxel_size = 10.0
    return folder / name


def everything():
    """A table of each kind in which every field has something."""
    turned = np.array([np.diag([1.0, -1, -1, 1]), np.diag([-1.0, -1, 1, 1])])
    return (
        PicksTable(POINTS, turned, np.array([7, 8]), np.array([0.25, 0.5]), "TS_1", "ribosome", {"class": np.array([1, 2])}),
        FilamentsTable(LINES, [3, 5], [True, False], [0.5, 0.75], [120.0, 80.0], [{"n": 13}, {}], "TS_1", "microtubule"),
    )


# -------------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("kind", ["picks", "filaments"])
def test_every_field_of_a_table_is_stored_and_is_exported_again(root, tmp_path, register, kind):
    table = dict(zip(("picks", "filaments"), everything(), strict=True))[kind]
    written = []

    def write(path, tables, *, frame):
        written.extend(tables)
        with open(path, "w") as made:
            made.write("all")

    register(plugins.Format("odd", 1, (".odd",), reads={kind: lambda path, *, frame: [table]}, writes={kind: write}))
    load, export = (getattr(copick_core, f"{verb}_{kind}") for verb in ("import", "export"))

    assert [row.state for row in load(root, file(tmp_path), "1").rows] == ["done"]
    root.refresh()
    assert [row.state for row in export(root, "*", tmp_path / "new.odd").rows] == ["done"]

    (again,) = written
    for name, value in vars(table).items():
        if name == "columns":
            np.testing.assert_array_equal(again.columns["class"], value["class"])
        elif name == "polylines":
            assert [line.tolist() for line in again.polylines] == [line.tolist() for line in value]
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
        else:
            assert getattr(again, name) == value, name


def test_a_format_of_meshes_or_volumes_is_told_what_it_writes(root, tmp_path, register):
    root.get_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((2, 3, 4), "f4"), levels=1)
    root.get_run("TS_1").new_mesh("membrane", "1", mesh=trimesh.creation.box())
    root.get_object("ribosome").from_numpy(np.ones((3, 3, 3)), 10.0)
    told = []

    def write_mesh(path, mesh, *, run, object_name, kind, frame):
        told.append((run, object_name, kind, frame("TS_1"), frame("TS_9"), frame(None)))
        open(path, "w").close()

    def write_volume(path, source, *, run, object_name, kind, note="none"):
        told.append((run, object_name, kind, note))
        open(path, "w").close()

    register(plugins.Format("odd", 1, (".odd",), writes={"mesh": write_mesh, "volume": write_volume}))

    copick_core.export_meshes(root, "membrane", tmp_path / "mesh.odd")
    copick_core.export_volumes(root, "wbp@10.0", tmp_path / "wbp.odd", write_options={"note": "said"})
    copick_core.export_volumes(root, "ribosome", tmp_path / "map.odd", kind="object")

    assert told == [
        ("TS_1", "membrane", "mesh", Frame((2, 3, 4), 10.0), None, None),
        ("TS_1", None, "tomogram", "said"),
        (None, "ribosome", "object", "none"),
    ]


@pytest.mark.parametrize(
    ("options", "frame"),
    [
        ({}, Frame((4, 4, 4), 5.0)),
        ({"voxel_size": 10.0}, Frame((2, 2, 2), 10.0)),
        ({"tomo_type": "late"}, Frame((3, 3, 3), 10.0)),
        ({"voxel_size": 20.0}, None),
    ],
)
def test_coordinates_are_those_of_the_tomogram_that_was_asked_for(root, tmp_path, register, options, frame):
    run = root.get_run("TS_1")
    run.new_voxel_spacing(5.0).new_tomogram("early").from_numpy(np.zeros((4, 4, 4), "f4"), levels=1)
    for n, name in ((2, "early"), (3, "late")):
        run.new_voxel_spacing(10.0, exist_ok=True).new_tomogram(name).from_numpy(np.zeros((n, n, n), "f4"), levels=1)
    asked = []

    def read(path, *, frame):
        asked.extend([frame(None), frame("TS_1.tomostar"), frame("TS_9")])
        return [PicksTable(POINTS)]

    def write(path, tables, *, frame):
        asked.extend([frame("TS_1"), frame("TS_1"), frame("TS_9")])
        open(path, "w").close()

    register(plugins.Format("odd", 1, (".odd",), reads={"picks": read}, writes={"picks": write}))

    copick_core.import_picks(root, file(tmp_path), "1", "ribosome", **options)
    copick_core.export_picks(root, "ribosome", tmp_path / "new.odd", **options)

    assert asked == [frame, frame, None] * 2


# ---------------------------------------------------------------------------------------------------------- what fails


def two_objects(register):
    tables = [PicksTable(POINTS, run="TS_1", object_name=name) for name in ("ribosome", "proteasome")]
    register(plugins.Format("odd", 1, (".odd",), reads={"picks": lambda path, *, frame: tables}))


@pytest.mark.parametrize("error", [InvalidDataError(source="ribosome", reason="it cannot be"), OSError("no space")])
def test_what_cannot_be_stored_is_a_row_and_the_rest_of_the_file_is_stored(root, tmp_path, register, monkeypatch, error):
    two_objects(register)
    stored = CopickRun.new_picks

    def new_picks(run, object_name, *args, **options):
        if object_name == "ribosome":
            raise error
        return stored(run, object_name, *args, **options)

    monkeypatch.setattr(CopickRun, "new_picks", new_picks)
    path = file(tmp_path)

    report = copick_core.import_picks(root, path, "1")

    assert [(row.file, row.run, row.entity, row.state, row.count, row.error) for row in report.rows] == [
        (str(path), "TS_1", None, "failed", 2, str(error)),
        (str(path), "TS_1", "TS_1/proteasome:ana/1", "done", 2, None),
    ]


@pytest.mark.parametrize("said", ["out of luck", ""])
def test_a_run_that_breaks_off_is_a_row_for_each_of_its_annotations(root, tmp_path, register, monkeypatch, said):
    two_objects(register)

    def new_picks(*args, **options):
        raise ZeroDivisionError(said)

    monkeypatch.setattr(CopickRun, "new_picks", new_picks)
    path = file(tmp_path)

    report = copick_core.import_picks(root, path, "1")

    row = (str(path), "TS_1", None, "failed", 2, said or "ZeroDivisionError")
    assert [(r.file, r.run, r.entity, r.state, r.count, r.error) for r in report.rows] == [row, row]


def test_annotations_that_exist_are_named_with_their_layer_and_the_way_out(root, tmp_path, register):
    two_objects(register)
    old = root.get_run("TS_1").new_picks("ribosome", "1")

    failed, done = copick_core.import_picks(root, file(tmp_path), "1").rows

    assert failed.error == f"{old.key} already exists in layer 'overlay'. Pass exist_ok=True to replace it."
    assert (failed.count, done.state) == (2, "done")


def test_a_dry_run_names_what_it_would_make_or_leave(root, tmp_path, register):
    two_objects(register)
    root.get_run("TS_1").new_picks("ribosome", "1", positions=POINTS)

    planned = [copick_core.import_picks(root, file(tmp_path), "1", dry_run=True, resume=resume) for resume in (False, True)]

    assert [[(row.entity, row.state, row.count) for row in report.rows] for report in planned] == [
        [("TS_1/ribosome:ana/1", state, 2), ("TS_1/proteasome:ana/1", "planned", 2)] for state in ("failed", "skipped")
    ]
    assert planned[0].rows[0].error == "exists already; pass exist_ok=True to replace it"


def test_a_dry_run_plans_for_runs_that_are_still_to_be_made(root, tmp_path):
    (tmp_path / "a.csv").write_text("run_name,x,y,z\nTS_9,1,2,3\n")

    (row,) = copick_core.import_picks(root, tmp_path / "a.csv", "1", "ribosome", create_runs=True, dry_run=True).rows

    assert (row.entity, row.state) == ("TS_9/ribosome:ana/1", "planned")
    assert [run.name for run in root.runs] == ["TS_1"]


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_object_that_is_misspelt_fails_before_anything_is_planned(root, tmp_path, register, dry_run):
    two_objects(register)

    rows = copick_core.import_picks(root, file(tmp_path), "1", "ribosom", dry_run=dry_run).rows

    assert [(row.run, row.entity, row.state, row.count) for row in rows] == [("TS_1", None, "failed", 2)] * 2
    assert all("Did you mean 'ribosome'" in row.error for row in rows)


def test_a_file_that_is_missing_is_said_to_be(root, tmp_path):
    (row,) = copick_core.import_picks(root, tmp_path / "a.csv", "1", "ribosome").rows

    assert row.error == f"There is no file {tmp_path / 'a.csv'}"


@pytest.mark.parametrize("load", ["import_picks", "import_tomograms"])
def test_an_option_that_the_format_has_not_fails_for_each_file_and_names_it(root, tmp_path, load):
    files = [volume_file(tmp_path, f"TS_{n}.mrc") for n in (1, 2)]
    if load == "import_picks":
        files = [file(tmp_path, f"TS_{n}.csv") for n in (1, 2)]

    names = ("1", "ribosome") if load == "import_picks" else ("wbp",)
    report = getattr(copick_core, load)(root, files, *names, read_options={"pixel": 3})

    assert [(row.file, row.state) for row in report.rows] == [(str(path), "failed") for path in files]
    assert all("pixel" in row.error for row in report.rows)


def test_a_file_that_is_named_twice_is_one_tomogram(root, tmp_path):
    path = volume_file(tmp_path)

    report = copick_core.import_tomograms(root, [path, str(path)], "wbp")

    assert [(row.file, row.state) for row in report.rows] == [(str(path), "done")]


# ---------------------------------------------------------------------------------------------------------- provenance


def test_the_options_of_an_import_are_in_the_provenance(root, tmp_path, register):
    root.get_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((2, 3, 4), "f4"), levels=1)

    def read(path, *, frame, columns, unit, side=None):
        return [PicksTable(POINTS)]

    register(plugins.Format("odd", 1, (".odd",), reads={"picks": read}))
    options = {"columns": ("a", "b"), "unit": 2.5}

    copick_core.import_picks(
        root, file(tmp_path), "1", "ribosome", "bob", voxel_size=10.0, file_format="odd", read_options=options
    )

    made = provenance_of(root.layers.overlay, root.get_run("TS_1").picks[0].key)
    assert made["arguments"] == {"voxel_size": 10.0, "file_format": "odd", "columns": "('a', 'b')", "unit": 2.5}
    assert made["by"] == "ana"


@pytest.mark.parametrize(
    ("kind", "function"), [("filaments", "import_filaments"), ("picks", "import_picks"), ("mesh", "import_meshes")]
)
def test_the_provenance_names_the_function_of_its_kind(root, tmp_path, register, kind, function):
    picks, filaments = everything()
    reads = {
        "picks": lambda path, *, frame: [picks],
        "filaments": lambda path, *, frame: [filaments],
        "mesh": lambda path: trimesh.creation.box(),
    }
    register(plugins.Format("odd", 1, (".odd",), reads={kind: reads[kind]}))

    (row,) = getattr(copick_core, function)(root, file(tmp_path), "1", "membrane" if kind == "mesh" else None).rows

    made = provenance_of(root.layers.overlay, root.entity(row.entity, kind).key)
    assert made["function"] == f"copick_core.projects.annotation_files:{function}"


def test_the_options_of_an_import_of_tomograms_are_in_the_provenance(root, tmp_path):
    copick_core.import_tomograms(root, [volume_file(tmp_path)], "wbp", voxel_size=5.0, file_format="mrc", levels=1)

    made = provenance_of(root.layers.overlay, root.get_run("TS_1").get_voxel_spacing(5.0).tomograms[0].key)
    assert made["arguments"] == {"levels": 1, "voxel_size": 5.0, "file_format": "mrc"}


# ------------------------------------------------------------------------------------------------------------- workers


def of_each_kind(root, tmp_path):
    """Every import and export, with arguments that make it do something."""
    run = root.get_run("TS_1")
    run.new_picks("ribosome", "1", positions=POINTS)
    run.new_filaments("microtubule", "1", polylines=LINES)
    run.new_mesh("membrane", "1", mesh=trimesh.creation.box())
    copick_core.import_tomograms(root, [volume_file(tmp_path)], "wbp", levels=1)
    names = {"picks": ("ribosome", "csv"), "filaments": ("microtubule", "csv"), "meshes": ("membrane", "stl")}
    for kind, (name, suffix) in names.items():
        load, export = (getattr(copick_core, f"{verb}_{kind}") for verb in ("import", "export"))
        export(root, name, tmp_path / kind / f"TS_1.{suffix}")
        yield (
            lambda load=load, name=name, path=tmp_path / kind / f"TS_1.{suffix}", **options: load(
                root, path, "2", name, exist_ok=True, **options
            )
        )
        yield lambda export=export, name=name, path=tmp_path / f"{kind}.{suffix}", **options: export(
            root, f"{name}:ana/1", path, overwrite=True, **options
        )
    yield lambda **options: copick_core.import_tomograms(
        root, [tmp_path / "TS_1.mrc"], "wbp", levels=1, exist_ok=True, **options
    )
    yield lambda **options: copick_core.export_volumes(root, "wbp@10.0", tmp_path / "a.mrc", overwrite=True, **options)


def test_workers_are_those_that_were_asked_for(root, tmp_path):
    for transfer in of_each_kind(root, tmp_path):
        with pytest.raises(InvalidDataError, match="0 is less than 1") as workers:
            transfer(workers=0)
        with pytest.raises(InvalidDataError, match="'none' is not") as executor:
            transfer(executor="none")
        assert (workers.value.source, executor.value.source) == ("workers", "executor")


def test_an_executor_of_somebody_else_does_the_work_and_progress_is_told(root, tmp_path):
    for transfer in of_each_kind(root, tmp_path):
        told = []
        with ThreadPoolExecutor(1) as pool:
            report = transfer(executor=pool, progress=lambda *args, told=told: told.append(args))

        assert [row.state for row in report.rows] == ["done"]
        assert told == [("TS_1", 1, 1)]
        assert len(pool._threads) == 1


def test_workers_that_cannot_have_handles_export_the_layer_that_was_given(project_config, tmp_path):
    copick_core.open(project_config("below")).new_run("TS_1").new_picks("ribosome", "1", positions=POINTS)
    root = copick_core.open(project_config("overlay", "below"))
    root.get_run("TS_1").new_picks("ribosome", "1", exist_ok=True, positions=POINTS[:1])
    root = copick_core.open(project_config("overlay", "below"))
    (old,) = [picks for picks in root.get_run("TS_1").picks if picks._layer is root.layers.static[0]]

    with ThreadPoolExecutor(1) as pool:
        (row,) = copick_core.export_picks(root, [old], tmp_path / "a.csv", executor=pool).rows

    assert (row.state, row.count, os.path.exists(tmp_path / "a.csv")) == ("done", 2, True)
