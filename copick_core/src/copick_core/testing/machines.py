"""Random histories against the dumb model: whole listings and all contents are compared after every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from copick_core.errors import ConflictError, NotFoundError
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import ContractBroken, promises
from copick_core.testing.layer_base import LayerChecks
from copick_core.testing.layer_replacements import WriteFailedError
from copick_core.testing.model import Model
from copick_core.tree.keys import (
    CONTAINER_KINDS,
    FILE_KINDS,
    ROOT,
    VOLUME_KINDS,
    FeaturesKey,
    FilamentsKey,
    Key,
    Kind,
    MeshKey,
    ObjectKey,
    PicksKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
    child_kinds,
)

#: The last one is a pattern that matches the first; every place takes it.
RUNS = ("TS_1", "TS_10", "T[S]_1")
SIZES = (1.0, 10.0)

#: All entities that a history may store.
UNIVERSE: tuple[Key, ...] = (
    *(RunKey(run) for run in RUNS),
    *(VoxelSpacingKey(run, size) for run in RUNS for size in SIZES),
    *(TomogramKey(run, size, t) for run in RUNS[:2] for size in SIZES for t in ("wbp", "wbp-2")),
    *(FeaturesKey("TS_1", size, t, "sobel") for size in SIZES for t in ("wbp", "wbp-2")),
    *(PicksKey(run, o, "me", s) for run in RUNS for o, s in (("ribo", "0"), ("ribo", "1"), ("mt", "1"))),
    *(MeshKey(run, "ribo", "me", "1") for run in RUNS[:2]),
    *(FilamentsKey(run, "ribo", "me", "1") for run in RUNS[:2]),
    *(
        SegmentationKey("TS_1", size, "ribo", "me", "1", t)
        for size in SIZES
        for t in ("binary", "multilabel", "instance", "panoptic")
    ),
    *(ObjectKey(name) for name in ("ribo", "ribo-2")),
)
CHILD_KINDS = child_kinds(Kind.RUN)

LISTED = "What a layer has written or deleted itself shows at once, in its listings too."
CONTENT = "A reader gets exactly the bytes that were written."
WHOLE = "Store a file, all or nothing: a reader sees the old bytes or the new ones, never a mixture."
CONFLICT = "ConflictError: Another revision is stored. Nothing was written."
MARKER = "Make a container (run, voxel spacing) with its marker; one that exists stays as it is."
SWAP = (
    "The new volume becomes visible when the block ends without an error; otherwise, and if the process dies, the old one "
    "stays readable."
)
STORE = "The store keeps the promises of :class:`zarr.abc.store.Store`."
DELETE = "Delete an entity and everything below it."
NOT_FOUND = "NotFoundError: Nothing is stored under the key."
RECONNECT = "Drop connections and everything remembered; the next call makes new ones."


def run_histories(machine: Callable[[], RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Run a state machine: always the same histories, as many as asked for.

    Raises:
        ContractBroken: With the sentence that the first failing history has broken, whatever hypothesis makes of it: what
            fails once and not when it is repeated is broken, not flaky.
    """
    try:
        run_state_machine_as_test(
            machine,  # type: ignore[arg-type] # a function that makes one will do, as hypothesis documents
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=[*HealthCheck],
            ),
        )
    except ContractBroken:
        raise
    except Exception as error:
        broken = _first_broken(error) or ContractBroken(LISTED, f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            broken.add_note(note)
        raise broken from error


def _first_broken(error: BaseException | None) -> ContractBroken | None:
    """Find the broken promise in a group of errors, or in what an error came from."""
    if error is None or isinstance(error, ContractBroken):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((found for e in (*inner, error.__cause__, error.__context__) if (found := _first_broken(e))), None)


class LayerMachine(RuleBasedStateMachine):
    """Drives two layers on one place: each does some of the writes, both must show the result.

    Args:
        first: A layer that is empty.
        second: Another layer on the same place, or the same layer again.
        kinds: Kinds that the layer can hold.
    """

    def __init__(self, first: Layer, second: Layer, kinds: frozenset[Kind]) -> None:
        super().__init__()
        self.layers = (first, second)
        self.model = Model()
        self.kinds = kinds
        self.known: dict[Key, Any] = {}
        self.count = 0

    def _pick(self, choice: int, kinds: frozenset[Kind]) -> Key | None:
        keys = [key for key in UNIVERSE if key.kind in kinds & self.kinds]
        return keys[choice % len(keys)] if keys else None

    def _changed(self, writer: int) -> Layer:
        """The layer that is to write; the other one is told to forget, as users do with refresh()."""
        other = self.layers[1 - writer]
        if other is not self.layers[writer]:
            other.forget(ROOT)
        return self.layers[writer]

    @rule(choice=st.integers(0, 999), writer=st.integers(0, 1))
    @promises(WHOLE)
    def write(self, choice: int, writer: int) -> None:
        """Write a file whatever is stored."""
        key = self._pick(choice, FILE_KINDS)
        if key is not None:
            self.count += 1
            data = b"%d" % self.count
            self.known[key] = self._changed(writer).write(key, data)
            self.model.write(key, data)

    @rule(choice=st.integers(0, 999), writer=st.integers(0, 1))
    @promises(CONFLICT)
    def write_if_known(self, choice: int, writer: int) -> None:
        """Write a file if the revision that was seen last is stored."""
        key = self._pick(choice, FILE_KINDS)
        if key is None:
            return
        self.count += 1
        data = b"%d" % self.count
        layer = self._changed(writer)
        expected = self.known.get(key)
        stored = layer.revision(key)
        try:
            self.known[key] = layer.write(key, data, if_revision=expected)
        except ConflictError:
            assert expected != stored, f"{key}: the stored revision {stored!r} was refused"
        else:
            assert expected == stored, f"{key}: {stored!r} was stored, but {expected!r} let the write through"
            self.model.write(key, data)

    @rule(choice=st.integers(0, 999), writer=st.integers(0, 1))
    @promises(MARKER)
    def ensure(self, choice: int, writer: int) -> None:
        """Make a container."""
        key = self._pick(choice, CONTAINER_KINDS)
        if key is not None:
            self._changed(writer).ensure(key)
            self.model.ensure(key)

    @rule(choice=st.integers(0, 999), writer=st.integers(0, 1), fails=st.booleans())
    @promises(SWAP)
    def replace(self, choice: int, writer: int, fails: bool) -> None:
        """Replace a volume, or fail while doing so."""
        key = self._pick(choice, VOLUME_KINDS)
        if key is None:
            return
        self.count += 1
        data = samples.volume(self.count, (2, 2, 2))
        try:
            with self._changed(writer).replace_zarr(key) as store:
                samples.write_volume(store, data)
                if fails:
                    raise WriteFailedError
        except WriteFailedError:
            self._forget_implied(key)
        else:
            self.model.replace(key, data)

    def _forget_implied(self, key: Key) -> None:
        """A failed write may leave the folders that it made."""
        self.model.emptied |= {c for c in self.model.above(key) if c.kind is not Kind.TOMOGRAM}

    @rule(choice=st.integers(0, 999), writer=st.integers(0, 1), index=st.sampled_from([0, 1, ...]), value=st.integers(0, 3))
    @promises(STORE)
    def write_region(self, choice: int, writer: int, index: Any, value: int) -> None:
        """Change a plane or all of a volume in place; a chunk that holds only the fill value, 0, is deleted by zarr."""
        import zarr

        stored = sorted(self.model.volumes, key=str)
        if stored:
            key = stored[choice % len(stored)]
            zarr.open_array(self.layers[writer].zarr(key), path="0", mode="r+")[index] = value
            self.model.volumes[key] = self.model.volumes[key].copy()
            self.model.volumes[key][index] = value

    @rule(choice=st.integers(0, 999), writer=st.integers(0, 1))
    @promises(DELETE)
    def delete(self, choice: int, writer: int) -> None:
        """Delete an entity that is stored."""
        stored = sorted(self.model.must(), key=str)
        if stored:
            key = stored[choice % len(stored)]
            self._changed(writer).delete(key)
            self.model.delete(key)

    @rule(choice=st.integers(0, 999), writer=st.integers(0, 1))
    @promises(NOT_FOUND)
    def delete_missing(self, choice: int, writer: int) -> None:
        """Delete an entity that is not stored."""
        missing = [key for key in UNIVERSE if key not in self.model.may() and key.kind in self.kinds]
        key = missing[choice % len(missing)]
        try:
            self._changed(writer).delete(key)
        except NotFoundError:
            return
        raise AssertionError(f"{key} was deleted, though nothing was stored")

    @rule(which=st.integers(0, 1))
    @promises(RECONNECT)
    def reconnect(self, which: int) -> None:
        """Renew the connection."""
        self.layers[which].reconnect()

    @invariant()
    @promises(LISTED)
    def listings_are_those_of_the_model(self) -> None:
        """Compare every listing of both layers with the model."""
        must, may = self.model.must(), self.model.may()
        for layer in dict.fromkeys(self.layers):
            for kind, parent in self._listings():
                listed = [*layer.list(kind, parent)]
                wanted, allowed = self.model.children(must, kind, parent), self.model.children(may, kind, parent)
                if len(listed) != len({*listed}) or not wanted <= {*listed} <= allowed:
                    seen = f"{kind.value} of {parent}: {sorted(map(str, listed))}, the model says {sorted(map(str, wanted))}"
                    raise ContractBroken(LISTED, seen)

    def _listings(self) -> list[tuple[Kind, Any]]:
        asked: list[tuple[Kind, Any]] = [(Kind.RUN, ROOT), (Kind.OBJECT, ROOT)]
        asked += [(kind, RunKey(run)) for run in RUNS for kind in CHILD_KINDS]
        asked += [(Kind.TOMOGRAM, key) for key in UNIVERSE if key.kind is Kind.VOXEL_SPACING]
        asked += [(Kind.FEATURES, key) for key in UNIVERSE if key.kind is Kind.TOMOGRAM]
        return [(kind, parent) for kind, parent in asked if kind in self.kinds]

    @invariant()
    @promises(CONTENT)
    def contents_are_those_of_the_model(self) -> None:
        """Compare what every entity holds with the model."""
        must, may = self.model.must(), self.model.may()
        layer = self.layers[self.count % 2]
        for key in UNIVERSE:
            if key.kind in self.kinds and (key in must or key not in may) and layer.exists(key) != (key in must):
                raise ContractBroken("Whether an entity is stored now.", f"exists({key}) is not {key in must}")
        for key, data in self.model.files.items():
            if layer.read(key) != data:
                raise ContractBroken(CONTENT, f"{key} holds {layer.read(key)!r}, written was {data!r}")
        for key, array in self.model.volumes.items():
            if not np.array_equal(samples.read_volume(layer.zarr(key)), array):
                raise ContractBroken(CONTENT, f"{key} holds other voxels than were written")


class MachineChecks(LayerChecks):
    """Random histories."""

    def test_random_histories_agree_with_the_model(self, layer: Layer) -> None:
        """Everything that the contract says, in any order."""
        opened: list[Layer] = []

        def start() -> LayerMachine:
            empty = self.emptied(layer)
            if self.can_reopen and not opened:
                opened.append(self.reopen(empty))
            for other in opened:
                other.forget(ROOT)
            return LayerMachine(empty, opened[0] if opened else empty, self.kinds)

        run_histories(start, self.examples, self.steps)
