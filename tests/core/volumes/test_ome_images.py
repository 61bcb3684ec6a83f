"""Volumes of other programs: axes, levels and versions come from the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import copick_core
from copick_core.errors import InvalidDataError, LevelNotFoundError
from copick_core.volumes.image import parse_image, spatial
from copick_core.volumes.levels import levels, open_level, read_image, voxel_size_of
from support.objects import OBJECTS

DATA = np.random.default_rng(5).normal(size=(9, 10, 11)).astype("f4")
KINDS = {"t": "time", "c": "channel"}


def project(folder: Path, kind: str = "tomogram") -> tuple[Any, Path]:
    """A project in a folder, and where a volume of a kind lies in it."""
    where = {
        "tomogram": "VoxelSpacing10.000/raw.zarr",
        "segmentation": "Segmentations/10.000_alice_1_membrane.zarr",
        "panoptic": "PanopticSegmentations/10.000_alice_1_membrane.zarr",
        "features": "VoxelSpacing10.000/raw_edges_features.zarr",
    }
    config = {"config_type": "filesystem", "overlay_root": str(folder), "user_id": "alice", "pickable_objects": OBJECTS}
    return config, folder / "ExperimentRuns" / "TS_1" / where[kind]


def entity(config: Any, kind: str = "tomogram") -> Any:
    run = copick_core.open(config).get_run("TS_1")
    if kind in ("segmentation", "panoptic"):
        return run.segmentations[0]
    tomogram = run.voxel_spacings[0].tomograms[0]
    return tomogram.features[0] if kind == "features" else tomogram


def foreign(
    path: Path,
    data: Any,
    axes: str = "zyx",
    names: tuple[str, ...] = ("0",),
    zarr_format: Any = 2,
    prefix: str = "",
    **image: Any,
) -> None:
    """Write an image as other tools do: level i takes every 2**i-th voxel of the last three axes."""
    group = zarr.open_group(path, mode="a", zarr_format=zarr_format)
    group = group.require_group(prefix) if prefix else group
    datasets = []
    for i, name in enumerate(names):
        level = data[..., :: 2**i, :: 2**i, :: 2**i]
        key = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if zarr_format == 2 else {}
        group.create_array(name, shape=level.shape, dtype=level.dtype, chunks=[min(4, n) for n in level.shape], **key)[...] = (
            level
        )
        scale = [1.0] * (len(axes) - 3) + [10.0 * 2**i] * 3
        datasets.append({"path": name, "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    described = [{"name": a, "type": KINDS.get(a, "space"), **({"unit": "angstrom"} if a in "zyx" else {})} for a in axes]
    images = [{"version": "0.4", "axes": described, "datasets": datasets, **image}]
    group.attrs.update({"multiscales": images} if zarr_format == 2 else {"ome": {"version": "0.5", "multiscales": images}})


def layout(path: Path) -> dict[str, str]:
    """The documents of all arrays in a folder."""
    return {str(file.relative_to(path)): file.read_text() for file in path.rglob("*") if file.name in (".zarray", "zarr.json")}


# ------------------------------------------------------------------------------------------------------------------ axes


@pytest.mark.parametrize(("axes", "lead"), [("tczyx", 2), ("czyx", 1), ("tzyx", 1)])
def test_leading_axes_of_one_entry_are_left_out(tmp_path: Path, axes: str, lead: int) -> None:
    config, path = project(tmp_path)
    foreign(path, DATA[(None,) * lead], axes)

    tomogram = entity(config)

    np.testing.assert_array_equal(tomogram.numpy(z=slice(2, 5), x=3), DATA[2:5, :, 3])
    assert (tomogram.shape, tomogram.axes) == (DATA.shape, tuple(axes))
    np.testing.assert_array_equal(tomogram.dask().compute(), DATA)


def test_a_region_of_a_volume_with_leading_axes_is_written_in_place(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    foreign(path, DATA[None, None], "tczyx")
    before = layout(path)

    entity(config).set_region(-1.0, z=slice(0, 2), y=5)

    expected = DATA.copy()
    expected[0:2, 5] = -1
    np.testing.assert_array_equal(zarr.open_array(path / "0", mode="r")[0, 0], expected)
    assert layout(path) == before


@pytest.mark.parametrize(("axes", "shape", "named"), [("tzyx", (3, 4, 5, 6), "'t' of 3"), ("czyx", (2, 4, 5, 6), "'c' of 2")])
def test_leading_axes_of_more_entries_are_refused_by_name(tmp_path: Path, axes: str, shape: Any, named: str) -> None:
    config, path = project(tmp_path)
    foreign(path, np.zeros(shape, "f4"), axes)
    tomogram = entity(config)

    for call in (tomogram.numpy, tomogram.dask, lambda: tomogram.set_region(0.0, z=0), lambda: tomogram.shape):
        with pytest.raises(InvalidDataError, match=f"TS_1.*{named}"):
            call()
    assert tomogram.array().shape == shape


def test_images_of_two_axes_are_refused(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    foreign(path, DATA, "cyx")

    with pytest.raises(InvalidDataError, match=r"no axes z, y and x, but c \(9\), y \(10\), x \(11\)"):
        entity(config).numpy()


def test_axes_that_do_not_fit_the_array_are_refused(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    foreign(path, DATA, "tczyx")

    with pytest.raises(InvalidDataError, match="name the axes t, c, z, y, x"):
        entity(config).numpy()


@pytest.mark.parametrize("stored", ["xyz", "yxz", "zxy"])
def test_axes_in_another_order_are_exchanged_in_both_directions(tmp_path: Path, stored: str) -> None:
    config, path = project(tmp_path)
    order = ["zyx".index(axis) for axis in stored]
    foreign(path, np.ascontiguousarray(DATA.transpose(order)), stored)
    tomogram = entity(config)

    np.testing.assert_array_equal(tomogram.numpy(z=slice(1, 8), y=4, x=slice(None, None, -2)), DATA[1:8, 4, ::-2])
    np.testing.assert_array_equal(tomogram.dask().compute(), DATA)
    block = np.arange(24, dtype="f4").reshape(2, 3, 4)
    tomogram.set_region(block, z=slice(3, 5), y=slice(0, 3), x=slice(5, 9))

    expected = DATA.copy()
    expected[3:5, 0:3, 5:9] = block
    np.testing.assert_array_equal(zarr.open_array(path / "0", mode="r")[...].transpose(np.argsort(order)), expected)


def test_coarser_levels_of_exchanged_axes_are_updated_in_the_stored_order(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    data = np.zeros((8, 12, 16), "f4")
    foreign(path, data.transpose(2, 1, 0).copy(), "xyz", ("s0", "s1"))

    entity(config).set_region(8.0, z=slice(0, 2), y=slice(2, 4), x=slice(4, 6), update_levels=True)

    assert np.argwhere(zarr.open_array(path / "s1", mode="r")[...]).tolist() == [[2, 1, 0]]


def test_axes_without_those_names_are_the_three_of_type_space_in_their_order(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    axes = [{"name": name, "type": "space"} for name in ("depth", "height", "width")]
    foreign(path, DATA, axes=("zyx"))
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["axes"] = axes
    (path / ".zattrs").write_text(json.dumps(attributes))

    np.testing.assert_array_equal(entity(config).numpy(z=1), DATA[1])


def test_features_keep_the_axes_that_are_stored(tmp_path: Path) -> None:
    config, path = project(tmp_path, "features")
    foreign(path, DATA[None, None], "tczyx", ("s0",))
    (path.parent / "raw.zarr").mkdir()
    (path.parent / "raw.zarr" / ".zgroup").write_text('{"zarr_format": 2}')

    features = entity(config, "features")

    np.testing.assert_array_equal(features.numpy(), DATA[None, None])
    np.testing.assert_array_equal(features.numpy(slices=(0, 0, 1)), DATA[1])


def test_panoptic_segmentations_keep_their_channels(tmp_path: Path) -> None:
    config, path = project(tmp_path, "panoptic")
    labels = np.ones((2, 4, 5, 6), "u2")
    foreign(path, labels[None], "tczyx")

    segmentation = entity(config, "panoptic")
    segmentation.set_region(7, z=0, channel="instance")

    assert segmentation.numpy(z=0, channel="instance").tolist() == np.full((5, 6), 7).tolist()
    assert segmentation.numpy().shape == (2, 4, 5, 6)
    assert segmentation.numpy(channel="instance").max() == 7


# ---------------------------------------------------------------------------------------------------------------- levels


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("names", [("s0", "s1"), ("scale0/image", "scale1/image"), ("1", "2")])
def test_levels_are_counted_by_the_metadata(tmp_path: Path, names: tuple[str, ...], zarr_format: int) -> None:
    config, path = project(tmp_path)
    foreign(path, DATA, names=names, zarr_format=zarr_format)
    tomogram = entity(config)

    np.testing.assert_array_equal(tomogram.numpy(), DATA)
    np.testing.assert_array_equal(tomogram.numpy(1), DATA[::2, ::2, ::2])
    np.testing.assert_array_equal(tomogram.numpy(names[1]), DATA[::2, ::2, ::2])
    assert tomogram.levels == list(names)
    with pytest.raises(LevelNotFoundError) as caught:
        tomogram.numpy("7")
    assert caught.value.levels == list(names)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_regions_are_written_into_levels_of_any_name_with_the_coarser_ones(tmp_path: Path, zarr_format: int) -> None:
    config, path = project(tmp_path)
    foreign(path, np.zeros((8, 8, 8), "f4"), names=("s0", "s1", "s2"), zarr_format=zarr_format)
    before = layout(path)

    entity(config).set_region(8.0, z=slice(0, 4), y=slice(0, 4), x=slice(0, 4), update_levels=True)

    means = [zarr.open_array(path / name, mode="r")[...].mean() for name in ("s0", "s1", "s2")]
    assert means == [1.0, 1.0, 1.0]
    assert layout(path) == before


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_bioformats2raw_wrote_is_read_from_its_one_image(tmp_path: Path, zarr_format: int) -> None:
    config, path = project(tmp_path)
    foreign(path, DATA[None, None], "tczyx", ("0", "1"), zarr_format, prefix="0")
    root = zarr.open_group(path, mode="a", zarr_format=zarr_format)
    root.attrs.update(
        {"bioformats2raw.layout": 3} if zarr_format == 2 else {"ome": {"version": "0.5", "bioformats2raw.layout": 3}}
    )
    (path / "OME").mkdir()
    (path / "OME" / "METADATA.ome.xml").write_text("<OME/>")
    tomogram = entity(config)

    np.testing.assert_array_equal(tomogram.numpy(), DATA)
    assert tomogram.levels == ["0/0", "0/1"]
    tomogram.set_region(3.0, x=0)
    assert (zarr.open_array(path / "0" / "0", mode="r")[..., 0] == 3).all()


def test_several_images_in_one_store_are_refused(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    for series in ("0", "1"):
        foreign(path, DATA, prefix=series)
    zarr.open_group(path, mode="a").attrs.update({"bioformats2raw.layout": 3})

    with pytest.raises(InvalidDataError, match="several images"):
        entity(config).numpy()


@pytest.mark.parametrize("separator", [".", "/"])
def test_a_separator_that_the_metadata_leave_out_is_looked_up(tmp_path: Path, separator: str) -> None:
    config, path = project(tmp_path)
    foreign(path, DATA)
    document = json.loads((path / "0" / ".zarray").read_text())
    del document["dimension_separator"]
    (path / "0" / ".zarray").write_text(json.dumps(document))
    if separator == ".":
        for file in [file for file in (path / "0").rglob("*") if file.is_file() and file.name.isdigit()]:
            file.rename(path / "0" / ".".join(file.relative_to(path / "0").parts))
        for z in range(3):
            for y in range(3):
                (path / "0" / str(z) / str(y)).rmdir()
            (path / "0" / str(z)).rmdir()
    tomogram = entity(config)

    tomogram.set_region(5.0, z=1)

    expected = DATA.copy()
    expected[1] = 5
    np.testing.assert_array_equal(tomogram.numpy(), expected)
    np.testing.assert_array_equal(entity(config).numpy(), expected)


# -------------------------------------------------------------------------------------------------------------- versions


def image_of(**fields: Any) -> Any:
    return parse_image({"multiscales": [fields]}, "the image")


def test_coordinate_systems_give_the_axes_and_one_scale_and_translation(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    foreign(path, np.ascontiguousarray(DATA.transpose(2, 1, 0)), "xyz", ("s0",), zarr_format=3)
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "xyz"]
    sequence = {
        "type": "sequence",
        "input": {"path": "s0"},
        "output": {"name": "physical"},
        "transformations": [
            {"type": "scale", "scale": [1.0, 1.0, 1.0]},
            {"type": "translation", "translation": [0.5, 0.5, 0.5]},
        ],
    }
    systems = [{"name": "other", "axes": [{"name": "q"}]}, {"name": "physical", "axes": axes}]
    image = {"coordinateSystems": systems, "datasets": [{"path": "s0", "coordinateTransformations": [sequence]}]}
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"] = {"ome": {"version": "0.6", "multiscales": [image]}}
    (path / "zarr.json").write_text(json.dumps(document))
    tomogram = entity(config)

    np.testing.assert_array_equal(tomogram.numpy(), DATA)
    found = read_image(tomogram.zarr())
    assert found is not None
    assert (found.version, found.datasets[0].translation) == ("0.6", (0.5, 0.5, 0.5))
    assert voxel_size_of(tomogram.zarr()) == 10.0


SYSTEMS = [{"name": name, "axes": [{"name": axis} for axis in axes]} for name, axes in (("a", "zyx"), ("b", "xyz"))]


@pytest.mark.parametrize(
    ("output", "axes"),
    [({"name": "b"}, "xyz"), ("b", "xyz"), ("a", "zyx"), ("unknown", "zyx"), (None, "zyx")],
)
def test_the_axes_are_those_of_the_system_that_the_last_transformation_leads_to(output: Any, axes: str) -> None:
    first = {"type": "identity", "output": "a" if axes == "xyz" else "b"}
    transforms = [first, {"type": "identity", **({} if output is None else {"output": output})}]

    image = image_of(coordinateSystems=SYSTEMS, datasets=[{"path": "0", "coordinateTransformations": transforms}])

    assert "".join(axis.name for axis in image.axes) == axes


def test_without_a_transformation_the_axes_are_those_of_the_first_system() -> None:
    image = image_of(coordinateSystems=SYSTEMS, datasets=[{"path": "0"}, {"path": "1"}])

    assert "".join(axis.name for axis in image.axes) == "zyx"
    assert image.paths == ["0", "1"]


SPACE = {"type": "space"}


@pytest.mark.parametrize(
    ("axes", "found"),
    [
        ([{"name": "X"}, {"name": "z"}, {"name": "Y"}], (1, 2, 0)),
        ([{"name": "t"}, *({"name": n, **SPACE} for n in "abc")], (1, 2, 3)),
        ([*({"name": n, **SPACE} for n in "ab"), {"name": "t", "type": "time"}, {"name": "c", **SPACE}], (0, 1, 3)),
        ([{"name": n, **SPACE} for n in "abx"], None),
        ([{"name": n, **SPACE} for n in "abcd"], None),
        ([{"name": n, **SPACE} for n in "zzyx"], None),
        ([{"name": n} for n in "abc"], None),
    ],
)
def test_z_y_and_x_are_found_by_name_or_as_the_only_three_of_space(axes: Any, found: Any) -> None:
    image = image_of(axes=axes, datasets=[])

    assert spatial(image.axes) == found


def test_arrays_of_versions_that_name_no_axes_have_the_last_of_tczyx() -> None:
    image = image_of(datasets=[{"path": "0"}])

    assert [(axis.name, axis.type) for axis in image.axes_of(4)] == [("c", None), *((name, "space") for name in "zyx")]


@pytest.mark.parametrize(
    ("transforms", "problem"),
    [
        ([{"type": "scale", "scale": ["a", 1.0, 1.0]}], "malformed coordinateTransformations (TypeError: could not"),
        (
            [{"type": "scale", "scale": [1.0] * 3}, {"type": "scale", "scale": [1.0] * 2}],
            "malformed coordinateTransformations",
        ),
        ([{"type": "scale", "scale": [1.0] * 2}], "a scale of 2 numbers for 3 axes"),
    ],
    ids=["no number", "two lengths", "other length"],
)
def test_a_scale_that_makes_no_sense_is_a_problem_of_its_level_alone(transforms: Any, problem: str) -> None:
    good = {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 2.0, 3.0]}]}
    image = image_of(axes=[*"zyx"], datasets=[{"path": "0", "coordinateTransformations": transforms}, good])

    first, second = image.datasets
    assert (first.path, first.scale) == ("0", None)
    assert first.problem is not None
    assert first.problem.startswith(problem)
    assert (second.scale, second.problem) == ((1.0, 2.0, 3.0), None)


@pytest.mark.parametrize(
    ("level", "path"),
    [(0, "1"), (1, "0"), (2, None), ("0", "1"), ("1", "1"), ("/s/", "s"), ("3", None), (3, None), ("x", None), ("²", None)],
)
def test_a_level_is_named_or_counted(level: Any, path: str | None) -> None:
    paths = ["1", "0"] if level not in ("/s/",) else ["1", "s"]
    image = image_of(datasets=[{"path": name} for name in paths])

    assert image.path(level) == path


def test_transformations_apply_one_after_another() -> None:
    shift, double = {"type": "translation", "translation": [1.0, 2.0, 3.0]}, {"type": "scale", "scale": [2.0, 2.0, 2.0]}

    image = image_of(
        datasets=[{"path": "0", "coordinateTransformations": [double, shift]}], coordinateTransformations=[double, shift]
    )

    assert image.datasets[0].scale == (4.0, 4.0, 4.0)
    assert image.datasets[0].translation == (3.0, 6.0, 9.0)


@pytest.mark.parametrize("kind", ["affine", "rotation", "mapAxis", "displacements", "byDimension"])
def test_transformations_that_are_no_scale_and_translation_are_refused_by_name(kind: str) -> None:
    with pytest.raises(InvalidDataError, match=kind):
        image_of(datasets=[{"path": "0", "coordinateTransformations": [{"type": kind}]}])


def test_a_transformation_in_a_file_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="a scale that a file holds"):
        image_of(datasets=[{"path": "0", "coordinateTransformations": [{"type": "scale", "path": "s"}]}])


@pytest.mark.parametrize("images", [[], ["0"], None, {}])
def test_attributes_without_an_image_describe_none(images: Any) -> None:
    assert parse_image({"multiscales": images}, "the image") is None


@pytest.mark.parametrize("image", [{"datasets": [{}]}, {"datasets": 5}, {"axes": [{}], "datasets": []}, {"datasets": [3]}])
def test_malformed_metadata_are_named(image: Any) -> None:
    with pytest.raises(InvalidDataError, match="the image: its multiscales metadata are malformed"):
        image_of(**image)


def test_versions_that_name_no_axes_have_tczyx(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    foreign(path, DATA[None, None], "tczyx")
    attributes = json.loads((path / ".zattrs").read_text())
    del attributes["multiscales"][0]["axes"]
    (path / ".zattrs").write_text(json.dumps(attributes))

    np.testing.assert_array_equal(entity(config).numpy(), DATA)


def test_axes_of_version_0_3_are_names_only(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    foreign(path, np.ascontiguousarray(DATA.transpose(2, 1, 0)), "xyz")
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["axes"] = ["x", "y", "z"]
    (path / ".zattrs").write_text(json.dumps(attributes))

    np.testing.assert_array_equal(entity(config).numpy(), DATA)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_written_is_valid_for_ome_zarr_models(tmp_path: Path, zarr_format: int) -> None:
    models = pytest.importorskip("ome_zarr_models")
    config, path = project(tmp_path)
    run = copick_core.open({**config, "zarr_format": zarr_format}).new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("raw").from_numpy(DATA)

    image = models.open_ome_zarr(zarr.open_group(path, mode="r"))

    assert image.ome_zarr_version == ("0.4" if zarr_format == 2 else "0.5")
    assert [
        dataset.path for dataset in (image.attributes.ome if zarr_format == 3 else image.attributes).multiscales[0].datasets
    ] == [
        "0",
        "1",
        "2",
    ]


def test_levels_of_a_store_without_metadata_are_its_arrays(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path, mode="w", zarr_format=2)
    group.create_array("a", shape=(2, 2, 2), dtype="f4")
    store = zarr.storage.LocalStore(tmp_path)

    assert levels(store) == ["a"]
    assert open_level(store, "a").shape == (2, 2, 2)


def test_arrays_of_two_axes_without_metadata_are_refused_with_the_numbers_of_their_axes(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    zarr.open_group(path, mode="w", zarr_format=2).create_array("0", shape=(4, 5), dtype="f4")

    with pytest.raises(InvalidDataError, match=r"it has no axes z, y and x, but 0 \(4\), 1 \(5\)"):
        entity(config).numpy()


def test_leading_axes_without_metadata_are_refused_by_their_number(tmp_path: Path) -> None:
    config, path = project(tmp_path)
    zarr.open_group(path, mode="w", zarr_format=2).create_array("0", shape=(2, 3, 4, 5, 6), dtype="f4")

    with pytest.raises(InvalidDataError, match=r"it has the axis '0' of 2 entries, '1' of 3 entries, where \(z, y, x\)"):
        entity(config).numpy()


def test_a_panoptic_segmentation_of_one_channel_keeps_that_axis(tmp_path: Path) -> None:
    config, path = project(tmp_path, "panoptic")
    foreign(path, np.ones((1, 1, 4, 5, 6), "u2"), "tczyx")

    assert entity(config, "panoptic").numpy().shape == (1, 4, 5, 6)


def test_a_panoptic_segmentation_of_too_many_axes_says_what_is_wanted(tmp_path: Path) -> None:
    config, path = project(tmp_path, "panoptic")
    foreign(path, np.ones((3, 2, 4, 5, 6), "u2"), "tczyx")

    with pytest.raises(InvalidDataError, match=r"'t' of 3 entries, 'c' of 2 entries, where \(channel, z, y, x\) is wanted"):
        entity(config, "panoptic").numpy()
