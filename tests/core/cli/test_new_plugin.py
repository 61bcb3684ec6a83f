"""`new-plugin` writes packages that install and whose tests run: all pass, but those of a backend that is to be filled in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from copick_core.__main__ import main
from copick_core.cli.new_plugin import write_package
from copick_core.errors import InvalidNameError

SYS_PATH = [p for p in sys.path if p and Path(p) != Path(__file__).parents[2]]


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """Write a plugin with the command, install it, and run its tests: {test: what it failed with, or ""}."""

    def attempt(kind: str, *options: str) -> dict[str, str]:
        into = tmp_path_factory.mktemp(kind)
        assert main(["new-plugin", kind, "my_own", *options, "--into", str(into)]) == 0
        [folder] = into.iterdir()
        # --no-deps: pip leaves everything that is there alone; the environment's packages are found by PYTHONPATH.
        site = into / "site"
        install = [
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--target",
            str(site),
            str(folder),
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(site), *SYS_PATH]),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        subprocess.run([sys.executable, "-m", *install], check=True, env=environment)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "--junitxml=report.xml"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert (folder / "report.xml").exists(), done.stdout + done.stderr
        cases = ElementTree.parse(folder / "report.xml").iter("testcase")
        return {
            f"{case.get('classname')}::{case.get('name')}": "".join(
                f"{f.get('message')} {f.text}" for f in [*case.iter("failure"), *case.iter("error")]
            )
            for case in cases
        }

    return attempt


@pytest.mark.parametrize(
    ("kind", "tests"), [("command", 3), ("format", 4), pytest.param("wrapper", 300, marks=pytest.mark.slow)]
)
def test_the_skeleton_of_a_plugin_works_at_once(tried, kind, tests):
    results = tried(kind)

    assert {name: failure for name, failure in results.items() if failure} == {}
    assert len(results) >= tests


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--paths"]], ids=["layer", "paths"])
def test_the_tests_of_a_new_backend_fail_only_where_something_is_to_be_filled_in(tried, options):
    results = tried("backend", *options)

    failures = {name: failure for name, failure in results.items() if failure}
    assert {n: f for n, f in failures.items() if "fill in MyOwnLayer." not in f} == {}
    assert len(results) - len(failures) >= 15


@pytest.mark.parametrize("kind", ["backend", "command", "format", "wrapper"])
@pytest.mark.parametrize("name", ["My", "a-b", "1a", "", "a__b", "../a", "import"])
def test_a_name_that_is_no_package_is_refused(tmp_path, kind, name):
    with pytest.raises(InvalidNameError):
        write_package(kind, name, tmp_path)

    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [("backend", "memory"), ("backend", "stack"), ("command", "new_config"), ("format", "mrc"), ("wrapper", "log")],
)
def test_the_name_of_another_plugin_is_refused(tmp_path, kind, name):
    with pytest.raises(InvalidNameError, match=f"there is a {kind} of this name"):
        write_package(kind, name, tmp_path)


def test_what_exists_is_not_overwritten(tmp_path):
    write_package("format", "mine", tmp_path)

    with pytest.raises(FileExistsError):
        write_package("format", "mine", tmp_path)


def test_the_folder_and_its_files_are_told_as_json(tmp_path, capsys):
    assert main(["new-plugin", "command", "count", "--into", str(tmp_path), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(tmp_path / "copick_command_count")
    assert "pyproject.toml" in told["files"]
    assert all((tmp_path / "copick_command_count" / file).is_file() for file in told["files"])


@pytest.mark.parametrize(
    ("kind", "next_step"),
    [("backend", "The tests that fail say what to fill in."), ("format", "It works as it is; change it.")],
)
def test_what_to_do_next_is_told_beside_the_folder(tmp_path, capsys, kind, next_step):
    into = tmp_path / "not" / "there"
    assert main(["new-plugin", kind, "mine", "--into", str(into)]) == 0

    folder = into / f"copick_{kind}_mine"
    told = capsys.readouterr()
    assert told.out == f"{folder}\n"
    assert told.err == f'Next: cd {folder}; pip install -e ".[test]"; pytest. {next_step}\n'


@pytest.mark.parametrize("kind", ["command", "format", "wrapper"])
def test_only_a_backend_keeps_bytes_under_paths(tmp_path, capsys, kind):
    assert main(["new-plugin", kind, "mine", "--paths", "--into", str(tmp_path)]) == 2

    assert "--paths is for backends" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []
