"""A Neuroglancer of another origin reads a project that is served, as the document says."""

from __future__ import annotations

from urllib.parse import urlsplit

import numpy as np
import pytest

import copick_core
from copick_layers.log import LogLayer
from copick_view.server.serving import Server
from support.browser import EXECUTABLE, PATIENCE, chromium
from support.objects import OBJECTS

pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(EXECUTABLE is None, reason="Chromium is not installed (chromium; .ci/full installs it)"),
]
READY = "typeof viewer !== 'undefined' && viewer.isReady && viewer.isReady()"
MESSAGES = "viewer.layerManager.managedLayers.map(l => [...l.layer.dataSources[0].messages].map(m => m.message))"


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("allowed", [True, False])
def test_a_page_of_another_origin_draws_a_volume_where_it_is_allowed(zarr_format, allowed):
    neuroglancer = pytest.importorskip("neuroglancer")
    config = {"config_type": "memory", "user_id": "alice", "pickable_objects": OBJECTS, "wrappers": [{"name": "log"}]}
    root = copick_core.open({**config, "zarr_format": zarr_format})
    data = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
    root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(data, levels=1)
    log = root.layers.overlay.unwrap(LogLayer)
    neuroglancer.set_server_bind_address("127.0.0.1")
    page_of = neuroglancer.Viewer()
    address = str(page_of).replace("localhost", "127.0.0.1")
    try:
        with Server(root, origins=[_origin(address)] if allowed else []) as server, chromium() as browser:
            source = f"{server.url}tomogram/TS_1/wbp@10.0/|zarr{zarr_format}:"
            log.reset()
            with page_of.txn() as state:
                state.layers["wbp"] = neuroglancer.ImageLayer(source=source)
            page = browser.new_page()
            page.goto(address)
            page.wait_for_function(READY if allowed else f"{MESSAGES}.flat().length > 0", timeout=PATIENCE * 1000)
            messages = page.evaluate(MESSAGES)
    finally:
        neuroglancer.stop()

    read = log.statistics["zarr.get"].count if "zarr.get" in log.statistics else 0
    assert (messages == [[]], read > 1) == (allowed, allowed)


def _origin(url):
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
