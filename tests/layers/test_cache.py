"""The wrapper ``cache``: what it keeps, for how long, and what happens to its folder."""

import multiprocessing
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import copick_core
from copick_backend_fs import open_layer
from copick_backend_memory.layer import MemoryLayer
from copick_core.errors import ConfigError, NotFoundError, UnreachableError
from copick_core.testing import samples
from copick_core.testing.wrappers import CountingLayer
from copick_core.tree.keys import Kind, PicksKey
from copick_layers.cache.entries import Entry
from copick_layers.cache.folder import CacheFolder
from copick_layers.cache.layer import CacheLayer
from copick_layers.cache.options import CacheOptions
from copick_layers.log import LogLayer

PICKS = PicksKey("TS_1", "ribosome", "ana", "1")
OBJECTS = [{"name": "ribosome", "is_particle": True, "label": 1}]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "project"


@pytest.fixture
def bare(place):
    return open_layer("bare", str(place))


@pytest.fixture
def cached(place, folder):
    """Open a layer on the place behind a cache; a layer between them counts."""

    def make(**options):
        inner = CountingLayer(open_layer("cached", str(place)))
        return CacheLayer(inner, CacheOptions(path=str(folder), **options))

    return make


@pytest.fixture
def config(place, folder):
    def make(**options):
        return {
            "config_type": "filesystem",
            "overlay_root": str(place),
            "pickable_objects": OBJECTS,
            "user_id": "ana",
            "wrappers": [{"name": "cache", "path": str(folder), **options}],
        }

    return make


def filled(config):
    """A project with one entity of each sort."""
    root = copick_core.open(config)
    run = root.new_run("TS_1")
    run.new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.arange(8**3, dtype="f4").reshape(8, 8, 8))
    return root


def files(folder):
    return sorted(path for path in Path(folder).rglob("*") if path.is_file() and len(path.name) in (4, 32))


# ---------------------------------------------------------------------- between projects and processes


def test_another_project_of_the_same_place_reads_what_is_kept(bare, cached):
    bare.write(PICKS, b"points")
    assert cached().read(PICKS) == b"points"

    other = cached()

    assert other.read(PICKS) == b"points"
    assert other.inner.calls == {"revision": 1}


def test_places_are_apart(tmp_path, folder):
    layers = [CacheLayer(open_layer("l", str(tmp_path / name)), CacheOptions(path=str(folder))) for name in ("a", "b")]
    for layer, data in zip(layers, (b"of a", b"of b"), strict=True):
        layer.write(PICKS, data)

    assert [layer.read(PICKS) for layer in layers for _ in range(2)] == [b"of a", b"of a", b"of b", b"of b"]


def test_buckets_of_one_name_on_two_servers_are_two_places():
    servers = ("http://127.0.0.1:1", "http://127.0.0.1:2")

    places = {open_layer("l", "s3://lab/p", {"client_kwargs": {"endpoint_url": url}}).place_id() for url in servers}

    assert len(places) == 2
    assert None not in places


def test_the_name_of_a_place_has_no_secret():
    layer = open_layer(
        "l", "s3://lab/p", {"key": "id", "secret": "hidden", "client_kwargs": {"endpoint_url": "http://u:hidden@h:1"}}
    )

    assert "hidden" not in layer.place_id()


def test_two_layers_may_share_the_folder_of_a_cache(tmp_path, folder):
    config = {
        "config_type": "filesystem",
        "overlay_root": str(tmp_path / "mine"),
        "static_root": str(tmp_path / "reference"),
        "wrappers": [{"name": "cache", "path": str(folder), "layer": ["static", "overlay"]}],
    }

    root = copick_core.open(config)

    assert {layer.unwrap(CacheLayer).cache_folder.path for layer in root.layers.all} == {str(folder)}


def test_nothing_is_left_of_a_place_that_only_one_process_knows(folder):
    code = (
        "import copick_core; root = copick_core.open({'config_type': 'memory',"
        "'pickable_objects': [{'name': 'ribosome', 'is_particle': True}],"
        f"'user_id': 'ana', 'wrappers': [{{'name': 'cache', 'path': {str(folder)!r}}}]}});"
        "run = root.new_run('TS_1'); run.new_picks('ribosome', '1').from_numpy([[1, 2, 3]]); root.refresh();"
        "root.runs[0].picks[0].numpy(); import os; print(len(os.listdir(root.layers.overlay.cache_folder.path)))"
    )

    during = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert int(during) == 1
    assert os.listdir(folder) == []


def test_values_of_a_place_without_a_name_are_kept_only_if_the_storage_is_never_to_be_asked(folder):
    key = samples.key(Kind.TOMOGRAM)
    bare = MemoryLayer()
    samples.fill(bare, key)
    asked = {}
    for revalidate in ("never", "open"):
        layer = CacheLayer(LogLayer(bare), CacheOptions(path=str(folder), revalidate=revalidate))
        samples.read_volume(layer.zarr(key))
        layer.inner.reset()
        samples.read_volume(layer.zarr(key))
        asked[revalidate] = any(name.startswith("zarr.get") for name in layer.inner.statistics)

    assert asked == {"never": False, "open": True}


# ---------------------------------------------------------------------- revalidation


def test_each_time_a_file_that_others_replaced_is_read_anew(bare, cached):
    layer = cached(revalidate="each")
    bare.write(PICKS, b"old")
    assert layer.read(PICKS) == b"old"

    bare.write(PICKS, b"new")

    assert layer.read(PICKS) == b"new"


def test_on_open_a_file_that_others_replaced_is_noticed_by_the_next_project(bare, cached):
    bare.write(PICKS, b"old")
    layer = cached(revalidate="open")
    layer.read(PICKS)

    bare.write(PICKS, b"new")

    assert (layer.read(PICKS), cached(revalidate="open").read(PICKS)) == (b"old", b"new")


def test_never_asks_nothing(bare, cached):
    bare.write(PICKS, b"old")
    cached(revalidate="never").read(PICKS)
    bare.write(PICKS, b"new")

    layer = cached(revalidate="never")

    assert layer.read(PICKS) == b"old"
    assert layer.inner.calls == {}


@pytest.mark.parametrize("revalidate", ["never", "open", "each"])
def test_a_write_through_the_cache_is_seen_at_once_by_all_who_share_it(cached, revalidate):
    writer, reader = cached(revalidate=revalidate), cached(revalidate="never")
    writer.write(PICKS, b"old")
    assert (writer.read(PICKS), reader.read(PICKS)) == (b"old", b"old")

    writer.write(PICKS, b"new")

    assert (writer.read(PICKS), cached(revalidate="never").read(PICKS)) == (b"new", b"new")


@pytest.mark.parametrize("revalidate", ["never", "open", "each"])
def test_what_was_deleted_through_the_cache_is_gone_at_once(cached, revalidate):
    layer = cached(revalidate=revalidate)
    layer.write(PICKS, b"old")
    layer.read(PICKS)

    layer.delete(PICKS.parent)

    with pytest.raises(NotFoundError):
        layer.read(PICKS)


@pytest.mark.parametrize("revalidate", ["never", "open", "each"])
def test_a_volume_that_was_replaced_through_the_cache_is_new_at_once(cached, revalidate):
    layer = cached(revalidate=revalidate)
    key = samples.key(Kind.TOMOGRAM)
    samples.fill(layer, key, seed=1)
    assert samples.holds(layer, key, seed=1)

    samples.fill(layer, key, seed=2)

    assert samples.holds(layer, key, seed=2)


def test_what_is_read_while_a_region_is_written_is_not_kept(cached):
    layer = cached()
    key = samples.key(Kind.TOMOGRAM)
    samples.fill(layer, key, seed=1)

    with layer.changing(key):
        assert samples.holds(layer, key, seed=1)

    assert not os.path.exists(layer.cache_folder.full(layer.folder_of(key)))


def test_what_was_read_before_a_write_is_not_kept_after_it(cached, folder):
    layer = cached()
    layer.write(PICKS, b"old")
    held = layer.cache_folder.hold(layer.folder_of(PICKS))
    data, revision = layer.inner.read_revised(PICKS)

    layer.write(PICKS, b"new")
    layer.cache_folder.put(held, "file", Entry(revision, data))
    held.close()

    assert cached(revalidate="never").read(PICKS) == b"new"


# ---------------------------------------------------------------------- offline


def test_offline_what_is_kept_is_answered_without_the_storage(config, place):
    filled(config())
    root = copick_core.open(config())
    for run in root.runs:
        [picks.numpy() for picks in run.picks]
        [tomogram.numpy() for spacing in run.voxel_spacings for tomogram in spacing.tomograms]
    place.rename(place.with_name("gone"))

    offline = copick_core.open(config(offline=True))
    run = offline.get_run("TS_1")

    assert run.get_picks("ribosome")[0].numpy()[0].tolist() == [[1.0, 2.0, 3.0]]
    assert run.voxel_spacings[0].tomograms[0].numpy()[0, 0, 1] == 1


def test_offline_the_error_names_what_is_missing_and_how_to_get_it(config):
    filled(config())

    with pytest.raises(UnreachableError, match=r"picks 'ribosome' of ana/1 in run 'TS_1'.*cache prefetch"):
        copick_core.open(config(offline=True)).layers.overlay.read(PICKS)


def test_offline_nothing_is_written(cached):
    layer = cached(offline=True)

    with pytest.raises(UnreachableError):
        layer.write(PICKS, b"points")

    assert layer.inner.calls == {}


# ---------------------------------------------------------------------- the folder


def test_files_and_folders_are_private(cached, bare, folder):
    bare.write(PICKS, b"points")
    cached().read(PICKS)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_dir()}

    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o600}


def test_a_damaged_entry_is_read_from_storage(cached, bare, folder):
    bare.write(PICKS, b"points")
    cached().read(PICKS)
    for path in files(folder):
        path.write_bytes(path.read_bytes()[:-1] + b"?")

    assert cached().read(PICKS) == b"points"


def test_what_was_not_used_for_longest_goes_first(cached, bare, folder):
    keys = [PicksKey("TS_1", "ribosome", "ana", str(n)) for n in range(24)]
    for key in keys:
        bare.write(key, os.urandom(100_000))
    layer = cached(size=2 * 2**20)
    for age, key in enumerate(keys):
        layer.read(key)
        path = Path(layer.cache_folder.full(layer.folder_of(key)), "file")
        if path.exists():
            os.utime(path, (10**9 + age, 10**9 + age))

    kept = [Path(layer.cache_folder.full(layer.folder_of(key)), "file").exists() for key in keys]

    assert kept == sorted(kept)
    assert {True, False} == {*kept}


def test_a_used_entry_is_noted_as_used(cached, bare):
    bare.write(PICKS, b"points")
    layer = cached()
    layer.read(PICKS)
    path = Path(layer.cache_folder.full(layer.folder_of(PICKS)), "file")
    os.utime(path, (10**9, 10**9))

    layer.read(PICKS)

    assert path.stat().st_mtime > 10**9


def test_leftovers_of_writers_that_died_are_removed(folder):
    cache = CacheFolder(str(folder), 2**20)
    (folder / "place").mkdir(parents=True)
    leftovers = [folder / "place" / ".tmp-1", folder / ".trash-2" / "file", folder / f"process-{2**22 + 1}-x" / "file"]
    for path in leftovers:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (10**9, 10**9))

    cache.usage()

    assert [path for path in leftovers if path.exists()] == []


def test_the_folder_may_be_deleted_at_any_moment(config, folder):
    filled(config())
    root = copick_core.open(config())
    for _ in range(3):
        assert root.get_run("TS_1").get_picks("ribosome")[0].numpy()[0].tolist() == [[1.0, 2.0, 3.0]]
        assert root.get_run("TS_1").voxel_spacings[0].tomograms[0].numpy()[0, 0, 1] == 1
        shutil.rmtree(folder, ignore_errors=True)
        root.refresh()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_done_without(cached, bare, folder):
    bare.write(PICKS, b"points")
    folder.mkdir(mode=0o500)

    assert [cached().read(PICKS), cached().read(PICKS)] == [b"points"] * 2


def _read_all(place, folder, limit, seed):
    layer = CacheLayer(open_layer("l", place), CacheOptions(path=folder, size=limit))
    keys = [PicksKey("TS_1", "ribosome", "ana", str(n)) for n in range(60)]
    order = np.random.default_rng(seed).permutation(len(keys))
    most = 0
    for number, n in enumerate(order):
        expected = bytes([n]) * 60_000
        if layer.read(keys[n]) != expected or layer.read_revised(keys[n])[0] != expected:
            raise AssertionError("half a file, or that of another key")
        if number % 10 == 0:
            most = max(most, sum(path.stat().st_size for path in Path(folder).rglob("*") if _is_file(path)))
    return most


def _is_file(path):
    try:
        return path.is_file() and path.stat() is not None
    except FileNotFoundError:
        return False


def _measured(args):
    try:
        return _read_all(*args)
    except FileNotFoundError:  # a file went while it was measured
        return 0


def test_the_cache_stays_within_its_size_under_four_processes_at_once(bare, place, folder):
    limit = 2 * 2**20
    for n in range(60):
        bare.write(PicksKey("TS_1", "ribosome", "ana", str(n)), bytes([n]) * 60_000)

    with multiprocessing.get_context("spawn").Pool(4) as pool:
        sizes = pool.map(_measured, [(str(place), str(folder), limit, seed) for seed in range(4)])

    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert max(*sizes, total) <= limit
    assert total > limit / 2


def test_a_killed_process_leaves_no_half_entry(bare, place, folder):
    for n in range(20):
        bare.write(PicksKey("TS_1", "ribosome", "ana", str(n)), bytes([n]) * 500_000)
    code = (
        "import sys; from copick_backend_fs import open_layer; from copick_core.tree.keys import PicksKey\n"
        "from copick_layers.cache.layer import CacheLayer; from copick_layers.cache.options import CacheOptions\n"
        f"layer = CacheLayer(open_layer('l', {str(place)!r}), CacheOptions(path={str(folder)!r}))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for n in range(20):\n"
        "        key = PicksKey('TS_1', 'ribosome', 'ana', str(n)); layer.read(key)\n"
        "        layer.cache_folder.drop(layer.folder_of(key))\n"
    )
    for delay in (0.01, 0.03, 0.08, 0.15):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(delay)
            process.send_signal(signal.SIGKILL)

    layer = CacheLayer(open_layer("l", str(place)), CacheOptions(path=str(folder), revalidate="never"))

    for n in range(20):
        assert layer.read(PicksKey("TS_1", "ribosome", "ana", str(n))) == bytes([n]) * 500_000


# ---------------------------------------------------------------------- projects


def test_a_project_behind_a_cache_opens_in_another_process(config):
    root = filled(config())

    again = pickle.loads(pickle.dumps(root))

    assert again.layers.overlay.unwrap(CacheLayer) is not None
    assert again.get_run("TS_1").voxel_spacings[0].tomograms[0].numpy()[0, 0, 1] == 1


def test_a_store_of_a_cached_volume_pickles(config):
    root = filled(config())

    store = pickle.loads(pickle.dumps(root.get_run("TS_1").voxel_spacings[0].tomograms[0].zarr()))

    assert samples.read_volume(store)[0, 0, 1] == 1


@pytest.mark.parametrize(
    ("text", "size"), [("20 GiB", 20 * 2**30), ("500 MB", 5 * 10**8), ("1.5gib", 3 * 2**29), (2**20, 2**20)]
)
def test_sizes_are_bytes_or_text(text, size):
    assert CacheOptions(size=text).size == size


def test_a_size_that_is_none_is_refused(config):
    with pytest.raises(ConfigError, match=r"wrappers\[0\].size: 'much' is not a size"):
        copick_core.open(config(size="much"))


def test_without_a_path_the_cache_is_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert CacheOptions().folder == str(tmp_path / "copick" / "layers")
