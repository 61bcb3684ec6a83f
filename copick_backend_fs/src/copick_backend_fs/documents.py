"""Which values of a volume are documents of zarr, and which of them make it a volume."""

from __future__ import annotations

#: Documents of a root group, the one that makes it a volume last.
ROOT = (".zgroup", ".zmetadata", ".zattrs", "zarr.json")

#: Documents that make a volume one, the likeliest first.
DOCUMENTS = (".zattrs", "zarr.json", ".zgroup")


def is_metadata(name: str) -> bool:
    """Whether a value of a volume is a document of zarr."""
    return name.rpartition("/")[2] in (".zarray", *ROOT)
