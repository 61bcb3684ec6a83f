"""Files that others put into a project: renamed, broken, foreign, or of another format."""

import json
import logging
import shutil

import numpy as np
import pytest

import copick_core
from copick_core.errors import InvalidDataError, InvalidNameError


@pytest.fixture
def project(project_config, tmp_path):
    root = copick_core.open(project_config())
    run = root.new_run("TS_1")
    run.new_picks("ribosome", "1", "me").from_numpy([[1, 2, 3]])
    run.new_voxel_spacing(10).new_tomogram("wbp").from_numpy(np.ones((2, 2, 2)))
    return root, tmp_path / "overlay" / "ExperimentRuns" / "TS_1"


def test_a_picks_file_that_was_renamed_is_what_its_name_says(project):
    root, folder = project
    (folder / "Picks" / "me_1_ribosome.json").rename(folder / "Picks" / "other_9_proteasome.json")
    root.refresh()
    (picks,) = root.get_run("TS_1").picks
    with pytest.warns(UserWarning, match="its name is believed"):
        assert len(picks.points) == 1
    assert (picks.user_id, picks.meta.session_id, picks.meta.pickable_object_name) == ("other", "9", "proteasome")
    picks.store()
    assert [p.name for p in (folder / "Picks").iterdir()] == ["other_9_proteasome.json"]
    assert json.loads((folder / "Picks" / "other_9_proteasome.json").read_text())["user_id"] == "other"


@pytest.mark.parametrize("content", ["", "{", '{"points": 7}', "[]"])
def test_a_broken_picks_file_is_named_and_spoils_nothing_else(project, content):
    root, folder = project
    (folder / "Picks" / "me_2_ribosome.json").write_text(content)
    root.refresh()
    good, bad = root.get_run("TS_1").picks
    assert len(good.points) == 1
    with pytest.raises(InvalidDataError, match="'ribosome' of me/2 in run 'TS_1'"):
        _ = bad.points


def test_a_broken_picks_file_can_be_replaced_with_a_warning(project):
    root, folder = project
    (folder / "Picks" / "me_2_ribosome.json").write_text("{")
    (bad,) = root.get_run("TS_1").get_picks("ribosome", "me", "2")
    with pytest.warns(UserWarning, match="will be replaced"):
        bad.from_numpy([[4, 5, 6]])
    root.refresh()
    assert root.get_run("TS_1").get_picks("ribosome", "me", "2")[0].numpy()[0].tolist() == [[4, 5, 6]]


@pytest.mark.filterwarnings("ignore:.*have underscores in parts of their names")
def test_foreign_files_are_skipped_with_a_debug_message(project, caplog):
    root, folder = project
    for name in ("Picks/notes.json", "Picks/me_1_cyto_ribo.json", "README.txt", "VoxelSpacing10.000/a.txt"):
        (folder / name).write_text("x")
    for name in (
        "VoxelSpacing10.000_old",
        "VoxelSpacing10.000/x_y.zar",
        "Segmentations/readme.zarr",
        "Picks/me_3_ribosome.json",
    ):
        (folder / name).mkdir(parents=True)
    root.refresh()
    run = root.get_run("TS_1")
    with caplog.at_level(logging.DEBUG, logger="copick_core.layers.path_layer"):
        assert [p.key.session_id for p in run.picks] == ["1"]
        assert [v.voxel_size for v in run.voxel_spacings] == [10.0]
        assert [t.tomo_type for t in run.voxel_spacings[0].tomograms] == ["wbp"]
        assert run.segmentations == []
        assert run.voxel_spacings[0].tomograms[0].features == []
    assert sorted(record.args[2] for record in caplog.records) == [
        "VoxelSpacing10.000_old",
        "me_1_cyto_ribo.json",
        "notes.json",
        "readme.zarr",
        "x_y.zar",
    ]


@pytest.mark.filterwarnings("ignore:.*have underscores in parts of their names")
def test_getters_find_nothing_that_listings_do_not_show(project):
    root, folder = project
    (folder / "Picks" / "me_1_cyto_ribo.json").write_text("{}")
    run = root.get_run("TS_1")
    spacing = run.get_voxel_spacing(10)
    spacing.get_tomogram("wbp").new_features("sobel").from_numpy(np.ones((2, 2, 2)))
    for other in (20, 30):
        run.new_voxel_spacing(other)

    assert run.get_picks("cyto_ribo", "me", "1") == []
    assert run.get_picks("ribo", "me", "1_cyto") == []
    assert run.get_picks("../Picks/me_1_ribosome", "me", "1") == []
    assert run.get_picks("x" * 300, "me", "1") == []
    assert spacing.get_tomogram("wbp_sobel_features") is None
    assert run.get_voxel_spacing(20).get_tomogram("../VoxelSpacing10.000/wbp") is None
    assert run.get_segmentations("me", "1", False, "x-multilabel", 10) == []


@pytest.mark.parametrize("length", [251, 252])
def test_types_are_refused_that_make_no_file_name(project, length):
    spacing = project[0].get_run("TS_1").get_voxel_spacing(10)
    with pytest.raises(InvalidNameError, match="255 bytes"):
        spacing.new_tomogram("x" * length)
    with pytest.raises(InvalidNameError, match="255 bytes"):
        spacing.get_tomogram("wbp").new_features("x" * length)


def test_a_zarr_3_volume_is_read_wherever_it_lies(project):
    import zarr

    from copick_core.volumes import ome

    root, folder = project
    data = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    store = zarr.storage.LocalStore(folder / "VoxelSpacing10.000" / "v3.zarr")
    ome.write_volume(store, data, 10.0, levels=2, format=ome.VolumeFormat(zarr_format=3))
    root.refresh()
    tomogram = root.get_run("TS_1").get_voxel_spacing(10).get_tomogram("v3")
    np.testing.assert_array_equal(tomogram.numpy(), data)
    assert tomogram.levels == ["0", "1"]


def test_the_format_that_is_written_is_that_of_the_config(project_config, tmp_path):
    root = copick_core.open(project_config(zarr_format=3, chunks=[2, 2, 2], shards=[4, 4, 4]))
    root.new_run("TS_1").new_voxel_spacing(10).new_tomogram("wbp").from_numpy(np.ones((4, 4, 4)), levels=1)
    metadata = json.loads(
        (tmp_path / "overlay" / "ExperimentRuns" / "TS_1" / "VoxelSpacing10.000" / "wbp.zarr" / "0" / "zarr.json").read_text()
    )
    assert metadata["zarr_format"] == 3
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [4, 4, 4]


def test_an_empty_store_as_copick_1_leaves_it_is_listed_and_says_that_it_is_empty(project):
    root, folder = project
    (folder / "Segmentations" / "10.000_me_1_membrane.zarr").mkdir(parents=True)
    root.refresh()
    (segmentation,) = root.get_run("TS_1").segmentations
    with pytest.raises(KeyError, match="nothing has been written"):
        segmentation.numpy()
    segmentation.from_numpy([[[1]]])
    assert segmentation.numpy().tolist() == [[[1]]]


def test_a_run_folder_that_is_a_link_is_a_run(project, tmp_path):
    root, folder = project
    shutil.move(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    root.refresh()
    assert [len(r.picks) for r in root.runs] == [1]


@pytest.mark.parametrize("compressor", ["zstd", None])
@pytest.mark.parametrize("chunk_cache_bytes", [0, 1 << 20])
def test_a_chunk_that_was_cut_off_is_told_with_its_volume(project_config, tmp_path, compressor, chunk_cache_bytes):
    root = copick_core.open({**project_config(), "chunk_cache_bytes": chunk_cache_bytes})
    tomogram = root.new_run("TS_1").new_voxel_spacing(10).new_tomogram("wbp")
    tomogram.from_numpy(np.arange(64).reshape(4, 4, 4), compressor=compressor)
    chunk = tmp_path / "overlay/ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr/0/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-10])

    with pytest.raises(
        InvalidDataError, match=r"^tomogram 'wbp' at 10\.000 of run 'TS_1': level '0' cannot be read: .*damaged"
    ):
        tomogram.numpy()


@pytest.mark.parametrize(("name", "read"), [(".zattrs", lambda t: t.levels), ("0/.zarray", lambda t: t.numpy())])
def test_metadata_that_were_cut_off_are_told_with_their_volume(project, name, read):
    root, folder = project
    (folder / "VoxelSpacing10.000/wbp.zarr" / name).write_text("{")
    root.refresh()

    with pytest.raises(InvalidDataError, match=r"^tomogram 'wbp' at 10\.000 of run 'TS_1': "):
        read(root.get_run("TS_1").get_voxel_spacing(10).get_tomogram("wbp"))


NO_CHUNKS = {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 4, 4]}}}


@pytest.mark.parametrize("document", [[1], {"codecs": 1}, {"attributes": [1]}, {"attributes": {"ome": [1]}}, NO_CHUNKS])
def test_metadata_of_another_shape_are_told_with_their_volume(project, document):
    root, folder = project
    tomogram = root.get_run("TS_1").get_voxel_spacing(10).new_tomogram("odd")
    tomogram.from_numpy(np.ones((4, 4, 4)), levels=1, zarr_format=3)
    at = "zarr.json" if "attributes" in document else "0/zarr.json"
    file = folder / "VoxelSpacing10.000/odd.zarr" / at
    file.write_text(json.dumps({**json.loads(file.read_text()), **document} if isinstance(document, dict) else document))
    tomogram.refresh()

    with pytest.raises(InvalidDataError, match=r"^tomogram 'odd' at 10\.000 of run 'TS_1': "):
        _ = tomogram.levels, tomogram.numpy()


@pytest.mark.parametrize(
    "use",
    [
        lambda s: s.numpy(),
        lambda s: s.instance_ids(object_name="ribosome"),
        lambda s: s.segments(),
        lambda s: s.set_region(1, z=0, channel="label"),
        lambda s: s.set_region(0),
    ],
)
def test_whatever_meets_a_damaged_chunk_of_a_segmentation_names_it(project, use):
    root, folder = project
    segmentation = root.get_run("TS_1").new_segmentation(20, "all", "1", user_id="me", is_panoptic=True)
    segmentation.from_numpy(np.ones((2, 5, 5, 5), int), chunks=(4, 4, 4))
    for chunk in (folder / "PanopticSegmentations").rglob("0/0/0/0/0"):
        chunk.write_bytes(chunk.read_bytes()[:20])

    with pytest.raises(InvalidDataError, match=r"^panoptic segmentation 'all' of me/1 at 20\.000 in run 'TS_1': .* damaged"):
        use(segmentation)


def test_changing_a_part_of_a_damaged_chunk_names_its_volume(project):
    root, folder = project
    tomogram = root.get_run("TS_1").get_voxel_spacing(10).get_tomogram("wbp")
    tomogram.from_numpy(np.ones((16, 16, 16)))
    chunk = folder / "VoxelSpacing10.000/wbp.zarr/0/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:20])

    with pytest.raises(InvalidDataError, match=r"^tomogram 'wbp' at 10\.000 of run 'TS_1': level '0' cannot be read: "):
        tomogram.set_region(1.0, z=0, update_levels=True)
