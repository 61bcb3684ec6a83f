"""The example as others get it: built as a wheel, installed beside the wheels of copick-core, and run through the kit."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ["copick_core", "copick_backend_memory", "examples/copick_backend_sqlite"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds what the wheels hold, and nothing else of this repository."""
    pytest.importorskip("hatchling")
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    sources = [str(ROOT / name) for name in DISTRIBUTIONS]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), *sources], check=True)
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), *map(str, wheels.glob("*.whl"))], check=True)
    return target


def run(installed, *command):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *command], cwd=installed, env=environment, capture_output=True, text=True, check=False
    )


def test_the_packages_come_from_the_wheels(installed):
    code = "import copick_core, copick_backend_sqlite; print(copick_core.__file__, copick_backend_sqlite.__file__)"

    done = run(installed, "-c", code)

    assert done.stdout.count(str(installed)) == 2, done.stdout + done.stderr


def test_the_installed_example_passes_the_kit(installed):
    example = ROOT / "examples" / "copick_backend_sqlite"

    done = run(
        installed,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(example / "pyproject.toml"),
        str(example / "tests"),
    )

    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 200
