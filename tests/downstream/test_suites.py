"""Test suites of released tools pass on the drop-in; ``tests/downstream/run`` compares all with the released copick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.downstream import BY_NAME, run

pytestmark = pytest.mark.slow

#: What writes volumes, filaments and picks through copick, and what opens projects in napari.
SAMPLE = {
    "copick-utils": ("test_delegated_writers.py", "test_filaments.py", "test_pick_tools.py", "test_run_names_option.py"),
    "napari-copick": (),  # all of it takes 3 seconds
    "copick": ("test_uri.py", "test_ontology.py", "test_segmentation_util.py", "test_browser.py"),
}


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_the_suite_passes_on_the_drop_in(name, dropin_env, tmp_path):
    found = run(dropin_env, BY_NAME[name], tmp_path / "report.xml", *SAMPLE[name])

    assert len(found) > 5
    assert {test: outcome for test, outcome in found.items() if outcome != "passed" and "set aside" not in outcome} == {}


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_all_suites_pass_that_pass_on_the_released_copick():
    script = Path(__file__).with_name("run")

    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
