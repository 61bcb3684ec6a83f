"""Checks of how a project's layers work together: overlays, laziness, failures, other roots, threads and processes."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from copick_core import opening
from copick_core.errors import AlreadyExistsError, ConflictError, NotPicklableError, ReadOnlyError
from copick_core.layers import Layer
from copick_core.overlay import CopickRootOverlay
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.project_base import (
    LEAVES,
    OBJECTS,
    SEGMENTATION_TYPES,
    ProjectChecks,
    contents,
    fill_project,
    holds,
    leaf,
    listed,
    open_wrapped,
    put,
    triangle,
)
from copick_core.testing.wrappers import CountingLayer, FlakyLayer, SlowLayer
from copick_core.tree.keys import RunKey

VOLUMES = tuple(what for what in LEAVES if what not in ("picks", "mesh", "filaments"))

NEVER_CHANGES = "A static layer never changes."
STATIC_FIRST = "Entries of every layer are listed, static ones first, the overlay's last; each says where it lives."
COPY_ON_WRITE = "With exist_ok, what only a static layer holds is copied into the overlay, and can be written there."
SAVED = "A failed write leaves the old data readable."
LAZY = "Nothing is asked of storage before it is needed, and nothing twice before refresh()."


class ProjectOverlayChecks(ProjectChecks):
    """An overlay over a reference."""

    @pytest.mark.parametrize("what", LEAVES)
    @promises(STATIC_FIRST)
    def test_static_entities_are_listed_and_read_only(self, layered: CopickRootOverlay, what: str) -> None:
        [entity] = listed(layered, what)

        assert (entity.read_only, entity.layer) == (True, "reference")
        assert holds(entity, what)

    @pytest.mark.parametrize("what", LEAVES)
    @promises(NEVER_CHANGES)
    def test_static_entities_refuse_to_be_changed(self, layered: CopickRootOverlay, what: str) -> None:
        before = contents(layered)
        [entity] = listed(layered, what)

        attempts: list[Any] = [lambda: put(entity, what, seed=1), entity.delete]
        if what in VOLUMES:
            data = entity.numpy()
            region = {"slices": (slice(0, 4),)} if what == "features" else {"z": slice(0, 4)}
            attempts.append(lambda: entity.set_region(data, **region))
        for attempt in attempts:
            with pytest.raises(ReadOnlyError):
                attempt()

        assert contents(layered) == before

    @pytest.mark.parametrize("what", VOLUMES)
    @promises(NEVER_CHANGES)
    def test_static_stores_refuse_to_be_changed(self, layered: CopickRootOverlay, what: str) -> None:
        import zarr

        before = contents(layered)
        [entity] = listed(layered, what)

        with pytest.raises((ValueError, PermissionError)):
            zarr.open_array(entity.zarr(), path="0", mode="r+")[...] = 0
        with pytest.raises((ValueError, PermissionError)):
            zarr.open_group(entity.zarr(), mode="w")

        assert contents(layered) == before

    @pytest.mark.parametrize("what", LEAVES)
    @promises("AlreadyExistsError: The key exists, and not exist_ok.")
    def test_the_key_of_a_static_entity_is_taken(self, layered: CopickRootOverlay, what: str) -> None:
        with pytest.raises(AlreadyExistsError):
            leaf(layered, what)

    @pytest.mark.parametrize("what", LEAVES)
    @promises(COPY_ON_WRITE)
    def test_a_static_entity_is_copied_on_write(self, layered: CopickRootOverlay, what: str) -> None:
        before = contents(layered)

        copy = leaf(layered, what, exist_ok=True)

        assert (copy.read_only, copy.layer) == (False, "overlay")
        assert holds(copy, what)
        put(copy, what, seed=1)
        assert holds(copy, what, seed=1)
        assert [(e.layer, holds(e, what, 1 if e is copy else 0)) for e in listed(layered, what)] == [
            ("reference", True),
            ("overlay", True),
        ]
        assert {k: v for k, v in contents(layered).items() if k.startswith("reference")} == before

    @pytest.mark.parametrize("what", LEAVES)
    @promises(STATIC_FIRST)
    def test_a_copy_outlives_the_root_and_its_deletion_shows_the_static_one(
        self, layered: CopickRootOverlay, stack: dict[str, Any], what: str
    ) -> None:
        put(leaf(layered, what, exist_ok=True), what, seed=1)
        other = opening.open(stack)
        assert [e.layer for e in listed(other, what)] == ["reference", "overlay"]

        listed(other, what)[1].delete()

        other.refresh()
        assert [(e.layer, holds(e, what)) for e in listed(other, what)] == [("reference", True)]

    @promises("Runs and voxel spacings are the union over the layers: one handle spans them all.")
    def test_containers_are_united(self, layered: CopickRootOverlay) -> None:
        run: Any = layered.get_run("TS_1")
        with pytest.raises(AlreadyExistsError):
            layered.new_run("TS_1")
        layered.new_run("TS_2")
        run.new_voxel_spacing(20.0)
        tomogram = run.new_voxel_spacing(10.0, exist_ok=True).new_tomogram("other")
        put(tomogram, "tomogram")
        layered.refresh()

        fresh: Any = layered.get_run("TS_1")
        assert [r.name for r in layered.runs] == ["TS_1", "TS_2"]
        assert [s.voxel_size for s in fresh.voxel_spacings] == [10.0, 20.0]
        assert [(t.tomo_type, t.layer) for t in fresh.voxel_spacings[0].tomograms] == [
            ("wbp", "reference"),
            ("other", "overlay"),
        ]

    @pytest.mark.parametrize("what", LEAVES)
    @promises("get_…(…, layer=…) gives what lives in one layer.")
    def test_entities_are_filtered_by_layer(self, layered: CopickRootOverlay, what: str) -> None:
        if what == "features":
            pytest.skip("get_features() gives one feature map")
        put(leaf(layered, what, exist_ok=True), what, seed=1)
        run: Any = layered.get_run("TS_1")
        spacing = run.get_voxel_spacing(10.0)
        getters: dict[str, Any] = {
            "picks": run.get_picks,
            "mesh": run.get_meshes,
            "filaments": run.get_filaments,
            "tomogram": spacing.get_tomograms,
        }
        get = getters.get(what, run.get_segmentations)
        flags = SEGMENTATION_TYPES.get(what, {})

        for layer in ("reference", "overlay"):
            assert {e.layer for e in get(layer=layer, **flags)} == {layer}

    @promises("ReadOnlyError: It, or something below it, lives in a read-only layer; nothing was deleted.")
    def test_a_static_run_cannot_be_deleted(self, layered: CopickRootOverlay) -> None:
        run: Any = layered.get_run("TS_1")
        run.new_picks("proteasome", "1").from_numpy([[1, 2, 3]])
        before = contents(layered)

        with pytest.raises(ReadOnlyError):
            run.delete()

        assert contents(layered) == before
        assert len(run.picks) == 2

    @promises(NEVER_CHANGES)
    def test_working_in_the_overlay_leaves_the_reference_as_it_was(self, layered: CopickRootOverlay) -> None:
        before = contents(layered)
        for what in LEAVES:
            put(leaf(layered, what, exist_ok=True), what, seed=2)
        layered.new_run("TS_2").new_picks("ribosome", "1").from_numpy([[1, 2, 3]])
        for what in reversed(LEAVES):
            listed(layered, what)[-1].delete()
        layered.refresh()

        assert {k: v for k, v in contents(layered).items() if k.startswith("reference")} == before

    @promises("No overlay configured: writes raise ReadOnlyError that names the config field to set.")
    def test_a_project_without_an_overlay_refuses_writes(self, filled: CopickRootOverlay, stack: dict[str, Any]) -> None:
        self.need_sharing()
        root = opening.open({k: v for k, v in stack.items() if k != "overlay"})
        run: Any = root.get_run("TS_1")

        for attempt in (
            lambda: root.new_run("new"),
            lambda: run.new_picks("proteasome", "1"),
            lambda: run.new_voxel_spacing(20.0),
            lambda: run.get_voxel_spacing(10.0).new_tomogram("new"),
        ):
            with pytest.raises(ReadOnlyError, match="overlay"):
                attempt()
        assert contents(root) == {
            k.replace(f"{filled.layers.all[-1].name}: ", "reference: "): v for k, v in contents(filled).items()
        }

    @promises("A static density map is copied into the overlay before it is changed.")
    def test_a_static_map_is_read_only(self, layered: CopickRootOverlay) -> None:
        found: Any = layered.get_object("ribosome")

        assert (found.read_only, found.layer) == (True, "reference")
        with pytest.raises(ReadOnlyError):
            found.from_numpy(samples.volume(1, (3, 3, 3)), 10.0)
        with pytest.raises(ReadOnlyError):
            found.delete()
        assert np.array_equal(found.numpy(), samples.volume(9, (3, 3, 3)))


class ProjectLazinessChecks(ProjectChecks):
    """What is asked of storage, and when: every call to a layer is counted."""

    @pytest.fixture
    def counted(self, filled: CopickRootOverlay, config: dict[str, Any]) -> tuple[CopickRootOverlay, Counter[str]]:
        """A filled project, freshly opened, whose layers count what they are asked."""
        self.need_sharing()
        root = open_wrapped(config, CountingLayer)
        overlay: Any = root.layers.overlay
        return root, overlay.calls

    @promises(LAZY)
    def test_opening_asks_nothing(self, counted: tuple[CopickRootOverlay, Counter[str]]) -> None:
        assert counted[1] == {}

    @promises(LAZY)
    def test_runs_are_listed_once(self, counted: tuple[CopickRootOverlay, Counter[str]]) -> None:
        root, calls = counted

        assert len(root.runs) == len(root.runs) == 1

        assert calls == {"list": 1}

    @pytest.mark.parametrize("what", LEAVES)
    @promises(LAZY)
    def test_a_second_listing_asks_nothing(self, counted: tuple[CopickRootOverlay, Counter[str]], what: str) -> None:
        root, calls = counted
        first = listed(root, what)
        asked = dict(calls)

        second = listed(root, what)

        assert second == first
        assert calls == asked

    @promises(LAZY)
    def test_refresh_asks_again(self, counted: tuple[CopickRootOverlay, Counter[str]]) -> None:
        root, calls = counted
        assert len(root.runs) == 1
        root.refresh()
        assert calls == {"list": 1}, "refresh() itself asks nothing"

        assert len(root.runs) == 1

        assert calls == {"list": 2}

    @promises(LAZY)
    def test_one_run_is_found_without_listing(self, counted: tuple[CopickRootOverlay, Counter[str]]) -> None:
        root, calls = counted

        assert root.get_run("TS_1") is root.get_run("TS_1")

        assert calls == {"exists": 1}

    @promises(LAZY)
    def test_listing_picks_reads_none(self, counted: tuple[CopickRootOverlay, Counter[str]]) -> None:
        root, calls = counted
        run: Any = root.get_run("TS_1")

        assert [(p.pickable_object_name, p.user_id) for p in run.picks] == [("ribosome", "alice")]

        assert calls == {"exists": 1, "list": 1}

    @promises(LAZY)
    def test_points_are_read_once(self, counted: tuple[CopickRootOverlay, Counter[str]]) -> None:
        root, calls = counted
        [picks] = listed(root, "picks")
        calls.clear()

        assert len(picks.points) == len(picks.numpy()[0]) == 2

        assert sum(calls.values()) == 1

    @pytest.mark.parametrize("what", VOLUMES)
    @promises(LAZY)
    def test_listing_volumes_opens_none(self, counted: tuple[CopickRootOverlay, Counter[str]], what: str) -> None:
        root, calls = counted

        assert len(listed(root, what)) == 1

        assert {*calls} <= {"exists", "list", "list_many"}

    @promises(LAZY)
    def test_creating_picks_lists_nothing(self, counted: tuple[CopickRootOverlay, Counter[str]]) -> None:
        root, calls = counted
        run: Any = root.get_run("TS_1")
        calls.clear()

        run.new_picks("proteasome", "1")

        assert "list" not in calls
        assert "list_many" not in calls


class ProjectFailureChecks(ProjectChecks):
    """Storage that fails."""

    @pytest.mark.parametrize("what", LEAVES)
    @promises(SAVED)
    def test_the_old_content_outlives_a_failed_write(self, root: CopickRootOverlay, config: dict[str, Any], what: str) -> None:
        self.need_sharing()
        put(leaf(root, what), what, seed=1)

        def fail(layer: Layer) -> Layer:
            return FlakyLayer(layer, methods=["write"], after_values=2)

        broken = open_wrapped(config, fail)
        with pytest.raises(OSError, match="as it was told to"):
            put(listed(broken, what)[0], what, seed=2)

        root.refresh()
        assert [holds(entity, what, seed=1) for entity in listed(root, what)] == [True]

    @promises("A failed listing is told, and asked again the next time.")
    def test_a_failed_listing_is_not_remembered(self, filled: CopickRootOverlay, config: dict[str, Any]) -> None:
        self.need_sharing()
        root = open_wrapped(config, lambda layer: FlakyLayer(layer, every=1, methods=["list"]))
        overlay: Any = root.layers.overlay
        with pytest.raises(OSError, match="as it was told to"):
            _ = root.runs

        overlay.every = 0

        assert [run.name for run in root.runs] == ["TS_1"]

    @promises("A failed creation creates nothing.")
    def test_picks_whose_creation_failed_are_not_listed(self, config: dict[str, Any]) -> None:
        root = open_wrapped(config, lambda layer: FlakyLayer(layer, every=1, methods=["write"]))
        run = root.new_run("TS_1")

        with pytest.raises(OSError, match="as it was told to"):
            run.new_picks("ribosome", "1")

        assert run.picks == []


class ProjectSharingChecks(ProjectChecks):
    """Two roots on one place, threads, and processes."""

    @pytest.mark.parametrize("what", ["picks", "mesh", "filaments"])
    @promises("ConflictError: Someone else has stored since it was read; nothing was written.")
    def test_a_change_by_somebody_else_is_a_conflict(self, root: CopickRootOverlay, config: dict[str, Any], what: str) -> None:
        mine = leaf(root, what)
        put(mine, what, seed=1)
        [hers] = listed(self.again(config), what)
        hers.load()
        put(hers, what, seed=2)

        with pytest.raises(ConflictError):
            put(mine, what, seed=3)

        assert holds(mine, what, seed=2)
        put(mine, what, seed=3)
        assert holds(mine, what, seed=3)

    @pytest.mark.parametrize("what", LEAVES)
    @promises("Whether a key is taken is asked of storage, not of a cache.")
    def test_what_somebody_else_created_is_taken(self, root: CopickRootOverlay, config: dict[str, Any], what: str) -> None:
        root.new_run("TS_1").new_voxel_spacing(10.0)
        assert listed(root, what) == []
        other = self.again(config)
        put(leaf(other, what), what, seed=1)

        with pytest.raises(AlreadyExistsError):
            leaf(root, what)

        assert holds(leaf(root, what, exist_ok=True), what, seed=1)

    @promises("What is made and filled in one step is stored with its content, or not at all.")
    def test_picks_and_meshes_are_made_and_filled_in_one_step(self, root: CopickRootOverlay, config: dict[str, Any]) -> None:
        from copick_core.errors import InvalidDataError

        self.need_sharing()
        run = root.new_run("TS_1")

        with pytest.raises(InvalidDataError):
            run.new_picks("ribosome", "1", positions=[[1, 2, float("nan")]])
        with pytest.raises(InvalidDataError):
            run.new_mesh("membrane", "1", mesh="no mesh")  # type: ignore[arg-type]
        other = opening.open(config).get_run("TS_1")
        assert other is not None
        assert (other.picks, other.meshes) == ([], [])
        picks = run.new_picks("ribosome", "1", positions=[[1, 2, 3]], scores=[0.5])
        mesh = run.new_mesh("membrane", "1", mesh=triangle(2))

        other.refresh()
        assert other.picks[0].numpy()[0].tolist() == [[1, 2, 3]]
        assert other.picks[0].scores().tolist() == [0.5]
        assert not other.meshes[0].mesh.is_empty
        with pytest.raises(AlreadyExistsError):
            run.new_picks("ribosome", "1", positions=[[4, 5, 6]])
        assert run.new_picks("ribosome", "1", exist_ok=True, positions=[[4, 5, 6]]) is picks
        assert picks.numpy()[0].tolist() == [[4, 5, 6]]
        assert mesh.layer == picks.layer

    @promises("What is made and filled in one step is stored with its content, or not at all.")
    def test_of_two_processes_that_make_and_fill_the_same_picks_one_wins(
        self, root: CopickRootOverlay, config: dict[str, Any], tmp_path: Path
    ) -> None:
        if self.process_bound or self.backend is not None:
            pytest.skip("the backend is not there in another process")
        root.new_run("TS_1")
        code = (
            "import sys, json, copick_core\n"
            "run = copick_core.open(json.load(open(sys.argv[1]))).get_run('TS_1')\n"
            "print('ready', flush=True); input()\n"
            "try:\n"
            "    run.new_picks('ribosome', '1', positions=[[float(sys.argv[2])] * 3] * 50)\n"
            "except (ValueError, RuntimeError):\n"
            "    print('lost')\n"
            "else:\n"
            "    print('won')\n"
        )
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        command = [sys.executable, "-c", code, str(path)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        writers = [subprocess.Popen([*command, str(n)], **pipes) for n in (1, 2)]
        for writer in writers:
            assert writer.stdout
            writer.stdout.readline()

        for writer in writers:
            assert writer.stdin
            writer.stdin.write("\n")
            writer.stdin.flush()
        outcomes = [writer.communicate()[0].strip() for writer in writers]

        root.refresh()
        [picks] = root.get_run("TS_1").picks  # type: ignore[union-attr]
        assert sorted(outcomes) == ["lost", "won"]
        assert {*picks.numpy()[0].flat} == {float(1 + outcomes.index("won"))}

    @promises("Threads may work in one project at once.")
    def test_threads_share_a_project(self, root: CopickRootOverlay) -> None:
        def work(n: int) -> int:
            run = root.new_run("TS_1", exist_ok=True)
            run.new_picks("ribosome", f"{n}").from_numpy([[n, 0, 0]])
            root.new_run(f"TS_{n}x").new_picks("ribosome", "1").from_numpy([[n, 0, 0]])
            return len(root.runs)

        with ThreadPoolExecutor(8) as pool:
            assert len([*pool.map(work, range(8))]) == 8

        root.refresh()
        assert len(root.runs) == 9
        assert sorted(int(p.session_id) for p in listed(root, "picks")) == [*range(8)]

    @promises("Threads that list at once get the same handles.")
    def test_threads_get_one_handle(self, filled: CopickRootOverlay, config: dict[str, Any]) -> None:
        self.need_sharing()
        root = open_wrapped(config, lambda layer: SlowLayer(layer, 0.02))

        with ThreadPoolExecutor(8) as pool:
            found = [*pool.map(lambda _: root.runs[0], range(8))]

        assert len({id(run) for run in found}) == 1

    @promises("Roots pickle by their config; one that cannot says why.")
    def test_a_root_is_pickled(self, filled: CopickRootOverlay) -> None:
        if self.process_bound:
            with pytest.raises(NotPicklableError, match=r"process|memory"):
                pickle.dumps(filled)
            return

        other = pickle.loads(pickle.dumps(filled))

        assert {what: [holds(e, what) for e in listed(other, what)] for what in LEAVES} == {what: [True] for what in LEAVES}

    @pytest.mark.parametrize("what", LEAVES)
    @promises("Handles pickle, and are the same entity elsewhere.")
    def test_a_handle_is_pickled(self, filled: CopickRootOverlay, what: str) -> None:
        if self.process_bound:
            pytest.skip("process_bound is True")
        [entity] = listed(filled, what)

        other = pickle.loads(pickle.dumps(entity))

        assert (other.key, other.layer) == (entity.key, entity.layer)
        assert holds(other, what)

    def _run(self, code: str, config: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        start = self.elsewhere() + (
            "import json, os, sys\nimport numpy as np\nimport copick_core\nroot = copick_core.open(json.loads(sys.argv[1]))\n"
        )
        program = start + code
        command = [sys.executable, "-c", program, json.dumps(config)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    @promises("What another process stored is there.")
    def test_another_process_reads_and_writes(self, filled: CopickRootOverlay, config: dict[str, Any]) -> None:
        done = self._run(
            "run = root.get_run('TS_1')\n"
            "assert len(run.picks[0].points) == 2\n"
            "assert run.voxel_spacings[0].tomograms[0].numpy().shape == (4, 5, 6)\n"
            "run.new_picks('proteasome', '1').from_numpy([[1, 2, 3]])\n",
            config,
        )
        assert done.returncode == 0, done.stderr

        filled.refresh()
        assert sorted(p.pickable_object_name for p in listed(filled, "picks")) == ["proteasome", "ribosome"]

    @promises("A killed write leaves the old data readable; what was being staged never lists.")
    def test_the_old_volume_outlives_a_killed_process(self, filled: CopickRootOverlay, config: dict[str, Any]) -> None:
        before = contents(filled)

        done = self._run(
            "tomogram = root.get_run('TS_1').voxel_spacings[0].tomograms[0]\n"
            "with tomogram._layer.replace_zarr(tomogram.key) as store:\n"
            "    from copick_core.testing import samples\n"
            "    samples.write_volume(store, np.zeros((4, 4, 4)))\n"
            "    os._exit(9)\n",
            config,
        )
        assert done.returncode == 9, done.stderr

        filled.refresh()
        assert contents(filled) == before
        put(listed(filled, "tomogram")[0], "tomogram", seed=2)
        assert holds(listed(filled, "tomogram")[0], "tomogram", seed=2)

    @promises("Runs that somebody else made are found.")
    def test_a_run_of_somebody_else_is_found_at_once(self, root: CopickRootOverlay, config: dict[str, Any]) -> None:
        assert root.runs == []
        self.again(config).new_run("TS_9")

        found = root.get_run("TS_9")

        assert found is not None
        assert found.key == RunKey("TS_9")

    @promises("Objects of the configuration are those of every root.")
    def test_objects_are_the_same_for_all(self, root: CopickRootOverlay, config: dict[str, Any]) -> None:
        assert [o.name for o in self.again(config).pickable_objects] == [o["name"] for o in OBJECTS]

    @promises("The whole project is there after reconnecting.")
    def test_everything_is_there_after_reconnecting(self, root: CopickRootOverlay) -> None:
        fill_project(root)
        before = contents(root)

        root.reconnect()

        assert contents(root) == before
        assert len(listed(root, "picks")) == 1
