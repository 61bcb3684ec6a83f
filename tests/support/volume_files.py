"""Small volume files for tests, written by mrcfile or byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

import mrcfile
import numpy as np

VOLUME = (np.random.default_rng(0).standard_normal((7, 6, 5)) * 40 + 60).clip(0, 127).astype("f4")


def write_mrc(path: Path, volume: np.ndarray = VOLUME, size: float | tuple[float, ...] = 10.012, extended: int = 0) -> Path:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(volume)
        file.voxel_size = size
        if extended:
            file.set_extended_header(np.arange(extended, dtype=np.uint8).view("V1"))
    return path


def write_em(path: Path, volume: np.ndarray, machine: int, code: int) -> Path:
    order = ">" if machine in (0, 3, 4, 5) else "<"
    z, y, x = volume.shape
    header = bytes([machine, 0, 0, code]) + struct.pack(f"{order}3i", x, y, z)
    path.write_bytes(header.ljust(512, b"\0") + volume.astype(volume.dtype.newbyteorder(order)).tobytes())
    return path


def patched(path: Path, offset: int, content: bytes) -> Path:
    """Replace some bytes of a file."""
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(content)] = content
    path.write_bytes(raw)
    return path
