"""An interpreter that has the drop-in, and programs that it runs: nothing of the drop-in is installed for our own tests."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

from support.environments import REPOSITORY

DROPIN = REPOSITORY / "copick_dropin"


def interpreter(folder: Path) -> Path:
    """Make an environment that has the drop-in beside what this one has.

    Args:
        folder: An empty folder for it.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next((folder / "lib").glob("python*/site-packages"))
    import numpy

    import copick_core

    lines = [str(DROPIN / "src"), *{str(Path(numpy.__file__).parents[1]), str(Path(copick_core.__file__).parents[1])}]
    others = ("copick_backend_fs", "copick_backend_portal", "copick_formats", "copick_tools")
    lines += [str(REPOSITORY / name / "src") for name in others]
    (packages / "dropin.pth").write_text("\n".join(lines) + "\n")
    return folder / "bin" / "python"


def call(python: Path, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COPICK"))}
    return subprocess.run(
        [str(python), *arguments], capture_output=True, text=True, check=False, cwd=cwd, env=kept | variables
    )


def run_code(python: Path, code: str, **variables: str) -> str:
    done = call(python, "-W", "error", "-c", code, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
