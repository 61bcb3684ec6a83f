"""What a segmentation refuses, by its type and with its name."""

import numpy as np
import pytest

from copick_core.errors import AlreadyExistsError, InvalidDataError

FLAGS = {
    "binary": {},
    "multilabel": {"is_multilabel": True},
    "instance": {"is_instance": True},
    "panoptic": {"is_panoptic": True},
}


@pytest.fixture
def run(root):
    return root.new_run("TS_1")


def stored(run, kind):
    segmentation = run.new_segmentation(10.0, "membrane", "1", **FLAGS[kind])
    volume = np.zeros((2, 3, 4), int)
    volume[1] = 2
    segmentation.from_numpy(np.stack([volume, volume * 150]) if kind == "panoptic" else volume)
    return segmentation


def refused(call, segmentation, reason):
    with pytest.raises(InvalidDataError) as caught:
        call(segmentation)
    assert caught.value.source == segmentation.key
    assert reason in caught.value.reason


SHAPES = {
    "binary": [(3, 4), (2, 2, 3, 4)],
    "multilabel": [(2, 2, 3, 4)],
    "instance": [(1, 2, 3, 4)],
    "panoptic": [(2, 3, 4), (1, 2, 3, 4), (3, 2, 3, 4)],
}


@pytest.mark.parametrize(("kind", "shape"), [(kind, shape) for kind, shapes in SHAPES.items() for shape in shapes])
def test_another_shape_is_refused_with_that_which_is_wanted(run, kind, shape):
    wanted = "(2, z, y, x) with channels label and instance" if kind == "panoptic" else "(z, y, x)"

    refused(lambda s: s.from_numpy(np.zeros(shape, int)), stored(run, kind), f"{kind} segmentations are {wanted}, not {shape}")


@pytest.mark.parametrize("kind", ["binary", "multilabel", "instance"])
def test_what_only_panoptic_ones_have_is_refused_for_others(run, kind):
    segmentation = stored(run, kind)

    for call in (
        lambda s: s.segments(),
        lambda s: s.label_volume(),
        lambda s: s.instance_volume("ribosome"),
    ):
        refused(call, segmentation, f"{kind} segmentations are not panoptic")
    refused(lambda s: s.numpy(channel="label"), segmentation, f"{kind} segmentations have no channels")
    refused(lambda s: s.set_region(0, channel=0), segmentation, f"{kind} segmentations have no channels")
    assert segmentation.numpy()[1].max() == 2


@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_segmentations_without_instances_say_so(run, kind):
    refused(lambda s: s.instance_ids(), stored(run, kind), "only instance and panoptic segmentations have instances")


def test_a_panoptic_volume_is_not_imported_from_one_file(run):
    refused(lambda s: s.import_volume(np.zeros((2, 3, 4), int), voxel_size=10.0), stored(run, "panoptic"), "two channels")


@pytest.mark.parametrize("channel", ["labels", 2, -1])
def test_a_channel_that_does_not_exist_is_refused_with_those_that_do(run, channel):
    reason = f"channel {channel!r} does not exist; there are 'label' (0) and 'instance' (1)"

    refused(lambda s: s.numpy(channel=channel), stored(run, "panoptic"), reason)


@pytest.mark.parametrize("channels", [("label", "instance"), (0, 1)])
def test_channels_are_named_or_counted(run, channels):
    segmentation = stored(run, "panoptic")

    assert [segmentation.numpy(z=1, channel=channel).max() for channel in channels] == [2, 300]


def test_instances_of_an_object_without_a_label_cannot_be_told_apart(run):
    segmentation = stored(run, "panoptic")
    run.root.config.pickable_objects[0].label = None

    for call in (segmentation.instance_volume, lambda name: segmentation.instance_ids(object_name=name)):
        with pytest.raises(InvalidDataError, match="it has no label") as caught:
            call("ribosome")
        assert caught.value.source == "object 'ribosome'"


def test_ids_of_instances_are_sorted_and_without_background(run):
    segmentation = run.new_segmentation(10.0, "membrane", "2", is_instance=True)
    volume = np.zeros((300, 2, 2), int)
    volume[0], volume[150, 0], volume[299] = 9, 4, 9
    segmentation.from_numpy(volume, chunks=64)

    assert segmentation.instance_ids().tolist() == [4, 9]


@pytest.mark.parametrize("kind", FLAGS)
def test_a_segmentation_tells_its_type_and_folder(run, kind):
    segmentation = run.new_segmentation(10.0, "membrane", "1", **FLAGS[kind])

    assert segmentation.segmentation_type == kind
    assert [segmentation.is_multilabel, segmentation.is_instance, segmentation.is_panoptic] == [
        kind == name for name in ("multilabel", "instance", "panoptic")
    ]
    folders = {"instance": "InstanceSegmentations", "panoptic": "PanopticSegmentations"}
    assert segmentation.directory == folders.get(kind, "Segmentations")
    assert f"segmentation_type={kind!r}, voxel_size=10.0" in repr(segmentation)
    assert repr(segmentation).startswith("Copick")


# -------------------------------------------------------------------------------------------------------- feature maps


@pytest.mark.parametrize(
    ("options", "reason"), [({"levels": 2}, "one level only"), ({"metadata": {"model": "x"}}, "no multiscale metadata")]
)
def test_features_that_are_no_volume_have_one_level_and_no_image(run, options, reason):
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((2, 3, 4)))
    features = tomogram.new_features("sobel")

    refused(lambda f: f.from_numpy(np.ones((5, 6)), **options), features, f"an array with 2 dimensions has {reason}")
    features.from_numpy(np.ones((5, 6)), levels=1)
    with pytest.raises(AlreadyExistsError, match=r"Pass overwrite=True to replace it\.$") as exists:
        features.from_numpy(np.zeros((5, 6)), overwrite=False)
    assert (exists.value.key, exists.value.layer) == (features.key, features.layer)
    assert features.numpy().all()
    assert features.numpy().shape == (5, 6)
    assert "tomo_type='wbp', feature_type='sobel'" in repr(features)
