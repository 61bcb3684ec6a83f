"""What may be uploaded to a compose volume besides plain slices: DICOM, and zips."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from copick_backend_volume.status import JobStatus
from copick_core.__main__ import main
from copick_core.errors import InvalidDataError, MissingDependencyError
from support import volume_generator
from support.syncs import assert_published, identity_of, recorded_syncs
from support.volumes import open_volume

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")

STACK = np.arange(4 * 6 * 5, dtype=np.uint16).reshape(4, 6, 5) * 500


@pytest.fixture
def volume(tmp_path):
    """A volume with an empty job that was uploaded."""
    made = volume_generator.GeneratedVolume(tmp_path / "volume")
    made.job("D1C0", "UPLOADED", source_type="image_stack")
    (made.root / "uploads/D1C0").mkdir(parents=True)
    return made.save()


@pytest.fixture
def uploads(volume):
    return volume.root / "uploads/D1C0"


@pytest.fixture
def run(volume):
    return open_volume(volume.root, write_back=True).get_run("D1C0")


def dicom(path, pixels, *, z=None, number=None, series="1.2.3", spacing=(0.02, 0.02), thickness=0.02):
    """Write a DICOM slice, as a scanner would."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID = series
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.SamplesPerPixel, data.PixelRepresentation = 15, 1, int(pixels.dtype.kind == "i")
    data.PhotometricInterpretation = "MONOCHROME2"
    data.RescaleSlope, data.RescaleIntercept = "2", "-1000"
    data.PixelSpacing, data.SliceThickness = [*spacing], thickness
    if z is not None:
        data.ImagePositionPatient = [0, 0, z]
    if number is not None:
        data.InstanceNumber = number
    data.PixelData = pixels.tobytes()
    data.save_as(path)


def codes(run):
    return {finding.code for finding in run.uploads.findings}


def image(run):
    return run.voxel_spacings[0].tomograms[0].numpy()


# DICOM


def test_dicom_slices_are_ordered_by_position_and_keep_their_stored_values(run, uploads):
    for name, k in zip("cabd", range(4), strict=True):
        dicom(uploads / f"{name}.dcm", STACK[k], z=10.0 * k, number=9 - k)

    job = run.convert()

    assert (job.status, job.source_type) == (JobStatus.CONVERTED, "dicom")
    np.testing.assert_array_equal(image(run), STACK)
    assert codes(run) == set()


def test_without_positions_dicom_slices_are_ordered_by_number_and_without_both_by_name(run, uploads):
    for name, k in zip("dcba", range(4), strict=True):
        dicom(uploads / f"{name}.dcm", STACK[k], number=k)
    assert [s.name for s in run.uploads.slices] == ["d.dcm", "c.dcm", "b.dcm", "a.dcm"]

    for name, k in zip("dcba", range(4), strict=True):
        dicom(uploads / f"{name}.dcm", STACK[k], number=None if name == "a" else k)
    assert [s.name for s in run.uploads.slices] == ["a.dcm", "b.dcm", "c.dcm", "d.dcm"]


def test_the_largest_series_is_converted_and_the_others_are_reported(run, uploads):
    for k in range(4):
        dicom(uploads / f"s{k}.dcm", STACK[k], z=k, series="1.2.3" if k else "9.9")

    run.convert()

    np.testing.assert_array_equal(image(run), STACK[1:])
    assert [(f.code, f.severity, f.files) for f in run.uploads.findings] == [("series", "warning", ("s0.dcm",))]


def test_dicom_is_known_by_its_mark_and_keeps_signed_values(run, uploads):
    for k in range(4):
        dicom(uploads / f"I{k}", STACK[k].astype(np.int16) - 1000, z=k)

    run.convert()

    np.testing.assert_array_equal(image(run), STACK.astype(np.int16) - 1000)


@pytest.mark.parametrize(("frames", "found"), [(1, set()), (2, {"pages"})])
def test_dicom_of_several_frames_is_reported_as_pages(run, uploads, frames, found):
    import pydicom

    dicom(uploads / "a.dcm", STACK[0], z=0.0)
    data = pydicom.dcmread(uploads / "a.dcm")
    data.NumberOfFrames, data.PixelData = frames, STACK[0].tobytes() * frames
    data.save_as(uploads / "a.dcm")

    (upload,) = run.uploads.slices

    assert (upload.pages, upload.shape_yx, upload.channels, codes(run)) == (frames, STACK[0].shape, 1, found)


def test_the_distance_of_dicom_slices_wins_over_their_thickness(run, uploads):
    import pydicom

    dicom(uploads / "a.dcm", STACK[0], z=0.0, spacing=(0.02, 0.03))
    before = run.uploads.spacing_zyx
    data = pydicom.dcmread(uploads / "a.dcm")
    data.SpacingBetweenSlices = 0.05
    data.save_as(uploads / "a.dcm")

    assert before == pytest.approx((2e5, 2e5, 3e5))
    assert run.uploads.spacing_zyx == pytest.approx((5e5, 2e5, 3e5))


def test_dicom_among_images_is_refused(run, uploads):
    dicom(uploads / "a.dcm", STACK[0], z=0)
    Image.fromarray(STACK[1]).save(uploads / "b.png")

    with pytest.raises(InvalidDataError, match=r"a\.dcm"):
        run.convert()
    assert run.job.status is JobStatus.UPLOADED


def test_slices_at_one_place_and_a_damaged_one_are_reported(run, uploads):
    for k in range(3):
        dicom(uploads / f"s{k}.dcm", STACK[k], z=1)
    assert codes(run) == {"same-position"}

    path = uploads / "s1.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    assert "unreadable" in codes(run)


def test_cubic_voxels_of_dicom_are_the_voxel_size_unless_something_nearer_tells(run, uploads, volume):
    for k in range(4):
        dicom(uploads / f"s{k}.dcm", STACK[k], z=k)
    run.convert()

    assert run.voxel_size_info.angstrom == 200_000.0
    assert (run.voxel_size_info.source, run.voxel_size_info.calibrated) == ("dicom", True)
    assert open_volume(volume.root, voxel_size=3.0).get_run("D1C0").voxel_size_info.source == "dicom"
    (volume.root / "chunks/D1C0/.zattrs").write_text('{"voxel_size": 7}')
    assert run.voxel_size_info.source == "chunks"


def test_the_voxel_size_of_dicom_is_on_disk_before_its_image_takes_its_place(run, uploads, volume):
    target = volume.root / "chunks/D1C0"
    for k in range(4):
        dicom(uploads / f"s{k}.dcm", STACK[k], z=k)

    with recorded_syncs(lambda: identity_of(target)) as syncs:
        run.convert()

    assert "voxel_spacing_zyx" in json.loads((target / ".zattrs").read_text())
    assert_published(syncs, target)


def test_voxels_of_dicom_that_are_no_cubes_are_reported_and_not_used(run, uploads):
    dicom(uploads / "s.dcm", STACK[0], z=0, thickness=0.05)

    assert codes(run) == {"anisotropic"}
    assert not run.voxel_size_info.calibrated


def test_the_voxel_size_of_dicom_stays_when_uploads_and_reader_are_gone(run, uploads, volume, monkeypatch):
    for k in range(4):
        dicom(uploads / f"s{k}.dcm", STACK[k], z=k)
    run.convert()
    for path in uploads.iterdir():
        path.unlink()
    monkeypatch.setitem(sys.modules, "pydicom", None)

    info = open_volume(volume.root).get_run("D1C0").voxel_size_info

    assert (info.angstrom, info.source, info.calibrated) == (200_000.0, "dicom", True)


def test_sizes_of_voxels_that_are_no_cubes_are_noted(run, uploads, volume):
    for k in range(4):
        dicom(uploads / f"s{k}.dcm", STACK[k], z=k, thickness=0.05)
    run.convert()
    for path in uploads.iterdir():
        path.unlink()

    info = open_volume(volume.root).get_run("D1C0").voxel_size_info

    assert (info.zyx, info.calibrated) == ((500_000.0, 200_000.0, 200_000.0), False)


def test_a_voxel_size_that_cannot_be_read_for_want_of_a_reader_is_told_once(uploads, volume, monkeypatch):
    dicom(uploads / "s.dcm", STACK[0], z=0)
    volume.job("D1C0", "CONVERTED")
    volume.image("D1C0")
    volume.save()
    monkeypatch.setitem(sys.modules, "pydicom", None)
    run = open_volume(volume.root).get_run("D1C0")

    with pytest.warns(UserWarning, match=r"D1C0.*copick-backend-volume\[dicom\]"):
        assert not run.voxel_size_info.calibrated
    assert not run.voxel_size_info.calibrated


def test_the_order_of_dicom_slices_is_no_error_where_nothing_reads_them(run, uploads, monkeypatch):
    for k in (2, 10):
        dicom(uploads / f"s{k}.dcm", STACK[0], z=k)
    monkeypatch.setitem(sys.modules, "pydicom", None)

    assert codes(run) == {"no-dicom-reader"}


def test_without_the_extra_dicom_says_what_to_install(run, uploads, volume, monkeypatch):
    dicom(uploads / "s.dcm", STACK[0], z=0)
    monkeypatch.setitem(sys.modules, "pydicom", None)

    assert codes(run) == {"no-dicom-reader"}
    assert "copick-backend-volume[dicom]" in run.uploads.findings[0].message
    assert main(["volume", "doctor", str(volume.root)]) == 0
    with pytest.raises(MissingDependencyError, match=r"copick-backend-volume\[dicom\]"):
        run.convert()
    assert run.job.status is JobStatus.UPLOADED


def test_images_are_read_without_importing_pydicom(volume):
    volume.uploads("D1C0", STACK)
    code = (
        "import sys, copick_core; root = copick_core.open({'config_type': 'compose_volume', 'volume_root': sys.argv[1]});"
        "assert len(root.get_run('D1C0').uploads.slices) == 4; assert 'pydicom' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(volume.root)], check=True)


# Zips


def pngs(tmp_path, stack=STACK):
    folder = tmp_path / "slices"
    folder.mkdir()
    for k, plane in enumerate(stack):
        Image.fromarray(plane).save(folder / f"s_{k}.png")
    return sorted(folder.iterdir())


def pack(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_slices_in_a_zip_are_converted_by_file_name_and_hidden_files_are_left_out(run, uploads, tmp_path):
    zero, one, two, three = (path.read_bytes() for path in pngs(tmp_path))
    members = {"b/s_0.png": zero, "a/s_1.png": one, "s_3.png": three, "__MACOSX/s_9.png": b"x", "a/._s_1.png": b"x", "d/": b""}
    pack(uploads / "stack.zip", members)
    (uploads / "s_2.png").write_bytes(two)

    report = run.uploads
    run.convert()

    assert [s.name for s in report.slices] == ["stack.zip/b/s_0.png", "stack.zip/a/s_1.png", "s_2.png", "stack.zip/s_3.png"]
    assert report.findings == ()
    np.testing.assert_array_equal(image(run), STACK)


def test_dicom_in_a_zip_is_converted_and_tells_its_voxel_size(run, uploads, tmp_path):
    for k in range(4):
        dicom(tmp_path / f"{k}.dcm", STACK[k], z=-k)
    pack(uploads / "scan.zip", {f"series/{k}.dcm": (tmp_path / f"{k}.dcm").read_bytes() for k in range(4)})

    run.convert()

    np.testing.assert_array_equal(image(run), STACK[::-1])
    assert run.voxel_size_info.source == "dicom"


def test_a_zip_is_uploaded_as_a_file(volume, tmp_path):
    pack(tmp_path / "stack.zip", {path.name: path.read_bytes() for path in pngs(tmp_path)})
    run = open_volume(volume.root, write_back=True).new_job("zipped")

    assert run.add_slices([tmp_path / "stack.zip"]) == ["stack.zip"]
    run.finish_upload()
    run.convert()

    np.testing.assert_array_equal(image(run), STACK)


@pytest.mark.parametrize("name", ["../../evil.png", "/evil.png", "a\\..\\..\\evil.png", "C:/evil.png"])
def test_paths_that_lead_out_of_a_zip_are_refused_and_nothing_is_written(run, uploads, tmp_path, name):
    pack(uploads / "slip.zip", {name: pngs(tmp_path)[0].read_bytes()})
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(InvalidDataError, match="leads out of the zip"):
        run.convert()

    assert sorted(p for p in tmp_path.rglob("*") if p.name != "jobs.json.lock") == before


def test_a_zip_that_unpacks_to_too_much_is_refused_unread(run, uploads, monkeypatch):
    from copick_backend_volume import sources

    monkeypatch.setattr(sources, "_SMALL", 1 << 20)
    pack(uploads / "bomb.zip", {f"s_{k}.png": bytes(1 << 20) for k in range(4)})

    assert [f.code for f in run.uploads.findings if f.severity == "error"] == ["empty", "zip"]
    assert "4194304 bytes" in next(f.message for f in run.uploads.findings if f.code == "zip")


def test_a_file_that_unpacks_to_more_than_it_says_is_not_unpacked_whole(run, uploads):
    import tracemalloc

    pack(uploads / "liar.zip", {"s.png": bytes(64 << 20)})
    data = bytearray((uploads / "liar.zip").read_bytes())
    directory = data.rindex(b"PK\1\2")
    data[directory + 24 : directory + 28] = (100).to_bytes(4, "little")  # size of the file, in the directory of the zip
    (uploads / "liar.zip").write_bytes(data)

    tracemalloc.start()
    found = codes(run)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found == {"unreadable"}
    assert peak < 8 << 20


def test_a_zip_of_a_later_version_is_reported(run, uploads):
    pack(uploads / "later.zip", {"s.png": b"x"})
    data = bytearray((uploads / "later.zip").read_bytes())
    data[data.index(b"PK\1\2") + 6] = 99  # version that is needed, in the directory of the zip
    (uploads / "later.zip").write_bytes(data)

    assert "version 9.9" in next(f.message for f in run.uploads.findings if f.code == "zip")


def test_broken_and_encrypted_zips_are_reported(run, uploads, tmp_path):
    (uploads / "broken.zip").write_bytes(b"PK no zip")
    pack(uploads / "secret.zip", {"s.png": pngs(tmp_path)[0].read_bytes()})
    data = bytearray((uploads / "secret.zip").read_bytes())
    data[data.rindex(b"PK\1\2") + 8] |= 1  # the flag of encryption
    (uploads / "secret.zip").write_bytes(data)

    assert codes(run) == {"unreadable", "zip"}
    assert "encrypted" in next(f.message for f in run.uploads.findings if f.code == "unreadable")


def test_a_zip_is_opened_once_for_a_conversion(run, uploads, tmp_path, monkeypatch):
    pack(uploads / "stack.zip", {path.name: path.read_bytes() for path in pngs(tmp_path)})
    opened = []
    original = zipfile.ZipFile.__init__
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda self, *a, **k: opened.append(a) or original(self, *a, **k))

    run.convert()

    # Once for the names, once to look at the slices, once to read them.
    assert len(opened) == 3
