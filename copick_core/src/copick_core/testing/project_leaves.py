"""Checks of whole projects: picks, meshes and volumes of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from copick_core import opening
from copick_core.errors import (
    AlreadyExistsError,
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

VOLUMES = ("binary", "multilabel", "instance", "panoptic", "tomogram", "features")


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

        assert caught.value.index == 1
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

        with pytest.warns(UserWarning, match="sanitized to"):
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
        if zarr_format not in self.zarr_formats:
            pytest.skip(f"volumes of zarr format {zarr_format} are not stored here")
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
        from copick_core.tree.keys import ROOT, Kind

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
