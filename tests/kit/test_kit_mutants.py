"""The kit catches mistakes: every broken layer fails the check that is there for its mistake, and says what it saw."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support import backend_mutants, mutants

pytestmark = pytest.mark.slow

MUTANTS = [(m.__name__, m.caught_by, m.seen) for m in mutants.LAYERS]
MUTANTS += [(m.name, m.caught_by, m.seen) for m in backend_mutants.BACKENDS]
HONEST = [
    ("HonestBackend" if m.backend.config_type == "mutant" else "HonestFolder", m.caught_by) for m in backend_mutants.BACKENDS
]
SUITE = Path(mutants.__file__).with_name("mutant_suite.py")


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """What failed when each mutant met its check: {mutant: [message]}."""
    report = tmp_path_factory.mktemp("mutants") / "report.xml"
    checks = [f"{SUITE}::Test{name}::{caught_by}" for name, caught_by, _ in MUTANTS]
    checks += sorted({f"{SUITE}::Test{name}::{check}" for name, check in HONEST})
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


@pytest.mark.parametrize(("name", "caught_by", "seen"), MUTANTS, ids=[name for name, _, _ in MUTANTS])
def test_a_broken_layer_or_backend_fails_the_check_for_its_mistake(failures, name, caught_by, seen):
    messages = failures.get(name, [])

    assert messages, f"{caught_by} did not fail"
    assert any("Contract broken: “" in m and re.search(seen, m) for m in messages), messages


@pytest.mark.parametrize("name", sorted({name for name, _ in HONEST}))
def test_what_they_are_made_from_passes_the_same_checks(failures, name):
    assert failures[name] == []


def test_there_are_many_mutants():
    assert len(MUTANTS) >= 25
