"""Every distribution has one version and one changelog; the rehearsal stops at what would break a release."""

import importlib
import re
import runpy
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in ROOT.glob("copick_*/pyproject.toml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_newest_version_of_the_changelog_is_that_of_the_package(folder):
    newest, *_ = re.findall(r"^## (\S+)", (folder / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    version = (folder / project["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")

    assert f'__version__ = "{newest}"' in version


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_distribution_says_which_versions_of_the_others_it_needs(folder):
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    needed = [Requirement(text) for requirements in lists for text in requirements]
    ours = [one for one in needed if one.name.startswith("copick-") and one.name != project["name"]]
    installed = {one.name: importlib.import_module(one.name.replace("-", "_")).__version__ for one in ours}

    assert ours
    assert not [str(one) for one in ours if not one.specifier or not one.specifier.contains(installed[one.name])]


@pytest.fixture
def rehearse():
    return runpy.run_path(str(ROOT / ".ci" / "rehearse.py"))


def write_wheel(folder, name, *requires):
    path = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {r}" for r in requires)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}-1.0.dist-info/METADATA", "\n".join([*lines, "", ""]))
    return path


def test_an_index_has_one_page_for_each_distribution_which_links_to_its_wheel(rehearse, tmp_path):
    wheels = [
        write_wheel(tmp_path, "copick-core", 'copick-backend-fs; extra == "fs"'),
        write_wheel(tmp_path, "copick-backend-fs"),
    ]

    rehearse["make_index"](wheels, tmp_path)

    page = tmp_path / "simple" / "copick-core"
    assert re.findall('href="(.+?)"', (page / "index.html").read_text()) == ["copick_core-1.0-py3-none-any.whl"]
    assert (page / wheels[0].name).read_bytes() == wheels[0].read_bytes()


def test_an_extra_that_names_a_distribution_which_is_not_released_stops_the_rehearsal(rehearse, tmp_path):
    wheels = [write_wheel(tmp_path, "copick-core", 'copick-backend-fs[s3]>=1; extra == "s3"')]

    with pytest.raises(SystemExit, match="copick-core requires copick-backend-fs"):
        rehearse["make_index"](wheels, tmp_path)
