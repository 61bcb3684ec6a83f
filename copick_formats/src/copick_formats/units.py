"""Lengths as image files spell them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from copick_core.volumes.multiscales import to_angstrom

_UNITS = {
    "angstrom": "angstrom", "angstroms": "angstrom", "ångström": "angstrom", "å": "angstrom", "a": "angstrom",
    "nm": "nanometer", "nanometer": "nanometer", "nanometers": "nanometer", "nanometre": "nanometer",
    "um": "micrometer", "µm": "micrometer", "μm": "micrometer", "micron": "micrometer", "microns": "micrometer",
    "micrometer": "micrometer", "micrometers": "micrometer", "mm": "millimeter", "cm": "centimeter", "m": "meter",
    "pm": "picometer", "inch": "inch", "in": "inch",
}  # fmt: skip
"""How ImageJ and OME-TIFF spell units of length; both letters for micro occur."""


def six_digits(number: float) -> float:
    """Round to six significant digits: headers hold float32, and that is what the writer meant."""
    return float(f"{number:.6g}")


def in_angstrom(lengths: Sequence[tuple[Any, Any]]) -> tuple[float, float, float] | None:
    """Convert three pairs of length and unit; None if one has no length, or no unit of length."""
    found = []
    for size, unit in lengths:
        # ImageJ writes the micro sign as an escape.
        name = _UNITS.get(str(unit).strip().lower().replace("\\u00b5", "µ"))
        if size is None or name is None:
            return None
        found.append(six_digits(to_angstrom(float(size), name)))
    return found[0], found[1], found[2]
