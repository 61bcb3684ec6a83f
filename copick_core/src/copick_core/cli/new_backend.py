"""``new-backend``: write the skeleton of a backend, whose tests run at once and fail where something is to be filled in."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from string import Template

import click

from copick_core import plugins
from copick_core.errors import InvalidNameError

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

#: Files of the package, by path; ``$name`` is the config_type and ``$Name`` the stem of class names.
FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling>=1.21"]
build-backend = "hatchling.build"

[project]
name = "copick-backend-$dashed"
version = "0.1.0"
description = "copick projects in $name"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["copick-core"]

[project.optional-dependencies]
test = ["copick-core[memory,testing]"]

[project.entry-points."copick.backends"]
$name = "copick_backend_$name.plugin"

[tool.hatch.build.targets.wheel]
packages = ["src/copick_backend_$name"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["src"]
addopts = "--import-mode=importlib"
""",
    "README.md": """\
# copick-backend-$dashed

copick projects in $name.

```json
{"config_type": "$name", "location": "...", "pickable_objects": []}
```

## To do

1. `pip install -e ".[test]"` and `pytest`: everything that fails says "fill in".
2. Fill in the methods of `src/copick_backend_$name/layer.py`, from the top; each makes more checks pass.
   Their contract is in the docstrings of `copick_core.layers.Layer`; a place that is only read needs the first four.
   If your storage keeps bytes under names with slashes, subclass `copick_core.layers.path_layer.PathLayer` instead.
3. Say in `plugin.py` what the configuration needs to know, and in `tests/` how a test gets an empty place.
""",
    "src/copick_backend_$name/__init__.py": '"""copick projects in $name."""\n',
    "src/copick_backend_$name/py.typed": "",
    "src/copick_backend_$name/plugin.py": '''\
"""What copick-core finds: the backend of ``"config_type": "$name"``."""

from __future__ import annotations

from typing import Literal

from copick_core.layers import Layers
from copick_core.plugins import Backend, hookimpl
from copick_core.tree.schema import CopickConfig

from copick_backend_$name.layer import ${Name}Layer


class CopickConfig$Name(CopickConfig):
    """Configuration of a project in $name.

    Attributes:
        location: Where the project is.
    """

    config_type: Literal["$name"] = "$name"
    location: str


def open_layers(config: CopickConfig$Name) -> Layers:
    """Open the layers of a project; nothing is connected to before the first call."""
    return Layers(overlay=${Name}Layer(config.location))


@hookimpl
def copick_backend() -> Backend:
    """Bring the $name backend."""
    return Backend(
        "$name",
        api_version=1,
        config_cls=CopickConfig$Name,
        open_layers=open_layers,
        summary="copick projects in $name",
    )
''',
    "src/copick_backend_$name/layer.py": '''\
"""The layer: everything that is known about $name."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from copick_core.tree.keys import Key, Kind, ParentKey
from copick_core.layers import ANY, Layer, Revision

if TYPE_CHECKING:
    from zarr.abc.store import Store


class ${Name}Layer(Layer):
    """A layer in $name.

    Args:
        location: Where it is.
        name: Name of the layer.
        read_only: Refuse writes.
    """

    def __init__(self, location: str, name: str = "$name", *, read_only: bool = False) -> None:
        self.location_of_all = location
        self.name = name
        self.read_only = read_only

    # Reading. A place that is only read needs no more than this.

    def list(self, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        """List the entities of a kind below a parent; nothing for an unknown parent."""
        raise NotImplementedError("fill in ${Name}Layer.list()")

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now."""
        raise NotImplementedError("fill in ${Name}Layer.exists()")

    def read(self, key: Key) -> bytes:
        """Read picks or a mesh; NotFoundError(key=key, layer=self.name) if there is nothing."""
        raise NotImplementedError("fill in ${Name}Layer.read()")

    def zarr(self, key: Key) -> Store:
        """Open a volume: a store rooted at it, read-only if self.read_only is; creates nothing."""
        raise NotImplementedError("fill in ${Name}Layer.zarr()")

    # Writing.

    def write(self, key: Key, data: bytes, *, if_revision: Revision | None = ANY) -> Revision | None:
        """Store picks or a mesh, all or nothing; ConflictError if something else than if_revision is stored."""
        self.check_writable(key)
        raise NotImplementedError("fill in ${Name}Layer.write()")

    def ensure(self, key: Key) -> None:
        """Make a run or a voxel spacing; one that exists stays as it is."""
        self.check_writable(key)
        raise NotImplementedError("fill in ${Name}Layer.ensure()")

    def replace_zarr(self, key: Key) -> AbstractContextManager[Store]:
        """Give a fresh store that takes the place of the volume when the block succeeds."""
        self.check_writable(key)
        raise NotImplementedError("fill in ${Name}Layer.replace_zarr()")

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it; NotFoundError if there is nothing."""
        self.check_writable(key)
        raise NotImplementedError("fill in ${Name}Layer.delete()")
''',
    "tests/test_conformance.py": '''\
"""The $name backend keeps the contract."""

import pytest
from copick_core.testing import BackendTests, LayerTests

from copick_backend_$name.layer import ${Name}Layer
from copick_backend_$name.plugin import copick_backend


class Test${Name}Layer(LayerTests):
    @pytest.fixture
    def layer(self, tmp_path):
        return ${Name}Layer(str(tmp_path))

    def reopen(self, layer, *, read_only=False):
        return ${Name}Layer(layer.location_of_all, read_only=read_only)


class Test${Name}Backend(BackendTests):
    backend = copick_backend()  # leave this out once the package is installed: the checks of other processes run then

    def make_config(self, folder, name):
        return {"config_type": "$name", "location": str(folder / name)}
''',
}


@click.command
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path), default=Path(), help="Where the package is made.")
def new_backend(name: str, into: Path) -> None:
    """Write the skeleton of a storage backend, with its tests.

    NAME is its config_type: lower-case letters, digits and underscores.
    """
    folder = write_package(name, into)
    sys.stdout.write(f"{folder}\n")
    sys.stderr.write(f'Next: cd {folder}; pip install -e ".[test]"; pytest. What fails says what to fill in.\n')


def write_package(name: str, into: Path) -> Path:
    """Write the skeleton of a backend.

    Args:
        name: Its ``config_type``.
        into: Where its folder is made.

    Returns:
        The folder, ``copick_backend_{name}``.

    Raises:
        InvalidNameError: The name cannot be that of a Python package, or is that of another backend.
        FileExistsError: The folder exists.
    """
    if not _NAME.fullmatch(name):
        raise InvalidNameError(what="backend name", name=name, reason="use lower-case letters, digits and underscores")
    if name in plugins.known()["backends"] or name in plugins.backends.names():
        raise InvalidNameError(what="backend name", name=name, reason="there is a backend of this name")
    folder = into / f"copick_backend_{name}"
    folder.mkdir(parents=True)
    words = {"name": name, "Name": "".join(part.capitalize() for part in name.split("_")), "dashed": name.replace("_", "-")}
    for path, text in FILES.items():
        file = folder / Template(path).substitute(words)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template(text).substitute(words), encoding="utf-8")
    return folder
