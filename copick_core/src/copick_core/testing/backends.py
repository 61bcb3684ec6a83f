"""All checks of a backend: whole projects, from the configuration to the voxel."""

from __future__ import annotations

from copick_core.testing.project_filaments import ProjectFilamentsChecks
from copick_core.testing.project_hierarchy import ProjectHierarchyChecks, ProjectPluginChecks
from copick_core.testing.project_kills import ProjectKillChecks
from copick_core.testing.project_layers import (
    ProjectFailureChecks,
    ProjectLazinessChecks,
    ProjectOverlayChecks,
    ProjectSharingChecks,
)
from copick_core.testing.project_leaves import ProjectMeshChecks, ProjectPicksChecks, ProjectVolumeChecks
from copick_core.testing.project_machine import ProjectMachineChecks


# pytest collects the last base class first: what is fundamental stands at the end, and random histories come last.
class BackendTests(
    ProjectMachineChecks,
    ProjectKillChecks,
    ProjectSharingChecks,
    ProjectFailureChecks,
    ProjectLazinessChecks,
    ProjectOverlayChecks,
    ProjectVolumeChecks,
    ProjectFilamentsChecks,
    ProjectMeshChecks,
    ProjectPicksChecks,
    ProjectHierarchyChecks,
    ProjectPluginChecks,
):
    """Checks that whole projects on a backend behave as users expect.

    Example:
        In the tests of a backend::

            class TestMyBackend(BackendTests):
                def make_config(self, folder, name):
                    return {"config_type": "mine", "path": str(folder / name)}
    """
