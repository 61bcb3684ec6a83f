"""EM files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from copick_core.errors import InvalidDataError
from copick_core.volumes.reading import read_volume
from support.volume_files import VOLUME, write_em


@pytest.mark.parametrize("machine", [5, 6])
@pytest.mark.parametrize(("code", "dtype"), [(1, "i1"), (2, "i2"), (4, "i4"), (5, "f4"), (9, "f8")])
def test_em_files_are_read(tmp_path: Path, machine: int, code: int, dtype: str) -> None:
    path = write_em(tmp_path / "a.em", VOLUME.astype(dtype), machine, code)

    volume = read_volume(path)

    assert (volume.shape, volume.voxel_size) == ((7, 6, 5), None)
    np.testing.assert_array_equal(volume.data, VOLUME.astype(dtype))


def test_em_files_of_unknown_kind_are_refused(tmp_path: Path) -> None:
    path = write_em(tmp_path / "a.em", VOLUME, 6, 7)

    with pytest.raises(InvalidDataError, match="EM file"):
        read_volume(path)


def test_complex_em_files_are_refused(tmp_path: Path) -> None:
    path = write_em(tmp_path / "a.em", VOLUME.astype("c8"), 6, 8)

    with pytest.raises(InvalidDataError, match="complex64"):
        read_volume(path)
