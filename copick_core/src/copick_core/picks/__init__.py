"""Picks files to arrays and back, without one Python object for each point.

A picks file is the JSON of the specification's ``CopickPicksFile``. ``decode`` reads the indented files of
the released copick library and the compact ones that ``encode`` writes; the arrays hold the same float64
values bit for bit. Keys that this version does not know, of the file, of a point and of its location,
survive ``encode(decode(data, source))``.

Reading is as tolerant as the files that exist: non-finite numbers (the released library writes the non-JSON
tokens ``NaN`` and ``Infinity``) and negative instance ids are read as they are. Writing is strict: ``encode``
and ``from_arrays`` refuse them, so that a broken file can be looked at and mended but is never produced.
"""

from __future__ import annotations

from copick_core.picks.arrays import PicksArrays, from_arrays
from copick_core.picks.decoding import decode
from copick_core.picks.encoding import encode
from copick_core.picks.points import arrays_of, points_of

__all__ = ["PicksArrays", "arrays_of", "decode", "encode", "from_arrays", "points_of"]
