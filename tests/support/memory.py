"""The most memory that this process has held, as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def reset_peak() -> None:
    """Let the peak start from what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib(process: int | str = "self") -> float:
    """Peak resident memory of this process since it began, or since the last reset, in MiB.

    Unlike ``ru_maxrss``, which a child inherits from its parent.

    Args:
        process: Id of another process.
    """
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:", 1)[1].split(maxsplit=1)[0]) / 1024
