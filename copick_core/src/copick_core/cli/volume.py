"""``volume``: the shared volume of a segmentation web app; what it does is in the backend, which may not be installed."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from copick_core.errors import MissingDependencyError
from copick_core.plugins import install_line

_BACKEND = "copick_backend_volume.cli"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the backend's arguments; without it, takes any, so that :func:`run` can tell what is missing."""
    try:
        backend: Any = importlib.import_module(_BACKEND)
    except ImportError:
        parser.add_argument("arguments", nargs=argparse.REMAINDER)
        return
    backend.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the backend's command."""
    try:
        backend: Any = importlib.import_module(_BACKEND)
    except ImportError as error:
        install = str(install_line("backends", "compose_volume"))
        raise MissingDependencyError(feature="The command volume", install=install) from error
    return int(backend.run(args))
