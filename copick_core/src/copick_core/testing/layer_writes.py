"""Checks of revisions, conflicts, threads and read-only layers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from copick_core.errors import ConflictError, NotFoundError, ReadOnlyError
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.layer_base import ALL_KINDS, CONTAINER_KINDS, FILE_KINDS, VOLUME_KINDS, LayerChecks
from copick_core.testing.layer_volumes import as_buffer, run_async
from copick_core.tree.keys import ROOT, Kind, PicksKey, RunKey

DISTINCT = "Two different contents never have one token; a rewrite of equal content may change it."
MODIFIED = "When a file or volume was last written, in seconds since 1970; None where nothing is, or the layer cannot tell."
STORED_NOW = "The revision of what is stored now."
NOW = "Token of what is stored under the key of a file now; None where nothing is."
MANY_TOLD = "Tokens of many files, as :meth:`revision` gives them, as far as stats or lists of folders tell them."
OTHERS_LEFT_OUT = "Others are left out, and so are files that are missing; the default tells none."
OF_WHAT_WAS_READ = "Read like :meth:`read`, with the revision of what was read; override where one request gives both."
ONLY_IF = "Write only if this is the revision that is stored (None: only if nothing is)."
CONFLICT = "ConflictError: Another revision is stored. Nothing was written."
WHOLE = "Store a file, all or nothing: a reader sees the old bytes or the new ones, never a mixture."
THREADS = "methods may be called from several threads at once."
READ_ONLY = "Whether every write is refused."
LATER = "A stack may set it, and the name, after the layer was opened."


class RevisionChecks(LayerChecks):
    """Revisions and conflicts."""

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(NOW)
    def test_nothing_has_no_revision(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)

        assert layer.revision(samples.key(kind)) is None

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(NOW)
    def test_a_stored_file_has_a_hashable_revision(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        samples.fill(layer, samples.key(kind))

        revision = layer.revision(samples.key(kind))

        assert revision is not None
        assert hash(revision) == hash(layer.revision(samples.key(kind)))
        assert revision == layer.revision(samples.key(kind))

    @promises(MANY_TOLD)
    def test_revisions_of_many_files_are_those_of_each(self, layer: Layer) -> None:
        stored = [samples.key(kind) for kind in FILE_KINDS if kind in self.kinds]
        for key in stored:
            samples.fill(layer, key)

        told = layer.revisions(stored)

        assert {key: layer.revision(key) for key in told} == {**told}

    @promises(OTHERS_LEFT_OUT)
    def test_revisions_of_many_files_are_without_those_that_are_missing(self, layer: Layer) -> None:
        kinds = [kind for kind in FILE_KINDS if kind in self.kinds]
        for kind in kinds:
            samples.fill(layer, samples.siblings(kind)[0])

        told = layer.revisions([key for kind in kinds for key in samples.siblings(kind)[:2]])

        assert {*told} <= {samples.siblings(kind)[0] for kind in kinds}

    @pytest.mark.parametrize("kind", [*FILE_KINDS, *VOLUME_KINDS])
    @promises(MODIFIED)
    def test_what_is_written_now_has_the_time_of_now_or_none(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        before = layer.modified(samples.key(kind))

        samples.fill(layer, samples.key(kind))

        assert before is None
        written = layer.modified(samples.key(kind))
        assert written is None or abs(written - time.time()) < 600  # servers have clocks of their own

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(STORED_NOW)
    def test_write_returns_the_revision_that_is_stored(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)

        revisions = [layer.write(samples.key(kind), b"1"), layer.revision(samples.key(kind))]

        assert revisions[0] is not None
        assert revisions[0] == revisions[1]

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(OF_WHAT_WAS_READ)
    def test_bytes_are_read_with_their_revision(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        revision = layer.write(samples.key(kind), b"1")

        assert layer.read_revised(samples.key(kind)) == (b"1", revision)

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(DISTINCT)
    def test_different_contents_of_one_size_have_different_revisions(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        contents = [b"%02d" % n for n in range(30)]

        revisions = [layer.write(samples.key(kind), data) for data in contents]

        assert len({*revisions}) == len(contents)

    @promises(DISTINCT)
    def test_another_layer_gives_the_same_revision(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        revision = layer.write(samples.key(Kind.PICKS), b"1")

        assert self.other(layer).revision(samples.key(Kind.PICKS)) == revision

    @promises(DISTINCT)
    def test_a_write_by_another_layer_changes_the_revision(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        other = self.other(layer)
        before = layer.write(samples.key(Kind.PICKS), b"1")

        other.write(samples.key(Kind.PICKS), b"2")

        assert layer.revision(samples.key(Kind.PICKS)) != before

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(ONLY_IF)
    def test_the_known_revision_lets_a_write_through(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        revision = layer.write(key, b"1", if_revision=None)
        revision = layer.write(key, b"2", if_revision=revision)

        layer.write(key, b"3", if_revision=revision)

        assert layer.read(key) == b"3"

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(ONLY_IF)
    def test_a_read_revision_lets_a_write_through(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        layer.write(key, b"1")
        _, revision = layer.read_revised(key)

        layer.write(key, b"2", if_revision=revision)

        assert layer.read(key) == b"2"

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(CONFLICT)
    def test_creating_what_exists_is_a_conflict(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        found = layer.write(key, b"old")

        with pytest.raises(ConflictError) as caught:
            layer.write(key, b"new", if_revision=None)

        assert layer.read(key) == b"old"
        error: Any = caught.value
        assert (error.key, error.layer, error.expected, error.found) == (key, layer.name, None, found)

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(CONFLICT)
    def test_an_outdated_revision_is_a_conflict(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        outdated = layer.write(key, b"1")
        found = layer.write(key, b"2")

        with pytest.raises(ConflictError) as caught:
            layer.write(key, b"3", if_revision=outdated)

        assert layer.read(key) == b"2"
        error: Any = caught.value
        assert (error.key, error.layer, error.expected, error.found) == (key, layer.name, outdated, found)

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(CONFLICT)
    def test_equal_bytes_do_not_hide_a_conflict(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        outdated = layer.write(key, b"1")
        layer.write(key, b"2")

        for expected in (outdated, None):
            with pytest.raises(ConflictError):
                layer.write(key, b"2", if_revision=expected)

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(CONFLICT)
    def test_writing_what_was_deleted_is_a_conflict(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        outdated = layer.write(key, b"1")
        layer.delete(key)

        with pytest.raises(ConflictError) as caught:
            layer.write(key, b"2", if_revision=outdated)

        assert not layer.exists(key)
        assert [*layer.list(kind, key.parent)] == []
        error: Any = caught.value
        assert (error.expected, error.found) == (outdated, None)

    @promises(CONFLICT)
    def test_a_conflict_in_an_unknown_run_makes_nothing(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        revision = layer.write(samples.key(Kind.PICKS), b"1")
        before = self.stored_files(layer)

        with pytest.raises(ConflictError):
            layer.write(samples.key(Kind.PICKS, run="new"), b"2", if_revision=revision)

        assert [*layer.list(Kind.RUN, ROOT)] == [RunKey("TS_1")]
        assert self.stored_files(layer) == before

    @promises(CONFLICT)
    def test_a_revision_of_another_key_is_a_conflict_unless_it_is_stored(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        first, second, *_ = samples.siblings(Kind.PICKS)
        revision = layer.write(first, b"first")
        layer.write(second, b"second")

        if revision != layer.revision(second):
            with pytest.raises(ConflictError):
                layer.write(second, b"third", if_revision=revision)

    @promises(CONFLICT)
    def test_a_write_by_another_layer_is_a_conflict(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        key = samples.key(Kind.PICKS)
        other = self.other(layer)
        revision = layer.write(key, b"1")
        other.write(key, b"2")

        with pytest.raises(ConflictError):
            layer.write(key, b"3", if_revision=revision)

        assert layer.read(key) == b"2"

    @promises(ONLY_IF)
    def test_a_revision_is_good_in_another_layer(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        key = samples.key(Kind.PICKS)
        revision = layer.write(key, b"1")

        self.other(layer).write(key, b"2", if_revision=revision)

        assert layer.read(key) == b"2"


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Call functions in threads that start together; gives results, and exceptions where they were raised."""
    gate = threading.Barrier(len(calls))

    def passing(call: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return [*pool.map(passing, calls)]


class ThreadChecks(LayerChecks):
    """Several threads at once."""

    threads = 8

    @promises(THREADS)
    def test_threads_store_different_picks(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        keys = [PicksKey("TS_1", f"object-{n}", "me", "1") for n in range(self.threads)]

        results = at_once(*(lambda k=key: layer.write(k, str(k).encode()) for key in keys))

        assert [r for r in results if isinstance(r, Exception)] == []
        assert {*layer.list(Kind.PICKS, RunKey("TS_1"))} == {*keys}
        assert all(layer.read(key) == str(key).encode() for key in keys)

    @promises(THREADS)
    def test_threads_make_one_run(self, layer: Layer) -> None:
        self.need(Kind.RUN)

        results = at_once(*[lambda: layer.ensure(RunKey("TS_1"))] * self.threads)

        assert [r for r in results if r is not None] == []
        assert [*layer.list(Kind.RUN, ROOT)] == [RunKey("TS_1")]

    @promises(THREADS)
    def test_threads_fill_different_volumes(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        keys: list[Any] = [samples.key(Kind.TOMOGRAM, name=f"type-{n}") for n in range(4)]

        results = at_once(*(lambda n=n, k=k: samples.fill(layer, k, n) for n, k in enumerate(keys)))

        assert [r for r in results if r is not None] == []
        assert all(samples.holds(layer, key, n) for n, key in enumerate(keys))

    @promises(WHOLE)
    def test_a_reader_sees_old_or_new_bytes(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        key = samples.key(Kind.PICKS)
        contents = [bytes([n]) * 50_000 for n in range(1, 9)]
        layer.write(key, contents[0])
        done = threading.Event()
        torn: list[str] = []

        def read() -> None:
            while not done.is_set():
                try:
                    data = layer.read(key)
                except NotFoundError:
                    torn.append("nothing, while the file was rewritten")
                    continue
                if data not in contents:
                    torn.append(f"{len(data)} bytes of {sorted({*data})}")

        def write() -> None:
            try:
                for data in contents * 2:
                    layer.write(key, data)
            finally:
                done.set()

        results = at_once(read, read, write)

        assert [r for r in results if r is not None] == []
        assert torn == []

    @promises(THREADS)
    def test_listing_goes_on_while_others_write_and_delete(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        kept = PicksKey("TS_1", "kept", "me", "1")
        layer.write(kept, b"x")
        keys = [PicksKey("TS_1", f"object-{n}", "me", "1") for n in range(4)]
        changed = threading.Barrier(len(keys) + 1)

        def change(key: PicksKey) -> None:
            try:
                for _ in range(3):
                    layer.write(key, b"x")
                    time.sleep(0.001)  # others get to list it
                    layer.delete(key)
            finally:
                changed.wait()

        def watch() -> list[Any]:
            listed = []
            while changed.n_waiting < len(keys):
                listed.append([*layer.list(Kind.PICKS, RunKey("TS_1"))])
            return listed

        def watch_to_the_end() -> list[Any]:
            try:
                return watch()
            finally:
                changed.wait()

        listings, *results = at_once(watch_to_the_end, *(lambda k=key: change(k) for key in keys))

        assert [r for r in results if r is not None] == []
        assert isinstance(listings, list), f"listing raised {listings!r}"
        assert all(kept in listed and {*listed} <= {kept, *keys} for listed in listings)
        assert [*layer.list(Kind.PICKS, RunKey("TS_1"))] == [kept]

    @promises(CONFLICT)
    def test_of_several_writers_with_one_revision_one_succeeds(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        if not self.exclusive_writes:
            pytest.skip("exclusive_writes is False")
        key = samples.key(Kind.PICKS)
        for round_ in range(5):
            revision = layer.write(key, b"start %d" % round_)
            writers = [lambda n=n, r=revision: layer.write(key, b"%d" % n, if_revision=r) for n in range(self.threads)]

            results = at_once(*writers)

            winners = [n for n, r in enumerate(results) if not isinstance(r, Exception)]
            others = [r for r in results if isinstance(r, Exception) and not isinstance(r, ConflictError)]
            assert others == []
            assert len(winners) == 1, f"{len(winners)} of {self.threads} writers succeeded"
            assert layer.read(key) == b"%d" % winners[0]

    @promises(CONFLICT)
    def test_of_several_layers_that_create_one_file_one_succeeds(self, layer: Layer) -> None:
        self.need(Kind.PICKS)
        if not self.exclusive_writes:
            pytest.skip("exclusive_writes is False")
        key = samples.key(Kind.PICKS)
        layers = [layer, *(self.other(layer) for _ in range(3))]

        results = at_once(*(lambda n=n, w=w: w.write(key, b"%d" % n, if_revision=None) for n, w in enumerate(layers)))

        winners = [n for n, r in enumerate(results) if not isinstance(r, Exception)]
        assert len(winners) == 1, f"{len(winners)} of {len(layers)} layers created the file: {results}"
        assert layer.read(key) == b"%d" % winners[0]


class ReadOnlyChecks(LayerChecks):
    """Layers that were opened read-only."""

    @promises(READ_ONLY)
    def test_a_writable_layer_says_so(self, layer: Layer) -> None:
        assert layer.read_only is False

    @promises(READ_ONLY)
    def test_a_read_only_layer_says_so(self, layer: Layer) -> None:
        assert self.other(layer, read_only=True).read_only is True

    @promises(LATER)
    def test_a_layer_may_be_made_read_only_later(self, layer: Layer) -> None:
        self.need(Kind.PICKS, Kind.TOMOGRAM)
        for kind in (Kind.PICKS, Kind.TOMOGRAM):
            samples.fill(layer, samples.key(kind), seed=1)

        layer.read_only = True

        with pytest.raises(ReadOnlyError):
            layer.write(samples.key(Kind.PICKS), b"x")
        with pytest.raises(ReadOnlyError):
            layer.delete(samples.key(Kind.TOMOGRAM))
        assert layer.zarr(samples.key(Kind.TOMOGRAM)).read_only is True
        assert samples.holds(layer, samples.key(Kind.PICKS), seed=1)

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(READ_ONLY)
    def test_a_read_only_layer_reads(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key, seed=1)

        reader = self.other(layer, read_only=True)

        assert [*reader.list(kind, key.parent)] == [key]
        assert samples.holds(reader, key, seed=1)

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(READ_ONLY)
    def test_a_read_only_layer_on_nothing_is_empty(self, layer: Layer, kind: Kind) -> None:
        reader = self.other(layer, read_only=True)

        assert [*reader.list(kind, samples.parents(kind))] == []
        assert not reader.exists(samples.key(kind))

    @pytest.mark.parametrize("kind", ALL_KINDS)
    @promises(READ_ONLY)
    def test_a_read_only_layer_deletes_nothing(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        samples.fill(layer, samples.key(kind), seed=1)
        reader = self.other(layer, read_only=True)

        with pytest.raises(ReadOnlyError) as caught:
            reader.delete(samples.key(kind))

        error: Any = caught.value
        assert error.subject == samples.key(kind)
        assert samples.holds(layer, samples.key(kind), seed=1)

    @pytest.mark.parametrize("kind", FILE_KINDS)
    @promises(READ_ONLY)
    def test_a_read_only_layer_writes_nothing(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key, new = samples.siblings(kind)[:2]
        samples.fill(layer, key, seed=1)
        before = self.stored_files(layer)
        reader = self.other(layer, read_only=True)

        for target in (key, new):
            with pytest.raises(ReadOnlyError):
                reader.write(target, b"x")
            with pytest.raises(ReadOnlyError):
                reader.write(target, b"x", if_revision=reader.revision(target))

        assert samples.holds(layer, key, seed=1)
        assert not layer.exists(new)
        assert self.stored_files(layer) == before

    @pytest.mark.parametrize("kind", CONTAINER_KINDS)
    @promises(READ_ONLY)
    def test_a_read_only_layer_makes_no_container(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        reader = self.other(layer, read_only=True)

        with pytest.raises(ReadOnlyError):
            reader.ensure(samples.key(kind))

        assert not layer.exists(samples.key(kind))

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(READ_ONLY)
    def test_a_read_only_layer_replaces_no_volume(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        samples.fill(layer, samples.key(kind), seed=1)
        reader = self.other(layer, read_only=True)

        with pytest.raises(ReadOnlyError), reader.replace_zarr(samples.key(kind)) as store:
            samples.write_volume(store, samples.volume(2))

        assert samples.holds(layer, samples.key(kind), seed=1)

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(
        'A store rooted at the entity (``"0/.zarray"`` or ``"0/zarr.json"`` is its first level), read-only if the layer is.'
    )
    def test_volumes_of_a_read_only_layer_are_read_only(self, layer: Layer, kind: Kind) -> None:
        import zarr

        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key, seed=1)
        store = self.other(layer, read_only=True).zarr(key)

        assert store.read_only is True
        with pytest.raises(ValueError, match=r"read-only|read only"):
            zarr.open_array(store, path="0", mode="r+")[0, 0, 0] = 99
        setting = (store.set(name, as_buffer(b"x")) for name in ("0/.zarray", "new"))
        for attempt in (*setting, store.delete("0/.zarray"), store.delete_dir("0"), store.clear()):
            with pytest.raises((ValueError, PermissionError)):
                run_async(attempt)
        assert samples.holds(layer, key, seed=1)
        assert not run_async(layer.zarr(key).exists("new"))
