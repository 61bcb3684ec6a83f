"""Systems side by side: alternating rounds of fresh processes, medians, ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(_TESTS))  # for the package tests/support

REFERENCE, LIMIT, OURS = "reference", "limit", "ours"


@dataclass
class System:
    """One contestant: the command that does the work, and what was measured of it.

    Attributes:
        name: `REFERENCE`, `LIMIT` or `OURS`.
        command: Runs in a fresh process each round.
        seconds: One measurement for each round.
        columns: Further columns of the table.
    """

    name: str
    command: Sequence[str]
    seconds: list[float] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)


def measure(systems: Sequence[System], rounds: int, seconds_of: Callable[[System], float]) -> None:
    """Measure each system once a round, in turns, so that a busy neighbour bothers all alike."""
    for number in range(-1, rounds):
        for system in systems:
            seconds = seconds_of(system)
            if number >= 0:  # the first round warms the caches
                system.seconds.append(seconds)


def wall_clock(system: System) -> float:
    """Run the command once and return its seconds from start to end."""
    start = time.perf_counter()
    output_of(system)
    return time.perf_counter() - start


def output_of(system: System) -> str:
    """Run the command once and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "COPICK_CONFIG"}
    done = subprocess.run(system.command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{system.name} failed:\n{done.stderr}")
    return done.stdout


def report(title: str, systems: Sequence[System], out: Path | None) -> None:
    """Print a Markdown table, with ratios to the reference, and write the numbers to `out`."""
    medians = {system.name: statistics.median(system.seconds) for system in systems}
    extra = list(systems[0].columns)
    header = ["system", "median s", "min s", "times faster", *extra]
    print(f"## {title}\n\n| {' | '.join(header)} |\n{'| --- ' * len(header)}|")
    for system in systems:
        ratio = medians[REFERENCE] / medians[system.name]
        cells = [system.name, f"{medians[system.name]:.4f}", f"{min(system.seconds):.4f}", f"{ratio:.1f}"]
        print("| " + " | ".join([*cells, *(system.columns[name] for name in extra)]) + " |")
    if out is not None:
        document = {
            "title": title,
            "machine": {
                "processor": platform.machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
            },
            "systems": {
                system.name: {
                    "seconds": system.seconds,
                    "median": medians[system.name],
                    "times_faster": medians[REFERENCE] / medians[system.name],
                    **system.columns,
                }
                for system in systems
            },
        }
        out.write_text(json.dumps(document, indent=2) + "\n")
