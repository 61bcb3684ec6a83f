"""Classes of several backends as one: a stack over layers of several places offers what each of their roots does."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

_FACTORY = "_factory"


def combined(classes: Iterable[type[Any]]) -> type[Any]:
    """One class that is all of the given ones.

    Where several define the same attribute, the first one's counts. Factories (methods named ``_…_factory``, which give the
    classes of entities) are asked of all, and what they give is combined in turn.

    Args:
        classes: Classes whose ``__init__`` and methods call ``super()``.
    """
    found = [*dict.fromkeys(classes)]
    return _combined(tuple(cls for cls in found if not any(other is not cls and issubclass(other, cls) for other in found)))


def parts(cls: type[Any]) -> tuple[type[Any], ...]:
    """The classes that :func:`combined` made a class of; the class itself if it was not made so."""
    made: tuple[type[Any], ...] = vars(cls).get("_combined_of", (cls,))
    return made


@cache
def _combined(classes: tuple[type[Any], ...]) -> type[Any]:
    if len(classes) == 1:
        return classes[0]
    names = {name for cls in classes for name in dir(cls) if name.endswith(_FACTORY)}
    factories = {name: _factory(name, classes) for name in sorted(names)}
    first = classes[0]
    members = {"__slots__": (), "__doc__": first.__doc__, "__module__": first.__module__, "_combined_of": classes}
    return type("And".join(cls.__name__ for cls in classes), classes, members | factories)


def _factory(name: str, classes: tuple[type[Any], ...]) -> Any:
    def factory(self: Any) -> Any:
        found = [getattr(cls, name)(self) for cls in classes if hasattr(cls, name)]
        if not isinstance(found[0], tuple):
            return combined(found)
        return combined(made for made, *_ in found), *found[0][1:]

    factory.__name__ = name
    return factory
