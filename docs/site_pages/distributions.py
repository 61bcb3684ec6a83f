"""Where the code of this repository's distributions is."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def sources() -> list[Path]:
    """The source folder of every distribution, in the order of their names."""
    return [path.parent / "src" for path in sorted(REPOSITORY.glob("copick_*/pyproject.toml"))]
