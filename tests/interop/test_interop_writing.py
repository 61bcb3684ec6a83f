"""One description, written by either library, becomes the same project."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.comparison import differences, without_writers_choices
from support.libraries import Library
from support.reference_scripts.dump import Dump

pytestmark = [pytest.mark.reference, pytest.mark.slow]

TOMOGRAM = "runs/TS_001/spacings/10.000/tomograms/wbp#0"
PICKS = "runs/TS_001/picks/alice/1/ribosome#0"
MESH = "runs/TS_001/meshes/alice/1/membrane#0"


def test_the_reference_reads_the_same_project_whoever_wrote_it(
    reference_reads_its_own: Dump, reference_reads_ours: Dump
) -> None:
    expected = without_writers_choices(reference_reads_its_own)

    assert differences(expected, without_writers_choices(reference_reads_ours)) == []


def test_we_read_the_same_project_whoever_wrote_it(ours: Library, reference_written: Path, our_written: Path) -> None:
    by_reference = without_writers_choices(ours.dump(reference_written))
    by_us = without_writers_choices(ours.dump(our_written))

    assert differences(by_reference, by_us) == []


def test_label_pyramids_are_the_same_whoever_wrote_them(reference_reads_its_own: Dump, reference_reads_ours: Dump) -> None:
    by_reference, by_us = reference_reads_its_own.arrays, reference_reads_ours.arrays

    labels = [key for key in by_reference if "/segmentations/" in key and key.endswith("/levels/1")]
    assert labels
    for key in labels:
        np.testing.assert_array_equal(by_us[key], by_reference[key], err_msg=key, strict=True)


@pytest.mark.parametrize(
    ("read", "described"),
    [
        (f"{PICKS}/positions", "TS_001/picks/ribosome/alice/positions"),
        (f"{PICKS}/transforms", "TS_001/picks/ribosome/alice/transforms"),
        (f"{PICKS}/scores", "TS_001/picks/ribosome/alice/scores"),
        (f"{PICKS}/instance_ids", "TS_001/picks/ribosome/alice/instance_ids"),
        (f"{TOMOGRAM}/numpy", "TS_001/10.0/wbp"),
        (f"{TOMOGRAM}/features/sobel#0/numpy", "TS_001/10.0/wbp/sobel"),
    ],
)
def test_the_reference_reads_exactly_what_we_were_given(
    reference_reads_ours: Dump, description: Path, read: str, described: str
) -> None:
    with np.load(description / "arrays.npz") as arrays:
        given = arrays[described]

    found = reference_reads_ours.arrays[read]

    assert (found.dtype, found.shape) == (given.dtype, given.shape)
    assert found.tobytes() == given.tobytes()


def test_the_reference_reads_exactly_the_mesh_that_we_were_given(reference_reads_ours: Dump, description: Path) -> None:
    with np.load(description / "arrays.npz") as arrays:
        triangles = arrays["TS_001/meshes/membrane/alice/0/vertices"][arrays["TS_001/meshes/membrane/alice/0/faces"]]

    found = reference_reads_ours.arrays

    vertices, faces = found[f"{MESH}/geometry_0/vertices"], found[f"{MESH}/geometry_0/faces"]
    np.testing.assert_array_equal(vertices[faces], triangles)


def test_picks_files_hold_the_same_keys_in_the_same_order(reference_written: Path, our_written: Path) -> None:
    by_reference, by_us = (_picks_files(config) for config in (reference_written, our_written))

    assert by_us.keys() == by_reference.keys()
    for name, content in by_reference.items():
        assert json.dumps(by_us[name]) == json.dumps(content), name


def _picks_files(config: Path) -> dict[str, object]:
    project = config.with_name("project")
    return {str(path.relative_to(project)): json.loads(path.read_text()) for path in project.glob("**/Picks/*.json")}
