"""W2: enumerate every entity of a local project; one scandir for each directory is the limit.

Each measurement is taken inside a fresh process, after the import and the opening (that is W1).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rounds import LIMIT, OURS, REFERENCE, System, measure, output_of, report

from support import listing_project
from support.description import write_config
from support.reference_environment import reference_python
from support.tracing import can_trace, count_system_calls


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "project")
        listing_project.make_listing_project(root, options.runs)
        config = write_config(Path(folder, "config.json"), root)
        systems = [
            System(REFERENCE, _command(str(reference_python()), "copick", config, root)),
            System(LIMIT, _command(sys.executable, "limit", config, root)),
            System(OURS, _command(sys.executable, "copick_core", config, root)),
        ]
        _check(systems, options.runs)
        if can_trace():
            for system in systems:
                system.columns["system calls a run"] = f"{_system_calls(system, options.runs):.1f}"
        measure(systems, options.rounds, lambda system: float(json.loads(output_of(system))["seconds"]))
    report(f"W2 enumerate {options.runs} runs", systems, options.json)


def _command(python: str, system: str, config: Path, root: Path) -> list[str]:
    return [python, listing_project.__file__, system, str(config), str(root)]


def _check(systems: list[System], runs: int) -> None:
    """Stop unless all systems find the same entities."""
    results = [json.loads(output_of(system)) for system in systems]
    found = {(result["entities"], result["characters"]) for result in results}
    if len(found) != 1 or results[0]["entities"] != runs * listing_project.ENTITIES_PER_RUN:
        raise SystemExit(f"the systems found different entities: {results}")


def _system_calls(system: System, runs: int) -> float:
    """Return the calls a run that enumeration makes: those of the process less those of opening alone."""
    python, script, name, *rest = system.command
    total = sum(count_system_calls(system.command).values())
    opening = sum(count_system_calls([python, script, f"{name}-open", *rest]).values())
    return (total - opening) / runs


if __name__ == "__main__":
    main()
