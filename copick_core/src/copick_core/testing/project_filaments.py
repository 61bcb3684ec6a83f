"""Checks of whole projects: filaments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from copick_core.errors import InvalidDataError, UnknownObjectError
from copick_core.overlay import CopickRootOverlay
from copick_core.testing.contract import promises
from copick_core.testing.project_base import ProjectChecks, leaf, listed
from copick_core.tree.keys import Kind

CONTROL_POINTS = [[0.0, 0.0, 0.0], [100.0, 0.0, 0.0], [100.0, 60.0, 0.0]]


class ProjectFilamentsChecks(ProjectChecks):
    """Filaments."""

    @pytest.fixture
    def filaments(self, root: CopickRootOverlay) -> Any:
        """A new set of filaments."""
        return leaf(root, "filaments")

    @promises("New filaments are stored at once, and empty.")
    def test_new_filaments_are_stored_and_empty(self, filaments: Any, root: CopickRootOverlay) -> None:
        root.refresh()
        [found] = listed(root, "filaments")

        assert found.filaments == []
        assert (found.pickable_object_name, found.user_id, found.session_id) == ("microtubule", "alice", "1")

    @promises("Filaments, picks and meshes of one name are different entities.")
    def test_filaments_are_no_picks(self, filaments: Any, root: CopickRootOverlay) -> None:
        run = filaments.run
        run.new_picks("microtubule", "1").from_numpy([[1, 2, 3]])
        filaments.from_numpy([[[0, 0, 0], [1, 2, 3]]])
        root.refresh()

        fresh: Any = root.get_run("TS_1")

        assert [len(p.points) for p in fresh.picks] == [1]
        assert [len(f.filaments) for f in fresh.filaments] == [1]
        fresh.filaments[0].delete()
        assert (len(fresh.picks), fresh.filaments) == (1, [])

    @promises("Vertices, ids, polarities, scores, radii and metadata come back as they were stored.")
    def test_polylines_come_back(self, filaments: Any) -> None:
        polylines = [np.array([[1.5, 2.25, 3.0], [1e-3, 1e5, -7.0]]), np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2.1]])]
        filaments.from_numpy(polylines, [4, 2], [True, False], [0.25, 0.5], [None, 125.0], 10.0, [{"by": "hand"}, None])
        filaments.refresh()

        assert [points.tolist() for points in filaments.numpy()] == [points.tolist() for points in polylines]
        assert filaments.instance_ids().tolist() == [4, 2]
        assert [f.polarity_known for f in filaments.filaments] == [True, False]
        assert [f.score for f in filaments.filaments] == [0.25, 0.5]
        assert [f.radius for f in filaments.filaments] == [None, 125.0]
        assert [f.metadata for f in filaments.filaments] == [{"by": "hand"}, {}]
        assert filaments.voxel_spacing == 10.0

    @promises("Curves come back with their filaments.")
    def test_curves_come_back(self, filaments: Any) -> None:
        filaments.from_control_points([CONTROL_POINTS], step=30.0)
        points = filaments.numpy()[0]
        filaments.refresh()

        assert len(points) == 8
        assert np.array_equal(filaments.numpy()[0], points)
        assert filaments.control_points()[0].tolist() == CONTROL_POINTS
        assert np.array_equal(filaments.filaments[0].curve.evaluate(), points)

    @promises("Assigning replaces them in memory; store() writes them.")
    def test_filaments_are_edited(self, filaments: Any) -> None:
        filaments.from_control_points([CONTROL_POINTS], step=30.0)
        moved = filaments.filaments[0].with_control_points([[0, 0, 5], *CONTROL_POINTS[1:]])

        filaments.filaments = [moved]
        filaments.store()

        filaments.refresh()
        assert filaments.numpy()[0][0].tolist() == [0, 0, 5]
        assert filaments.filaments == [moved]

    @promises("Curves that no longer describe their filament's points are left out.")
    def test_an_outdated_curve_is_left_out(self, filaments: Any) -> None:
        filaments.from_control_points([CONTROL_POINTS], step=30.0)
        filaments.filaments[0].points = [[0, 0, 0], [0, 0, 50]]

        filaments.store()

        assert filaments.filaments[0].curve is None
        filaments.refresh()
        assert filaments.filaments[0].curve is None

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    @promises("InvalidDataError: A value cannot be stored; index is the first filament at fault. Nothing was written.")
    def test_values_that_are_not_finite_are_refused(self, filaments: Any, bad: float) -> None:
        good = [[0, 0, 0], [1, 2, 3]]
        filaments.from_numpy([good])

        with pytest.raises(InvalidDataError) as caught:
            filaments.from_numpy([good, [[0, 0, 0], [1, bad, 3]]])

        assert caught.value.index == 1
        filaments.refresh()
        assert [points.tolist() for points in filaments.numpy()] == [good]

    @promises("UnknownObjectError: An object name that the project's configuration does not list.")
    def test_unknown_objects_are_refused(self, root: CopickRootOverlay) -> None:
        with pytest.raises(UnknownObjectError, match="microtubule"):
            root.new_run("TS_1").new_filaments("microtubul", "1")

    @promises("All entities of a kind in all layers, as columns of equal length.")
    def test_filaments_are_in_tables(self, filaments: Any, root: CopickRootOverlay) -> None:
        table = root.table(Kind.FILAMENTS)

        assert (table["run"], table["object_name"]) == (["TS_1"], ["microtubule"])
        assert (table["user_id"], table["session_id"]) == (["alice"], ["1"])

    @promises("List all entities of some kinds at once, so that walking the project asks storage for nothing more.")
    def test_filaments_are_prefetched(self, filaments: Any, root: CopickRootOverlay) -> None:
        root.refresh()

        root.prefetch(["filaments"])

        assert len(listed(root, "filaments")) == 1
