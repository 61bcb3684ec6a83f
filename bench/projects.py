"""Projects that both libraries open, in the same way."""

from __future__ import annotations

import contextlib
import importlib
import json
from pathlib import Path
from typing import Any

import rounds  # noqa: F401 - lets tests/support be found

from support.description import write_config

RUN, VOXEL_SIZE, TOMOGRAM = "TS_0001", 10.0, "wbp"


def open_project(library: str, folder: Path, **fields: Any) -> Any:
    """Open the filesystem project in a folder; makes it if there is none.

    Args:
        library: ``"copick"`` or ``"copick_core"``.
        folder: Where.
        **fields: More fields of the configuration.
    """
    (folder / "project").mkdir(exist_ok=True)
    config = write_config(folder / "config.json", folder / "project")
    config.write_text(json.dumps({**json.loads(config.read_text()), **fields}))
    return importlib.import_module(library).from_file(str(config))


def import_now(*names: str) -> None:
    """Import what one library imports with itself and the other when it is first needed, so that it is not timed."""
    for name in names:
        with contextlib.suppress(ModuleNotFoundError):  # the reference's environment lacks ours
            importlib.import_module(name)


def new_tomogram(root: Any) -> Any:
    """A new tomogram in a new run."""
    return root.new_run(RUN).new_voxel_spacing(VOXEL_SIZE).new_tomogram(TOMOGRAM)


def stored_tomogram(root: Any) -> Any:
    """The tomogram that is there."""
    return root.get_run(RUN).get_voxel_spacing(VOXEL_SIZE).get_tomogram(TOMOGRAM)
