"""The released reference library, and projects that each of the two libraries wrote of one description."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from support import libraries
from support.description import write_config, write_description
from support.environments import IndexUnreachableError, reference_python
from support.libraries import Library
from support.reference_scripts.dump import Dump
from support.shared_data import data_file


@pytest.fixture(scope="session")
def reference() -> Library:
    try:
        return libraries.reference(reference_python())
    except IndexUnreachableError as error:
        pytest.skip(f"the reference library cannot be installed: {error}")


@pytest.fixture(scope="session")
def ours() -> Library:
    return libraries.ours()


@pytest.fixture(scope="session")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_description(tmp_path_factory.mktemp("description") / "project", seed=20261121)


@pytest.fixture(scope="session")
def other_description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same entities with other values, and one more run."""
    folder = tmp_path_factory.mktemp("description") / "other"
    return write_description(folder, seed=7, runs=("TS_001", "grid 7.tilt-3", "TS_900"))


@pytest.fixture(scope="session")
def reference_written(reference: Library, description: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of the described project, written by the reference; tests leave it as it is."""
    return _written(reference, description, tmp_path_factory.mktemp("reference-written"))


@pytest.fixture(scope="session")
def our_written(ours: Library, description: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of the described project, written by us; tests leave it as it is."""
    return _written(ours, description, tmp_path_factory.mktemp("our-written"))


@pytest.fixture(scope="session")
def reference_reads_ours(reference: Library, our_written: Path) -> Dump:
    return reference.dump(our_written)


@pytest.fixture(scope="session")
def reference_reads_its_own(reference: Library, reference_written: Path) -> Dump:
    return reference.dump(reference_written)


@pytest.fixture(scope="session")
def reference_overlay(reference: Library, other_description: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of the other described project, written by the reference."""
    return _written(reference, other_description, tmp_path_factory.mktemp("reference-overlay"))


@pytest.fixture(scope="session")
def our_overlay(ours: Library, other_description: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of the other described project, written by us."""
    return _written(ours, other_description, tmp_path_factory.mktemp("our-overlay"))


@pytest.fixture
def shipped_project(tmp_path: Path) -> Path:
    """The config of a project of real data that the reference wrote, unpacked for this test alone."""
    archive = data_file("reference_project.tar.gz")
    if archive is None:
        pytest.skip("reference_project.tar.gz is not there; COPICK_TEST_DATA names the folder of the test data")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "config.json"


def _written(library: Library, description: Path, folder: Path) -> Path:
    config = write_config(folder / "config.json", folder / "project")
    library.write(config, description)
    return config
