"""Released tools and their own test suites, on the released copick and on the drop-in.

Each tool's source distribution is unpacked into ``.cache/downstream``, with two environments: ``reference`` has
``copick==2.0.0a6``, ``dropin`` this repository's distributions. Both have the same tools and the same of everything else.
copick's own suite is that of 1.31.0, whose environment is ``reference-1``.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.environments import REPOSITORY, IndexUnreachableError, UnusableEnvironmentError, is_unreachable
from support.own_differs import LIMIT, OWN_DIFFERS

HERE = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("COPICK_DOWNSTREAM", REPOSITORY / ".cache" / "downstream"))
#: The released copick in each environment that has it; in the drop-in's it is replaced.
REFERENCES = {"reference": "copick==2.0.0a6", "reference-1": "copick==1.31.0", "dropin": "copick==2.0.0a6"}
#: What the drop-in's environment has of this repository.
OURS = (
    "copick_core",
    "copick_backend_fs",
    "copick_backend_memory",
    "copick_backend_portal",
    "copick_formats",
    "copick_tools",
    "copick_dropin",
)


@dataclass(frozen=True)
class Tool:
    """A released tool.

    Attributes:
        name: Its distribution.
        version: Its release.
        tests: Folder of its tests in its source distribution; None if it has none.
        needs: What its tests need beside what it declares.
        bare: Whether it is installed without what it declares, which is in ``needs`` as far as its tests use it.
        differs: Tests that fail on purpose, with the reason of each: a pattern of names.
        limit: How many of its tests may differ.
        reference: The environment of the released copick that it is compared with.
    """

    name: str
    version: str
    tests: str | None
    needs: tuple[str, ...] = ()
    bare: bool = False
    differs: tuple[tuple[str, str], ...] = ()
    limit: int = 1
    reference: str = "reference"

    @property
    def folder(self) -> Path:
        return FOLDER / "sources" / f"{self.name.replace('-', '_')}-{self.version}"


TOOLS = (
    Tool("copick-utils", "2.0.0a7", "tests", ("cryoet-data-portal", "pandas", "requests", "s3fs")),
    Tool("copick-web", "1.0.0a3", "tests", ("httpx", "fsspec", "trimesh")),
    Tool(
        "copick-shared-ui",
        "2.0.0a4",
        "tests",
        ("pyqt6", "pytest-qt", "moto[server]>=5.1", "boto3", "click", "scipy"),
        differs=(
            (
                "test_core_entity_backends::test_mlcroissant_copick_entity_thumbnail$",
                "opens an mlcroissant project, which the drop-in does not have",
            ),
        ),
    ),
    Tool("napari-copick", "2.0.0a3", "src/napari_copick/_tests", ("pyqt6", "pytest-qt", "pandas", "scipy")),
    Tool(
        "copick-torch",
        "2.0.0a3",
        "tests",
        # Not nnunetv2 and membrain-seg: one test needs the latter, and fails without it on both.
        ("torch==2.13.0", "monai", "dask", "einops", "torch-cubic-spline-grids", "SimpleITK", "mrcfile", "gdown", "pyarrow",
         "scikit-learn", "pandas", "matplotlib", "tqdm", "pyyaml"),
        bare=True,
    ),
    Tool("copick-mcp", "2.0.0a3", None),  # has no tests: test_commands.py asks it for the commands
    Tool(
        "copick",
        "1.31.0",
        "tests",
        ("moto[server,s3]>=5.1", "pooch>=1.8", "pytest-xdist>=3.5", "imagecodecs"),
        bare=True,
        differs=OWN_DIFFERS,
        limit=LIMIT,
        reference="reference-1",
    ),
)  # fmt: skip
BY_NAME = {tool.name: tool for tool in TOOLS}


def environment(kind: str, tools: tuple[Tool, ...] = TOOLS) -> Path:
    """The interpreter of an environment with some tools; makes it on first use.

    Args:
        kind: ``"reference"``, ``"reference-1"`` or ``"dropin"``; the last has this repository's distributions, editable.
        tools: The tools; those that are missing are added.

    Raises:
        IndexUnreachableError: No package index answers.
        UnusableEnvironmentError: The installation failed.
    """
    folder = FOLDER / kind
    python = folder / "bin" / "python"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / f"{kind}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            _pip(python, REFERENCES[kind], "pytest>=8", "pytest-asyncio", "hatchling>=1.21", "hatch-vcs", "editables")
            if kind == "dropin":
                subprocess.run([str(python), "-m", "pip", "uninstall", "-q", "-y", "copick"], check=True)
                # Of what the drop-in itself needs, the released copick brings all but these.
                _pip(python, "click>=8.2", "gemmi>=0.7", "pluggy", "xxhash", "tifffile", "pillow")
            (folder / ".made").touch()
        if kind == "dropin":
            _install_ours(python, folder)
        for tool in tools:
            if kind in ("dropin", tool.reference):
                _install(python, folder, tool)
    return python


def _install_ours(python: Path, folder: Path) -> None:
    """Install this repository's distributions editable, again if they were those of another checkout."""
    mark = folder / ".checkout"
    if mark.exists() and mark.read_text() == str(REPOSITORY):
        return
    editable = [part for name in OURS for part in ("-e", str(REPOSITORY / name))]
    _pip(python, "--no-deps", "--no-build-isolation", *editable)
    mark.write_text(str(REPOSITORY))


def _install(python: Path, folder: Path, tool: Tool) -> None:
    mark = folder / f".{tool.name}-{tool.version}"
    if mark.exists():
        return
    _unpack(python, tool)
    if tool.needs:
        _pip(python, *tool.needs)
    if not tool.bare:
        _pip(python, *_dependencies(tool))
    if tool.name != "copick":  # of copick itself only the tests are wanted
        _pip(python, "--no-deps", "--no-build-isolation", str(tool.folder))
    mark.touch()


def _dependencies(tool: Tool) -> list[str]:
    """What a tool declares, without copick and its tools: those are here already, whichever copick this is."""
    import tomllib

    declared = tomllib.loads((tool.folder / "pyproject.toml").read_text())["project"]["dependencies"]
    return [d for d in declared if not re.match(r"(napari-)?copick", d)]


def _unpack(python: Path, tool: Tool) -> None:
    if tool.folder.exists():
        return
    downloads = FOLDER / "downloads"
    source_only = ("--no-deps", "--no-build-isolation", "--no-binary", ":all:")
    _pip_command(python, "download", *source_only, "-d", str(downloads), f"{tool.name}=={tool.version}")
    archive = next(downloads.glob(f"{tool.name.replace('-', '_')}-{tool.version}.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(FOLDER / "sources", filter="data")


def _pip(python: Path, *arguments: str) -> None:
    _pip_command(python, "install", *arguments)


def _pip_command(python: Path, command: str, *arguments: str) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--retries", "1"]
    done = subprocess.run(
        [str(python), "-m", "pip", command, *options, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = done.stdout + done.stderr
        if is_unreachable(output):
            raise IndexUnreachableError(f"pip reached no package index for {arguments}")
        raise UnusableEnvironmentError(f"pip {command} failed for {arguments}:\n{output}")


def run(python: Path, tool: Tool, report: Path, *selection: str) -> dict[str, str]:
    """Run a tool's suite.

    Args:
        python: Interpreter of the environment.
        tool: The tool.
        report: File for the report of pytest. What the tests wrote stays beside it, in the folder ``left``.
        *selection: Test files; all by default.

    Returns:
        ``"passed"``, ``"failed"`` or ``"skipped"`` by the name of the test; ``"set aside: …"`` for what is not compared.
    """
    assert tool.tests is not None
    chosen = [str(Path(tool.tests) / name) for name in selection] or [tool.tests]
    left = report.parent / "left"
    (left / "tmp").mkdir(parents=True)
    # The tool's own options measure coverage and ask for plugins that say nothing of copick.
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "junit_family=xunit1", "-W", "ignore"]
    options += [f"--basetemp={left / 'base'}", f"--junit-xml={report}"]
    # Tests without a display or network of their own.
    variables = {"QT_QPA_PLATFORM": "offscreen", "PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "127.0.0.1,localhost"}
    variables["TMPDIR"] = str(left / "tmp")
    if tool.name == "copick":
        plugins = ["own_suite"] if python.parts[-3] != "dropin" else ["own_suite", "zarr2_calls"]
        options += ["-n", "2", "--continue-on-collection-errors", *(word for plugin in plugins for word in ("-p", plugin))]
        variables |= _own_variables(tool, report.parent / "sample")
    command = [str(python), "-m", "pytest", *options, *chosen]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COPICK"))}
    done = subprocess.run(command, cwd=tool.folder, env=kept | variables, capture_output=True, text=True, check=False)
    if not report.exists():
        raise AssertionError(f"the suite of {tool.name} did not run:\n{done.stdout}{done.stderr}")
    return outcomes(report)


def _own_variables(tool: Tool, cache: Path) -> dict[str, str]:
    """What copick's own suite needs: its sample project, for which there is a stand-in, and the layout of copick 1.x."""
    assert tool.tests is not None
    script = HERE / "downstream" / "sample_project.py"
    digest = subprocess.run(
        # The stand-in is written by zarr 3, which both environments read.
        [str(environment("dropin", ())), "-W", "ignore", str(script), str(tool.folder / tool.tests), str(cache)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return {
        "BACKEND": "all",
        "COPICK_FORMAT": "copick-1",
        "COPICK_TEST_DATA_CACHE": str(cache),
        "COPICK_TEST_DATA_DIGEST": digest,
        "PYTHONPATH": os.pathsep.join(str(HERE / folder) for folder in ("support", "downstream")),
    }


def read_again(python: Path, folder: Path) -> dict[str, Any]:
    """Let the released copick of an environment read all projects in a folder.

    Returns:
        The numbers of ``"projects"`` and ``"entities"``, and what it could not read, in ``"failures"``.
    """
    script = HERE / "support" / "reference_scripts" / "read_projects.py"
    out = folder / "read.json"
    done = subprocess.run(
        [str(python), "-W", "ignore", str(script), str(folder), str(out)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(done.stderr)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def outcomes(report: Path) -> dict[str, str]:
    """The outcome of each test in a report of pytest."""
    found: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        tags = {child.tag: child.get("message") or "" for child in case}
        name = f"{(case.get('classname') or '').rpartition('tests.')[2]}::{case.get('name')}"
        found[name] = "failed" if tags.keys() & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        if tags.get("skipped", "").startswith("set aside"):
            found[name] = tags["skipped"]
    return found
