"""A project for listings, made with plain file operations, and the two ways to enumerate it.

Run as a program, ``listing_project.py SYSTEM CONFIG ROOT`` enumerates the project in this process and prints
how many entities there are, how many characters their names have, and the seconds that took. SYSTEM is
``copick``, ``copick_core``, or ``limit``: one scandir for each directory, names only. ``SYSTEM-open`` opens
the project and enumerates nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

TOMOGRAMS, PICKS, MESHES, SEGMENTATIONS = 3, 10, 2, 4
ENTITIES_PER_RUN = 2 + TOMOGRAMS + PICKS + MESHES + SEGMENTATIONS  # with the run and its voxel spacing
DIRECTORIES_PER_RUN = 5  # the run, its voxel spacing, Picks, Meshes, Segmentations
#: What copick_core imports when it lists for the first time; copick imports all with itself.
IMPORTED_LATER = ("copick_backend_fs.entities", "copick_core.layers.recording", "logging")


def make_listing_project(root: Path, runs: int) -> None:
    """Make `runs` runs that hold the same entities; their contents are empty."""
    for number in range(runs):
        run = root / "ExperimentRuns" / f"TS_{number:04d}"
        for index in range(TOMOGRAMS):
            _make_zarr(run / "VoxelSpacing10.000" / f"tomogram{index}.zarr")
        for index in range(SEGMENTATIONS):
            _make_zarr(run / "Segmentations" / f"10.000_user{index}_1_ribosome.zarr")
        for kind, suffix, count in (("Picks", "json", PICKS), ("Meshes", "glb", MESHES)):
            (run / kind).mkdir()
            for index in range(count):
                (run / kind / f"user{index}_1_ribosome.{suffix}").touch()
        for folder in (run, run / "VoxelSpacing10.000"):
            (folder / ".meta").write_text("meta")


def enumerate_project(root: Any) -> tuple[int, int]:
    """Return how many entities a library lists, and how many characters their names have."""
    count, characters = 0, 0
    for run in root.runs:
        names = [run.name]
        for spacing in run.voxel_spacings:
            names.append(f"{spacing.voxel_size:.3f}")
            for tomogram in spacing.tomograms:
                names.append(tomogram.tomo_type)
                names += [features.feature_type for features in tomogram.features]
        names += [picks.pickable_object_name + picks.user_id + picks.session_id for picks in run.picks]
        names += [mesh.pickable_object_name + mesh.user_id + mesh.session_id for mesh in run.meshes]
        found = run.get_segmentations(is_multilabel=None, is_instance=None, is_panoptic=None)
        names += [segmentation.name + segmentation.user_id + segmentation.session_id for segmentation in found]
        count += len(names)
        characters += sum(map(len, names))
    return count, characters


def scan_project(root: str) -> tuple[int, int]:
    """Return the same numbers from the directories alone."""
    count, characters = 0, 0
    runs = os.path.join(root, "ExperimentRuns")
    for run in _names(runs):
        names = [run]
        for folder in _names(os.path.join(runs, run)):
            entries = [name.rsplit(".", 1)[0] for name in _names(os.path.join(runs, run, folder))]
            if folder.startswith("VoxelSpacing"):
                names.append(folder.removeprefix("VoxelSpacing"))
                names += entries
            else:
                start = 1 if folder == "Segmentations" else 0
                names += ["".join(entry.split("_")[start:]) for entry in entries]
        count += len(names)
        characters += sum(map(len, names))
    return count, characters


def _names(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if not entry.name.startswith(".")]


def _make_zarr(path: Path) -> None:
    path.mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text("{}")
    (path / "0").mkdir()


def import_later() -> None:
    """Import what listing needs, so that neither its time nor its system calls count as those of listing."""
    for name in IMPORTED_LATER:
        importlib.import_module(name)


def main() -> None:
    """Enumerate what the command line names."""
    system, config, root = sys.argv[1:]
    library, _, only_open = system.partition("-")
    opened = None if library == "limit" else importlib.import_module(library).from_file(config)
    if library == "copick_core":
        import_later()
    start = time.perf_counter()
    result = (0, 0)
    if not only_open:
        result = scan_project(root) if opened is None else enumerate_project(opened)
    seconds = time.perf_counter() - start
    document = {"entities": result[0], "characters": result[1], "seconds": seconds}
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
