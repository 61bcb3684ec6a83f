"""Entry points as installers leave them, against what importlib.metadata finds."""

import importlib.metadata
import re
import sys
import zipfile

import pytest

from copick_core.plugins.entry_points import entry_points

TEXT = """
# what a plugin brings
[copick.commands]
theirs = their_module:group.sub [extra]
; another comment

[other]
odd=their_module
not a line
"""


def installed(site, folder="their_plugin-1.2.dist-info", text=TEXT, headers="Name: Their-Plugin\nVersion: 1.2\n"):
    info = site / folder
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(text)
    if headers:
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{headers}\nVersion: of the description\n")


def theirs():
    return [point for point in entry_points() if point.value.startswith("their_module")]


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_they_are_those_that_importlib_finds_in_this_environment():
    groups = importlib.metadata.entry_points().groups
    known = [point for group in groups for point in importlib.metadata.entry_points(group=group)]
    expected = {(p.group, p.name, p.value, p.dist.name, p.dist.version) for p in known}

    found = {(p.group, p.name, p.value, p.distribution.name, p.distribution.version) for p in entry_points()}

    assert found == {(*rest, re.sub("[-_.]+", "-", name).lower(), version) for *rest, name, version in expected}
    assert len(found) > 50


def test_a_line_gives_group_name_and_value_and_its_distribution_name_and_version(site):
    installed(site)

    points = theirs()

    assert [point[:3] for point in points] == [
        ("copick.commands", "theirs", "their_module:group.sub [extra]"),
        ("other", "odd", "their_module"),
    ]
    assert {(point.distribution.name, point.distribution.version) for point in points} == {("their-plugin", "1.2")}


def test_loading_follows_the_attributes(site):
    installed(site)
    (site / "their_module.py").write_text("class group:\n    sub = 7\n")

    attribute, module = [point.load() for point in theirs()]

    assert attribute == 7
    assert module.__name__ == "their_module"


def test_of_a_distribution_that_is_installed_twice_the_first_on_the_path_counts(site, tmp_path, monkeypatch):
    installed(site)
    monkeypatch.syspath_prepend(str(tmp_path / "before"))
    installed(
        tmp_path / "before",
        "Their.Plugin-2.0.dist-info",
        "[other]\nnewer = their_module\n",
        "Name: Their-Plugin\nVersion: 2.0\n",
    )

    assert [(point.name, point.distribution.version) for point in theirs()] == [("newer", "2.0")]


def test_a_distribution_without_metadata_is_named_as_its_folder(site):
    installed(site, headers="")

    assert {(point.distribution.name, point.distribution.version) for point in theirs()} == {("their-plugin", "1.2")}


def test_a_develop_install_is_found_by_its_egg_info(site):
    installed(site, "their_plugin.egg-info", headers="")
    (site / "their_plugin.egg-info" / "PKG-INFO").write_text("Name: their-plugin\nVersion: 0.1\n")

    assert {(point.distribution.name, point.distribution.version) for point in theirs()} == {("their-plugin", "0.1")}


def test_a_distribution_in_a_zip_file_is_found(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        archive.writestr("their_plugin-1.2.dist-info/entry_points.txt", TEXT)
        archive.writestr("their_plugin-1.2.dist-info/METADATA", "Name: their-plugin\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(str(tmp_path / "app.pyz"))

    assert {(point.distribution.name, point.distribution.version) for point in theirs()} == {("their-plugin", "1.2")}


def test_a_finder_of_its_own_is_asked(site, tmp_path, monkeypatch):
    installed(tmp_path / "hidden")

    class Finder:
        @staticmethod
        def find_spec(*args):
            return None

        @staticmethod
        def find_distributions(context=None):
            path = [str(tmp_path / "hidden")]
            return importlib.metadata.MetadataPathFinder.find_distributions(
                importlib.metadata.DistributionFinder.Context(path=path)
            )

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])

    assert {point.distribution.name for point in theirs()} == {"their-plugin"}


def test_a_path_that_does_not_exist_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path / "nowhere"))

    assert entry_points()
