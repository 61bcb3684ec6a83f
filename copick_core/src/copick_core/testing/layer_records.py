"""Checks of the records of runs."""

from __future__ import annotations

import pytest

from copick_core.errors import ConflictError, NotFoundError, ReadOnlyError
from copick_core.layers import Layer
from copick_core.testing.contract import promises
from copick_core.testing.layer_base import LayerChecks
from copick_core.testing.layer_writes import at_once
from copick_core.tree.keys import ROOT, Kind, RunKey

READ = "Read a record of a run, with its revision."
NONE = "By default there is none, and none can be stored."
KEEPS = "A layer that keeps records overrides both methods and sets ``keeps_records``."
HIDDEN = "A record is a small file about a run that is not an entity, such as the states of its review: no listing shows it."
RUN_EXISTS = "The run exists afterwards."
DELETED = "Deleting it deletes its records."
ONLY_IF = "Write only if this is the revision that is stored (None: only if nothing is)."
READ_ONLY = "ReadOnlyError: The layer is read-only, or keeps no records."

RUN = RunKey("TS_1")


class RecordChecks(LayerChecks):
    """Records: small files about runs."""

    def keeping(self, layer: Layer) -> Layer:
        """The layer, if it keeps records; otherwise the check is skipped."""
        if not layer.keeps_records:
            pytest.skip("keeps_records is False")
        return layer

    @promises(NONE)
    def test_a_layer_without_records_has_none_and_refuses_them(self, layer: Layer) -> None:
        if layer.keeps_records:
            pytest.skip("keeps_records is True")
        with pytest.raises(ReadOnlyError):
            layer.write_record(RUN, "reviews", b"{}")
        with pytest.raises(NotFoundError):
            layer.read_record(RUN, "reviews")

    @promises(KEEPS)
    def test_a_record_that_is_not_stored_is_not_found(self, layer: Layer) -> None:
        self.keeping(layer).write_record(RUN, "reviews", b"{}")

        for run, name in ((RUN, "other"), (RunKey("TS_2"), "reviews")):
            with pytest.raises(NotFoundError):
                layer.read_record(run, name)

    @promises(READ)
    def test_a_record_comes_back_with_its_revision(self, layer: Layer) -> None:
        self.keeping(layer).write_record(RUN, "reviews", b"a first one")

        revision = layer.write_record(RUN, "reviews", b'{"state": "\xc3\xa5"}')

        assert revision is not None
        assert layer.read_record(RUN, "reviews") == (b'{"state": "\xc3\xa5"}', revision)

    @promises(HIDDEN)
    def test_no_listing_shows_a_record(self, layer: Layer) -> None:
        self.keeping(layer).write_record(RUN, "reviews", b"{}")

        assert self.whole(layer) == ({RUN} if Kind.RUN in self.kinds else set())

    @promises(RUN_EXISTS)
    def test_a_run_with_a_record_exists(self, layer: Layer) -> None:
        self.keeping(layer)
        assert not layer.exists(RUN)

        layer.write_record(RUN, "reviews", b"{}")

        assert layer.exists(RUN)
        assert [*layer.list(Kind.RUN, ROOT)] == [RUN]

    @promises(DELETED)
    def test_deleting_a_run_deletes_its_records(self, layer: Layer) -> None:
        self.keeping(layer).write_record(RUN, "reviews", b"{}")
        layer.write_record(RunKey("TS_2"), "reviews", b"2")

        layer.delete(RUN)

        with pytest.raises(NotFoundError):
            layer.read_record(RUN, "reviews")
        assert layer.read_record(RunKey("TS_2"), "reviews")[0] == b"2"

    @promises(ONLY_IF)
    def test_a_record_that_somebody_changed_is_not_replaced(self, layer: Layer) -> None:
        first = self.keeping(layer).write_record(RUN, "reviews", b"1", if_revision=None)
        layer.write_record(RUN, "reviews", b"22", if_revision=first)

        for outdated in (first, None):
            with pytest.raises(ConflictError):
                layer.write_record(RUN, "reviews", b"333", if_revision=outdated)

        assert layer.read_record(RUN, "reviews")[0] == b"22"

    @promises(ONLY_IF)
    def test_one_of_several_threads_stores_a_record(self, layer: Layer) -> None:
        self.keeping(layer)
        if not self.exclusive_writes:
            pytest.skip("exclusive_writes is False")

        write = [lambda n=n: layer.write_record(RUN, "reviews", b"%d" % n, if_revision=None) for n in range(8)]
        results = at_once(*write)

        for error in results:
            if isinstance(error, Exception) and not isinstance(error, ConflictError):
                raise error
        assert sorted(isinstance(result, ConflictError) for result in results) == [False] + [True] * 7

    @promises(READ_ONLY)
    def test_a_read_only_layer_stores_no_record(self, layer: Layer) -> None:
        self.keeping(layer).write_record(RUN, "reviews", b"1")
        layer.read_only = True

        with pytest.raises(ReadOnlyError):
            layer.write_record(RUN, "reviews", b"2")

        assert layer.read_record(RUN, "reviews")[0] == b"1"
