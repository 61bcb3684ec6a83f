"""Picks files to arrays and back, without one Python object for each point.

A picks file is the JSON of the specification's ``CopickPicksFile``. ``decode`` reads the indented files of
the released copick library and the compact ones that ``encode`` writes; the arrays hold the same float64
values bit for bit. Keys that this version does not know, of the file, of a point and of its location,
survive ``encode(decode(data, source))``.

Reading is as tolerant as the files that exist: other units of length are converted to angstrom, and negative instance ids
are read as they are. Non-finite numbers (the released library writes the non-JSON tokens ``NaN`` and ``Infinity``) are
refused by the index of their point, since every computation with them would be wrong. Writing is strict: ``encode`` and
``from_arrays`` refuse negative ids too.
"""

from __future__ import annotations

from copick_core.picks.arrays import PicksArrays, from_arrays
from copick_core.picks.decoding import decode
from copick_core.picks.encoding import encode
from copick_core.picks.points import arrays_of, points_of

__all__ = ["PicksArrays", "arrays_of", "decode", "encode", "from_arrays", "points_of"]
