"""Answers of the portal: how they fail, who waits for whom, and how they are kept on disk."""

from __future__ import annotations

import io
import itertools
import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import trimesh

from copick_backend_portal.cache_command import _age
from copick_backend_portal.connection import Connection, _short
from copick_backend_portal.disk_cache import DiskCache, _digest, default_folders, entries
from copick_backend_portal.errors import PortalQueryError, PortalUnreachableError, PortalWarning
from copick_backend_portal.layer import PortalLayer
from copick_backend_portal.queries import PARTS, RUNS
from copick_core.__main__ import main
from copick_core.errors import InvalidDataError, NotFoundError
from copick_core.layers.layer import PartialListing
from copick_core.tree.keys import Kind, MeshKey, PicksKey, RunKey, TomogramKey, VoxelSpacingKey
from support.locks import waits_for
from support.portal_loopback import Fault
from support.portals import open_project

# ------------------------------------------------------------------------------------------------------------- failures


def connection(portal, seconds=10.0, batch=200):
    return Connection(portal.graphql.url, seconds, batch, 4)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_failure_that_may_pass_is_tried_again_until_time_is_over(portal, status):
    portal.graphql.faults.append(Fault(status=status))

    with pytest.raises(PortalUnreachableError) as raised:
        connection(portal, 0.3).ask(RUNS, [10001], [])

    assert (raised.value.query, raised.value.url) == ("runs", portal.graphql.url)
    assert str(status) in raised.value.reason
    assert portal.graphql.counts["runs"] > 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 501])
def test_a_refusal_is_told_at_once(portal, status):
    portal.graphql.faults.append(Fault(status=status))

    with pytest.raises(PortalQueryError) as raised:
        connection(portal).ask(RUNS, [10001], [])

    assert (raised.value.query, raised.value.url) == ("runs", portal.graphql.url)
    assert str(status) in raised.value.reason
    assert portal.graphql.counts["runs"] == 1


def test_pauses_between_trials_double_until_time_is_over(portal, monkeypatch):
    now, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("copick_backend_portal.connection.time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr("copick_backend_portal.connection.random.uniform", lambda low, high: (low + high) / 2)
    portal.graphql.faults.append(Fault(status=500))

    with pytest.raises(PortalUnreachableError):
        connection(portal, 1.0).ask(RUNS, [10001], [])

    assert pauses == [0.1, 0.2, 0.4]


def test_where_one_query_is_refused_nobody_waits_for_the_others(portal):
    portal.graphql.faults.append(Fault(status=503, fields=frozenset({"tomograms"})))
    portal.graphql.faults.append(Fault(status=400, delay=0.3, fields=frozenset({"runs"})))
    began = time.monotonic()

    with pytest.raises(PortalQueryError):
        connection(portal).ask_all([(PARTS["volumes"][1], [501]), (RUNS, [10001])], [])

    assert time.monotonic() - began < 5


def test_answers_to_several_queries_come_in_their_order(portal):
    portal.graphql.faults.append(Fault(times=1, delay=0.2, fields=frozenset({"runs"})))

    runs, spacings = connection(portal).ask_all([(RUNS, [10001]), (PARTS["volumes"][0], [501])], [])

    assert sorted(row["id"] for row in runs) == [501, 502, 503]
    assert sorted(row["id"] for row in spacings) == [801, 802]


@pytest.mark.parametrize("batch", [1, 2, 3, 200])
def test_more_ids_than_a_batch_are_asked_for_in_parts_and_each_once(portal, batch):
    asked = connection(portal, batch=batch)

    rows = asked.ask(PARTS["volumes"][0], [501, 502, 503, 601], [])

    assert sorted(row["id"] for row in rows) == [801, 802, 803, 804]
    assert portal.graphql.counts["tomogramVoxelSpacings"] == {1: 4, 2: 2, 3: 2, 200: 1}[batch]


def test_one_id_that_is_too_much_says_what_helps(portal):
    portal.graphql.faults.append(Fault(row_limit=1))
    ways = []
    for batch in (200, 1):
        with pytest.raises(PortalQueryError) as raised:
            connection(portal, batch=batch).ask(RUNS, [10001], [])
        ways.append(raised.value.reason.rpartition(" (")[2])
        assert (raised.value.query, raised.value.url) == ("runs", portal.graphql.url)

    assert ways == ["lower portal_batch_runs)", "one run alone is too much for the portal)"]


def test_the_innermost_cause_of_a_system_is_what_is_told():
    def chain(*errors):
        for outer, inner in itertools.pairwise(errors):
            outer.__cause__ = inner
        return errors[0]

    refused = OSError(111, "Connection refused")
    assert _short(chain(RuntimeError("POST secret: failed"), refused, ValueError("x"))) == "[Errno 111] Connection refused"
    assert _short(chain(RuntimeError("POST secret: it failed: twice"), OSError("x"))) == "it failed: twice"


@pytest.fixture
def stl(root, monkeypatch):
    """A mesh that the portal has as STL, and what its file holds."""
    layer = root.layers.static[0]
    mesh = root.get_run("501").meshes[0]
    layer.annotation(mesh.key).file["format"] = "stl"
    content = {"data": trimesh.creation.box().export(file_type="stl")}
    monkeypatch.setattr(type(layer.files), "read", lambda self, path: content["data"])
    return layer, mesh.key, content


def test_a_mesh_that_cannot_be_read_is_named(stl):
    layer, key, content = stl
    content["data"] = b"no mesh"
    layer.annotation(key).file["format"] = "ply"

    with pytest.raises(InvalidDataError, match="not a readable ply mesh") as raised:
        layer.load_mesh(key)

    assert raised.value.source == key


def test_a_mesh_of_another_format_is_read_as_glb(stl):
    layer, key, _ = stl
    loaded, revision = layer.load_mesh(key)

    read = trimesh.load_scene(io.BytesIO(layer.read(key)), file_type="glb")

    assert revision == layer.revision(key) == ("portal", int(key.session_id))
    assert read.bounds.tolist() == loaded.bounds.tolist() == [[-0.5] * 3, [0.5] * 3]
    assert len(next(iter(loaded.geometry.values())).vertices) == 36  # as they are stored


# -------------------------------------------------------------------------------------------------------------- offline


@pytest.fixture
def away(portal, overlay):
    """A layer under an overlay, whose portal cannot be reached."""
    layer = open_project(portal, overlay, portal_timeout_seconds=0.2, portal_cache=False).layers.static[0]
    portal.graphql.faults.append(Fault(status=503))
    return layer


RUN = RunKey("501")
KEYS = [PicksKey("501", "ribosome", "data-portal", "1001"), TomogramKey("501", 7.84, "wbp-raw")]


@pytest.mark.parametrize(
    "call",
    [
        lambda layer: layer.list(Kind.RUN, RUN.parent),
        lambda layer: layer.runs(),
    ],
)
def test_a_portal_that_is_away_is_warned_of_once_and_lists_nothing(away, portal, call):
    with pytest.warns(PortalWarning, match=r"Only the overlay is listed until refresh\(\) or reconnect\(\)") as told:
        assert not call(away)
    asked = portal.graphql.requests

    assert [*away.list(Kind.PICKS, RUN)] == []
    assert [*away.list(Kind.TOMOGRAM, VoxelSpacingKey("501", 7.84))] == []
    assert away.list_many(Kind.PICKS, [RUN]) == {RUN: []}
    assert away.details(RUN) == away.details(VoxelSpacingKey("501", 7.84)) == {}
    assert away.listing_version(RUN) is None
    assert len(told) == 1
    assert portal.graphql.requests <= asked + 3  # only the version is asked for again


@pytest.mark.parametrize("kind", [Kind.VOXEL_SPACING, Kind.PICKS, Kind.MESH, Kind.SEGMENTATION])
@pytest.mark.parametrize("many", [False, True])
def test_a_portal_that_goes_away_after_its_runs_were_listed_is_warned_of_too(portal, overlay, kind, many):
    layer = open_project(portal, overlay, portal_timeout_seconds=0.2, portal_cache=False).layers.static[0]
    assert layer.exists(RUN)
    portal.graphql.faults.append(Fault(status=503))

    with pytest.warns(PortalWarning, match="Only the overlay is listed"):
        assert [*(layer.list_many(kind, [RUN])[RUN] if many else layer.list(kind, RUN))] == []


def test_without_an_overlay_a_portal_that_is_away_is_an_error(portal):
    layer = open_project(portal, None, portal_timeout_seconds=0.2, portal_cache=False).layers.static[0]
    assert layer.exists(RUN)
    portal.graphql.faults.append(Fault(status=503))

    for call in (lambda: layer.list(Kind.PICKS, RUN), lambda: layer.list_many(Kind.VOXEL_SPACING, [RUN])):
        with pytest.raises(PortalUnreachableError):
            call()
    assert layer.listing_version(RUN) is None


def test_where_every_run_is_refused_the_refusal_is_raised(portal, root):
    portal.graphql.faults.append(Fault(row_limit=0, fields=frozenset({"tomograms"})))
    layer = root.layers.static[0]

    with pytest.raises(PortalQueryError):
        layer.list_many(Kind.VOXEL_SPACING, [RUN])
    with pytest.raises(PortalQueryError):
        layer.list_many(Kind.VOXEL_SPACING, [RUN, RunKey("601")])
    assert isinstance(layer.list_many(Kind.VOXEL_SPACING, [RUN, RunKey("503")]), PartialListing)


# ----------------------------------------------------------------------------------------------------------------- layer


def test_missing_entities_are_named_with_their_layer_and_have_no_place(root):
    layer = root.layers.static[0]
    missing = [
        PicksKey("501", "ribosome", "data-portal", "1"),
        MeshKey("501", "a", "ana", "1"),
        TomogramKey("501", 7.84, "no"),
    ]
    for key in missing:
        ask = layer.tomogram if isinstance(key, TomogramKey) else layer.annotation
        with pytest.raises(NotFoundError) as raised:
            ask(key)
        assert (raised.value.key, raised.value.layer) == (key, "portal")
        assert layer.location(key) is layer.revision(key) is None
    assert layer.revisions([*missing, KEYS[0]]) == {KEYS[0]: ("portal", 1001)}
    assert all(str(layer.location(key)).startswith("s3://") for key in KEYS)


def test_what_cannot_be_used_is_told_once(root):
    layer = root.layers.static[0]

    with pytest.warns(PortalWarning) as told:
        [layer._complain(what, "it is odd") for what in ("tomogram 1", "tomogram 1", "tomogram 2")]

    assert [str(one.message) for one in told] == [
        f"CryoET Data Portal: tomogram {number} is left out: it is odd." for number in (1, 2)
    ]


def test_files_are_read_by_callers_too_and_anew_in_a_process_of_its_own(root, monkeypatch):
    files, path = root.layers.static[0].files, root.layers.static[0].location(KEYS[0])
    first = files.fs

    assert files.for_callers().cat_file(path) == files.read(path) != b""
    assert files.fs is first
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert files.fs is not first


def test_an_entity_of_a_kind_that_the_portal_lacks_has_no_details(root):
    from copick_core.tree.keys import ObjectKey

    assert root.layers.static[0].details(ObjectKey("ribosome")) == {}
    assert root.layers.static[0].details(RunKey("TS_001")) == {}


#: Calls that wait for the lock of the layer.
GUARDED = {
    "index": lambda layer: layer.index,
    "connection": lambda layer: layer.connection,
    "files": lambda layer: layer.files,
    "forget": lambda layer: layer.forget(RUN.parent),
    "reconnect": lambda layer: layer.reconnect(),
}


@pytest.mark.parametrize("call", GUARDED)
def test_what_is_made_on_first_need_is_made_and_forgotten_by_one_thread_at_a_time(root, call):
    layer = root.layers.static[0]

    assert waits_for(layer._lock, lambda: GUARDED[call](layer))


def test_the_client_and_the_filesystem_are_made_by_one_thread_at_a_time(root):
    layer = root.layers.static[0]

    assert waits_for(layer.connection._lock, layer.connection._portal_client)
    assert waits_for(layer.files._lock, lambda: layer.files.fs)


def test_the_runs_and_each_part_are_asked_for_by_one_thread_at_a_time(root):
    index = root.layers.static[0].index

    assert waits_for(index._lock, index.runs)
    assert waits_for(index._part_locks["volumes"], lambda: index.load("volumes", ["501"]))


def test_reconnecting_drops_the_connection_and_forgetting_keeps_it(root):
    layer = root.layers.static[0]
    assert layer.exists(RUN)
    before = layer.connection, layer.files

    layer.forget(RUN.parent)
    kept = layer.connection, layer.files
    layer.reconnect()

    assert kept == before
    assert layer.connection is not before[0]
    assert layer.files is not before[1]


def test_what_lies_below_a_run_is_not_forgotten_with_it(portal, root):
    layer = root.layers.static[0]
    index = layer.index

    for parent in (RUN, VoxelSpacingKey("501", 7.84), KEYS[1]):
        layer.forget(parent)

    assert layer.index is index


# ----------------------------------------------------------------------------------------------------------------- disk


def cache(*folders, ttl=100.0, patience=0.2, **fingerprint):
    return DiskCache([Path(folder) for folder in folders], fingerprint or {"url": "a"}, ttl, patience)


def age(kept, question, seconds):
    """Make a kept answer older, or younger than now."""
    for folder in kept.folders:
        path = folder / kept._name(question)
        if path.exists():
            first, _, body = path.read_bytes().partition(b"\n")
            header = {**json.loads(first), "created": time.time() - seconds}
            path.write_bytes(json.dumps(header).encode() + b"\n" + body)


@pytest.mark.parametrize(
    ("ttl", "seconds", "fresh"),
    [(100, 0, True), (100, 99, True), (100, 101, False), (100, -10, False), (0, 1e9, True), (-1, 1e9, True)],
)
def test_an_answer_is_fresh_within_its_time_to_live(tmp_path, ttl, seconds, fresh):
    kept = cache(tmp_path, ttl=ttl)
    kept.store("q", [1])
    age(kept, "q", seconds)

    assert kept.load("q") == ([1] if fresh else None)
    assert kept.load("q", stale=True) == [1]
    (entry,) = kept.entries()
    assert (entry.stale, entry.question, entry.size) == (not fresh, "q", entry.path.stat().st_size)
    assert entry.age == pytest.approx(seconds, abs=5, rel=1e-3)


def test_an_answer_is_that_to_its_question_of_its_project(tmp_path):
    kept = cache(tmp_path)
    kept.store("q", [1])

    assert kept.load("other") is cache(tmp_path, url="b").load("q") is None
    (tmp_path / kept._name("other")).write_bytes((tmp_path / kept._name("q")).read_bytes())
    assert kept.load("other") is None
    other = cache(tmp_path, url="b")
    (tmp_path / other._name("q")).write_bytes((tmp_path / kept._name("q")).read_bytes())
    assert other.load("q") is None


def test_an_answer_is_kept_once_in_the_first_folder_that_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    kept = cache(tmp_path / "file", tmp_path / "a" / "b", tmp_path / "c")

    kept.store("q", [1])

    assert os.listdir(tmp_path / "a" / "b") == [kept._name("q")]
    assert not (tmp_path / "c").exists()
    assert kept.load("q") == [1]
    with kept.asking("q"):
        assert sorted(os.listdir(tmp_path / "a" / "b")) == sorted([f".{kept._name('q')}.lock", kept._name("q")])
    assert os.listdir(tmp_path / "a" / "b") == [kept._name("q")]


def test_an_answer_that_cannot_be_put_in_its_place_leaves_nothing_beside_it(tmp_path):
    kept = cache(tmp_path)
    (tmp_path / kept._name("q")).mkdir()

    kept.store("q", [1])

    assert os.listdir(tmp_path) == [kept._name("q")]


def test_where_nothing_can_be_written_nobody_waits(tmp_path):
    (tmp_path / "file").write_text("")
    kept = cache(tmp_path / "file", patience=60)

    with kept.asking("q"):
        pass

    assert kept.load("q") is None


def test_a_lock_is_released_after_an_error_and_one_of_another_is_not(tmp_path):
    kept = cache(tmp_path)
    lock = tmp_path / f".{kept._name('q')}.lock"
    with pytest.raises(KeyError), kept.asking("q"):
        raise KeyError

    assert not lock.exists()
    lock.touch()
    began = time.monotonic()
    os.utime(lock, (time.time() + 60,) * 2)  # its owner is at work for long
    with kept.asking("q"):
        waited = time.monotonic() - began
    assert 0.2 <= waited < 5
    assert lock.exists()


def test_a_lock_that_somebody_took_for_a_dead_ones_may_be_gone_at_the_end(tmp_path):
    kept = cache(tmp_path)

    with kept.asking("q"):
        (tmp_path / f".{kept._name('q')}.lock").unlink()

    assert os.listdir(tmp_path) == []


def test_a_lock_that_vanishes_while_it_is_looked_at_is_taken(tmp_path):
    kept = cache(tmp_path, patience=20)
    lock = tmp_path / f".{kept._name('q')}.lock"
    lock.touch()
    threading.Timer(0.1, lock.unlink).start()

    with kept.asking("q"):
        assert lock.exists()


@pytest.mark.parametrize(
    "header",
    [
        {"common": 1, "question": "q", "created": 1.0},
        {"common": "c", "question": 1, "created": 1.0},
        {"common": "c", "question": "q", "created": 1},
        {"common": "c", "question": "q", "created": 1.0, "digest": "other"},
        {"common": "c", "question": "q"},
    ],
    ids=str,
)
def test_a_file_that_is_no_answer_of_ours_is_stale_and_as_old_as_itself(tmp_path, header):
    path = tmp_path / "portal_x.json"
    path.write_bytes(json.dumps({"digest": _digest(b"[]"), **header}).encode() + b"\n[]")
    os.utime(path, (time.time() - 50,) * 2)

    (entry,) = entries([tmp_path, tmp_path / "none"], 0)

    assert (entry.stale, entry.question) == (True, "")
    assert entry.age == pytest.approx(50, abs=5)


def test_a_project_clears_its_own_answers_or_all(tmp_path):
    mine, other = cache(tmp_path), cache(tmp_path, url="b")
    mine.store("q", [1])
    other.store("q", [2])
    (tmp_path / "notes.json").write_text("")

    assert mine.clear() == [tmp_path / mine._name("q")]
    assert (mine.load("q"), other.load("q")) == (None, [2])
    assert mine.clear(everything=True) == [tmp_path / other._name("q")]
    assert os.listdir(tmp_path) == ["notes.json"]


def test_answers_are_kept_in_a_pinned_folder_or_the_overlay_and_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    user = tmp_path / "copick" / "portal"

    assert default_folders(None, None) == [user]
    assert default_folders(None, "overlay") == [Path("overlay/.copick_cache"), user]
    assert default_folders("~/pinned", "overlay") == [Path.home() / "pinned"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "60 min"),
        (3600, "1 h"),
        (86399, "24 h"),
        (86400, "1 d"),
        (200000, "2 d"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_fits(seconds, shown):
    assert _age(seconds) == shown


def test_the_cache_is_shown_with_its_folders_answers_and_sum(portal, overlay, tmp_path, capsys):
    root = open_project(portal, overlay)
    assert root.runs
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**root.config.model_dump(mode="json")}))
    (entry,) = root.layers.static[0].cache.entries()

    assert main(["portal-cache", "info", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["portal-cache", "info", str(config), "--json"]) == 0
    out = capsys.readouterr().out

    assert lines == [
        str(overlay / ".copick_cache"),
        f"{tmp_path / 'cache' / 'copick' / 'portal'} (not there)",
        f"  {entry.path.name}  {entry.size:,} bytes  fresh, 0 s old  runs",
        f"1 answers, {entry.size:,} bytes",
    ]
    assert out == json.dumps(json.loads(out), indent=2) + "\n"


def test_a_layer_that_is_sent_to_another_process_goes_offline_as_here(root):
    import pickle

    layer = root.layers.static[0]
    assert layer.offline_ok

    sent = pickle.loads(pickle.dumps(layer))

    assert isinstance(sent, PortalLayer)
    assert (sent.name, sent.offline_ok, sent.read_only) == ("portal", True, True)


def test_files_that_cannot_be_reached_are_told_from_those_that_are_refused():
    from copick_backend_portal.errors import PortalFilesError
    from copick_backend_portal.store import _reaching

    with pytest.raises(PortalFilesError) as raised, _reaching("s3://lab/a"):
        raise ConnectionResetError("reset")
    with pytest.raises(FileNotFoundError), _reaching("s3://lab/a"):
        raise FileNotFoundError("a")

    assert (raised.value.query, raised.value.url, raised.value.reason) == ("file", "s3://lab/a", "reset")


def test_the_package_has_the_names_that_it_lists_and_no_others():
    import copick_backend_portal as portal

    assert all(getattr(portal, name) is not None for name in portal.__all__)
    with pytest.raises(AttributeError, match="module 'copick_backend_portal' has no attribute 'Nothing'"):
        portal.Nothing  # noqa: B018 - looking is what fails
