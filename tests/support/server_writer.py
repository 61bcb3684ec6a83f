"""A writer of one set of picks, as a process of its own: reads, adds its point, stores, and counts what becomes of it.

Writes a JSON object to standard output: the x of each point that it was told is stored, and how many conflicts it met.
"""

from __future__ import annotations

import json
import random
import sys
import time
import warnings
from typing import Any

import numpy as np


def write(config: dict[str, Any], number: int, stores: int) -> dict[str, Any]:
    """Store ``stores`` times; the point of each store lies at its own x."""
    import copick_core
    from copick_core.errors import ConflictError

    acknowledged, conflicts = [], 0
    picks = copick_core.open(config).get_run("TS_1").get_picks("ribosome", "alice", "1")[0]
    pauses = random.Random(number)
    for n in range(stores):
        time.sleep(pauses.uniform(0, 0.2))  # whoever has just stored would be the first to read again, and win again
        x = float(1000 * number + n)
        picks.refresh()
        points = np.concatenate([picks.numpy()[0], [[x, 0.0, 0.0]]])
        try:
            picks.from_numpy(points)
        except ConflictError:
            conflicts += 1
        else:
            acknowledged.append(x)
    return {"acknowledged": acknowledged, "conflicts": conflicts}


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("default", category=UserWarning)
    sys.stdout.write(json.dumps(write(json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
