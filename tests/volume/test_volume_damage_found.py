"""The doctor sees what is damaged in a compose volume, names the file, and is content with what is sound."""

import json
import os

import numpy as np
import pytest

from copick_core.__main__ import main
from support import volume_generator
from support.volumes import open_volume

JOB, MODEL = "CC7651", "1720196900"
MESH = f"meshed/{JOB}/{MODEL}.zarr"


@pytest.fixture
def volume(tmp_path):
    """A sound volume with a job that has everything."""
    return volume_generator.tour(tmp_path / "volume")


def files(volume, code):
    """Files that the doctor names in findings of a kind, from the root of the volume."""
    found = [f for f in open_volume(volume.root).doctor() if f.code == code]
    return [os.path.relpath(name, volume.root) if os.path.isabs(name) else name for f in found for name in f.files]


def test_a_sound_volume_has_no_findings(volume):
    assert open_volume(volume.root).doctor() == []


@pytest.mark.parametrize("length", [0, 10, -1])
@pytest.mark.parametrize("place", [f"chunks/{JOB}/0.0.0", f"segmented/{JOB}/{MODEL}.zarr/0.0.0"])
def test_an_empty_or_truncated_chunk_is_named(volume, place, length):
    path = volume.root / place
    path.write_bytes(path.read_bytes()[:length])

    assert files(volume, "damaged-chunk") == [place]


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "[1]", "\xff"])
@pytest.mark.parametrize("place", [f"models/{JOB}/{MODEL}.json", f"training/{JOB}/meta1720196720.json"])
def test_a_description_that_is_no_object_of_json_is_named_and_the_job_stays_usable(volume, place, content):
    (volume.root / place).write_text(content, encoding="latin-1")

    assert files(volume, "broken-description") == [place]
    run = open_volume(volume.root).get_run(JOB)
    assert len(run.segmentations) == 2
    assert len(run.training_pairs()) == 5


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.97])
def test_an_obj_that_is_cut_off_is_named(volume, cut):
    path = volume.root / f"meshed/{JOB}/{MODEL}.zarr/255.combined.obj"
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data))])

    assert files(volume, "broken-mesh") == [f"meshed/{JOB}/{MODEL}.zarr/255.combined.obj"]


def test_an_obj_that_ends_with_a_face_too_early_is_named(volume):
    path = volume.root / f"meshed/{JOB}/{MODEL}.zarr/255.combined.obj"
    path.write_text("\n".join(path.read_text().splitlines()[:-2]) + "\n")

    assert files(volume, "broken-mesh") == [f"meshed/{JOB}/{MODEL}.zarr/255.combined.obj"]


def test_a_file_in_the_place_of_a_folder_is_named(volume):
    for path in sorted((volume.root / "models").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (volume.root / "models").rmdir()
    (volume.root / "models").write_text("oops")

    assert files(volume, "odd-place") == ["models"]


def test_a_linked_segmentation_is_named(volume, tmp_path):
    (volume.root / f"segmented/{JOB}/1720196950.zarr").symlink_to(tmp_path)

    assert files(volume, "link") == [f"segmented/{JOB}/1720196950.zarr"]


def mesh_block(volume, start, low, high, age):
    """A block as the app writes it, so many seconds old."""
    folder = volume.root / f"meshed/{JOB}/{MODEL}.zarr"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "_255_{}_{}_{}.stl".format(*start)
    volume_generator.ascii_stl(path, volume_generator.box_mesh(low, high)[:, ::-1, ::-1])
    os.utime(path, (1_720_197_000 - age,) * 2)


@pytest.mark.parametrize("ages", [(0, 100), (100, 0)])
def test_of_two_blocks_that_overlap_the_older_one_is_stale(volume, ages):
    mesh_block(volume, (0, 0, 0), (4, 9, 2), (19, 29, 8), ages[0])
    mesh_block(volume, (8, 0, 0), (8, 9, 2), (16, 25, 8), ages[1])

    assert files(volume, "stale-blocks") == [f"{MESH}/{['_255_0_0_0.stl', '_255_8_0_0.stl'][ages[1] > 0]}"]


def test_a_small_stale_block_inside_another_is_seen(volume):
    mesh_block(volume, (0, 0, 0), (4, 9, 2), (19, 29, 8), 0)
    mesh_block(volume, (0, 16, 0), (6, 16, 4), (7, 17, 5), 100)

    assert files(volume, "stale-blocks") == [f"{MESH}/_255_0_16_0.stl"]


def test_neighbours_are_not_stale(volume):
    mesh_block(volume, (0, 0, 0), (4, 9, 2), (15.5, 29, 8), 0)
    mesh_block(volume, (16, 0, 0), (15.5, 9, 2), (20, 29, 8), 100)

    assert files(volume, "stale-blocks") == []


def test_a_segmentation_that_lacks_chunks_counts_as_missing_in_freshness(volume):
    run = open_volume(volume.root).get_run(JOB)
    assert run.freshness().latest_segmentation == MODEL

    (volume.root / f"segmented/{JOB}/{MODEL}.zarr/0.0.0").unlink()

    fresh = run.freshness()
    assert fresh.latest_segmentation == "1720196800"
    assert fresh.segmentation_is_stale


# Messages, and ways out


def opened(volume):
    return open_volume(volume.root, write_back=True)


def test_an_upload_that_conversion_would_spoil_is_not_finished_unless_forced(volume):
    run = opened(volume).get_run("12E345")
    path = volume.root / "uploads/12E345/part1.png"
    path.write_bytes(path.read_bytes()[:60])

    with pytest.raises(Exception, match=r"part1\.png"):
        run.finish_upload()
    assert run.job.status.name == "UPLOADING"
    assert run.finish_upload(force=True).status.name == "UPLOADED"


def test_finishing_a_job_in_another_state_names_the_state(volume):
    with pytest.raises(ValueError, match="it is MESHED; only the upload of a job that is UPLOADING"):
        opened(volume).get_run(JOB).finish_upload()


def test_after_a_refused_conversion_slices_are_replaced_or_deleted_and_it_is_converted(volume, tmp_path):
    run = opened(volume).get_run("12E345")
    folder = volume.root / "uploads/12E345"
    good = tmp_path / "good.png"
    good.write_bytes((folder / "part0.png").read_bytes())
    for name in ("part1.png", "part2.png"):
        (folder / name).write_bytes(b"no image")
    run.finish_upload(force=True)
    with pytest.raises(ValueError, match=r"no image format that is known"):
        run.convert()

    run.reopen_upload()
    run.replace_upload("part1.png", good)
    run.delete_upload("part2.png")
    run.finish_upload()
    run.convert()

    assert run.voxel_spacings[0].tomograms[0].numpy().shape[0] == 2


@pytest.mark.parametrize("name", ["part9.png", "../CC7651/burrow_0000.png"])
def test_only_files_of_the_upload_are_deleted(volume, name):
    with pytest.raises(FileNotFoundError):
        opened(volume).get_run("12E345").delete_upload(name)


def test_files_are_deleted_only_while_the_job_is_uploading(volume):
    with pytest.raises(ValueError, match="MESHED"):
        opened(volume).get_run(JOB).delete_upload("burrow_0000.png")


def test_a_segmentation_of_the_overlay_is_not_meshed_and_the_message_says_what_to_do(volume):
    run = opened(volume).get_run(JOB)
    mine = run.new_segmentation(1.0, "label-255", "1", False, user_id="ana")
    mine.from_numpy(np.ones((12, 40, 30), np.uint8))

    with pytest.raises(ValueError, match=r"publish_segmentation\(\)"):
        run.mesh(mine)


@pytest.mark.parametrize("call", ["mesh", "request"])
def test_without_a_segmentation_nothing_is_meshed_and_the_message_names_no_none(volume, call):
    run = opened(volume).get_run("4F09A2")

    with pytest.raises((ValueError, LookupError, FileNotFoundError), match="segmentation") as raised:
        run.mesh() if call == "mesh" else run.request("mesh")
    assert "None" not in str(raised.value)
    assert run.job.status.name == "CONVERTED"


@pytest.mark.parametrize(
    ("status", "says"), [("SEGMENTING", "it is SEGMENTING; MESHING starts from"), ("MESHED", "another process works")]
)
def test_a_job_in_another_state_or_being_worked_on_says_so(volume, status, says):
    from copick_backend_volume.staging import lock

    volume.job(JOB, status, [30, 40, 12])
    volume.save()
    descriptor = os.open(volume.root / f".staging-claim-{JOB}", os.O_RDWR | os.O_CREAT)
    if status == "MESHED":
        assert lock(descriptor)

    with pytest.raises((ValueError, RuntimeError), match=says):
        opened(volume).get_run(JOB).mesh()
    os.close(descriptor)


def test_what_a_person_has_corrected_and_published_is_from_no_tool(volume):
    run = opened(volume).get_run(JOB)
    mine = run.new_segmentation(1.0, "label-255", "1", False, user_id="ana")
    mine.from_numpy(np.ones((12, 40, 30), np.uint8))

    assert not run.publish_segmentation(mine, "ana").from_tool
    assert run.publish_segmentation(mine.numpy(), "nnU-Net").from_tool


def test_a_folder_that_is_no_volume_does_not_open_as_an_empty_project(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ValueError, match="is it the right one"):
        open_volume(tmp_path / "photos")
    (tmp_path / "photos/cat.jpg").touch()
    with pytest.raises(ValueError, match="is it the right one"):
        open_volume(tmp_path / "photos", write_back=True)


def test_a_job_is_renamed(volume):
    opened(volume).get_run(JOB).rename("Den")

    assert json.loads((volume.root / "jobs.json").read_text())[JOB]["name"] == "Den"


@pytest.mark.parametrize(
    "damage",
    [
        lambda v: mesh_block(v, (8, 0, 0), (8, 9, 2), (16, 25, 8), 100),
        lambda v: (v.root / f"chunks/{JOB}/0.0.0").write_bytes(b""),
        lambda v: (v.root / f"models/{JOB}/{MODEL}.json").write_text("{"),
        lambda v: (v.root / f"training/{JOB}/meta1720196720.json").write_text("["),
        lambda v: (v.root / f"{MESH}/255.combined.obj").write_text("v 0 0"),
        lambda v: (v.root / "uploads/7B21D0").write_text("a file"),
        lambda v: (v.root / f"segmented/{JOB}/1720196950.zarr").symlink_to(v.root),
    ],
)
def test_the_command_ends_with_1_for_each_kind_of_damage(volume, damage, capsys):
    assert main(["volume", "doctor", str(volume.root)]) == 0

    damage(volume)

    assert main(["volume", "doctor", str(volume.root)]) == 1
    assert "1 error" in capsys.readouterr().out
