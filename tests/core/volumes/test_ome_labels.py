"""Label dtypes and casts that change no value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copick_core.errors import InvalidDataError
from copick_core.volumes.ome import cast_lossless, check_panoptic, smallest_unsigned

REAL = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 1, -1, 255, 256, 65504, 65505, 2**24 + 1, 2**31, 2**53 + 1, 2**63, 2**64 - 1]),
    st.floats(width=32),
)


@pytest.mark.parametrize(
    ("high", "dtype"), [(0, "u1"), (255, "u1"), (256, "u2"), (65536, "u4"), (2**32, "u8"), (2**64 - 1, "u8")]
)
def test_the_smallest_dtype_holds_the_highest_label(high: int, dtype: str) -> None:
    assert smallest_unsigned(np.array([[0, high]], np.uint64)) == dtype


def test_the_floor_is_kept() -> None:
    assert smallest_unsigned(np.zeros((2, 2, 2), np.uint8), "uint16") == np.uint16


@pytest.mark.parametrize(("dtype", "floor"), [("u1", "u1"), ("?", "u1"), ("u1", "u2"), ("u2", "u2")])
def test_types_that_fit_whatever_they_hold_are_not_scanned(dtype: str, floor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copick_core.volumes.labels._slabs", None)

    assert smallest_unsigned(np.ones(3, dtype), floor) == floor


@pytest.mark.parametrize("value", [-1, 0.5, np.nan, np.inf])
def test_what_is_no_label_is_named_with_its_index(value: float) -> None:
    volume = np.zeros((3, 4, 5))
    volume[2, 1, 3] = value

    with pytest.raises(InvalidDataError, match=r"\(2, 1, 3\)") as caught:
        smallest_unsigned(volume, source="my labels")

    assert caught.value.index == (2, 1, 3)
    assert caught.value.source == "my labels"


@given(st.lists(NUMBERS, min_size=1, max_size=4), st.sampled_from(REAL), st.sampled_from(REAL))
def test_a_cast_keeps_every_value_or_is_refused(values: list[float], before: str, after: str) -> None:
    with np.errstate(all="ignore"):
        data = np.array([np.array(v).astype(before) for v in values], before)

    found: np.ndarray | tuple[int, ...] = _cast_or_index(data, after)

    kept = [_exact(v) == _exact(w) for v, w in zip(data, _astype(data, after), strict=True)]
    if all(kept):
        assert isinstance(found, np.ndarray)
        assert found.dtype == after
        assert [_exact(v) for v in found] == [_exact(v) for v in data]
    else:
        assert found == (kept.index(False),)


@pytest.mark.parametrize(
    ("value", "before", "after", "kept"),
    [
        (np.nan, "f8", "f4", True),
        (0.1, "f8", "f4", False),
        (0, "u8", "i8", True),
        (1, "u8", "i8", True),
        (2**63 - 1, "u8", "i8", True),
        (2**63, "u8", "i8", False),
        (-1, "i8", "u8", False),
        (2**24, "i8", "f4", True),
        (2**24 + 1, "i8", "f4", False),
        (2**63, "u8", "f4", True),
        (2**64 - 1, "u8", "f4", False),
        (-(2**63), "i8", "f8", True),
        (2**63 - 1, "i8", "f8", False),
        (2**64 - 1, "u8", "f2", False),
        (2.0**64, "f8", "u8", False),
        (2.0**63, "f8", "i8", False),
        (1, "u1", "?", True),
        (2, "u1", "?", False),
        (-0.5, "f4", "?", False),
    ],
)
def test_a_cast_at_the_limits_of_a_dtype_keeps_the_value_or_is_refused(
    value: float, before: str, after: str, kept: bool
) -> None:
    with np.errstate(all="ignore"):
        data = np.array([0, value], before)

    found = _cast_or_index(data, after)

    if kept:
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, data)
        assert found.dtype == after
    else:
        assert found == (1,)


def test_labels_beyond_64_bits_are_refused_with_the_largest() -> None:
    with pytest.raises(InvalidDataError, match=f"my labels: value {2**65} is larger than any unsigned integer"):
        smallest_unsigned(np.array([1.0, 2.0**65]), source="my labels")


def test_the_index_of_a_value_counts_from_the_origin_of_its_piece() -> None:
    for check in (smallest_unsigned, lambda data, **options: cast_lossless(data, "u1", **options)):
        with pytest.raises(InvalidDataError) as caught:
            check(np.array([[0, 0], [0, -3]]), origin=(10, 20))
        assert caught.value.index == (11, 21)


def _cast_or_index(data: np.ndarray, dtype: str) -> np.ndarray | tuple[int, ...]:
    try:
        return cast_lossless(data, dtype)
    except InvalidDataError as error:
        return error.index


def _astype(data: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return data.astype(dtype)


def _exact(value: np.generic) -> int | float | str:
    number = value.item()
    return "nan" if number != number else number  # Python compares int and float exactly


def test_big_volumes_are_scanned_to_the_last_slab() -> None:
    volume = np.zeros((40, 512, 512), np.int16)
    volume[39, 511, 511] = 300

    with pytest.raises(InvalidDataError, match="value 300") as caught:
        cast_lossless(volume, np.uint8)

    assert caught.value.index == (39, 511, 511)


def test_a_cast_to_the_same_dtype_copies_nothing() -> None:
    data = np.arange(5, dtype=np.uint8)

    assert cast_lossless(data, np.uint8) is data


def test_complex_values_are_no_labels() -> None:
    with pytest.raises(InvalidDataError, match="complex"):
        cast_lossless(np.zeros(3, complex), np.uint8)


def test_a_panoptic_volume_of_known_labels_passes() -> None:
    volume = np.zeros((2, 4, 4, 4), np.uint16)
    volume[0, 1] = 7
    volume[1, 1, 2] = 3

    check_panoptic(volume, [7])


def test_an_unknown_label_is_named() -> None:
    volume = np.zeros((2, 4, 4, 4), np.uint16)
    volume[0, 1, 2, 3] = 9

    with pytest.raises(InvalidDataError, match=r"value 9 at index \(1, 2, 3\)"):
        check_panoptic(volume, [7])


def test_an_instance_on_background_is_named() -> None:
    volume = np.zeros((2, 4, 4, 4), np.uint16)
    volume[1, 3, 2, 1] = 5

    with pytest.raises(InvalidDataError, match=r"value 5 .* background"):
        check_panoptic(volume, [7])


def test_a_plane_of_a_panoptic_volume_can_be_checked() -> None:
    with pytest.raises(InvalidDataError, match="value 5"):
        check_panoptic(np.array([[[0, 0]], [[0, 5]]]), [7])


def test_other_shapes_are_no_panoptic_volume() -> None:
    with pytest.raises(InvalidDataError, match="label"):
        check_panoptic(np.zeros((3, 4, 4, 4), np.uint8), [1])
