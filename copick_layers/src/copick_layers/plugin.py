"""What ``copick.wrappers`` finds: the wrapper ``log``."""

from __future__ import annotations

from copick_core.plugins import LayerWrapper, hookimpl


@hookimpl
def copick_layer_wrapper() -> LayerWrapper:
    """Bring the log."""
    return LayerWrapper(
        "log",
        api_version=1,
        wrap="copick_layers.log:LogLayer",
        options_cls="copick_layers.log:LogOptions",
        summary="counts and times what is asked of a layer",
    )
