"""What copick-core finds: the command ``count``, the format ``xyz`` and the wrapper ``slow``."""

from __future__ import annotations

from copick_core.plugins import Command, Format, LayerWrapper, hookimpl


@hookimpl
def copick_command() -> Command:
    """Bring the command."""
    return Command("count", api_version=1, command="copick_plugin_example.command:count", summary="count annotations by run")


@hookimpl
def copick_format() -> Format:
    """Bring the format."""
    return Format(
        "xyz",
        api_version=1,
        suffixes=(".xyz",),
        reads={"picks": "copick_plugin_example.points:read"},
        writes={"picks": "copick_plugin_example.points:write"},
        summary="points as lines of x y z in angstrom",
    )


@hookimpl
def copick_layer_wrapper() -> LayerWrapper:
    """Bring the wrapper."""
    return LayerWrapper(
        "slow",
        api_version=1,
        wrap="copick_plugin_example.layer:SlowLayer",
        options_cls="copick_plugin_example.layer:SlowOptions",
        summary="waits before every call of a layer",
    )
