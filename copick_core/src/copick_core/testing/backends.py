"""All checks of a backend: whole projects, from the configuration to the voxel."""

from __future__ import annotations

from copick_core.testing.project_hierarchy import ProjectHierarchyChecks, ProjectPluginChecks
from copick_core.testing.project_layers import (
    ProjectFailureChecks,
    ProjectLazinessChecks,
    ProjectOverlayChecks,
    ProjectSharingChecks,
)
from copick_core.testing.project_leaves import ProjectMeshChecks, ProjectPicksChecks, ProjectVolumeChecks
from copick_core.testing.project_machine import ProjectMachineChecks


class BackendTests(
    ProjectPluginChecks,
    ProjectHierarchyChecks,
    ProjectPicksChecks,
    ProjectMeshChecks,
    ProjectVolumeChecks,
    ProjectOverlayChecks,
    ProjectLazinessChecks,
    ProjectFailureChecks,
    ProjectSharingChecks,
    ProjectMachineChecks,
):
    """Checks that whole projects on a backend behave as users expect.

    Example:
        In the tests of a backend::

            class TestMyBackend(BackendTests):
                def make_config(self, folder, name):
                    return {"config_type": "mine", "path": str(folder / name)}
    """
