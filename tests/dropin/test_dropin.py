"""The drop-in in an environment of its own: its name, its command, and what it refuses."""

from __future__ import annotations

import json
import shutil

import pytest

from support.dropin import DROPIN, call, run_code


def test_the_version_satisfies_the_bounds_of_all_tools_and_says_whose_it_is(python):
    from packaging.specifiers import SpecifierSet

    version = run_code(python, "import copick; print(copick.__version__)")

    assert "+core" in version
    for bounds in (">=2.0.0a3,<3", ">=2.0.0a1,<3", ">=2.0.0a3,<2.1"):
        assert SpecifierSet(bounds).contains(version), bounds


def test_a_project_is_made_and_opened_with_the_calls_of_copick(python, tmp_path):
    code = f"""
import copick
from copick.ops.open import new_config
new_config({str(tmp_path / "c.json")!r}, {str(tmp_path / "data")!r},
           pickable_objects=[copick.models.PickableObject(name="ribosome", is_particle=True, label=1)])
root = copick.from_file({str(tmp_path / "c.json")!r})
run = root.new_run("TS_001")
picks = run.new_picks("ribosome", "1", "alice")
picks.from_numpy([[1.0, 2.0, 3.0]])
run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(__import__("numpy").ones((4, 4, 4), "float32"))
run.mark = "an attribute of mine"
types = [c.__name__ for c in copick.COPICK_TYPES if isinstance(run, c)]
print([type(root).__name__, types, run.get_picks()[0].numpy()[0].tolist()])
"""
    found = run_code(python, code)

    assert found == str(["CopickRootFSSpec", ["CopickRun"], [[1.0, 2.0, 3.0]]])
    document = json.loads((tmp_path / "data/ExperimentRuns/TS_001/VoxelSpacing10.000/wbp.zarr/0/zarr.json").read_text())
    assert document["chunk_key_encoding"] == {"name": "v2", "configuration": {"separator": "/"}}


def test_a_variable_chooses_the_layout_of_new_volumes(python, tmp_path):
    code = f"""
import copick, numpy
root = copick.new_config({str(tmp_path / "c.json")!r}, {str(tmp_path / "data")!r})
root.new_run("TS").new_voxel_spacing(10).new_tomogram("wbp").from_numpy(numpy.ones((4, 4, 4), "float32"))
"""
    run_code(python, code, COPICK_FORMAT="copick-1")

    assert (tmp_path / "data/ExperimentRuns/TS/VoxelSpacing10.000/wbp.zarr/0/.zarray").exists()


def test_a_member_that_is_deleted_from_a_class_is_gone_from_what_projects_return(python):
    code = """
from copick import models
found = []
for cls, name in ((models.CopickRun, "get_filaments"), (models.CopickSegmentation, "segmentation_type"),
                  (models.CopickPicks, "full_positions"), (models.PickableObject, "filament")):
    kept = cls.__dict__[name]
    delattr(cls, name)
    found.append(hasattr(cls, name))
    setattr(cls, name, kept)
    found.append(hasattr(cls, name))
print(found)
"""
    assert run_code(python, code) == str([False, True] * 4)


def test_filters_of_the_portal_change_nothing_elsewhere_and_unknown_ones_are_refused(python, tmp_path):
    code = f"""
import copick, functools
from copick.util.uri import get_copick_objects_by_type
root = copick.new_config({str(tmp_path / "c.json")!r}, {str(tmp_path / "data")!r},
                         pickable_objects=[copick.models.PickableObject(name="ribosome", is_particle=True, label=1)])
run = root.new_run("TS")
run.new_picks("ribosome", "1", "alice").store()
found = [len(run.get_picks(portal_meta_query={{"method_type": "manual"}}))]
by_type = functools.partial(get_copick_objects_by_type, root, "picks")
for getter in (run.get_picks, run.get_segmentations, run.new_voxel_spacing(10).get_tomograms, by_type):
    try:
        getter(user="bob")
    except TypeError as error:
        found.append("'user'" in str(error))
print(found)
"""
    assert run_code(python, code) == str([1, True, True, True, True])


def test_statistics_count_the_types_that_are_asked_for(python, tmp_path):
    code = f"""
import copick, numpy
from copick.ops.stats import segmentations_stats
from copick.ops.get import get_segmentations
root = copick.new_config({str(tmp_path / "c.json")!r}, {str(tmp_path / "data")!r},
                         pickable_objects=[copick.models.PickableObject(name="ribosome", is_particle=True, label=1)])
run = root.new_run("TS")
for instance in (False, True):
    made = run.new_segmentation(10.0, "ribosome", "1", False, user_id="alice", is_instance=instance)
    made.from_numpy(numpy.ones((2, 2, 2), "u1"), levels=1)
total = "total_segmentations"
print([segmentations_stats(root)[total], segmentations_stats(root, is_instance=True)[total],
       segmentations_stats(root, None, None, None, None, None, None, True, 4, False, None)[total],
       len(get_segmentations(root, "TS", None, None, None, None, None, True, 4, False, None))])
"""
    assert run_code(python, code) == str([1, 1, 2, 2])


def test_projects_of_mlcroissant_are_refused_with_the_way_out(python):
    done = call(python, "-c", """import copick; copick.from_string('{"config_type": "mlcroissant"}')""")

    assert "open them with the released copick" in done.stderr.splitlines()[-1]


def test_beside_files_of_the_released_copick_the_import_fails_with_one_sentence(python, tmp_path):
    shutil.copytree(DROPIN / "src" / "copick", tmp_path / "copick")
    (tmp_path / "copick" / "impl" / "mlcroissant.py").touch()

    done = call(python, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import copick")

    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("ImportError: ")
    assert "impl/mlcroissant.py of the released copick" in sentence
    assert "pip uninstall copick" in sentence
    assert sentence.count(". ") == 0


def test_the_command_says_which_copick_it_is(python):
    done = call(python, "-m", "copick.cli", "--version")

    assert done.returncode == 0
    assert "2.0.0+core.1" in done.stdout
    assert "drop-in" in done.stdout


BROKEN = """\
[copick.convert.commands]
lost = no_such_module:command
ended = ending_tool:command
nameless = fine_tool:NAMELESS
fine = fine_tool:fine

[copick.commands]
odd = fine_tool:NUMBER
"""
FINE = """\
import click
NUMBER = 3
NAMELESS = click.Command(None)
@click.command()
def fine(): print('it works')
"""


@pytest.fixture
def broken(tmp_path):
    """A folder with a distribution that has one command that works, and others that do not."""
    info = tmp_path / "broken_tool-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-tool\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(BROKEN)
    (tmp_path / "fine_tool.py").write_text(FINE)
    (tmp_path / "ending_tool.py").write_text("raise SystemExit('no display')\n")
    return tmp_path


def test_a_broken_plugin_does_not_take_the_command_down(python, broken):
    done = call(python, "-m", "copick.cli", "convert", "fine", cwd=broken, PYTHONPATH=str(broken))

    assert (done.returncode, done.stdout) == (0, "it works\n")


def test_every_broken_plugin_is_told_by_the_distribution_that_has_it(python, broken):
    done = call(python, "-m", "copick.cli", "info", cwd=broken, PYTHONPATH=str(broken))

    assert "convert fine\tbroken-tool" in done.stdout
    assert sorted(line for line in done.stderr.splitlines() if "broken-tool" in line) == [
        "copick: the command 'ended' of broken-tool cannot be loaded: SystemExit: no display",
        "copick: the command 'lost' of broken-tool cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'",
        "copick: the command 'nameless' of broken-tool has no name",
        "copick: the entry point 'odd' of broken-tool is not a click command: 3",
    ]


def test_particles_that_name_no_tomogram_go_to_the_run_that_is_given_and_to_no_other(python, tmp_path):
    run_code(
        python,
        f"import copick; copick.new_config({str(tmp_path / 'c.json')!r}, {str(tmp_path / 'data')!r}, "
        "pickable_objects=[copick.models.PickableObject(name='ribosome', is_particle=True, label=1)])",
    )
    star = tmp_path / "points.star"
    star.write_text("data_particles\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnCoordinateZ\n1.0 2.0 3.0\n")
    options = ("--config", str(tmp_path / "c.json"), "--object-name", "ribosome", "--voxel-size", "10")

    refused = call(python, "-m", "copick.cli", "add", "picks-relion", str(star), *options)
    added = call(python, "-m", "copick.cli", "add", "picks", str(star), "--run", "TS_001", *options)

    assert refused.returncode == 1
    assert "names no tomograms" in refused.stderr
    assert added.returncode == 0, added.stderr
    assert [path.name for path in (tmp_path / "data" / "ExperimentRuns").iterdir()] == ["TS_001"]


def test_a_file_of_picks_can_be_put_in_place_of_what_a_handle_has(python, tmp_path):
    code = f"""
import copick
from copick.models import CopickPicksFile
root = copick.new_config({str(tmp_path / "c.json")!r}, {str(tmp_path / "data")!r},
                         pickable_objects=[copick.models.PickableObject(name="ribosome", is_particle=True, label=1)])
picks = root.new_run("TS").new_picks("ribosome", "1", "alice")
content = dict(pickable_object_name="ribosome", user_id="alice", session_id="1", run_name="TS",
               points=[dict(location=dict(x=1.0, y=2.0, z=3.0), instance_id=5)])
picks.meta = CopickPicksFile(**content)
picks.store()
again = copick.from_file({str(tmp_path / "c.json")!r}).get_run("TS").picks[0]
again.load()
print([again.meta.model_dump()["points"][0]["instance_id"], again.points[0].location.z])
"""
    assert run_code(python, code) == str([5, 3.0])
