"""Viv and Vizarr read a project that is served, as the document says; Vizarr in a browser, from its own site."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import copick_core
from copick_view.server.serving import Server
from support.browser import EXECUTABLE, PATIENCE, chromium

REPOSITORY = Path(__file__).parents[2]
VIV = REPOSITORY / ".cache" / "viv"
VIZARR = REPOSITORY / ".cache" / "vizarr" / "package" / "static" / "index.js"
READS = REPOSITORY / "tests" / "support" / "viv_reads.mjs"
SITE = "https://hms-dbmi.github.io"
PAGE = (
    '<!doctype html><div id="app" style="width:800px;height:600px" data-incoming=\'{"root": "/", "visualization_config": '
    '{"dataset_id": "1"}}\'></div><script type="module" src="/index.js"></script>'
)


def _project(zarr_format, **options):
    """A project whose tomogram becomes brighter along x: (root, values)."""
    z, _, x = np.indices((32, 48, 64))
    data = (100 * x + z).astype(np.float32)
    root = copick_core.open({"config_type": "memory", "user_id": "alice", "zarr_format": zarr_format})
    root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(data, levels=2, **options)
    return root, data


@pytest.mark.slow
@pytest.mark.skipif(
    not VIV.is_dir() or shutil.which("node") is None, reason="Viv is not installed (npm; .ci/full installs it in .cache/viv)"
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_viv_reads_every_level_of_a_volume(zarr_format):
    root, data = _project(zarr_format)
    with Server(root) as server:
        command = ["node", READS, VIV, f"{server.url}tomogram/TS_1/wbp@10.0", "3"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)

    fine, coarse = json.loads(done.stdout)
    assert (fine["labels"], fine["shape"], coarse["shape"]) == (["z", "y", "x"], [32, 48, 64], [16, 24, 32])
    np.testing.assert_array_equal(np.reshape(fine["values"], (48, 64)), data[3])


@pytest.mark.full
@pytest.mark.skipif(EXECUTABLE is None, reason="Chromium is not installed (chromium; .ci/full installs it)")
@pytest.mark.skipif(not VIZARR.is_file(), reason="Vizarr is not installed (npm; .ci/full installs it in .cache/vizarr)")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_vizarr_draws_a_volume_once_the_user_lets_its_site_ask_this_machine(zarr_format):
    pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")
    root, _ = _project(zarr_format, compressor=None)  # the package lacks the file that decodes Blosc
    with Server(root, origins=[SITE]) as server, chromium() as browser:
        context = browser.new_context(viewport={"width": 800, "height": 600})
        page = context.new_page()
        page.route(re.compile("https://"), lambda route: _answer(route, f"{server.url}tomogram/TS_1/wbp@10.0"))
        with page.expect_event("requestfailed", lambda request: "127.0.0.1" in request.url, timeout=PATIENCE * 1000):
            page.goto(f"{SITE}/vizarr/")

        context.grant_permissions(["local-network-access"], origin=SITE)
        page.reload()
        end = time.monotonic() + PATIENCE
        while len(np.unique(grey := _middle_row(page))) < 30 and time.monotonic() < end:
            page.wait_for_timeout(100)

    drawn = grey[grey < 250]
    assert (len(np.unique(drawn)) >= 30, (np.diff(drawn) >= 0).all()) == (True, True)


def _answer(route, source):
    """What Vizarr's site would answer: the page, its script, and what the package asks for: which volume to show."""
    url = route.request.url
    everybody = {"Access-Control-Allow-Origin": "*"}
    if url.endswith("/jpx.js"):
        route.fulfill(body="export class JpxImage {}", content_type="text/javascript", headers=everybody)
    elif url.endswith("/index.js"):
        route.fulfill(body=VIZARR.read_bytes(), content_type="text/javascript")
    elif "/api/datasets/" in url:
        route.fulfill(json={"state": "deferred", "name": "wbp", "sources": [{"source_uri": source}]})
    else:
        route.fulfill(body=PAGE, content_type="text/html")


def _middle_row(page):
    """Grey values along x, through the middle of the volume."""
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L")).astype(int)
    return shot[300, 272:528]
