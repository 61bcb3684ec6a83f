"""Looking at compose volumes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import copick_core


def open_volume(folder, **fields):
    """Open a volume under an overlay in memory."""
    return copick_core.open(
        {"config_type": "compose_volume", "volume_root": str(folder), "overlay": {"config_type": "memory"}, **fields}
    )


def tree_hash(folder):
    """Hash of names, bytes and times of everything in a folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(path.read_bytes() if path.is_file() else b"folder")
        digest.update(str(path.stat().st_mtime_ns).encode())
    return digest.hexdigest()


def geometry(mesh):
    """The one geometry of a mesh."""
    return next(iter(mesh.mesh.geometry.values()))
