"""Uploads become here what the app makes of them: its own reader, Pillow with zarr 2, converts the same files beside ours."""

import subprocess

import numpy as np
import pytest
import tifffile
from PIL import Image

from copick_backend_volume.status import JobStatus
from copick_core.errors import InvalidDataError
from support import volume_generator
from support.environments import REPOSITORY, IndexUnreachableError, python_with
from support.volume_app_rounds import SHAPE, App, box_of
from support.volumes import open_volume

CONVERT = REPOSITORY / "tests/support/volume_app_convert.py"
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (14, 17), np.uint8)
DEEP = RNG.integers(0, 60_000, (14, 17)).astype(np.uint16)
COLOUR = RNG.integers(0, 256, (14, 17, 3), np.uint8)


def pillow(mode, pixels=GREY, **options):
    """Write with Pillow in a mode."""
    return lambda path: Image.fromarray(pixels).convert(mode).save(path, **options)


def tiff(pixels, **options):
    """Write with tifffile."""
    return lambda path: tifffile.imwrite(path, pixels, **options)


#: What the app can read: file name, and what writes it.
KINDS = {
    "png-8": ("s.png", pillow("L")),
    "png-16": ("s.png", lambda path: Image.fromarray(DEEP).save(path)),
    "png-1": ("s.png", pillow("1")),
    "png-palette": ("s.png", pillow("P", COLOUR)),
    "png-rgb": ("s.png", pillow("RGB", COLOUR)),
    "png-rgba": ("s.png", pillow("RGBA", COLOUR)),
    "png-grey-alpha": ("s.png", pillow("LA")),
    "jpeg": ("s.jpg", pillow("L")),
    "jpeg-rgb": ("s.jpg", pillow("RGB", COLOUR)),
    "bmp": ("s.bmp", pillow("L")),
    "tiff-8": ("s.tif", tiff(GREY)),
    "tiff-16": ("s.tif", tiff(DEEP)),
    "tiff-16-big-endian": ("s.tif", tiff(DEEP, byteorder=">")),
    "tiff-float": ("s.tiff", tiff(DEEP.astype(np.float32) / 7)),
    "tiff-int32": ("s.tif", tiff(DEEP.astype(np.int32) - 9)),
    "tiff-int16": ("s.tif", tiff(DEEP.astype(np.int16))),
    "tiff-lzw": ("s.tif", pillow("L", compression="tiff_lzw")),
    "tiff-deflate": ("s.tif", pillow("L", compression="tiff_adobe_deflate")),
    "tiff-packbits": ("s.tif", pillow("L", compression="packbits")),
    "tiff-group4": ("s.tif", pillow("1", compression="group4")),
    "tiff-lzw-16": ("s.tif", lambda path: Image.fromarray(DEEP).save(path, compression="tiff_lzw")),
    "tiff-bilevel": ("s.tif", pillow("1")),
    "tiff-miniswhite": ("s.tif", tiff(GREY, photometric="miniswhite")),
    "tiff-palette": ("s.tif", pillow("P", COLOUR)),
    "tiff-rgb": ("s.tif", tiff(COLOUR, photometric="rgb")),
    "tiff-rgb-planar": ("s.tif", tiff(COLOUR.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")),
    "tiff-rgb-lzw": ("s.tif", pillow("RGB", COLOUR, compression="tiff_lzw")),
    "tiff-tiled": ("s.tif", tiff(GREY, tile=(16, 16))),
}


@pytest.fixture(scope="module")
def app_python():
    """Interpreter of an environment with the libraries that the app reads with."""
    try:
        return python_with("zarr", "2.18.3", also=("pillow>=10", "numcodecs<0.16"))
    except IndexUnreachableError as error:
        pytest.skip(str(error))


def convert_as_app(python, volume, *jobs):
    """What the app's conversion prints of each job: its type, or that it fails."""
    command = [str(python), str(CONVERT), str(volume.root), *jobs]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in printed.splitlines())


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory, app_python):
    """A volume with a job of each kind; converted by the app."""
    volume = volume_generator.GeneratedVolume(tmp_path_factory.mktemp("kinds") / "volume")
    for kind, (name, write) in KINDS.items():
        volume.job(kind, "UPLOADED")
        (volume.root / "uploads" / kind).mkdir(parents=True)
        write(volume.root / "uploads" / kind / name)
    volume.save()
    return volume, convert_as_app(app_python, volume, *KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_of_each_kind_is_converted_as_the_app_converts_it(uploaded, kind):
    volume, printed = uploaded
    assert printed[kind] != "fails"
    run = open_volume(volume.root, write_back=True).get_run(kind)
    theirs = open_volume(volume.root, hide_incomplete=False).get_run(kind).voxel_spacings[0].tomograms[0].numpy()

    run.convert()

    ours = run.voxel_spacings[0].tomograms[0].numpy()
    assert ours.dtype == theirs.dtype.newbyteorder("<")
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_volume_that_the_app_has_made_of_our_upload_is_sound_and_read_as_it_was_made(tmp_path, app_python):
    (tmp_path / "volume").mkdir()
    (tmp_path / "scan").mkdir()
    planes = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    for z, plane in enumerate(planes):
        Image.fromarray(plane).save(tmp_path / f"scan/larva {z + 7}.png")
    volume = volume_generator.GeneratedVolume(tmp_path / "volume")
    job = open_volume(volume.root, write_back=True).upload(tmp_path / "scan", "Larva", voxel_size=13.5).name
    assert convert_as_app(app_python, volume, job) == {job: "<u2"}
    app = App(volume.root)
    app.set(job, status="JobStatus.CONVERTED", shape=[*SHAPE[::-1]])
    for action in ("annotate", "start", "segment", "press_mesh", "mesh"):
        getattr(app, action)(job)
    assert app.wrong == []

    root = open_volume(volume.root)

    run = root.get_run(job)
    assert root.doctor() == []
    assert (run.job.status.name, run.voxel_size_info.angstrom) == ("MESHED", 13.5)
    assert run.freshness().is_fresh
    np.testing.assert_array_equal(run.voxel_spacings[0].tomograms[0].numpy(), planes)
    np.testing.assert_array_equal(run.latest_segmentation.numpy() > 0, box_of(run.models[-1].id) > 0)
    assert run.latest_mesh.mesh.bounds[0].tolist() == [1.5 * 13.5] * 3


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_compressed_tiffs_are_read_without_a_further_package(tmp_path, compression):
    volume = volume_generator.GeneratedVolume(tmp_path / "volume")
    volume.job("A", "UPLOADED")
    (volume.root / "uploads/A").mkdir(parents=True)
    Image.fromarray(GREY).save(volume.root / "uploads/A/s.tif", compression=compression)
    volume.save()
    run = open_volume(volume.root, write_back=True).get_run("A")

    run.convert()

    np.testing.assert_array_equal(run.voxel_spacings[0].tomograms[0].numpy()[0], GREY)


def test_channels_of_planes_are_not_taken_for_rows(tmp_path):
    volume = volume_generator.GeneratedVolume(tmp_path / "volume")
    volume.job("A", "UPLOADED")
    (volume.root / "uploads/A").mkdir(parents=True)
    tifffile.imwrite(volume.root / "uploads/A/s.tif", COLOUR.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    volume.save()
    run = open_volume(volume.root, write_back=True).get_run("A")

    run.convert()

    np.testing.assert_array_equal(run.voxel_spacings[0].tomograms[0].numpy()[0], COLOUR[..., 0])


# Arrays

#: Values of each type that go through, and the type that they have in the volume.
ARRAYS = {
    "bool": (GREY > 99, "u1"),
    "uint8": (GREY, "u1"),
    "int8": (GREY.view(np.int8), "<i4"),
    "uint16": (DEEP, "<u2"),
    "uint16-big-endian": (DEEP.astype(">u2"), "<u2"),
    "int16": (DEEP.astype(np.int16), "<i4"),
    "uint32": (DEEP.astype(np.uint32) * 9, "<i4"),
    "int32": (DEEP.astype(np.int32) * -9, "<i4"),
    "uint64": (DEEP.astype(np.uint64), "<i4"),
    "int64": (DEEP.astype(np.int64) * -9, "<i4"),
    "float16": ((GREY / 7).astype(np.float16), "<f4"),
    "float32": (np.where(GREY > 9, GREY / np.float32(7), np.float32("nan")), "<f4"),
    "float64": (DEEP / 8, "<f4"),
}


@pytest.fixture(scope="module")
def arrays(tmp_path_factory, app_python):
    """A volume with a job of each array, added by us and converted by the app."""
    volume = volume_generator.GeneratedVolume(tmp_path_factory.mktemp("arrays") / "volume")
    for kind in ARRAYS:
        volume.job(kind, "UPLOADING")
    volume.save()
    root = open_volume(volume.root, write_back=True)
    for kind, (plane, _) in ARRAYS.items():
        (volume.root / "uploads" / kind).mkdir(parents=True)
        run = root.get_run(kind)
        run.add_slices(np.stack([plane, plane[::-1]]))
        run.set_status("CONVERTED", force=True)
    return volume, convert_as_app(app_python, volume, *ARRAYS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ARRAYS)
def test_the_app_reads_an_array_of_each_type_right(arrays, kind):
    volume, printed = arrays
    plane, stored = ARRAYS[kind]

    image = open_volume(volume.root).get_run(kind).voxel_spacings[0].tomograms[0].numpy()

    assert np.dtype(printed[kind]) == np.dtype(stored)
    np.testing.assert_array_equal(image, np.stack([plane, plane[::-1]]))


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_of_each_type_is_converted_here_with_its_values(tmp_path, kind):
    plane, stored = ARRAYS[kind]
    (tmp_path / "volume").mkdir()
    run = open_volume(tmp_path / "volume", write_back=True).new_job("array")

    run.add_slices(plane[None])
    run.finish_upload()
    run.convert()

    image = run.voxel_spacings[0].tomograms[0].numpy()
    assert image.dtype == np.dtype(stored)
    np.testing.assert_array_equal(image[0], plane)


@pytest.mark.parametrize(
    "plane",
    [np.full((4, 4), 2**31, np.uint32), np.full((4, 4), -(2**40)), np.full((4, 4), 1e300), np.full((4, 4), 1j)],
    ids=["uint32", "int64", "float64", "complex"],
)
def test_an_array_that_the_app_cannot_read_is_refused_and_nothing_is_added(tmp_path, plane):
    (tmp_path / "volume").mkdir()
    run = open_volume(tmp_path / "volume", write_back=True).new_job("array")

    with pytest.raises(InvalidDataError):
        run.add_slices(np.stack([np.zeros_like(plane), plane]))

    assert run.uploads.slices == ()
    assert run.job.status is JobStatus.UPLOADING
