"""Write filaments with a library, or tell what it reads of them: filaments.py LIBRARY CONFIG write|read.

Runs in the interpreter of the released library too, so it uses nothing but that library and NumPy.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

CORNER = [[0.0, 0.0, 0.0], [100.0, 0.0, 0.0], [100.0, 60.0, 1 / 3]]
ARCH = [[0.0, 0.0, 0.0], [10.0, 30.0, 0.0], [60.0, 30.0, 0.1], [90.0, 0.0, 0.0]]
CURVES: list[dict[str, Any]] = [
    {"kind": "catmull-rom", "control_points": CORNER, "step": 7.0, "alpha": 0.3},
    {"kind": "linear", "control_points": CORNER, "step": 11.0},
    {"kind": "bspline", "control_points": ARCH, "step": 5.0, "degree": 3, "knots": [0, 0, 0, 0, 2, 2, 2, 2], "smoothing": 0.5},
]
POLYLINE = [[0.1, 1e-30, -12345.678901234567], [3.0, 4.0, 5.0]]


def opened(library: str, config: str) -> Any:
    package = importlib.import_module(library)
    return (package.from_file if library == "copick" else package.open)(config)


def write(library: str, config: str) -> None:
    root = opened(library, config)
    models = importlib.import_module(f"{library}.models")
    root.new_object("actin", True, filament={"polar": True, "helical_rise_a": 27.5})
    root.save_config(config)
    run = root.new_run("TS_1")
    curves = run.new_filaments("actin", "1", "ann")
    curves.from_curves(CURVES, instance_ids=[3, 1, 2], scores=[0.1, 0.2, 1.0], voxel_spacing=10.0)
    lines = run.new_filaments("actin", "0", "tracer")
    lines.from_numpy([POLYLINE], radii=[35.0], polarity_known=[True], metadata=[{"by": "hand", "n": [1, 2]}])
    unknown = models.CopickFilament(
        instance_id=9, points=POLYLINE, curve={"kind": "nurbs", "control_points": POLYLINE, "step": 1.0, "weights": [1, 2]}
    )
    lines.filaments = [*lines.filaments, unknown]
    lines.store()


def read(library: str, config: str) -> None:
    root = opened(library, config)
    run = root.get_run("TS_1")
    found = {}
    for filaments in sorted(run.filaments, key=lambda f: f.user_id):
        content = filaments.load()
        content = filaments.meta if content is None else content
        current = [filament.curve_is_current() for filament in filaments.filaments]
        found[f"{filaments.user_id}/{filaments.session_id}"] = {"file": content.model_dump(mode="json"), "current": current}
    spec = root.get_object("actin").filament.model_dump()
    sys.stdout.write(json.dumps({"object": spec, "filaments": found}, sort_keys=True))


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[3]](sys.argv[1], sys.argv[2])
