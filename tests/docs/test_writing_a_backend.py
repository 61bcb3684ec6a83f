"""The tutorial is true: its code is the files that are tested, and its steps work in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "copick_backend_sqlite"
TEXT = (ROOT / "docs" / "writing-a-backend.md").read_text()
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
    for path, _, code in INCLUDED[:3]:
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
