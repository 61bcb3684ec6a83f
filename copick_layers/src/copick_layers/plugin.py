"""What entry points find: the wrappers ``cache``, ``index`` and ``log``, and the commands of the first two."""

from __future__ import annotations

from copick_core.plugins import Command, LayerWrapper, hookimpl


@hookimpl
def copick_layer_wrapper() -> list[LayerWrapper]:
    """Bring the wrappers."""
    return [
        LayerWrapper(
            "cache",
            api_version=1,
            wrap="copick_layers.cache.layer:CacheLayer",
            options_cls="copick_layers.cache.options:CacheOptions",
            summary="keeps on local disk what is read from a layer",
        ),
        LayerWrapper(
            "index",
            api_version=1,
            wrap="copick_layers.index.layer:IndexLayer",
            options_cls="copick_layers.index.options:IndexOptions",
            summary="answers lists of a layer from one file",
        ),
        LayerWrapper(
            "log",
            api_version=1,
            wrap="copick_layers.log:LogLayer",
            options_cls="copick_layers.log:LogOptions",
            summary="counts and times what is asked of a layer",
        ),
    ]


@hookimpl
def copick_command() -> list[Command]:
    """Bring the commands."""
    return [
        Command("cache", 1, "copick_layers.cache.commands:cache", "fill, show or clear what a project keeps on local disk"),
        Command("index", 1, "copick_layers.index.commands:index", "build, check, update or show the index of a project"),
    ]
