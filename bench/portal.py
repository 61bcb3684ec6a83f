"""Projects on the CryoET Data Portal: listing 400 runs with everything, and reading one voxel, beside the reference.

Both ask the same portal on loopback, in a process of its own. Each measurement is taken inside a fresh process, after the
imports, and includes opening the project.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from support.environments import reference_python  # noqa: E402
from support.portal_loopback import bulk  # noqa: E402 - the path is set above
from support.portal_loopback.content import MEMBRANE, RIBOSOME  # noqa: E402

LISTING = """
import json, sys, time
system, path, url = sys.argv[1:4]
if system == "reference":
    import copick, cryoet_data_portal._client as client
    import copick.impl.cryoet_data_portal
    client.DEFAULT_URL = url
    opened = copick.from_file
else:
    import copick_core, copick_core.overlay, copick_backend_portal.plugin, copick_backend_portal.metadata
    import gql.transport.requests, cryoet_data_portal
    import copick_backend_fs.opening
    opened = copick_core.from_file
start = time.perf_counter()
root = opened(path)
opening = time.perf_counter() - start
count = 0
for run in root.runs:
    count += 1 + len(run.picks) + len(run.segmentations)
    for spacing in run.voxel_spacings:
        count += 1 + len(spacing.tomograms)
print(json.dumps({"seconds": time.perf_counter() - start, "opening": opening, "entities": count}))
"""


class Portal:
    """The loopback portal in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "support.portal_loopback", "bulk"]
        self._process = subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.urls = json.loads(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def ask(self, word: str) -> Any:
        """Counts, or nothing after resetting them."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return json.loads(self._answer())

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def run(python: str, script: str, *arguments: str) -> Any:
    """What a script prints in a fresh process."""
    done = subprocess.run([python, "-c", script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


VOXEL = """
import json, sys, copick_core
root = copick_core.from_file(sys.argv[1])
tomogram = root.get_run("501").get_voxel_spacing(7.84).get_tomogram("wbp-raw")
print(json.dumps(float(tomogram.numpy(x=slice(0, 1), y=slice(0, 1), z=slice(0, 1)).item())))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    portal = Portal()
    try:
        measure(portal, options.rounds)
    finally:
        portal.stop()


def measure(portal: Portal, rounds: int) -> None:
    """All measurements, in alternating rounds."""
    objects = [
        {"name": f"object-{n}", "is_particle": True, "label": n + 1, "color": [10, 20, 30, 255], "identifier": identifier}
        for n, identifier in enumerate([*bulk.OBJECTS, RIBOSOME, MEMBRANE])
    ]
    pythons = {"reference": str(reference_python()), "ours": sys.executable}
    seconds: dict[tuple[str, str], list[float]] = {}
    queries: dict[tuple[str, str], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for n in range(rounds):
            for system, python in pythons.items():
                base = Path(folder, f"{system}{n}")
                base.mkdir()
                config = {
                    "config_type": "cryoet_data_portal",
                    "name": "bench",
                    "description": "",
                    "version": "1",
                    "pickable_objects": objects,
                    "overlay_root": f"local://{base}/overlay",
                    "overlay_fs_args": {"auto_mkdir": True},
                    "dataset_ids": [bulk.DATASET],
                    "portal_cache_dir": str(base / "cache"),
                }
                if system == "ours":
                    config.update(graphql_url=portal.urls["graphql"], s3_endpoint_url=portal.urls["s3"])
                path = base / "config.json"
                path.write_text(json.dumps(config))
                for state in ("cold", "warm"):
                    portal.ask("reset")
                    result = run(python, LISTING, system, str(path), portal.urls["graphql"])
                    seconds.setdefault((system, state), []).append(result["seconds"])
                    seconds.setdefault((system, f"{state} opening"), []).append(result["opening"])
                    queries[system, state] = sum(portal.ask("counts")["graphql"].values())
                    print(f"{system:10} {state}: {result}, {queries[system, state]} queries", file=sys.stderr)
        path.write_text(json.dumps({**config, "dataset_ids": [10001]}))
        portal.ask("reset")
        run(sys.executable, VOXEL, str(path))
        voxel = portal.ask("counts")["s3"]
    print(f"{'400 runs with everything':28} {'reference':>10} {'ours':>10} {'ratio':>7}   queries")
    for state in ("cold", "warm", "cold opening", "warm opening"):
        reference, ours = (statistics.median(seconds[system, state]) for system in ("reference", "ours"))
        asked = f"{queries['reference', state]} : {queries['ours', state]}" if state in ("cold", "warm") else ""
        print(f"{state:28} {reference:9.3f}s {ours:9.3f}s {reference / ours:6.1f}x   {asked}")
    print(f"one voxel after opening: {sum(voxel.values())} S3 requests ({voxel})")


if __name__ == "__main__":
    main()
