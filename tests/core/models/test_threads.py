"""Handles that one thread uses while another one refreshes them: that may happen between any two lines."""

import sys
import threading
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from copick_core.models import mesh, picks
from copick_core.models.children import Children
from copick_core.tree.keys import RunKey
from support.locks import waits_for

FILES = {str(Path(module.__file__)) for module in (mesh, picks)}
POSITIONS = np.arange(9.0).reshape(3, 3)


def call_refreshed_at(line, handle, call):
    """Call with ``handle.refresh()`` before the n-th line of the model; the result, and whether there was such a line."""
    seen = 0

    def trace(frame, event, _):
        nonlocal seen
        if frame.f_code.co_filename not in FILES or frame.f_code.co_name == "refresh":
            return None
        if event == "line":
            seen += 1
            if seen == line:
                handle.refresh()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = call(handle)
    finally:
        sys.settrace(before)
    return result, seen >= line


def refreshed_everywhere(handle, call, prepare=lambda _: None):
    """Results of a call, refreshed at each of its lines in turn, for a handle that was prepared."""
    line, is_line = 1, True
    while is_line:
        handle.refresh()
        prepare(handle)
        result, is_line = call_refreshed_at(line, handle, call)
        yield result
        line += 1
    assert line > 3


@pytest.fixture
def run(root):
    return root.new_run("TS_1")


@pytest.fixture
def three(run):
    handle = run.new_picks("ribosome", "1", "alice")
    handle.meta.trust_orientation = False
    handle.from_numpy(POSITIONS, scores=[0.5, 0.5, 0.5])
    return handle


READS = {
    "numpy": lambda p: p.numpy()[0].tolist() == POSITIONS.tolist(),
    "points": lambda p: [q.location.z for q in p.points] == [2.0, 5.0, 8.0],
    "scores": lambda p: p.scores().tolist() == [0.5, 0.5, 0.5],
    "load": lambda p: len(p.load().points) == 3,
    "trust_orientation": lambda p: p.trust_orientation is False,
}
PREPARE = {"unread": lambda p: None, "arrays": lambda p: p.numpy(), "points": lambda p: p.points}


@pytest.mark.parametrize("prepare", PREPARE.values(), ids=PREPARE)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_picks_that_are_refreshed_meanwhile_are_read_as_they_are(three, read, prepare):
    assert all(refreshed_everywhere(three, read, prepare))


@pytest.mark.parametrize("prepare", PREPARE.values(), ids=PREPARE)
def test_picks_that_are_refreshed_meanwhile_are_stored(run, three, prepare):
    sizes = cycle(range(4))

    def write(handle):
        size = next(sizes)
        handle.from_numpy(POSITIONS[:size])
        return size

    for size in refreshed_everywhere(three, write, prepare):
        run.refresh()
        stored = run.get_picks("ribosome", "alice", "1")[0]
        assert (len(stored.numpy()[0]), stored.trust_orientation) == (size, False)


def test_a_mesh_that_is_refreshed_meanwhile_is_read(run):
    handle = run.new_mesh("ribosome", "1", "alice")
    handle.mesh = trimesh.creation.box()
    handle.store()

    shown = [*refreshed_everywhere(handle, lambda m: m.mesh), *refreshed_everywhere(handle, lambda m: m.load())]

    assert {len(scene.to_geometry().faces) for scene in shown} == {12}


CHILDREN = {
    "all": lambda children, run: children.all(lambda: [run]),
    "install": lambda children, run: children.install([run]),
    "get": lambda children, run: children.get(run.key, lambda: [run]),
    "current": lambda children, run: children.current(run.key, lambda: [run]),
    "known": lambda children, run: children.known(run.key, run.layer),
    "add": lambda children, run: children.add(run),
    "remove": lambda children, run: children.remove(run),
    "forget": lambda children, run: children.forget(),
}


class Handle(SimpleNamespace):
    """As much of a handle as lists of children look at."""

    def __init__(self):
        super().__init__(key=RunKey("TS_1"), _key=RunKey("TS_1"), layer="overlay")


@pytest.mark.parametrize("call", CHILDREN)
def test_a_list_of_children_changes_under_its_lock(call):
    children = Children(threading.RLock())

    assert waits_for(children.lock, lambda: CHILDREN[call](children, Handle()))


def test_children_that_several_threads_want_at_once_are_listed_once():
    children, asked = Children(threading.RLock()), []
    threads = [threading.Thread(target=children.all, args=(lambda: asked.append(1) or [Handle()],)) for _ in range(2)]

    with children.lock:
        for thread in threads:
            thread.start()
            thread.join(0.2)
    for thread in threads:
        thread.join()

    assert asked == [1]
