"""Every backend is read over HTTP as it is read directly: whole projects, entity by entity."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import trimesh
import zarr

import copick_core
from copick_core.picks import decode
from copick_view.server.serving import Server
from copick_view.server.urls import target_of
from support.objects import OBJECTS

from .conftest import get

pytest.importorskip("moto.server")
SECRET = "do-not-tell"


def fill(root):
    run = root.new_run("TS_1")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    rng = np.random.default_rng(3)
    tomogram.from_numpy(rng.normal(size=(24, 40, 33)).astype(np.float32), chunks=(16, 16, 16))
    tomogram.new_features("sobel").from_numpy(rng.normal(size=(2, 24, 40, 33)).astype(np.float32))
    run.new_segmentation(10.0, "membrane", "1", is_multilabel=False).from_numpy(rng.integers(0, 2, (24, 40, 33), np.uint8))
    run.new_segmentation(10.0, "membrane", "1", is_instance=True).from_numpy(rng.integers(0, 900, (24, 40, 33), np.uint16))
    run.new_picks("ribosome", "1").from_numpy(rng.uniform(0, 200, (50, 3)))
    mesh = run.new_mesh("membrane", "1")
    mesh.mesh = trimesh.creation.icosphere()
    mesh.store()
    return root


def s3_config(url, **fields):
    fs_args = {"endpoint_url": url, "key": "someone", "secret": SECRET}
    return {"config_type": "filesystem", "pickable_objects": OBJECTS, "user_id": "alice", **fields, "overlay_fs_args": fs_args}


@pytest.fixture(scope="module")
def s3():
    from support.s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture(scope="module")
def filled_portal():
    from support.portal_loopback import LoopbackPortal, content

    portal = content.fill(LoopbackPortal())
    yield portal
    portal.stop()


@pytest.fixture
def place(request, tmp_path, monkeypatch):
    """A filled project of a backend."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kind = request.param
    if kind == "filesystem":
        config = {"config_type": "filesystem", "overlay_root": str(tmp_path), "pickable_objects": OBJECTS, "user_id": "alice"}
        return fill(copick_core.open({**config, "format": "copick-2"}))
    if kind == "memory":
        return fill(copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "user_id": "alice"}))
    if kind == "history":
        config = {"config_type": "icechunk", "overlay_root": str(tmp_path / "history")}
        return fill(copick_core.open({**config, "pickable_objects": OBJECTS, "user_id": "alice"}))
    if kind == "s3":
        s3 = request.getfixturevalue("s3")
        s3.empty("lab")
        return fill(copick_core.open(s3_config(s3.url, overlay_root="s3://lab/project")))
    if kind == "compose":
        generated = request.getfixturevalue("generated")
        return copick_core.open({"config_type": "compose_volume", "volume_root": str(generated.root)})
    from support.portals import open_project

    portal = request.getfixturevalue("filled_portal")
    portal.reset()
    return open_project(portal, tmp_path / "overlay")


PLACES = ["filesystem", "memory", "history", "s3", "portal", "compose"]


def documents(server):
    return [json.loads(get(server, run["url"]).content) for run in json.loads(get(server, "project").content)["runs"]]


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_all_runs_and_entities_are_listed(place):
    with Server(place) as server:
        runs = documents(server)

    assert sorted(run["name"] for run in runs) == sorted(run.name for run in place.runs)
    for kind in ("tomograms", "features", "segmentations", "picks", "meshes", "filaments"):
        found = sum(len(run[kind]) for run in runs)
        singular = {"features": "features", "meshes": "mesh", "picks": "picks", "filaments": "filaments"}.get(kind, kind[:-1])
        assert found == len(place.table(singular)["run"])


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_every_volume_is_read_by_zarr_over_http(place):
    volumes = 0
    with Server(place) as server:
        for run in documents(server):
            for entry in run["tomograms"] + run["features"] + run["segmentations"]:
                meant = target_of(entry["url"])
                handle = next(h for h in place.select(entry["address"]) if (h.key, h.layer) == (meant.key, meant.layer))
                group = zarr.open_group(server.url + entry["url"], mode="r")
                for level in handle.levels:
                    np.testing.assert_array_equal(group[level][:], handle.array(level)[:])
                    volumes += 1

    assert volumes > 1


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_picks_and_meshes_come_as_they_are_read_directly(place):
    files = 0
    with Server(place) as server:
        for run in documents(server):
            for entry in run["picks"]:
                found = decode(get(server, entry["url"]).content, "picks").positions
                np.testing.assert_allclose(found, place.entity(entry["address"], "picks").numpy()[0])
                files += 1
            for entry in run["meshes"]:
                scene = trimesh.load_scene(io.BytesIO(get(server, entry["url"]).content), file_type="glb", process=False)
                np.testing.assert_allclose(scene.bounds, place.entity(entry["address"], "mesh").mesh.bounds, rtol=1e-6)
                files += 1

    assert files


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_pictures_are_drawn(place):
    with Server(place) as server:
        answers = [get(server, run["picture"] + "?size=32") for run in documents(server) if run["tomograms"]]

    assert {answer.content[:4] for answer in answers} == {b"\x89PNG"}


@pytest.mark.parametrize("place", ["s3", "portal"], indirect=True)
def test_a_chunk_of_a_remote_place_is_one_request_to_its_server(request, place):
    with Server(place) as server:
        entry = next(run["tomograms"][0] for run in documents(server) if run["tomograms"])
        array = zarr.open_group(server.url + entry["url"], mode="r")["0"]
        chunk = f"{entry['url']}0/" + array.metadata.dimension_separator.join("0" * array.ndim)
        get(server, chunk)
        before = requests_to(request)
        statuses = [get(server, chunk).status for _ in range(4)]

    assert (statuses, requests_to(request) - before) == ([200] * 4, 4)


def requests_to(request):
    """Requests so far to the server of the place."""
    if "s3" in request.node.callspec.id:
        return len(request.getfixturevalue("s3").requests)
    return request.getfixturevalue("filled_portal").s3.requests


def test_a_chunk_of_a_static_bucket_that_the_caller_has_is_no_request(s3, tmp_path):
    s3.empty("lab")
    fill(copick_core.open(s3_config(s3.url, overlay_root="s3://lab/project")))
    fs_args = {"endpoint_url": s3.url, "key": "someone", "secret": SECRET}
    config = {"static_root": "s3://lab/project", "static_fs_args": fs_args, "overlay_root": str(tmp_path)}
    root = copick_core.open({"config_type": "filesystem", "pickable_objects": OBJECTS, "user_id": "alice", **config})
    path = "tomogram;layer=static/TS_1/wbp@10.0/"
    with Server(root) as server:
        get(server, path + ".zattrs")
        get(server, path + ".zgroup")
        tag = get(server, path + "0/0/0/0").headers["etag"]
        with s3.counting() as counts:
            statuses = [get(server, path + "0/0/0/0", If_None_Match=tag).status for _ in range(4)]

    assert (statuses, counts) == ([304] * 4, {})


def test_a_bucket_that_is_gone_is_502_without_its_secret(s3, tmp_path):
    s3.empty("lab")
    root = fill(copick_core.open(s3_config(s3.url, overlay_root="s3://lab/project")))
    with Server(root) as server:
        get(server, "tomogram/TS_1/wbp@10.0/.zattrs")
        s3.refuses = True
        try:
            answers = [
                get(server, path) for path in ("tomogram/TS_1/wbp@10.0/0/0/0/0", "picks/TS_1/ribosome:alice/1", "run/TS_1")
            ]
        finally:
            s3.forget()

    assert {answer.status for answer in answers} <= {500, 502}
    assert not any(SECRET.encode() in answer.content or b"s3://" in answer.content for answer in answers)
