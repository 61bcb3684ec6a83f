"""The pluggy hook that a backend implements, and the marker it is implemented with.

Example:
    A backend's ``plugin.py``::

        from copick_core.plugins.hookspecs import hookimpl
        from copick_core.plugins.discovery import API_VERSION, Backend

        @hookimpl
        def copick_backend():
            return Backend("mytype", api_version=1, config_cls=MyConfig, open_layers=open_layers)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from copick_core.plugins.discovery import Backend

PROJECT = "copick"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def copick_backend() -> Backend:  # type: ignore[empty-body]
    """Return the :class:`~copick_core.plugins.Backend` that this plugin brings."""


def backends_of(module: Any) -> list[Any]:
    """Call the hook of one plugin module, and of no other.

    Each module has a plugin manager of its own: pluggy's loader would import all entry points, and one ImportError would
    take the others down.

    Raises:
        pluggy.PluginValidationError: The module implements a hook that does not exist, or with other arguments.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(sys.modules[__name__])
    manager.register(module)
    manager.check_pending()
    return list(manager.hook.copick_backend())
