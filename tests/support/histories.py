"""Projects with a history that tests write."""

from __future__ import annotations

from typing import Any

from copick_backend_icechunk.root import CopickRootIcechunk


def picks(root: CopickRootIcechunk, run: str = "TS_1", user: str = "alice", *points: float) -> Any:
    """Store picks with a point at each x."""
    handle = root.get_run(run) or root.new_run(run)
    return handle.new_picks("ribosome", "1", user, exist_ok=True, positions=[[x, 0, 0] for x in points])


def messages(root: CopickRootIcechunk) -> list[str]:
    """The messages of all commits, newest first."""
    return [commit.message for commit in root.history()]
