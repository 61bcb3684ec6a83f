"""Tests of copick's own suite of 1.31.0 that do not pass on the drop-in, with the reason of each: a pattern of names."""

from __future__ import annotations

OWN_DIFFERS: tuple[tuple[str, str], ...] = ()
