"""`copick-core serve` as callers see it: every kind of content comes as it is stored."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from pathlib import Path

import dask.array
import fsspec
import numpy as np
import pytest
import requests
import trimesh
import zarr

import copick_core
from copick_core.picks import decode
from copick_view.server.serving import Server
from support.environments import IndexUnreachableError, python_with

NAPARI_READS = Path(__file__).parents[1] / "support" / "napari_reads.py"

VOLUMES = [
    ("tomogram/TS_1/wbp@10.0/", "TS_1/wbp@10.0", "tomogram"),
    ("features/TS_1/wbp@10.0:sobel/", "TS_1/wbp@10.0:sobel", "features"),
    ("segmentation/TS_1/membrane:tool/0@10.0/", "TS_1/membrane:tool/0@10.0", "segmentation"),
    ("object/ribosome/", "ribosome", "object"),
]


def get(server, path, **headers):
    return requests.get(server.url + path, headers=headers, timeout=30)


@pytest.mark.parametrize(("path", "address", "kind"), VOLUMES, ids=lambda value: value.partition("/")[0])
def test_zarr_reads_a_volume_over_http(served, path, address, kind):
    root, server = served

    found = zarr.open_group(server.url + path, mode="r")["0"][:]

    np.testing.assert_array_equal(found, root.entity(address, kind).numpy())


def test_dask_reads_a_volume_over_http(served):
    root, server = served

    lazy = dask.array.from_zarr(f"{server.url}tomogram/TS_1/wbp@10.0/", component="0")

    np.testing.assert_array_equal(lazy.compute(), root.entity("TS_1/wbp@10.0", "tomogram").numpy())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_requests_of_chimerax_open_a_volume(zarr_format):
    """Its bundle ChimeraX-OME-Zarr 1.0 opens `ngff:URL` like this; it also looks for labels beside the image."""
    root = copick_core.open({"config_type": "memory", "user_id": "alice", "zarr_format": zarr_format})
    data = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(data, levels=2)
    with Server(root) as server:
        filesystem, path = fsspec.core.url_to_fs(f"{server.url}tomogram/TS_1/wbp@10.0")
        group = zarr.open_group(zarr.storage.FsspecStore.from_mapper(filesystem.get_mapper(path), read_only=True), mode="r")
        attributes = dict(group.attrs)
        found = group["0"][:]
        with pytest.raises(KeyError):
            group["labels"]

    image = attributes.get("ome", attributes)["multiscales"][0]
    assert [axis["unit"] for axis in image["axes"]] == ["angstrom"] * 3
    assert [dataset["path"] for dataset in image["datasets"]] == ["0", "1"]
    np.testing.assert_array_equal(found, data)


@pytest.mark.slow
def test_napari_reads_a_volume_over_http(served):
    root, server = served
    try:
        python = python_with("napari-ome-zarr", "0.10.0")
    except IndexUnreachableError as error:
        pytest.skip(f"napari's reader cannot be installed: {error}")

    command = [python, NAPARI_READS, f"{server.url}tomogram/TS_1/wbp@10.0/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    [[layer]] = json.loads(done.stdout)
    expected = root.entity("TS_1/wbp@10.0", "tomogram").numpy()
    assert layer["scale"] == [10.0] * 3
    assert layer["levels"][0] == hashlib.sha256(np.ascontiguousarray(expected)).hexdigest()


def test_picks_come_as_json(served):
    _, server = served

    picks = decode(get(server, "picks/TS_1/ribosome:tool/0").content, "picks")

    assert picks.positions.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def test_a_mesh_comes_as_glb(served):
    _, server = served

    response = get(server, "mesh/TS_1/membrane:tool/0")

    assert response.headers["Content-Type"] == "model/gltf-binary"
    assert trimesh.load_scene(io.BytesIO(response.content), file_type="glb").bounds.tolist() == [[-0.5] * 3, [0.5] * 3]


@pytest.mark.parametrize("path", ["picture/run/TS_1", "picture/tomogram/TS_1/wbp@10.0"])
def test_pictures_come_as_png_of_a_size(served, path):
    from PIL import Image

    _, server = served

    image = Image.open(io.BytesIO(get(server, f"{path}?size=64").content))

    assert (image.format, max(image.size)) == ("PNG", 64)


def test_a_project_lists_layers_objects_and_runs(served):
    _, server = served

    project = get(server, "project").json()

    assert [layer["name"] for layer in project["layers"]] == ["static", "overlay"]
    assert project["objects"][0]["map"] == "object;layer=static/ribosome/"
    assert project["runs"] == [{"name": "TS_1", "url": "run/TS_1", "picture": "picture/run/TS_1"}]


def test_every_url_in_a_run_leads_to_its_entity(served):
    _, server = served

    run = get(server, get(server, "project").json()["runs"][0]["url"]).json()

    kinds = ("tomograms", "features", "segmentations", "picks", "meshes")
    urls = [run[kind][0]["url"] for kind in kinds]
    assert [get(server, url + (".zattrs" if url.endswith("/") else "")).status_code for url in urls] == [200] * 5
    assert run["filaments"] == []
