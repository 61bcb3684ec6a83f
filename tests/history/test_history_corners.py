"""What histories seldom meet: names that nobody expects, files that are missing, and somebody who is faster."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import copick_core
from copick_backend_icechunk import objects
from copick_backend_icechunk.guess import guess
from copick_backend_icechunk.history import changed_between, common_ancestor, differs, paths_changed
from copick_backend_icechunk.layer import IcechunkLayer
from copick_backend_icechunk.merging import _combined
from copick_backend_icechunk.objects import CONFIG, BucketObjects
from copick_backend_icechunk.places import Place
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_backend_icechunk.sources import Committed, Staged
from copick_backend_icechunk.tree import Tree, described, entity_of
from copick_backend_icechunk.views import merged
from copick_backend_icechunk.volumes import (
    IDENTITY,
    Volume,
    changed_names,
    copy_values,
    finish,
    identified,
    names_below,
    put_root,
    root_document,
    same_values,
)
from copick_core.errors import ConfigError, ConflictError, UnreachableError
from copick_core.layers.revisions import FileChangedError
from copick_core.tree.keys import PicksKey, TomogramKey
from support.histories import messages, picks

KEY = TomogramKey("TS_1", 10.0, "wbp")
PATH = "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr"
PICKS = "ExperimentRuns/TS_1/Picks/alice_1_ribosome.json"


def buffer(data: bytes) -> Any:
    return default_buffer_prototype().buffer.from_bytes(data)


def volume(root: CopickRootIcechunk, value: float = 1) -> Any:
    spacing = root.new_run("TS_1", exist_ok=True).new_voxel_spacing(10.0, exist_ok=True)
    made = spacing.new_tomogram("wbp", exist_ok=True)
    made.from_numpy(np.full((4, 4, 4), value, "f4"), levels=1, chunks=2)
    return made


def session(root: CopickRootIcechunk) -> Any:
    return root.history_layer.commits.existing().writable_session("main")


# ------------------------------------------------------------------------------------------------------------- the tree


def test_folders_that_are_empty_go_and_others_stay() -> None:
    tree = Tree([("a/b/c", True), ("a/b/d", True), ("a/e", True), ("f", True), ("a/bx/y", True)])

    tree.remove("a/b")
    after = sorted(tree.below("")), {**tree.listing("a")}, {**tree.listing("a/b")}
    tree.remove("a/e")
    tree.remove("a/bx/y")
    tree.remove("none/such")

    assert after == (["a/bx/y", "a/e", "f"], {"e": False, "bx": True}, {})
    assert (sorted(tree.below("")), tree.listing("")) == (["f"], {"f": False})
    assert [tree.holds("f", folder=folder) for folder in (False, True)] == [True, False]


def test_a_copy_of_a_tree_changes_on_its_own() -> None:
    tree = Tree([("a/b", True)])
    copy = tree.copy()

    copy.add("a/c", True)
    copy.remove("a/b")

    assert (sorted(tree.below("")), sorted(copy.below(""))) == (["a/b"], ["a/c"])


def test_what_lies_in_a_volume_makes_the_volume() -> None:
    tree = Tree([(f"{PATH}/0/c", True)])

    assert tree.listing(PATH.rpartition("/")[0]) == {"wbp.zarr": True}
    assert tree.holds("ExperimentRuns", folder=True)
    assert [*tree.below("")] == [*tree.below("ExperimentRuns")] == [*tree.below(PATH)] == [PATH]


@pytest.mark.parametrize(
    ("path", "entity"),
    [
        ("ExperimentRuns/TS_1/.copick_notes.json", "run 'TS_1'"),
        ("ExperimentRuns/TS_1/notes.json", "None"),
        ("ExperimentRuns/.hidden", "None"),
        (PICKS, "picks 'ribosome' of alice/1 in run 'TS_1'"),
    ],
)
def test_a_record_belongs_to_its_run(path: str, entity: str) -> None:
    assert str(entity_of(path)) == entity


def test_what_is_no_entity_is_described_by_its_path() -> None:
    assert described("ExperimentRuns/TS_1/notes.json") == "TS_1/notes.json"
    assert described("elsewhere") == "elsewhere"
    assert described(PICKS) == "picks 'ribosome' of alice/1 in run 'TS_1'"


# -------------------------------------------------------------------------------------------------------------- volumes


def test_a_volume_is_copied_with_what_is_gone_from_it(root: CopickRootIcechunk) -> None:
    volume(root)
    source, target = session(root), session(root)
    chunk = f"{PATH}/0/c/0/0/0"
    sync(source.store.delete(chunk))
    sync(source.store.set(f"{PATH}/0/c/1/0/0", buffer(b"new")))

    sync(copy_values(source.store, target.store, PATH, [chunk, f"{PATH}/0/c/1/0/0", f"{PATH}/none/zarr.json"]))

    assert not sync(target.store.exists(chunk))
    found = sync(target.store.get(f"{PATH}/0/c/1/0/0", default_buffer_prototype()))
    assert found.to_bytes() == b"new"
    assert sync(same_values(source.store, target.store, PATH))


@pytest.mark.parametrize("change", ["a chunk", "a name", "a document", "the identity"])
def test_volumes_are_the_same_if_all_is_but_the_identity(root: CopickRootIcechunk, change: str) -> None:
    volume(root)
    one, other = session(root), session(root)
    document = sync(root_document(other.store, PATH))
    changes = {
        "a chunk": lambda: other.store.set(f"{PATH}/0/c/0/0/0", buffer(b"other")),
        "a name": lambda: other.store.delete(f"{PATH}/0/c/0/0/0"),
        "a document": lambda: other.store.set(
            f"{PATH}/zarr.json", buffer(json.dumps({**document, "attributes": {"x": 1}}).encode())
        ),
        "the identity": lambda: other.store.set(f"{PATH}/zarr.json", buffer(identified(json.dumps(document).encode(), "new"))),
    }
    before = sync(same_values(one.store, other.store, PATH))

    sync(changes[change]())

    assert before
    assert sync(same_values(one.store, other.store, PATH)) is (change == "the identity")
    assert sync(same_values(other.store, one.store, PATH)) is (change == "the identity")


def test_a_session_tells_which_values_of_a_volume_it_has_changed(root: CopickRootIcechunk) -> None:
    volume(root)
    writing = session(root)
    sync(writing.store.set(f"{PATH}/0/c/1/0/1", buffer(b"1")))
    zarr.create_array(writing.store, name=f"{PATH}/1", shape=(2,), dtype="u1")
    zarr.create_array(writing.store, name=f"{PATH}x/1", shape=(2,), dtype="u1")
    zarr.open_array(writing.store, path=f"{PATH}/0", mode="r+").attrs["a"] = 1
    zarr.create_array(writing.store, name=f"{PATH}/2", shape=(), dtype="u1")[...] = 1
    sync(writing.store.delete_dir(f"{PATH}/none"))

    names = sorted(name.removeprefix(f"{PATH}/") for name in sync(changed_names(writing, PATH)))

    assert names == ["0/c/1/0/1", "0/zarr.json", "1/zarr.json", "2/c", "2/zarr.json"]


def test_a_session_tells_which_arrays_and_groups_of_a_volume_it_has_deleted(root: CopickRootIcechunk) -> None:
    volume(root)
    writing = session(root)
    sync(writing.store.delete_dir(PATH))

    assert sorted(sync(changed_names(writing, PATH))) == [f"{PATH}/0/zarr.json", f"{PATH}/zarr.json"]


def test_what_has_no_root_has_no_values_and_gets_one(root: CopickRootIcechunk) -> None:
    store = session(root).store
    sync(store.set("v.zarr/0/zarr.json", buffer(b'{"zarr_format": 3, "node_type": "group"}')))

    before = sync(names_below(store, "v.zarr"))
    sync(finish(store, "v.zarr"))
    document = sync(root_document(store, "v.zarr"))
    sync(finish(store, "v.zarr"))

    assert before == []
    assert document is not None
    assert {*document["attributes"]} == {IDENTITY}
    assert sync(root_document(store, "v.zarr")) == document  # the one that is there stays
    assert sorted(sync(names_below(store, "v.zarr"))) == ["v.zarr/0/zarr.json", "v.zarr/zarr.json"]


def test_an_identity_is_kept_or_new_and_attributes_stay() -> None:
    document = b'{"attributes": {"a": 1}}'
    kept = json.loads(identified(document, "mine"))["attributes"]
    new = [json.loads(identified(text))["attributes"] for text in (document, b'{"attributes": null}')]

    assert kept == {"a": 1, IDENTITY: "mine"}
    assert new[0].pop(IDENTITY) != new[1].pop(IDENTITY)
    assert new == [{"a": 1}, {}]


def test_the_root_of_a_repository_says_what_wrote_it_and_is_made_once(root: CopickRootIcechunk) -> None:
    store = session(root).store
    sync(put_root(store))
    zarr.open_group(store, mode="r+").attrs["more"] = 1
    sync(put_root(store))

    assert zarr.open_group(store, mode="r").attrs.asdict() == {"copick": {"layout": "copick-1", "version": 1}, "more": 1}


def test_a_volume_that_another_program_wrote_has_a_version_without_an_identity(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1").new_voxel_spacing(10.0)
    writing = session(root)
    zarr.create_group(writing.store, path=PATH)
    writing.commit("by another program")
    root.refresh()
    layer = root.history_layer
    store = layer.zarr(KEY)
    assert isinstance(store, Volume)

    assert layer.volume_version(KEY) == ""
    assert sync(store.get("zarr.json")) is not None
    assert store.seen_version == ""
    assert layer.volume_version(TomogramKey("TS_1", 10.0, "none")) is None


def test_a_chunk_makes_the_root_of_its_volume(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1").new_voxel_spacing(10.0)
    store = root.history_layer.zarr(KEY)
    array = b'{"zarr_format": 3, "node_type": "group"}'

    sync(store.set("0/zarr.json", buffer(array)))

    assert root.history_layer.exists(KEY)
    assert messages(root)[0] == "alice: change a part of tomogram 'wbp' at 10.000 of run 'TS_1'"
    assert [str(change) for change in root.history(limit=1)[0].changes] == ["added tomogram 'wbp' at 10.000 of run 'TS_1'"]
    sync(store.set("1/zarr.json", buffer(array)))
    assert root.history(limit=1)[0].changes[0].what == "changed"
    sync(store.clear())
    assert root.history(limit=1)[0].changes[0].what == "removed"


def test_a_value_that_is_set_as_it_is_makes_no_commit(root: CopickRootIcechunk) -> None:
    volume(root)
    before = root.history()

    sync(root.history_layer.zarr(KEY).set_if_not_exists("zarr.json", buffer(b"{}")))

    assert root.history() == before


def test_places_of_reading_are_those_of_the_session_that_is_filled(root: CopickRootIcechunk) -> None:
    volume(root)
    writing = session(root)
    staged = Staged(root.history_layer.place, writing.store)
    seen: list[Any] = []

    async def make(store: Any) -> None:
        seen.append(store)

    sync(staged.change(make))

    assert (staged.reading(), seen) == (writing.store, [writing.store])
    assert staged.place is root.history_layer.place


def test_a_store_shows_the_newest_snapshot_when_it_is_first_asked_and_then_that_of_its_layer(
    root: CopickRootIcechunk, bob: CopickRootIcechunk
) -> None:
    volume(root)
    layer = bob.history_layer
    assert layer.commits.view() is not None
    volume(root, 2)
    store = Committed(layer.commits, KEY, PATH)

    first = store.reading()
    shown = layer.commits.view()
    volume(root, 3)

    assert first is not None
    assert shown is not None
    assert first.session.snapshot_id == shown.id == root.history()[1].id
    assert store.reading() is shown.store or store.reading().session.snapshot_id == shown.id  # type: ignore[union-attr]


# -------------------------------------------------------------------------------------------------------------- commits


def test_two_who_add_the_same_file_in_transactions_are_told(root: CopickRootIcechunk, bob: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    bob.refresh()

    def both() -> None:
        with root.transaction("mine"):
            root.history_layer.write(PicksKey("TS_1", "ribosome", "x", "1"), b"{}")
            bob.history_layer.write(PicksKey("TS_1", "ribosome", "x", "1"), b"{}")

    with pytest.raises(ConflictError) as raised:
        both()

    error, newest = raised.value, root.history()[0]
    assert (error.key, error.expected, error.found) == (PicksKey("TS_1", "ribosome", "x", "1"), None, newest.id)
    assert error.layer == str(root.history_layer.place)
    assert (
        f"picks 'ribosome' of x/1 in run 'TS_1' was changed on branch 'main' by {newest.message!r} (bob) while the "
        "transaction was open" in str(error)
    )


def test_conflicts_that_icechunk_alone_finds_name_the_entity(
    root: CopickRootIcechunk, bob: CopickRootIcechunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = PicksKey("TS_1", "ribosome", "x", "1")
    root.new_run("TS_1")
    bob.refresh()
    commits = root.history_layer.commits
    monkeypatch.setattr(commits, "_check_apart", lambda repository, transaction: None)

    def both() -> None:
        with root.transaction("mine"):
            root.history_layer.write(key, b"{}")
            bob.history_layer.write(key, b"[]")

    with pytest.raises(ConflictError) as raised:
        both()

    assert (raised.value.key, raised.value.found) == (key, None)
    assert "was changed on branch 'main' while the transaction was open" in str(raised.value)
    assert isinstance(raised.value.__cause__, icechunk.RebaseFailedError)
    assert root.history_layer.read(key) == b"[]"


def test_a_batch_in_a_batch_or_a_transaction_is_part_of_it(root: CopickRootIcechunk) -> None:
    stored = volume(root)
    layer, before = root.history_layer, len(root.history())

    with layer.changing(KEY), layer.changing(KEY):
        stored.set_region(np.full((4, 4, 4), 5.0))
    one = len(root.history())
    with root.transaction("both"), layer.changing(KEY):
        stored.set_region(np.full((4, 4, 4), 6.0))

    assert (one - before, len(root.history()) - one) == (1, 1)
    assert stored.numpy().min() == 6.0
    assert layer.commits.batch_of(PATH) is None


def test_a_batch_that_changes_nothing_or_fails_commits_nothing(root: CopickRootIcechunk) -> None:
    stored = volume(root)
    layer, before = root.history_layer, root.history()

    def fails() -> None:
        with layer.changing(KEY):
            stored.set_region(np.full((4, 4, 4), 5.0))
            raise KeyError

    with layer.changing(KEY):
        pass
    with pytest.raises(KeyError):
        fails()

    assert root.history() == before
    assert layer.commits.batch_of(PATH) is None
    assert stored.numpy().max() == 1.0


def test_a_write_over_what_others_changed_tells_their_revision(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    layer = root.history_layer
    first = layer.write_file(PICKS, b"1")
    second = layer.write_file(PICKS, b"2", first)

    with pytest.raises(FileChangedError) as raised:
        layer.write_file(PICKS, b"3", first)
    with pytest.raises(FileChangedError) as missing:
        layer.write_file(f"{PICKS}x", b"3", first)

    assert (raised.value.found, missing.value.found) == (second, None)
    assert layer.read_file(PICKS)[0] == b"2"


def test_a_commit_of_many_entities_lists_none_and_icechunk_is_asked(
    root: CopickRootIcechunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copick_backend_icechunk.commits._MOST_CHANGES", 1)
    with root.transaction("two"):
        root.new_run("TS_1")
        root.new_run("TS_2")
    root.new_run("TS_3")
    newest, two = [
        info for info in root.history_layer.commits.existing().ancestry(branch="main") if info.parent_id is not None
    ]

    assert ("changes" in newest.metadata, "changes" in two.metadata) == (True, False)
    assert two.metadata["branch"] == "main"
    assert [str(change) for change in root.history()[1].changes] == ["added run 'TS_1'", "added run 'TS_2'"]


# -------------------------------------------------------------------------------------------------------------- history


def test_a_snapshot_does_not_differ_from_itself(root: CopickRootIcechunk, monkeypatch: pytest.MonkeyPatch) -> None:
    root.new_run("TS_1")
    commits = root.history_layer.commits
    view = commits.newest()
    monkeypatch.setattr("copick_backend_icechunk.history.common_ancestor", None)

    assert changed_between(commits.walked(), view, view) == {}


def test_what_is_no_entity_is_in_no_difference(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    root.new_tag("before")
    root.history_layer.write_file("ExperimentRuns/TS_1/notes.json", b"1")
    root.new_run("TS_2")

    assert [str(change) for change in root.diff("before")] == ["added run 'TS_2'"]
    assert [len(commit.changes) for commit in root.history()] == [1, 0, 1]


def test_volumes_and_files_differ_by_what_they_hold(root: CopickRootIcechunk) -> None:
    volume(root)
    stored = picks(root, "TS_1", "alice", 1)
    commits = root.history_layer.commits
    first = commits.newest()
    volume(root)
    same = commits.newest()
    volume(root, 2)
    stored.from_numpy([[2, 0, 0]])
    last = commits.newest()

    assert [differs(first, same, path) for path in (PATH, PICKS)] == [False, False]
    assert [differs(first, last, path) for path in (PATH, PICKS)] == [True, True]
    assert changed_between(commits.walked(), first, last) == {PATH: "~", PICKS: "~"}
    assert common_ancestor(commits.walked(), first.id, last.id).id == first.id
    assert paths_changed(commits.walked(), common_ancestor(commits.walked(), last.id, last.id)) == {PICKS: "~"}


def test_only_picks_are_brought_together(root: CopickRootIcechunk) -> None:
    volume(root)
    view = root.history_layer.commits.newest()

    assert _combined(view, view, view, PATH, known=True) is None
    assert _combined(view, view, view, "ExperimentRuns/TS_1/notes.json", known=True) is None


def test_changes_of_two_writes_are_those_of_both() -> None:
    assert merged({"a": "+", "b": "~"}, {"c": "-"}) == {"a": "+", "b": "~", "c": "-"}


def test_a_time_before_the_first_commit_says_when_the_history_begins(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    early = datetime.now() - timedelta(days=3650)

    for when in (early, early.isoformat()):
        with pytest.raises(
            copick_core.errors.InvalidDataError, match="the history of branch 'main' begins later, at "
        ) as raised:
            root.as_of(when)
        assert raised.value.source == early.isoformat()


# --------------------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(("location", "folder"), [("file:///a/b", "/a/b"), ("local:///a/../c", "/c"), ("~/x", "~/x")])
def test_a_folder_is_a_location_with_and_without_its_scheme(location: str, folder: str) -> None:
    assert Place(location).folder == os.path.expanduser(folder)


def test_a_layer_says_where_it_and_its_entities_are(root: CopickRootIcechunk, tmp_path: Path) -> None:
    layer = root.history_layer

    assert layer.location(None) == str(tmp_path / "history")
    assert layer.location(KEY) == f"{tmp_path / 'history'}: {PATH}"
    assert (layer.name, layer.read_only, layer.versions_take_requests) == ("overlay", False, False)
    assert IcechunkLayer(Place("s3://lab/x")).versions_take_requests
    assert IcechunkLayer(Place("s3://lab/x"), as_of="monday").read_only


@pytest.mark.parametrize(("given", "size"), [(True, None), (False, 0)])
def test_walks_through_a_history_keep_no_snapshots(root: CopickRootIcechunk, given: bool, size: int | None) -> None:
    root.new_run("TS_1")
    opened = root.history_layer.place.open(keeping=given)

    assert opened is not None
    caching = opened.config.caching
    assert (None if caching is None else caching.num_snapshot_nodes) == size


def test_nothing_is_guessed_of_a_url_that_is_no_bucket_or_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()

    assert guess(str(tmp_path / "a")) is None
    assert os.listdir(tmp_path / "a") == []
    with pytest.raises(ConfigError):
        guess("https://lab/a")


class Bucket:
    """A store of obstore whose answers are given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, listed: list[str], error: Exception | None = None) -> None:
        import obstore

        self.done: list[Any] = []

        def answer(name: str, value: Any) -> Any:
            def call(store: Any, *args: Any, **options: Any) -> Any:
                self.done.append((name, *args, *options.values()))
                if error is not None:
                    raise error
                return value

            return call

        entries = [{"path": path, "size": 1} for path in listed]
        monkeypatch.setattr(objects, "_store", lambda *args: None)
        for name, value in {
            "list": [entries],
            "delete": None,
            "put": None,
            "get": SimpleNamespace(bytes=lambda: b"1"),
        }.items():
            monkeypatch.setattr(obstore, name, answer(name, value))
        self.objects = BucketObjects("lab", "project", {})


@pytest.mark.parametrize(("listed", "removed"), [([CONFIG], True), ([CONFIG, "refs/x"], False), ([], False)])
def test_a_configuration_in_a_bucket_is_removed_if_it_is_all_there_is(
    monkeypatch: pytest.MonkeyPatch, listed: list[str], removed: bool
) -> None:
    bucket = Bucket(monkeypatch, listed)

    assert bucket.objects.remove_beginning() is removed
    assert bucket.done == [("list",), *([("delete", CONFIG)] if removed else [])]


def test_the_file_of_a_branch_in_a_bucket_that_is_cut_off_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(monkeypatch, [])
    path = "refs/branch.main/ref.json"

    bucket.objects.write_branch("main", b"2")

    assert bucket.done == [("get", path), ("delete", path), ("put", path, b"2", "create")]


def test_a_bucket_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from obstore.exceptions import AlreadyExistsError, GenericError

    for error in (GenericError("down\nmore of it"), PermissionError("down\nmore of it")):
        found = Bucket(monkeypatch, [], error).objects
        for ask in (found.snapshots, lambda found=found: found.read_branch("main"), found.remove_beginning):
            with pytest.raises(UnreachableError) as raised:
                ask()
            assert (raised.value.location, raised.value.reason) == ("s3://lab/project", "down")
            assert raised.value.__cause__ is error
    with pytest.raises(AlreadyExistsError), found._answering():  # type: ignore[attr-defined]
        raise AlreadyExistsError("there")
