"""Storage framework for collaborative cryoET annotation.

``copick_core.open(config)`` opens a project; see :mod:`copick_core.models` for what it is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from copick_core.opening import from_czcdp_datasets, from_czcdp_depositions, from_file, from_string, new_config, open
    from copick_core.projects.annotation_files import (
        export_filaments,
        export_meshes,
        export_picks,
        import_filaments,
        import_meshes,
        import_picks,
    )
    from copick_core.projects.copying import copy_project
    from copick_core.projects.importing import import_tomogram
    from copick_core.projects.runs import map_runs
    from copick_core.projects.volume_files import export_volumes, import_tomograms

__all__ = [
    "__version__",
    "copy_project",
    "export_filaments",
    "export_meshes",
    "export_picks",
    "export_volumes",
    "from_czcdp_datasets",
    "from_czcdp_depositions",
    "from_file",
    "from_string",
    "import_filaments",
    "import_meshes",
    "import_picks",
    "import_tomogram",
    "import_tomograms",
    "map_runs",
    "new_config",
    "open",
]

#: Where each public function lives. They are imported when they are used, so that importing copick_core costs nothing.
_HOMES = {
    "copy_project": "copick_core.projects.copying",
    "export_filaments": "copick_core.projects.annotation_files",
    "export_meshes": "copick_core.projects.annotation_files",
    "export_picks": "copick_core.projects.annotation_files",
    "export_volumes": "copick_core.projects.volume_files",
    "from_czcdp_datasets": "copick_core.opening",
    "from_czcdp_depositions": "copick_core.opening",
    "from_file": "copick_core.opening",
    "from_string": "copick_core.opening",
    "import_filaments": "copick_core.projects.annotation_files",
    "import_meshes": "copick_core.projects.annotation_files",
    "import_picks": "copick_core.projects.annotation_files",
    "import_tomogram": "copick_core.projects.importing",
    "import_tomograms": "copick_core.projects.volume_files",
    "map_runs": "copick_core.projects.runs",
    "new_config": "copick_core.opening",
    "open": "copick_core.opening",
}


def deferred(module: str, homes: Mapping[str, str], name: str) -> Any:
    """An attribute of a module that lives in another one, imported now: what a module's ``__getattr__`` returns.

    Raises:
        AttributeError: The module has no such attribute.
    """
    if name not in homes:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(homes[name]), name)


def __getattr__(name: str) -> Any:
    return deferred(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
