"""Compare two checkouts of this project: is a workload slower than it was?

``bench/compare OLD_CHECKOUT [W1 …] [--pairs 15]`` measures our own side of each workload in the old checkout and in this one,
in turns, each with the interpreter of its own ``.venv``. It prints the median of the pairwise ratios (new / old: above 1 is
slower) with its 90 % interval, and the counts that differ. A median above 1.05 deserves a look, above 1.10 is a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import comb
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
#: Runs in either checkout: captures the workload that a script would measure, then describes it, sets it up, or does one job.
RUNNER = """
import json, runpy, sys, tempfile
from pathlib import Path
script, action, *arguments = sys.argv[1:]
sys.argv = [script]
sys.path.insert(0, str(Path(script).parent))
import rounds
captured = []
rounds.main = captured.append
runpy.run_path(script, run_name="__main__")
workload = captured[0]
sizes = {name: values[0] for name, values in workload.sizes.items()}
if action == "describe":
    print(json.dumps(list(workload.cases)))
elif action == "setup":
    rounds.compile_product()
    with workload.setup(Path(arguments[0]), sizes):
        print("ready", flush=True)
        sys.stdin.read()
else:
    print(json.dumps(workload.execute(rounds.Job(rounds.OURS, arguments[1], arguments[0], sizes))))
"""


class Checkout:
    """One version of the project, installed in its own ``.venv``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.python = str(self.folder / ".venv" / "bin" / "python")

    def command(self, script: str, *arguments: str) -> list[str]:
        """The command that runs one action of a script here."""
        return [self.python, "-c", RUNNER, str(self.folder / "bench" / script), *arguments]

    def ask(self, script: str, *arguments: str) -> Any:
        """What an action prints last, as JSON."""
        done = subprocess.run(self.command(script, *arguments), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{script} {arguments[0]} failed in {self.folder}:\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    @contextmanager
    def set_up(self, script: str) -> Iterator[str]:
        """What a workload needs, in a folder; a server that it starts lives until the end of the block."""
        with tempfile.TemporaryDirectory() as folder:
            command = self.command(script, "setup", folder)
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                if not any(line.strip() == "ready" for line in process.stdout):
                    raise SystemExit(f"{script}: setting up failed in {self.folder}")
                yield folder
                process.stdin.close()


def interval(values: Sequence[float], level: float = 0.9) -> tuple[float, float]:
    """The interval of the median that order statistics give, without assuming a distribution."""
    ordered, count = sorted(values), len(values)
    low = 0
    while 1 - 2 * sum(comb(count, k) for k in range(low + 2)) / 2**count >= level:
        low += 1
    return ordered[low], ordered[count - 1 - low]


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="bench/compare", description=__doc__)
    parser.add_argument("old", type=Path, help="a checkout of the older commit, with all installed in its .venv")
    parser.add_argument("workloads", nargs="*", help="such as W2; all by default")
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    old, new = Checkout(options.old), Checkout(HERE.parent)
    print(f"| workload | old s | new s | new / old | 90 % interval | counts that differ |\n{'| --- ' * 6}|")
    for path in sorted(HERE.glob("w[1-9]_*.py")):
        if options.workloads and path.stem.split("_")[0].upper() not in options.workloads:
            continue
        with ExitStack() as stack:
            places = {side: stack.enter_context(side.set_up(path.name)) for side in (old, new)}
            for case in new.ask(path.name, "describe"):
                row = compare(places, path.name, case, old, new, options.pairs)
                print(f"| {path.stem.split('_')[0].upper()} {case} | {row}", flush=True)


def compare(places: dict[Checkout, str], script: str, case: str, old: Checkout, new: Checkout, pairs: int) -> str:
    """Measure one case in turns, and return a row of the table."""
    measured: dict[Checkout, list[dict[str, Any]]] = {old: [], new: []}
    for number in range(-1, pairs):  # the first one warms up
        for side in (old, new) if number % 2 else (new, old):
            os.sync()  # what the one before has written is not this one's work
            numbers = side.ask(script, "job", places[side], case)
            if number >= 0:
                measured[side].append(numbers)
    seconds = {side: [one["seconds"] for one in numbers] for side, numbers in measured.items()}
    ratios = [after / before for before, after in zip(seconds[old], seconds[new], strict=True)]
    low, high = interval(ratios)
    before, after = measured[old][-1], measured[new][-1]
    names = [name for name in after if name not in {"seconds", "check", "peak_mib"} and after[name] != before.get(name)]
    counts = ", ".join(f"{name}: {before.get(name)} → {after[name]}" for name in names)
    was, now = (statistics.median(seconds[side]) for side in (old, new))
    return f"{was:.4g} | {now:.4g} | {statistics.median(ratios):.3f} | {low:.3f} to {high:.3f} | {counts} |"


if __name__ == "__main__":
    sys.exit(main())
