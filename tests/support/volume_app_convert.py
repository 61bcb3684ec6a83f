"""Imitation of the app's conversion, with its own libraries: Pillow and zarr 2, which have an environment of their own.

As a program, ``volume_app_convert.py VOLUME JOB…`` converts the uploads of jobs, and prints the type of each image.
Nothing here imports anything of ours.
"""

import os
import shutil
import sys

import numpy as np
import zarr
from PIL import Image


def read(path):
    """One slice (y, x): whatever Pillow makes of the file; of several channels the first."""
    pixels = np.array(Image.open(path))
    return pixels[..., 0] if pixels.ndim == 3 else pixels


def convert(volume, job):
    """Slices in the order of their names, cast to the type of the first one; one that cannot be read becomes zeros."""
    folder = os.path.join(volume, "uploads", job)
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    first = read(os.path.join(folder, names[0]))
    target = os.path.join(volume, "chunks", job)
    shutil.rmtree(target, ignore_errors=True)
    shape = (first.shape[1], first.shape[0], len(names))
    array = zarr.open(target, mode="w", shape=shape, chunks=(512, 512, 64), dtype=first.dtype)
    for start in range(0, len(names), 64):
        slab = np.zeros((first.shape[1], first.shape[0], min(64, len(names) - start)), first.dtype)
        for k, name in enumerate(names[start : start + 64]):
            try:
                slab[:, :, k] = read(os.path.join(folder, name)).T
            except Exception as error:
                sys.stderr.write(f"{job}: {name}: {error}\n")
        array[:, :, start : start + slab.shape[2]] = slab
    return array


def main(volume, *jobs):
    for job in jobs:
        try:
            sys.stdout.write(f"{job} {convert(volume, job).dtype.str}\n")
        except Exception as error:
            sys.stdout.write(f"{job} fails\n")
            sys.stderr.write(f"{error}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
