"""What is in the overlay beside a volume: it is as in any other project, and has nothing of the volume."""

import numpy as np
import pytest
import trimesh

from support.volumes import open_volume

JOB = "CC7651"


@pytest.fixture
def run(generated):
    return open_volume(generated.root).get_run(JOB)


def new_segmentation(run, session):
    made = run.new_segmentation(1.0, "label-255", session, False, user_id="ana")
    made.from_numpy(np.ones((12, 40, 30), np.uint8))
    return run.get_segmentations(user_id="ana", session_id=session)[0]


def new_mesh(run, session):
    made = run.new_mesh("label-255", session, "ana")
    made.mesh = trimesh.creation.box()
    made.store()
    return run.get_meshes(user_id="ana", session_id=session)[0]


@pytest.mark.parametrize("new", [new_segmentation, new_mesh])
@pytest.mark.parametrize(("session", "by_tool"), [("0", True), ("1", False)])
def test_only_session_zero_of_the_overlay_is_by_a_tool(run, new, session, by_tool):
    assert new(run, session).from_tool is by_tool


def test_a_segmentation_of_the_overlay_has_no_id_in_the_volume(run):
    assert new_segmentation(run, "1").model_id is None


def test_a_mesh_of_the_overlay_has_no_blocks(run):
    assert new_mesh(run, "1").blocks() == {}


def test_what_is_in_the_overlay_is_never_the_latest(run):
    new_segmentation(run, "9999999999"), new_mesh(run, "9999999999")

    assert (run.latest_segmentation.model_id, run.latest_mesh.session_id) == ("1720196900", "1720196900")
