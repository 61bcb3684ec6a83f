"""Rehearse a release: ``python .ci/rehearse.py [WHEELS]`` installs what the README says from an index of our own wheels.

WHEELS is a folder with the wheels of all distributions; without it they are built. The index is served on loopback while pip
installs from it into an empty environment. Packages of others come from the index that pip is configured for.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import HeaderParser
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

REPOSITORY = Path(__file__).parents[1]

#: What is done with the installed packages: a project is made, closed, and opened again.
PROJECT = """
import copick_core

root = copick_core.new_config("config.json", "data", pickable_objects=[{"name": "ribosome", "is_particle": True}])
root.new_run("TS_001").new_picks("ribosome", "1", user_id="alice").from_numpy([[1.0, 2.0, 3.0]])
(picks,) = copick_core.open("config.json").get_run("TS_001").picks
assert picks.numpy()[0].tolist() == [[1.0, 2.0, 3.0]]
print(copick_core.__version__, copick_core.__file__)
"""


def build(folder: Path) -> None:
    """Build the wheels of all distributions."""
    for project in sorted(REPOSITORY.glob("copick_*/pyproject.toml")):
        subprocess.run([sys.executable, "-m", "build", "-q", "--wheel", "--outdir", folder, project.parent], check=True)


def normalized(name: str) -> str:
    """The name of a distribution as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def metadata(wheel: Path) -> tuple[str, list[str]]:
    """The normalized name of a wheel's distribution, and those of what it requires, extras included."""
    with ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        headers = HeaderParser().parsestr(archive.read(name).decode())
    requires = headers.get_all("Requires-Dist") or []
    return normalized(headers["Name"]), [normalized(re.match(r"[\w.-]+", line)[0]) for line in requires]


def make_index(wheels: list[Path], folder: Path) -> None:
    """Lay out wheels as an index (PEP 503).

    Raises:
        SystemExit: A wheel requires one of our distributions that is not among them.
    """
    known = dict(map(metadata, wheels))
    for wheel in wheels:
        name, requires = metadata(wheel)
        absent = [r for r in requires if r.startswith("copick-") and r not in known]
        if absent:
            raise SystemExit(f"{name} requires {', '.join(absent)}, which is not released with it")
        page = folder / "simple" / name
        page.mkdir(parents=True)
        (page / wheel.name).write_bytes(wheel.read_bytes())
        (page / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>\n')


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve an index on loopback; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()


def install(requirement: str, index: str, folder: Path) -> Path:
    """Install a requirement into an empty environment.

    Returns:
        The Python of the environment.

    Raises:
        SystemExit: One of our distributions came from elsewhere.
    """
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    report = folder / "report.json"
    pip = [python, "-m", "pip", "install", "-q", "--no-cache-dir", "--report", report]
    subprocess.run([*pip, "--extra-index-url", index, requirement], check=True)  # besides what pip is configured for
    for item in json.loads(report.read_text())["install"]:
        name, url = normalized(item["metadata"]["name"]), item["download_info"]["url"]
        if name.startswith("copick-") and not url.startswith(index):
            raise SystemExit(f"{name} was installed from {url}")
    return python


def main() -> None:
    """Run the rehearsal."""
    line = re.search(r'^pip install "(copick-core\[fs\])"', (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.M)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        wheels = Path(sys.argv[1]) if len(sys.argv) > 1 else work / "wheels"
        if len(sys.argv) == 1:
            build(wheels)
        make_index(sorted(wheels.glob("copick_*.whl")), work)
        with served(work) as index:
            python = install(line[1], index, work / "environment")
        subprocess.run([python, "-c", PROJECT], cwd=work, check=True)


if __name__ == "__main__":
    main()
