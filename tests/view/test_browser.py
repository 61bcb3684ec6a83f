"""The page in a browser: what it draws, and what the mouse and the keys do."""

from __future__ import annotations

import numpy as np
import pytest

import copick_core
from support.browser import EXECUTABLE, OpenPage, chromium
from support.objects import OBJECTS

pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")
pytest.importorskip("neuroglancer", reason="neuroglancer is not installed (copick-core[view])")

from copick_view.viewer.points import centre
from copick_view.viewer.serving import PageServer

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium is installed (apt-get install chromium)"),
]

OWN, TOOL, IMAGE, LABELS = "ribosome:alice/1", "ribosome:tool/0", "wbp@13.5", "all:tool/0@13.5?multilabel=true"
SIZE = 13.5
#: Centre of the ball of the project's tomogram, x, y, z in voxels.
BALL = (17, 25, 9)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def server(shared_project, tmp_path):
    with PageServer(copick_core.open(shared_project("alice")), drafts=tmp_path / "drafts") as server:
        yield server


@pytest.fixture
def opened(browser, server):
    """The page of alice, in a window of its own."""
    context = browser.new_context(viewport={"width": 1100, "height": 700})
    yield OpenPage(context.new_page(), server)
    context.close()


def _stored(shared_project, user="alice", session="1"):
    found = copick_core.open(shared_project("alice")).get_run("TS_1").get_picks("ribosome", user, session)
    return found[0].numpy()[0].tolist() if found else None


def _middle(pixels):
    """Around the middle of what is shown."""
    height, width = pixels.shape[:2]
    return pixels[height // 2 - 10 : height // 2 + 10, width // 2 - 10 : width // 2 + 10].reshape(-1, 3)


def _only(session, *names):
    """Show these layers alone."""
    others = [layer["name"] for layer in session.drawing.layers if layer["name"] not in names]
    session.show(others, visible=False)


def test_the_tomogram_is_drawn_with_its_particle_where_it_is(opened):
    session = opened.open("TS_1")
    _only(session, IMAGE)
    opened.look(session, [v * SIZE for v in BALL], 12)

    pixels = opened.pixels()

    height, width = pixels.shape[:2]
    beside = pixels[height // 2 - 40 : height // 2 + 40, width // 2 + 100 : width // 2 + 180]
    assert _middle(pixels).mean() < 0.6 * beside.mean()
    assert beside.std() > 20  # noise, not a plain background


def test_the_first_picture_shows_all_of_a_large_tomogram_and_reads_no_level_that_is_finer_than_the_screen(browser, tmp_path):
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "project"), "pickable_objects": OBJECTS}
    root = copick_core.open({**config, "user_id": "alice"})
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.random.default_rng(0).normal(size=(64, 576, 576)).astype(np.float32), levels=3)
    with PageServer(root, drafts=tmp_path / "drafts") as server:
        context = browser.new_context(viewport={"width": 1100, "height": 700})
        page = OpenPage(context.new_page(), server)
        asked = []
        page.page.on("request", lambda request: asked.append(request.url))

        page.open("TS_1")

        levels = {url.split("/")[-4] for url in asked if "/data/" in url and url[-1].isdigit()}
        context.close()
    assert levels == {"1", "2"}


def test_labels_have_the_colors_of_their_objects(opened):
    session = opened.open("TS_1")
    _only(session, LABELS)

    def solid(raw):
        for layer in raw["layers"]:
            layer.update({"selectedAlpha": 1.0} if layer["name"] == LABELS else {})

    session.drawing._update(solid)
    colors = []
    for place in (BALL, (30, 2, 9), (45, 25, 9)):
        opened.look(session, [v * SIZE for v in place], 12)
        colors.append(np.unique(_middle(opened.pixels()), axis=0).tolist())

    assert colors == [[[230, 60, 60]], [[60, 160, 230]], [[0, 0, 0]]]


def test_meshes_are_drawn_in_3d(opened):
    session = opened.open("TS_1")
    _only(session, "membrane:tool/0 mesh")
    session.restore_view({**session.view(), "layout": "3d", "position": [0, 0, 0], "showSlices": False})

    opened.until(lambda: opened.pixels()[60:-60, 60:-60, 2].max() > 100)
    found = opened.pixels()[60:-60, 60:-60]

    blue = found[found[..., 2] > 100].astype(float).mean(axis=0)
    assert blue[2] > blue[1] > blue[0]


def test_filaments_are_lines_in_slices_and_tubes_of_their_radius_in_3d(opened, shared_project):
    run = copick_core.open(shared_project("bob")).get_run("TS_1")
    run.new_filaments("ribosome", "7", "bob").from_numpy([np.array([[100.0, 300.0, 200.0], [600.0, 300.0, 200.0]])])
    session = opened.open("TS_1")
    _only(session, "ribosome:bob/7 filaments")
    opened.look(session, (300.0, 300.0, 200.0), 12)
    line = _red(opened.pixels())

    _only(session, "ribosome:bob/7 tubes")
    session.show(["ribosome:bob/7 tubes"], visible=True)
    session.restore_view({**session.view(), "layout": "3d", "projectionScale": 1000 / SIZE, "showSlices": False})
    opened.until(lambda: _red(opened.pixels()).any())
    tube = _red(opened.pixels())

    _, _, _, height = opened.panel_box()
    assert 2 <= line[:, line.shape[1] // 2].sum() <= 5
    assert tube[:, tube.shape[1] // 2].sum() == pytest.approx(height * 240 / 1000, rel=0.15)


def _red(pixels):
    """Where the color of ribosomes is, without the edges, where there are buttons and a scale bar."""
    inner = pixels[60:-60, 60:-60].astype(int)
    return (inner[..., 0] > 80) & (inner[..., 0] > 2 * inner[..., 1])


@pytest.mark.parametrize("level", [0, 1])
def test_a_click_on_what_is_drawn_stores_its_coordinates(browser, tmp_path, level):
    """A bright block is clicked on where the picture shows it, at 8 pixels a voxel; one voxel of the level is one block."""
    config = {
        "config_type": "filesystem",
        "overlay_root": str(tmp_path / "project"),
        "pickable_objects": OBJECTS,
        "user_id": "alice",
    }
    root = copick_core.open(config)
    values = np.zeros((24, 40, 56), np.float32)
    length = 2**level
    values[10 : 10 + length, 26 : 26 + length, 18 : 18 + length] = 100.0
    root.new_run("TS_1").new_voxel_spacing(SIZE).new_tomogram("wbp").from_numpy(values, levels=2)
    expected = [(v + (length - 1) / 2) * SIZE for v in (18, 26, 10)]
    context = browser.new_context(viewport={"width": 1100, "height": 700})
    with PageServer(root, drafts=tmp_path / "drafts") as server:
        opened = OpenPage(context.new_page(), server)
        session = opened.open("TS_1")
        session.open_tomogram("TS_1/wbp@13.5", level)
        opened.look(session, (expected[0] + 60.0, expected[1] - 45.0, expected[2]), 8 * length)
        pixels = opened.pixels()[60:-60, 60:-60]
        rows, columns = np.nonzero((pixels > 200).all(axis=2))
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == pytest.approx((8 * length, 8 * length), abs=1)

        opened.click(columns.mean() + 0.5 + 60, rows.mean() + 0.5 + 60, "Control")
        opened.until(lambda: session.panel()["unsaved"])
        opened.page.keyboard.press("Control+s")
        opened.until(lambda: not session.panel()["unsaved"])
    context.close()

    (stored,) = copick_core.open(config).get_run("TS_1").get_picks("ribosome", "alice")[0].numpy()[0].tolist()
    assert stored[:2] == pytest.approx(expected[:2], abs=0.15 * SIZE)
    assert stored[2] == pytest.approx(expected[2], abs=0.01)


def test_a_point_is_moved_and_deleted_with_the_mouse(opened, shared_project):
    session = opened.open("TS_1")
    _only(session, IMAGE, OWN)
    opened.look(session, (300.0, 200.0, 100.0), 8)
    _, _, width, height = opened.panel_box()

    x, y = opened.point_at(width / 2, height / 2, "p0")
    opened.page.keyboard.down("Alt")
    opened.page.mouse.down()
    opened.page.mouse.move(x + 40, y + 16, steps=5)
    opened.page.mouse.up()
    opened.page.keyboard.up("Alt")
    moved = pytest.approx([300.0 + 5 * SIZE, 200.0 + 2 * SIZE, 100.0], abs=0.15 * SIZE)
    # The viewer sends places on the way there too.
    opened.until(lambda: list(centre(session.lists.get(OWN).points["p0"])) == moved)
    assert session.panel()["unsaved"] == {"ribosome": "1 moved"}
    opened.page.click("#store")
    opened.until(lambda: not session.panel()["unsaved"])

    (stored,) = _stored(shared_project)
    assert stored == moved

    opened.click(width / 2 + 40, height / 2 + 16, "Control", "Alt", button="right", point="p0")
    opened.until(lambda: session.panel()["unsaved"] == {"ribosome": "1 deleted"})


@pytest.mark.parametrize("pause", [300, 50])
def test_no_click_is_lost_however_fast_they_come(opened, pause):
    session = opened.open("TS_1")
    opened.look(session, (300.0, 200.0, 100.0), 8)
    x, y = opened.point_at(200, 200)

    opened.page.keyboard.down("Control")
    for number in range(10):
        opened.page.mouse.click(x + 12 * number, y)
        opened.page.wait_for_timeout(pause)
    opened.page.keyboard.up("Control")

    opened.until(lambda: session.panel()["unsaved"] == {"ribosome": "10 added"})


def test_changing_read_only_picks_asks_first(opened, shared_project):
    session = opened.open("TS_1")
    _only(session, IMAGE, TOOL)
    opened.look(session, (400.0, 300.0, 200.0), 8)
    _, _, width, height = opened.panel_box()

    opened.click(width / 2, height / 2, "Control", "Alt", button="right", point="p1")
    opened.page.wait_for_selector("#question:not([hidden])")
    assert "read-only, in layer 'static'" in opened.page.inner_text("#question")
    opened.page.click("#question button[data-choice=yes]")
    opened.until(lambda: session.panel()["unsaved"] == {"ribosome": "1 added"})

    assert _stored(shared_project, "tool", "0") == [[17 * SIZE, 25 * SIZE, 9 * SIZE], [400.0, 300.0, 200.0]]


def test_a_conflict_is_shown_and_saved_as_another_session(opened, shared_project):
    session = opened.open("TS_1")
    opened.look(session, (300.0, 200.0, 100.0), 8)
    opened.click(400, 200, "Control")
    opened.until(lambda: session.panel()["unsaved"])
    copick_core.open(shared_project("alice")).get_run("TS_1").get_picks("ribosome", "alice")[0].from_numpy([[1.0, 2.0, 3.0]])

    opened.page.click("#store")
    opened.page.wait_for_selector("#question:not([hidden])")
    assert "was stored by another page or program" in opened.page.inner_text("#question")
    opened.page.fill("#session", "2")
    opened.page.click("#question button[data-choice=save]")
    opened.until(lambda: _stored(shared_project, session="2"))

    assert _stored(shared_project) == [[1.0, 2.0, 3.0]]
    assert len(_stored(shared_project, session="2")) == 2


def test_what_another_user_stores_appears_without_a_reload(opened, shared_project):
    session = opened.open("TS_1")

    copick_core.open(shared_project("bob")).get_run("TS_1").new_picks("proteasome", "7", positions=[[10.0, 20.0, 30.0]])
    opened.page.wait_for_selector("text=proteasome:bob/7", timeout=15_000)

    assert "new" in opened.page.inner_text(".row:has-text('proteasome:bob/7')")
    assert session.drawing.layers[-1]["name"] == "proteasome:bob/7"


def test_edits_survive_a_reload_of_the_page(opened):
    session = opened.open("TS_1")
    opened.look(session, (300.0, 200.0, 100.0), 8)
    opened.click(400, 200, "Control")
    opened.until(lambda: session.panel()["unsaved"])

    opened.page.reload()
    opened.page.wait_for_selector("text=Not stored: ribosome: 1 added")
    opened.open("TS_1")

    assert len(next(layer for layer in session.drawing.layers if layer["name"] == OWN)["annotations"]) == 2


def test_one_click_in_a_list_leads_to_the_point_and_a_link_leads_there_again(opened):
    session = opened.open("TS_1")
    opened.page.click(f".row:has-text('{TOOL}') button")
    opened.page.click(".points button:has-text('400.0')")
    opened.until(lambda: session.drawing.selection() == {TOOL: "p1"})
    opened.page.click("#link")
    opened.until(lambda: "!" in opened.page.evaluate("location.hash"))
    link = opened.page.evaluate("location.href")
    place = session.drawing.view()["position"]
    session.go_to(OWN, "p0")

    opened.page.goto("about:blank")
    opened.open("TS_1", link)

    assert opened.until(lambda: session.drawing.view()["position"] == pytest.approx(place))


def test_lengths_are_in_angstrom_or_in_nanometres_also_in_the_legend_of_objects(opened):
    opened.open("TS_1")
    opened.page.click(f".row:has-text('{TOOL}') button")
    opened.page.wait_for_selector(".row:has-text('r 120 Å, label 1')")
    opened.page.wait_for_selector(".points button:has-text('400.0  300.0  200.0 Å')")

    opened.page.select_option("select:has(option[value=nm])", "nm")

    opened.page.wait_for_selector(".row:has-text('r 12 nm, label 1')")
    opened.page.wait_for_selector(".points button:has-text('40.00  30.00  20.00 nm')")


def test_a_layer_is_hidden_by_its_box(opened):
    session = opened.open("TS_1")
    _only(session, LABELS)
    opened.look(session, [v * SIZE for v in BALL], 12)
    assert _middle(opened.pixels()).any()

    opened.page.uncheck(f"label:has-text('{LABELS}') input")

    opened.until(lambda: not _middle(opened.pixels()).any())


def test_a_key_takes_back_the_last_change(opened):
    session = opened.open("TS_1")
    opened.look(session, (300.0, 200.0, 100.0), 8)
    for number in (1, 2):  # what is clicked while the mouse does not rest is one change
        opened.click(350 + 50 * number, 200, "Control")
        opened.until(lambda number=number: session.panel()["unsaved"] == {"ribosome": f"{number} added"})

    opened.page.keyboard.press("Control+z")

    opened.until(lambda: session.panel()["unsaved"] == {"ribosome": "1 added"})


def test_a_selected_point_is_given_to_another_object_in_the_panel(opened, shared_project):
    session = opened.open("TS_1")
    opened.page.click(f".row:has-text('{OWN}') button")
    opened.page.click(".points button:has-text('300.0')")
    opened.until(lambda: session.drawing.selection() == {OWN: "p0"})

    opened.page.select_option("#assign", "proteasome")
    opened.until(lambda: session.panel()["unsaved"] == {"ribosome": "1 deleted", "proteasome": "1 added"})
    opened.page.click("#store")
    opened.until(lambda: not session.panel()["unsaved"])

    (found,) = copick_core.open(shared_project("alice")).get_run("TS_1").get_picks("proteasome", "alice")
    assert found.numpy()[0].tolist() == [[300.0, 200.0, 100.0]]


def test_the_state_of_review_is_set_in_the_panel(opened, shared_project):
    opened.open("TS_1")

    opened.page.select_option("#review-ribosome", "done")

    def states():
        reviews = copick_core.open(shared_project("alice")).reviews
        return [reviews.get("TS_1", name).state for name in (None, "ribosome")]

    opened.until(lambda: states() == ["open", "done"])


def test_all_runs_have_a_picture_and_lead_to_the_run(opened):
    opened.page.goto(opened.server.url)
    opened.page.wait_for_selector(".card img")
    opened.until(lambda: opened.page.evaluate("document.querySelector('.card img').naturalWidth") > 0)

    opened.page.click(".card")

    opened.page.wait_for_selector("text=Ctrl + click adds a point")


def test_keys_are_explained(opened):
    opened.page.goto(opened.server.url)
    opened.page.click("#help")

    assert "add a point of the chosen object" in opened.page.inner_text("#keys")


def test_the_page_asks_this_machine_only(opened):
    opened.page.goto(opened.server.url)
    opened.page.wait_for_selector(".card")
    session = opened.open("TS_1")
    opened.look(session, (300.0, 200.0, 100.0), 8)

    assert opened.hosts == {"127.0.0.1"}
