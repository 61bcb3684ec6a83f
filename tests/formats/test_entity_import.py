"""Importing files and arrays into entities: every source, voxel sizes, label dtypes, interruptions."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from zarr.storage import LocalStore

import copick_core
from copick_core.errors import AlreadyExistsError, InvalidDataError
from copick_core.volumes import ome
from copick_core.volumes.reading import read_volume

SHAPE = (7, 6, 5)
VOLUME = np.random.default_rng(0).integers(0, 90, SHAPE).astype("f4")


def mrc(path: Path, volume: np.ndarray = VOLUME, size: float = 10.0) -> Path:
    path = path / "a.mrc"
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(volume)
        file.voxel_size = size
    return path


def mrc_gz(path: Path) -> Path:
    packed = path / "a.mrc.gz"
    packed.write_bytes(gzip.compress(mrc(path).read_bytes()))
    return packed


def imagej(path: Path, size: float = 10.0) -> Path:
    path = path / "a.tif"
    nm = size / 10
    metadata = {"spacing": nm, "unit": "nm", "axes": "ZYX"}
    tifffile.imwrite(path, VOLUME, imagej=True, resolution=(1 / nm, 1 / nm), metadata=metadata)
    return path


def em(path: Path) -> Path:
    path = path / "a.em"
    header = bytes([6, 0, 0, 5]) + np.array(SHAPE[::-1], "<i4").tobytes()
    path.write_bytes(header.ljust(512, b"\0") + VOLUME.tobytes())
    return path


def zarr_folder(path: Path) -> Path:
    ome.write_volume(LocalStore(path / "a.zarr"), VOLUME, 10.0)
    return path / "a.zarr"


def memmap(path: Path) -> np.ndarray:
    VOLUME.tofile(path / "a.raw")
    return np.memmap(path / "a.raw", "f4", "r", shape=SHAPE)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "MRC": mrc,
    "big-endian MRC": lambda path: mrc(path, VOLUME.astype(">f4")),
    "MRC of mode 1": lambda path: mrc(path, VOLUME.astype("i2")),
    "packed MRC": mrc_gz,
    "ImageJ stack": imagej,
    "EM": em,
    "zarr folder": zarr_folder,
    "zarr array": lambda path: zarr.open_array(zarr_folder(path) / "0", mode="r"),
    "memory map": memmap,
    "dask": lambda path: dask.array.from_array(VOLUME, chunks=3),
    "opened": lambda path: read_volume(mrc(path)),
    "lists": lambda path: VOLUME.tolist(),
}


@pytest.fixture
def run(root: Any) -> Any:
    return root.new_run("TS_1")


@pytest.fixture
def tomogram(run: Any) -> Any:
    return run.new_voxel_spacing(10.0).new_tomogram("wbp")


# -------------------------------------------------------------------------------------------------------------- sources


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_what_from_numpy_gives(tmp_path: Path, tomogram: Any, source: str) -> None:
    tomogram.import_volume(SOURCES[source](tmp_path))

    imported = [tomogram.numpy(level) for level in tomogram.levels]
    tomogram.from_numpy(VOLUME)
    assert len(imported) == 3
    for level, values in enumerate(imported):
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, tomogram.numpy(level))


def test_features_and_maps_of_objects_are_imported_too(tmp_path: Path, root: Any, tomogram: Any) -> None:
    features, density = tomogram.new_features("sobel"), root.get_object("ribosome")

    features.import_volume(mrc(tmp_path, VOLUME.astype("i2")), levels=2)
    density.import_volume(mrc(tmp_path, size=3.5))

    assert features.numpy().dtype == np.int16
    assert features.levels == ["0", "1"]
    assert ome.voxel_size_of(density.zarr()) == 3.5
    np.testing.assert_array_equal(density.numpy(), VOLUME)


def test_axes_are_transposed_and_flipped_on_the_way(tmp_path: Path, tomogram: Any) -> None:
    tomogram.import_volume(mrc(tmp_path), transpose="2,1,0", flip="0")

    np.testing.assert_array_equal(tomogram.numpy(), VOLUME.transpose(2, 1, 0)[::-1])


def test_options_are_those_of_from_numpy(tmp_path: Path, tomogram: Any) -> None:
    seen: list[tuple[int, int]] = []

    tomogram.import_volume(
        mrc(tmp_path), 1, None, chunks=4, zarr_format=3, compressor="zstd", progress=lambda *counts: seen.append(counts)
    )

    assert tomogram.levels == ["0"]
    assert tomogram.array().chunks == (4, 4, 4)
    assert tomogram.array().metadata.zarr_format == 3
    assert seen[-1] == (VOLUME.size, VOLUME.size)


# ---------------------------------------------------------------------------------------------------------- voxel sizes


@pytest.mark.parametrize("source", [mrc, imagej])
def test_another_voxel_size_is_refused_with_both(tmp_path: Path, tomogram: Any, source: Any) -> None:
    with pytest.raises(InvalidDataError, match=r"13\.48 angstrom.* 10\.0 angstrom.*voxel_size=10\.0"):
        tomogram.import_volume(source(tmp_path, size=13.48))

    assert tomogram.levels == []


def test_a_voxel_size_that_is_given_replaces_that_of_the_file(tmp_path: Path, tomogram: Any) -> None:
    tomogram.import_volume(mrc(tmp_path, size=1.0), voxel_size=10.0)

    assert ome.voxel_size_of(tomogram.zarr()) == 10.0


def test_the_noise_of_headers_is_no_difference(tmp_path: Path, run: Any) -> None:
    tomogram = run.new_voxel_spacing(13.48).new_tomogram("wbp")

    tomogram.import_volume(mrc(tmp_path, size=13.4803))

    assert ome.voxel_size_of(tomogram.zarr()) == 13.48


def test_the_map_of_an_object_needs_a_voxel_size(root: Any) -> None:
    density = root.get_object("ribosome")

    with pytest.raises(InvalidDataError, match="voxel_size"):
        density.import_volume(VOLUME)
    density.import_volume(VOLUME, voxel_size=2.5)

    assert ome.voxel_size_of(density.zarr()) == 2.5


# --------------------------------------------------------------------------------------------------------------- labels


@pytest.mark.filterwarnings("ignore:.*label of no object")  # any number will do
@pytest.mark.parametrize(
    ("high", "flags", "dtype"), [(200, {}, "u1"), (300, {"is_multilabel": True}, "u2"), (200, {"is_instance": True}, "u2")]
)
def test_labels_get_the_type_that_from_numpy_gives_them(
    tmp_path: Path, run: Any, high: int, flags: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copick_core.volumes.sources._SLAB_BYTES", 200)  # several slabs
    labels = VOLUME.copy()
    labels[-1, -1, -1] = high
    segmentation = run.new_segmentation(10.0, "membrane", "1", **flags)

    segmentation.import_volume(mrc(tmp_path, labels), levels=2)

    imported = [segmentation.numpy(level) for level in segmentation.levels]
    segmentation.from_numpy(labels, levels=2)
    assert imported[0].dtype == np.dtype(dtype)
    for level, values in enumerate(imported):
        np.testing.assert_array_equal(values, segmentation.numpy(level))


@pytest.mark.filterwarnings("ignore:.*label of no object")  # any number will do
@pytest.mark.parametrize("dtype", [None, "u1"])
def test_what_is_no_label_is_refused_with_its_index(run: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copick_core.volumes.sources._SLAB_BYTES", 200)
    labels = VOLUME.copy()
    labels[5, 2, 3] = 0.5
    segmentation = run.new_segmentation(10.0, "membrane", "1")
    segmentation.from_numpy(VOLUME)

    with pytest.raises(InvalidDataError) as caught:
        segmentation.import_volume(labels, dtype=dtype)

    assert caught.value.index == (5, 2, 3)
    np.testing.assert_array_equal(segmentation.numpy(), VOLUME)


def test_panoptic_segmentations_say_how_to_make_them(tmp_path: Path, run: Any) -> None:
    with pytest.raises(InvalidDataError, match="from_numpy"):
        run.new_segmentation(10.0, "scene", "1", is_panoptic=True).import_volume(mrc(tmp_path))


# -------------------------------------------------------------------------------------------------------- interruptions


def interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_import_leaves_the_old_volume(tomogram: Any) -> None:
    tomogram.from_numpy(VOLUME)

    with pytest.raises(KeyboardInterrupt):
        tomogram.import_volume(-VOLUME, progress=interrupt)

    np.testing.assert_array_equal(tomogram.numpy(), VOLUME)


def test_an_interrupted_import_leaves_no_file(project_config: Any, tmp_path: Path) -> None:
    spacing = copick_core.open(project_config()).new_run("TS_1").new_voxel_spacing(10.0)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(KeyboardInterrupt):
        spacing.new_tomogram("wbp").import_volume(VOLUME, progress=interrupt)

    assert sorted(tmp_path.rglob("*")) == before


# ------------------------------------------------------------------------------------------------------ import_tomogram


@pytest.mark.parametrize("source", [mrc, imagej])
def test_a_tomogram_is_made_at_the_voxel_spacing_of_its_file(tmp_path: Path, run: Any, source: Any) -> None:
    tomogram = copick_core.import_tomogram(run, source(tmp_path, size=13.48), "wbp", 2)

    run.refresh()
    assert run.get_voxel_spacing(13.48).get_tomogram("wbp").key == tomogram.key
    assert tomogram.levels == ["0", "1"]
    np.testing.assert_array_equal(tomogram.numpy(), VOLUME)


def test_a_file_without_voxel_size_needs_one_before_anything_is_made(tmp_path: Path, run: Any) -> None:
    with pytest.raises(InvalidDataError, match="voxel_size"):
        copick_core.import_tomogram(run, em(tmp_path), "wbp")
    assert run.voxel_spacings == []

    assert copick_core.import_tomogram(run, em(tmp_path), "wbp", voxel_size=7.84).voxel_spacing.voxel_size == 7.84


def test_a_tomogram_that_is_there_is_replaced_only_when_asked(run: Any) -> None:
    copick_core.import_tomogram(run, VOLUME, "wbp", voxel_size=10)

    with pytest.raises(AlreadyExistsError):
        copick_core.import_tomogram(run, -VOLUME, "wbp", voxel_size=10)
    tomogram = copick_core.import_tomogram(run, -VOLUME, "wbp", voxel_size=10, exist_ok=True)

    np.testing.assert_array_equal(tomogram.numpy(), -VOLUME)


def test_an_interrupted_import_can_be_tried_again(run: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        copick_core.import_tomogram(run, VOLUME, "wbp", voxel_size=10, progress=interrupt)
    assert run.get_voxel_spacing(10).tomograms == []

    np.testing.assert_array_equal(copick_core.import_tomogram(run, VOLUME, "wbp", voxel_size=10).numpy(), VOLUME)


def test_many_files_are_imported_by_map_runs(tmp_path: Path, root: Any) -> None:
    for name in ("TS_1", "TS_2"):
        root.new_run(name)
    files = {name: {"source": str(mrc(tmp_path)), "tomo_type": "wbp"} for name in ("TS_1", "TS_2")}

    copick_core.map_runs(copick_core.import_tomogram, root, files, run_args=files, executor="thread")

    assert [run.name for run in root.runs] == ["TS_1", "TS_2"]
    for run in root.runs:
        np.testing.assert_array_equal(run.get_voxel_spacing(10).get_tomogram("wbp").numpy(), VOLUME)
