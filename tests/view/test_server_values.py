"""Values of volumes over HTTP: ranges, sizes, ETags, and what they ask the storage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import copick_core
from copick_core.layers import WrapperLayer
from copick_layers.log import LogLayer
from copick_view.server.ranges import Range, parse_range
from copick_view.server.serving import Server

from .conftest import get

CHUNK = "0/0/0/0"


@pytest.fixture
def made(project_config):
    """A project whose one layer is writable, and counted: (root, tomogram)."""
    root = copick_core.open(project_config(wrappers=[{"name": "log"}]))
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.arange(32**3, dtype=np.float32).reshape(32, 32, 32), chunks=(16, 16, 16), compressor=None)
    return root, tomogram


@pytest.fixture
def static(made, project_config):
    """The same project as the static side of one that is counted."""
    return copick_core.open(project_config("mine", "overlay", wrappers=[{"name": "log", "layer": "static"}]))


def counts(layer):
    return {name: calls.count for name, calls in layer.unwrap(LogLayer).statistics.items()}


def volume_url(server, root):
    return "tomogram/TS_1/wbp@10.0/", f"tomogram;layer={root.layers.all[0].name}/TS_1/wbp@10.0/"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", Range(0, 1)),
        ("bytes=5-", Range(5, None)),
        ("bytes=-7", Range(-7, None)),
        (None, None),
        ("bytes=-", None),
        ("bytes=9-3", None),
        ("bytes=0-1,4-5", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=" + "9" * 40 + "-", None),
    ],
)
def test_one_range_of_bytes_is_understood_and_all_else_is_ignored(header, expected):
    assert parse_range(header) == expected


@pytest.mark.parametrize(
    ("header", "part", "content_range"),
    [
        ("bytes=0-3", slice(0, 4), "bytes 0-3/*"),
        ("bytes=100-199", slice(100, 200), "bytes 100-199/*"),
        ("bytes=16380-", slice(16380, None), "bytes 16380-16383/*"),
        ("bytes=16380-99999", slice(16380, None), "bytes 16380-16383/*"),
        ("bytes=-4", slice(-4, None), "bytes 16380-16383/16384"),
        ("bytes=-99999", slice(None), "bytes 0-16383/16384"),
    ],
)
def test_a_range_of_a_value_is_answered_with_206(made, header, part, content_range):
    root, tomogram = made
    data = np.ascontiguousarray(tomogram.numpy()[:16, :16, :16]).tobytes()

    with Server(root) as server:
        answer = get(server, f"tomogram/TS_1/wbp@10.0/{CHUNK}", Range=header)

    assert (answer.status, answer.headers["content-range"]) == (206, content_range)
    assert answer.content == data[part]


def test_a_range_beyond_the_end_is_416(made):
    with Server(made[0]) as server:
        answer = get(server, f"tomogram/TS_1/wbp@10.0/{CHUNK}", Range="bytes=99999-")

    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */*")


def test_head_tells_the_size_without_reading(made):
    root, _ = made
    (layer,) = root.layers.all
    with Server(root) as server:
        get(server, "tomogram/TS_1/wbp@10.0/.zattrs")
        layer.unwrap(LogLayer).reset()
        answer = get(server, f"tomogram/TS_1/wbp@10.0/{CHUNK}", method="HEAD")

    assert (answer.status, answer.headers["content-length"], answer.headers["accept-ranges"]) == (200, "16384", "bytes")
    assert answer.content == b""
    assert counts(layer) == {"zarr.getsize": 1}


def test_each_chunk_is_one_request_to_the_storage(made):
    root, _ = made
    (layer,) = root.layers.all
    chunks = [f"0/{z}/{y}/{x}" for z in (0, 1) for y in (0, 1) for x in (0, 1)]
    with Server(root) as server:
        url = volume_url(server, root)[1]
        get(server, url + ".zattrs")
        layer.unwrap(LogLayer).reset()
        for chunk in chunks:
            assert get(server, url + chunk).status == 200
        for chunk in chunks:
            assert get(server, url + chunk, Range="bytes=8-15").status == 206

    assert counts(layer) == {"zarr.get": 16}


def test_without_a_layer_in_the_path_chunks_are_one_request_too(made):
    root, _ = made
    (layer,) = root.layers.all
    with Server(root) as server:
        get(server, "tomogram/TS_1/wbp@10.0/.zattrs")
        get(server, f"tomogram/TS_1/wbp@10.0/{CHUNK}")
        layer.unwrap(LogLayer).reset()
        get(server, f"tomogram/TS_1/wbp@10.0/{CHUNK}")

    assert counts(layer) == {"zarr.get": 1}


def test_a_chunk_of_a_static_layer_that_the_caller_has_is_not_read_again(static):
    layer = static.layers.static[0]
    with Server(static) as server:
        tag = get(server, f"tomogram/TS_1/wbp@10.0/{CHUNK}").headers["etag"]
        layer.unwrap(LogLayer).reset()
        answer = get(server, f"tomogram/TS_1/wbp@10.0/{CHUNK}", If_None_Match=f'"other", W/{tag}')

    assert (answer.status, answer.content, counts(layer)) == (304, b"", {})


def test_a_volume_that_another_process_replaces_has_another_tag(static, made):
    _, tomogram = made
    path = f"tomogram/TS_1/wbp@10.0/{CHUNK}"
    with Server(static) as server:
        before = get(server, path)
        tomogram.from_numpy(np.ones((32, 32, 32), np.float32), chunks=(16, 16, 16), compressor=None)
        after = get(server, path, If_None_Match=before.headers["etag"])

    assert after.status == 200
    assert set(np.frombuffer(after.content, "<f4")) == {1.0}


def test_a_region_that_is_written_changes_the_tags_of_its_chunks_only(made):
    root, tomogram = made
    near, far = "tomogram/TS_1/wbp@10.0/0/0/0/0", "tomogram/TS_1/wbp@10.0/0/1/1/1"
    with Server(root) as server:
        tags = [get(server, path).headers["etag"] for path in (near, far)]
        tomogram.set_region(np.float32(7), z=0, y=0, x=0, update_levels=False)
        answers = [get(server, path, If_None_Match=tag).status for path, tag in zip((near, far), tags, strict=True)]

    assert answers == [200, 304]


def test_a_part_of_what_may_change_has_no_tag(made):
    with Server(made[0]) as server:
        answer = get(server, f"tomogram/TS_1/wbp@10.0/{CHUNK}", Range="bytes=0-7")

    assert "etag" not in answer.headers


def test_a_range_for_another_version_is_answered_whole(static):
    path = f"tomogram/TS_1/wbp@10.0/{CHUNK}"
    with Server(static) as server:
        tag = get(server, path).headers["etag"]
        statuses = [get(server, path, Range="bytes=0-7", If_Range=value).status for value in (tag, '"other"')]

    assert statuses == [206, 200]


def test_an_overlay_goes_before_static_layers_as_soon_as_it_has_a_copy(static):
    path = "picks/TS_1/ribosome:tool/0"
    with Server(static) as server:
        first = get(server, path).status
        static.get_run("TS_1").new_picks("ribosome", "0", "tool").from_numpy([[1.0, 2.0, 3.0]])
        answer = get(server, path)
        missing = get(server, "picks;layer=static/TS_1/ribosome:tool/0").status

    assert (first, answer.status, missing) == (404, 200, 404)


def test_of_two_layers_with_the_same_picks_the_overlay_is_meant(layered):
    root, _ = layered
    path = "picks/TS_1/ribosome:tool/0"
    root.get_run("TS_1").new_picks("ribosome", "0", "tool", exist_ok=True, positions=[[7.0, 8.0, 9.0]])
    with Server(root) as server:
        texts = [get(server, p).content for p in (path, "picks;layer=static/TS_1/ribosome:tool/0")]

    assert [b'"x":7.0' in text for text in texts] == [True, False]


def test_a_copy_of_a_volume_in_the_overlay_is_found_by_whoever_reads_its_documents(layered):
    root, _ = layered
    path = "segmentation/TS_1/membrane:tool/0@10.0/"
    with Server(root) as server:
        before = [get(server, path + name).content for name in (".zattrs", CHUNK)]
        copy = root.get_run("TS_1").new_segmentation(10.0, "membrane", "0", user_id="tool", exist_ok=True)
        copy.from_numpy(np.ones((4, 5, 6), np.uint8))
        after = [get(server, path + name).content for name in (".zattrs", CHUNK)]

    assert before[1] != after[1] == copy.zarr().root.joinpath(CHUNK).read_bytes()


class RememberingLayer(WrapperLayer):
    """Remembers what it has listed until it is told to forget, as layers over slow places do."""

    def __init__(self, inner):
        super().__init__(inner)
        self.listed = {}

    def list(self, kind, parent):
        return self.listed.setdefault((kind, parent), super().list(kind, parent))

    def forget(self, parent):
        self.listed = {place: keys for place, keys in self.listed.items() if place[1] != parent}
        super().forget(parent)


def test_documents_are_not_made_of_what_a_layer_remembers(made, project_config):
    root, _ = made
    remembering = RememberingLayer(root.layers.overlay)
    served = type(root)(root.config, lambda config: replace(root.layers, overlay=remembering))
    with Server(served) as server:
        before = get(server, "project").content + get(server, "run/TS_1").content
        other = copick_core.open(project_config())
        other.new_run("TS_9")
        other.get_run("TS_1").new_picks("ribosome", "3").from_numpy([[1.0, 2.0, 3.0]])
        after = get(server, "project").content + get(server, "run/TS_1").content

    assert [(b"TS_9" in text, b"ribosome:alice/3" in text) for text in (before, after)] == [(False, False), (True, True)]


def test_what_somebody_else_adds_is_in_the_next_document_of_the_run(made, project_config):
    root, _ = made
    other = copick_core.open(project_config())
    with Server(root) as server:
        before = get(server, "run/TS_1").headers["etag"]
        other.get_run("TS_1").new_picks("ribosome", "3").from_numpy([[1.0, 2.0, 3.0]])
        other.new_run("TS_9")
        run = get(server, "run/TS_1", If_None_Match=before)
        project = get(server, "project")

    assert b"TS_1/ribosome:alice/3" in run.content
    assert b'"TS_9"' in project.content


def test_shards_are_read_in_parts(project_config):
    import zarr

    root = copick_core.open(project_config(wrappers=[{"name": "log"}]))
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    data = np.random.default_rng(1).normal(size=(32, 32, 32)).astype(np.float32)
    tomogram.from_numpy(data, zarr_format=3, chunks=(8, 8, 8), shards=(32, 32, 32))
    (layer,) = root.layers.all
    with Server(root) as server:
        array = zarr.open_group(f"{server.url}tomogram/TS_1/wbp@10.0/", mode="r")["0"]
        layer.unwrap(LogLayer).reset()
        found = array[:8, :8, :8]
        asked = counts(layer)

    np.testing.assert_array_equal(found, data[:8, :8, :8])
    assert asked["zarr.get"] == 2  # the shard's index, and one chunk
