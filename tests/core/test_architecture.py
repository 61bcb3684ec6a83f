"""Who may import whom: the drawing in docs/architecture.md, as a table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "copick_core" / "src" / "copick_core"
PACKAGES = sorted(path.parent for path in ROOT.glob("copick_*/src/*/__init__.py"))

#: What each wing of core may import, at any time; every wing may import itself and `errors`.
WINGS = {
    "callers": set(),
    "errors": set(),
    "tree": {"callers"},
    "meshes": set(),
    "picks": {"tree"},
    "filaments": set(),
    "layers": {"tree", "picks", "meshes", "callers"},
    "volumes": {"tree", "layers", "plugins", "callers"},
    "plugins": {"layers", "tree"},
    "models": {"tree", "layers", "picks", "filaments", "meshes", "volumes", "callers"},
    "projects": {"tree", "layers", "picks", "volumes", "plugins", "callers"},
    "overlay": {"tree", "layers", "picks", "filaments", "meshes", "volumes", "models", "projects"},
    "opening": {"tree", "layers", "plugins", "models", "overlay", "callers"},
    "cli": {"tree", "layers", "plugins", "projects", "opening", "testing"},
    "testing": {"tree", "layers", "picks", "meshes", "volumes", "plugins", "models", "overlay", "projects", "opening"},
}
#: Upwards on purpose, in functions: users open, wrap and save a project from what they hold of it.
UPWARDS = {
    ("tree.schema", "opening"),
    ("models.root", "opening"),
    ("overlay.root", "opening"),
    ("projects.runs", "opening"),
}
#: A subclass needs its base class at import: these files are imported in functions, where they are used.
STORES = {"copick_core.layers.path_store"}
#: Imported in functions only: what takes long to import, or need not be installed.
HEAVY = {"zarr", "trimesh", "fsspec", "pandas", "rich", "s3fs", "numcodecs", "distributed", "dask", "cloudpickle"}


def files_of(package: Path) -> dict[str, Path]:
    """The modules of a package by their full names."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, *, at_import: bool = False) -> Iterator[str]:
    """What a file imports: when it is imported itself, or ever (type checking does not count)."""
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        body = node.body if typing_only else [node]
        if typing_only or (at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            skipped.update(id(child) for part in body for child in ast.walk(part))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


#: What must be light at import: everything but the commands and the kit.
LIGHT = [p for p in files_of(CORE).values() if p.relative_to(CORE).parts[0] not in {"cli", "testing"}]


def wing_of(module: str) -> str:
    return [*module.split("."), ""][1]


def forbidden(package: Path) -> list[str]:
    """The imports of core that the table does not allow."""
    return [
        f"{module} imports {imported}"
        for module, path in files_of(package).items()
        for imported in imports(path)
        if imported.startswith("copick_core.")
        if (wing := wing_of(module)) in WINGS and (other := wing_of(imported)) in WINGS
        if other not in WINGS[wing] | {wing, "errors"} and (module.removeprefix("copick_core."), other) not in UPWARDS
    ]


def circle(package: Path) -> list[str]:
    """Files of a package that import each other at run time, in functions included; empty where there are none."""
    files = files_of(package)
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        names = (name if name in files else name.rpartition(".")[0] for name in imports(path))
        graph[module] = {name for name in names if name in files} - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def write_package(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / "copick_core" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "copick_core"


def test_wings_import_only_what_the_table_allows():
    assert forbidden(CORE) == []


def test_every_wing_stands_in_the_table():
    wings = {path.stem for path in CORE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert wings - {"__init__", "__main__"} == set(WINGS)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_no_files_import_each_other(package):
    assert circle(package) == []


@pytest.mark.parametrize("path", [*files_of(CORE).values()], ids=lambda path: str(path.relative_to(CORE)))
def test_core_imports_no_other_distribution_of_ours(path):
    others = {package.name for package in PACKAGES} - {"copick_core"}

    assert not others & {imported.split(".")[0] for imported in imports(path)}


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: str(path.relative_to(CORE)))
def test_heavy_packages_are_imported_where_they_are_used(path):
    imported = {*imports(path, at_import=True)}
    modules = imported | {name.rpartition(".")[0] for name in imported}

    assert not STORES & modules
    assert path in map(files_of(CORE).get, STORES) or not HEAVY & {name.split(".")[0] for name in imported}


def test_an_import_upwards_is_found(tmp_path):
    package = write_package(tmp_path, tree__keys="def f():\n    from copick_core.overlay import root\n")

    assert forbidden(package) == ["copick_core.tree.keys imports copick_core.overlay.root"]


def test_a_circle_through_a_function_is_found(tmp_path):
    one, two = "from copick_core.b import x", "def f():\n    from copick_core.a import y\n"

    assert {*circle(write_package(tmp_path, a=one, b=two))} == {"copick_core.a", "copick_core.b"}


def test_an_import_for_type_checking_makes_no_circle(tmp_path):
    one, two = "from copick_core.b import x", "if TYPE_CHECKING:\n    from copick_core.a import y\n"

    assert circle(write_package(tmp_path, a=one, b=two)) == []


#: Files that name the kind of filaments: what another kind has to touch.
FILAMENTS = {
    "copick_core.tree.keys",
    "copick_core.tree.layout",
    "copick_core.models",
    "copick_core.models.filaments",
    "copick_core.models.filaments_of_run",
    "copick_core.models.run",
    "copick_core.projects.content_problems",
    "copick_core.projects.annotation_contents",
    "copick_core.projects.annotation_files",
    "copick_core.overlay",
    "copick_core.overlay.leaves",
    "copick_backend_fs.entities",
    "copick_backend_fs.guess",
}

#: What follows from the table in its own way: the kit's samples, file formats, what a viewer draws, and the names of copick's
#: classes.
OUTSIDE = ("copick_core.testing", "copick_formats", "copick_view.napari_plugin", "copick_view.viewer", "copick.")


def names_of(path: Path) -> set[str]:
    """Names and attributes that a file uses."""
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    names = {ast.unparse(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
    return names | {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_a_kind_is_named_by_the_table_the_layout_its_model_its_overlay_class_and_the_kit_alone():
    """Listing, tables, prefetching, copying, deleting, addresses and the other backends read the table."""
    kind = {"Kind.FILAMENTS", "FilamentsKey", "CopickFilaments", "CopickFilamentsOverlay", "FilamentsOfRun"}
    named = {module for package in PACKAGES for module, path in files_of(package).items() if kind & names_of(path)}

    assert {module for module in named if not module.startswith(OUTSIDE)} == FILAMENTS
