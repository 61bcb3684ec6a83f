"""Plugin of pytest that lets a suite written for zarr 2 call zarr 3, for copick's own suite of 1.x on the drop-in.

Only the suite's own calls of ``zarr`` are adapted: the mode as second argument, arrays in order, and new arrays in zarr 2.
Loaded with ``-p zarr2_calls``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import zarr


class Group:
    """A group of zarr 3 that lists its arrays by name, as groups of zarr 2 do."""

    def __init__(self, group: zarr.Group) -> None:
        self._group = group

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group, name)

    def __getitem__(self, name: str) -> Any:
        return self._group[name]

    def __contains__(self, name: str) -> bool:
        return name in self._group

    def arrays(self) -> Iterator[tuple[str, zarr.Array[Any]]]:
        yield from sorted(self._group.arrays())

    def create_dataset(self, name: str, data: Any, chunks: Any = "auto", **options: Any) -> zarr.Array[Any]:
        array = self._group.create_array(name, shape=data.shape, dtype=data.dtype, chunks=chunks)
        array[...] = data
        return array


def opened(open_: Callable[..., Any], store: Any = None, mode: str = "a", **options: Any) -> Any:
    if mode.startswith("w"):
        options.setdefault("zarr_format", 2)
    found = open_(store, mode=mode, **options)
    return Group(found) if isinstance(found, zarr.Group) else found


def created(create: Callable[..., Any], content: Any, **options: Any) -> Any:
    return create(content, zarr_format=2, **options)


class Zarr2(ModuleType):
    """What a test module sees as ``zarr``."""

    def __init__(self) -> None:
        super().__init__("zarr")
        self.open = functools.partial(opened, zarr.open)
        self.open_group = functools.partial(opened, zarr.open_group)
        self.array = functools.partial(created, zarr.array)
        self.create = functools.partial(created, zarr.create)

    def __getattr__(self, name: str) -> Any:
        return getattr(zarr, name)


@pytest.fixture(autouse=True)
def zarr2_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the adapter where the test's module has ``zarr``, also for its imports within functions."""
    if request.module.__dict__.get("zarr") is zarr:
        monkeypatch.setattr(request.module, "zarr", Zarr2())
