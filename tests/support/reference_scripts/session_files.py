"""The files that a session of commands imports; run with the interpreter that has NumPy, as ``session_files.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def write_mrc(path: Path, data: np.ndarray, voxel_size: float) -> None:
    """A small MRC2014 file."""
    header = np.zeros(256, "<i4")
    floats = header.view("<f4")
    header[:4] = [*data.shape[::-1], {"float32": 2, "int8": 0, "uint16": 6}[data.dtype.name]]
    header[7:10] = data.shape[::-1]
    floats[10:13] = [n * voxel_size for n in data.shape[::-1]]
    floats[13:16] = 90
    header[16:19] = [1, 2, 3]
    floats[19:22] = [data.min(), data.max(), data.mean()]
    header[22] = 1
    header.view("S4")[52] = b"MAP "
    header.view("u1")[212:216] = [68, 68, 0, 0]
    header[27] = 20140
    path.write_bytes(header.tobytes() + data.tobytes())


def main(folder: Path) -> None:
    rng = np.random.default_rng(20261129)
    folder.mkdir(parents=True, exist_ok=True)
    for number in (1, 2):
        write_mrc(folder / f"TS_{number:03}.mrc", rng.normal(size=(24, 20, 16)).astype("float32"), 10.0)
    labels = np.zeros((24, 20, 16), "int8")
    labels[4:9, 3:8, 2:7] = 2
    write_mrc(folder / "mask.mrc", labels, 10.0)
    write_mrc(folder / "map.mrc", rng.normal(size=(8, 8, 8)).astype("float32"), 5.0)
    rows = ["run_name,x,y,z,score"]
    for run in ("TS_001", "TS_002"):
        rows += [f"{run},{x:.3f},{y:.3f},{z:.3f},{s:.4f}" for x, y, z, s in rng.uniform(1, 150, (5, 4)) / [1, 1, 1, 200]]
    (folder / "points.csv").write_text("\n".join(rows) + "\n")
    columns = [
        "rlnTomoName",
        "rlnCoordinateX",
        "rlnCoordinateY",
        "rlnCoordinateZ",
        "rlnAngleRot",
        "rlnAngleTilt",
        "rlnAnglePsi",
    ]
    lines = ["", "data_optics", "", "loop_", "_rlnOpticsGroup #1", "_rlnOpticsGroupName #2", "_rlnTomoTiltSeriesPixelSize #3"]
    lines += ["1 opticsGroup1 2.500000", "", "", "data_particles", "", "loop_"]
    lines += [f"_{name} #{i}" for i, name in enumerate([*columns, "rlnOpticsGroup"], 1)]
    for run in ("TS_001", "TS_002"):
        for _ in range(4):
            x, y, z = rng.uniform(4, 60, 3)
            rot, tilt, psi = rng.uniform(-170, 170), rng.uniform(5, 170), rng.uniform(-170, 170)
            lines.append(f"{run} {x:.6f} {y:.6f} {z:.6f} {rot:.6f} {tilt:.6f} {psi:.6f} 1")
    (folder / "particles.star").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
