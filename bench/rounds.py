"""Systems side by side: alternating rounds of fresh processes, medians, ratios, counts, peak memory.

The script of a workload holds what each system does, as functions that import their library themselves, and calls `main`.
`main` runs the script again, once for each measurement, with the interpreter of the system, to do one `Job`.
"""

from __future__ import annotations

import argparse
import compileall
import datetime
import gc
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # for the package tests/support

from sampling import Sampler

from support.memory import peak_mib, reset_peak

#: Systems. OURS is an installation without extras that make it faster.
REFERENCE, LIMIT, OURS, FAST = "reference", "limit", "ours", "ours, with extras"
#: Optional packages that the product uses where they are installed.
ACCELERATORS = ("obstore", "orjson")
#: Packages whose versions matter to the results.
_PACKAGES = (
    "copick",
    "numcodecs",
    "numpy",
    "obstore",
    "orjson",
    "pydantic",
    "s3fs",
    "trimesh",
    "xxhash",
    "zarr",
)

Sizes = dict[str, int]


@dataclass(frozen=True)
class Job:
    """What one process does.

    Attributes:
        system: Which system.
        case: Which part of the workload.
        folder: Folder with what was set up.
        sizes: How much there is to do.
        profile: Whether to say where the time goes, at the expense of a little time.
    """

    system: str
    case: str
    folder: str
    sizes: Sizes
    profile: bool = False

    @property
    def library(self) -> str:
        """The package to import: both libraries are used in the same way."""
        return "copick" if self.system.startswith(REFERENCE) else "copick_core"

    @property
    def python(self) -> str:
        """The interpreter."""
        from support.environments import reference_python

        return str(reference_python()) if self.library == "copick" else sys.executable

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what is written, deleted afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)


Numbers = dict[str, Any]
"""What a job measured: ``seconds``, perhaps ``peak_mib`` and the ``level_mib`` before, counts by name, maybe ``check``: all
systems must agree on it."""

Side = Callable[[Job], Numbers]


def timed(action: Callable[[], Any], warm_up: Callable[[], Any] | None = None) -> tuple[Any, Numbers]:
    """Run an action, and return its result, its seconds and the peak memory of this process meanwhile and before.

    Args:
        action: What is measured.
        warm_up: The like elsewhere, run first: what a library imports when it is first used is not its speed.

    Raises:
        SystemExit: Something was imported meanwhile, and so measured too.
    """
    if warm_up is not None:
        warm_up()
    gc.collect()
    before = {*sys.modules}
    reset_peak()
    level = peak_mib()
    with Sampler() if _profiling else nullcontext() as sampler:
        start = time.perf_counter()
        result = action()
        seconds = time.perf_counter() - start
    if not _profiling and (imported := sorted({*sys.modules} - before)):
        raise SystemExit(f"measured together with the import of {len(imported)} modules: {', '.join(imported[:10])}")
    numbers = {"seconds": seconds, "peak_mib": round(peak_mib(), 1), "level_mib": round(level, 1)}
    return result, {**numbers, "profile": sampler.shares()} if sampler else numbers


def environment(*, python_path: bool = True) -> dict[str, str]:
    """The variables of a process that is measured.

    Python keeps what it compiles: pip compiles what it installs, and a process that may not would compile an editable
    installation each time.

    Args:
        python_path: Whether PYTHONPATH holds for it, which is for our interpreter only.
    """
    left_out = {"COPICK_CONFIG", "PYTHONDONTWRITEBYTECODE", *(() if python_path else ("PYTHONPATH",))}
    return {name: value for name, value in os.environ.items() if name not in left_out}


def run(command: Sequence[str], *, python_path: bool = True) -> str:
    """Run a command that measures, and return what it printed last.

    Args:
        command: Program and arguments.
        python_path: Whether PYTHONPATH holds for it, which is for our interpreter only.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(python_path=python_path))
    if done.returncode != 0:
        raise SystemExit(f"{command} failed with code {done.returncode}:\n{done.stderr}")
    return done.stdout.splitlines()[-1]


def in_fresh_process(job: Job) -> Numbers:
    """Do a job in a process of its own, with the interpreter of the system."""
    command = [job.python, str(Path(sys.argv[0]).resolve()), "--job", json.dumps(asdict(job))]
    return dict(json.loads(run(command, python_path=job.library != "copick")))


def with_extras(package: str, side: Side) -> dict[str, Side]:
    """Our side once more, with a package that makes it faster, if that is installed."""
    return {FAST: side} if importlib.util.find_spec(package) else {}


@dataclass(frozen=True)
class Workload:
    """What is measured.

    Attributes:
        name: Its number, for example ``"W5"``.
        title: What it is, in a few words.
        systems: What each system does, by name, in the order of the table.
        cases: Its parts.
        sizes: How much there is to do: (in full, in small) by name. Each is an option of the script.
        rounds: How often each is measured.
        setup: Makes in a folder what the systems need; a context manager.
        warm_up: Whether one more round comes first and is not counted.
        execute: Does a job.
    """

    name: str
    title: str
    systems: Mapping[str, Side]
    cases: Sequence[str]
    sizes: Mapping[str, tuple[int, int]]
    rounds: int
    setup: Callable[[Path, Sizes], AbstractContextManager[None]]
    warm_up: bool = False
    execute: Callable[[Job], Numbers] = in_fresh_process


def main(workload: Workload) -> None:
    """Measure a workload, print tables and write the numbers; or do the one job that the command line holds."""
    parser = argparse.ArgumentParser(description=f"{workload.name}: {workload.title}")
    parser.add_argument("--rounds", type=int)
    for name, (full, small) in workload.sizes.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=f"default: {full}; {small} with --small")
    parser.add_argument("--small", action="store_true", help="one round of little data: to see whether it runs")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(_do(workload, Job(**json.loads(options.job)))))
        return
    sizes = {
        name: values[options.small] if (given := getattr(options, name)) is None else given
        for name, values in workload.sizes.items()
    }
    rounds = options.rounds or (1 if options.small else workload.rounds)
    document = {
        "workload": workload.name,
        "title": workload.title.format(**sizes),
        "command": f"python bench/{Path(sys.argv[0]).name}{' --small' * options.small}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "rounds": rounds,
        "sizes": sizes,
        "cases": {},
    }
    compile_product()
    with tempfile.TemporaryDirectory() as folder, workload.setup(Path(folder), sizes):
        for case in workload.cases:
            document["cases"][case] = measure(workload, case, folder, sizes, rounds, warm_up=not options.small)
            show(f"{document['workload']} {document['title']}: {case}", document["cases"][case]["systems"])
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def compile_product() -> None:
    """Compile the product's modules, as pip does when it installs them: run from a clone they may not be."""
    for name in (folder.name for folder in Path(__file__).resolve().parents[1].glob("copick_*")):
        spec = importlib.util.find_spec(name)
        for place in spec.submodule_search_locations or () if spec else ():
            compileall.compile_dir(place, quiet=1)


_profiling = False


def _do(workload: Workload, job: Job) -> Numbers:
    global _profiling
    _profiling = job.profile
    if job.system.startswith(OURS) and job.system != FAST:
        sys.modules.update(dict.fromkeys(ACCELERATORS))  # type: ignore[arg-type] - imports of these now fail
    return workload.systems[job.system](job)


def measure(workload: Workload, case: str, folder: str, sizes: Sizes, rounds: int, *, warm_up: bool) -> dict[str, Any]:
    """Measure each system once a round, in turns, so that a busy neighbour bothers all alike."""
    measured: dict[str, list[Numbers]] = {name: [] for name in workload.systems}
    for number in range(-1 if warm_up and workload.warm_up else 0, rounds):
        for system, numbers in measured.items():
            os.sync()  # what the one before has written is not this one's work
            result = workload.execute(Job(system, case, folder, sizes))
            if number >= 0:
                numbers.append(result)
    checks = {system: numbers[-1].pop("check", None) for system, numbers in measured.items()}
    if len({json.dumps(check) for check in checks.values() if check is not None}) > 1:
        raise SystemExit(f"{workload.name} {case}: the systems have different results: {checks}")
    profile = workload.execute(Job(OURS, case, folder, sizes, profile=True)).get("profile", {})
    reference = statistics.median(numbers["seconds"] for numbers in measured[REFERENCE])
    return {
        "systems": {system: _summary(numbers, reference) for system, numbers in measured.items()},
        "profile": profile,
    }


_NOT_COUNTED = ("seconds", "peak_mib", "level_mib", "check")


def _summary(numbers: Sequence[Numbers], reference: float) -> dict[str, Any]:
    seconds = [one["seconds"] for one in numbers]
    median = statistics.median(seconds)
    return {
        "median": float(f"{median:.4g}"),
        "seconds": [float(f"{value:.4g}") for value in seconds],
        "times": float(f"{reference / median:.3g}"),
        "peak_mib": max((one["peak_mib"] for one in numbers if "peak_mib" in one), default=None),
        "counts": {name: value for name, value in numbers[-1].items() if name not in _NOT_COUNTED},
    }


def show(title: str, systems: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a Markdown table."""
    counts = list(dict.fromkeys(name for summary in systems.values() for name in summary["counts"]))
    header = ["system", "median s", "min s", "times faster", "peak MiB", *counts]
    print(f"## {title}\n\n| {' | '.join(header)} |\n{'| --- ' * len(header)}|")
    for system, summary in systems.items():
        cells = [system, f"{summary['median']:.4g}", f"{min(summary['seconds']):.4g}", f"{summary['times']:.3g}"]
        cells += ["" if summary["peak_mib"] is None else f"{summary['peak_mib']:.0f}"]
        cells += [*(str(summary["counts"].get(name, "")) for name in counts)]
        print(f"| {' | '.join(cells)} |")
    print(flush=True)


def machine() -> dict[str, Any]:
    """What the results depend on, and nothing that names the machine."""
    ask = (
        "import importlib.metadata as m, json, sys\nfound = {}\n"
        "for name in sys.argv[1:]:\n    try: found[name] = m.version(name)\n    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    versions = {
        system: json.loads(run([Job(system, "", "", {}).python, "-c", ask, *_PACKAGES], python_path=False))
        for system in (REFERENCE, OURS)
    }
    return {
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }
