"""Volumes that lie in one piece in a file, and what is raised where memory or the file ends."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from copick_core.errors import InvalidDataError, LevelNotFoundError
from copick_core.volumes import raw
from copick_core.volumes.level_view import LevelView
from copick_core.volumes.ome import write_volume
from copick_core.volumes.raw import RawSource, spooled
from copick_core.volumes.reading import read_volume
from copick_core.volumes.sources import ArraySource
from support.volume_files import VOLUME

BOXES = [
    (slice(0, 7), slice(0, 6), slice(0, 5)),
    (slice(2, 5), slice(0, 6), slice(0, 5)),
    (slice(2, 5), slice(1, 4), slice(0, 5)),
    (slice(2, 7), slice(1, 4), slice(1, 3)),
    (slice(6, 7), slice(5, 6), slice(4, 5)),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.raw"
    path.write_bytes(b"head" + VOLUME.tobytes())
    return path


def source(file: object) -> RawSource:
    return RawSource("a volume", file, 4, VOLUME.shape, VOLUME.dtype, (1.0, 1.0, 1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("slab", [1, 2 * VOLUME[0].nbytes, 2**20])
@pytest.mark.parametrize("box", BOXES)
def test_boxes_are_read_from_a_path_and_from_an_open_file(path, box, slab, monkeypatch):
    monkeypatch.setattr(raw, "_SLAB_BYTES", slab)

    np.testing.assert_array_equal(source(str(path)).box(*box), VOLUME[box])
    with tempfile.TemporaryFile() as file:
        file.write(path.read_bytes())
        file.flush()
        opened = source(file)
        for _ in range(2):
            np.testing.assert_array_equal(opened.box(*box), VOLUME[box])


def test_a_file_that_is_too_short_is_refused_with_both_numbers(path):
    whole = 4 + VOLUME.nbytes
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(InvalidDataError) as caught:
        source(str(path))

    assert caught.value.source == "a volume"
    assert caught.value.reason == f"is cut off: it has {whole - 1:,} bytes, its header promises {whole:,}"


def test_a_file_that_becomes_shorter_is_refused_when_it_is_read(path):
    opened = source(str(path))
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(InvalidDataError) as caught:
        opened.slabs(6, 7)

    assert (caught.value.source, caught.value.reason) == ("a volume", "became shorter while it was read")
    assert opened.slabs(0, 6).shape == (6, 6, 5)


def test_an_open_file_is_closed_with_its_source_and_one_by_path_may_be_read_on(path):
    file = path.open("rb")
    opened = source(file)
    with opened:
        assert not file.closed
    assert file.closed

    by_path = source(str(path))
    by_path.close()
    np.testing.assert_array_equal(by_path.data, VOLUME)


def test_an_open_file_is_closed_when_nobody_holds_its_source(path):
    file = path.open("rb")
    opened = source(file)
    assert not file.closed

    del opened
    gc.collect()

    assert file.closed


def test_a_spooled_volume_is_the_same_and_can_be_read_in_any_piece(monkeypatch):
    monkeypatch.setattr("copick_core.volumes.sources._SLAB_BYTES", 2 * VOLUME[0].nbytes)

    with spooled(ArraySource(VOLUME, "origin", (1.0, 2.0, 3.0))) as copy:
        assert (copy.name, copy.shape, copy.dtype, copy.voxel_sizes) == ("origin", VOLUME.shape, VOLUME.dtype, (1.0, 2.0, 3.0))
        for box in BOXES:
            np.testing.assert_array_equal(copy.box(*box), VOLUME[box])


def short_of_memory(*args: object, **options: object) -> None:
    raise MemoryError("no room")


def test_a_lack_of_memory_is_no_damage_of_a_zarr_folder(tmp_path, monkeypatch):
    write_volume(LocalStore(tmp_path / "a.zarr"), VOLUME, 10.0)
    opened = read_volume(tmp_path / "a.zarr")

    monkeypatch.setattr(LevelView, "read", short_of_memory)
    with pytest.raises(MemoryError, match="no room"):
        opened.slabs(0, 1)
    monkeypatch.setattr("copick_core.volumes.levels.open_with_image", short_of_memory)
    with pytest.raises(MemoryError, match="no room"):
        read_volume(tmp_path / "a.zarr")


def test_a_zarr_folder_without_levels_is_said_to_lack_them(tmp_path):
    path = tmp_path / "a.zarr"
    write_volume(LocalStore(path), VOLUME, 10.0, levels=1)
    for name in [*(path / "0").rglob("*")][::-1]:
        name.rmdir() if name.is_dir() else name.unlink()

    with pytest.raises(LevelNotFoundError):
        read_volume(path)


def flat(path: Path) -> None:
    zarr.open_array(path, mode="w", zarr_format=2, shape=(4, 4), dtype="u1")


def channels(path: Path) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", shape=(2, 4, 4, 4), dtype="u1")
    axes = [{"name": "c"}, *({"name": n, "type": "space", "unit": "angstrom"} for n in "zyx")]
    scale = [{"type": "scale", "scale": [1.0, 10.0, 10.0, 10.0]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]


def malformed(path: Path) -> None:
    write_volume(LocalStore(path), VOLUME, 10.0, levels=1)
    (path / ".zattrs").write_text('{"multiscales": [{"axes": 3, "datasets": [{"path": "0"}]}]}')


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (flat, "it has no axes z, y and x, but 0 (4), 1 (4)"),
        (channels, "it has the axis 'c' of 2 entries, where (z, y, x) is wanted."),
        (malformed, "its multiscales metadata are malformed"),
    ],
)
def test_metadata_that_cannot_be_used_are_named_with_their_folder_once(tmp_path, make, reason):
    path = tmp_path / "a.zarr"
    make(path)

    with pytest.raises(InvalidDataError) as unsized:
        read_volume(path)
    with pytest.raises(InvalidDataError) as sized:
        read_volume(path, voxel_size=10.0)

    assert [error.value.source for error in (unsized, sized)] == [str(path)] * 2
    assert unsized.value.reason.startswith(f"its metadata cannot be used: {reason}")
    assert sized.value.reason.startswith(reason)
