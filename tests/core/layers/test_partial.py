"""One folder that cannot be listed hides no other; a place that fails is asked once."""

import errno

import pytest

from copick_core.errors import ConflictError, InvalidDataError
from copick_core.layers import records
from copick_core.layers.partial import list_what_can_be
from copick_core.layers.records import change_document, read_document
from copick_core.testing.dict_layer import DictLayer
from copick_core.tree.keys import RunKey
from support.path_layer import DictPathLayer

FOLDERS = [f"TS_{number}" for number in range(7)]


class Place:
    """Lists folders, but for some that raise; notes what it is asked."""

    def __init__(self, **broken):
        self.broken, self.asked = broken, []

    def __call__(self, folders):
        self.asked.append([*folders])
        for folder in folders:
            if folder in self.broken:
                raise self.broken[folder]
        return {folder: f"content of {folder}" for folder in folders}


def test_folders_are_listed_together_where_none_fails():
    place = Place()

    assert list_what_can_be(FOLDERS, place) == ({folder: f"content of {folder}" for folder in FOLDERS}, {})
    assert place.asked == [FOLDERS]


def test_of_no_folder_nothing_is_asked():
    place = Place()

    assert list_what_can_be([], place) == ({}, {})
    assert place.asked == []


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("no number"),
        *(OSError(number, "no") for number in (errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP, errno.ESTALE)),
    ],
    ids=str,
)
def test_a_folder_that_cannot_be_listed_is_left_out_with_its_error(error):
    place = Place(TS_2=error, TS_6=error)

    found, failures = list_what_can_be(FOLDERS, place)

    assert failures == {"TS_2": error, "TS_6": error}
    assert found == {folder: f"content of {folder}" for folder in FOLDERS if folder not in failures}
    assert len(place.asked) <= 11


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "gone"), TimeoutError(), OSError("what?")], ids=repr)
def test_a_place_that_fails_is_an_error_and_is_asked_once(error):
    place = Place(TS_2=error)

    with pytest.raises(type(error)):
        list_what_can_be(FOLDERS, place)

    assert len(place.asked) == 1


def test_where_no_folder_can_be_listed_the_first_error_is_raised():
    error, other = PermissionError("first"), PermissionError("second")

    with pytest.raises(PermissionError, match="first"):
        list_what_can_be(["TS_1", "TS_2"], Place(TS_1=error, TS_2=other))


# ------------------------------------------------------------------------------------------------------------ problems


class Lost(DictPathLayer):
    """The connection is lost."""

    error: Exception
    asked = 0

    def list_folders(self, paths):
        self.asked += 1
        raise self.error


@pytest.mark.parametrize("error", [ConnectionError("gone"), TimeoutError("gone")], ids=repr)
def test_where_the_connection_is_lost_every_folder_is_a_problem_and_the_place_is_asked_once(error):
    layer = Lost()
    layer.error = error

    problems = layer.problems()

    assert {problem.id for problem in problems} == {"unlisted-folder"}
    assert {problem.message for problem in problems} == {"it cannot be listed: gone"}
    assert len(problems) == len({problem.place for problem in problems}) > 1
    assert layer.asked == 1


def test_an_error_without_words_is_told_by_its_kind():
    layer = Lost()
    layer.error = PermissionError()

    assert {problem.message for problem in layer.problems()} == {"it cannot be listed: PermissionError"}


def test_each_folder_that_cannot_be_listed_is_a_problem_and_the_others_are_examined():
    class Denied(DictPathLayer):
        def list_folder(self, path):
            if path.endswith(("TS_1/Picks", "TS_4/Meshes")):
                raise PermissionError("denied")
            return super().list_folder(path)

    layer = Denied()
    for number in range(6):
        layer.write_file(f"ExperimentRuns/TS_{number}/.meta", b"")
        layer.write_file(f"ExperimentRuns/TS_{number}/Picks/nonsense.json", b"")

    problems = layer.problems()

    assert sorted(str(problem.key) for problem in problems if problem.id == "unlisted-folder") == ["run 'TS_1'", "run 'TS_4'"]
    assert sorted(str(problem.key) for problem in problems if problem.id == "unreadable-name") == [
        f"run 'TS_{number}'" for number in (0, 2, 3, 4, 5)
    ]


# ------------------------------------------------------------------------------------------------------------- records


RUN = RunKey("TS_1")


class Contested(DictPathLayer):
    """Somebody else changes the record before each of so many writes."""

    rivals = 0

    def write_record(self, run, name, data, **options):
        if self.rivals:
            self.rivals -= 1
            super().write_record(run, name, f'{{"theirs": {self.rivals}}}'.encode())
        return super().write_record(run, name, data, **options)


def test_a_change_of_a_record_is_made_again_until_nobody_was_faster():
    layer = Contested()
    layer.rivals = 3

    change_document(layer, RUN, "notes", lambda document: {**document, "mine": 1})

    document, _ = read_document(layer, RUN, "notes")
    assert document == {"version": 1, "theirs": 0, "mine": 1}


def test_a_change_gives_up_when_others_are_always_faster(monkeypatch):
    monkeypatch.setattr(records, "ATTEMPTS", 3)
    layer = Contested()
    layer.rivals = 1000

    with pytest.raises(ConflictError) as caught:
        change_document(layer, RUN, "notes", lambda document: {**document, "mine": 1})

    assert (caught.value.key, caught.value.layer) == ("the notes of run 'TS_1' in layer 'paths'", "paths")
    assert caught.value.found is None
    assert layer.rivals == 997


@pytest.mark.parametrize(("data", "reason"), [(b"{", "it is not JSON"), (b"[]", "it is not a JSON object")])
def test_a_record_that_is_no_document_is_named(data, reason):
    layer = DictPathLayer()
    layer.write_record(RUN, "notes", data)

    with pytest.raises(InvalidDataError, match=reason) as caught:
        read_document(layer, RUN, "notes")

    assert caught.value.source == "the notes of run 'TS_1' in layer 'paths'"


def test_a_record_that_is_missing_is_an_empty_document():
    assert read_document(DictPathLayer(), RUN, "notes") == ({}, None)
    assert read_document(DictLayer(), RUN, "notes") == ({}, None)
