"""What PathLayer promises to its subclasses, seen from their side."""

from __future__ import annotations

import time

import numpy as np
import pytest

from copick_core.errors import BeingReplacedError, ConflictError, NotFoundError
from copick_core.layers import FileChangedError
from copick_core.layers.revisions import FolderTakenError
from copick_core.layers.staged import STAGED_SECONDS, is_staged
from copick_core.projects.copying import copy_content
from copick_core.testing import samples
from copick_core.testing.layer_volumes import run_async
from copick_core.tree.keys import FeaturesKey, Kind, RunKey, VoxelSpacingKey
from copick_core.volumes.ome import VolumeFormat, write_volume
from support.locks import waits_for
from support.path_layer import DictPathLayer

KEY = samples.key(Kind.TOMOGRAM)
PLACE = "ExperimentRuns/TS_1/VoxelSpacing10.000"


class Recording(DictPathLayer):
    """Notes every primitive that changes something, with its path, when it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []

    def write_file(self, path, data, *args):
        revision = super().write_file(path, data, *args)
        self.calls.append(("write", path))
        return revision

    def delete_path(self, path):
        self.calls.append(("delete", path))
        super().delete_path(path)

    def replace_folder(self, staged, path):
        self.calls.append(("replace", path))
        super().replace_folder(staged, path)


def write(layer, zarr_format):
    with layer.replace_zarr(KEY) as store:
        form = VolumeFormat(zarr_format=zarr_format, chunks=8)
        write_volume(store, np.arange(24.0 * 24 * 24).reshape(24, 24, 24), voxel_size=10.0, format=form)


def copy(layer, zarr_format):
    source = DictPathLayer()
    write(source, zarr_format)
    copy_content(source, KEY, layer, KEY)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("fill", [write, copy])
def test_values_are_staged_once_each_and_the_documents_of_the_root_last(fill, zarr_format):
    layer = Recording()

    fill(layer, zarr_format)

    *writes, last = layer.calls
    names = [path.split("/", 4)[-1] for _, path in writes]
    documents = {".zgroup", ".zattrs"} if zarr_format == 2 else {"zarr.json"}
    assert last == ("replace", f"{PLACE}/ribo.zarr")
    assert {call for call, _ in writes} == {"write"}
    assert all(is_staged(path.split("/")[3]) for _, path in writes)
    early = [name for name in names[: -len(documents)] if name != "zarr.json"]  # zarr begins with an empty group
    assert len(early) == len({*early}) > 27
    assert {*early}.isdisjoint(documents)
    assert {*names[-len(documents) :]} == documents


def test_a_failure_deletes_what_was_staged_and_replaces_nothing():
    layer = Recording()

    def fail(store):
        samples.write_volume(store, samples.volume())
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"), layer.replace_zarr(KEY) as store:
        fail(store)

    assert layer.calls[-1][0] == "delete"
    assert is_staged(layer.calls[-1][1].rpartition("/")[2])
    assert layer.disk.files == {}


def test_a_file_that_changed_is_a_conflict_that_names_the_entity():
    layer = DictPathLayer()
    key = samples.key(Kind.PICKS)
    found = layer.write(key, b"1")

    with pytest.raises(ConflictError) as caught:
        layer.write(key, b"2", if_revision=None)

    error = caught.value
    assert (error.key, error.layer, error.expected, error.found) == (key, "paths", None, found)
    assert isinstance(error.__cause__, FileChangedError)


def test_a_part_of_a_value_is_asked_for_as_a_slice():
    class Parts(DictPathLayer):
        def read_part(self, path, start, stop):
            asked.append((path, start, stop))
            return super().read_part(path, start, stop)

    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype

    asked: list = []
    layer = Parts()
    layer.write_file(f"{PLACE}/ribo.zarr/0", b"0123456789")
    store, prototype = layer.zarr(KEY), default_buffer_prototype()

    parts = [RangeByteRequest(2, 5), OffsetByteRequest(7), SuffixByteRequest(4)]
    got = run_async(store.get_partial_values(prototype, [("0", part) for part in parts]))

    assert [value.to_bytes() for value in got] == [b"234", b"789", b"6789"]
    assert sorted(asked, key=str) == [(f"{PLACE}/ribo.zarr/0", *part) for part in [(-4, None), (2, 5), (7, None)]]


@pytest.mark.parametrize("primitive", ["write_file", "delete_path", "replace_folder"])
def test_a_layer_without_a_primitive_says_to_open_it_read_only(primitive):
    class Reads(DictPathLayer):
        pass

    from copick_core.layers.path_layer import PathLayer

    setattr(Reads, primitive, getattr(PathLayer, primitive))
    arguments = {"write_file": ("a", b""), "delete_path": ("a",), "replace_folder": ("a", "b")}[primitive]

    with pytest.raises(NotImplementedError, match=rf"Reads has no {primitive}\(\); open it with read_only=True"):
        getattr(Reads(), primitive)(*arguments)


# What is remembered, and what is forgotten


RUN, SPACING, PICKS = RunKey(KEY.run), KEY.parent, samples.key(Kind.PICKS)
OTHER_SPACING = VoxelSpacingKey(KEY.run, 20.0)


class Interrupted(DictPathLayer):
    """While a folder is being listed, something else happens: after it was read, before the answer arrives."""

    meanwhile = staticmethod(lambda: None)

    def list_folder(self, path):
        listing = super().list_folder(path)
        act, self.meanwhile = self.meanwhile, lambda: None
        act()
        return listing


def replace(layer, key):
    with layer.replace_zarr(key) as store:
        samples.write_volume(store, samples.volume())


def listed(layer, kind, parent, many):
    return {*(layer.list_many(kind, [parent, parent])[parent] if many else layer.list(kind, parent))}


CHANGES = {
    "ensure": (Kind.VOXEL_SPACING, RUN, lambda layer: layer.ensure(OTHER_SPACING), {SPACING, OTHER_SPACING}),
    "write": (Kind.PICKS, RUN, lambda layer: layer.write(PICKS, b"{}"), {PICKS}),
    "replace_zarr": (Kind.TOMOGRAM, SPACING, lambda layer: replace(layer, KEY), {KEY}),
    "delete": (Kind.VOXEL_SPACING, RUN, lambda layer: layer.delete(SPACING), set()),
}


@pytest.mark.parametrize("many", [False, True], ids=["list", "list_many"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_listing_that_began_before_a_change_is_not_remembered(change, many):
    kind, parent, act, expected = CHANGES[change]
    layer = Interrupted()
    layer.ensure(SPACING)
    layer.meanwhile = lambda: act(layer)

    listed(layer, kind, parent, many)

    assert listed(layer, kind, parent, many) == expected


@pytest.mark.parametrize("many", [False, True], ids=["list", "list_many"])
@pytest.mark.parametrize("forget", [lambda layer: layer.forget(RUN), lambda layer: layer.reconnect()])
def test_a_listing_that_began_before_it_was_forgotten_is_not_remembered(forget, many):
    layer = Interrupted()
    layer.ensure(SPACING)
    theirs = DictPathLayer(layer.disk)
    layer.meanwhile = lambda: (theirs.ensure(OTHER_SPACING), forget(layer))

    listed(layer, Kind.VOXEL_SPACING, RUN, many)

    assert listed(layer, Kind.VOXEL_SPACING, RUN, many) == {SPACING, OTHER_SPACING}


def test_features_that_somebody_else_wrote_since_they_were_listed_go_with_their_tomogram():
    layer = DictPathLayer()
    replace(layer, KEY)
    assert not listed(layer, Kind.FEATURES, KEY, many=False)
    theirs, features = DictPathLayer(layer.disk), FeaturesKey(*KEY[:3], "sobel")
    replace(theirs, features)

    layer.delete(KEY)

    assert not theirs.exists(features)


SECONDS = {"abandoned": STAGED_SECONDS + 1, "being written": STAGED_SECONDS - 60}


@pytest.mark.parametrize("age", SECONDS)
def test_replacing_a_volume_removes_what_dead_writers_have_staged_beside_it(age):
    layer = DictPathLayer()
    left = f"{PLACE}/.staged-{int(time.time()) - SECONDS[age]:x}-{0:032x}"
    layer.disk.files[f"{left}/0/0.0.0"] = (b"", 1)

    replace(layer, KEY)

    assert layer.path_exists(left, folder=True) is (age == "being written")


LOCKED = {
    "list": lambda layer: layer.list(Kind.VOXEL_SPACING, RUN),
    "list_many": lambda layer: layer.list_many(Kind.VOXEL_SPACING, [RUN, RunKey("TS_2")]),
    "forget": lambda layer: layer.forget(RUN),
    "reconnect": lambda layer: layer.reconnect(),
    "ensure": lambda layer: layer.ensure(SPACING),
}


@pytest.mark.parametrize("call", LOCKED)
def test_remembered_listings_change_under_their_lock(call):
    layer = DictPathLayer()

    assert waits_for(layer._shared_lock, lambda: LOCKED[call](layer))


class Undeletable(DictPathLayer):
    """Deletes nothing that is staged."""

    def delete_path(self, path):
        if is_staged(path.rpartition("/")[2]):
            raise PermissionError("denied")
        super().delete_path(path)


def test_what_was_staged_and_cannot_be_deleted_hides_no_error_and_is_logged(caplog):
    layer = Undeletable()

    def fail(store):
        samples.write_volume(store, samples.volume())
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), layer.replace_zarr(KEY) as store:
        fail(store)

    assert "could not be removed: denied" in caplog.text
    assert not layer.exists(KEY)


def test_what_dead_writers_have_left_and_nobody_can_delete_keeps_no_volume_from_being_stored(caplog):
    layer = Undeletable()
    layer.disk.files[f"{PLACE}/.staged-1-{0:032x}/0"] = (b"", 1)

    replace(layer, KEY)

    assert layer.exists(KEY)
    assert caplog.text.count("could not be removed: denied") == 1
    replace(layer, KEY)
    assert caplog.text.count("could not be removed: denied") == 1  # once for each folder


def test_forgetting_a_run_forgets_what_is_below_it_and_nothing_else():
    layer = DictPathLayer()
    for run in ("TS_1", "TS_11"):
        layer.ensure(VoxelSpacingKey(run, 10.0))
    spacings = [VoxelSpacingKey(run, 10.0) for run in ("TS_1", "TS_11")]
    layer.list_many(Kind.TOMOGRAM, spacings)
    plant = {f"ExperimentRuns/{key.run}/VoxelSpacing10.000/wbp.zarr/.zattrs": (b"{}", 0) for key in spacings}
    layer.disk.files.update(plant)

    layer.forget(RunKey("TS_1"))

    assert [len([*layer.list(Kind.TOMOGRAM, key)]) for key in spacings] == [1, 0]


class WithoutRevisions(DictPathLayer):
    """A storage that tells no revisions."""

    def read_file(self, path):
        return super().read_file(path)[0], None


def test_where_the_storage_tells_no_revision_the_bytes_of_a_file_are_one():
    layer = WithoutRevisions()
    assert layer.file_revision("a") is None

    layer.write_file("a", b"1")
    first = layer.file_revision("a")
    layer.write_file("a", b"2")

    assert first is not None
    assert layer.file_revision("a") not in (None, first)
    layer.write_file("a", b"1")
    assert layer.file_revision("a") == first
    assert DictPathLayer(layer.disk).file_revision("a") == 3


class Placed(DictPathLayer):
    """Says where its entities lie."""

    def location(self, key):
        return f"disk:{key.kind.value}"


@pytest.mark.parametrize("call", [lambda layer: layer.read(PICKS), lambda layer: layer.delete(PICKS)], ids=["read", "delete"])
def test_what_is_missing_is_told_with_the_place_where_it_would_lie(call):
    with pytest.raises(NotFoundError, match="in layer 'paths' at disk:picks") as caught:
        call(Placed())

    assert (caught.value.key, caught.value.layer, caught.value.location) == (PICKS, "paths", "disk:picks")


class Taken(DictPathLayer):
    """Somebody else is replacing the folder."""

    def replace_folder(self, staged, path):
        raise FolderTakenError(960.0)


def test_a_folder_that_somebody_is_replacing_is_told_with_the_volume_and_since_when():
    layer = Taken()

    with pytest.raises(BeingReplacedError) as caught:
        replace(layer, KEY)

    error = caught.value
    assert (error.key, error.layer, error.since) == (KEY, "paths", 960.0)
    assert layer.disk.files == {}
