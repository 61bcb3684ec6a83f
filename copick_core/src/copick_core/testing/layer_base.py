"""What an author tells the kit about a layer, and the fixtures of its checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.tree.keys import KINDS, ROOT, Key, Kind, child_kinds

ALL_KINDS = [*Kind]
FILE_KINDS = [kind for kind in KINDS if KINDS[kind].content == "file"]
VOLUME_KINDS = [kind for kind in KINDS if KINDS[kind].content == "volume"]
CONTAINER_KINDS = [kind for kind in KINDS if KINDS[kind].content == "children"]


class LayerChecks:
    """What every group of checks on a layer shares: override what stands here, and nothing else.

    Attributes:
        kinds: The kinds that the layer can hold; checks of other kinds are skipped.
        can_reopen: Whether :meth:`reopen` gives a second layer on the same place.
        exclusive_writes: Whether, of several threads that write with one ``if_revision`` at once, exactly one succeeds.
            False only where the storage has no conditional write.
        zarr_formats: The zarr formats that volumes can have: ``(3,)`` for a layer whose ``volume_format`` fixes it. Checks
            that store values which belong to no zarr array are skipped then.
        case_sensitive: Whether names that differ by case alone are two names.
        any_run_name: Whether every legal run name is taken. False only for places that refuse some characters, as Windows
            shares do: there a name is taken as it is, or refused with an InvalidNameError.
        examples: How many random histories the state machine runs.
        steps: How many steps each of them has.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)
    can_reopen: ClassVar[bool] = True
    exclusive_writes: ClassVar[bool] = True
    zarr_formats: ClassVar[tuple[int, ...]] = (2, 3)
    case_sensitive: ClassVar[bool] = True
    any_run_name: ClassVar[bool] = True
    examples: ClassVar[int] = 20
    steps: ClassVar[int] = 20

    @pytest.fixture
    def layer(self) -> Layer:
        """An empty, writable layer. Override it."""
        raise NotImplementedError("give the fixture 'layer': an empty, writable layer")

    def reopen(self, layer: Layer, *, read_only: bool = False) -> Layer:
        """Open another layer on the same place, as another process would. Override it, or set ``can_reopen = False``."""
        raise NotImplementedError("override reopen(), or set can_reopen = False")

    def stored_files(self, layer: Layer) -> Mapping[str, bytes] | None:
        """Give all stored files by their paths below the project, read without the layer; None if it stores no files."""
        return None

    def plant(self, layer: Layer, path: str, data: bytes) -> None:
        """Put a file at a path below the project without the layer; not overridden: checks of foreign files are skipped."""
        pytest.skip("plant() is not overridden: this place holds no files that others could have left")

    def emptied(self, layer: Layer) -> Layer:
        """Empty a layer between two random histories; override it where there is a faster way."""
        for kind in (Kind.RUN, Kind.OBJECT):
            for key in [*layer.list(kind, ROOT)] if kind in self.kinds else []:
                layer.delete(key)
        return layer

    # ------------------------------------------------------------------ for checks

    def other(self, layer: Layer, *, read_only: bool = False) -> Layer:
        """Open another layer on the same place, or skip."""
        if not self.can_reopen:
            pytest.skip("can_reopen is False")
        return self.reopen(layer, read_only=read_only)

    def need(self, *kinds: Kind) -> None:
        """Skip unless the layer can hold some kinds."""
        missing = [kind.value for kind in kinds if kind not in self.kinds]
        if missing:
            pytest.skip(f"the layer holds no {', '.join(missing)}")

    def need_format(self, zarr_format: int) -> None:
        """Skip unless volumes can have a zarr format."""
        if zarr_format not in self.zarr_formats:
            pytest.skip(f"volumes of zarr format {zarr_format} are not stored here")

    def need_any_value(self) -> None:
        """Skip where stores take only what belongs to a zarr array."""
        if self.zarr_formats != (2, 3):
            pytest.skip("the layer fixes the format of its volumes")

    def whole(self, layer: Layer, *runs: str) -> set[Key]:
        """List everything below the project and some runs, each listing checked for repetitions."""
        found: list[Key] = []
        for kind in (Kind.RUN, Kind.OBJECT):
            found += layer.list(kind, ROOT)
        for run in runs or ("TS_1",):
            parent = samples.key(Kind.RUN, run)
            for kind in child_kinds(Kind.RUN):
                found += layer.list(kind, parent)  # type: ignore[arg-type]
            for spacing in [k for k in found if k.kind is Kind.VOXEL_SPACING and k.parent == parent]:
                tomograms = [*layer.list(Kind.TOMOGRAM, spacing)]
                found += tomograms
                for tomogram in tomograms:
                    found += layer.list(Kind.FEATURES, tomogram)  # type: ignore[arg-type]
        assert len(found) == len({*found}), f"repeated in listings: {sorted(str(k) for k in found if found.count(k) > 1)}"
        return {*found}
