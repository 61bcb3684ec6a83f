"""Released software in virtual environments of its own: what it needs differs from what our tests need.

Run as a program it makes the environment of the reference library, once, and prints its interpreter.

Environment variables:
    COPICK_REFERENCE_PYTHON: an interpreter that has the reference library; nothing is installed then.
    COPICK_REFERENCE_ENV: that environment's folder (default: ``.cache/copick-VERSION`` in the repository).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

REFERENCE_VERSION = "1.31.0"
REPOSITORY = Path(__file__).resolve().parents[2]
# pip says one of these when no index answers; every other failure of the installation is a real one.
_UNREACHABLE = (
    "connection broken by",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
)


class IndexUnreachableError(Exception):
    """Pip could not reach a package index."""


class UnusableEnvironmentError(Exception):
    """The environment cannot be made or used, for another reason than an unreachable index."""


def reference_python() -> Path:
    """Return the interpreter of the reference library; makes its environment on first use.

    Raises:
        IndexUnreachableError: No package index answers.
        UnusableEnvironmentError: The installation failed, or the named interpreter has another version.
    """
    named = os.environ.get("COPICK_REFERENCE_PYTHON")
    if named:
        python = Path(named)
        found = _installed_version(python)
        if found != REFERENCE_VERSION:
            raise UnusableEnvironmentError(
                f"COPICK_REFERENCE_PYTHON names {python}, which has copick {found}, not {REFERENCE_VERSION}"
            )
        return python
    return python_with("copick", REFERENCE_VERSION, os.environ.get("COPICK_REFERENCE_ENV"))


def python_with(package: str, version: str, folder: str | Path | None = None, also: tuple[str, ...] = ()) -> Path:
    """Return the interpreter of an environment that has a package; makes it on first use.

    Two processes may ask at once: the second one waits for the first. A half-made environment is made anew.

    Args:
        package: Its name in the index.
        version: The version to install.
        folder: Where the environment is; by default ``.cache/PACKAGE-VERSION`` in the repository.
        also: Further requirements.

    Raises:
        IndexUnreachableError: No package index answers.
        UnusableEnvironmentError: The installation failed.
    """
    folder = Path(folder or REPOSITORY / ".cache" / f"{package}-{version}").absolute()
    python = folder / "bin" / "python"
    complete = folder / ".complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            if folder.exists():
                shutil.rmtree(folder)
            _make(folder, python, [f"{package}=={version}", *also])
            complete.write_text(version)
    return python


def _make(folder: Path, python: Path, requirements: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    options = ["--quiet", "--disable-pip-version-check", "--retries", "1"]
    install = [str(python), "-m", "pip", "install", *options, *requirements]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    output = done.stdout + done.stderr
    if is_unreachable(output):
        raise IndexUnreachableError(f"pip reached no package index to install {requirements}")
    raise UnusableEnvironmentError(f"pip could not install {requirements}:\n{output}")


def is_unreachable(output: str) -> bool:
    """Whether pip failed because no package index answers."""
    return any(sign in output for sign in _UNREACHABLE)


def _installed_version(python: Path) -> str | None:
    ask = "import importlib.metadata as m; print(m.version('copick'))"
    try:
        done = subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UnusableEnvironmentError(f"COPICK_REFERENCE_PYTHON names {python}: {error}") from error
    return done.stdout.strip() or None


if __name__ == "__main__":
    sys.stdout.write(f"{reference_python()}\n")
