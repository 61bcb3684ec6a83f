"""Odd files in a volume, and files that change while they are read: what they tell, and what they do not."""

import contextlib
import json
import os
import shutil
import struct
import sys

import numpy as np
import pytest

from copick_backend_volume.cli.frame import bar
from copick_backend_volume.damage import _is_whole_obj
from copick_backend_volume.freshness import Freshness
from copick_backend_volume.mesh_files import is_whole_stl, read_obj, read_stl
from copick_backend_volume.models import _created, _mapping, _text, used_pairs
from copick_backend_volume.sources import Opener
from copick_backend_volume.training import TrainingPair
from copick_backend_volume.uploads import Upload, dicom_spacing, read_slice
from copick_core.errors import InvalidDataError
from copick_core.tree.keys import ROOT, Kind
from support.volumes import open_volume

JOB = "CC7651"
TRIANGLE = np.arange(9, dtype="<f4").reshape(1, 3, 3)


# Voxel sizes


@pytest.mark.parametrize("note", [{"voxel_size": None}, {"voxel_size": [1]}, {}, []], ids=str)
def test_a_note_that_holds_no_voxel_size_tells_none(volume, note):
    (volume.root / "chunks" / JOB / ".zattrs").write_text(json.dumps(note))

    found = open_volume(volume.root).get_run(JOB).voxel_size_info

    assert (found.angstrom, found.source, found.calibrated) == (1.0, "default", False)


@pytest.mark.parametrize("text", ['{"voxel_size": "x"}', '{"voxel_size": 1, "unit": "ell"}', "{"])
def test_a_note_that_cannot_be_understood_is_named(volume, text):
    path = volume.root / "chunks" / JOB / ".zattrs"
    path.write_text(text)

    with pytest.raises(InvalidDataError, match="its voxel size cannot be read") as raised:
        open_volume(volume.root).get_run(JOB).voxel_size_info  # noqa: B018 - looking is what fails

    assert raised.value.source == str(path)


def test_a_note_tells_its_source_and_unit(volume):
    (volume.root / "chunks" / JOB / ".zattrs").write_text('{"voxel_size": 1.5, "unit": "nanometer", "source": "scanner"}')

    found = open_volume(volume.root).get_run(JOB).voxel_size_info

    assert (found.angstrom, found.source, found.calibrated) == (15.0, "scanner", True)


def test_an_upload_that_only_seems_to_be_dicom_tells_no_voxel_size(volume):
    (volume.root / "uploads" / JOB / "a.dcm").write_bytes(b"no DICOM")
    root = open_volume(volume.root)

    assert dicom_spacing(root.volume, JOB) is None
    assert dicom_spacing(root.volume, "12E345") is None
    assert not root.get_run(JOB).voxel_size_info.calibrated


# Uploads


def test_a_slice_that_was_replaced_meanwhile_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")

    with Opener() as opener, pytest.raises(InvalidDataError, match="it is not a readable image") as raised:
        read_slice(Upload("a.png", str(tmp_path / "a.png"), 8), opener)

    assert raised.value.source == "a.png"


def test_an_id_whose_place_is_taken_by_a_file_is_passed_over(root, volume):
    (volume.root / "uploads" / "AAAAAA").write_text("")
    ids = iter([JOB, "AAAAAA", "BBBBBB"])

    assert root.volume_layer.jobs.create("x", lambda: next(ids)).id == "BBBBBB"


@pytest.mark.parametrize("call", ["fchown", "ftruncate"])
def test_who_may_give_no_files_away_or_only_read_the_lock_changes_the_database_all_the_same(root, monkeypatch, call):
    def refuse(*args):
        raise PermissionError(call)

    monkeypatch.setattr(os, call, refuse)

    assert root.get_run(JOB).rename("Den").name == "Den"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_database_stays_its_owners_with_its_mode(root, volume):
    path = volume.root / "jobs.json"
    os.chown(path, 12345, 12346)
    os.chmod(path, 0o640)

    root.get_run(JOB).rename("Den")

    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (12345, 12346, 0o640)


# Meshes


def stl(path, data):
    path.write_bytes(data)
    return str(path)


def binary(count, stored):
    return b"solid by chance".ljust(80) + struct.pack("<I", count) + bytes(50) * stored


def ascii_stl(vertices):
    lines = "".join(f"vertex {vertex}\n" for vertex in vertices)
    return f"solid x\nfacet normal 0 0 0\nouter loop\n{lines}endloop\nendfacet\nendsolid x\n".encode()


def test_an_stl_file_is_read_in_either_form(tmp_path):
    assert read_stl(stl(tmp_path / "a.stl", binary(2, 2))).shape == (2, 3, 3)
    assert read_stl(stl(tmp_path / "b.stl", binary(0, 0))).shape == (0, 3, 3)
    assert read_stl(stl(tmp_path / "c.stl", ascii_stl(["0 1 2", "3 4 5", "6 7 8"]))).tolist() == TRIANGLE.tolist()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (binary(2, 1), "it is not a whole STL file"),
        (binary(1, 2), "it is not a whole STL file"),
        (binary(0, 0)[:83], "it is not a whole STL file"),
        (ascii_stl(["0 1 2"])[:-12], "it is not a whole STL file"),
        (ascii_stl(["0 1 2", "3 4"]), "it is not a whole STL file ("),
        (ascii_stl(["0 1 x", "3 4 5", "6 7 8"]), "it is not a whole STL file ("),
        (b"", "it is not a whole STL file"),
    ],
)
def test_an_stl_file_that_is_cut_off_or_damaged_is_named(tmp_path, data, reason):
    path = stl(tmp_path / "a.stl", data)

    with pytest.raises(InvalidDataError) as raised:
        read_stl(path)

    assert raised.value.source == path
    assert raised.value.reason.startswith(reason)
    assert is_whole_stl(path) is reason.endswith("(")


OBJ = b"v 0 1 2\nv 3 4 5\nv 6 7 8\nf 1/1 2/2 3/3\n"


def test_an_obj_file_is_read_with_or_without_further_indices(tmp_path):
    path = tmp_path / "a.obj"
    path.write_bytes(b"# comment\nvn 0 0 1\n" + OBJ)

    assert read_obj(str(path)).tolist() == TRIANGLE.tolist()


@pytest.mark.parametrize("data", [OBJ.replace(b"3/3", b"4/4"), OBJ.replace(b"v 3 4 5", b"v 3 4"), OBJ.replace(b"1/1", b"x")])
def test_an_obj_file_that_is_damaged_is_named(tmp_path, data):
    path = tmp_path / "a.obj"
    path.write_bytes(data)

    with pytest.raises(InvalidDataError, match="it is not a whole OBJ file") as raised:
        read_obj(str(path))

    assert raised.value.source == str(path)


@pytest.mark.parametrize(
    ("data", "other", "whole"),
    [
        (OBJ, None, True),
        (OBJ, binary(1, 1), True),
        (OBJ, binary(2, 2), False),
        (OBJ, binary(2, 1), True),  # an ASCII file says nothing of their number
        (OBJ[:-1], None, False),
        (OBJ[:-7], None, False),
        (OBJ.replace(b"3/3", b"x"), None, False),
        (b"v 0 1 2\n", None, False),
        (b"", None, False),
        (b"", binary(0, 0), True),
        (OBJ.replace(b"f 1/1 2/2 3/3", b"f 1 2 4"), binary(9, 9), True),  # shared vertices: nobody knows
    ],
)
def test_an_obj_file_is_whole_if_it_ends_with_the_last_face_there_is(tmp_path, data, other, whole):
    (tmp_path / "a.obj").write_bytes(data)
    beside = None if other is None else stl(tmp_path / "a.stl", other)

    assert _is_whole_obj(str(tmp_path / "a.obj"), beside) is whole


# Models and pairs


def test_what_a_description_does_not_tell_is_not_known():
    assert [_text(value) for value in ("a", "", 7, None)] == ["a", None, None, None]
    assert [_mapping(value) for value in ({"a": 1}, {}, [1], None)] == [{"a": 1}, None, None, None]
    assert _created({"created_at": "2026-04-01T10:00:00+00:00"}, "x").year == 2026
    assert _created({}, "1720196800").isoformat() == "2024-07-05T16:26:40+00:00"
    assert _created({"created_at": "yesterday"}, "x") is _created({}, "9" * 30) is None


def pair(stem, **fields):
    return TrainingPair(JOB, stem, int(stem), None, f"training/img{stem}.png", f"training/seg{stem}.png", **fields)


def test_pairs_of_a_model_are_those_it_names_or_those_before_it():
    pairs = [pair("10"), pair("20"), pair("30")]
    named = {"training_samples": [{"sample_id": "10"}, {"image_filename": "img30.png"}, "text"]}

    assert used_pairs(pairs, "20", named) == ([pairs[0], pairs[2]], True)
    assert used_pairs(pairs, "20", {}) == (pairs[:2], False)
    assert used_pairs(pairs, "x", {}) == used_pairs(pairs, "²", {}) == (pairs, False)
    assert used_pairs(pairs, "20", {"published_by": "copick-backend-volume", **named}) == ([], True)


def test_the_place_of_a_pair_is_known_where_its_description_tells_all_of_it():
    meta = {"cutout_origin_xyz": [4, 6, 0], "cutout_shape_xyz": [20, 24, 11], "annotated_global_z_index": 5}
    known = pair("10", meta={**meta, "padding_before_xyz": [6, 4, 0]})

    assert known.place_zyx == (5, slice(6, 30), slice(4, 24))
    assert known.region_yx == (slice(4, 28), slice(6, 26))
    assert pair("10", meta=meta).region_yx == (slice(0, 24), slice(0, 20))
    for lacking in (None, {}, {**meta, "cutout_origin_xyz": [4, 6]}, {**meta, "annotated_global_z_index": None}):
        assert pair("10", meta=lacking).place_zyx is pair("10", meta=lacking).region_yx is None


@pytest.mark.parametrize("stale", range(4))
def test_a_job_is_fresh_if_nothing_of_it_is_stale(stale):
    found = Freshness(1, "a", "a", "a", (), *(number == stale for number in range(3)))

    assert found.is_fresh is (stale == 3)


# Progress


def test_without_tqdm_there_is_no_bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)

    with bar("converting", "slice") as progress:
        assert progress is None


def test_a_bar_is_drawn_on_a_terminal_only_and_is_gone_at_the_end(monkeypatch):
    class Terminal:
        text = ""

        def write(self, text):
            self.text += text

        def flush(self):
            pass

        def isatty(self):
            return True

    drawn, other = Terminal(), Terminal()
    other.isatty = lambda: False
    for stream in (drawn, other):
        with contextlib.ExitStack() as stack:
            monkeypatch.setattr(sys, "stderr", stream)
            progress = stack.enter_context(bar("converting", "slice"))
            progress(1, 4)
            progress(4, 4)

    assert "converting" in drawn.text
    assert "slice/s" in drawn.text
    assert drawn.text.endswith("\r")
    assert other.text == ""


def test_a_bar_goes_on_by_what_is_done_since(monkeypatch):
    steps = []
    monkeypatch.setattr("tqdm.tqdm.update", lambda self, n: (steps.append((n, self.total)), setattr(self, "n", self.n + n)))

    with bar("converting", "slice") as progress:
        for done in (1, 3, 4):
            progress(done, 4)

    assert steps == [(1, 4), (2, 4), (1, 4)]


@pytest.mark.parametrize(
    "words",
    [
        ["upload", "volume", "volume/uploads/12E345", "--title", "x"],
        ["convert", "volume", "--job", "4F09A2"],
        ["annotate", "volume", "labels.mrc", "--job", JOB, "--slice", "3"],
        ["publish", "volume", "labels.mrc", "--job", JOB, "--tool", "x"],
        ["mesh", "volume", "--job", JOB, "--reduction", "1"],
        ["doctor", "volume"],
        ["cleanup", "volume", "--segmentations", "--yes"],
    ],
    ids=lambda words: words[0],
)
def test_each_command_that_takes_long_shows_how_far_it_is(volume, tmp_path, monkeypatch, words):
    from copick_core.__main__ import main
    from support.volume_files import write_mrc

    shown = []

    @contextlib.contextmanager
    def recorded(title, unit):
        yield lambda done, total: shown.append((done, total))

    volume.job("4F09A2", "UPLOADED")
    volume.save()
    write_mrc(tmp_path / "labels.mrc", np.ones((12, 40, 30), np.int8))
    monkeypatch.chdir(tmp_path)
    for module in ("looking", "making", "mending"):
        monkeypatch.setattr(f"copick_backend_volume.cli.{module}.bar", recorded)

    main(["volume", *words])

    done, total = shown[-1]
    assert done == total == max(step for step, _ in shown) > 0
    assert shown[0][0] == 1


# Values


def test_the_values_of_a_segmentation_are_those_of_its_models_masks_or_else_of_its_chunks(volume):
    volume.segmentation(JOB, "1760000000", np.full((12, 40, 30), 7, np.uint64))
    volume.segmentation(JOB, "1760000100", np.full((12, 40, 30), 7, np.uint64))
    volume.model(JOB, "1760000100")
    layer = open_volume(volume.root).volume_layer

    assert layer.values(JOB, "1760000000") == [7]
    assert layer.values(JOB, "1760000100") == [255]  # as the masks say that the model was trained on


def test_the_values_of_a_segmentation_are_read_again_when_it_is_another_one_or_somebody_forgets(volume):
    volume.segmentation(JOB, "1760000000", np.full((12, 40, 30), 7, np.uint64))
    layer = open_volume(volume.root).volume_layer
    first = layer.values(JOB, "1760000000")
    known = layer.values(JOB, "1760000000")
    shutil.rmtree(volume.root / "segmented" / JOB / "1760000000.zarr")
    volume.segmentation(JOB, "1760000000", np.full((12, 40, 30), 9, np.uint64))

    assert first is known
    assert layer.values(JOB, "1760000000") == [9]
    again = layer.values(JOB, "1760000000")
    layer.forget(next(iter(layer.list(Kind.RUN, ROOT))).parent)
    assert layer.values(JOB, "1760000000") is not again
