"""What a cache spares in requests to a bucket: counted on a real S3 server on loopback."""

import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.volumes.chunk_parts import parts_of
from copick_layers.index.layer import IndexLayer
from support.objects import OBJECTS
from support.s3_server import S3Server


@pytest.fixture(scope="module")
def running():
    with S3Server() as server:
        yield server


@pytest.fixture
def server(running):
    running.empty("lab")
    return running


@pytest.fixture
def opened(server, tmp_path):
    def make(wrappers=None, **options):
        config = {
            "config_type": "filesystem",
            "overlay_root": "s3://lab/project",
            "overlay_fs_args": {"endpoint_url": server.url, "key": "someone", "secret": "do-not-tell"},
            "pickable_objects": OBJECTS,
            "user_id": "alice",
        }
        wrapper = {"name": "cache", "path": str(tmp_path / "cache"), **options}
        wrappers = [] if options.get("bare") else wrappers or [wrapper]
        return copick_core.open({**config, "wrappers": wrappers})

    root = make(bare=True)
    run = root.new_run("TS_1")
    run.new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    mesh = run.new_mesh("membrane", "1")
    mesh.mesh = trimesh.creation.box()
    mesh.store()
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.arange(16**3, dtype="f4").reshape(16, 16, 16))
    return make


def picks(root):
    return root.entity("TS_1/ribosome:alice/1", kind="picks").numpy()[0].tolist()


def mesh(root):
    return len(root.entity("TS_1/membrane:alice/1", kind="mesh").mesh.geometry)


def region(root):
    return root.entity("TS_1/wbp@10.0", kind="tomogram").numpy(x=slice(0, 4), y=slice(0, 4), z=slice(0, 4)).sum()


@pytest.mark.parametrize("read", [picks, mesh, region])
@pytest.mark.parametrize(("revalidate", "most"), [("never", 0), ("open", 1)])
def test_a_second_read_in_the_next_project_asks_at_most_whether_it_is_still_stored(server, opened, read, revalidate, most):
    first = read(opened(revalidate=revalidate))

    with server.counting() as counts:
        again = read(opened(revalidate=revalidate))

    assert again == first
    assert sum(counts.values()) <= most, counts


@pytest.mark.parametrize("read", [picks, mesh, region])
@pytest.mark.parametrize("revalidate", ["never", "open"])
def test_a_second_read_in_the_same_project_asks_nothing(server, opened, read, revalidate):
    root = opened(revalidate=revalidate)
    first = read(root)

    with server.counting() as counts:
        entity_again = read(root)

    assert entity_again == first
    assert sum(counts.values()) == 0, counts


@pytest.mark.parametrize("read", [picks, mesh, region])
@pytest.mark.parametrize("revalidate", ["never", "open", "each"])
def test_the_first_read_by_address_takes_as_many_requests_as_without_a_cache(server, opened, read, revalidate):
    with server.counting() as bare:
        read(opened(bare=True))

    with server.counting() as counts:
        read(opened(revalidate=revalidate))

    assert sum(counts.values()) <= sum(bare.values()), (counts, bare)


@pytest.mark.parametrize("names", [["index"], ["index", "cache"], ["cache", "index"]])
@pytest.mark.parametrize("is_built", [False, True])
def test_by_address_behind_both_wrappers_nothing_is_asked_that_is_not_read(server, opened, tmp_path, names, is_built):
    wrappers = [{"name": name, "path": str(tmp_path / f"{name} of both")} for name in names]
    if is_built:
        opened(wrappers).layers.overlay.unwrap(IndexLayer).update()

    with server.counting() as of_picks:
        picks(opened(wrappers))
    with server.counting() as of_a_region:
        tomogram = opened(wrappers).entity("TS_1/wbp@10.0", kind="tomogram")
        tomogram.numpy(x=slice(0, 4))
    with server.counting() as of_a_later_one:
        tomogram.numpy(x=slice(4, 8))

    assert sum(of_picks.values()) == 1
    assert sum(of_a_region.values()) <= 4  # metadata of the root and of the level, a chunk, one check
    assert sum(of_a_later_one.values()) <= 2


def test_a_replaced_volume_is_noticed_by_the_next_project(server, opened):
    before = region(opened())
    opened(bare=True).entity("TS_1/wbp@10.0").from_numpy(np.ones((16, 16, 16), "f4"))

    assert before != 64
    assert region(opened()) == 64


def test_what_is_read_while_a_volume_is_replaced_is_not_kept(server, opened):
    root = opened()
    tomogram = root.entity("TS_1/wbp@10.0")
    array = tomogram.array("0")
    opened(bare=True).entity("TS_1/wbp@10.0").from_numpy(np.ones((16, 16, 16), "f4"))
    np.asarray(array[:4, :4, :4])

    assert region(root) == 64
    assert region(opened()) == 64


def test_regions_read_parts_of_the_chunks_that_are_kept(server, opened, monkeypatch):
    opened(revalidate="never").get_run("TS_1").voxel_spacings[0].tomograms[0].numpy()
    tomogram = opened(revalidate="never").get_run("TS_1").voxel_spacings[0].tomograms[0]
    expected = tomogram.numpy()  # reads all of each copy, and finds that none is damaged
    monkeypatch.setattr("copick_layers.cache.volume.CachedVolume.load", None)

    assert np.array_equal(tomogram.numpy(x=slice(1, 3), y=slice(0, 2)), expected[:, :2, 1:3])


def test_a_small_region_reads_and_checks_a_small_part_of_a_kept_chunk(server, opened, monkeypatch):
    noise = np.random.default_rng(0).standard_normal((64, 128, 128), np.float32)
    run = opened(bare=True).get_run("TS_1")
    run.new_voxel_spacing(5.0).new_tomogram("noise").from_numpy(noise, levels=1, chunks=(64, 128, 128))
    opened(revalidate="never").entity("TS_1/noise@5.0").numpy()
    tomogram = opened(revalidate="never").entity("TS_1/noise@5.0")
    tomogram.numpy(x=slice(0, 1), y=slice(0, 1), z=slice(0, 1))
    sizes = []

    def counted(file, begin):
        stored = parts_of(file, begin)
        return lambda start, stop: sizes.append(stop - start) or stored(start, stop)

    monkeypatch.setattr("copick_layers.cache.store.parts_of", counted)
    found = tomogram.numpy(x=slice(0, 8), y=slice(0, 8), z=slice(0, 8))

    assert np.array_equal(found, noise[:8, :8, :8])
    assert 0 < sum(sizes) < noise.nbytes / 4


def test_a_damaged_copy_of_a_chunk_is_read_from_storage(server, opened, tmp_path):
    expected = opened(revalidate="never").get_run("TS_1").voxel_spacings[0].tomograms[0].numpy()
    chunks = [path for path in tmp_path.rglob("*") if path.is_file() and len(path.name) == 32]
    for path in chunks:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    found = opened(revalidate="never").get_run("TS_1").voxel_spacings[0].tomograms[0].numpy()

    assert len(chunks) > 1
    assert np.array_equal(found, expected)
