"""Checks of a whole project's entities: configuration, hierarchy, picks, meshes, segmentations, volumes and objects."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from copick_core import opening, plugins
from copick_core.errors import (
    AlreadyExistsError,
    ConfigError,
    InvalidDataError,
    InvalidNameError,
    LevelNotFoundError,
    UnknownObjectError,
)
from copick_core.overlay import CopickRootOverlay
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.project_base import (
    FIELDS,
    LEAVES,
    OBJECTS,
    SEGMENTATION_TYPES,
    ProjectChecks,
    fill_project,
    holds,
    labels,
    leaf,
    listed,
    put,
    triangle,
)

ILLEGAL_RUNS = ("", ".", "..", ".hidden", "a/b", "../escaped", "a\\b", "/absolute", "a\nb", "a\0b", "x" * 256)
VOLUMES = ("binary", "multilabel", "instance", "panoptic", "tomogram", "features")


class ProjectPluginChecks(ProjectChecks):
    """Discovery and configuration."""

    @promises("The entry point's name is the config_type it serves.")
    def test_the_backend_is_installed(self, config: dict[str, Any]) -> None:
        assert config["config_type"] in [row.config_type for row in plugins.installed()]

    @promises("api_version: the API_VERSION that it was written for. There is no default on purpose.")
    def test_the_backend_says_what_it_was_written_for(self, config: dict[str, Any]) -> None:
        backend = plugins.get(config["config_type"])

        assert (backend.config_type, backend.api_version) == (config["config_type"], plugins.API_VERSION)
        assert backend.config_cls.model_fields["config_type"].default == config["config_type"]

    @promises("One line that says what it stores where.")
    def test_the_backend_has_a_summary_of_one_line(self, config: dict[str, Any]) -> None:
        assert plugins.get(config["config_type"]).summary
        assert "\n" not in plugins.get(config["config_type"]).summary

    @promises("open_layers is a module-level function, so that projects can be pickled.")
    def test_open_layers_is_a_module_level_function(self, config: dict[str, Any]) -> None:
        open_layers = plugins.get(config["config_type"]).open_layers

        assert getattr(sys.modules[open_layers.__module__], open_layers.__name__, None) is open_layers

    @promises("Only the backend that is asked for is imported.")
    def test_listing_backends_imports_none(self, config: dict[str, Any]) -> None:
        if self.backend is not None:
            pytest.skip("the backend is registered, not installed")
        module = plugins.get(config["config_type"]).open_layers.__module__.partition(".")[0]
        code = f"from copick_core import plugins; import sys; plugins.installed(); sys.exit({module!r} in sys.modules)"

        done = subprocess.run([sys.executable, "-c", code], check=False)

        assert done.returncode == 0, f"{module} was imported"

    @promises("A configuration survives being saved and loaded, with keys that no model knows.")
    def test_a_configuration_survives_saving(self, config: dict[str, Any], tmp_path: Path) -> None:
        root = opening.open({**config, "of_another_program": {"a": [1, None]}, "name": "Å"})
        file = tmp_path / "config.json"

        root.save_config(file)

        assert json.loads(file.read_text())["of_another_program"] == {"a": [1, None]}
        assert opening.open(file).config.model_dump() == root.config.model_dump()

    @promises("A project opens from a dict, a JSON string and a file alike.")
    def test_a_project_opens_from_all_sources(self, config: dict[str, Any], tmp_path: Path) -> None:
        self.need_sharing()
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        opening.open(config).new_run("TS_1")

        for source in (config, json.dumps(config), file, str(file)):
            assert [run.name for run in opening.open(source).runs] == ["TS_1"]

    @promises("Opening a project leaves the given configuration as it is.")
    def test_opening_does_not_change_the_configuration(self, config: dict[str, Any]) -> None:
        before = json.dumps(config)

        opening.open(config)

        assert json.dumps(config) == before

    @promises("A configuration that is not valid is refused with ConfigError; says where.")
    def test_a_wrong_field_is_refused_by_its_name(self, config: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match="pickable_objects"):
            opening.open({**config, "pickable_objects": 5})

    @promises("Objects of a configuration are those of the project.")
    def test_objects_are_those_of_the_configuration(self, root: CopickRootOverlay) -> None:
        assert [(o.name, o.is_particle, o.label) for o in root.pickable_objects] == [
            (o["name"], o["is_particle"], o["label"]) for o in OBJECTS
        ]


class ProjectHierarchyChecks(ProjectChecks):
    """Runs, voxel spacings and what all entities share."""

    @promises("An empty project holds nothing.")
    def test_an_empty_project_holds_nothing(self, root: CopickRootOverlay) -> None:
        assert root.runs == []
        assert root.get_run("TS_1") is None

    @promises("Runs are sorted by name.")
    def test_runs_are_sorted(self, root: CopickRootOverlay) -> None:
        for name in ("b", "a", "TS_10", "TS_1"):
            root.new_run(name)
        root.refresh()

        assert [run.name for run in root.runs] == ["TS_1", "TS_10", "a", "b"]

    @pytest.mark.parametrize("name", samples.HOSTILE_RUNS)
    @promises("Any text without path separators, control characters or a leading dot is a run name, and is never interpreted.")
    def test_a_legal_run_name_is_kept(self, root: CopickRootOverlay, name: str) -> None:
        root.new_run(name).new_picks("ribosome", "1").from_numpy([[1, 2, 3]])
        root.new_run("TS1")
        root.refresh()

        run: Any = root.get_run(name)
        assert [r.name for r in root.runs] == sorted([name, "TS1"])
        assert [len(p.points) for p in run.picks] == [1]
        run.delete()
        root.refresh()
        assert [r.name for r in root.runs] == ["TS1"]

    @pytest.mark.parametrize("name", ILLEGAL_RUNS)
    @promises("InvalidNameError: The name cannot be stored safely.")
    def test_an_illegal_run_name_is_refused(self, root: CopickRootOverlay, name: str) -> None:
        with pytest.raises(InvalidNameError):
            root.new_run(name)

        root.refresh()
        assert root.runs == []
        assert root.get_run(name) is None

    @promises("AlreadyExistsError: There is one of that name, and not exist_ok.")
    def test_a_run_is_made_once(self, root: CopickRootOverlay) -> None:
        run = root.new_run("TS_1")

        with pytest.raises(AlreadyExistsError):
            root.new_run("TS_1")

        assert root.new_run("TS_1", exist_ok=True) is run
        assert len(root.runs) == 1

    @promises("A key has one handle until its parent is refreshed.")
    def test_handles_are_the_same_however_they_were_found(self, filled: CopickRootOverlay) -> None:
        run: Any = filled.get_run("TS_1")

        assert filled.runs[0] is run
        assert run.get_voxel_spacing(10.0) is run.voxel_spacings[0]
        assert run.get_picks("ribosome")[0] is run.picks[0]

    @promises("Lists handed to users are snapshots.")
    def test_lists_are_snapshots(self, root: CopickRootOverlay) -> None:
        for name in "abcd":
            root.new_run(name)
        root.runs.clear()
        assert len(root.runs) == 4

        for run in root.runs:
            run.delete()

        assert root.runs == []

    @pytest.mark.parametrize("size", [10, 10.0, np.float32(10), np.float64(10), np.int64(10), 10.0004])
    @promises("Voxel sizes compare by their three-decimal key everywhere; int, float and NumPy scalars are accepted.")
    def test_a_voxel_spacing_is_found_by_any_number(self, root: CopickRootOverlay, size: Any) -> None:
        run = root.new_run("TS_1")
        spacing = run.new_voxel_spacing(10.0)

        assert run.get_voxel_spacing(size) is spacing
        with pytest.raises(AlreadyExistsError):
            run.new_voxel_spacing(size)
        root.refresh()
        assert [s.voxel_size for r in root.runs for s in r.voxel_spacings] == [10.0]

    @pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf"), "ten", None, 0.0001])
    @promises("A voxel size is a finite number of at least 0.001 angstrom.")
    def test_an_impossible_voxel_size_is_refused(self, root: CopickRootOverlay, size: Any) -> None:
        run = root.new_run("TS_1")

        with pytest.raises(InvalidDataError):
            run.new_voxel_spacing(size)

        assert run.voxel_spacings == []

    @promises("ensure() makes what is missing, and says whether it is there.")
    def test_ensure_tells_and_makes(self, root: CopickRootOverlay) -> None:
        run = root.new_run("TS_1")
        spacing = run.new_voxel_spacing(10.0)
        assert (run.ensure(), spacing.ensure()) == (True, True)

        run.delete()

        assert (run.ensure(), spacing.ensure()) == (False, False)
        assert spacing.ensure(create=True)
        root.refresh()
        assert [s.voxel_size for r in root.runs for s in r.voxel_spacings] == [10.0]

    @promises("Deleting a run deletes everything below it.")
    def test_a_deleted_run_is_gone_with_all_it_held(self, filled: CopickRootOverlay) -> None:
        filled.delete_run("TS_1")
        filled.delete_run("TS_1")

        filled.refresh()
        assert filled.runs == []
        run = filled.new_run("TS_1")
        assert (run.picks, run.meshes, run.segmentations, run.voxel_spacings) == ([], [], [], [])

    @promises("repr shows what is loaded, and loads nothing.")
    def test_repr_loads_nothing(self, filled: CopickRootOverlay) -> None:
        filled.refresh()
        run: Any = filled.get_run("TS_1")

        assert "TS_1" in repr(run)
        assert "None" in repr(run)
        assert run._picks.listed is None

    @pytest.mark.parametrize("what", LEAVES)
    @promises("What was stored is there for whoever opens the project next.")
    def test_an_entity_is_read_back_by_another_root(self, root: CopickRootOverlay, config: dict[str, Any], what: str) -> None:
        put(leaf(root, what), what, seed=3)

        other = self.again(config)

        [found] = listed(other, what)
        assert holds(found, what, seed=3)
        assert (found.read_only, found.layer) == (False, leaf(root, what, exist_ok=True).layer)

    @pytest.mark.parametrize("what", LEAVES)
    @promises("AlreadyExistsError: The key exists, and not exist_ok.")
    def test_an_entity_is_made_once(self, root: CopickRootOverlay, what: str) -> None:
        entity = leaf(root, what)
        put(entity, what, seed=1)

        with pytest.raises(AlreadyExistsError):
            leaf(root, what)

        assert leaf(root, what, exist_ok=True) is entity
        assert holds(entity, what, seed=1)
        assert listed(root, what) == [entity]

    @pytest.mark.parametrize("what", LEAVES)
    @promises("A deleted entity is gone from storage and from every list.")
    def test_a_deleted_entity_is_gone(self, root: CopickRootOverlay, config: dict[str, Any], what: str) -> None:
        entity = leaf(root, what)
        put(entity, what)

        entity.delete()

        assert listed(root, what) == []
        root.refresh()
        assert listed(root, what) == []
        if self.shared:
            assert listed(opening.open(config), what) == []

    @pytest.mark.parametrize("what", LEAVES)
    @promises("Storing again takes the place of what was stored.")
    def test_content_is_replaced(self, root: CopickRootOverlay, what: str) -> None:
        entity = leaf(root, what)
        put(entity, what, seed=1)
        put(entity, what, seed=2)
        root.refresh()

        [found] = listed(root, what)
        assert holds(found, what, seed=2)

    @pytest.mark.parametrize("what", LEAVES)
    @promises("refresh() forgets; the next access asks again.")
    def test_refresh_shows_what_another_root_stored(self, root: CopickRootOverlay, config: dict[str, Any], what: str) -> None:
        root.new_run("TS_1").new_voxel_spacing(10.0)
        assert listed(root, what) == []
        other = self.again(config)
        put(leaf(other, what), what, seed=1)

        root.refresh()

        assert [holds(entity, what, seed=1) for entity in listed(root, what)] == [True]


class ProjectPicksChecks(ProjectChecks):
    """Picks."""

    @pytest.fixture
    def picks(self, root: CopickRootOverlay) -> Any:
        """New picks."""
        return root.new_run("TS_1").new_picks("ribosome", "1")

    @promises("New picks are stored at once, and empty.")
    def test_new_picks_are_stored_and_empty(self, picks: Any, root: CopickRootOverlay) -> None:
        root.refresh()
        [found] = listed(root, "picks")

        assert found.points == []
        assert (found.pickable_object_name, found.user_id, found.session_id) == ("ribosome", "alice", "1")

    @promises("Positions, transformations, instance ids and scores come back as they were stored.")
    def test_arrays_come_back(self, picks: Any) -> None:
        positions = np.array([[1.5, 2.25, 3.0], [1e-3, 1e5, -7.0]])
        transforms = np.stack([np.eye(4), np.eye(4)])
        transforms[1, :3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
        transforms[1, :3, 3] = [1, 2, 3]
        picks.from_numpy(positions, transforms, [4, 5], [0.25, 0.5])
        picks.refresh()

        assert np.array_equal(picks.numpy()[0], positions)
        assert np.array_equal(picks.numpy()[1], transforms)
        assert picks.instance_ids().tolist() == [4, 5]
        assert picks.scores().tolist() == [0.25, 0.5]

    @promises("Picks can be emptied.")
    def test_picks_can_be_emptied(self, picks: Any) -> None:
        picks.from_numpy([[1, 2, 3]])

        picks.points = []
        picks.store()

        assert picks.points == []
        picks.refresh()
        assert picks.points == []

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    @promises("InvalidDataError: A value cannot be stored; names the point. Nothing was written.")
    def test_values_that_are_not_finite_are_refused(self, picks: Any, bad: float) -> None:
        picks.from_numpy([[1, 2, 3]])

        with pytest.raises(InvalidDataError) as caught:
            picks.from_numpy([[1, 2, 3], [1, bad, 3]])

        assert caught.value.index == 1  # type: ignore[attr-defined]
        picks.refresh()
        assert picks.numpy()[0].tolist() == [[1, 2, 3]]

    @promises("Picks keep whether their orientations are to be trusted, and what other programs wrote.")
    def test_header_fields_come_back(self, picks: Any) -> None:
        picks.meta.trust_orientation = False
        picks.meta.voxel_spacing = 10.0
        picks.from_numpy([[1, 2, 3]])
        picks.refresh()

        assert picks.trust_orientation is False
        picks.load()
        assert (picks.meta.voxel_spacing, picks.meta.run_name, picks.meta.unit) == (10.0, "TS_1", "angstrom")

    @promises("Session 0 is that of tools.")
    def test_users_and_tools_are_told_apart(self, root: CopickRootOverlay) -> None:
        run = root.new_run("TS_1")
        mine = run.new_picks("ribosome", "1")
        tool = run.new_picks("ribosome", "0", "finder")

        assert ([*run.user_picks()], [*run.tool_picks()]) == ([mine], [tool])

    @pytest.mark.parametrize(
        ("wanted", "count"),
        [
            ({}, 4),
            ({"object_name": "ribosome"}, 3),
            ({"object_name": ["ribosome", "proteasome"]}, 4),
            ({"user_id": "bob"}, 1),
            ({"session_id": ["1", "2"], "user_id": "alice"}, 2),
            ({"object_name": "proteasome", "user_id": "bob"}, 0),
            ({"object_name": "nothing"}, 0),
        ],
        ids=str,
    )
    @promises("Filters are strings or several of them; all must hold.")
    def test_picks_are_filtered(self, root: CopickRootOverlay, wanted: dict[str, Any], count: int) -> None:
        run = root.new_run("TS_1")
        for name, session, user in (
            ("ribosome", "1", "alice"),
            ("ribosome", "2", "alice"),
            ("ribosome", "1", "bob"),
            ("proteasome", "0", "alice"),
        ):
            run.new_picks(name, session, user)

        assert len(run.get_picks(**wanted)) == count
        root.refresh()
        fresh: Any = root.get_run("TS_1")
        assert len(fresh.get_picks(**wanted)) == count

    @promises("UnknownObjectError: An object name that the project's configuration does not list.")
    def test_unknown_objects_are_refused(self, root: CopickRootOverlay) -> None:
        with pytest.raises(UnknownObjectError, match="ribosome"):
            root.new_run("TS_1").new_picks("ribosom", "1")

    @promises("Ids are sanitised on creation, with a warning.")
    def test_ids_are_sanitised(self, root: CopickRootOverlay) -> None:
        run = root.new_run("TS_1")

        with pytest.warns(UserWarning, match="changed to"):
            picks = run.new_picks("ribosome", "a_b", "x y")

        assert (picks.user_id, picks.session_id) == ("x-y", "a-b")
        root.refresh()
        assert [(p.user_id, p.session_id) for p in listed(root, "picks")] == [("x-y", "a-b")]

    @pytest.mark.parametrize("user", [".me", "___", "x" * 300])
    @promises("Ids that no file could hold are refused.")
    def test_impossible_ids_are_refused(self, root: CopickRootOverlay, user: str) -> None:
        with pytest.raises(InvalidNameError):
            root.new_run("TS_1").new_picks("ribosome", "1", user)

        root.refresh()
        assert listed(root, "picks") == []


class ProjectMeshChecks(ProjectChecks):
    """Meshes."""

    @promises("A new mesh is stored at once, and empty.")
    def test_a_new_mesh_is_stored_and_empty(self, root: CopickRootOverlay) -> None:
        leaf(root, "mesh")
        root.refresh()

        [found] = listed(root, "mesh")

        assert sum(len(g.vertices) for g in found.mesh.geometry.values()) == 0

    @promises("Vertices and faces come back as they were stored.")
    def test_a_mesh_comes_back(self, root: CopickRootOverlay) -> None:
        mesh = leaf(root, "mesh")
        put(mesh, "mesh", seed=2)
        mesh.refresh()

        [geometry] = mesh.mesh.geometry.values()

        assert geometry.vertices.tolist() == triangle(2).vertices.tolist()
        assert geometry.faces.tolist() == [[0, 1, 2]]

    @promises("A mesh that cannot be stored is refused; nothing was written.")
    def test_a_mesh_that_is_not_finite_is_refused(self, root: CopickRootOverlay) -> None:
        mesh = leaf(root, "mesh")
        put(mesh, "mesh", seed=1)
        bad = triangle()
        bad.vertices[0] = np.nan

        mesh.mesh = bad
        with pytest.raises(InvalidDataError):
            mesh.store()

        assert holds(mesh, "mesh", seed=1)


class ProjectVolumeChecks(ProjectChecks):
    """Segmentations, tomograms, feature maps and density maps."""

    @promises("Four kinds of segmentations of one name live side by side.")
    def test_segmentation_types_are_told_apart(self, root: CopickRootOverlay) -> None:
        for what in SEGMENTATION_TYPES:
            put(leaf(root, what), what)
        root.refresh()

        fresh: Any = root.get_run("TS_1")

        assert sorted(s.segmentation_type for s in fresh.segmentations) == sorted(SEGMENTATION_TYPES)
        for what, flags in SEGMENTATION_TYPES.items():
            if flags:
                assert [s.segmentation_type for s in fresh.get_segmentations(**flags)] == [what]

    @pytest.mark.parametrize("what", SEGMENTATION_TYPES)
    @promises("A value that the type would change is refused; what was stored stays.")
    def test_values_that_would_change_are_refused(self, root: CopickRootOverlay, what: str) -> None:
        entity = leaf(root, what)
        put(entity, what)

        for bad in (-1, 0.5, np.nan):
            with pytest.raises(InvalidDataError):
                entity.from_numpy(np.where(labels(what) > 0, bad, 0.0))

        assert holds(entity, what)

    @promises("In panoptic segmentations the background carries no instance.")
    def test_a_background_with_an_instance_is_refused(self, root: CopickRootOverlay) -> None:
        entity = leaf(root, "panoptic")
        data = labels("panoptic")
        data[0] = 0

        with pytest.raises(InvalidDataError):
            entity.from_numpy(data)

    @promises("Instances are listed by object.")
    def test_segments_are_listed(self, root: CopickRootOverlay) -> None:
        panoptic, instance = leaf(root, "panoptic"), leaf(root, "instance")
        put(panoptic, "panoptic", seed=2)
        put(instance, "instance", seed=2)

        assert panoptic.segments() == [("ribosome", 7)]
        assert instance.instance_ids().tolist() == [302]

    @pytest.mark.parametrize("what", VOLUMES)
    @promises("Arrays are (z, y, x); keyword slices are named x, y, z.")
    def test_a_part_is_read(self, root: CopickRootOverlay, what: str) -> None:
        entity = leaf(root, what)
        put(entity, what, seed=1)
        whole = entity.numpy()
        part = (slice(1, 3), slice(0, 2), slice(2, None))

        read = entity.numpy(slices=part) if what == "features" else entity.numpy(z=part[0], y=part[1], x=part[2])

        assert np.array_equal(read, whole[(..., *part)])

    @pytest.mark.parametrize("what", VOLUMES)
    @promises("set_region changes what it is given, in place, and nothing else.")
    def test_a_part_is_written(self, root: CopickRootOverlay, what: str) -> None:
        entity = leaf(root, what)
        put(entity, what, seed=0)
        expected = entity.numpy().copy()
        value = {"binary": 1, "multilabel": 1, "instance": 9, "panoptic": 1}.get(what, 77)
        expected[..., 3, 0, 1:4] = value
        region = expected[..., 3:4, 0:1, 1:4]

        if what == "features":
            entity.set_region(region, slices=(slice(3, 4), slice(0, 1), slice(1, 4)))
        else:
            entity.set_region(region, z=slice(3, 4), y=slice(0, 1), x=slice(1, 4))

        entity.refresh()
        assert np.array_equal(entity.numpy(), expected)

    @pytest.mark.parametrize("what", VOLUMES)
    @promises("LevelNotFoundError: The level is not in the volume; tells which are.")
    def test_a_missing_level_is_told(self, root: CopickRootOverlay, what: str) -> None:
        entity = leaf(root, what)
        put(entity, what)

        with pytest.raises(LevelNotFoundError, match="it has '0'"):
            entity.numpy("9")

    @pytest.mark.parametrize("what", VOLUMES)
    @promises("A volume that was created and not written holds no level.")
    def test_an_unwritten_volume_has_no_levels(self, root: CopickRootOverlay, what: str) -> None:
        entity = leaf(root, what)

        assert entity.levels == []
        with pytest.raises(LevelNotFoundError, match="nothing has been written"):
            entity.numpy()

    @promises("Tomograms have a pyramid; each level halves the one before.")
    def test_tomograms_have_levels(self, root: CopickRootOverlay) -> None:
        tomogram = leaf(root, "tomogram")
        tomogram.from_numpy(np.ones((8, 8, 8), np.float32), levels=3)
        tomogram.refresh()

        assert tomogram.levels == ["0", "1", "2"]
        assert [tomogram.numpy(n).shape for n in tomogram.levels] == [(8, 8, 8), (4, 4, 4), (2, 2, 2)]
        assert np.array_equal(tomogram.numpy("2"), np.ones((2, 2, 2)))

    @pytest.mark.parametrize("zarr_format", [2, 3])
    @promises("zarr_format: format of volumes that are written.")
    def test_both_formats_are_written_and_read(self, config: dict[str, Any], zarr_format: int) -> None:
        root = opening.open({**config, "zarr_format": zarr_format})
        tomogram = leaf(root, "tomogram")

        put(tomogram, "tomogram", seed=4)

        assert holds(tomogram, "tomogram", seed=4)
        import zarr

        assert zarr.open_array(tomogram.zarr(), path="0", mode="r").metadata.zarr_format == zarr_format

    @promises("Deleting a tomogram deletes its feature maps, and no others.")
    def test_a_deleted_tomogram_takes_its_features(self, filled: CopickRootOverlay) -> None:
        run: Any = filled.get_run("TS_1")
        spacing = run.get_voxel_spacing(10.0)
        other = spacing.new_tomogram("wbp-denoised")
        put(other, "tomogram")
        put(other.new_features("sobel"), "features", seed=5)

        spacing.get_tomograms("wbp")[0].delete()

        filled.refresh()
        [left] = listed(filled, "tomogram")
        assert left.tomo_type == "wbp-denoised"
        assert [holds(f, "features", seed=5) for f in left.features] == [True]

    @pytest.mark.parametrize("name", ["features", "wbp-features-denoised", "a.b", "[x]", "100%"])
    @promises("Names are taken as they are.")
    def test_tomogram_types_are_kept(self, root: CopickRootOverlay, name: str) -> None:
        spacing = root.new_run("TS_1").new_voxel_spacing(10.0)
        tomogram = spacing.new_tomogram(name)
        put(tomogram, "tomogram")
        put(tomogram.new_features(name), "features")
        root.refresh()

        [found] = listed(root, "tomogram")
        assert found.tomo_type == name
        assert [f.feature_type for f in found.features] == [name]

    @promises("The zarr store that holds the density map; None where there is none.")
    def test_an_object_without_a_map_has_no_store(self, root: CopickRootOverlay) -> None:
        found: Any = root.get_object("ribosome")

        assert (found.zarr(), found.layer) == (None, None)

    @promises("Density maps come back as they were stored.")
    def test_a_density_map_comes_back(self, root: CopickRootOverlay, config: dict[str, Any]) -> None:
        found: Any = root.get_object("ribosome")
        found.from_numpy(samples.volume(3, (3, 3, 3)), 10.0)

        other: Any = self.again(config).get_object("ribosome")

        assert np.array_equal(other.numpy(), samples.volume(3, (3, 3, 3)))

    @promises("A deleted object has no map.")
    def test_a_deleted_map_is_gone(self, filled: CopickRootOverlay) -> None:
        from copick_core.keys import ROOT, Kind

        found: Any = filled.get_object("ribosome")
        overlay: Any = filled.layers.overlay
        assert [key.name for key in overlay.list(Kind.OBJECT, ROOT)] == ["ribosome"]

        found.delete()

        assert [*overlay.list(Kind.OBJECT, ROOT)] == []

    @promises("New objects get the next free label, and are in the configuration.")
    def test_new_objects_are_added(self, root: CopickRootOverlay) -> None:
        new = root.new_object("tubule", is_particle=False)

        assert new.label == 8
        assert [o.name for o in root.config.pickable_objects][-1] == "tubule"
        with pytest.raises(AlreadyExistsError):
            root.new_object("tubule", is_particle=False)

    @promises("A whole project is read back by another root.")
    def test_a_filled_project_is_read_back(self, root: CopickRootOverlay, config: dict[str, Any]) -> None:
        fill_project(root)

        other = self.again(config)

        assert {what: [holds(e, what) for e in listed(other, what)] for what in LEAVES} == {what: [True] for what in LEAVES}
        assert other.config.user_id == FIELDS["user_id"]
