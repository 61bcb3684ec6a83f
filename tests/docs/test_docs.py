"""Documents are true to the code."""

import importlib
import json
import re
import subprocess
from pathlib import Path

import pytest

import copick_core
from copick_core import plugins
from copick_core.models import PickableObject
from copick_core.tree.schema import CopickConfig, CopickPicksFile

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


def rows(section: str) -> dict[str, str]:
    """Fields and defaults of the first table of a section."""
    text = CONFIGURATION.split(f"\n{section}\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for names, default in re.findall(r"^\| (`.*?`) \| (.*?) \|", text.split("\n\nA", 1)[0] + "\n", re.M):
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip("`")))
    return found


def fields(model) -> dict[str, str]:
    """Fields of a model that the base configuration does not have, with their defaults as JSON."""
    return {
        name: "required" if field.is_required() else json.dumps(field.get_default(call_default_factory=True))
        for name, field in model.model_fields.items()
        if model is CopickConfig or model is PickableObject or name not in CopickConfig.model_fields
    }


def test_the_common_fields_are_documented_with_their_defaults():
    assert rows("## Every backend") == fields(CopickConfig)


def test_the_fields_of_objects_are_documented_with_their_defaults():
    assert rows("An object:") == fields(PickableObject)


@pytest.mark.parametrize("config_type", plugins.backends.names())
def test_the_fields_of_every_installed_backend_are_documented_with_their_defaults(config_type):
    assert rows(f"## {config_type}") == fields(plugins.backends.get(config_type).config_cls)


def _write_volume_files(folder):
    """The files that the quickstart imports."""
    import mrcfile
    import numpy as np
    import tifffile

    volume = np.zeros((64, 128, 128), np.float32)
    with mrcfile.new(folder / "TS_001.mrc", volume) as file:
        file.voxel_size = 13.48
    header = bytes([6, 0, 0, 5]) + np.array(volume.shape[::-1], "<i4").tobytes()
    (folder / "TS_001.em").write_bytes(header.ljust(512, b"\0") + volume.tobytes())
    tifffile.imwrite(folder / "edges.tif", volume)


def test_the_quickstart_runs(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "quickstart.md").read_text()
    config, *_ = re.findall(r"```json\n(.*?)```", text, re.S)
    (tmp_path / "config.json").write_text(config)
    _write_volume_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    (tmp_path / "review.json").write_text(re.search(r"`review\.json`:\n\n```json\n(.*?)```", text, re.S)[1])
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(block, names)  # the document's own code
    root = copick_core.open("config.json")
    assert [(p.user_id, len(p.points)) for p in root.get_run("TS_001").picks] == [("alice", 1)]
    assert [s.voxel_size for s in root.get_run("TS_001").voxel_spacings] == [7.84, 10.0, 13.48]


@pytest.mark.parametrize("document", ["README.md", "docs/from-copick-1.md"])
def test_the_code_of_a_document_runs(document, tmp_path, monkeypatch):
    config = {
        "config_type": "filesystem",
        "overlay_root": "data",
        "pickable_objects": [{"name": "ribosome", "is_particle": True}],
    }
    if document != "README.md":  # which makes one
        (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.S):
        exec(block, names)  # the document's own code
    assert [len(run.get_picks("ribosome", "alice", "1")) for run in copick_core.open("config.json").runs] == [1]


def test_the_json_of_the_references_is_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "project.json").write_text('{"config_type": "memory"}')  # one of them refers to it
    for document, read in [("configuration.md", copick_core.open), ("on-disk-format.md", CopickPicksFile.model_validate)]:
        blocks = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / document).read_text(), re.S)
        assert blocks
        for block in blocks:
            assert read(json.loads(block)) is not None


def test_links_between_documents_lead_somewhere():
    links = []
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("copick_*/*.md")]:
        prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
        targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", prose)
        links += [(document, target) for target in targets if "://" not in target]

    assert len(links) > 50
    assert [
        f"{document.name} links to {target}" for document, target in links if not (document.parent / target).exists()
    ] == []


def test_every_distribution_has_a_readme_a_licence_and_types():
    projects = sorted(ROOT.glob("copick_*/pyproject.toml"))

    assert len(projects) >= 8
    for project in projects:
        folder = project.parent
        assert (folder / "README.md").stat().st_size > 100, folder.name
        assert (folder / "LICENSE").exists()
        assert [*(folder / "src").glob("*/py.typed")]


@pytest.mark.parametrize("package", ["copick_core", "copick_backend_fs", "copick_backend_memory"])
def test_nothing_is_printed_and_no_handler_is_installed_by_importing(package):
    import sys

    code = f"import logging, {package}; print(logging.getLogger().handlers)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_the_package_promises_can_be_imported():
    for name in copick_core.__all__:
        assert getattr(copick_core, name) is not None
    assert importlib.import_module("copick_core.models").CopickPicks
    with pytest.raises(AttributeError):
        _ = copick_core.nothing
