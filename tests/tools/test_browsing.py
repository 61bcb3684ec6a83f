"""The terminal browser, operated by its keys."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import numpy as np
import pytest

import copick_core
from copick_core import plugins
from copick_core.__main__ import main
from support.distributions import install
from tools.conftest import fill

app = pytest.importorskip("copick_tools.browsing.app")


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    """A terminal with all colours."""
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def config(project_config, tmp_path):
    """Config file of a filled project, whose tomogram has a picture."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(project_config(review_states=["open", "taken", "done"])))
    root = fill(copick_core.open(path))
    volume = np.zeros((8, 32, 48), np.float32)
    volume[:, :, 24:] = 1
    root.get_run("TS_2").new_voxel_spacing(10.0).new_tomogram("raw").from_numpy(volume, levels=1)
    return path


@asynccontextmanager
async def browsing(config, text="", **how):
    """A browser that has listed what it shows, and the keys to operate it."""
    browser = app.Browser(copick_core.open(config), str(config), text, **how)
    async with browser.run_test(size=(140, 50)) as keys:
        await settled(browser, keys)
        yield browser, keys


async def settled(browser, keys):
    await keys.pause()
    await browser.workers.wait_for_complete()
    await keys.pause()


async def press(browser, keys, *names):
    for name in names:
        await keys.press(name)
        await settled(browser, keys)


def lines(browser):
    """The lines of the tree, as they are shown."""
    tree = browser.tree_widget
    return [str(tree.get_node_at_line(number).label) for number in range(tree.last_line + 1)]


async def go_to(browser, keys, label):
    """Move the cursor to the line that begins with a text."""
    browser.tree_widget.cursor_line = next(n for n, line in enumerate(lines(browser)) if line.startswith(label))
    await settled(browser, keys)


def details(browser):
    return str(browser.query_one("#details").render())


def messages(browser):
    return [notification.message for notification in browser._notifications]


def test_where_there_is_no_terminal_nothing_is_painted(config, capsys):
    assert main(["browse", "-c", str(config)]) == 2

    printed = capsys.readouterr()
    assert "there is no terminal to browse in; copick-core tree and ls print what a project has" in printed.err
    assert not printed.out


def test_the_tree_shows_runs_and_in_them_what_is_stored_where_with_counts(config):
    async def test():
        async with browsing(config) as (browser, keys):
            assert lines(browser) == ["CoPick: 2 runs", "TS_1", "TS_2"]
            await go_to(browser, keys, "TS_1")
            await press(browser, keys, "enter")
            return lines(browser)

    assert asyncio.run(test()) == [
        "CoPick: 2 runs",
        "TS_1",
        "tomograms (1)",
        "wbp@10.0  overlay",
        "features (1)",
        "wbp@10.0:sobel  overlay",
        "picks (2)",
        "ribosome:alice/1  overlay",
        "ribosome:bob/1  overlay",
        "meshes (1)",
        "membrane:alice/1  overlay",
        "segmentations (1)",
        "membrane:alice/1@10.0  overlay",
        "TS_2",
    ]


def test_what_is_read_only_says_so(layered):
    root, _ = layered

    async def test():
        browser = app.Browser(root, "config.json")
        async with browser.run_test() as keys:
            await settled(browser, keys)
            await go_to(browser, keys, "TS_1")
            await press(browser, keys, "enter")
            return lines(browser)

    assert any(line.endswith("static, read-only") for line in asyncio.run(test()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2", ["CoPick: 1 run", "TS_2"]),
        ("ts_*", ["CoPick: 2 runs", "TS_1", "TS_2"]),
        ("*/wbp@10.0", ["CoPick: 1 run", "TS_1"]),
        ("TS_2/", ["CoPick: 1 run", "TS_2"]),
        ("nothing", ["CoPick: 0 runs"]),
    ],
)
def test_a_filter_leaves_the_runs_that_match(config, text, shown):
    async def test():
        async with browsing(config) as (browser, keys):
            await press(browser, keys, "slash", *text.replace(" ", ""), "enter")
            return lines(browser)

    assert asyncio.run(test()) == shown


def test_an_address_leaves_what_matches_in_its_runs(config):
    async def test():
        async with browsing(config, "*/ribosome:bob") as (browser, keys):
            await go_to(browser, keys, "TS_2")
            await press(browser, keys, "enter")
            return lines(browser)

    assert asyncio.run(test()) == ["CoPick: 2 runs", "TS_1", "TS_2", "picks (1)", "ribosome:bob/1  overlay"]


def test_a_filter_that_is_no_address_is_refused_with_the_reason(config):
    async def test():
        async with browsing(config) as (browser, keys):
            await press(browser, keys, "slash", *"TS_1/a:b:c", "enter")
            return lines(browser), messages(browser)

    shown, said = asyncio.run(test())
    assert shown == ["CoPick: 2 runs", "TS_1", "TS_2"]
    assert "a:b:c" in said[0]


def test_s_shows_what_is_stored_of_an_entity(config):
    async def test():
        async with browsing(config, "*/wbp@10.0") as (browser, keys):
            await go_to(browser, keys, "TS_1")
            await press(browser, keys, "enter")
            await go_to(browser, keys, "wbp@10.0  ")
            await press(browser, keys, "s")
            return details(browser)

    shown = asyncio.run(test())
    assert "TS_1/wbp@10.0" in shown
    assert "wbp.zarr" in shown
    assert "4×4×4, float32, chunks 4×4×4" in shown


def test_p_draws_the_picture_of_a_run(config):
    async def test():
        async with browsing(config) as (browser, keys):
            await go_to(browser, keys, "TS_2")
            await press(browser, keys, "p")
            return browser.query_one("#details").content

    picture = asyncio.run(test())
    assert "▀" in picture.plain
    colors = {span.style.color.triplet for span in picture.spans if span.style.color is not None}
    assert max(color.red for color in colors) > 200 > 50 > min(color.red for color in colors)


def test_p_names_the_run_that_has_no_tomogram(config):
    copick_core.open(config).new_run("TS_3")

    async def test():
        async with browsing(config) as (browser, keys):
            await go_to(browser, keys, "TS_3")
            await press(browser, keys, "p")
            return messages(browser)

    assert "TS_3" in asyncio.run(test())[0]


def test_p_draws_nothing_in_a_terminal_of_few_colours(config):
    async def test():
        async with browsing(config) as (browser, keys):
            browser.console._color_system = None
            await go_to(browser, keys, "TS_2")
            await press(browser, keys, "p")
            return messages(browser)

    assert "too few colours" in asyncio.run(test())[0]


def test_r_sets_the_state_of_review_of_a_run(config):
    async def test():
        async with browsing(config) as (browser, keys):
            await go_to(browser, keys, "TS_1")
            await press(browser, keys, "r", "down", "down", "enter")
            return lines(browser)

    assert "done by alice" in asyncio.run(test())[1]
    assert copick_core.open(config).reviews.get("TS_1").state == "done"


def test_r_on_picks_sets_the_state_of_their_object(config):
    async def test():
        async with browsing(config, "*/ribosome:bob") as (browser, keys):
            await go_to(browser, keys, "TS_1")
            await press(browser, keys, "enter")
            await go_to(browser, keys, "ribosome:bob")
            await press(browser, keys, "r", "down", "enter")
            return lines(browser)

    assert "ribosome: taken by alice" in asyncio.run(test())[1]
    root = copick_core.open(config)
    assert (root.reviews.get("TS_1", "ribosome").state, root.reviews.get("TS_1").state) == ("taken", "open")


def test_escape_leaves_the_state_of_review_as_it_is(config):
    async def test():
        async with browsing(config) as (browser, keys):
            await go_to(browser, keys, "TS_1")
            await press(browser, keys, "r", "escape")

    asyncio.run(test())
    assert copick_core.open(config).reviews.get("TS_1").state == "open"


VIEWER = """
import click
from copick_core.plugins import Command, hookimpl

@click.command
@click.argument("address")
@click.option("-c", "--config")
def {name}(address, config):
    with open({file!r}, "a") as file:
        file.write(f"{{address}} {{config}}")
    raise SystemExit({code})

@hookimpl
def copick_command():
    return Command({name!r}, 1, "{module}:{name}", "look")
"""


@pytest.fixture
def viewer(tmp_path, monkeypatch):
    """Install a command that views an address, by name and exit code."""
    site, file = tmp_path / "site", tmp_path / "viewed"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))

    def make(name, code):
        module = f"my_{name}"
        source = VIEWER.format(name=name, file=str(file), code=code, module=module)
        install(site, module.replace("_", "-"), "copick_core.commands", [name], source)
        plugins.reset()
        return file

    yield make
    monkeypatch.undo()
    plugins.reset()


def test_v_opens_the_viewer_with_the_address(config, viewer):
    file = viewer("peek", 0)

    async def test():
        async with browsing(config, viewer="peek") as (browser, keys):
            await go_to(browser, keys, "TS_2")
            await press(browser, keys, "v")
            return messages(browser)

    assert asyncio.run(test()) == ["TS_2/ opens in the viewer"]
    assert file.read_text() == f"TS_2/ {config}"


def test_v_on_picks_opens_the_viewer_with_their_run(config, viewer):
    file = viewer("peer", 0)

    async def test():
        async with browsing(config, "*/ribosome:bob", viewer="peer") as (browser, keys):
            await go_to(browser, keys, "TS_2")
            await press(browser, keys, "enter")
            await go_to(browser, keys, "ribosome:bob")
            await press(browser, keys, "v")

    asyncio.run(test())
    assert file.read_text() == f"TS_2/ {config}"


def test_a_viewer_that_fails_is_no_silence(config, viewer):
    viewer("peep", 3)

    async def test():
        async with browsing(config, viewer="peep") as (browser, keys):
            await go_to(browser, keys, "TS_2")
            await press(browser, keys, "v")
            return messages(browser)

    assert "The viewer failed: exit code 3" in asyncio.run(test())


def test_v_names_the_install_line_of_a_viewer_that_is_missing(config, monkeypatch):
    monkeypatch.setattr(plugins.commands, "names", lambda: ["ls"])

    async def test():
        async with browsing(config) as (browser, keys):
            await go_to(browser, keys, "TS_2")
            await press(browser, keys, "v")
            return messages(browser)

    assert 'pip install "copick-core[view]"' in asyncio.run(test())[0]


def test_f5_shows_what_others_have_added(config):
    async def test():
        async with browsing(config) as (browser, keys):
            copick_core.open(config).new_run("TS_3")
            await press(browser, keys, "f5")
            return lines(browser)

    assert asyncio.run(test())[-1] == "TS_3"


def test_keys_say_that_a_run_has_to_be_chosen_first(config):
    async def test():
        async with browsing(config) as (browser, keys):
            await go_to(browser, keys, "CoPick")
            await press(browser, keys, "s")
            return messages(browser)

    assert asyncio.run(test()) == ["Choose a run, or something in it."]


def test_a_missing_textual_names_the_install_line(config, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("copick_tools.browsing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual", None)

    assert main(["browse", "-c", str(config)]) == 1

    assert 'pip install "copick-tools[browse]"' in capsys.readouterr().err
