"""One convention for coordinates: voxel i's centre lies at i × voxel size, in picks, meshes, pictures and exports alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_tools import pictures

SIZE = 10.0
SHAPE = (32, 40, 48)
#: Index (z, y, x) of the one bright voxel of the finest level.
BRIGHT = (16, 13, 22)
#: Index of the one bright voxel of level 2: that of the eight times eight brightest ones of the finest level.
BRIGHT_2 = (4, 3, 5)
CENTRE = np.array(BRIGHT[::-1]) * SIZE
CENTRE_2 = (4 * np.array(BRIGHT_2[::-1]) + 1.5) * SIZE


def project(folder: Path, *, level: int) -> Any:
    """A project with one bright voxel, picks at its centre, and a segmentation of it."""
    config = {
        "config_type": "filesystem",
        "overlay_root": str(folder / "project"),
        "user_id": "alice",
        "pickable_objects": [{"name": "spot", "is_particle": True, "label": 1, "color": [255, 0, 0, 255], "radius": 1.0}],
    }
    root = copick_core.open(config)
    data = np.zeros(SHAPE, "f4")
    if level:
        data[tuple(slice(4 * i, 4 * i + 4) for i in BRIGHT_2)] = 1000
    else:
        data[BRIGHT] = 1000
    run = root.new_run("TS_1")
    run.new_voxel_spacing(SIZE).new_tomogram("wbp").from_numpy(data, levels=3)
    run.new_segmentation(SIZE, "spot", "1").from_numpy((data > 0).astype("u1"))
    run.new_picks("spot", "1", positions=[CENTRE_2 if level else CENTRE])
    return root


def brightest(volume: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(np.argmax(volume), volume.shape))


def red_centre(image: Any) -> np.ndarray:
    """Mean (column, row) of what is drawn in the colour of the object, in the picture without its column of text."""
    pixels = np.asarray(image.convert("RGB"))[:, : -pictures.draw.__globals__["PANEL_WIDTH"]].astype(int)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 100) & (pixels[..., 2] < 100)
    return np.argwhere(red).mean(axis=0)[::-1]


def white_centre(image: Any) -> np.ndarray:
    """Mean (column, row) of what is bright above the scale bar."""
    pixels = np.asarray(image.convert("L"))[:, : -pictures.draw.__globals__["PANEL_WIDTH"]].astype(float)
    pixels = pixels[: int(len(pixels) * 0.8)]
    weights = np.where(pixels > 0.7 * pixels.max(), pixels, 0)
    rows, columns = np.indices(pixels.shape)
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


@pytest.mark.parametrize("level", [0, 2])
def test_one_bright_voxel_lies_at_one_place_in_picks_meshes_pictures_and_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    root = project(tmp_path, level=level)
    run = root.get_run("TS_1")
    tomogram = run.get_voxel_spacing(SIZE).tomograms[0]
    centre = CENTRE_2 if level else CENTRE
    stored = tomogram.numpy(str(level))

    # Picks: position / voxel size is the index; of a coarser level, less the half voxels of the finer ones.
    [position], _ = run.picks[0].numpy()
    index = (position / SIZE - (2**level - 1) / 2) / 2**level
    assert tuple(index[::-1]) == brightest(stored) == (BRIGHT_2 if level else BRIGHT)

    # Meshes: the surface of the segmentation is around the same place.
    from copick_core.volumes.surfaces import block_surfaces, welded

    labels = run.segmentations[0].numpy()

    def read(low: Any, high: Any) -> np.ndarray:
        return labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]

    for downsample in (1, 4) if level else (1,):
        parts = [part[1] for _, part in block_surfaces(read, labels.shape, downsample=downsample)]
        mesh = welded(np.concatenate(parts), SIZE)
        np.testing.assert_allclose(mesh.bounds.mean(axis=0), centre, atol=1e-3)

    # Pictures: the mark of the pick lies on the bright spot, within half a pixel of the level that is drawn.
    monkeypatch.setattr(pictures, "_LONGEST", 48 >> level)
    marked = red_centre(pictures.picture(root, "TS_1"))
    run.delete_picks()
    spot = white_centre(pictures.picture(root, "TS_1"))
    pixels = pictures.draw.__globals__["pixel_scale"](stored.shape)
    np.testing.assert_allclose(marked, spot, atol=0.3 * pixels)
    run.new_picks("spot", "1", positions=[centre])

    # Exports: the volume's file has it at the same index with no shift, the coordinates' files say where that is.
    import mrcfile

    copick_core.export_volumes(root, "TS_1/wbp@10.0", tmp_path / "{run}.mrc", kind="tomogram")
    with mrcfile.open(tmp_path / "TS_1.mrc") as file:
        np.testing.assert_allclose(np.argwhere(file.data > 0).mean(axis=0)[::-1] * SIZE, centre)
        assert file.voxel_size.x == SIZE
        assert [file.header.origin[axis] for axis in "xyz"] == [0, 0, 0]
        assert [file.header[f"n{axis}start"] for axis in "xyz"] == [0, 0, 0]
    for name in ("picks.star", "picks.csv", "picks.tbl"):
        copick_core.export_picks(root, "TS_1/spot:alice/1", tmp_path / name)
    import starfile

    found = starfile.read(tmp_path / "picks.star", always_dict=True)["particles"].iloc[0]
    half = np.array(SHAPE[::-1]) / 2 * SIZE  # RELION 5 counts from the centre of the tomogram
    np.testing.assert_allclose(
        [found[f"rlnCenteredCoordinate{axis}Angst"] + h for axis, h in zip("XYZ", half, strict=True)], centre
    )
    row = (tmp_path / "picks.csv").read_text().splitlines()
    columns = row[0].split(",")
    assert [float(row[1].split(",")[columns.index(axis)]) for axis in "xyz"] == centre.tolist()
    x, y, z = map(float, (tmp_path / "picks.tbl").read_text().split()[23:26])
    np.testing.assert_allclose([x, y, z], centre / SIZE)
