"""Runs of every kind of place are opened, and points are added and stored."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import zarr

import copick_core
from copick_core.__main__ import main

pytest.importorskip("neuroglancer", reason="neuroglancer is not installed (copick-core[view])")
pytest.importorskip("moto.server", reason="moto is not installed (the loopback of the data portal)")

from copick_view.viewer.serving import PageServer
from support.browser import EXECUTABLE, OpenPage, chromium
from support.objects import OBJECTS
from support.portal_loopback import LoopbackPortal, content
from support.portals import open_project
from support.shared_data import data_file


@pytest.fixture
def portal_project(tmp_path, monkeypatch):
    """A dataset of the data portal on loopback, under an overlay in a folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    portal = content.fill(LoopbackPortal())
    root = open_project(portal, tmp_path / "overlay", session_id="1")
    run = next(r for r in root.runs if any(s.tomograms for s in r.voxel_spacings) and r.picks)
    yield root, run.name
    portal.stop()


@pytest.fixture
def compose_project(generated, tmp_path):
    """A compose volume under an overlay in a folder."""
    config = {
        "config_type": "stack",
        "overlay": {"config_type": "filesystem", "overlay_root": str(tmp_path / "overlay")},
        "static": [{"config_type": "compose_volume", "volume_root": str(generated.root)}],
        "pickable_objects": OBJECTS,
        "user_id": "alice",
        "session_id": "1",
    }
    return copick_core.open(config), "CC7651"


@pytest.fixture
def memory_project():
    """A project in memory, with a tomogram of float16."""
    root = copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "user_id": "alice", "session_id": "1"})
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    array = zarr.open_group(tomogram.zarr(), mode="w", zarr_format=2).create_array("0", shape=(8, 10, 12), dtype="f2")
    array[:] = np.random.default_rng(1).normal(size=(8, 10, 12))
    return root, "TS_1"


@pytest.fixture
def measured_project(tmp_path):
    """A measured tomogram of a microtubule at two binnings."""
    file = data_file("13pf_MT.tif")
    if file is None:
        pytest.skip("the measured tomogram is absent (COPICK_TEST_DATA)")
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "project"), "pickable_objects": OBJECTS}
    root = copick_core.open({**config, "user_id": "alice", "session_id": "1"})
    run = root.new_run("13pf")
    run.new_voxel_spacing(10.52).new_tomogram("sirt").import_volume(str(file))
    fine = run.get_voxel_spacing(10.52).get_tomograms("sirt")[0].numpy("1")
    run.new_voxel_spacing(21.04).new_tomogram("sirt").from_numpy(fine)
    return root, "13pf"


@pytest.fixture
def demo_project(tmp_path):
    """The demo's phantom."""
    main(["demo", "--keep", str(tmp_path / "demo"), "--no-progress"])
    return copick_core.open(tmp_path / "demo" / "review.json"), "phantom"


#: What the viewer has to say about its layers: nothing, unless one cannot be drawn.
MESSAGES = "viewer.layerManager.managedLayers.map(l => [...l.layer.dataSources[0].messages].map(m => m.message).join())"
PLACES = ["memory_project", "measured_project", "portal_project", "compose_project"]


@pytest.mark.parametrize("project", PLACES)
def test_a_run_is_opened_and_a_point_is_stored_in_it(project, request, tmp_path):
    root, run = request.getfixturevalue(project)
    with PageServer(root, drafts=tmp_path / "drafts") as server:
        session = server.session(run, f"127.0.0.1:{server.port}")
        session.close()
        panel = session.panel()
        assert panel["problems"] == []
        own = next(found["name"] for found in panel["lists"] if found["own"])
        raw = copy.deepcopy(session.drawing.viewer.shared_state.raw_state)
        layer = next(layer for layer in raw["layers"] if layer["name"] == own)
        layer["annotations"] = [*layer["annotations"], {"type": "point", "id": "new", "point": [10.0, 20.0, 5.0]}]
        session.drawing.viewer.set_state(raw)

        assert session.store()

        (picks,) = root.get_run(run).get_picks(session.lists.chosen, session.editor.user_id, "1")
        assert picks.numpy()[0].tolist() == [[10.0, 20.0, 5.0]]
        assert session.panel()["unsaved"] == {}


@pytest.mark.full
@pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium is installed (apt-get install chromium)")
@pytest.mark.parametrize("project", [*PLACES, "demo_project"])
def test_a_run_is_looked_at_and_edited_in_a_browser(project, request, tmp_path):
    pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")
    root, run = request.getfixturevalue(project)
    with PageServer(root, drafts=tmp_path / "drafts") as server, chromium() as browser:
        page = OpenPage(browser.new_context(viewport={"width": 1100, "height": 700}).new_page(), server)
        session = page.open(run)
        own = session.lists.get(session.lists.own_name(session.lists.chosen))
        before = len(own.points)
        messages, contrasts, expected = [], [], []
        for number, tomogram in enumerate(session.panel()["tomograms"][:2], 1):  # the measured one has two binnings
            session.open_tomogram(tomogram)
            scale = session.scene.finest.scale[::-1]
            middle = [n // 2 * s for n, s in zip(session.scene.finest.shape[::-1], scale, strict=True)]
            page.look(session, middle, 8)
            messages += page.frame.evaluate(MESSAGES)
            contrasts.append(page.pixels()[60:-60, 60:-60].std())
            _, _, width, height = page.panel_box()
            page.click(width / 2 + 16 * number, height / 2 + 16, "Control")
            page.until(lambda number=number: session.panel()["unsaved"] == {session.lists.chosen: f"{number} added"})
            expected.append([middle[0] + 2 * number * scale[0], middle[1] + 2 * scale[1], middle[2]])
        page.page.keyboard.press("Control+s")
        page.until(lambda: not session.panel()["unsaved"])

    (picks,) = root.get_run(run).get_picks(session.lists.chosen, session.editor.user_id, session.editor.session_id)
    assert ({*messages}, min(contrasts) > 5) == ({""}, True)
    np.testing.assert_allclose(picks.numpy()[0][before:], expected, atol=0.15 * max(scale))
