"""Either library edits the other one's project, and both agree on the result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.comparison import differences, without_writers_choices
from support.libraries import Library

pytestmark = [pytest.mark.reference, pytest.mark.slow]


@pytest.fixture(scope="module")
def reference_edited_its_own(reference: Library, reference_written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of the reference's project, edited by the reference: what every edited project has to equal."""
    config = _copied(reference_written, tmp_path_factory.mktemp("reference-edited"))
    reference.edit(config)
    return config


@pytest.mark.parametrize("editor", ["reference", "ours"])
@pytest.mark.parametrize("written", ["reference_written", "our_written"])
def test_both_read_the_same_after_either_edited(
    request: pytest.FixtureRequest, reference: Library, ours: Library, tmp_path: Path, written: str, editor: str
) -> None:
    config = _copied(request.getfixturevalue(written), tmp_path)

    request.getfixturevalue(editor).edit(config)

    assert differences(reference.dump(config), ours.dump(config)) == []


@pytest.mark.parametrize(
    ("written", "editor"), [("reference_written", "ours"), ("our_written", "reference"), ("our_written", "ours")]
)
def test_edits_come_to_the_same_whoever_makes_them(
    request: pytest.FixtureRequest,
    reference: Library,
    reference_edited_its_own: Path,
    tmp_path: Path,
    written: str,
    editor: str,
) -> None:
    config = _copied(request.getfixturevalue(written), tmp_path)
    expected = without_writers_choices(reference.dump(reference_edited_its_own))

    request.getfixturevalue(editor).edit(config)

    assert differences(expected, without_writers_choices(reference.dump(config))) == []


def _copied(config: Path, folder: Path) -> Path:
    """Copy a project and its config, which gets the copy's root."""
    shutil.copytree(config.with_name("project"), folder / "project")
    content = json.loads(config.read_text())
    content["overlay_root"] = f"local://{folder / 'project'}"
    copied = folder / "config.json"
    copied.write_text(json.dumps(content))
    return copied
