"""Filaments: the mathematics of their curves, their value models, and their file; nothing here touches storage.

* :mod:`copick_core.filaments.curves`: curves to points, with NumPy;
* :mod:`copick_core.filaments.fitting`: points to control points, and whether a curve still describes points;
* :mod:`copick_core.filaments.values`: :class:`CopickFilament` and what a file holds;
* :mod:`copick_core.filaments.codec`: bytes of a file from and to these.
"""

from __future__ import annotations
