"""How numbers and names are written for people."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """A number with its noun: ``count(1, "point")`` is ``1 point``, ``count(2, "point")`` is ``2 points``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def times(shape: tuple[int, ...]) -> str:
    """A shape: ``times((64, 192, 192))`` is ``64×192×192``."""
    return "×".join(str(length) for length in shape)


def printable(text: str) -> str:
    """Text for a terminal: names of files are anybody's, and must neither break lines nor command it."""
    return "".join(c if c.isprintable() else "?" for c in text)
