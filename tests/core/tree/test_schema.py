"""Values that configurations and files may hold, and those that are refused."""

import numpy as np
import pytest
from pydantic import ValidationError

from copick_core.models import CopickConfig, CopickPoint, PickableObject
from copick_core.tree.schema import CopickPicksFile, CopickSegmentationMeta

IDENTITY = np.eye(4).tolist()
LOCATION = {"x": 1.0, "y": 2.0, "z": 3.0}


def reason_of(make):
    with pytest.raises(ValidationError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize("label", [0, -1])
def test_a_label_starts_at_1(label):
    reason = reason_of(lambda: PickableObject(name="ribosome", is_particle=True, label=label))

    assert f"label {label} is not possible: labels start at 1" in reason


@pytest.mark.parametrize("label", [1, None, 2**40])
def test_an_object_has_any_other_label_or_none(label):
    assert PickableObject(name="ribosome", is_particle=True, label=label).label == label


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("part", [-1, 256])
def test_a_color_has_parts_from_0_to_255(part, place):
    color = [0, 255, 0, 255]
    assert PickableObject(name="ribosome", is_particle=True, color=color).color == tuple(color)
    color[place] = part

    reason = reason_of(lambda: PickableObject(name="ribosome", is_particle=True, color=color))

    assert f"in the range [0, 255], not {tuple(color)}" in reason


def test_a_name_with_other_characters_is_refused_with_one_that_is_possible():
    assert "use 'my-object'" in reason_of(lambda: PickableObject(name="my_object", is_particle=True))


def test_an_object_has_the_defaults_of_copick():
    obj = PickableObject(name="ribosome", is_particle=True, metadata=None)

    assert (obj.label, obj.color, obj.metadata) == (1, (100, 100, 100, 255), {})


def test_the_old_name_of_the_identifier_reads_and_sets_it():
    obj = PickableObject(name="ribosome", is_particle=True, go_id="GO:1")
    assert (obj.identifier, obj.go_id) == ("GO:1", "GO:1")

    obj.go_id = "GO:2"

    assert obj.identifier == "GO:2"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"pickable_objects": [{"name": "a", "is_particle": True}] * 2}, "two objects are named 'a'"),
        (
            {"pickable_objects": [{"name": name, "is_particle": True, "label": 2} for name in "ab"]},
            "objects 'a' and 'b' have the same label 2",
        ),
        ({"runs": ["TS_1", "a/b"]}, "a/b"),
        ({"voxel_spacings": [10.0, -1.0]}, "-1"),
        ({"tomograms": {0.0: ["wbp"]}}, "0.0"),
        ({"user_id": "a b"}, "'a b' has invalid characters; use 'a-b'"),
        ({"session_id": "a/b"}, "use 'a-b'"),
        ({"review_states": ["one"]}, "two or more different names"),
        ({"review_states": ["one", "one"]}, "two or more different names"),
        ({"review_states": ["one", ""]}, "two or more different names"),
        ({"chunk_cache_bytes": -1}, "chunk_cache_bytes"),
        ({"zarr_format": 4}, "zarr_format"),
        ({"chunks": [1, 2]}, "chunks"),
    ],
)
def test_a_configuration_that_cannot_be_says_why(fields, reason):
    assert reason in reason_of(lambda: CopickConfig(**fields))


@pytest.mark.parametrize("labels", [[1, 1], [None, None], [2, 3], [1, None]])
def test_objects_may_share_the_label_of_those_that_were_given_none(labels):
    objects = [{"name": name, "is_particle": True, "label": label} for name, label in zip("ab", labels, strict=True)]

    assert [obj.label for obj in CopickConfig(pickable_objects=objects).pickable_objects] == labels


def test_a_config_file_holds_what_was_set_or_changed_and_no_defaults():
    config = CopickConfig(config_type="memory", user_id="ana", pickable_objects=[{"name": "a", "is_particle": True}], extra=1)
    config.strict = True
    config.pickable_objects[0].radius = 5.0

    assert config.file_content() == {
        "config_type": "memory",
        "user_id": "ana",
        "extra": 1,
        "strict": True,
        "pickable_objects": [{"name": "a", "is_particle": True, "radius": 5.0}],
    }


# -------------------------------------------------------------------------------------------------------------- points


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (IDENTITY[:3], "must be a 4 x 4 matrix"),
        ([*IDENTITY, IDENTITY[3]], "must be a 4 x 4 matrix"),
        ([row[:3] for row in IDENTITY], "must be a 4 x 4 matrix"),
        ([*IDENTITY[:3], [0.0, 0.0, 0.0, 1.001]], "must be 0, 0, 0, 1"),
        ([*IDENTITY[:3], [0.0, 1e-6, 0.0, 1.0]], "must be 0, 0, 0, 1"),
        ([*IDENTITY[:3], [0.0, 0.0, 0.0, -1.0]], "must be 0, 0, 0, 1"),
    ],
)
def test_a_matrix_that_is_no_transformation_is_refused(matrix, reason):
    assert reason in reason_of(lambda: CopickPoint(location=LOCATION, transformation_=matrix))
    with pytest.raises(ValueError, match=reason):
        CopickPoint(location=LOCATION).transformation = matrix


@pytest.mark.parametrize("last", [[0.0, 0.0, 0.0, 1.0], [1e-9, -1e-9, 0, 1.000001]])
def test_a_last_row_that_is_as_good_as_0_0_0_1_is_taken(last):
    assert CopickPoint(location=LOCATION, transformation_=[*IDENTITY[:3], last]).transformation_[3] == last


def test_a_point_without_an_orientation_has_none():
    point = CopickPoint(location=LOCATION, transformation_=None)

    np.testing.assert_array_equal(point.transformation, np.eye(4))
    assert (point.transformation.dtype, point.instance_id, point.score) == (np.float64, 0, 1.0)
    point.transformation = 2 * np.diag([1, 1, 1, 0.5])
    np.testing.assert_array_equal(point.transformation, np.diag([2, 2, 2, 1.0]))


def test_points_do_not_share_their_orientation():
    first, second = (CopickPoint(location=LOCATION) for _ in range(2))

    first.transformation_[0][3] = 5.0

    assert second.transformation_ == IDENTITY


@pytest.mark.parametrize("cls", [CopickPoint, CopickPicksFile])
def test_keys_that_no_model_knows_are_kept(cls):
    fields = (
        {"location": LOCATION} if cls is CopickPoint else dict.fromkeys(("pickable_object_name", "user_id", "session_id"), "a")
    )

    assert cls(**fields, note="edge").model_dump()["note"] == "edge"


@pytest.mark.parametrize(
    "flags",
    [{"is_multilabel": True, "is_instance": True}, {"is_multilabel": True, "is_panoptic": True}],
)
def test_a_segmentation_has_one_type(flags):
    names = {"user_id": "a", "session_id": "1", "name": "m", "voxel_size": 10.0}

    assert "not several of them" in reason_of(lambda: CopickSegmentationMeta(**names, **flags))
    assert CopickSegmentationMeta(**names, is_multilabel=False, is_instance=True).is_instance


def test_configs_and_objects_share_no_defaults():
    first, second = (CopickConfig(config_type="memory") for _ in range(2))
    one, other = (PickableObject(name="ribosome", is_particle=True) for _ in range(2))

    first.pickable_objects.append(one)
    first.tomograms[10.0] = ["wbp"]
    first.wrappers.append({"name": "log"})
    one.metadata["source"] = "EMDB"

    assert (second.pickable_objects, second.tomograms, second.wrappers, other.metadata) == ([], {}, [], {})
