"""Names of what is being staged: told from all others, for a week, and never too long."""

import time

import pytest

from copick_core.layers import staged
from copick_core.layers.staged import ASIDE, STAGED_SECONDS, aside_of, is_abandoned, is_staged, natural, staged_name


def test_each_staged_name_is_hidden_and_differs_from_all_others():
    names = {staged_name() for _ in range(100)}

    assert len(names) == 100
    assert all(name.startswith(".") and is_staged(name) and not is_abandoned(name) for name in names)


@pytest.mark.parametrize(
    "name", ["wbp.zarr", ".staged-", ".staged-1", f".staged-1-{0:031x}", f".staged-1-{0:032x}.zarr", f"x.staged-1-{0:032x}"]
)
def test_other_names_are_nobodys_leftovers(name):
    assert not is_staged(name)
    assert not is_abandoned(name)


@pytest.mark.parametrize(("age", "abandoned"), [(STAGED_SECONDS, False), (STAGED_SECONDS + 1, True), (0, False)])
def test_what_was_staged_belongs_to_a_dead_writer_after_a_week(monkeypatch, age, abandoned):
    now = 2_000_000_000
    monkeypatch.setattr(time, "time", lambda: float(now))

    assert is_abandoned(f".staged-{now - age:x}-{0:032x}") is abandoned
    assert STAGED_SECONDS == 7 * 24 * 3600


@pytest.mark.parametrize(("length", "keeps_its_name"), [(10, True), (255 - len(ASIDE), True), (256 - len(ASIDE), False)])
def test_what_is_moved_aside_keeps_its_name_unless_that_becomes_too_long(length, keeps_its_name):
    folder, _, name = aside_of(f"a/b/{'x' * length}").rpartition("/")

    assert folder == "a/b"
    assert (name == f"{ASIDE}{'x' * length}") is keeps_its_name
    assert is_staged(name) is not keeps_its_name


def test_numbers_in_names_are_sorted_by_their_value():
    names = ["s10", "s2", "2", "10", "s", "a2b10", "a2b9", "1"]

    assert sorted(names, key=natural) == ["1", "2", "10", "a2b9", "a2b10", "s", "s2", "s10"]


def test_names_of_values_that_zarr_writes_are_told_from_others():
    assert staged.PARTIAL.search(f"0/0/c.{0:032x}.partial")
    assert not staged.PARTIAL.search(f"0/0/c.{0:032x}.partial.zarr")
    assert not staged.PARTIAL.search("0/0/c.partial")
