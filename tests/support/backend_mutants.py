"""Broken backends: each makes one mistake that a layer's checks cannot see, and names the check that must catch it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import ConfigDict

from copick_core.layers import Layers
from copick_core.overlay import CopickRootOverlay
from copick_core.plugins import Backend
from copick_core.tree.schema import CopickConfig
from support.dict_layer import DictLayer, Place

PLACES: dict[str, Place] = {}


class HonestConfig(CopickConfig):
    config_type: Literal["mutant"] = "mutant"
    place: str


def open_honestly(config):
    return Layers(overlay=DictLayer(PLACES.setdefault(config.place, Place())))


HONEST = Backend("mutant", api_version=1, config_cls=HonestConfig, open_layers=open_honestly, summary="Dicts")


class ForgetfulConfig(HonestConfig):
    model_config = ConfigDict(extra="ignore")


def open_a_new_place(config):
    return Layers(overlay=DictLayer())


class AlwaysWritable(DictLayer):
    """Does not care what is set after it was made."""

    @property
    def read_only(self):
        return False

    @read_only.setter
    def read_only(self, value):
        pass


def open_always_writable(config):
    return Layers(overlay=AlwaysWritable(PLACES.setdefault(config.place, Place())))


class Unsorted(CopickRootOverlay):
    def query(self):
        return super().query()[::-1]


class Eager(CopickRootOverlay):
    def __init__(self, *args):
        super().__init__(*args)
        self.query()


class NeverRefreshed(CopickRootOverlay):
    def refresh(self):
        pass


@dataclass(frozen=True)
class BackendMutant:
    name: str
    backend: Backend
    caught_by: str
    seen: str


BACKENDS = [
    BackendMutant(
        "DropsUnknownKeys", replace(HONEST, config_cls=ForgetfulConfig), "test_a_configuration_survives_saving", "KeyError"
    ),
    BackendMutant("HasNoSummary", replace(HONEST, summary=""), "test_the_backend_has_a_summary_of_one_line", "''"),
    BackendMutant(
        "OpensWithALambda",
        replace(HONEST, open_layers=lambda config: open_honestly(config)),
        "test_open_layers_is_a_module_level_function",
        "lambda",
    ),
    BackendMutant(
        "OpensANewPlace",
        replace(HONEST, open_layers=open_a_new_place),
        "test_an_entity_is_read_back_by_another_root",
        "expected 1, got 0",
    ),
    BackendMutant(
        "WritesToTheStaticSide",
        replace(HONEST, open_layers=open_always_writable),
        "test_static_entities_refuse_to_be_changed",
        "DID NOT RAISE|not read-only",
    ),
    BackendMutant("ListsUnsorted", replace(HONEST, root_cls=Unsorted), "test_runs_are_sorted", "TS_10"),
    BackendMutant("ListsOnOpening", replace(HONEST, root_cls=Eager), "test_opening_asks_nothing", "'list': 1"),
    BackendMutant("NeverRefreshes", replace(HONEST, root_cls=NeverRefreshed), "test_refresh_asks_again", "'list': 1"),
]
