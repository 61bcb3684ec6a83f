"""W1: import the library and open a filesystem config, from a fresh process; `pass` is the limit."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rounds import LIMIT, OURS, REFERENCE, System, measure, output_of, report, wall_clock

from support.description import write_config
from support.reference_environment import reference_python


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "project").mkdir()
        config = str(write_config(Path(folder, "config.json"), Path(folder, "project")))
        systems = [
            System(REFERENCE, [str(reference_python()), "-c", _opening("copick", config)]),
            System(LIMIT, [sys.executable, "-c", "pass"]),
            System(OURS, [sys.executable, "-c", _opening("copick_core", config)]),
        ]
        for system in systems:
            count = [*system.command[:-1], f"{system.command[-1]}; import sys; print(len(sys.modules))"]
            system.columns["modules"] = output_of(System(system.name, count)).strip()
        measure(systems, options.rounds, wall_clock)
    report("W1 import and open a filesystem config", systems, options.json)


def _opening(library: str, config: str) -> str:
    return f"import {library}; {library}.from_file({config!r})"


if __name__ == "__main__":
    main()
