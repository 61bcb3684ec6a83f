"""Warnings that show the line of whoever called copick, however deep inside the warning comes up."""

from __future__ import annotations

import sys
import warnings

#: What the modules of copick are named like, those of plugins too.
_OURS = "copick_"


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and name the first line on the way up that is in no package of copick.

    Args:
        message: What the user should know.
        category: The class of the warning.
    """
    # From Python 3.12 on, warnings.warn() can do this itself: skip_file_prefixes.
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
