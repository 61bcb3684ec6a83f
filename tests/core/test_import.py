"""What a fresh process imports to open a project: counted in modules, which do not flake as seconds do."""

import json
import subprocess
import sys

import pytest

#: Packages that cost more than everything else together, and are not needed before data are read or written.
HEAVY = {
    *(
        "aiobotocore",
        "aiohttp",
        "asyncio",
        "boto3",
        "fsspec",
        "numcodecs",
        "numpy",
        "obstore",
        "pandas",
        "s3fs",
        "scipy",
        "ssl",
    ),
    *("trimesh", "zarr"),
}
#: What this project could import at the start, but leaves to those who need it.
LATER = {"difflib", "copick_core.projects.copying", "copick_core.picks", "copick_core.volumes.sources"}
#: Modules that an interpreter has before it runs anything; development installs add some.
IMPORT = "import copick_core"
OPEN = "import copick_core; copick_core.open({config!r})"
QUIETLY = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):"


def modules_after(code: str) -> set[str]:
    """Names of the modules that code imports in a fresh process, without those that the interpreter brings."""
    program = f"import sys; before = {{*sys.modules}}\n{code}\nimport json; print(json.dumps([*{{*sys.modules}} - before]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {*json.loads(done.stdout)}


@pytest.mark.parametrize("config_type", ["filesystem", "memory"])
def test_opening_a_project_imports_nothing_heavy(tmp_path, config_type):
    config = {"config_type": config_type, "pickable_objects": []}
    if config_type == "filesystem":
        config["overlay_root"] = str(tmp_path)

    imported = modules_after(OPEN.format(config=config))

    assert imported & (HEAVY | LATER) == set()


def test_importing_imports_nothing_but_the_package(tmp_path):
    assert {name for name in modules_after(IMPORT) if name.startswith("copick")} == {"copick_core"}


def test_importing_the_package_imports_a_bounded_number_of_modules():
    imported = modules_after(IMPORT)

    # 2 of this project; the rest is the standard library's, which differs between its versions.
    assert len(imported) <= 40, sorted(imported)


def test_opening_a_project_imports_a_bounded_number_of_modules(tmp_path):
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path), "pickable_objects": []}
    pydantic = "from pydantic import BaseModel, TypeAdapter\nclass Config(BaseModel): x: int\nConfig(x=1)"

    ours = modules_after(OPEN.format(config=config)) - modules_after(pydantic)

    # 61 of this project, 13 of pluggy; the standard library's differ between its versions.
    assert len(ours) <= 100, sorted(ours)


@pytest.mark.parametrize("words", [["--help"], ["plugins"]])
def test_help_and_the_list_of_plugins_do_not_ask_importlib_metadata(words):
    imported = modules_after(f"from copick_core.__main__ import main\n{QUIETLY} main({words})")

    assert imported & {"importlib.metadata", "importlib_metadata", "email", "zipfile"} == set()


@pytest.mark.parametrize("words", [["--help"], ["plugins"]])
def test_help_and_the_list_of_plugins_import_the_records_of_plugins_and_nothing_heavy(words):
    imported = modules_after(f"from copick_core.__main__ import main\n{QUIETLY} main({words})")

    assert imported & (HEAVY | LATER | {"pydantic"}) == set()
    assert len(imported) <= 160, sorted(imported)
