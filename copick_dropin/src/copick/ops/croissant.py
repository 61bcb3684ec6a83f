"""Exports to mlcroissant, which this distribution does not have."""

from __future__ import annotations

from typing import Any, NoReturn

_WAY_OUT = "mlcroissant is not part of the drop-in: export with the released copick, in an environment of its own"


def export_croissant(*args: Any, **kwargs: Any) -> NoReturn:
    """Export a project as a Croissant dataset.

    Raises:
        NotImplementedError: Always; tells what to do.
    """
    raise NotImplementedError(_WAY_OUT)


def append_croissant(*args: Any, **kwargs: Any) -> NoReturn:
    """Add to a Croissant dataset.

    Raises:
        NotImplementedError: Always; tells what to do.
    """
    raise NotImplementedError(_WAY_OUT)


def set_splits(*args: Any, **kwargs: Any) -> NoReturn:
    """Edit the splits of a Croissant dataset.

    Raises:
        NotImplementedError: Always; tells what to do.
    """
    raise NotImplementedError(_WAY_OUT)
