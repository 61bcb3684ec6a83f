"""A process that has used an async library of Rust ends as any other: none of its threads comes back to Python at the end."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from s3_stub import S3Stub

import copick_core
from copick_core.layers.ending import end_after_threads

OBSTORE = """
import sys, threading, time
from fsspec.asyn import get_loop
from copick_backend_fs import store_arguments
from copick_backend_fs.layer import open_layer
from copick_core.tree.keys import ROOT, Kind
from support.slow_threads import make_slow

make_slow(get_loop())
layer = open_layer("overlay", "s3://lab/project", {"key": "a", "secret": "b", "endpoint_url": sys.argv[1]})
"""

ANSWERED = "layer.list(Kind.RUN, ROOT)"

#: A request has only begun, and credentials for it are looked up.
BEGUN = """
begun, look_up = threading.Event(), store_arguments._credentials

def slow(*args):
    def credentials(found=look_up(*args)):
        begun.set()
        time.sleep(0.3)
        return found()
    return credentials

store_arguments._credentials = slow
threading.excepthook = lambda _: None
threading.Thread(target=layer.list, args=(Kind.RUN, ROOT), daemon=True).start()
begun.wait()
"""

ICECHUNK = """
import sys
import copick_core
from zarr.core.sync import _get_loop
from support.slow_threads import make_slow

make_slow(_get_loop())
copick_core.from_file(sys.argv[1]).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp").numpy()
"""


def ended(program: str, argument: str) -> tuple[int, str]:
    """The exit code of a program, and what it said of errors."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", program, argument]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stderr


@pytest.mark.parametrize("program", [ANSWERED, BEGUN])
def test_a_thread_of_obstore_that_is_in_python_is_waited_for(program: str) -> None:
    pytest.importorskip("obstore")
    with S3Stub() as stub:
        assert ended(OBSTORE + program, stub.url) == (0, "")


def test_a_thread_of_icechunk_that_hands_over_an_answer_is_waited_for(tmp_path: Path) -> None:
    pytest.importorskip("icechunk")
    config = {"config_type": "icechunk", "overlay_root": str(tmp_path / "project"), "pickable_objects": []}
    tomogram = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy([[[1.0]]], levels=1)
    (tmp_path / "config.json").write_text(json.dumps({"name": "lab", "description": "", "version": "1", **config}))

    assert ended(ICECHUNK, str(tmp_path / "config.json")) == (0, "")


def test_an_event_loop_is_looked_after_once_and_not_kept() -> None:
    loop = asyncio.new_event_loop()
    end_after_threads(loop)
    counted = loop.call_soon_threadsafe
    end_after_threads(loop)
    assert loop.call_soon_threadsafe is counted

    loop.close()
    gone = weakref.ref(loop)
    del loop, counted
    gc.collect()

    assert gone() is None
