"""The tree that shows which layer holds what."""

import numpy as np
import pytest

import copick_core
from copick_tools.demo.digest import folder_digest, layer_digest
from copick_tools.tree import project_tree


@pytest.fixture
def reopened(project_config, tmp_path):
    """A project in the folder "made", under a fresh overlay."""
    run = copick_core.open(project_config("made")).new_run("TS_001")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.zeros((8, 12, 16), dtype=np.float32), levels=2)
    name = next(o.name for o in copick_core.open(project_config("made")).config.pickable_objects if o.is_particle)
    run.new_picks(name, "1", "alice").from_numpy([[1.0, 2.0, 3.0]])
    root = copick_core.open(project_config("overlay", "made"))
    root.get_run("TS_001").new_picks(name, "0", "finder").from_numpy([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    return root


def _line(lines, part):
    return next(line for line in lines if part in line)


def test_every_entity_shows_the_layer_that_holds_it(reopened):
    lines = project_tree(reopened)

    assert _line(lines, "user alice, session 1: 1 point").endswith("static, read-only")
    assert _line(lines, "tool finder: 2 points").endswith("overlay")
    assert _line(lines, "tomogram wbp: 8×12×16, 2 levels").endswith("static, read-only")


def test_layers_stand_in_one_column(reopened):
    lines = project_tree(reopened)

    columns = {line.index("static, read-only") for line in lines if "read-only" in line}
    assert columns == {_line(lines, "tool finder").index("overlay")}


def test_a_digest_changes_with_every_byte_name_and_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(b"one")
    digests = [folder_digest(str(tmp_path))]

    (tmp_path / "sub" / "file").write_bytes(b"two")
    digests.append(folder_digest(str(tmp_path)))
    (tmp_path / "sub" / "file").rename(tmp_path / "sub" / ".file")
    digests.append(folder_digest(str(tmp_path)))
    (tmp_path / "empty").mkdir()
    digests.append(folder_digest(str(tmp_path)))

    assert len({digest.sha256 for digest in digests}) == 4
    assert digests[-1].files == 1


def test_a_layers_digest_changes_with_picks_and_voxels(reopened):
    layer = reopened.layers.overlay
    run = reopened.get_run("TS_001")
    digests = [layer_digest(layer)]

    run.get_picks(user_id="finder")[0].from_numpy([[7.0, 8.0, 9.0]])
    digests.append(layer_digest(layer))
    run.get_voxel_spacing(10.0).new_tomogram("denoised").from_numpy(np.ones((4, 4, 4), dtype=np.float32), levels=1)
    digests.append(layer_digest(layer))

    assert len({digest.sha256 for digest in digests}) == 3
    assert layer_digest(layer) == digests[-1]
