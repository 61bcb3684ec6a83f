"""The hooks that plugins implement, and the marker they implement them with.

Each hook returns one record, or a list of records where one module serves several entry points.

Example:
    A backend's ``plugin.py``::

        from copick_core.plugins import Backend, hookimpl

        @hookimpl
        def copick_backend():
            return Backend("mytype", api_version=1, config_cls=MyConfig, open_layers=open_layers)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from copick_core.plugins.records import Backend, Command, Format, LayerWrapper

PROJECT = "copick"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def copick_backend() -> Backend | Sequence[Backend]:  # type: ignore[empty-body]
    """Return the storage that this plugin brings (entry-point group ``copick.backends``)."""


@hookspec
def copick_command() -> Command | Sequence[Command]:  # type: ignore[empty-body]
    """Return the commands of ``copick-core`` that this plugin brings (group ``copick_core.commands``)."""


@hookspec
def copick_format() -> Format | Sequence[Format]:  # type: ignore[empty-body]
    """Return the file formats that this plugin brings (group ``copick.formats``)."""


@hookspec
def copick_layer_wrapper() -> LayerWrapper | Sequence[LayerWrapper]:  # type: ignore[empty-body]
    """Return the layer wrappers that this plugin brings (group ``copick.wrappers``)."""


def records_of(module: Any, hook: str) -> list[Any]:
    """Call one hook of one plugin module, and of no other.

    Each module has a plugin manager of its own: pluggy's loader would import all entry points, and one ImportError would
    take the others down.

    Raises:
        pluggy.PluginValidationError: The module implements a hook that does not exist, or with other arguments.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(sys.modules[__name__])
    manager.register(module)
    manager.check_pending()
    records: list[Any] = []
    for answer in getattr(manager.hook, hook)():
        records += answer if isinstance(answer, Sequence) else [answer]
    return records
