"""W9: call a function for each run of a project; warm processes with one batch each are the limit.

Each measurement is taken inside a fresh process, from the call to the last result: starting and stopping of our workers
and the reference's is part of it, that of a dask cluster, which is there already, is not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from rounds import LIMIT, OURS, REFERENCE, System, measure, output_of, report

from support import mapping_project
from support.description import write_config
from support.reference_environment import reference_python


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--milliseconds", type=float, default=50, help="processor time of each task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "project")
        mapping_project.make_mapping_project(root, options.runs)
        config = write_config(Path(folder, "config.json"), root)
        ours, theirs = sys.executable, str(reference_python())
        interpreters = {
            REFERENCE: (theirs, "copick-process"),
            f"{REFERENCE}, threads": (theirs, "copick-thread"),
            LIMIT: (ours, "limit-process"),
            OURS: (ours, "copick_core-process"),
            f"{OURS}, threads": (ours, "copick_core-thread"),
            f"{OURS}, dask": (ours, "copick_core-dask"),
        }
        systems = [
            System(name, [python, mapping_project.__file__, system, str(config), str(options.milliseconds)])
            for name, (python, system) in interpreters.items()
        ]
        measure(systems, options.rounds, lambda system: _seconds(system, options.runs))
    limit = statistics.median(next(system for system in systems if system.name == LIMIT).seconds)
    for system in systems:
        overhead = (statistics.median(system.seconds) - limit) / options.runs * 1000
        system.columns["ms a task over the limit"] = f"{overhead:.2f}"
    report(f"W9 map over {options.runs} runs, {options.milliseconds:g} ms each, 2 workers", systems, options.json)


def _seconds(system: System, runs: int) -> float:
    result = json.loads(output_of(system))
    if result["results"] != runs:
        raise SystemExit(f"{system.name} gave {result['results']} results for {runs} runs")
    return float(result["seconds"])


if __name__ == "__main__":
    main()
