"""What a folder holds, byte by byte."""

from __future__ import annotations

from pathlib import Path


def files_of(folder: Path) -> dict[str, bytes | None]:
    """Return the content of every file in a folder by its relative path; None stands for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
