"""Projects of copick 2.0's alphas: whatever either library wrote, both read the same entities and values of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support import libraries
from support.comparison import differences
from support.description import write_config
from support.environments import IndexUnreachableError, python_with
from support.libraries import Library

pytestmark = [pytest.mark.reference, pytest.mark.slow]


@pytest.fixture(scope="module")
def theirs() -> Library:
    try:
        return libraries.reference(python_with("copick", "2.0.0a6"))
    except IndexUnreachableError as error:
        pytest.skip(f"the library cannot be installed: {error}")


@pytest.fixture(scope="module")
def ours() -> Library:
    """Ours, where zarr may warn of the codecs of copick 2.0: the script that reads opens volumes by zarr alone too."""
    library = libraries.ours()
    return replace(library, interpreter=(*library.interpreter, "-W", "ignore:Numcodecs codecs are not in the Zarr version 3"))


@pytest.mark.parametrize("writer", ["theirs", "ours"])
def test_both_read_the_same(
    request: pytest.FixtureRequest, tmp_path: Path, theirs: Library, ours: Library, description: Path, writer: str
) -> None:
    config = write_config(tmp_path / "config.json", tmp_path / "project")
    request.getfixturevalue(writer).write(config, description)

    assert differences(theirs.dump(config), ours.dump(config)) == []
