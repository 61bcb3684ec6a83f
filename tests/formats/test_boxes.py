"""Boxes of crYOLO and EMAN2."""

from __future__ import annotations

import json

import pytest
import starfile

from copick_core.errors import InvalidDataError
from support.points import FRAME, read, unknown
from support.shared_data import shared


def test_boxes_of_cryolo_have_their_corner_in_x_and_y_and_their_centre_in_z():
    path = shared("formats/cryolo_3d.cbox")
    expected = starfile.read(path)["cryolo"]

    (found,) = read(path, unknown, voxel_size=1.0)

    assert found.positions[0] == pytest.approx([24.757084, 40.221405, 50.0])
    assert found.positions[:, 2].tolist() == expected["CoordinateZ"].tolist()
    assert found.scores is None
    assert found.columns["Confidence"].tolist() == ["<NA>"] * 3


def test_boxes_of_a_micrograph_are_refused(tmp_path):
    labels = "".join(f"_{name}\n" for name in ("CoordinateX", "CoordinateY", "CoordinateZ", "Width", "Height"))
    (tmp_path / "a.cbox").write_text(f"data_cryolo\nloop_\n{labels}1 2 <NA> 3 4\n")

    with pytest.raises(InvalidDataError, match="micrograph"):
        read(tmp_path / "a.cbox")


def info(tmp_path, **content):
    path = tmp_path / "a_info.json"
    path.write_text(json.dumps(content))
    return path


def test_boxes_of_eman2_count_from_the_middle_voxel(tmp_path):
    boxes = [[1, 2, 3, "tomobox", 0.5, 0], [0, 0, 0, "tomobox", 1.0, 1]]
    path = info(tmp_path, boxes_3d=boxes, apix_unbin=2.0, class_list={"0": {"name": "ribo"}})

    first, second = read(path)

    z, y, x = FRAME.shape
    middle = [(n // 2) * FRAME.voxel_size for n in (x, y, z)]
    assert second.positions[0] == pytest.approx(middle)
    assert first.positions[0] == pytest.approx([m + 2.0 * i for m, i in zip(middle, (1, 2, 3), strict=True)])
    assert (first.object_name, second.object_name, first.scores.tolist()) == ("ribo", None, [0.5])


def test_boxes_of_eman2_in_unknown_pixels_are_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="not certain"):
        read(info(tmp_path, boxes_3d=[[1, 2, 3]]))


def test_a_box_that_is_no_number_is_named_by_row(tmp_path):
    with pytest.raises(InvalidDataError, match="row 2, column y"):
        read(info(tmp_path, boxes_3d=[[1, 2, 3], [1, None, 3]], apix_unbin=1.0))


def test_a_list_of_boxes_in_a_micrograph_is_refused(tmp_path):
    (tmp_path / "a.box").write_text("100\t200\t64\t64\n300\t400\t64\t64\n")

    with pytest.raises(InvalidDataError, match="no z"):
        read(tmp_path / "a.box")


def test_one_class_of_boxes_can_be_chosen(tmp_path):
    boxes = [[1, 2, 3, "tomobox", 0.5, 0], [0, 0, 0, "tomobox", 1.0, 1], [4, 4, 4, "tomobox", 1.0, 1]]
    path = info(tmp_path, boxes_3d=boxes, apix_unbin=2.0)

    (found,) = read(path, class_number=1)

    assert len(found.positions) == 2
    with pytest.raises(InvalidDataError, match="its classes are 0, 1"):
        read(path, class_number=7)
