"""Broken layers: each makes one mistake that backends make, and names the check that must catch it.

``caught_by`` is the name of the check; ``seen`` is what its message must say.
"""

from __future__ import annotations

import fnmatch
import time
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from copick_backend_fs.local import LocalLayer
from copick_core.errors import ConflictError, NotFoundError
from copick_core.layers import ANY
from copick_core.testing.dict_layer import DictLayer, DictStore, Place
from copick_core.tree.keys import FeaturesKey, Kind, PicksKey, RootKey, RunKey


class Mutant(DictLayer):
    caught_by: ClassVar[str]
    seen: ClassVar[str] = ""


# ---------------------------------------------------------------------------------------------------------------- listing


class RaisesOnUnknownParents(Mutant):
    caught_by, seen = "test_unknown_parent_lists_nothing", "KeyError"

    def list(self, kind, parent):
        if not isinstance(parent, RootKey) and not self.exists(parent):
            raise KeyError(parent)
        return super().list(kind, parent)


class ListsTwice(Mutant):
    caught_by, seen = "test_a_listing_yields_each_entity_once", "ribo"

    def list(self, kind, parent):
        return super().list(kind, parent) * 2


class ListsOnlyAfterTheRuns(Mutant):
    """What it lists depends on what was listed before."""

    caught_by, seen = "test_a_listing_yields_each_entity_once", r"assert \[\]"
    runs_were_listed = False

    def list(self, kind, parent):
        if kind is Kind.RUN:
            self.runs_were_listed = True
        return super().list(kind, parent) if self.runs_were_listed or kind is Kind.OBJECT else []


class ListsDeletedRuns(Mutant):
    caught_by, seen = "test_a_deleted_entity_is_gone", "RunKey"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.runs = set()

    def list(self, kind, parent):
        listed = super().list(kind, parent)
        if kind is Kind.RUN:
            self.runs |= {*listed}
            return [*self.runs]
        return listed


class TruncatesNames(Mutant):
    caught_by, seen = "test_a_run_name_is_taken_as_it_is", "x" * 100

    def list(self, kind, parent):
        return [RunKey(k.name[:100]) if kind is Kind.RUN else k for k in super().list(kind, parent)]


class TruncatesAtTheUnderscore(Mutant):
    caught_by, seen = "test_a_listing_yields_each_entity_once", "run 'TS'"

    def list(self, kind, parent):
        return [RunKey(k.name.split("_")[0]) if kind is Kind.RUN else k for k in super().list(kind, parent)]


class ReadsNamesAsPatterns(Mutant):
    caught_by, seen = "test_a_run_name_is_taken_as_it_is", "TS"

    def list(self, kind, parent):
        if not isinstance(parent, RunKey):
            return super().list(kind, parent)
        runs = [k for k in super().list(Kind.RUN, parent.parent) if fnmatch.fnmatchcase(k.name, parent.name)]
        return [k._replace(run=parent.name) for run in runs for k in super(ReadsNamesAsPatterns, self).list(kind, run)]


class MatchesParentsByPrefix(Mutant):
    caught_by, seen = "test_entities_of_another_parent_are_not_listed", "TS_10"

    def list(self, kind, parent):
        if not isinstance(parent, RunKey):
            return super().list(kind, parent)
        return [k for k in self.place.entities() if k.kind is kind and k.run.startswith(parent.name)]


class RoundsVoxelSizes(Mutant):
    caught_by, seen = "test_voxel_sizes_come_back_as_they_were", "1.2"

    def list(self, kind, parent):
        return [
            k._replace(voxel_size=round(k.voxel_size, 1)) if kind is Kind.VOXEL_SPACING else k
            for k in super().list(kind, parent)
        ]


class ForgetsTheSegmentationType(Mutant):
    caught_by, seen = "test_a_listing_yields_each_entity_once", "binary segmentation"

    def list(self, kind, parent):
        return [k._replace(segmentation_type="binary") if kind is Kind.SEGMENTATION else k for k in super().list(kind, parent)]


class FoldsCase(Mutant):
    caught_by, seen = "test_names_that_differ_by_case_are_two_names", "ts"

    def list(self, kind, parent):
        return {RunKey(k.name.lower()) if kind is Kind.RUN else k for k in super().list(kind, parent)}


class ListsFeaturesAsTomograms(Mutant):
    caught_by, seen = "test_features_without_their_tomogram_are_listed", "sobel"

    def list(self, kind, parent):
        listed = super().list(kind, parent)
        if kind is Kind.TOMOGRAM:
            features = [k for k in self.place.entities() if isinstance(k, FeaturesKey) and k.parent.parent == parent]
            listed += [k.parent._replace(tomo_type=f"{k.tomo_type}_{k.feature_type}") for k in features]
        return listed


class ListsOnlyWhatWasMade(Mutant):
    """Runs that nobody called ensure() on are not there for it."""

    caught_by, seen = "test_what_holds_an_entity_exists_and_is_listed", "not listed"

    def list(self, kind, parent):
        listed = super().list(kind, parent)
        return [k for k in listed if kind not in (Kind.RUN, Kind.VOXEL_SPACING) or k in self.place.containers]


class LeavesEmptyParentsOutOfListMany(Mutant):
    caught_by, seen = "test_list_many_gives_what_list_gives", "KeyError"

    def list_many(self, kind, parents):
        return {p: keys for p, keys in super().list_many(kind, parents).items() if keys}


class RaisesOnForeignFiles(LocalLayer):
    caught_by, seen = "test_a_foreign_file_is_not_listed", "ValueError"

    def _keys(self, kind, parent, folder, listing):
        for name in listing:
            if kind is Kind.PICKS and name.endswith(".json"):
                _user, _session, _name = name.split("_")
        return super()._keys(kind, parent, folder, listing)


# ----------------------------------------------------------------------------------------------------------------- memory


class Caching(Mutant):
    """Remembers listings; what it does on forget() and on its own writes is up to the mutants below."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.listed = {}

    def list(self, kind, parent):
        if (kind, parent) not in self.listed:
            self.listed[kind, parent] = super().list(kind, parent)
        return self.listed[kind, parent]

    def forget(self, parent):
        self.listed.clear()

    def reconnect(self):
        self.listed.clear()

    def write(self, key, data, *, if_revision=ANY):
        self.listed.clear()
        return super().write(key, data, if_revision=if_revision)

    def ensure(self, key):
        self.listed.clear()
        super().ensure(key)

    def delete(self, key):
        self.listed.clear()
        super().delete(key)

    @contextmanager
    def replace_zarr(self, key):
        with super().replace_zarr(key) as store:
            yield store
        self.listed.clear()


class DoesNotForget(Caching):
    caught_by, seen = "test_forgetting_the_parent_shows_what_another_layer_stored", "TS_10"

    def forget(self, parent):
        pass


class ForgetsOnlyTheNearest(Caching):
    caught_by, seen = "test_forgetting_the_project_forgets_everything_below", "ribo"

    def forget(self, parent):
        self.listed = {asked: keys for asked, keys in self.listed.items() if asked[1] != parent}


class RemembersThroughReconnect(Caching):
    caught_by, seen = "test_after_reconnecting_listings_are_those_of_now", "TS_10"

    def reconnect(self):
        pass


class HidesItsOwnWrites(Caching):
    caught_by, seen = "test_a_new_entity_shows_in_a_listing_that_was_asked_before", "object_name="

    def write(self, key, data, *, if_revision=ANY):
        return Mutant.write(self, key, data, if_revision=if_revision)


class ReturnsStaleBytes(Mutant):
    caught_by, seen = "test_bytes_that_another_layer_wrote_are_read", "mine"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.remembered = {}

    def read(self, key):
        return self.remembered.setdefault(key, super().read(key))

    def write(self, key, data, *, if_revision=ANY):
        self.remembered.pop(key, None)
        return super().write(key, data, if_revision=if_revision)


class RemembersExistence(Mutant):
    caught_by, seen = "test_existence_is_asked_of_storage_each_time", r"\[False, False, False\]"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.known = {}

    def exists(self, key):
        return self.known.setdefault(key, super().exists(key))


# ------------------------------------------------------------------------------------------------------------------ files


class ReadsNothingAsEmpty(Mutant):
    caught_by, seen = "test_reading_what_is_not_stored_names_key_and_layer", "DID NOT RAISE"

    def read(self, key):
        return self.place.files.get(key, (b"",))[0]


class RaisesKeyError(Mutant):
    caught_by, seen = "test_reading_what_is_not_stored_names_key_and_layer", "KeyError"

    def read(self, key):
        return self.place.files[key][0]


class TranslatesLineEnds(Mutant):
    caught_by, seen = "test_bytes_come_back_exactly", "assert b'"

    def read(self, key):
        return super().read(key).replace(b"\r\n", b"\n")


class MixesPicksAndMeshes(Mutant):
    caught_by, seen = "test_files_of_one_name_and_several_kinds_are_several_entities", "b'filaments' != b'picks'"

    def write(self, key, data, *, if_revision=ANY):
        return super().write(PicksKey(key.run, key.object_name, key.user_id, key.session_id), data, if_revision=if_revision)

    def read_revised(self, key):
        return super().read_revised(PicksKey(key.run, key.object_name, key.user_id, key.session_id))


class WritesInTwoParts(Mutant):
    caught_by, seen = "test_a_reader_sees_old_or_new_bytes", "25000 bytes"

    def write(self, key, data, *, if_revision=ANY):
        super().write(key, data[: len(data) // 2], if_revision=if_revision)
        time.sleep(0.001)
        return super().write(key, data)


class DeletesBeforeItWrites(Mutant):
    caught_by, seen = "test_a_reader_sees_old_or_new_bytes", "nothing, while"

    def write(self, key, data, *, if_revision=ANY):
        found = self.place.files.pop(key, None)
        time.sleep(0.001)
        if found:
            self.place.files[key] = found
            self.place.files.pop(key)
        return super().write(key, data)


# -------------------------------------------------------------------------------------------------------------- revisions


class IgnoresTheRevision(Mutant):
    caught_by, seen = "test_an_outdated_revision_is_a_conflict", "DID NOT RAISE"

    def write(self, key, data, *, if_revision=ANY):
        return super().write(key, data)


class OverwritesOnCreation(Mutant):
    caught_by, seen = "test_creating_what_exists_is_a_conflict", "DID NOT RAISE"

    def write(self, key, data, *, if_revision=ANY):
        return super().write(key, data, if_revision=ANY if if_revision is None else if_revision)


class StoresInSpiteOfTheConflict(Mutant):
    caught_by, seen = "test_an_outdated_revision_is_a_conflict", "b'3'"

    def write(self, key, data, *, if_revision=ANY):
        found = self.revision(key)
        revision = super().write(key, data)
        if if_revision not in (ANY, found):
            raise ConflictError(key=key, layer=self.name, expected=if_revision, found=found)
        return revision


class TakesEqualBytesForItsOwn(Mutant):
    """As if each write were the second attempt of one whose answer was lost."""

    caught_by, seen = "test_equal_bytes_do_not_hide_a_conflict", "DID NOT RAISE"

    def write(self, key, data, *, if_revision=ANY):
        if self.place.files.get(key, (None, None))[0] == data:
            return self.revision(key)
        return super().write(key, data, if_revision=if_revision)


class TakesTheSizeForARevision(Mutant):
    caught_by, seen = "test_different_contents_of_one_size_have_different_revisions", "assert 1 == 30"

    def revision(self, key):
        return len(self.place.files[key][0]) if key in self.place.files else None

    def write(self, key, data, *, if_revision=ANY):
        super().write(key, data)
        return self.revision(key)


class ReturnsNoRevision(Mutant):
    caught_by, seen = "test_write_returns_the_revision_that_is_stored", "None"

    def write(self, key, data, *, if_revision=ANY):
        super().write(key, data, if_revision=if_revision)


class ChecksTheRevisionWithoutALock(Mutant):
    caught_by, seen = "test_of_several_writers_with_one_revision_one_succeeds", "writers succeeded"

    def write(self, key, data, *, if_revision=ANY):
        found = self.revision(key)
        if if_revision is not ANY and if_revision != found:
            raise ConflictError(key=key, layer=self.name, expected=if_revision, found=found)
        time.sleep(0.001)
        return super().write(key, data)


# ------------------------------------------------------------------------------------------------------------- containers


class MakesNoContainers(Mutant):
    caught_by, seen = "test_ensure_makes_a_container", "False"

    def ensure(self, key):
        self.check_writable(key)


class ForgetsTheMarker(LocalLayer):
    caught_by, seen = "test_ensure_marks_the_container", "b'meta'"

    def ensure(self, key):
        super().ensure(key)
        for marker in Path(self.root).rglob(".meta"):
            marker.unlink()


class EmptiesWhatItEnsures(Mutant):
    caught_by, seen = "test_ensure_a_second_time_changes_nothing", "False"

    def ensure(self, key):
        if self.exists(key):
            super().delete(key)
        super().ensure(key)


# ---------------------------------------------------------------------------------------------------------------- volumes


class CreatesOnOpening(Mutant):
    caught_by, seen = "test_opening_a_volume_creates_nothing", "assert not True"

    def zarr(self, key):
        self.place.volumes.setdefault(key, {}).setdefault(".opened", None)
        return super().zarr(key)


class KeepsTheMarksOfDeletedChunks(Mutant):
    """A chunk that was deleted stays deleted, whatever is stored there later."""

    caught_by, seen = "test_a_region_of_the_fill_value_is_written_over", "does not hold 1"

    def zarr(self, key):
        values = self.place.volumes.setdefault(key, {})

        class Store(DictStore):
            async def delete(self, key):
                self._check_writable()
                if key in values:
                    values[f".deleted-{key}"] = None

            async def get(self, key, prototype=None, byte_range=None):
                return None if f".deleted-{key}" in values else await super().get(key, prototype, byte_range)

            async def list(self):
                async for name in super().list():
                    if not name.startswith(".deleted-") and f".deleted-{name}" not in values:
                        yield name

        return Store(values, read_only=self.read_only)


class DeletesNoChunks(Mutant):
    caught_by, seen = "test_a_deleted_chunk_is_gone_until_it_is_stored_again", "0.0.0"

    def zarr(self, key):
        class Store(DictStore):
            async def delete(self, key):
                if not key[-1].isdigit():
                    await super().delete(key)

        return Store(self.place.volumes.setdefault(key, {}), read_only=self.read_only)


class IgnoresByteRanges(Mutant):
    caught_by, seen = "test_store_values_are_read_in_part", "0123456789"

    def zarr(self, key):
        class Store(DictStore):
            async def get(self, key, prototype=None, byte_range=None):
                return await super().get(key, prototype)

        return Store(self.place.volumes.setdefault(key, {}), read_only=self.read_only)


class ListsStoresByPrefix(Mutant):
    """list_dir("b") takes "bc" for a child of "b"."""

    caught_by, seen = "test_store_names_are_listed", r"assert \["

    def zarr(self, key):
        class Store(DictStore):
            async def list_dir(self, prefix):
                for name in sorted(
                    {k.removeprefix(prefix).strip("/").split("/")[0] for k in self._store_dict if k.startswith(prefix)}
                ):
                    yield name

        return Store(self.place.volumes.setdefault(key, {}), read_only=self.read_only)


class LeaksWritableStores(Mutant):
    """A read-only layer whose volumes can be written."""

    caught_by, seen = "test_volumes_of_a_read_only_layer_are_read_only", "assert False is True"

    def zarr(self, key):
        return DictStore(self.place.volumes.setdefault(key, {}))


class SetsValuesThoughReadOnly(Mutant):
    """Its volumes say that they are read-only, and refuse deletions only."""

    caught_by, seen = "test_volumes_of_a_read_only_layer_are_read_only", "DID NOT RAISE"

    def zarr(self, key):
        values = self.place.volumes.setdefault(key, {})

        class Store(DictStore):
            async def set(self, key, value, byte_range=None):
                values[key] = value

        return Store(values, read_only=self.read_only)


class ReplacesInPlace(Mutant):
    caught_by, seen = "test_the_old_volume_is_read_during_the_block", "could not be read"

    @contextmanager
    def replace_zarr(self, key):
        self.place.volumes.setdefault(key, {}).clear()
        yield self.zarr(key)


class StagesInTheConnection(Mutant):
    caught_by, seen = "test_a_volume_outlives_a_new_connection_during_the_block", "neither"

    @contextmanager
    def replace_zarr(self, key):
        with super().replace_zarr(key) as self.staged:
            yield self.staged

    def reconnect(self):
        self.staged._store_dict.clear()


class FillsTheFreshStoreWithTheOld(Mutant):
    caught_by, seen = "test_nothing_of_the_old_volume_is_left", "'0', '1'"

    @contextmanager
    def replace_zarr(self, key):
        with super().replace_zarr(key) as store:
            store._store_dict.update(self.place.volumes.get(key, {}))
            yield store


class CommitsOnError(Mutant):
    caught_by, seen = "test_the_old_volume_outlives_an_error", "False"

    @contextmanager
    def replace_zarr(self, key):
        staged = {}
        try:
            yield DictStore(staged)
        finally:
            self.place.volumes[key] = staged


class CommitsOnInterrupts(Mutant):
    """Catches Exception where it should catch BaseException."""

    caught_by, seen = "test_the_old_volume_outlives_an_error[Kind.TOMOGRAM-KeyboardInterrupt]", "False"

    @contextmanager
    def replace_zarr(self, key):
        staged, failed = {}, False
        try:
            yield DictStore(staged)
        except Exception:
            failed = True
            raise
        finally:
            if not failed:
                self.place.volumes[key] = staged


class DeletesTheOldFirst(Mutant):
    caught_by, seen = "test_the_old_volume_outlives_an_error", "FileNotFoundError|False"

    @contextmanager
    def replace_zarr(self, key):
        self.place.volumes.pop(key, None)
        with super().replace_zarr(key) as store:
            yield store


class ListsWhatIsStaged(Mutant):
    caught_by, seen = "test_a_new_volume_is_not_seen_before_the_block_ends", "new"

    @contextmanager
    def replace_zarr(self, key):
        names = {Kind.OBJECT: "name", Kind.SEGMENTATION: "name", Kind.TOMOGRAM: "tomo_type", Kind.FEATURES: "feature_type"}
        staged = key._replace(**{names[key.kind]: "new"})
        try:
            yield self.zarr(staged)
            self.place.volumes[key] = self.place.volumes[staged]
        finally:
            self.place.volumes.pop(staged, None)


class LeavesTheStagedBehind(LocalLayer):
    caught_by, seen = "test_an_error_leaves_nothing_behind", ".staged-"

    def discard_staged(self, staged):
        pass


# --------------------------------------------------------------------------------------------------------------- deletion


class DeletesSilently(Mutant):
    caught_by, seen = "test_deleting_what_is_not_stored_names_key_and_layer", "DID NOT RAISE"

    def delete(self, key):
        if self.exists(key):
            super().delete(key)


class DeletesByPrefix(Mutant):
    caught_by, seen = "test_siblings_of_a_deleted_entity_stay", "run 'TS_10'"

    def delete(self, key):
        super().delete(key)
        if isinstance(key, RunKey):
            for other in [k for k in self.place.entities() if isinstance(k, RunKey) and k.name.startswith(key.name)]:
                super().delete(other)


class LeavesTheFeatures(Mutant):
    caught_by, seen = "test_what_is_below_a_deleted_entity_is_gone", "features"

    def delete(self, key):
        if key.kind is not Kind.TOMOGRAM:
            super().delete(key)
        elif self.place.volumes.pop(key, None) is None:
            raise NotFoundError(key=key, layer=self.name)


class DeletesTheEmptyRun(Mutant):
    """Deleting the last picks of a run takes the run with it."""

    caught_by, seen = "test_the_run_of_a_deleted_entity_stays", r"assert \[\]"

    def delete(self, key):
        super().delete(key)
        run = RunKey(getattr(key, "run", ""))
        if not any(getattr(k, "run", None) == run.name for k in self.place.entities()):
            self.place.containers.discard(run)


class RevivesWhatWasDeleted(Mutant):
    """Picks that are deleted after a run was come back: only a history shows it."""

    caught_by, seen = "test_random_histories_agree_with_the_model", "picks"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.run_was_deleted = False

    def delete(self, key):
        super().delete(key)
        self.run_was_deleted |= isinstance(key, RunKey)
        if self.run_was_deleted and isinstance(key, PicksKey):
            super().write(key, b"revived")


class FailsOnce(Mutant):
    """One listing of many fails: hypothesis cannot repeat that, and the sentence is named all the same."""

    caught_by, seen = "test_random_histories_agree_with_the_model", "(?s)shows at once.*ConnectionError: the server"
    listings = 0

    def list(self, kind, parent):
        FailsOnce.listings += 1
        if FailsOnce.listings == 500:
            raise ConnectionError("the server is gone")
        return super().list(kind, parent)


# -------------------------------------------------------------------------------------------------------------- read-only


class WritesThoughReadOnly(Mutant):
    caught_by, seen = "test_a_read_only_layer_writes_nothing", "DID NOT RAISE"

    def write(self, key, data, *, if_revision=ANY):
        return DictLayer(self.place).write(key, data, if_revision=if_revision)


class DeletesThoughReadOnly(Mutant):
    caught_by, seen = "test_a_read_only_layer_deletes_nothing", "DID NOT RAISE"

    def delete(self, key):
        DictLayer(self.place).delete(key)


class ReplacesThoughReadOnly(Mutant):
    caught_by, seen = "test_a_read_only_layer_replaces_no_volume", "DID NOT RAISE"

    def replace_zarr(self, key):
        return DictLayer(self.place).replace_zarr(key)


# ---------------------------------------------------------------------------------------------------------------- records


class TellsTimesInMilliseconds(Mutant):
    caught_by, seen = "test_what_is_written_now_has_the_time_of_now_or_none", "assert"

    def modified(self, key):
        return time.time() * 1000 if self.exists(key) else None


class StoresRecordsThoughReadOnly(Mutant):
    caught_by, seen = "test_a_read_only_layer_stores_no_record", "DID NOT RAISE"

    def write_record(self, run, name, data, *, if_revision=ANY):
        return DictLayer(self.place).write_record(run, name, data, if_revision=if_revision)


class SharesRecords(Mutant):
    """Runs have one record together."""

    caught_by, seen = "test_a_record_that_is_not_stored_is_not_found", "DID NOT RAISE"

    def read_record(self, run, name):
        return next(iter(self.place.records.values()))


class KeepsTheFirstRecord(Mutant):
    caught_by, seen = "test_a_record_comes_back_with_its_revision", "a first one"

    def write_record(self, run, name, data, *, if_revision=ANY):
        if (run, name) in self.place.records:
            return self.place.records[run, name][1]
        return super().write_record(run, name, data, if_revision=if_revision)


class ListsRecordsAsPicks(Mutant):
    caught_by, seen = "test_no_listing_shows_a_record", "reviews"

    def list(self, kind, parent):
        records = [PicksKey(run.name, name, "me", "1") for run, name in self.place.records if run == parent]
        return super().list(kind, parent) + (records if kind is Kind.PICKS else [])


class HidesRunsWithRecords(Mutant):
    caught_by, seen = "test_a_run_with_a_record_exists", "assert False"

    def exists(self, key):
        return super().exists(key) and (key in self.place.containers or (key, "reviews") not in self.place.records)


class LeavesRecordsBehind(Mutant):
    caught_by, seen = "test_deleting_a_run_deletes_its_records", "DID NOT RAISE"

    def delete(self, key):
        records = dict(self.place.records)
        super().delete(key)
        self.place.records = records


class ReplacesRecordsBlindly(Mutant):
    caught_by, seen = "test_a_record_that_somebody_changed_is_not_replaced", "DID NOT RAISE"

    def write_record(self, run, name, data, *, if_revision=ANY):
        return super().write_record(run, name, data)


class ChecksRecordsBeforeItWrites(Mutant):
    """Check and write of a record are two steps."""

    caught_by, seen = "test_one_of_several_threads_stores_a_record", "False"

    def write_record(self, run, name, data, *, if_revision=ANY):
        if if_revision is None and (run, name) in self.place.records:
            raise ConflictError(key=run, layer=self.name, expected=None, found=1)
        time.sleep(0.05)
        return super().write_record(run, name, data)


class AcceptsRecordsThatItLoses(Mutant):
    """It says that it keeps no records, and takes them."""

    caught_by, seen = "test_a_layer_without_records_has_none_and_refuses_them", "DID NOT RAISE"
    keeps_records = False

    def write_record(self, run, name, data, *, if_revision=ANY):
        return 1


class NamesItsPlaceByTheLayer(Mutant):
    """Each layer on one place has another name for it."""

    caught_by, seen = "test_layers_on_one_place_have_one_name_and_the_same_entities", "assert"
    process_bound = None

    def place_id(self):
        return f"dict {id(self)}"


class TellsThePassword(Mutant):
    caught_by, seen = "test_the_name_of_the_place_holds_no_password", "hunter2"

    def place_id(self):
        return "https://me:hunter2@somewhere.org/project"


class TellsRevisionsOfItsOwn(Mutant):
    caught_by, seen = "test_revisions_of_many_files_are_those_of_each", "assert"

    def revisions(self, keys):
        return {key: "1" for key in keys if self.exists(key)}


class TellsRevisionsOfNothing(Mutant):
    caught_by, seen = "test_revisions_of_many_files_are_without_those_that_are_missing", "assert"

    def revisions(self, keys):
        return {key: self.revision(key) for key in keys}


class NamesWhatOtherProcessesDoNotSee(Mutant):
    caught_by, seen = "test_a_place_that_no_other_process_sees_has_no_name", "a dict"

    def place_id(self):
        return "a dict"


class NeverTellsAChange(Mutant):
    caught_by, seen = "test_the_version_of_the_project_differs_after_somebody_adds_or_deletes_a_run", "1 != 1"

    def listing_version(self, parent):
        return 1


class LooksAtRunsFromOutside(Mutant):
    """The version of a run does not depend on what is in it."""

    caught_by, seen = "test_the_version_of_a_run_differs_after_somebody_adds_picks", "TS_1"

    def listing_version(self, parent):
        return (str(parent), self.exists(parent) if isinstance(parent, RunKey) else repr(self.list(Kind.RUN, parent)))


class MissesQuickChanges(Mutant):
    """Changes within one tick of a coarse clock have one version."""

    caught_by, seen = "test_changes_that_follow_each_other_closely_are_told_apart_or_not_told_at_all", "assert"

    def listing_version(self, parent):
        return len(self.list(Kind.RUN, parent)) // 3


class CannotReadWhatIsNotThere(Mutant):
    """Opening an empty place for reading fails."""

    caught_by, seen = "test_a_read_only_layer_on_nothing_is_empty", "FileNotFoundError"

    def __init__(self, place: Place | None = None, *, name: str = "dict", read_only: bool = False) -> None:
        super().__init__(place, name=name, read_only=read_only)
        if read_only and not self.place.entities():
            raise FileNotFoundError("the project does not exist")


class ListsALiveDict(Mutant):
    """Iterates what other threads change."""

    caught_by, seen = "test_listing_goes_on_while_others_write_and_delete", "changed size"

    def list(self, kind, parent):
        if kind is not Kind.PICKS:
            yield from super().list(kind, parent)
            return
        for key in self.place.files:
            time.sleep(0.001)
            if key.parent == parent:
                yield key


def _concrete(cls):
    for sub in cls.__subclasses__():
        if "caught_by" in vars(sub):
            yield sub
        yield from _concrete(sub)


LAYERS = [*_concrete(Mutant), RaisesOnForeignFiles, ForgetsTheMarker, LeavesTheStagedBehind]
