"""Who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "copick_core" / "src" / "copick_core"
FLOORS = [
    {"errors", "callers"},
    {"tree"},
    {"picks", "meshes"},
    {"layers"},
    {"plugins"},
    {"volumes"},
    {"models"},
    {"projects"},
    {"overlay"},
    {"opening"},
]
#: Imported upwards on purpose, inside functions: the way from a config class or a root to opening, wrapping and saving.
UPWARDS = {("tree", "opening"), ("models", "opening"), ("projects", "opening"), ("overlay", "opening")}
HEAVY = {"zarr", "trimesh", "fsspec", "pandas", "rich", "s3fs", "numcodecs", "distributed", "dask", "cloudpickle"}

#: A subclass needs its base class at import: these files are imported in functions, where they are used.
STORES = {CORE / "layers" / "path_store.py"}


def modules():
    for path in sorted(CORE.rglob("*.py")):
        name = path.relative_to(CORE).parts[0].removesuffix(".py")
        if name not in {"__init__", "__main__", "cli", "testing"}:
            yield name, path


def imports(path: Path, *, at_import: bool):
    """Modules that a file imports: when it is imported itself, or ever (type checking does not count)."""
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if typing_only or (at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            skipped.update(id(child) for child in ast.walk(node))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(name: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if name in names)


@pytest.mark.parametrize(("name", "path"), [*modules()], ids=lambda v: v if isinstance(v, str) else v.name)
def test_a_module_imports_only_its_own_floor_and_those_below(name, path):
    for imported in imports(path, at_import=False):
        parts = imported.split(".")
        if parts[0] == "copick_core" and len(parts) > 1 and any(parts[1] in names for names in FLOORS):
            assert floor(parts[1]) <= floor(name) or (name, parts[1]) in UPWARDS, f"{path.name} imports {imported}"


@pytest.mark.parametrize(("name", "path"), [*modules()], ids=lambda v: v if isinstance(v, str) else v.name)
def test_core_imports_no_backend_and_no_kit(name, path):
    for imported in imports(path, at_import=False):
        assert not imported.startswith(("copick_backend_", "copick_core.testing", "copick_core.cli")), imported


@pytest.mark.parametrize(("name", "path"), [*modules()], ids=lambda v: v if isinstance(v, str) else v.name)
def test_heavy_packages_are_imported_where_they_are_used(name, path):
    stores = {".".join(("copick_core", *store.relative_to(CORE).with_suffix("").parts)) for store in STORES}

    assert not stores & {*imports(path, at_import=True)}
    assert path in STORES or not HEAVY & {imported.split(".")[0] for imported in imports(path, at_import=True)}
