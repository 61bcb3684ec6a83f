"""The kit catches mistakes: every broken layer fails the check that is there for its mistake, and says what it saw."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support import mutants

SUITE = Path(mutants.__file__).with_name("mutant_suite.py")


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """What failed when each mutant met its check: {mutant: [message]}."""
    report = tmp_path_factory.mktemp("mutants") / "report.xml"
    checks = [f"{SUITE}::Test{mutant.__name__}::{mutant.caught_by}" for mutant in mutants.LAYERS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--tb=short"]
    command += ["-c", os.devnull, "--rootdir", str(SUITE.parent), f"--junitxml={report}", *checks]
    path = os.pathsep.join([str(SUITE.parents[1]), *(p for p in sys.path if p)])
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert report.exists(), result.stdout + result.stderr
    found: dict[str, list[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("classname", "").rpartition("Test")[2]
        found.setdefault(name, []).extend(f"{f.get('message')}\n{f.text}" for f in case.iter("failure"))
    return found


@pytest.mark.parametrize("mutant", mutants.LAYERS, ids=lambda mutant: mutant.__name__)
def test_a_broken_layer_fails_the_check_for_its_mistake(failures, mutant):
    messages = failures.get(mutant.__name__, [])

    assert messages, f"{mutant.caught_by} did not fail"
    assert any("Contract broken: “" in m and re.search(mutant.seen, m) for m in messages), messages


def test_there_are_many_mutants():
    assert len(mutants.LAYERS) >= 25
