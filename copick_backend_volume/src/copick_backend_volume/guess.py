"""A configuration for a folder that is a volume."""

from __future__ import annotations

import os
from typing import Any

from copick_backend_volume.places import DATABASE, JOB_FOLDERS, local_folder

#: So many of the app's folders make a volume, where its database is missing.
_ENOUGH_FOLDERS = 2


def guess(path: str) -> dict[str, Any] | None:
    """The content of a configuration for a volume, which is only read; None if the folder is none."""
    root = None if "::" in path else local_folder(path)
    if root is None or not os.path.isdir(root):
        return None
    folders = sum(os.path.isdir(os.path.join(root, name)) for name in JOB_FOLDERS)
    is_volume = os.path.isfile(os.path.join(root, DATABASE)) or folders >= _ENOUGH_FOLDERS
    return {"volume_root": root, "name": os.path.basename(root)} if is_volume else None
