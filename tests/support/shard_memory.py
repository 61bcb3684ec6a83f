"""How much memory it takes to change a region of a large shard in a bucket.

``shard_memory.py serve`` is the server, until its standard input ends; ``shard_memory.py URL OBSTORE`` measures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

SHAPE = (384, 512, 512)


def serve() -> None:
    """Serve a bucket."""
    from support.s3_server import S3Server

    with S3Server() as server:
        server.empty("lab")
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


def measure(url: str, obstore: bool) -> dict[str, Any]:
    """Write a volume with one shard a level, change a region of it, and give the memory that this took."""
    import numpy as np

    import copick_core
    from support.memory import peak_mib, reset_peak

    config = {
        "config_type": "filesystem",
        "overlay_root": "s3://lab/p",
        "overlay_fs_args": {"endpoint_url": url, "key": "someone", "secret": "secret"},
        "obstore": obstore,
        "pickable_objects": [],
        "format": "copick-2",
    }
    tomogram = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")

    class Noise:
        shape, dtype = SHAPE, np.dtype("f4")

        def __getitem__(self, index: Any) -> Any:
            z, y = index[:2]
            return np.random.default_rng(z.start or 0).random((z.stop - z.start, y.stop - y.start, SHAPE[2]), np.float32)

    tomogram.import_volume(Noise(), levels=1)
    before = tomogram.numpy(z=slice(200, 202), y=slice(0, 8))
    reset_peak()
    level = peak_mib()
    tomogram.set_region(7, z=slice(100, 101), y=slice(0, 8), x=slice(0, 8))
    taken = peak_mib() - level
    right = (tomogram.numpy(z=100, y=slice(0, 8), x=slice(0, 8)) == 7).all() and (
        tomogram.numpy(z=slice(200, 202), y=slice(0, 8)) == before
    ).all()
    return {"taken_mib": taken, "right": bool(right)}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        json.dump(measure(sys.argv[1], sys.argv[2] == "1"), sys.stdout)
