"""A copy of the repository at one commit, to be changed and tested without touching the checkout."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]

# Imported by every Python process of a copy; measures those that tests start, once COVERAGE_PROCESS_START is set.
_SITE = "import os\nif 'COVERAGE_PROCESS_START' in os.environ:\n    import coverage\n    coverage.process_startup()\n"


def commit_of(revision: str, repository: Path = REPOSITORY) -> str:
    """Return the full name of a commit of a repository."""
    command = ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def copy_of(commit: str, repository: Path = REPOSITORY) -> Iterator[Path]:
    """Yield a folder that holds a repository at a commit, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutation-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder, "repository")
        # A clone, because some tests ask git what the repository holds; it borrows the objects of the checkout.
        for command in (
            ["git", "clone", "-q", "--shared", "--no-checkout", str(repository), str(copy)],
            ["git", "-C", str(copy), "-c", "advice.detachedHead=false", "checkout", "-q", commit],
        ):
            subprocess.run(command, check=True)
        Path(folder, "site").mkdir()
        Path(folder, "site", "sitecustomize.py").write_text(_SITE)
        cache = repository / ".cache"
        if cache.exists():  # environments of the reference library, which tests look for there
            (copy / ".cache").symlink_to(cache.resolve())
        yield copy


def source_folders(copy: Path) -> list[Path]:
    """Return the folders of a copy that distributions are imported from."""
    return sorted([*copy.glob("copick_*/src"), *copy.glob("examples/*/src")])


def environment(copy: Path, **more: str) -> dict[str, str]:
    """Return the environment in which Python imports the distributions of a copy, whatever is installed."""
    path = os.pathsep.join(str(folder) for folder in [copy.parent / "site", *source_folders(copy)])
    return {**os.environ, "PYTHONPATH": path, **more}


def run_pytest(
    copy: Path, arguments: Sequence[str], *, seconds: float, env: Mapping[str, str], under: Sequence[str] = ()
) -> tuple[int | None, str]:
    """Run pytest in a copy and end it, with all that it started, when its time is over.

    Args:
        copy: The folder of the copy.
        arguments: What pytest is given.
        seconds: How long it may take.
        env: The environment.
        under: The module that runs it and its options, such as coverage's; without it Python runs it directly.

    Returns:
        Its exit code, None if it took too long, and what it printed.
    """
    command = [sys.executable, *(["-m", *under] if under else []), "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=copy, env=dict(env), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        code: int | None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):  # it ended, and so did all that it started
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return code, output.read()
