"""Keys: what makes two of them one."""

import pickle

import pytest

from copick_core.tree.keys import (
    KEY_CLASSES,
    PARENT_KIND,
    ROOT,
    Kind,
    MeshKey,
    ObjectKey,
    PicksKey,
    RunKey,
    field_names,
    key_fields,
)


def sample(kind):
    values = {"voxel_size": 10.0, "segmentation_type": "binary"}
    return KEY_CLASSES[kind](*(values.get(name, name) for name in field_names(kind)))


def test_keys_of_two_kinds_are_two_keys_whatever_their_names():
    picks, mesh = PicksKey("r", "ribosome", "ana", "1"), MeshKey("r", "ribosome", "ana", "1")

    assert picks != mesh
    assert RunKey("x") != ObjectKey("x")
    assert len({picks, mesh, RunKey("x"), ObjectKey("x")}) == 4


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_keys_that_know_it_and_their_parent(kind):
    key = sample(kind)

    assert key.kind is kind
    assert (None if key.parent == ROOT else key.parent.kind) is PARENT_KIND[kind]


@pytest.mark.parametrize("kind", Kind)
def test_a_key_is_made_again_from_its_fields(kind):
    key = sample(kind)

    assert "kind" not in key_fields(key)
    assert KEY_CLASSES[kind](**key_fields(key)) == key == pickle.loads(pickle.dumps(key))


@pytest.mark.parametrize("kind", Kind)
def test_a_key_never_changes(kind):
    key = sample(kind)

    with pytest.raises(AttributeError):
        setattr(key, field_names(kind)[0], "other")
    assert not hasattr(key, "__dict__")
