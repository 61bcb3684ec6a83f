"""What a project makes of what its layers say."""

import pickle

import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.errors import InvalidDataError
from copick_core.layers import Layers
from copick_core.models import CopickConfig
from copick_core.overlay import CopickRootOverlay
from copick_core.testing.dict_layer import DictLayer
from copick_core.tree.keys import Kind
from support.objects import OBJECTS

VOLUME = np.ones((2, 3, 4), np.float32)


def project(static=(), overlay=None):
    config = CopickConfig(config_type="dict", pickable_objects=OBJECTS, user_id="alice")
    return CopickRootOverlay(config, lambda config: Layers([*static], overlay))


def fill(root):
    run = root.new_run("TS_1")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(VOLUME)
    tomogram.new_features("sobel").from_numpy(VOLUME)
    run.new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    run.new_filaments("ribosome", "1").from_numpy([[[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]]])
    run.new_mesh("membrane", "1", mesh=trimesh.creation.box())
    run.new_segmentation(10.0, "membrane", "1", is_multilabel=True).from_numpy(VOLUME.astype(int) * 2)
    root.get_object("ribosome").from_numpy(VOLUME, 10.0)


def entities(root):
    run = root.get_run("TS_1")
    tomogram = run.get_voxel_spacing(10.0).get_tomogram("wbp")
    return {
        "run": run,
        "voxel spacing": run.get_voxel_spacing(10.0),
        "tomogram": tomogram,
        "features": tomogram.get_features("sobel"),
        "picks": run.picks[0],
        "filaments": run.filaments[0],
        "mesh": run.meshes[0],
        "segmentation": run.get_segmentations(is_multilabel=True)[0],
    }


class Telling(DictLayer):
    """Knows more of each entity than its key says."""

    def details(self, key):
        return {"told": key.kind.value}


def test_what_a_layer_knows_of_an_entity_is_in_its_metadata_beside_its_names():
    root = project(overlay=Telling(name="overlay"))
    fill(root)
    root.refresh()

    for kind, entity in entities(root).items():
        assert entity.meta.told == kind
    metas = {kind: entity.meta.model_dump() for kind, entity in entities(root).items()}
    for kind in ("picks", "mesh"):
        names = ("ribosome" if kind == "picks" else "membrane", "alice", "1")
        assert tuple(metas[kind][n] for n in ("pickable_object_name", "user_id", "session_id")) == names
    assert (metas["features"]["tomo_type"], metas["features"]["feature_type"]) == ("wbp", "sobel")
    segmentation = metas["segmentation"]
    assert (segmentation["name"], segmentation["user_id"], segmentation["session_id"]) == ("membrane", "alice", "1")
    assert (segmentation["is_multilabel"], segmentation["is_instance"], segmentation["is_panoptic"]) == (True, False, False)
    assert segmentation["voxel_size"] == 10.0


def test_of_two_layers_that_know_something_of_a_run_the_first_is_believed():
    place = Telling(name="a").place
    first, second = (Telling(place, name=name, read_only=True) for name in ("first", "second"))
    first.details = lambda key: {}
    second.details = lambda key: {"told": "second"}
    fill(project(overlay=DictLayer(place, name="overlay")))
    third = DictLayer(name="third")
    third.details = lambda key: {"told": "third"}

    run = project([first, second], third).get_run("TS_1")

    assert run.meta.told == "second"


def test_a_static_layer_that_could_be_written_is_a_mistake_of_its_backend_and_told():
    writable = DictLayer(name="reference")
    fill(project(overlay=DictLayer(writable.place, name="overlay")))
    root = project([writable], DictLayer(name="overlay"))

    with pytest.raises(RuntimeError, match="static layer 'reference' is not read-only"):
        _ = root.get_run("TS_1").picks


def test_a_project_without_a_history_says_so():
    root = copick_core.open({"config_type": "memory", "name": "mine"})

    with pytest.raises(InvalidDataError, match="its storage keeps no history; copy it into") as caught:
        root.as_of("yesterday")

    assert caught.value.source == "project 'mine'"


@pytest.mark.parametrize("kind", ["picks", "mesh", "filaments"])
def test_what_was_edited_and_not_stored_travels_with_its_handle(project_config, kind):
    root = copick_core.open(project_config())
    fill(root)
    handle = entities(root)[kind]
    if kind == "picks":
        handle.points[0].score = 0.25
    elif kind == "mesh":
        handle.mesh = trimesh.creation.icosphere(0)
    else:
        handle.filaments[0].score = 0.25

    again = pickle.loads(pickle.dumps(handle))

    assert again.key == handle.key
    if kind == "picks":
        assert again.points[0].score == 0.25
    elif kind == "mesh":
        assert len(again.mesh.to_geometry().faces if hasattr(again.mesh, "to_geometry") else again.mesh.faces) == 20
    else:
        assert again.filaments[0].score == 0.25
    again.store()
    fresh = entities(copick_core.open(project_config()))[kind]
    assert fresh.key == handle.key


def test_the_layers_of_a_container_are_those_that_hold_it(layered):
    root, _ = layered
    run = root.get_run("TS_1")
    assert run.layers == ["static"]

    run.new_picks("ribosome", "5").store()

    assert run.layers == ["static", "overlay"]
    assert root.new_run("TS_2").layers == ["overlay"]


def test_a_run_that_is_missing_is_made_only_if_that_was_asked_for(root):
    from copick_core.models import CopickRunMeta

    run_cls, _ = root._run_factory()
    run = run_cls(root, CopickRunMeta(name="TS_9"))

    assert run.ensure(create=False) is False
    assert [*root.layers.overlay.list(Kind.RUN, run.key.parent)] == []
    assert run.ensure(create=True) is True
    assert run.ensure(create=False) is True
    assert [one.name for one in root.runs] == ["TS_9"]
