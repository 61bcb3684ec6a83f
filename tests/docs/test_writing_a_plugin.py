"""The tutorial is true: its code is the files that are tested, and its steps work in an empty folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import copick_core
from copick_core import plugins
from copick_core.plugins.format_functions import PicksTable

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "copick_backend_sqlite"
TEXT = (ROOT / "docs" / "writing-a-plugin.md").read_text()
LANGUAGES = {".py": "python", ".toml": "toml"}
INCLUDED = re.findall(r"<!-- include: (\S+) -->\n```(\w+)\n(.*?)\n```\n", TEXT, re.S)


@pytest.mark.parametrize(("path", "language", "code"), INCLUDED, ids=[path for path, _, _ in INCLUDED])
def test_the_code_of_the_tutorial_is_the_file(path, language, code):
    assert language == LANGUAGES[Path(path).suffix]
    assert code == (ROOT / path).read_text().rstrip("\n"), "run: python docs/include.py"


def test_every_file_of_the_example_is_in_the_tutorial():
    sources = {
        p.relative_to(ROOT).as_posix()
        for p in [*EXAMPLE.rglob("first/*.py"), *EXAMPLE.rglob("src/**/*.py"), *EXAMPLE.rglob("tests/*.py")]
    }

    assert sources - {path for path, _, _ in INCLUDED} == {
        "examples/copick_backend_sqlite/src/copick_backend_sqlite/__init__.py"
    }
    assert TEXT.count("<!-- include:") == len(INCLUDED)


def test_the_first_version_runs_in_an_empty_folder(tmp_path):
    for path, _, code in [entry for entry in INCLUDED if "/first/" in entry[0]]:
        (tmp_path / Path(path).name).write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}

    for step in ("make_table.py", "use_it.py"):
        done = subprocess.run(
            [sys.executable, step], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    assert "[[10. 20. 30.]]" in done.stdout


def test_the_line_count_is_stated():
    lines = sum(len(p.read_text().splitlines()) for p in EXAMPLE.glob("src/*/*.py") if p.name != "__init__.py")

    assert f"{lines} lines in four files" in TEXT


@pytest.mark.slow
def test_the_example_passes_the_kit(tmp_path):
    """As it is when it is installed: its entry point is found in its metadata."""
    info = tmp_path / "copick_backend_sqlite-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: copick-backend-sqlite\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[copick.backends]\nsqlite = copick_backend_sqlite.plugin\n")
    path = os.pathsep.join([str(tmp_path), str(EXAMPLE / "src"), *(p for p in sys.path if p)])

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(EXAMPLE),
            "-c",
            str(EXAMPLE / "pyproject.toml"),
            str(EXAMPLE / "tests"),
        ],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 200


SNIPPETS = dict(
    zip(["command", "format", "wrapper"], re.findall(r"<!-- run -->\n```python\n(.*?)```", TEXT, re.S), strict=True)
)


@pytest.fixture
def project(tmp_path):
    """A configuration file of a project with one run, and the plugins that a snippet registers."""
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "project")}
    copick_core.open(config).new_run("TS_1")
    (tmp_path / "config.json").write_text(json.dumps(config))
    yield tmp_path / "config.json"
    plugins.reset()


def test_the_ten_lines_of_a_command_run(project):
    exec(SNIPPETS["command"], {})

    done = CliRunner().invoke(plugins.commands.get("count").command, [str(project)])

    assert done.output == "TS_1 0\n"


def test_the_ten_lines_of_a_format_run(project, tmp_path):
    exec(SNIPPETS["format"], {})
    xyz = plugins.formats.get("xyz")
    points = np.array([[1.0, 2.0, 3.0]])

    xyz.writes["picks"](str(tmp_path / "a.xyz"), [PicksTable(points)])
    [table] = xyz.reads["picks"](str(tmp_path / "a.xyz"))

    assert np.array_equal(table.positions, points)


def test_the_ten_lines_of_a_wrapper_run(project, capsys):
    exec(SNIPPETS["wrapper"], {})
    config = {**json.loads(project.read_text()), "wrappers": [{"name": "loud"}]}

    names = [run.name for run in copick_core.open(config).runs]

    assert names == ["TS_1"]
    assert capsys.readouterr().out.startswith("list ")


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_has_at_most_ten_lines_of_code(name):
    assert len([line for line in SNIPPETS[name].splitlines() if line.strip()]) <= 10


@pytest.mark.slow
def test_the_example_of_a_command_a_format_and_a_wrapper_passes_its_tests(tmp_path):
    example = ROOT / "examples" / "copick_plugin_example"
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", "-q", *offline, "--target", str(tmp_path), str(example)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *(p for p in sys.path if p)])}
    subprocess.run(install, check=True, env=environment)
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]

    done = subprocess.run(
        [*pytest_, "-c", str(example / "pyproject.toml"), str(example / "tests")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 300
