"""Configurations: opened from everywhere, validated, kept whole, saved all or nothing."""

import json
import os
import pickle
import subprocess
import sys
from hashlib import sha256
from types import SimpleNamespace

import fsspec
import pytest
from fsspec.registry import known_implementations
from pydantic import ValidationError

import copick_core
from copick_backend_fs.config import CopickConfigFSSpec
from copick_core.errors import ConfigError, ConfigNotFoundError, ConflictError, MissingDependencyError, NotPicklableError
from copick_core.models import CopickConfig, PickableObject
from copick_core.opening import opening

OBJECT = {"name": "ribosome", "is_particle": True}


@pytest.fixture
def config_file(tmp_path):
    def write(**fields):
        path = tmp_path / "project" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            json.dumps({"config_type": "filesystem", "overlay_root": "data", "pickable_objects": [OBJECT]} | fields)
        )
        return path

    return write


def test_a_path_a_dict_and_a_json_string_open_the_same_project(config_file, tmp_path):
    path = config_file(overlay_root=str(tmp_path / "data"))
    roots = [
        copick_core.open(path),
        copick_core.open(str(path)),
        copick_core.open(path.read_text()),
        copick_core.open(json.loads(path.read_text())),
        copick_core.from_file(path),
        copick_core.from_string(path.read_text()),
    ]
    roots[0].new_run("TS_1")
    assert [[run.name for run in root.runs] for root in roots] == [["TS_1"]] * 6


def test_a_config_file_may_lie_at_a_url(config_file, tmp_path):
    fsspec.filesystem("memory").pipe_file("/configs/c.json", config_file(overlay_root=str(tmp_path)).read_bytes())
    assert copick_core.open("memory://configs/c.json").config.name == "CoPick"


@pytest.mark.parametrize(
    ("file", "written", "resolved"),
    [
        ("memory://configs/c.json", "data", "memory://configs/data"),
        ("memory://configs/c.json", "./data", "memory://configs/data"),
        ("memory://configs/c.json", "../data/", "memory://data"),
        ("memory:///configs/c.json", "local://data", "memory:///configs/data"),
        ("memory://c.json", "data", "memory://data"),
        ("memory://configs/c.json", "/data", "/data"),
        ("memory://configs/c.json", "s3://lab/data", "s3://lab/data"),
    ],
)
def test_a_root_may_be_relative_to_a_url(config_file, file, written, resolved):
    import fsspec

    fsspec.filesystem("memory").pipe_file(file.removeprefix("memory:/"), config_file(overlay_root=written).read_bytes())
    assert CopickConfigFSSpec.from_file(file).overlay_root == resolved


def test_a_relative_root_is_relative_to_the_config_file(config_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copick_core.open(config_file(overlay_root="local://data")).new_run("TS_1")
    assert (tmp_path / "project" / "data" / "ExperimentRuns" / "TS_1" / ".meta").read_text() == "meta"


def test_a_missing_config_type_is_filesystem_with_a_deprecation_warning(tmp_path):
    with pytest.warns(DeprecationWarning, match="config_type"):
        root = copick_core.open({"overlay_root": str(tmp_path), "pickable_objects": []})
    assert root.config.config_type == "filesystem"


def test_unknown_keys_survive_a_load_and_a_save(config_file, tmp_path):
    path = config_file(future={"a": [1, 2]}, pickable_objects=[OBJECT | {"symmetry": "C1"}])
    copick_core.open(path).save_config(tmp_path / "saved.json")
    saved = json.loads((tmp_path / "saved.json").read_text())
    assert saved["future"] == {"a": [1, 2]}
    assert saved["pickable_objects"][0]["symmetry"] == "C1"


def test_a_relative_root_that_exists_only_in_the_working_folder_is_warned_of(config_file, tmp_path, monkeypatch):
    file = config_file(config_type="filesystem", overlay_root="local://data")
    (tmp_path / "elsewhere" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")

    with pytest.warns(UserWarning, match=f"no {tmp_path}/project/data. There is {tmp_path}/elsewhere/data"):
        copick_core.open(file)

    (tmp_path / "project" / "data").mkdir()
    copick_core.open(file)


def test_a_relative_root_is_saved_relative_beside_the_file_and_absolute_elsewhere(config_file, tmp_path):
    path = config_file()
    root = copick_core.open(path)
    root.save_config(path)
    root.save_config(tmp_path / "elsewhere.json")
    assert json.loads(path.read_text())["overlay_root"] == "data"
    assert json.loads((tmp_path / "elsewhere.json").read_text())["overlay_root"] == str(tmp_path / "project" / "data")


def test_a_save_that_fails_leaves_the_old_file(config_file, monkeypatch):
    path = config_file()
    before = path.read_bytes()
    root = copick_core.open(path)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        root.save_config(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["config.json"]


def test_an_interrupt_after_the_file_was_replaced_is_told_as_one(config_file, monkeypatch):
    path = config_file()
    root = copick_core.open(path)
    root.new_object("membrane", False)
    replace = os.replace

    def replace_and_interrupt(*names):
        replace(*names)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        root.save_config(path)
    assert "membrane" in path.read_text()


def test_saving_through_a_link_keeps_the_link(config_file, tmp_path):
    path = config_file()
    (tmp_path / "link.json").symlink_to(path)
    root = copick_core.open(tmp_path / "link.json")
    root.new_object("membrane", False)
    root.save_config(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert "membrane" in path.read_text()


@pytest.mark.parametrize("fields", [{"radius": float("nan")}, {"metadata": {"value": object()}}])
def test_what_json_cannot_say_is_refused_and_the_file_stays(config_file, fields):
    path = config_file()
    before = path.read_bytes()
    root = copick_core.open(path)
    root.new_object("membrane", False, **fields)
    with pytest.raises(ConfigError, match=r"config\.json: it cannot be written as JSON"):
        root.save_config(path)
    assert path.read_bytes() == before


def test_what_is_dumped_can_be_written_and_opened_again(config_file, tmp_path):
    dumped = copick_core.open(config_file()).config.model_dump()
    (tmp_path / "dumped.json").write_text(json.dumps(dumped))
    assert copick_core.open(tmp_path / "dumped.json").config.model_dump() == dumped


SECRET = "hunter2"


@pytest.mark.parametrize(
    "fields", [{"overlay_fs_args": {"secret": SECRET}}, {"token": SECRET}, {"static_fs_args": {"key": SECRET}}]
)
def test_secrets_are_neither_in_repr_nor_in_errors(config_file, fields):
    root = copick_core.open(config_file(**fields))
    assert SECRET not in repr(root) + repr(root.config) + str(root.config) + repr(root.layers)
    with pytest.raises(ConfigError) as caught:
        copick_core.open(config_file(**fields, user_id="not valid", overlay_root={"secret": SECRET}))
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_secrets_in_urls_are_neither_in_repr_nor_in_errors():
    root = copick_core.open({"config_type": "filesystem", "overlay_root": f"memory://me:{SECRET}@host/data"})
    assert SECRET not in repr(root.config) + str(root.config)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        copick_core.open(f"http://me:{SECRET}@127.0.0.1:9/c.json?signature={SECRET}")
    assert SECRET not in str(caught.value) + repr(caught.value.__dict__)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"overlay_root": None}, "overlay_root"),
        ({"user_id": "a b"}, "user_id"),
        ({"pickable_objects": [{"name": "a_b", "is_particle": True}]}, r"pickable_objects\[0\]\.name"),
        ({"pickable_objects": [OBJECT | {"label": 0}]}, r"pickable_objects\[0\]\.label: .*0 is reserved for background"),
        ({"pickable_objects": [OBJECT | {"color": None}]}, r"pickable_objects\[0\]\.color"),
        ({"pickable_objects": [OBJECT | {"color": [1, 2, 3, 256]}]}, r"\.color: .*range \[0, 255\], not \(1, 2, 3, 256\)"),
        ({"pickable_objects": [OBJECT, OBJECT]}, "two objects are named 'ribosome'"),
        ({"pickable_objects": [OBJECT | {"label": 3}, OBJECT | {"name": "x", "label": 3}]}, "same label 3"),
        ({"pickable_objects": [{"name": "x"}]}, r"pickable_objects\[0\]\.is_particle"),
        ({"runs": ["../elsewhere"]}, r"runs: run name .*path separators"),
        ({"voxel_spacings": [10, 0]}, r"voxel_spacings: .*at least 0\.001 angstrom"),
        ({"tomograms": {"-10": ["wbp"]}}, r"tomograms: .*at least 0\.001 angstrom"),
        ({"config_type": 7}, "config_type"),
        ({"pickable_objects": 7}, "pickable_objects"),
        ({"zarr_format": 4}, "zarr_format"),
    ],
)
def test_a_config_that_is_not_valid_says_what_and_where(config_file, fields, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        copick_core.open(config_file(**fields))
    assert "config.json" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"config_type": "filesystem", "overlay_root": "\\ud800"}', "[" * 100_000],
    ids=["empty", "cut off", "list", "null", "half a character", "too deep"],
)
def test_a_file_that_is_no_json_object_is_refused_by_name(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.json"):
        copick_core.open(path)


@pytest.mark.parametrize("field", ["overlay_root", "static_root"])
def test_a_file_where_a_folder_belongs_is_refused(tmp_path, field):
    """It would look like an empty project."""
    path = tmp_path / "data.zip"
    path.touch()
    with pytest.raises(ConfigError, match=r"data\.zip: it is a file, not a folder.*zip://::.*data\.zip"):
        copick_core.open({"config_type": "filesystem", field: str(path)})


def test_a_missing_file_is_refused_with_the_place_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigNotFoundError) as caught:
        copick_core.open("nowhere.json")
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.location == str(tmp_path / "nowhere.json")


def test_a_field_that_is_misspelt_is_told_the_closest_one(config_file):
    path = config_file(pickable_objects=[OBJECT | {"colour": [1, 2, 3, 4]}], userid="ana", overlay_type="fast")
    with pytest.warns(UserWarning, match="no such field") as caught:
        root = copick_core.open(path)
    hints = sorted(str(w.message).partition("config.json: ")[2] for w in caught)
    assert hints == [
        "pickable_objects[0].colour: there is no such field. Did you mean 'color'?",
        "userid: there is no such field. Did you mean 'user_id'?",
    ]
    assert root.config.model_extra == {"userid": "ana", "overlay_type": "fast"}


def test_a_required_field_that_is_misspelt_is_told_in_the_error():
    with pytest.raises(ConfigError, match=r"overlay_root is missing.*overlay_rot: there is no such field.*'overlay_root'"):
        copick_core.open({"config_type": "filesystem", "overlay_rot": "data"})


def test_a_config_at_a_url_whose_file_system_is_unknown_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"^Configuration nowhere://me:\*\*\*@host/c\.json: it cannot be read: Protocol"):
        copick_core.open("nowhere://me:secret@host/c.json")


def test_a_config_at_a_url_that_needs_a_package_says_which(monkeypatch):
    monkeypatch.setitem(known_implementations, "cloud", {"class": "no_such_module.Cloud", "err": "Install clouds"})
    with pytest.raises(MissingDependencyError, match=r"cloud://config\.json.*Install clouds"):
        copick_core.open("cloud://config.json")


def test_a_relative_archive_is_relative_to_the_config_file(config_file, tmp_path, monkeypatch):
    path = config_file(static_root="zip://inside::reference.zip")
    monkeypatch.chdir("/")
    archive = tmp_path / "project" / "reference.zip"
    assert copick_core.open(path).config.static_root == f"zip://inside::{archive}"


def test_an_error_of_a_file_systems_library_is_told_with_the_url(config_file, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    class LibraryError(Exception):
        pass

    def fail(*_, **__):
        raise LibraryError("no endpoint")

    MemoryFileSystem().pipe_file("/configs/c.json", config_file().read_bytes())
    root = copick_core.open("memory://configs/c.json")
    for method in ("pipe_file", "exists", "cat_file"):
        monkeypatch.setattr(MemoryFileSystem, method, fail)
        with pytest.raises(ConfigError, match=r"memory://configs/c\.json: it cannot be reached: LibraryError: no endpoint"):
            root.save_config("memory://configs/c.json")
    with pytest.raises(ConfigError, match=r"memory://configs/c\.json: it cannot be reached: LibraryError: no endpoint"):
        copick_core.open("memory://configs/c.json")


def test_a_url_of_an_unknown_protocol_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"nosuch://x/c\.json: it cannot be read"):
        copick_core.open("nosuch://x/c.json")


@pytest.mark.parametrize("field", ["overlay_root", "static_root"])
def test_an_empty_location_is_none_and_not_the_folder_of_the_file(config_file, tmp_path, field):
    locations = {"overlay_root": str(tmp_path), "static_root": str(tmp_path)} | {field: ""}
    assert [layer.root for layer in copick_core.open(config_file(**locations)).layers.all] == [str(tmp_path)]


def test_new_config_writes_a_config_that_opens_the_new_project(tmp_path):
    root = copick_core.new_config(
        tmp_path / "new" / "config.json",
        str(tmp_path / "data"),
        "name",
        "text",
        [PickableObject(**OBJECT), OBJECT | {"name": "b"}],
    )
    root.new_run("TS_1")
    again = copick_core.open(tmp_path / "new" / "config.json")
    assert [run.name for run in again.runs] == ["TS_1"]
    assert [o.name for o in again.pickable_objects] == ["ribosome", "b"]
    assert again.config.version == copick_core.__version__


def test_new_config_takes_paths(tmp_path):
    root = copick_core.new_config(tmp_path / "config.json", tmp_path / "data")
    assert root.root_overlay == str(tmp_path / "data")


def test_objects_read_and_write_the_old_name_of_their_identifier():
    obj = PickableObject(**OBJECT, go_id="GO:1")
    assert (obj.identifier, obj.go_id) == ("GO:1", "GO:1")
    obj.go_id = "GO:2"
    assert obj.model_dump()["identifier"] == "GO:2"


def test_a_config_of_a_known_type_loads_from_its_class(config_file, tmp_path):
    from copick_backend_fs.config import CopickConfigFSSpec

    config = CopickConfigFSSpec.from_file(config_file())
    assert config.overlay_root == str(tmp_path / "project" / "data")
    assert isinstance(config, CopickConfig)


def test_a_base_config_needs_no_backend():
    with pytest.raises(ValidationError):
        CopickConfig(user_id="a b")
    assert CopickConfig(pickable_objects=[OBJECT]).pickable_objects[0].label == 1


def test_a_project_and_its_handles_are_reopened_in_another_process(config_file):
    root = copick_core.open(config_file(user_id="me"))
    picks = root.new_run("TS_1").new_picks("ribosome", "1")
    picks.from_numpy([[1.0, 2.0, 3.0]])
    spacing = root.get_run("TS_1").new_voxel_spacing(10)
    spacing.new_tomogram("wbp").from_numpy([[[1.0]]])
    payload = pickle.dumps((root, picks, spacing, spacing.get_tomogram("wbp"), root.get_object("ribosome")))
    code = (
        "import pickle, sys; root, picks, spacing, tomogram, obj = pickle.loads(sys.stdin.buffer.read()); "
        "print(root.runs[0].name, len(picks.points), spacing.voxel_size, tomogram.numpy().sum(), obj.name, "
        "picks.run.root is root)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=payload, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["TS_1", "1", "10.0", "1.0", "ribosome", "True"]


def test_unsaved_points_travel_with_their_handle(config_file):
    picks = copick_core.open(config_file(user_id="me")).new_run("TS_1").new_picks("ribosome", "1")
    picks.from_numpy([[1.0, 2.0, 3.0]])
    picks.points[0].score = 0.5
    copy = pickle.loads(pickle.dumps(picks))
    assert copy.points[0].score == 0.5


def test_a_memory_project_explains_why_it_cannot_be_pickled():
    root = copick_core.open({"config_type": "memory"})
    with pytest.raises(NotPicklableError, match="copy_project"):
        pickle.dumps(root)


def test_a_config_that_changes_while_it_is_being_saved_is_not_overwritten(config_file, monkeypatch):
    path = config_file()
    first, second = copick_core.open(path), copick_core.open(path)
    first.new_object("membrane", False)
    second.new_object("actin", False)

    def save_second(descriptor):
        monkeypatch.undo()
        second.save_config(path)

    monkeypatch.setattr(os, "fsync", save_second)
    with pytest.raises(ConflictError):
        first.save_config(path)
    assert [o.name for o in copick_core.open(path).pickable_objects] == ["ribosome", "actin"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_config_that_somebody_has_deleted_is_written_again(config_file):
    path = config_file()
    root = copick_core.open(path)
    path.unlink()

    root.save_config(path)

    assert copick_core.open(path).config == root.config


def test_of_two_who_add_objects_to_one_config_the_second_is_told(config_file):
    path = config_file()
    first, second = copick_core.open(path), copick_core.open(path)
    first.new_object("membrane", False)
    second.new_object("actin", False)
    before = path.read_bytes()
    first.save_config(path)
    with pytest.raises(ConflictError, match=r"configuration.*Open it again") as caught:
        second.save_config(path)
    assert [o.name for o in copick_core.open(path).pickable_objects] == ["ribosome", "membrane"]
    assert (caught.value.key, caught.value.layer) == ("the configuration", str(path))
    assert caught.value.expected == sha256(before).hexdigest()
    assert caught.value.found == sha256(path.read_bytes()).hexdigest()
    first.new_object("tubulin", True)
    first.save_config(path)
    second.save_config(path, overwrite=True)
    assert [o.name for o in copick_core.open(path).pickable_objects] == ["ribosome", "actin"]


def test_a_config_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "config.json").mkdir()

    with pytest.raises(ConfigError) as caught:
        copick_core.from_file(tmp_path / "config.json")

    assert caught.value.reason == "it cannot be read: Is a directory"


def test_an_error_of_a_url_that_has_no_number_says_what_its_library_says(monkeypatch):
    def fail(*args):
        raise OSError("no route to https://me:secret@host")

    monkeypatch.setattr(fsspec.filesystem("memory"), "cat_file", fail)

    with pytest.raises(ConfigError) as caught:
        copick_core.from_file("memory://configs/c.json")

    assert caught.value.reason == "it cannot be read: no route to https://me:***@host"


def test_a_saved_config_can_be_read_by_people(config_file):
    path = config_file(description="Å")
    copick_core.open(path).save_config(path)

    assert '\n    "description": "Å"' in path.read_text(encoding="utf-8")


def test_objects_of_a_new_config_are_numbered_where_they_have_no_label(tmp_path):
    objects = [PickableObject(name=name, is_particle=True) for name in ("a", "b")]

    root = copick_core.new_config(tmp_path / "c.json", tmp_path / "data", "mine", "all of it", objects)

    assert [(obj.name, obj.label) for obj in root.pickable_objects] == [("a", 1), ("b", 2)]
    assert (root.config.name, root.config.description) == ("mine", "all of it")


def test_what_is_asked_of_the_portal_is_passed_on_as_it_is(monkeypatch):
    asked = []

    class Portal:
        @staticmethod
        def from_czcdp_datasets(*arguments, **options):
            asked.append((arguments, options))
            return "datasets"

        @staticmethod
        def from_czcdp_depositions(*arguments, **options):
            asked.append((arguments, options))
            return "depositions"

    monkeypatch.setattr(opening.plugins, "backends", SimpleNamespace(get=lambda name: SimpleNamespace(root_cls=Portal)))
    options = {"overlay_fs_args": {"a": 1}, "user_id": "ana", "session_id": "7", "output_path": "c.json", "graphql_url": "g"}

    assert copick_core.from_czcdp_datasets([1, 2], "overlay", **options) == "datasets"
    assert copick_core.from_czcdp_depositions([3], None, **options) == "depositions"

    assert asked == [(([1, 2], "overlay"), options), (([3], None), options)]
