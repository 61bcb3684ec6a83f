"""W4: picks of 1e5 points, JSON to arrays and back, against the released library in its own environment.

    python bench/w4_picks.py PYTHON_WITH_COPICK_1_31 [--points 100000] [--rounds 3]

Rounds alternate between the two. Both read the released library's indented file and write their own.
Prints a table (seconds, medians) and one line of JSON. Peak memory is the growth of the resident set
during the call, over what the process held before it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

INPUTS = """
import json, sys, threading, time
import numpy as np, psutil
folder, n = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(4)
positions, scores, ids = rng.uniform(0, 5000, (n, 3)), rng.random(n), np.arange(n)
w, x, y, z = (q := rng.normal(size=(4, n))) / np.linalg.norm(q, axis=0)
transforms = np.zeros((n, 4, 4)); transforms[:, 3, 3] = 1; transforms[:, :3, 3] = rng.normal(size=(n, 3))
transforms[:, 0, :3] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], 1)
transforms[:, 1, :3] = np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], 1)
transforms[:, 2, :3] = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1)

def timed(action):
    process = psutil.Process(); before = process.memory_info().rss; peak = [before]; done = threading.Event()
    def watch():
        while not done.wait(0.02): peak[0] = max(peak[0], process.memory_info().rss)
    watcher = threading.Thread(target=watch); watcher.start()
    start = time.perf_counter(); result = action(); seconds = time.perf_counter() - start
    done.set(); watcher.join()
    return result, seconds, (peak[0] - before) / 2**20
"""

REFERENCE = (
    INPUTS
    + """
import copick
config = {"name": "w4", "description": "", "version": "1", "config_type": "filesystem",
          "overlay_root": "local://" + folder, "overlay_fs_args": {"auto_mkdir": True},
          "pickable_objects": [{"name": "ribosome", "is_particle": True, "label": 1}]}
open(folder + "/config.json", "w").write(json.dumps(config))
run = copick.from_file(folder + "/config.json").new_run("r", exist_ok=True)
picks = run.new_picks("ribosome", "1", "ana", exist_ok=True)
_, store, store_mib = timed(lambda: picks.from_numpy(positions, transforms, ids, scores))
del picks, run
picks = copick.from_file(folder + "/config.json").get_run("r").get_picks("ribosome")[0]
def read():
    picks.load()
    return picks.numpy()
_, load, load_mib = timed(read)
print(json.dumps({"load": load, "store": store, "load_mib": load_mib, "store_mib": store_mib}))
"""
)

OURS = (
    INPUTS
    + """
from copick_core.picks_codec import decode, encode, from_arrays
header = {"pickable_object_name": "ribosome", "user_id": "ana", "session_id": "1", "run_name": "r"}
def write():
    with open(folder + "/ours.json", "wb") as file:
        file.write(encode(from_arrays(positions, transforms, ids, scores, header=header)))
_, store, store_mib = timed(write)
path = folder + "/ExperimentRuns/r/Picks/ana_1_ribosome.json"
def read():
    with open(path, "rb") as file:
        return decode(file.read(), path)
picks, load, load_mib = timed(read)
assert (picks.positions == positions).all() and (picks.transforms == transforms).all()
print(json.dumps({"load": load, "store": store, "load_mib": load_mib, "store_mib": store_mib}))
"""
)


def measure(python: str, script: str, folder: str, points: int) -> dict[str, float]:
    command = [python, "-c", script, folder, str(points)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="W4: picks load and store")
    parser.add_argument("reference", help="the Python of an environment with copick 1.31")
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {"reference": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            rounds["reference"].append(measure(options.reference, REFERENCE, folder, options.points))
            rounds["ours"].append(measure(sys.executable, OURS, folder, options.points))
        sizes = {path.name: path.stat().st_size for path in Path(folder).rglob("*.json")}
    keys = ("load", "store", "load_mib", "store_mib")
    medians = {who: {key: statistics.median(r[key] for r in rounds[who]) for key in keys} for who in rounds}
    print(f"{'':<10}{'reference':>12}{'ours':>12}{'times':>9}")
    for key in keys:
        theirs, mine = medians["reference"][key], medians["ours"][key]
        print(f"{key:<10}{theirs:>12.3f}{mine:>12.3f}{theirs / mine:>9.1f}")
    print(json.dumps({"points": options.points, "rounds": rounds, "medians": medians, "bytes": sizes}))


if __name__ == "__main__":
    main()
