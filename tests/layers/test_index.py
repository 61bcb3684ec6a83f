"""The wrapper ``index``: what it knows, how far it is believed, and what happens to its file."""

import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import copick_core
from copick_backend_fs import open_layer
from copick_core.errors import ConfigError, ConflictError
from copick_core.testing import samples
from copick_core.testing.wrappers import CountingLayer, FlakyLayer
from copick_core.tree.keys import ROOT, Kind, PicksKey, RunKey, TomogramKey
from copick_layers.index.commands import index as command
from copick_layers.index.comparing import Differences
from copick_layers.index.layer import IndexLayer
from copick_layers.index.options import IndexOptions
from copick_layers.index.query import search
from support.objects import OBJECTS

RUN = RunKey("TS_1")
PICKS = PicksKey("TS_1", "ribosome", "ana", "1")
POINTS = samples.picks_json(1)


@pytest.fixture
def place(tmp_path):
    return str(tmp_path / "project")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "index.sqlite"


@pytest.fixture
def bare(place):
    return open_layer("bare", place)


@pytest.fixture
def indexed(place, file):
    """Open a layer on the place behind the index; a layer between them counts."""

    def make(wrap=CountingLayer, **options):
        return IndexLayer(wrap(open_layer("indexed", place)), IndexOptions(path=str(file), **options))

    return make


@pytest.fixture
def config(tmp_path, place, file):
    content = {
        "config_type": "filesystem",
        "overlay_root": place,
        "pickable_objects": OBJECTS,
        "user_id": "ana",
        "wrappers": [{"name": "index", "path": str(file)}],
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    return path


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


# ---------------------------------------------------------------------- lists


def test_a_built_index_answers_without_the_storage(bare, indexed):
    bare.write(PICKS, POINTS)
    indexed().update()

    layer = indexed()

    assert layer.list(Kind.RUN, ROOT) == [RUN]
    assert layer.list_many(Kind.PICKS, [RUN]) == {RUN: [PICKS]}
    assert layer.list(Kind.PICKS, RunKey("unknown")) == []
    assert layer.inner.calls == {}


def test_before_it_is_built_the_storage_answers(bare, indexed):
    bare.write(PICKS, POINTS)

    assert indexed().list(Kind.PICKS, RUN) == [PICKS]


def test_a_table_of_the_project_asks_nothing(config):
    root = copick_core.open(str(config))
    for name in ("TS_1", "TS_2"):
        root.new_run(name).new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    root.layers.overlay.unwrap(IndexLayer).update()

    again = copick_core.open(str(config))
    inner = again.layers.overlay.inner = CountingLayer(again.layers.overlay.inner)

    assert again.table("picks")["run"] == ["TS_1", "TS_2"]
    assert again.select("*/ribosome:ana").count() == 2
    assert again.select("TS_[1]/ribosome:ana").count() == 1
    assert inner.calls == {}


@pytest.mark.parametrize(
    "address",
    [
        "*/ribosome:ana",
        "*",
        "TS_*/ribosome",
        "*/*:ana/2",
        "*/membrane:*/*@10.0",
        "re:TS_[12]/ribosome:.*",
        "exact:TS_1/ribosome",
    ],
)
def test_a_selection_gives_the_same_with_an_index_and_without(config, address):
    root = copick_core.open(str(config))
    for name in ("TS_2", "TS_1", "other"):
        made = root.new_run(name)
        for user, session in (("bob", "1"), ("ana", "2"), ("ana", "1")):
            made.new_picks("ribosome", session, user).from_numpy([[1.0, 2.0, 3.0]])
            made.new_segmentation(10.0, "membrane", session, user_id=user).from_numpy(np.zeros((2, 2, 2), "u1"))
    root.layers.overlay.unwrap(IndexLayer).update()
    plain = copick_core.open({**json.loads(config.read_text()), "wrappers": []})

    assert root.layers.overlay.find(Kind.PICKS, {"user_id": "bob"}) is not None
    assert root.select(address).keys() == plain.select(address).keys() != []


# ---------------------------------------------------------------------- freshness


def test_trust_believes_the_index(bare, indexed):
    indexed().update()
    bare.write(PICKS, POINTS)

    assert indexed(freshness="trust").list(Kind.RUN, ROOT) == []


@pytest.mark.parametrize("freshness", ["check", "update"])
def test_what_others_changed_is_noticed(bare, indexed, freshness):
    bare.ensure(RUN)
    indexed().update()
    bare.write(PICKS, POINTS)
    bare.ensure(RunKey("TS_2"))

    layer = indexed(freshness=freshness)

    assert (sorted(layer.list(Kind.RUN, ROOT)), layer.list(Kind.PICKS, RUN)) == ([RUN, RunKey("TS_2")], [PICKS])


def test_only_runs_that_changed_are_listed_again(bare, indexed, place):
    for n in range(5):
        bare.write(PICKS._replace(run=f"TS_{n}"), POINTS)
    for folder, _, _ in os.walk(place):
        os.utime(folder, (10**9, 10**9))
    layer = indexed()
    first = layer.update()
    bare.write(PICKS._replace(run="TS_3", session_id="2"), POINTS)

    again = layer.update()

    assert (first, again) == (5, 1)
    assert len(layer.list(Kind.PICKS, RunKey("TS_3"))) == 2


def test_an_update_drops_runs_that_are_gone(bare, indexed):
    bare.write(PICKS, POINTS)
    layer = indexed()
    layer.update()
    bare.delete(RUN)

    layer.update()

    assert (layer.list(Kind.RUN, ROOT), layer.list(Kind.PICKS, RUN)) == ([], [])


def test_a_build_that_was_cut_off_goes_on(bare, indexed, monkeypatch):
    monkeypatch.setattr("copick_layers.index.layer.BATCH", 2)
    for n in range(6):
        bare.write(PICKS._replace(run=f"TS_{n}"), POINTS)

    def cut_off(done, _):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        indexed().update(progress=cut_off)

    assert indexed().update() == 2


# ---------------------------------------------------------------------- writes


def test_writes_through_the_index_are_in_it_at_once(indexed):
    writer, reader = indexed(), indexed()
    writer.update()

    writer.write(PICKS, POINTS)
    stored = reader.list(Kind.RUN, ROOT), reader.list(Kind.PICKS, RUN)
    writer.delete(RUN)

    assert stored == ([RUN], [PICKS])
    assert (reader.list(Kind.RUN, ROOT), reader.list(Kind.PICKS, RUN)) == ([], [])
    assert {name for name in reader.inner.calls if name.startswith("list")} == set()


def test_a_refused_write_leaves_the_index_as_it_was(indexed):
    layer = indexed()
    layer.update()

    with pytest.raises(ConflictError):
        layer.write(PICKS, POINTS, if_revision="another")

    assert layer.list(Kind.PICKS, RUN) == []
    assert layer.index.unfinished() == []


def test_after_a_write_that_failed_half_way_the_storage_is_asked(indexed, bare):
    layer = indexed(wrap=lambda inner: FlakyLayer(inner, methods=["write"]))
    layer.update()

    with pytest.raises(OSError):
        layer.write(PICKS, POINTS)
    bare.write(PICKS, POINTS)  # as far as anybody knows, the write came through

    assert layer.list(Kind.PICKS, RUN) == [PICKS]
    assert layer.list(Kind.RUN, ROOT) == [RUN]
    assert layer.index.unfinished() == []


def test_a_writer_that_was_killed_leaves_no_wrong_list(indexed, place, file):
    indexed().update()
    code = (
        "import os, signal; from copick_backend_fs import open_layer; from copick_core.layers import WrapperLayer\n"
        "from copick_core.tree.keys import PicksKey; from copick_layers.index.layer import IndexLayer\n"
        "from copick_layers.index.options import IndexOptions\n"
        "class Killed(WrapperLayer):\n"
        "    def around(self, method, key, call):\n"
        "        call(); os.kill(os.getpid(), signal.SIGKILL)\n"
        f"layer = IndexLayer(Killed(open_layer('l', {place!r})), IndexOptions(path={str(file)!r}))\n"
        "layer.write(PicksKey('TS_1', 'ribosome', 'ana', '1'), b'{}')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)

    layer = indexed()

    assert killed.returncode == -signal.SIGKILL
    assert (layer.list(Kind.RUN, ROOT), layer.list(Kind.PICKS, RUN)) == ([RUN], [PICKS])
    assert layer.index.unfinished() == []


def _write_many(place, file, number):
    layer = IndexLayer(open_layer("l", place), IndexOptions(path=file))
    for n in range(10):
        layer.write(PicksKey(f"TS_{n % 3}", "ribosome", f"user{number}", str(n)), b"{}")
        if n % 3 == 2:
            layer.delete(PicksKey(f"TS_{n % 3}", "ribosome", f"user{number}", str(n)))
        if n % 5 == 4:
            layer.update()


def test_four_writers_at_once_leave_an_index_that_is_true(indexed, place, file):
    indexed().update()

    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        for job in [pool.submit(_write_many, place, str(file), number) for number in range(4)]:
            job.result()

    layer = indexed()
    assert layer.differences() == Differences()
    assert layer.index.unfinished() == []
    assert len(layer.index.everything()) == 3 + 4 * 7


def test_the_file_may_be_deleted_at_any_moment(config, file):
    root = copick_core.open(str(config))
    root.new_run("TS_1").new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    for n in range(2, 5):
        file.unlink()
        root.refresh()
        assert len(root.get_run("TS_1").picks) == n - 1
        root.get_run("TS_1").new_picks("ribosome", str(n)).from_numpy([[1.0, 2.0, 3.0]])


def test_a_damaged_file_is_built_anew(bare, indexed, file):
    bare.write(PICKS, POINTS)
    file.write_bytes(b"no database, " * 1000)

    layer = indexed()
    listed = layer.list(Kind.PICKS, RUN)
    layer.update()

    assert listed == [PICKS]
    assert indexed().index.is_complete


# ---------------------------------------------------------------------- facts and questions


def test_any_program_can_read_the_file(config, file):
    root = copick_core.open(str(config))
    root.new_run("TS_1").new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT run, name, user, session, points FROM entities WHERE kind = 'picks'").fetchall()
    database.close()

    assert rows == [("TS_1", "ribosome", "ana", "1", 2)]


def test_facts_of_what_others_wrote_are_read_on_demand(bare, indexed, config):
    copick_core.open({**json.loads(config.read_text()), "wrappers": []}).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram(
        "wbp"
    ).from_numpy(np.ones((8, 8, 8), "f4"))
    bare.write(PICKS, POINTS)
    layer = indexed()
    layer.update()

    layer.describe()

    assert layer.index.select("SELECT points, size FROM entities WHERE kind = 'picks'") == [(2, len(POINTS))]
    assert layer.index.select("SELECT shape, levels FROM entities WHERE kind = 'tomogram'") == [("[8, 8, 8]", 3)]
    assert layer.index.undescribed() == []


def test_searching_by_points_and_text(config):
    root = copick_core.open(str(config))
    for number, name in enumerate(["TS_1", "TS_2", "other"], 1):
        root.new_run(name).new_picks("ribosome", "1").from_numpy(np.ones((number, 3)))
    run("update", "-c", config)

    many = [key.run for key, _ in search(root, "picks", min_points=2)]
    text = [key.name for key, _ in search(root, "runs", text="ts_")]

    assert (many, text) == (["TS_2", "other"], ["TS_1", "TS_2"])
    assert [key.run for key, _ in search(root, "picks", name="ribosome", user="ana", max_points=1)] == ["TS_1"]


def segmentations(config):
    """A project with a segmentation of label 1 and one of 2 and 12, and picks of one to three points."""
    content = json.loads(config.read_text())
    content["pickable_objects"] = [{"name": "ribosome", "is_particle": True, "label": 1}]
    content["pickable_objects"] += [{"name": f"cell-{n}", "is_particle": False, "label": n} for n in (2, 5, 7, 12)]
    config.write_text(json.dumps(content))
    root = copick_core.open(str(config))
    for number, name in enumerate(["TS_1", "TS_2", "TS_3"], 1):
        run = root.new_run(name)
        run.new_picks("ribosome", "1").from_numpy(np.ones((number, 3)))
        labels = np.zeros((4, 4, 4), "u1")
        labels[1], labels[2] = (1, 1) if number == 1 else (2, 12)
        run.new_segmentation(10.0, "cells", "1", is_multilabel=True).from_numpy(labels)
    layer = root.layers.overlay.unwrap(IndexLayer)
    layer.update(everything=True)
    return root, layer


def runs_of(selection):
    return [key.run for key in selection.keys()]  # noqa: SIM118 - a selection is not a dict


def counted(config):
    """The project once more, with a layer that counts behind the index."""
    again = copick_core.open(str(config))
    inner = again.layers.overlay.inner = CountingLayer(again.layers.overlay.inner)
    return again, inner


def test_a_selection_by_points_and_labels_asks_nothing_of_the_storage(config):
    _, layer = segmentations(config)
    layer.describe()
    again, inner = counted(config)

    found = runs_of(again.select("TS_*/ribosome:ana", min_points=2, max_points=2))
    labelled = runs_of(again.select("*/cells@10.0", label=2))

    assert (found, labelled) == (["TS_2"], ["TS_2", "TS_3"])
    assert again.select("*/cells@10.0", label=1).count() == 1  # not that of label 12
    assert [key.run for key, _ in search(again, "segmentations", label=12)] == ["TS_2", "TS_3"]
    assert inner.calls == {}


def indexed_layers(tmp_path, config):
    """A project of two indexed layers: runs and picks of the reference come first."""
    content = json.loads(config.read_text())
    content["static_root"] = str(tmp_path / "reference")
    content["wrappers"] = [
        {"name": "index", "layer": name, "path": str(tmp_path / f"{name}.sqlite")} for name in ("static", "overlay")
    ]
    for place, runs in ((content["static_root"], ("TS_3", "TS_2")), (content["overlay_root"], ("TS_2", "TS_1"))):
        root = copick_core.open({**content, "overlay_root": place, "static_root": None, "wrappers": []})
        for name in runs:
            run = root.new_run(name)
            run.new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
            run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.ones((2, 2, 2), "f4"), levels=1)
    return content


@pytest.mark.parametrize("kind", ["runs", "voxel_spacings", "picks", "tomograms", "features"])
def test_a_table_of_several_layers_is_the_same_with_indexes_and_without(config, tmp_path, kind):
    content = indexed_layers(tmp_path, config)
    expected = copick_core.open({**content, "wrappers": []}).table(kind)
    root = copick_core.open(content)
    for layer in root.layers.all:
        layer.unwrap(IndexLayer).update()

    assert root.layers.all[0].find_columns(Kind.RUN, {}) == [["TS_2", "TS_3"]]
    assert root.table(kind) == expected


def test_what_the_index_does_not_know_is_read(config):
    _, layer = segmentations(config)
    again, inner = counted(config)

    assert runs_of(again.select("TS_*/cells@10.0", label=12)) == ["TS_2", "TS_3"]
    assert inner.calls["zarr"] == 3
    layer.describe()
    assert again.select("TS_*/cells@10.0", label=12).count() == 2
    assert inner.calls["zarr"] == 3


@pytest.mark.parametrize("how", ["region", "store", "replaced"])
def test_a_segmentation_that_changes_has_other_labels(config, how):
    root, layer = segmentations(config)
    layer.describe()
    (first, *_) = root.select("TS_1/cells@10.0")

    if how == "region":
        first.set_region(np.full((1, 4, 4), 7, "u1"), z=slice(0, 1))
    elif how == "store":
        array = zarr.open_array(first.zarr(), path="0", mode="r+")
        array[0] = 5
        layer.describe()
        array[0] = 7
    else:
        first.from_numpy(np.full((4, 4, 4), 7, "u1"))

    assert root.select("*/cells@10.0", label=7).count() == 1
    layer.describe()
    assert root.select("*/cells@10.0", label=7).count() == 1
    assert root.select("*/cells@10.0", label=5).count() == 0


def test_facts_that_others_made_untrue_are_forgotten_by_an_update(config, bare):
    _, layer = segmentations(config)
    layer.describe()
    plain = copick_core.open({**json.loads(config.read_text()), "wrappers": []})
    plain.get_run("TS_1").picks[0].from_numpy(np.ones((9, 3)))

    layer.update()

    assert runs_of(copick_core.open(str(config)).select("*/ribosome", min_points=9)) == ["TS_1"]


def test_a_damaged_volume_is_not_described(bare, indexed):
    damaged = TomogramKey("TS_1", 10.0, "damaged")
    samples.fill(bare, damaged)
    (Path(bare.location(damaged)) / ".zattrs").write_text("{")
    (Path(bare.location(damaged)) / "0" / ".zarray").write_text("{")
    layer = indexed()
    layer.update()

    layer.describe()

    assert layer.index.undescribed() == [damaged]


def test_what_was_read_before_a_change_is_not_noted(config):
    root, layer = segmentations(config)
    (first, *_) = root.select("TS_1/cells@10.0")
    key, facts, changes = layer._storage._facts(first.key)
    first.set_region(7)

    assert layer.index.note(key, facts, changes) is False


def test_searching_needs_an_index_that_was_built(config):
    with pytest.raises(ConfigError, match="index build"):
        search(copick_core.open(str(config)), "picks")


def behind_both(config, tmp_path):
    """The project behind an index and a cache, with points in two runs."""
    content = json.loads(config.read_text())
    content["wrappers"].append({"name": "cache", "path": str(tmp_path / "cache")})
    root = copick_core.open(content)
    for name in ("TS_1", "TS_2"):
        root.new_run(name).new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    return root


def test_a_project_behind_an_index_and_a_cache_pickles(config, tmp_path):
    root = behind_both(config, tmp_path)

    again = pickle.loads(pickle.dumps(root))

    assert again.get_run("TS_1").picks[0].numpy()[0].tolist() == [[1.0, 2.0, 3.0]]


def copied_points(run):
    """Read the points of a run, and store them again."""
    points = run.picks[0].numpy()[0]
    run.new_picks("ribosome", "2").from_numpy(points)
    return points.tolist()


@pytest.mark.slow
def test_worker_processes_read_and_write_behind_an_index_and_a_cache(config, tmp_path):
    root = behind_both(config, tmp_path)
    root.layers.overlay.unwrap(IndexLayer).update()

    report = copick_core.map_runs(copied_points, root, workers=2)

    assert report.results == {name: [[1.0, 2.0, 3.0]] for name in ("TS_1", "TS_2")}
    assert root.table("picks")["session_id"] == ["1", "2"] * 2


# ---------------------------------------------------------------------- commands


def test_the_commands_build_compare_and_show(config, bare, file):
    bare.write(PICKS, POINTS)
    before = run("info", "-c", config).output
    built = run("build", "-c", config, "--describe").output
    same = run("check", "-c", config)
    bare.write(PICKS._replace(session_id="2"), POINTS)
    different = run("check", "-c", config)
    listed = json.loads(run("check", "-c", config, "--json").output)
    run("update", "-c", config)
    facts = json.loads(run("info", "-c", config, "--json").output)

    assert "not built yet" in before
    assert built == "overlay: 1 runs listed\noverlay: 1 entities read\n"
    assert (same.exit_code, same.output) == (0, "the index is up to date\n")
    assert different.exit_code == 1
    assert "missing in the index: picks 'ribosome' of ana/2 in run 'TS_1'" in different.output
    assert [(row["layer"], row["difference"]) for row in listed] == [("overlay", "missing in the index")]
    assert facts[0]["entities"] == {"run": 1, "picks": 2}
    assert "as of" in run("info", "-c", config).output


def test_the_commands_need_an_index(config):
    config.write_text(json.dumps({**json.loads(config.read_text()), "wrappers": []}))

    assert "No layer of this project has an index" in run("info", "-c", config).output


def test_build_and_update_tell_what_they_listed_as_json(config):
    copick_core.open(config).new_run("TS_1").new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])

    (built,) = json.loads(run("build", "-c", config, "--describe", "--json").output)

    assert (built["runs_listed"], built["entities_read"]) == (1, 1)
    assert [{*row} for row in json.loads(run("update", "-c", config, "--json").output)] == [{*built}]
