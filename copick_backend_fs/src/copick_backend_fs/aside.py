"""Volumes that are moved aside while another one takes their place, where a folder is renamed, but over no other.

So it is on servers (SFTP, SMB), and on local mounts and systems that cannot exchange two folders in one step.

Between the two renames its place is empty, and a writer may die there. The name under which a volume lies aside tells where it
belongs: whoever finds the place empty waits for the writer, and then puts the volume back. If that writer lives after all, its
second rename fails, and with it its call.
"""

from __future__ import annotations

import contextlib
import os
import time

from copick_core.layers.staged import ASIDE, aside_of

WAY_OUT = "It was cut off: reading it with a project that may write it puts the old volume back."
"""What to do about a volume that stays aside."""


def place_of(aside: str) -> str:
    """Path of the place of a volume that was moved aside."""
    folder, _, name = aside.rpartition("/")
    return f"{folder}/{name.removeprefix(ASIDE)}"


def is_waiting(place: str, seconds: float) -> bool:
    """Whether a local volume lies aside and its place is empty, also after some seconds, in which its writer may go on."""
    old, patience = aside_of(place), time.monotonic() + seconds
    while os.path.lexists(old) and not os.path.lexists(place):
        if time.monotonic() > patience:
            return True
        time.sleep(0.02)
    return False


def put_back(place: str) -> None:
    """Put back a local volume that lies aside, unless there is another one in its place meanwhile."""
    with contextlib.suppress(OSError):  # somebody else was faster
        os.rename(aside_of(place), place)
