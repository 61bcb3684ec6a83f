"""Stacks: any overlay over any static layers, from one nested configuration."""

import json
import pickle

import pytest

import copick_core
from copick_core.errors import ConfigError, InvalidDataError, NotPicklableError, ReadOnlyError

RIBOSOME = {"name": "ribosome", "is_particle": True, "label": 1}
MEMBRANE = {"name": "membrane", "is_particle": False, "label": 2}


@pytest.fixture
def place(tmp_path):
    """A filesystem project with one run of picks, as a nested configuration."""

    def make(name, objects=(RIBOSOME,), **fields):
        config = {"config_type": "filesystem", "overlay_root": str(tmp_path / name), "pickable_objects": list(objects)}
        root = copick_core.open(config)
        root.new_run("TS_1", exist_ok=True).new_picks(objects[0]["name"], "1", name, exist_ok=True).from_numpy([[1, 2, 3]])
        return config | fields

    return make


def stack(overlay, *static, **fields):
    return {"config_type": "stack", "overlay": overlay, "static": list(static), "user_id": "me", **fields}


def test_every_layer_is_seen_and_only_the_overlay_is_written(place):
    root = copick_core.open(stack({"config_type": "memory"}, place("a"), place("b")))
    run = root.get_run("TS_1")
    assert [(p.user_id, p.layer, p.read_only) for p in run.picks] == [("a", "static[0]", True), ("b", "static[1]", True)]
    run.new_picks("ribosome", "1", "a", exist_ok=True).from_numpy([])
    assert [(p.layer, len(p.points)) for p in run.get_picks(user_id="a")] == [("static[0]", 1), ("overlay", 0)]
    assert not root.runs[0].get_picks(layer="static[1]")[0].from_tool


def test_layers_may_be_named_and_names_are_unique(place):
    root = copick_core.open(stack({"config_type": "memory"}, place("a", layer_name="lab")))
    assert [layer.name for layer in root.layers.all] == ["lab", "overlay"]
    with pytest.raises(ConfigError, match=r"static\[1\].*'lab'"):
        copick_core.open(stack(None, place("a", layer_name="lab"), place("b", layer_name="lab")))


def test_a_nested_project_of_two_layers_contributes_both(place):
    nested = place("a") | {"static_root": place("b")["overlay_root"]}
    root = copick_core.open(stack({"config_type": "memory"}, nested))
    assert [(layer.name, layer.read_only) for layer in root.layers.all] == [
        ("static[0].static", True),
        ("static[0].overlay", True),
        ("overlay", False),
    ]


def test_a_nested_mistake_is_told_by_its_path(place):
    with pytest.raises(ConfigError, match=r"static\[1\]\.overlay_root"):
        copick_core.open(stack(None, place("a"), {"config_type": "filesystem", "overlay_root": 5}))
    with pytest.raises(ConfigError, match=r"static\[0\].*nothing_like_that"):
        copick_core.open(stack(None, {"config_type": "nothing_like_that"}))
    with pytest.raises(ConfigError, match=r"overlay.*config_type"):
        copick_core.open(stack({"overlay_root": "x"}))
    with pytest.raises(ConfigError, match="overlay, static layers, or both"):
        copick_core.open(stack(None))


def test_a_nested_mistake_is_told_with_its_file(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(stack({"config_type": "memory"}, {"config_type": "memry"})))
    with pytest.raises(ConfigError, match=r"s\.json, static\[0\]: no backend for config_type 'memry'") as caught:
        copick_core.open(tmp_path / "s.json")
    assert "s.json" in repr(caught.value)


def test_objects_are_merged_by_name(place):
    root = copick_core.open(stack({"config_type": "memory"}, place("a"), place("b", [MEMBRANE | {"is_particle": True}])))
    assert [(o.name, o.label) for o in root.pickable_objects] == [("ribosome", 1), ("membrane", 2)]


@pytest.mark.parametrize("other", [RIBOSOME | {"label": 5}, {"name": "other", "is_particle": True, "label": 3}])
def test_contradicting_labels_are_refused(place, other):
    one = place("a", [RIBOSOME | {"label": 3}])
    with pytest.raises(ConfigError, match="label"):
        copick_core.open(stack(None, one, place("b", [other])))


def test_an_object_keeps_the_label_that_its_layer_gives_so_that_what_is_saved_can_be_opened(place, tmp_path):
    root = copick_core.open(stack({"config_type": "memory"}, place("a")))

    with pytest.raises(InvalidDataError, match=r"label is 1 in static\[0\]"):
        root.new_object("ribosome", True, label=7, exist_ok=True)
    root.new_object("ribosome", True, radius=120.0, exist_ok=True)

    root.save_config(tmp_path / "stack.json")
    (obj,) = copick_core.open(tmp_path / "stack.json").pickable_objects
    assert (obj.label, obj.radius) == (1, 120.0)


def test_a_stack_without_an_overlay_says_what_to_set(place):
    root = copick_core.open(stack(None, place("a")))
    with pytest.raises(ReadOnlyError, match="'overlay'"):
        root.new_run("x")


def test_a_stack_of_folders_pickles_and_one_with_memory_does_not(place):
    root = pickle.loads(pickle.dumps(copick_core.open(stack(place("o"), place("a")))))
    assert [p.layer for p in root.get_run("TS_1").picks] == ["static[0]", "overlay"]
    with pytest.raises(NotPicklableError):
        pickle.dumps(copick_core.open(stack({"config_type": "memory"}, place("a"))))


def test_a_stack_survives_saving(place, tmp_path):
    root = copick_core.open(stack({"config_type": "memory"}, place("a", secret_thing=1), extra=2))
    root.save_config(tmp_path / "stack.json")
    saved = json.loads((tmp_path / "stack.json").read_text())
    assert (saved["extra"], saved["static"][0]["secret_thing"]) == (2, 1)
    assert [p.layer for p in copick_core.open(tmp_path / "stack.json").get_run("TS_1").picks] == ["static[0]"]


def test_relative_places_of_layers_are_relative_to_the_config_file(place, tmp_path, monkeypatch):
    place("a")
    (tmp_path / "s.json").write_text(json.dumps(stack(None, {"config_type": "filesystem", "overlay_root": "a"})))
    monkeypatch.chdir("/")
    assert [r.name for r in copick_core.open(tmp_path / "s.json").runs] == ["TS_1"]


def test_relative_places_of_layers_are_saved_relative_beside_the_file_and_absolute_elsewhere(tmp_path):
    inner = stack({"config_type": "filesystem", "overlay_root": "inner"})
    config = stack(
        {"config_type": "filesystem", "overlay_root": "mine"}, {"config_type": "filesystem", "static_root": "a"}, inner
    )
    (tmp_path / "s.json").write_text(json.dumps(config))
    root = copick_core.open(tmp_path / "s.json")

    root.save_config(tmp_path / "s.json")
    saved = json.loads((tmp_path / "s.json").read_text())
    root.save_config(tmp_path / "elsewhere" / "s.json")
    moved = json.loads((tmp_path / "elsewhere" / "s.json").read_text())

    assert (saved["overlay"], saved["static"]) == (config["overlay"], config["static"])
    assert moved["overlay"]["overlay_root"] == str(tmp_path / "mine")
    assert moved["static"][0]["static_root"] == str(tmp_path / "a")
    assert moved["static"][1]["overlay"]["overlay_root"] == str(tmp_path / "inner")


def test_secrets_of_layers_are_not_in_repr(place):
    secret = {"overlay_fs_args": {"secret": "hunter2"}}
    root = copick_core.open(stack(place("o", **secret), place("a", **secret)))
    assert "hunter2" not in repr(root) + repr(root.config) + repr(root.layers)


def test_whose_annotations_are_made_is_said_by_the_stack_or_else_by_its_overlay(place):
    overlay = {"config_type": "memory", "user_id": "ana", "session_id": "5"}

    own = copick_core.open(stack(overlay, place("a"), session_id="7"))
    theirs = copick_core.open(stack(overlay, place("a") | {"user_id": "bob"}, user_id=None))

    assert (own.user_id, own.session_id) == ("me", "7")
    assert (theirs.user_id, theirs.session_id) == ("ana", "5")


def test_an_overlay_that_is_only_read_is_refused_with_its_place(place):
    only_read = {"config_type": "filesystem", "static_root": place("a")["overlay_root"]}

    with pytest.raises(ConfigError, match="it has no writable layer; use it as a static one, or give it an overlay") as caught:
        copick_core.open(stack(only_read))

    assert "overlay" in str(caught.value.source)


def test_an_overlay_of_two_layers_keeps_the_names_of_both(place):
    overlay = place("o") | {"static_root": place("s")["overlay_root"]}

    root = copick_core.open(stack(overlay, place("a", layer_name="lab")))

    assert [(layer.name, layer.read_only) for layer in root.layers.all] == [
        ("overlay.static", True),
        ("lab", True),
        ("overlay", False),
    ]


def test_two_objects_of_one_label_are_told_with_both_places(place):
    one, other = ({"name": name, "is_particle": True, "label": 3} for name in ("ribosome", "actin"))

    with pytest.raises(ConfigError, match=r"label 3 is 'actin' here, but 'ribosome' in static\[0\]") as caught:
        copick_core.open(stack({"config_type": "memory"}, place("a", [one]), place("b", [other])))

    assert "static[1]" in str(caught.value)


def test_objects_without_a_label_never_contradict(place):
    objects = [{"name": name, "is_particle": True} for name in ("actin", "tubulin")]

    root = copick_core.open(stack({"config_type": "memory"}, place("a", objects[:1]), place("b", objects[1:])))

    assert [obj.name for obj in root.pickable_objects] == ["actin", "tubulin"]


def test_objects_of_layers_stay_out_of_the_file_until_they_are_changed(place, tmp_path):
    root = copick_core.open(stack({"config_type": "memory"}, place("a", [RIBOSOME, MEMBRANE])))
    root.new_object("membrane", False, color=(1, 2, 3, 4), exist_ok=True)
    root.new_object("actin", True)

    root.save_config(tmp_path / "stack.json")

    saved = json.loads((tmp_path / "stack.json").read_text())
    assert [obj["name"] for obj in saved["pickable_objects"]] == ["membrane", "actin"]


def test_places_of_parts_that_are_not_there_any_more_keep_no_stack_from_being_saved(place, tmp_path):
    place("a")
    parts = [{"config_type": "filesystem", "overlay_root": "a"}, {"config_type": "filesystem", "overlay_root": "b"}]
    (tmp_path / "s.json").write_text(json.dumps(stack({"config_type": "filesystem", "overlay_root": "o"}, *parts)))
    root = copick_core.open(tmp_path / "s.json")
    root.config.static = root.config.static[:1]
    root.config.overlay = None

    root.save_config(tmp_path / "s.json")

    saved = json.loads((tmp_path / "s.json").read_text())
    assert (saved["static"], saved["overlay"]) == (parts[:1], None)
