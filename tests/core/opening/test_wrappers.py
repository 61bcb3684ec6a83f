"""``"wrappers"`` of a configuration, with a third party's wrapper that is really installed."""

import json
import pickle

import pytest

import copick_core
from copick_core.errors import ConfigError
from copick_core.layers import WrapperLayer

TAGGED = """
    from typing import ClassVar
    from pydantic import Field
    from copick_core.layers import WrapperLayer
    from copick_core.plugins import LayerWrapper, hookimpl
    from copick_core.tree.wrapper_options import WrapperOptions


    class Options(WrapperOptions):
        location_fields: ClassVar[tuple[str, ...]] = ("file",)

        tag: str = ""
        size: int = 1
        file: str | None = None
        password: str = Field(default="", repr=False)


    class Tagged(WrapperLayer):
        def __init__(self, inner, options):
            super().__init__(inner)
            self.options = options
            self.calls = []

        def around(self, method, key, call):
            self.calls.append(method)
            return call()


    @hookimpl
    def copick_layer_wrapper():
        return LayerWrapper("tagged", api_version=1, wrap=Tagged, options_cls=Options)
"""


@pytest.fixture(autouse=True)
def tagged(install):
    """A wrapper that keeps its options."""
    install("their-wrapper", "copick.wrappers", "tagged", TAGGED)


def tags(layer):
    """The tags of a layer's wrappers, from the outermost to the innermost."""
    found = []
    while isinstance(layer, WrapperLayer):
        found.append(layer.options.tag)
        layer = layer.inner
    return found


def project(tmp_path, *wrappers, **fields):
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "data"), "wrappers": [*wrappers], **fields}
    return config | {"pickable_objects": [{"name": "ribosome", "is_particle": True}]}


def two_layers(tmp_path, *wrappers):
    return project(tmp_path, *wrappers, static_root=str(tmp_path / "reference"))


def wrapper(tag="", **options):
    return {"name": "tagged", "tag": tag, **options}


def error_of(config):
    with pytest.raises(ConfigError) as caught:
        copick_core.open(config)
    return str(caught.value)


def test_the_first_wrapper_is_the_outermost(tmp_path):
    root = copick_core.open(project(tmp_path, wrapper("a"), wrapper("b")))

    assert tags(root.layers.overlay) == ["a", "b"]


def test_a_project_works_through_its_wrappers(tmp_path):
    root = copick_core.open(project(tmp_path, wrapper("a")))
    root.new_run("TS_1").new_picks("ribosome", "1", "ana").from_numpy([[1, 2, 3]])
    root.refresh()

    picks = root.get_run("TS_1").picks[0]

    assert picks.numpy()[0].tolist() == [[1, 2, 3]]
    assert picks.path.endswith("ExperimentRuns/TS_1/Picks/ana_1_ribosome.json")
    assert {"ensure", "write", "load_picks"} <= {*root.layers.overlay.calls}


def test_without_wrappers_a_layer_is_the_backends_own(tmp_path):
    layer = copick_core.open(project(tmp_path)).layers.overlay

    assert layer.unwrap() is layer


def test_of_two_layers_each_wrapper_says_which(tmp_path):
    root = copick_core.open(two_layers(tmp_path, wrapper("s", layer="static"), wrapper("o", layer="overlay")))

    assert (tags(root.layers.static[0]), tags(root.layers.overlay)) == (["s"], ["o"])


def test_a_wrapper_may_be_for_several_layers_at_once(tmp_path):
    root = copick_core.open(two_layers(tmp_path, wrapper("a", layer=["static", "overlay"])))

    assert (tags(root.layers.static[0]), tags(root.layers.overlay)) == (["a"], ["a"])


def test_a_wrapper_that_does_not_say_which_of_two_layers_is_refused(tmp_path):
    message = error_of(two_layers(tmp_path, wrapper("a")))

    assert "wrappers[0].layer is missing: there are 2 layers ('static', 'overlay'). Name one, or list several." in message


def test_a_wrapper_for_a_layer_that_is_not_there_is_refused(tmp_path):
    assert "wrappers[0].layer: there is no layer 'statc'; there are 'static', 'overlay'" in error_of(
        two_layers(tmp_path, wrapper("a", layer="statc"))
    )


def test_an_unknown_wrapper_is_named_with_its_field_and_what_is_installed(tmp_path):
    message = error_of(project(tmp_path, wrapper("a"), {"name": "taged"}))

    assert "wrappers[1].name: No wrapper 'taged' is installed" in message
    assert "'tagged'" in message


def test_a_wrapper_without_a_name_is_refused(tmp_path):
    assert "wrappers[0].name is missing" in error_of(project(tmp_path, {"tag": "a"}))


def test_a_misspelt_option_is_refused_with_the_closest(tmp_path):
    message = error_of(project(tmp_path, {"name": "tagged", "tga": "a"}))

    assert "wrappers[0].tga: wrapper 'tagged' has no such option (it has file, password, size, tag)" in message
    assert "Did you mean 'tag'" in message


def test_a_wrong_option_is_named_without_its_value(tmp_path):
    message = error_of(project(tmp_path, wrapper(password={"it": "s3cret"}, size="many")))

    assert "wrappers[0].size: " in message
    assert "wrappers[0].password: " in message
    assert "s3cret" not in message
    assert "many" not in message


def test_options_are_not_in_a_repr(tmp_path):
    root = copick_core.open(project(tmp_path, wrapper(password="s3cret")))

    assert "s3cret" not in repr(root.config) + repr(root) + repr(root.layers) + repr(root.layers.overlay.options)


def test_a_relative_location_starts_at_the_config_file_and_is_saved_as_written(tmp_path, monkeypatch):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(project(tmp_path, wrapper("a", file="tags.txt"))))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    root = copick_core.open(file)
    root.save_config(file)
    root.save_config(elsewhere / "copy.json")

    assert root.layers.overlay.options.file == str(tmp_path / "tags.txt")
    assert json.loads(file.read_text())["wrappers"] == [wrapper("a", file="tags.txt")]
    assert copick_core.open(elsewhere / "copy.json").layers.overlay.options.file == str(tmp_path / "tags.txt")


def test_two_layers_never_share_a_file(tmp_path):
    message = error_of(two_layers(tmp_path, wrapper(layer="static", file="x.txt"), wrapper(layer="overlay", file="./x.txt")))

    assert "wrappers[0].file: " in message
    assert "is the file of wrappers[1]" in message


def test_one_wrapper_of_two_layers_may_not_have_a_file(tmp_path):
    message = error_of(two_layers(tmp_path, wrapper(layer=["static", "overlay"], file="x.txt")))

    assert "is the file of wrappers[0]" in message


def test_layers_of_a_stack_never_share_a_file(tmp_path):
    parts = [project(tmp_path / name, wrapper(file=str(tmp_path / "x.txt"))) for name in ("a", "b")]

    message = error_of({"config_type": "stack", "static": parts})

    assert "static[1].wrappers[0]: " in message
    assert "is the file of static[0].wrappers[0]" in message


def test_each_layer_of_a_stack_has_its_own_wrappers_and_the_stack_may_add_some(tmp_path):
    root = copick_core.open(
        {
            "config_type": "stack",
            "overlay": {"config_type": "memory", "wrappers": [wrapper("o")]},
            "static": [project(tmp_path, wrapper("s"))],
            "wrappers": [wrapper("outer", layer=["overlay", "static[0]"])],
        }
    )

    assert [tags(layer) for layer in root.layers.all] == [["outer", "s"], ["outer", "o"]]
    assert [layer.name for layer in root.layers.all] == ["static[0]", "overlay"]
    assert root.layers.static[0].read_only


def test_a_mistake_in_a_stack_is_told_with_its_place(tmp_path):
    message = error_of({"config_type": "stack", "static": [project(tmp_path, {"name": "taged"})]})

    assert "static[0]: wrappers[0].name: No wrapper 'taged'" in message


def test_a_project_with_wrappers_can_be_pickled(tmp_path):
    root = copick_core.open(two_layers(tmp_path, wrapper("a", layer="overlay", file=str(tmp_path / "x.txt"))))

    again = pickle.loads(pickle.dumps(root))

    assert tags(again.layers.overlay) == ["a"]


def test_a_config_class_of_a_backend_opens_the_wrappers_too(tmp_path):
    from copick_backend_fs import CopickRootFSSpec

    file = tmp_path / "config.json"
    file.write_text(json.dumps(project(tmp_path, wrapper("a"))))

    assert tags(CopickRootFSSpec.from_file(file).layers.overlay) == ["a"]


BROKEN = """
    from copick_core.plugins import LayerWrapper, hookimpl


    @hookimpl
    def copick_layer_wrapper():
        return LayerWrapper("broken", api_version=1, wrap={wrap})
"""


@pytest.mark.parametrize(
    ("wrap", "reason"),
    [
        ("lambda layer, options: 1 / 0", "making it failed: ZeroDivisionError"),
        ("lambda layer, options: 'no layer'", "it made a str, which is not a Layer"),
        ("'nowhere.at.all:Layer'", "importing nowhere.at.all:Layer failed: ModuleNotFoundError"),
    ],
)
def test_a_broken_wrapper_is_told_with_its_cause_and_distribution(install, tmp_path, wrap, reason):
    install("broken-wrapper", "copick.wrappers", "broken", BROKEN.format(wrap=wrap))

    message = error_of(project(tmp_path, {"name": "broken"}))

    assert "wrappers[0]: Wrapper 'broken' (from broken-wrapper) cannot be used" in message
    assert reason in message


def stacked(tmp_path, *wrappers, static=1, overlay=True):
    parts = [{**project(tmp_path / f"s{n}"), "layer_name": f"lab{n}"} for n in range(static)]
    mine = {"config_type": "memory", "layer_name": "mine"} if overlay else None
    return {"config_type": "stack", "overlay": mine, "static": parts, "wrappers": [*wrappers]}


def test_the_only_static_layer_and_the_overlay_go_by_these_names_too(tmp_path):
    root = copick_core.open(stacked(tmp_path, wrapper("s", layer="static"), wrapper("o", layer=["overlay", "mine"])))

    assert [(layer.name, tags(layer)) for layer in root.layers.all] == [("lab0", ["s"]), ("mine", ["o"])]


@pytest.mark.parametrize(
    ("options", "layer", "there"),
    [({"static": 2}, "static", "'lab0', 'lab1', 'mine'"), ({"overlay": False, "static": 2}, "overlay", "'lab0', 'lab1'")],
)
def test_a_name_that_could_mean_several_layers_or_none_is_refused(tmp_path, options, layer, there):
    message = error_of(stacked(tmp_path, wrapper(layer=layer), **options))

    assert f"wrappers[0].layer: there is no layer {layer!r}; there are {there}" in message


def test_of_a_wrapper_without_options_every_option_is_refused(install, tmp_path):
    install("plain-wrapper", "copick.wrappers", "broken", BROKEN.format(wrap="lambda layer, options: layer"))

    message = error_of(project(tmp_path, {"name": "broken", "tag": "a"}))

    assert "wrappers[0].tag: wrapper 'broken' has no such option (it has none)." in message
    assert "Did you mean" not in message


def test_an_option_that_is_set_already_is_not_what_was_meant(tmp_path):
    message = error_of(project(tmp_path, {"name": "tagged", "tag": "a", "tga": "a"}))

    assert "wrappers[0].tga: wrapper 'tagged' has no such option (it has file, password, size, tag)." in message
    assert "Did you mean" not in message


@pytest.mark.parametrize("error", ["OSError('the disk is full')", "NotFoundError(key='k', layer='l')"])
def test_what_keeps_a_wrapper_from_being_made_is_no_fault_of_its_plugin(install, tmp_path, error):
    raising = f"lambda layer, options: (_ for _ in ()).throw({error})"
    source = "    from copick_core.errors import NotFoundError\n" + BROKEN.format(wrap=raising)
    install("broken-wrapper", "copick.wrappers", "broken", source)

    with pytest.raises(OSError, match=r"^(the disk is full|k is not in layer 'l')") as caught:
        copick_core.open(project(tmp_path, {"name": "broken"}))

    assert not isinstance(caught.value, ConfigError)
