"""Volumes that are moved aside while another one takes their place, where a server renames a folder, but over no other.

Between the two renames its place is empty, and a writer may die there. The name under which a volume lies aside tells where it
belongs: whoever finds the place empty waits for the writer, and then puts the volume back. If that writer lives after all, its
second rename fails, and with it its call.
"""

from __future__ import annotations

from copick_core.layers.staged import staged_name
from copick_core.tree.names import MAX_NAME_BYTES

PREFIX = ".replaced-"
"""What the name of a volume that was moved aside begins with; its own name follows."""


def aside_of(path: str) -> str:
    """Path that a folder is moved aside to; of one with a very long name, a staged name."""
    folder, _, name = path.rpartition("/")
    aside = f"{PREFIX}{name}"
    return f"{folder}/{aside if len(aside.encode()) <= MAX_NAME_BYTES else staged_name()}"


def place_of(aside: str) -> str:
    """Path of the place of a volume that was moved aside."""
    folder, _, name = aside.rpartition("/")
    return f"{folder}/{name.removeprefix(PREFIX)}"
