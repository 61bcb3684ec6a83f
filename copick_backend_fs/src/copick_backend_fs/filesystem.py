"""Projects on file systems; :mod:`copick_backend_fs.entities` has what is in them, which can be imported from here too."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from copick_backend_fs.config import CopickConfigFSSpec
from copick_backend_fs.opening import open_layers
from copick_backend_fs.places import PlacedRoot
from copick_core import deferred
from copick_core.overlay import CopickRootOverlay

if TYPE_CHECKING:
    from copick_backend_fs.entities import (
        CopickFeaturesFSSpec,
        CopickFilamentsFSSpec,
        CopickMeshFSSpec,
        CopickObjectFSSpec,
        CopickPicksFSSpec,
        CopickRunFSSpec,
        CopickSegmentationFSSpec,
        CopickTomogramFSSpec,
        CopickVoxelSpacingFSSpec,
    )
    from copick_core.layers import Layers
    from copick_core.tree.schema import CopickRunMeta, PickableObject

__all__ = [
    "CopickFeaturesFSSpec",
    "CopickFilamentsFSSpec",
    "CopickMeshFSSpec",
    "CopickObjectFSSpec",
    "CopickPicksFSSpec",
    "CopickRootFSSpec",
    "CopickRunFSSpec",
    "CopickSegmentationFSSpec",
    "CopickTomogramFSSpec",
    "CopickVoxelSpacingFSSpec",
]

_ENTITIES = "copick_backend_fs.entities"
_HOMES = dict.fromkeys(__all__, _ENTITIES)  # imported when they are used: opening a project needs none of them


def __getattr__(name: str) -> Any:
    return deferred(__name__, _HOMES, name)


class CopickRootFSSpec(PlacedRoot, CopickRootOverlay):
    """A project on file systems.

    Args:
        config: The project's configuration.
        open_layers: Opens its layers; there is no reason to give another one.

    Example:
        >>> root = CopickRootFSSpec.from_file("project.json")  # doctest: +SKIP
    """

    def __init__(self, config: CopickConfigFSSpec, open_layers: Callable[[CopickConfigFSSpec], Layers] = open_layers) -> None:
        super().__init__(config, open_layers)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Open a project from its JSON configuration.

        Raises:
            ConfigError: It cannot be read, or is not valid.
        """
        return cls(CopickConfigFSSpec.from_file(path))

    def _run_factory(self) -> tuple[type[CopickRunFSSpec], type[CopickRunMeta]]:
        from copick_backend_fs.entities import CopickRunFSSpec

        return CopickRunFSSpec, super()._run_factory()[1]

    def _object_factory(self) -> tuple[type[CopickObjectFSSpec], type[PickableObject]]:
        from copick_backend_fs.entities import CopickObjectFSSpec

        return CopickObjectFSSpec, super()._object_factory()[1]
