"""A layer around a layer: what it passes on, and what its subclasses may override."""

import copy
import inspect
from unittest.mock import create_autospec

import pytest

from copick_core.errors import ReadOnlyError
from copick_core.layers import Layer, WrapperLayer
from copick_core.testing.dict_layer import DictLayer
from copick_core.tree.keys import ROOT, Kind, PicksKey, RunKey, TomogramKey

RUN = RunKey("TS_1")
PICKS = PicksKey("TS_1", "ribosome", "ana", "1")


class Noting(WrapperLayer):
    """Notes every call that may ask the storage."""

    def __init__(self, inner):
        super().__init__(inner)
        self.noted = []

    def around(self, method, key, call):
        self.noted.append((method, key))
        return call()


@pytest.fixture
def inner():
    return DictLayer()


def methods_of(cls):
    return {name for name, value in vars(cls).items() if inspect.isfunction(value) and not name.startswith("_")}


#: What a wrapper decides for itself: the refusal of a write names the layer, which is the same for both.
OWN = {"check_writable", "refusal", "no_record"}


def test_every_public_method_of_a_layer_is_passed_on():
    assert methods_of(Layer) - OWN <= methods_of(WrapperLayer)


@pytest.mark.parametrize("name", sorted(methods_of(Layer) - OWN))
def test_every_method_takes_the_arguments_of_the_layers(name):
    wrapper, layer = (inspect.signature(getattr(cls, name)).parameters for cls in (WrapperLayer, Layer))

    assert [*wrapper] == [*layer]


def test_calls_that_ask_the_storage_go_through_around(inner):
    layer = Noting(inner)
    layer.ensure(RUN)
    layer.write(PICKS, b"{}")
    layer.list(Kind.RUN, ROOT)

    assert layer.noted == [("ensure", RUN), ("write", PICKS), ("list", ROOT)]
    assert inner.read(PICKS) == b"{}"


def test_what_a_stack_sets_reaches_the_wrapped_layer(inner):
    layer = WrapperLayer(WrapperLayer(inner))

    layer.name, layer.read_only = "static[0]", True

    assert (inner.name, inner.read_only) == ("static[0]", True)
    with pytest.raises(ReadOnlyError, match=r"static\[0\]"):
        layer.ensure(RUN)


def test_unwrap_finds_the_first_layer_of_a_class(inner):
    noting = Noting(inner)
    layer = WrapperLayer(noting)

    assert layer.unwrap(Noting) is noting
    assert layer.unwrap(DictLayer) is inner
    assert layer.unwrap() is inner
    assert inner.unwrap(Noting) is None
    assert layer.unwrap(WrapperLayer) is layer


def test_public_attributes_of_the_wrapped_layer_are_those_of_the_wrapper(inner):
    inner.colour = "blue"
    inner._secret = 1
    layer = WrapperLayer(inner)

    assert layer.colour == "blue"
    assert not hasattr(layer, "_secret")
    assert copy.copy(layer).inner is inner


def test_stores_that_are_handed_out_can_be_wrapped(inner):
    seen = []

    class Wrapping(WrapperLayer):
        def wrap_store(self, key, store, *, staged):
            seen.append((key, staged))
            return store

    key = TomogramKey("TS_1", 10.0, "wbp")
    layer = Wrapping(inner)
    with layer.replace_zarr(key):
        pass
    layer.zarr(key)

    assert seen == [(key, True), (key, False)]


class Finding(DictLayer):
    """Finds entities without listing."""

    def find(self, kind, fields):
        return self.list(kind, ROOT)


class Hiding(WrapperLayer):
    def list(self, kind, parent):
        return []


def test_what_is_found_is_passed_on_unless_a_wrapper_has_lists_of_its_own():
    inner = Finding()
    inner.ensure(RUN)

    assert Noting(inner).find(Kind.RUN, {}) == [RUN]
    assert Noting(inner).find_columns(Kind.RUN, {}) == [["TS_1"]]
    assert Hiding(inner).find(Kind.RUN, {}) is None
    assert Noting(Hiding(inner)).find_columns(Kind.RUN, {}) is None


def test_what_a_layer_lacks_is_told_with_its_name_and_the_wrapper(inner):
    layer = Noting(inner)

    with pytest.raises(AttributeError, match="'Noting' object has no attribute '_nothing'") as caught:
        _ = layer._nothing

    assert (caught.value.name, caught.value.obj) == ("_nothing", layer)


#: Methods that enclose a block, or that answer of the wrapper itself.
SPECIAL = {"list", "replace_zarr", "listing_runs", "unwrap"}


@pytest.mark.parametrize("name", sorted(methods_of(Layer) - OWN - SPECIAL))
def test_what_is_asked_and_answered_is_passed_on_as_it_is(name):
    inner = create_autospec(DictLayer, instance=True, read_only=False, versions_take_requests=False)
    signature = inspect.signature(getattr(WrapperLayer, name))
    arguments = {parameter: object() for parameter in [*signature.parameters][1:]}

    answer = getattr(WrapperLayer(inner), name)(**arguments)

    getattr(inner, name).assert_called_once_with(**arguments)
    if signature.return_annotation != "None":
        assert answer is getattr(inner, name).return_value


@pytest.mark.parametrize(
    "name", ["requests", "keeps_records", "volume_format", "versions_take_requests", "process_bound", "name", "read_only"]
)
def test_what_a_layer_is_like_is_told_of_the_wrapped_one(inner, name):
    told = object()
    setattr(inner, name, told)

    assert getattr(WrapperLayer(inner), name) is told
