"""Functions that only look: they change nothing, in any storage, and see the same in each."""

from __future__ import annotations

import pytest

from copick_tools.commands.looking import described
from copick_tools.comparing import compare
from copick_tools.pictures import contact_sheet, picture
from copick_tools.stats import stats
from tools.conftest import contents

LOOKS = {
    "compare": (lambda root, _: compare(root.select("ribosome:alice"), root.select("ribosome:bob"), 2)[""].matched, 2),
    "stats": (lambda root, _: stats(root, points=True, tools=True)["picks"]["points"], 4),
    "picture": (lambda root, _: picture(root, "TS_1", plane="y", side_by_side=True).width // 1080, 2),
    "contact sheet": (lambda root, folder: contact_sheet(root, str(folder / "all.html"), ["TS_1", "TS_2"]), 1),
    "show": (lambda root, _: described(root.entity("TS_1/wbp@10.0", "tomogram"))["levels"][0]["shape"], [4, 4, 4]),
}


@pytest.mark.parametrize(("look", "seen"), LOOKS.values(), ids=LOOKS.keys())
def test_looking_changes_nothing(project, tmp_path, look, seen):
    before = contents(project)

    assert look(project, tmp_path) == seen
    assert contents(project) == before
