"""Run the benchmarks, write `results.json`, and make docs/performance.md of it.

``bench/run`` runs all workloads; ``bench/run W1 W5`` measures those anew and keeps the other results; ``bench/run --report``
only makes the document.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import DOCUMENT, RESULTS, in_order, render

_FOUND = {path.stem.split("_")[0].upper(): path for path in Path(__file__).parent.glob("w[1-9]*_*.py")}
SCRIPTS = dict(sorted(_FOUND.items(), key=in_order))


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(SCRIPTS))
    parser.add_argument("--report", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if unknown := set(options.workloads) - set(SCRIPTS):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in [] if options.report else options.workloads or SCRIPTS:
            start, output = time.monotonic(), Path(folder, "results.json")
            subprocess.run([sys.executable, str(SCRIPTS[name]), "--json", str(output)], check=True)
            results[name] = json.loads(output.read_text())
            # After each, so that an interruption loses little.
            RESULTS.write_text(json.dumps(dict(sorted(results.items(), key=in_order)), indent=1) + "\n")
            print(f"{name} took {time.monotonic() - start:.0f} s\n", flush=True)
    DOCUMENT.write_text(render(results))


if __name__ == "__main__":
    main()
