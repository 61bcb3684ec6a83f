"""Whether this folder holds the drop-in alone, or files of the released copick too."""

from __future__ import annotations

from pathlib import Path

#: What every recent release of copick has and the drop-in never will.
_OF_THE_RELEASED = (
    "impl/mlcroissant.py",
    "util/handlers",
    "util/path_util.py",
    "util/reconnecting_fs.py",
    "cli/make_templates.py",
    "cli/browse.py",
)


def refuse_a_mixture(folder: Path | None = None) -> None:
    """Refuse to run where pip has left files of the released copick beside those of the drop-in.

    Args:
        folder: The package's folder; this one by default.

    Raises:
        ImportError: There are such files.
    """
    folder = folder or Path(__file__).parent
    strange = [name for name in _OF_THE_RELEASED if (folder / name).exists()]
    if strange:
        raise ImportError(
            f"{folder} holds {strange[0]} of the released copick beside the drop-in: "
            "run `pip uninstall copick`, delete the folder, and install one of the two again."
        )
