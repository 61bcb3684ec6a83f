"""Logging."""

from __future__ import annotations

import logging


def get_logger(name: str, debug: bool = False) -> logging.Logger:
    """The logger of a name.

    Unlike that of the released copick, it leaves the root logger's handlers alone; the command line sets one up.

    Args:
        name: Its name.
        debug: Whether it logs at level DEBUG.
    """
    logger = logging.getLogger(name)
    if debug:
        logger.setLevel(logging.DEBUG)
    return logger
