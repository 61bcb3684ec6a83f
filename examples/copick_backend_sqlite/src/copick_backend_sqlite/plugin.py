"""What copick-core finds: the backend of ``"config_type": "sqlite"``."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Literal

import click

from copick_backend_sqlite.database import is_project
from copick_backend_sqlite.layer import SQLiteLayer
from copick_core.layers import Layers
from copick_core.plugins import Backend, hookimpl
from copick_core.tree.schema import CopickConfig


class CopickConfigSQLite(CopickConfig):
    """Configuration of a project in a file.

    Attributes:
        path: The file; a relative one starts at the configuration's folder. It is made by the first write.
        read_only: Whether the project is only read.
    """

    location_fields: ClassVar[tuple[str, ...]] = ("path",)

    config_type: Literal["sqlite"] = "sqlite"
    path: str
    read_only: bool = False


def open_layers(config: CopickConfigSQLite) -> Layers:
    """Open the one layer of a project."""
    layer = SQLiteLayer(config.path, read_only=config.read_only)
    return Layers(static=[layer]) if config.read_only else Layers(overlay=layer)


def guess(path: str) -> dict[str, Any] | None:
    """Make a configuration for a file that is such a project."""
    return {"path": os.path.abspath(path)} if is_project(path) else None


@click.option("--path", default="project.sqlite", show_default=True, help="The file; the first write makes it.")
@click.option("--read-only", is_flag=True, help="Only read the project.")
def new_config(path: str, read_only: bool) -> dict[str, Any]:
    """Write the configuration of a project in one SQLite file."""
    return {"path": path, "read_only": read_only}


@hookimpl
def copick_backend() -> Backend:
    """Bring the SQLite backend."""
    return Backend(
        "sqlite",
        api_version=1,
        config_cls=CopickConfigSQLite,
        open_layers=open_layers,
        summary="A whole project in one SQLite file",
        guess=guess,
        new_config=new_config,
    )
