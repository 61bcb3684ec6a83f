"""Broken backends: each makes one mistake that a layer's checks cannot see, and names the check that must catch it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from copick_backend_fs.local import LocalLayer
from copick_core.layers import ANY, Layers
from copick_core.overlay import CopickRootOverlay
from copick_core.plugins import Backend
from copick_core.testing.dict_layer import DictLayer, Place
from copick_core.tree.schema import CopickConfig

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


class FolderConfig(CopickConfig):
    location_fields: ClassVar[tuple[str, ...]] = ("path",)

    config_type: Literal["mutant-folder"] = "mutant-folder"
    path: str


def open_folder(config):
    return Layers(overlay=LocalLayer("overlay", config.path))


HONEST_FOLDER = Backend("mutant-folder", api_version=1, config_cls=FolderConfig, open_layers=open_folder, summary="Folders")


class Nowhere(FolderConfig):
    location_fields: ClassVar[tuple[str, ...]] = ()


class Telling(FolderConfig):
    def __repr_args__(self):
        return BaseModel.__repr_args__(self)


class Wandering(LocalLayer):
    """Lies where its relative path leads from wherever the process is."""

    def __init__(self, name, root):
        super().__init__(name, root)
        self.root = os.path.relpath(self.root)
        self._prefix = f"{self.root}/"


def open_wandering(config):
    return Layers(overlay=Wandering("overlay", config.path))


class FilesInPlace(LocalLayer):
    """Writes over what is stored, with no journal."""

    def write_file(self, path, data, if_revision=ANY):
        target = self.full_path(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(data)
        return self.file_revision(path)


def open_files_in_place(config):
    return Layers(overlay=FilesInPlace("overlay", config.path))


class VolumesInPlace(LocalLayer):
    """Fills the staged volume, and copies it over the old one, file by file."""

    def replace_folder(self, staged, path):
        shutil.copytree(self.full_path(staged), self.full_path(path), dirs_exist_ok=True)
        self.delete_path(staged)


def open_volumes_in_place(config):
    return Layers(overlay=VolumesInPlace("overlay", config.path))


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
    BackendMutant(
        "DeclaresNoLocation",
        replace(HONEST_FOLDER, config_cls=Nowhere),
        "test_fields_that_hold_a_location_are_declared",
        "path",
    ),
    BackendMutant(
        "ShowsPasswords", replace(HONEST_FOLDER, config_cls=Telling), "test_a_password_in_a_location_is_not_shown", "SECRET"
    ),
    BackendMutant(
        "KeepsARelativePath",
        replace(HONEST_FOLDER, open_layers=open_wandering),
        "test_a_relative_location_holds_in_any_working_folder",
        "TS_",
    ),
    BackendMutant(
        "WritesFilesInPlace",
        replace(HONEST_FOLDER, open_layers=open_files_in_place),
        "test_files_outlive_writers_that_are_killed_at_any_moment",
        "after kill",
    ),
    BackendMutant(
        "WritesVolumesInPlace",
        replace(HONEST_FOLDER, open_layers=open_volumes_in_place),
        "test_volumes_outlive_writers_that_are_killed_at_any_moment",
        "after kill",
    ),
]
