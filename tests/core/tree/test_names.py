"""Names: sanitised or refused, never silently unsafe."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copick_core.errors import InvalidDataError, InvalidNameError
from copick_core.tree.keys import voxel_size_key
from copick_core.tree.names import check_run_name, checked_name, sanitize_name


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a b", "a-b"),
        ("a_b", "a-b"),
        ('<>:"/\\|?*x', "x"),
        ("-a-", "a"),
        ("a\tb\nc", "a-b-c"),
        ("ä.1", "ä.1"),
        ("a__b", "a--b"),
    ],
)
def test_sanitising_replaces_what_copick_1_replaces(name, clean):
    with pytest.warns(UserWarning, match="has been sanitized to"):
        assert sanitize_name(name + "_") == clean


@given(st.text(max_size=20))
def test_what_is_sanitised_stays_as_it_is(name):
    try:
        clean = sanitize_name(name, suppress_warnings=True)
    except InvalidNameError:
        return
    assert sanitize_name(clean, suppress_warnings=True) == clean


@pytest.mark.parametrize(
    "name", ["", "..", ".", ".hidden", "a/b", "a\\b", "../x", "a\x00b", "a\nb", "\ud800", "x" * 256, None, 7]
)
def test_run_names_that_are_not_safe_are_refused(name):
    with pytest.raises(InvalidNameError):
        check_run_name(name)


@pytest.mark.parametrize(
    "name", ["TS_1", "TS[1]", "a*b?", "{x}", "a b", "über", "x" * 255, "a..b", "~", "%2e%2e", "-rf", "a#b"]
)
def test_run_names_that_only_look_odd_are_taken_as_they_are(name):
    assert check_run_name(name) == name


@pytest.mark.parametrize("name", [".me", "___", "", "x" * 300])
def test_other_names_that_sanitising_does_not_make_safe_are_refused(name):
    with pytest.raises(InvalidNameError, match=r"^user_id "):
        checked_name("user_id", name, suppress_warnings=True)


@pytest.mark.parametrize("name", [7, None, b"alice"])
def test_the_error_of_a_name_that_is_no_string_tells_which_it_is(name):
    with pytest.raises(InvalidNameError) as caught:
        checked_name("user_id", name)

    assert (caught.value.what, caught.value.name) == ("user_id", name)


@pytest.mark.parametrize("value", [10, 10.0, 10.0004, np.float32(10), np.int64(10), np.array(10.0)])
def test_voxel_sizes_of_any_numeric_type_have_one_key(value):
    assert voxel_size_key(value) == 10.0


def test_a_float32_voxel_size_of_an_mrc_header_is_the_size_it_was_written_from():
    assert voxel_size_key(np.float32(10.012)) == 10.012


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), pytest.param(10**400, id="huge"), 0.0004, "ten", None])
def test_voxel_sizes_that_cannot_be_are_refused(value):
    with pytest.raises(InvalidDataError):
        voxel_size_key(value)


def test_importing_copick_core_imports_nothing_heavy():
    heavy = ["zarr", "trimesh", "fsspec", "pandas", "rich", "numpy", "pydantic", "pluggy", "copick_backend_fs", "asyncio"]
    code = f"import copick_core, sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
