"""Whether this folder holds the drop-in alone, or files of the released copick too."""

from __future__ import annotations

from pathlib import Path

#: Files that the released copick has and the drop-in never will.
_OF_THE_RELEASED = ("impl/mlcroissant.py", "impl/overlay.py", "util/portal_cache.py", "util/escape.py")
#: Files of the drop-in that prove that a file of the same name is its own.
_OWN = "impl/overlay.py", "util/escape.py"


def refuse_a_mixture(folder: Path | None = None) -> None:
    """Refuse to run where pip has left files of the released copick beside those of the drop-in.

    Args:
        folder: The package's folder; this one by default.

    Raises:
        ImportError: There are such files.
    """
    folder = folder or Path(__file__).parent
    strange = [name for name in _OF_THE_RELEASED if name not in _OWN and (folder / name).exists()]
    if strange:
        raise ImportError(
            f"{folder} holds {strange[0]} of the released copick beside the drop-in: "
            "run `pip uninstall copick`, delete the folder, and install one of the two again."
        )
