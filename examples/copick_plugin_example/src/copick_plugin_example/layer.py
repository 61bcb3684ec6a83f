"""A layer around a layer that waits before every call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import Field

from copick_core.layers import Layer, WrapperLayer
from copick_core.tree.wrapper_options import WrapperOptions

T = TypeVar("T")


class SlowOptions(WrapperOptions):
    """Options of the wrapper.

    Attributes:
        seconds: How long to wait before every call.
    """

    seconds: float = Field(default=0.1, ge=0)


class SlowLayer(WrapperLayer):
    """A layer that waits before every call."""

    def __init__(self, inner: Layer, options: SlowOptions) -> None:
        super().__init__(inner)
        self.seconds = options.seconds

    def around(self, method: str, key: Any, call: Callable[[], T]) -> T:
        """Wait, then pass the call on."""
        time.sleep(self.seconds)
        return call()
