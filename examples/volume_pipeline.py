"""From a folder of slices to a mesh, without the app: upload, convert, train, segment, publish, mesh, open.

    pip install "copick-core[volume]" scikit-learn scipy
    python examples/volume_pipeline.py SLICES VOLUME

The folder of slices holds grey images in text order, and below ``masks/`` some masks of the same names, in which whatever
is not zero is the object. A pixel classifier of scikit-learn learns from those slices. It lives in memory only: no model is
written, and none is loaded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier

import copick_core

SUFFIXES = {".png", ".tif", ".tiff"}


def features(plane: np.ndarray) -> np.ndarray:
    """Features of each pixel of a slice (y, x): brightness at three scales, and edges."""
    plane = plane.astype(np.float32)
    maps = [ndimage.gaussian_filter(plane, sigma) for sigma in (0, 1, 3)]
    maps.append(ndimage.gaussian_gradient_magnitude(plane, 1))
    return np.stack([m.ravel() for m in maps], axis=1)


def train(pairs: list[tuple[np.ndarray, np.ndarray]]) -> RandomForestClassifier:
    """Train on pairs of slice and mask."""
    forest = RandomForestClassifier(n_estimators=20, max_depth=10, random_state=0)
    forest.fit(np.concatenate([features(p) for p, _ in pairs]), np.concatenate([m.ravel() != 0 for _, m in pairs]))
    return forest


def segment(forest: Any, tomogram: Any) -> Iterator[np.ndarray]:
    """Predict slice by slice."""
    array = tomogram.array()
    for z in range(array.shape[0]):
        yield forest.predict(features(np.asarray(array[z]))).reshape(array.shape[1:])


def pipeline(slices: Path, volume: Path, title: str = "pipeline") -> dict[str, Any]:
    """Run the whole chain; gives the id of the job, voxels of the object, and the mesh."""
    volume.mkdir(parents=True, exist_ok=True)
    config = {"config_type": "compose_volume", "volume_root": str(volume), "write_back": True}
    files = sorted(path for path in slices.iterdir() if path.suffix.lower() in SUFFIXES)

    run = copick_core.open(config).new_job(title)
    run.add_slices(files)
    run.finish_upload()
    run.uploads.check()
    run.convert()

    tomogram = run.voxel_spacings[0].tomograms[0]
    annotated = [(z, slices / "masks" / path.name) for z, path in enumerate(files)]
    pairs = [(tomogram.numpy(z=z), np.asarray(Image.open(mask))) for z, mask in annotated if mask.exists()]
    labels = np.stack([*segment(train(pairs), tomogram)])
    run.publish_segmentation(labels, "sklearn-random-forest", provenance={"annotated_slices": len(pairs)})
    run.mesh()

    # Anybody opens the result, now without the right to write.
    reopened = copick_core.open({**config, "write_back": False}).get_run(run.name)
    segmentation, mesh = reopened.latest_segmentation, reopened.latest_mesh
    surface = next(iter(mesh.mesh.geometry.values()))
    return {
        "job": run.name,
        "status": reopened.job.status.name,
        "shape": segmentation.numpy().shape,
        "voxels": int(np.count_nonzero(segmentation.numpy())),
        "watertight": bool(surface.is_watertight),
        "volume": float(surface.volume),
    }


def main(argv: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Slices to mesh, through a compose volume.")
    parser.add_argument("slices", type=Path)
    parser.add_argument("volume", type=Path)
    args = parser.parse_args(argv)
    for name, value in pipeline(args.slices, args.volume).items():
        sys.stdout.write(f"{name:10} {value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
