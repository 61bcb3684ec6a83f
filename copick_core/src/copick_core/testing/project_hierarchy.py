"""Checks of whole projects: the plugin, its configuration, and the hierarchy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from copick_core import opening, plugins
from copick_core.errors import (
    AlreadyExistsError,
    ConfigError,
    InvalidDataError,
    InvalidNameError,
)
from copick_core.overlay import CopickRootOverlay
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.project_base import (
    LEAVES,
    OBJECTS,
    ProjectChecks,
    holds,
    leaf,
    listed,
    put,
)

ILLEGAL_RUNS = ("", ".", "..", ".hidden", "a/b", "../escaped", "a\\b", "/absolute", "a\nb", "a\0b", "x" * 256)


class ProjectPluginChecks(ProjectChecks):
    """Discovery and configuration."""

    @promises("The entry point's name is the config_type it serves.")
    def test_the_backend_is_installed(self, config: dict[str, Any]) -> None:
        assert config["config_type"] in plugins.backends.names()

    @promises("api_version: the API_VERSION that it was written for. There is no default on purpose.")
    def test_the_backend_says_what_it_was_written_for(self, config: dict[str, Any]) -> None:
        backend = plugins.backends.get(config["config_type"])

        assert (backend.config_type, backend.api_version) == (config["config_type"], plugins.Backend.API_VERSION)
        assert backend.config_cls.model_fields["config_type"].default == config["config_type"]

    @promises("One line that says what it stores where.")
    def test_the_backend_has_a_summary_of_one_line(self, config: dict[str, Any]) -> None:
        assert plugins.backends.get(config["config_type"]).summary
        assert "\n" not in plugins.backends.get(config["config_type"]).summary

    @promises("open_layers is a module-level function, so that projects can be pickled.")
    def test_open_layers_is_a_module_level_function(self, config: dict[str, Any]) -> None:
        open_layers = plugins.backends.get(config["config_type"]).open_layers

        assert getattr(sys.modules[open_layers.__module__], open_layers.__name__, None) is open_layers

    @promises("Only the backend that is asked for is imported.")
    def test_listing_backends_imports_none(self, config: dict[str, Any]) -> None:
        if self.backend is not None:
            pytest.skip("the backend is registered, not installed")
        module = plugins.backends.get(config["config_type"]).open_layers.__module__.partition(".")[0]
        code = (
            f"from copick_core import plugins; import sys; plugins.backends.installed(); sys.exit({module!r} in sys.modules)"
        )

        done = subprocess.run([sys.executable, "-c", code], check=False)

        assert done.returncode == 0, f"{module} was imported"

    @promises("location_fields names the fields that hold a location.")
    def test_fields_that_hold_a_location_are_declared(self, config: dict[str, Any], tmp_path: Path) -> None:
        if self.process_bound:
            pytest.skip("process_bound is True")
        config_cls = plugins.backends.get(config["config_type"]).config_cls

        holding = [field for field, value in config.items() if isinstance(value, str) and str(tmp_path) in value]

        assert [field for field in holding if field not in config_cls.location_fields] == []

    @promises("A relative location is resolved once, against the config file's folder or the working folder.")
    def test_a_relative_location_holds_in_any_working_folder(
        self, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.need_sharing()
        paths = {f: v for f, v in config.items() if isinstance(v, str) and v.startswith(f"{tmp_path}{os.sep}")}
        if self.process_bound or not paths:
            pytest.skip("no field of the configuration holds a path")
        home, elsewhere = tmp_path / "home", tmp_path / "else" / "where"  # ".." leads from both to two places
        home.mkdir()
        elsewhere.mkdir(parents=True)
        relative = {**config, **{field: os.path.relpath(path, home) for field, path in paths.items()}}
        (home / "config.json").write_text(json.dumps(relative))

        monkeypatch.chdir(home)
        opened = [opening.open("config.json"), opening.open(relative)]
        for n, root in enumerate(opened):
            root.new_run(f"TS_{n}")
        monkeypatch.chdir(elsewhere)
        opened.append(opening.open(home / "config.json"))
        for n, root in enumerate(opened, 2):
            root.new_run(f"TS_{n}")

        names = ["TS_0", "TS_1", "TS_2", "TS_3", "TS_4"]
        for root in (*opened, opening.open(config)):
            root.refresh()
            assert [run.name for run in root.runs] == names

    @promises("A password in a location is shown nowhere.")
    def test_a_password_in_a_location_is_not_shown(self, root: CopickRootOverlay) -> None:
        url = "https://someone:SECRET@example.org/project"
        located = root.config.model_copy(update=dict.fromkeys(root.config.location_fields, url))

        assert "SECRET" not in repr(located) + str(located)

    @promises("A configuration survives being saved and loaded, with keys that no model knows.")
    def test_a_configuration_survives_saving(self, config: dict[str, Any], tmp_path: Path) -> None:
        root = opening.open({**config, "of_another_program": {"a": [1, None]}, "name": "Å"})
        file = tmp_path / "config.json"

        root.save_config(file)

        assert json.loads(file.read_text())["of_another_program"] == {"a": [1, None]}
        assert opening.open(file).config.model_dump() == root.config.model_dump()

    @promises("A project opens from a dict, a JSON string and a file alike.")
    def test_a_project_opens_from_all_sources(self, config: dict[str, Any], tmp_path: Path) -> None:
        self.need_sharing()
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        opening.open(config).new_run("TS_1")

        for source in (config, json.dumps(config), file, str(file)):
            assert [run.name for run in opening.open(source).runs] == ["TS_1"]

    @promises("Opening a project leaves the given configuration as it is.")
    def test_opening_does_not_change_the_configuration(self, config: dict[str, Any]) -> None:
        before = json.dumps(config)

        opening.open(config)

        assert json.dumps(config) == before

    @promises("A configuration that is not valid is refused with ConfigError; says where.")
    def test_a_wrong_field_is_refused_by_its_name(self, config: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match="pickable_objects"):
            opening.open({**config, "pickable_objects": 5})

    @promises("Objects of a configuration are those of the project.")
    def test_objects_are_those_of_the_configuration(self, root: CopickRootOverlay) -> None:
        assert [(o.name, o.is_particle, o.label) for o in root.pickable_objects] == [
            (o["name"], o["is_particle"], o["label"]) for o in OBJECTS
        ]


class ProjectHierarchyChecks(ProjectChecks):
    """Runs, voxel spacings and what all entities share."""

    @promises("An empty project holds nothing.")
    def test_an_empty_project_holds_nothing(self, root: CopickRootOverlay) -> None:
        assert root.runs == []
        assert root.get_run("TS_1") is None

    @promises("Runs are sorted by name.")
    def test_runs_are_sorted(self, root: CopickRootOverlay) -> None:
        for name in ("b", "a", "TS_10", "TS_1"):
            root.new_run(name)
        root.refresh()

        assert [run.name for run in root.runs] == ["TS_1", "TS_10", "a", "b"]

    @pytest.mark.parametrize("name", samples.HOSTILE_RUNS)
    @promises("Any text without path separators, control characters or a leading dot is a run name, and is never interpreted.")
    def test_a_legal_run_name_is_kept(self, root: CopickRootOverlay, name: str) -> None:
        try:
            made = root.new_run(name)
        except InvalidNameError:
            root.refresh()
            assert (self.any_run_name, root.runs) == (False, [])
            return
        made.new_picks("ribosome", "1").from_numpy([[1, 2, 3]])
        root.new_run("TS1")
        root.refresh()

        run: Any = root.get_run(name)
        assert [r.name for r in root.runs] == sorted([name, "TS1"])
        assert [len(p.points) for p in run.picks] == [1]
        run.delete()
        root.refresh()
        assert [r.name for r in root.runs] == ["TS1"]

    @pytest.mark.parametrize("name", ILLEGAL_RUNS)
    @promises("InvalidNameError: The name cannot be stored safely.")
    def test_an_illegal_run_name_is_refused(self, root: CopickRootOverlay, name: str) -> None:
        with pytest.raises(InvalidNameError):
            root.new_run(name)

        root.refresh()
        assert root.runs == []
        assert root.get_run(name) is None

    @promises("AlreadyExistsError: There is one of that name, and not exist_ok.")
    def test_a_run_is_made_once(self, root: CopickRootOverlay) -> None:
        run = root.new_run("TS_1")

        with pytest.raises(AlreadyExistsError):
            root.new_run("TS_1")

        assert root.new_run("TS_1", exist_ok=True) is run
        assert len(root.runs) == 1

    @promises("A key has one handle until its parent is refreshed.")
    def test_handles_are_the_same_however_they_were_found(self, filled: CopickRootOverlay) -> None:
        run: Any = filled.get_run("TS_1")

        assert filled.runs[0] is run
        assert run.get_voxel_spacing(10.0) is run.voxel_spacings[0]
        assert run.get_picks("ribosome")[0] is run.picks[0]

    @promises("Lists handed to users are snapshots.")
    def test_lists_are_snapshots(self, root: CopickRootOverlay) -> None:
        for name in "abcd":
            root.new_run(name)
        root.runs.clear()
        assert len(root.runs) == 4

        for run in root.runs:
            run.delete()

        assert root.runs == []

    @pytest.mark.parametrize("size", [10, 10.0, np.float32(10), np.float64(10), np.int64(10), 10.0004])
    @promises("Voxel sizes compare by their three-decimal key everywhere; int, float and NumPy scalars are accepted.")
    def test_a_voxel_spacing_is_found_by_any_number(self, root: CopickRootOverlay, size: Any) -> None:
        run = root.new_run("TS_1")
        spacing = run.new_voxel_spacing(10.0)

        assert run.get_voxel_spacing(size) is spacing
        with pytest.raises(AlreadyExistsError):
            run.new_voxel_spacing(size)
        root.refresh()
        assert [s.voxel_size for r in root.runs for s in r.voxel_spacings] == [10.0]

    @pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf"), "ten", None, 0.0001])
    @promises("A voxel size is a finite number of at least 0.001 angstrom.")
    def test_an_impossible_voxel_size_is_refused(self, root: CopickRootOverlay, size: Any) -> None:
        run = root.new_run("TS_1")

        with pytest.raises(InvalidDataError):
            run.new_voxel_spacing(size)

        assert run.voxel_spacings == []

    @promises("ensure() makes what is missing, and says whether it is there.")
    def test_ensure_tells_and_makes(self, root: CopickRootOverlay) -> None:
        run = root.new_run("TS_1")
        spacing = run.new_voxel_spacing(10.0)
        assert (run.ensure(), spacing.ensure()) == (True, True)

        run.delete()

        assert (run.ensure(), spacing.ensure()) == (False, False)
        assert spacing.ensure(create=True)
        root.refresh()
        assert [s.voxel_size for r in root.runs for s in r.voxel_spacings] == [10.0]

    @promises("Deleting a run deletes everything below it.")
    def test_a_deleted_run_is_gone_with_all_it_held(self, filled: CopickRootOverlay) -> None:
        filled.delete_run("TS_1")
        filled.delete_run("TS_1")

        filled.refresh()
        assert filled.runs == []
        run = filled.new_run("TS_1")
        assert (run.picks, run.meshes, run.segmentations, run.voxel_spacings) == ([], [], [], [])

    @promises("repr shows what is loaded, and loads nothing.")
    def test_repr_loads_nothing(self, filled: CopickRootOverlay) -> None:
        filled.refresh()
        run: Any = filled.get_run("TS_1")

        assert "TS_1" in repr(run)
        assert "None" in repr(run)
        assert run._picks_children.listed is None

    @pytest.mark.parametrize("what", LEAVES)
    @promises("What was stored is there for whoever opens the project next.")
    def test_an_entity_is_read_back_by_another_root(self, root: CopickRootOverlay, config: dict[str, Any], what: str) -> None:
        put(leaf(root, what), what, seed=3)

        other = self.again(config)

        [found] = listed(other, what)
        assert holds(found, what, seed=3)
        assert (found.read_only, found.layer) == (False, leaf(root, what, exist_ok=True).layer)

    @pytest.mark.parametrize("what", LEAVES)
    @promises("AlreadyExistsError: The key exists, and not exist_ok.")
    def test_an_entity_is_made_once(self, root: CopickRootOverlay, what: str) -> None:
        entity = leaf(root, what)
        put(entity, what, seed=1)

        with pytest.raises(AlreadyExistsError):
            leaf(root, what)

        assert leaf(root, what, exist_ok=True) is entity
        assert holds(entity, what, seed=1)
        assert listed(root, what) == [entity]

    @pytest.mark.parametrize("what", LEAVES)
    @promises("A deleted entity is gone from storage and from every list.")
    def test_a_deleted_entity_is_gone(self, root: CopickRootOverlay, config: dict[str, Any], what: str) -> None:
        entity = leaf(root, what)
        put(entity, what)

        entity.delete()

        assert listed(root, what) == []
        root.refresh()
        assert listed(root, what) == []
        if self.shared:
            assert listed(opening.open(config), what) == []

    @pytest.mark.parametrize("what", LEAVES)
    @promises("Storing again takes the place of what was stored.")
    def test_content_is_replaced(self, root: CopickRootOverlay, what: str) -> None:
        entity = leaf(root, what)
        put(entity, what, seed=1)
        put(entity, what, seed=2)
        root.refresh()

        [found] = listed(root, what)
        assert holds(found, what, seed=2)

    @pytest.mark.parametrize("what", LEAVES)
    @promises("refresh() forgets; the next access asks again.")
    def test_refresh_shows_what_another_root_stored(self, root: CopickRootOverlay, config: dict[str, Any], what: str) -> None:
        root.new_run("TS_1").new_voxel_spacing(10.0)
        assert listed(root, what) == []
        other = self.again(config)
        put(leaf(other, what), what, seed=1)

        root.refresh()

        assert [holds(entity, what, seed=1) for entity in listed(root, what)] == [True]
