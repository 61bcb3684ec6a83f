"""The numbers of docs/scaling.md: requests are counted, the rest is calculated from them."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import costs
import numpy as np
import pytest
from s3_stub import S3Stub

import copick_core
from support.objects import OBJECTS

VOLUME = np.ones((4, 4, 4), np.float32)


def read(run):
    run.get_voxel_spacing(10.0).get_tomogram("wbp").numpy()


def read_and_segment(run):
    read(run)
    run.new_segmentation(10.0, "membrane", "0", user_id="tool", exist_ok=True).from_numpy(VOLUME.astype("u1"), levels=3)


def read_segment_and_pick(run):
    read_and_segment(run)
    run.new_picks("ribosome", "0", "tool", exist_ok=True).from_numpy([[1.0, 2.0, 3.0]])


@pytest.mark.slow
def test_the_requests_of_a_run_are_those_that_are_stated() -> None:
    counted: list[Counter[str]] = [Counter()]
    for job in (read, read_and_segment, read_segment_and_pick):
        with S3Stub() as stub:
            fs_args = {"endpoint_url": stub.url, "key": "someone", "secret": "any"}
            config = {"config_type": "filesystem", "overlay_root": "s3://lab/p", "overlay_fs_args": fs_args}
            root = copick_core.open({**config, "pickable_objects": OBJECTS})
            root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(VOLUME, levels=3)
            with stub.counting() as counts:
                copick_core.map_runs(job, root, ["TS_1"], workers=1)
        paid = {"GET": "GET and HEAD", "HEAD": "GET and HEAD"}
        counted.append(Counter())
        for kind, number in counts.items():
            if not kind.startswith("DELETE"):
                counted[-1][paid.get(kind, kind)] += number

    steps = [dict(after - before) for before, after in itertools.pairwise(counted)]
    assert steps == [*costs.COUNTED.values()]


def test_the_document_has_these_numbers() -> None:
    assert costs.document() == Path(costs.DOCUMENT).read_text(), "run `python bench/costs.py`"


def test_prices_that_fall_are_paid_by_the_tier() -> None:
    assert costs.tiered(0.1, costs.TRANSFER) == 0
    assert costs.tiered(10.1, costs.TRANSFER) == pytest.approx(9.9 * 90 + 0.1 * 85)
    assert costs.tiered(600, costs.STORAGE) == pytest.approx(50 * 23 + 450 * 22 + 100 * 21)
