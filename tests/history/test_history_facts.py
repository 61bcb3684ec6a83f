"""What a repository is told to hold: its tree after each write, its commits, and which points changed."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from zarr.core.sync import sync

from copick_backend_icechunk.history import Change, changed_between, paths_changed
from copick_backend_icechunk.points import PointsDiff, brought_together, compare
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_backend_icechunk.tree import Tree, entity_of, key_of, volume_of
from copick_backend_icechunk.views import merged
from copick_core.errors import AlreadyExistsError, ConfigError, ConflictError, InvalidDataError
from copick_core.tree.keys import PicksKey
from support.histories import picks

# ------------------------------------------------------------------------------------------------------------- the tree


def volume(root: CopickRootIcechunk, kind: str = "wbp") -> Any:
    spacing = root.new_run("TS_1", exist_ok=True).new_voxel_spacing(10.0, exist_ok=True)
    made = spacing.new_tomogram(kind, exist_ok=True)
    made.from_numpy(np.arange(64, dtype="f4").reshape(4, 4, 4), levels=1, chunks=2)
    return made


def in_one_go(root: CopickRootIcechunk) -> None:
    with root.transaction("much"):
        picks(root, "TS_4", "carol", 1)
        root.get_run("TS_3").delete_picks(user_id="carol")
        volume(root, "late")
        picks(root, "TS_5", "carol", 1).delete()


WRITES: list[Callable[[CopickRootIcechunk], object]] = [
    lambda root: root.new_run("TS_1"),
    lambda root: picks(root, "TS_1", "alice", 1),
    lambda root: picks(root, "TS_1", "alice").from_numpy([[2, 0, 0]]),
    lambda root: picks(root, "TS_1", "bob", 1),
    lambda root: picks(root, "TS_3", "carol", 1),
    lambda root: volume(root),
    lambda root: volume(root),
    lambda root: volume(root).new_features("edges").from_numpy(np.ones((4, 4, 4), "f4")),
    lambda root: volume(root).set_region(np.zeros((4, 4, 4), "f4")),
    lambda root: volume(root, "denoised"),
    lambda root: volume(root).delete(),
    lambda root: root.get_run("TS_1").delete_picks(user_id="bob"),
    in_one_go,
    lambda root: root.delete_run("TS_3"),
    lambda root: root.delete_run("TS_1"),
]


def test_what_is_known_of_a_snapshot_after_a_write_is_what_the_snapshot_has(root: CopickRootIcechunk) -> None:
    commits = root.history_layer.commits
    root.new_run("TS_0")

    for write in WRITES:
        assert commits.view().tree is not None
        write(root)
        view = commits.view()
        stored = Tree.of_snapshot(sync(commits.existing().inspect_snapshot_async(view.id, pretty=False)))
        assert sorted(view.tree.below("")) == sorted(stored.below("")) != [""]
        assert view.tree._folders == stored._folders


def test_a_commit_says_of_itself_what_its_snapshots_say(root: CopickRootIcechunk) -> None:
    for write in WRITES:
        write(root)
    repository = root.history_layer.commits.existing()
    infos = [info for info in repository.ancestry(branch="main") if info.parent_id is not None]

    for info in infos:
        said = paths_changed(repository, info)
        silent = SimpleNamespace(id=info.id, parent_id=info.parent_id, metadata={})
        found = paths_changed(repository, silent)  # type: ignore[arg-type]
        of_entities = {path: sign for path, sign in found.items() if entity_of(path) is not None}
        assert {path: of_entities.get(path) for path in said} == said != {}
        assert not [path for path in of_entities.keys() - said.keys() if volume_of(path) or "." in path]

    assert len(infos) > len(WRITES)


def test_the_first_snapshot_of_a_repository_changed_nothing(root: CopickRootIcechunk) -> None:
    repository = root.history_layer.commits.existing()
    (first,) = repository.ancestry(branch="main")

    assert paths_changed(repository, first) == {}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr/0/c", "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr"),
        ("ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr", "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr"),
        ("Objects/ribosome.zarr/0", "Objects/ribosome.zarr"),
        ("Objects/ribosome.zarr", "Objects/ribosome.zarr"),
        ("ExperimentRuns/TS_1/Picks/alice_1_ribosome.json", None),
        ("ExperimentRuns/TS_1.zarr/Picks", None),
        ("Objects", None),
    ],
)
def test_a_node_belongs_to_the_volume_that_it_lies_in(path: str, expected: str | None) -> None:
    assert volume_of(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ExperimentRuns/TS_1", "run 'TS_1'"),
        ("Objects/ribosome.zarr", "object 'ribosome'"),
        ("ExperimentRuns/TS_1/VoxelSpacing10.000", "voxel spacing 10.000 of run 'TS_1'"),
        ("ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr", "tomogram 'wbp' at 10.000 of run 'TS_1'"),
        ("ExperimentRuns/TS_1/Picks/alice_1_ribosome.json", "picks 'ribosome' of alice/1 in run 'TS_1'"),
        ("elsewhere/TS_1/Picks/alice_1_ribosome.json", "None"),
        ("ExperimentRuns/TS_1/Notes/alice_1_ribosome.json", "None"),
        ("ExperimentRuns/TS_1/a/b/c", "None"),
    ],
)
def test_a_path_stands_for_an_entity(path: str, expected: str) -> None:
    assert str(key_of(path)) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("+", "-", None),
        ("+", "~", "+"),
        ("-", "+", "~"),
        ("~", "-", "-"),
        ("~", "~", "~"),
        ("-", "-", "-"),
        (None, "+", "+"),
        (None, "-", "-"),
    ],
)
def test_two_changes_of_an_entity_are_one(first: Any, second: Any, expected: str | None) -> None:
    before = {} if first is None else {"a": first}

    assert merged({**before, "b": "~"}, {"a": second}) == {"b": "~"} | ({} if expected is None else {"a": expected})


def test_a_difference_across_expired_commits_is_found_in_the_snapshots(root: CopickRootIcechunk) -> None:
    kept = picks(root, "TS_1", "alice", 1)
    picks(root, "TS_2", "alice", 1)
    root.new_tag("first")
    kept.from_numpy([[2, 0, 0]])
    root.expire(datetime.now() + timedelta(days=1), dry_run=False)
    commits = root.history_layer.commits

    found = changed_between(commits.walked(), commits.view_at("first"), commits.newest())

    assert found == {"ExperimentRuns/TS_1/Picks/alice_1_ribosome.json": "~"}


# --------------------------------------------------------------------------------------------------------------- points


def points(*some: Any) -> bytes:
    """A file of picks; a number is the x of a point, a pair its x and its instance id."""
    pairs = [point if isinstance(point, tuple) else (point, 0) for point in some]
    found = [{"location": {"x": x, "y": 0, "z": 0}, "instance_id": number} for x, number in pairs]
    return json.dumps({"unit": "angstrom", "points": found}).encode()


def xs(found: Any) -> list[Any]:
    return [one[0] if isinstance(one[0], float) else (one[0][0], one[1][0]) for one in found]


@pytest.mark.parametrize(
    ("before", "after", "added", "moved", "removed"),
    [
        ([0], [50], [], [(0, 50)], []),
        ([0], [50.1], [50.1], [], [0]),
        ([0], [], [], [], [0]),
        ([], [0], [0], [], []),
        ([0, 0], [0], [], [], [0]),
        ([0], [0, 0], [0], [], []),
        ([0, 100], [10, 90], [], [(0, 10), (100, 90)], []),
        ([0, 20], [10], [], [(0, 10)], [20]),
        ([0], [10, 20], [20], [(0, 10)], []),
        ([(0, 7)], [(900, 7)], [], [(0, 900)], []),
        ([(0, 7)], [(900, 8)], [900], [], [0]),
        ([(0, 7), (500, 7)], [(900, 7)], [900], [], [0, 500]),
        ([(0, 7)], [(900, 7), (1800, 7)], [900, 1800], [], [0]),
        ([(0, 7)], [(0, 8)], [], [(0, 0)], []),
    ],
    ids=str,
)
def test_points_are_known_again_by_unique_ids_and_else_by_nearness(
    before: Any, after: Any, added: Any, moved: Any, removed: Any
) -> None:
    found = compare(points(*before), points(*after))

    assert (xs(found.added), sorted(xs(found.moved)), xs(found.removed)) == (added, moved, removed)
    assert str(found) == f"{len(added)} points added, {len(moved)} moved, {len(removed)} removed"


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "together"),
    [
        ([0], [0, 100], [0, 200], [0, 100, 200]),
        ([0], [0, 100], [0, 100], [0, 100]),
        ([0, 0], [0, 0], [0], [0]),
        ([0, 0], [0], [0], [0]),
        ([0, 500], [0], [0, 510], None),
        ([0, 500], [0, 510], [0, 510], [0, 510]),
        ([0, 500], [0, 510], [0, 520], None),
        ([0, 500], [500], [0], []),
        (None, [0], [0, 100], [0, 100]),
        (None, [0], [100], [0, 100]),
        ([0], [0, 100, 100], [0, 100], [0, 100, 100]),
        ([0], [0], [0, 100, 100], [0, 100, 100]),
    ],
    ids=str,
)
def test_what_either_side_added_moved_or_removed_stays_so(base: Any, ours: Any, theirs: Any, together: Any) -> None:
    found = brought_together(None if base is None else points(*base), points(*ours), points(*theirs))

    assert (found and [point["location"]["x"] for point in json.loads(found)["points"]]) == together


def test_picks_that_are_brought_together_are_written_as_picks_are() -> None:
    ours = json.dumps({"pickable_object_name": "Ω", "points": []}).encode()

    assert brought_together(None, ours, ours) == '{"pickable_object_name":"Ω","points":[]}'.encode()


def test_points_without_a_location_or_an_order_of_fields_are_compared() -> None:
    one, other = (json.dumps({"points": [fields]}).encode() for fields in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))

    assert compare(one, other) == PointsDiff((), (), ())
    assert len(compare(one, b'{"points": null}').removed) == 1


def test_a_change_says_what_happened_and_how_its_points_differ() -> None:
    key = PicksKey("TS_1", "ribosome", "alice", "1")

    assert str(Change(key, "added")) == f"added {key}"
    assert str(Change(key, "changed", PointsDiff((), (), ()))) == f"changed {key}: 0 points added, 0 moved, 0 removed"


# --------------------------------------------------------------------------------------------------------------- errors


def test_a_branch_that_is_missing_lists_those_there_are(
    root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Any
) -> None:
    import copick_core

    root.new_run("TS_1")
    root.new_branch("trial")
    lost = copick_core.open({**config, "branch": "lost"})
    calls: list[Callable[[], object]] = [
        lambda: root.on_branch("lost"),
        lambda: root.merge("lost"),
        lambda: root.delete_branch("lost"),
        lambda: lost.runs,
        lambda: lost.new_run("TS_2"),
    ]

    for call in calls:
        with pytest.raises(ConfigError) as raised:
            call()
        assert (raised.value.source, raised.value.reason) == (
            str(tmp_path / "history"),
            "there is no branch 'lost'; there are main, trial",
        )


def test_a_branch_and_a_tag_that_are_taken_name_themselves_and_the_place(root: CopickRootIcechunk, tmp_path: Any) -> None:
    root.new_run("TS_1")
    root.new_branch("trial")
    root.new_tag("first")

    for call, key in ((root.new_branch, "trial"), (root.new_tag, "first")):
        with pytest.raises(AlreadyExistsError, match="Choose another name") as raised:
            call(key)
        assert raised.value.key == f"{call.__name__.removeprefix('new_')} {key!r}"
        assert raised.value.layer == str(tmp_path / "history")


def test_the_branch_of_a_project_and_the_main_one_are_not_deleted(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    root.new_branch("trial")
    trial = root.on_branch("trial")

    for project, name in ((root, "main"), (trial, "main"), (trial, "trial")):
        with pytest.raises(
            InvalidDataError, match="it cannot be deleted, because the project is on it or it is main"
        ) as raised:
            project.delete_branch(name)
        assert raised.value.source == f"branch {name!r}"
    root.delete_branch("trial")
    assert {*root.branches()} == {"main"}


def test_a_tag_that_is_missing_lists_those_there_are(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    with pytest.raises(InvalidDataError, match="there are no tags"):
        root.delete_tag("lost")
    root.new_tag("a")
    root.new_tag("b")

    with pytest.raises(InvalidDataError, match="there is none; there are a, b") as raised:
        root.delete_tag("lost")

    assert raised.value.source == "tag 'lost'"


def test_a_branch_and_a_tag_begin_where_they_are_told(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    first = root.history()[0].id
    root.new_run("TS_2")

    root.new_branch("old", first)
    root.new_branch("new")
    root.new_tag("then", first)
    root.new_tag("now")

    assert (root.branches()["old"], root.tags()["then"]) == (first, first)
    assert root.branches()["new"] == root.tags()["now"] == root.history()[0].id != first


def test_the_beginning_of_an_id_that_several_commits_have_is_refused(
    root: CopickRootIcechunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    monkeypatch.setattr("copick_backend_icechunk.history._ID", re.compile("[0-9A-Z]{1,20}"))
    found: list[str] = []
    while len({one[0] for one in found}) == len(found):  # ids begin with one of 32 letters
        root.new_run(f"TS_{len(found)}")
        found.append(root.history(limit=1)[0].id)
    letter = found[-1][0]

    with pytest.raises(InvalidDataError, match="2 commits begin so; write more of the id") as raised:
        root.as_of(letter)

    assert raised.value.source == letter


def test_the_beginning_of_an_id_of_another_branch_or_tag_is_known(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    root.new_branch("trial")
    root.on_branch("trial").new_run("TS_2")
    commit = root.branches()["trial"]

    assert [run.name for run in root.as_of(commit[:8]).runs] == ["TS_1", "TS_2"]
    with pytest.raises(InvalidDataError, match="it is not a tag"):
        root.as_of("0" * 20)


def test_entities_that_both_branches_changed_are_listed_ten_at_most(root: CopickRootIcechunk) -> None:
    with root.transaction("begin"):
        for number in range(12):
            picks(root, "TS_1", f"user{number:02}", 0)
    root.new_branch("other")
    for project, x in ((root, 10), (root.on_branch("other"), 20)):
        with project.transaction("moved"):
            for stored in project.get_run("TS_1").picks:
                stored.from_numpy([[x, 0, 0]])

    with pytest.raises(ConflictError) as raised:
        root.merge("other")

    first = PicksKey("TS_1", "ribosome", "user00", "1")
    assert (raised.value.key, raised.value.layer) == (first, "other")
    assert (raised.value.expected, raised.value.found) == (None, None)
    assert str(raised.value).startswith("both branches changed picks")
    assert "user09/1 in run 'TS_1' and 2 more. Prefer" in str(raised.value)
    assert "user10" not in str(raised.value)
