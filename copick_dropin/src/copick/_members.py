"""What no signature of copick shows, and tools rely on.

Members of classes can be deleted, lists are kept, and getters take the filters of every backend.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


class _Removed:
    """Stands for a member that was deleted from a class although a base class has it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__} has no attribute {self._name!r}")


class Members(type):
    """Deleting a member of a class hides that of its base too.

    Tools look with ``hasattr`` what a copick can do, and their tests delete members to be an older one.
    """

    def __delattr__(cls, name: str) -> None:
        super().__delattr__(name)
        if hasattr(cls, name):
            removed = _Removed()
            removed.__set_name__(cls, name)
            setattr(cls, name, removed)


class Cache:
    """A list that copick keeps, ``run._picks`` and the like: None until it is listed, and again when set to None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._children = f"{name}_children"

    def __get__(self, instance: object | None, owner: type) -> Any:
        return self if instance is None else getattr(instance, self._children).listed

    def __set__(self, instance: object, value: None) -> None:
        if value is not None:
            raise AttributeError("it can be set to None only, which forgets what was listed")
        getattr(instance, self._children).forget()


#: Filters that only the portal's backend has; with others they change nothing, as in copick.
PORTAL_FILTERS = frozenset({"portal_meta_query", "portal_author_query"})


def accepted(method: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The filters that a method takes, without those of the portal where it is another backend's.

    Args:
        method: The getter of a backend.
        given: Keywords of a call.

    Raises:
        TypeError: No backend has such a filter: without it, the getter would return more than was asked for.
    """
    if not given:
        return {}
    parameters = inspect.signature(method).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return dict(given)  # the backend's own getter knows which there are
    known = {*parameters}
    if unknown := sorted(given.keys() - known - PORTAL_FILTERS):
        raise TypeError(f"{method.__name__}() has no filter {unknown[0]!r}; it has {', '.join(sorted(known))}")
    return {name: value for name, value in given.items() if name in known}
