"""Looking at compose volumes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

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


def bound_by_modes():
    """What to put before a command so that the modes of files bind it, also as root; skips where that cannot be had."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if shutil.which("setpriv") is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root may write whatever the modes of files say, and setpriv cannot take that away here")
    return command


def geometry(mesh):
    """The one geometry of a mesh."""
    return next(iter(mesh.mesh.geometry.values()))
