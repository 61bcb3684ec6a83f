"""What two dumps of projects have in common, and where they differ."""

from __future__ import annotations

import numpy as np

from support.reference_scripts.dump import Dump


def differences(expected: Dump, found: Dump) -> list[str]:
    """Return one line for every entity or value that is not the same in both; none for equal projects.

    Values are equal bit by bit, and so are their types and shapes: float64 does not equal float32.
    """
    lines = _differing_keys("entity", expected.records, found.records)
    for key in sorted(expected.records.keys() & found.records.keys()):
        before, after = expected.records[key], found.records[key]
        lines += _differing_keys(f"{key}: field", before, after)
        lines += [
            f"{key}: {field}: expected {before[field]!r}, found {after[field]!r}"
            for field in sorted(before.keys() & after.keys())
            if repr(before[field]) != repr(after[field])
        ]
    lines += _differing_keys("array", expected.arrays, found.arrays)
    for key in sorted(expected.arrays.keys() & found.arrays.keys()):
        lines += _differing_array(key, expected.arrays[key], found.arrays[key])
    return lines


def without_writers_choices(dump: Dump) -> Dump:
    """Return a dump without what a writer decides for itself.

    These are coarser levels (the libraries average odd edges differently) and the OME metadata of feature maps (the
    reference leaves them to its caller).
    """
    kept = Dump()
    for key, record in dump.records.items():
        kept.records[key] = dict(record)
        if "levels" in record:
            kept.records[key]["levels"] = {"0": record["levels"]["0"]}
        if "/features/" in key:
            del kept.records[key]["attributes"]
    kept.arrays = {key: array for key, array in dump.arrays.items() if "/levels/" not in key or key.endswith("/levels/0")}
    return kept


def _differing_keys(what: str, expected: dict, found: dict) -> list[str]:
    lines = [f"{what} missing: {key}" for key in sorted(expected.keys() - found.keys())]
    return lines + [f"{what} not expected: {key}" for key in sorted(found.keys() - expected.keys())]


def _differing_array(key: str, expected: np.ndarray, found: np.ndarray) -> list[str]:
    if (expected.shape, expected.dtype) != (found.shape, found.dtype):
        return [f"{key}: expected {expected.dtype}{expected.shape}, found {found.dtype}{found.shape}"]
    if expected.tobytes() == found.tobytes():
        return []
    where = np.argwhere(expected != found)
    place = tuple(int(index) for index in where[0]) if len(where) else "a sign of zero"
    return [f"{key}: {len(where)} of {expected.size} values differ, first at {place}"]
