"""By address, a bucket is asked for what is read and for nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import copick_core
from copick_core.errors import NotFoundError


@pytest.fixture
def config(server, fs_args, obstore):
    """A project in a bucket, with picks and a tomogram of 2 chunks in one run."""
    config = {"config_type": "filesystem", "overlay_root": "s3://lab/project", "overlay_fs_args": fs_args, "obstore": obstore}
    config["pickable_objects"] = [{"name": "ribosome", "is_particle": True, "label": 1}]
    run = copick_core.open(config).new_run("TS_1")
    run.new_picks("ribosome", "1", "alice").from_numpy([[1.0, 2.0, 3.0]])
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.arange(4 * 4 * 4, dtype=np.float32).reshape(4, 4, 4), chunks=(2, 4, 4))
    return config


def test_picks_by_address_are_one_request_from_opening_the_project(server, config) -> None:
    with server.counting() as counts:
        points = copick_core.open(config).entity("TS_1/ribosome:alice/1", kind="picks").points

    assert len(points) == 1
    assert counts == {"GET": 1}


def test_the_first_region_of_a_tomogram_by_address_is_four_requests_from_opening_the_project(server, config) -> None:
    with server.counting() as counts:
        region = copick_core.open(config).entity("TS_1/wbp@10.0", kind="tomogram").numpy(z=slice(0, 2))

    assert region.shape == (2, 4, 4)
    assert counts == {"GET": 3, "HEAD": 1}  # the group's attributes, the array's metadata, the chunk; is it still the same?


def test_a_later_region_by_address_is_its_chunks_and_a_check_that_it_is_the_same_volume(server, config) -> None:
    tomogram = copick_core.open(config).entity("TS_1/wbp@10.0", kind="tomogram")
    tomogram.numpy(z=slice(0, 2))

    with server.counting() as counts:
        tomogram.numpy(z=slice(2, 4))

    assert counts == {"GET": 1, "HEAD": 1}


def test_features_by_address_are_not_asked_for_before_they_are_read(server, config) -> None:
    with server.counting() as counts:
        features = copick_core.open(config).entity("TS_1/wbp@10.0:sobel")

    assert counts == {}
    with pytest.raises(NotFoundError):
        features.numpy()


def test_a_project_with_a_static_side_is_asked_once_for_each_layer(server, config) -> None:
    config = {**config, "static_root": config["overlay_root"], "static_fs_args": config["overlay_fs_args"]}
    config["overlay_root"] = "s3://lab/mine"

    with server.counting() as counts:
        picks = copick_core.open(config).entity("TS_1/ribosome:alice/1", kind="picks")

    assert picks.layer == "static"
    assert counts == {"HEAD": 2}


def test_selecting_in_a_run_lists_only_its_folder_of_the_kind(server, config) -> None:
    with server.counting() as counts:
        found = copick_core.open(config).select("TS_1/ribosome", kind="picks").count()

    assert found == 1
    assert counts == {"LIST": 1}
