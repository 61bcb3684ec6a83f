"""Which tests execute a line: measured once for each file of tests, and kept in .cache/mutation."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .copies import REPOSITORY, environment, run_pytest

CACHE = REPOSITORY / ".cache" / "mutation"

#: Arguments of pytest for tests that are slow, which are used only where a whole file of them is.
WITH_SLOW = ("-m", "not exhaustive and not full")
_SLOW = re.compile(r"^pytestmark = .*\bpytest\.mark\.slow\b", re.MULTILINE)

# A plugin of pytest, which runs in the copy: the line that is executed belongs to the test that runs.
_PLUGIN = """
import json, os
import coverage, pytest

outcomes = {}

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    measured = coverage.Coverage.current()
    if measured is not None:
        measured.switch_context(item.nodeid)
    os.environ["MUTATION_TEST"] = item.nodeid
    try:
        return (yield)
    finally:
        if measured is not None:
            measured.switch_context("")

def pytest_runtest_logreport(report):
    seconds, passed = outcomes.get(report.nodeid, (0.0, True))
    outcomes[report.nodeid] = (seconds + report.duration, passed and report.passed)

def pytest_sessionfinish():
    with open(os.environ["MUTATION_OUTCOMES"], "w") as file:
        json.dump(outcomes, file)
"""

_SETTINGS = """
[run]
data_file = {folder}/data
parallel = true
source =
    {sources}
context = ${{MUTATION_TEST-}}
disable_warnings = no-data-collected, module-not-measured, module-not-imported, dynamic-conflict, no-sysmon
"""


@dataclass
class CoverageMap:
    """The tests of each line.

    Attributes:
        tests: Tests by the path of a source file and the line in it.
        seconds: How long each passing test took.
        not_passing: Tests that fail without any mutation, or are skipped: they show nothing.
    """

    tests: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    seconds: dict[str, float] = field(default_factory=dict)
    not_passing: set[str] = field(default_factory=set)

    def tests_of(self, path: str, lines: Iterable[int]) -> set[str]:
        """Return the tests that execute one of these lines; if none is known to, all tests of the module."""
        by_line = self.tests.get(path, {})
        found: set[str] = set().union(*(by_line.get(line, ()) for line in lines))
        return found or set().union(*by_line.values())


def load(
    copy: Path, commit: str, *, say: Callable[[str], object], left_out: Sequence[str] = (), cache: Path = CACHE
) -> CoverageMap:
    """Measure the files of tests that are new or changed, and return the map of the suite at a commit.

    What was measured at another commit is kept: its lines are found again where they are now. Remove .cache/mutation to
    measure everything afresh.

    Args:
        copy: A copy of the repository at the commit.
        commit: The commit.
        say: Called with a line of progress.
        left_out: Beginnings of the paths of tests that are not used.
        cache: The folder that keeps what was measured.
    """
    cache.mkdir(parents=True, exist_ok=True)
    result = CoverageMap()
    for part, files in _parts(copy, left_out).items():
        unknown = [file for file in files if _kept(copy, file, cache) is None]
        if unknown:
            say(f"measuring {part}: {len(unknown)} of {len(files)} files")
            slow = [file for file in unknown if _SLOW.search((copy / file).read_text())]
            if quick := [file for file in unknown if file not in slow]:
                _measure(copy, commit, quick, cache)
            if slow:
                _measure(copy, commit, slow, cache, marks=WITH_SLOW)
        for file in files:
            _add(result, copy, _kept(copy, file, cache) or {})
    return result


def _parts(copy: Path, left_out: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of tests by their folder: those of one folder are measured in one go."""
    files = sorted(p.relative_to(copy).as_posix() for p in (copy / "tests").rglob("test_*.py"))
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        if not file.startswith(tuple(left_out)):
            found[file.rpartition("/")[0]].append(file)
    return found


def _place(file: str, cache: Path) -> Path:
    return cache / f"{file.removesuffix('.py').replace('/', '-')}.json"


def _digest(copy: Path, file: str) -> str:
    return hashlib.sha256((copy / file).read_bytes()).hexdigest()


def _kept(copy: Path, file: str, cache: Path) -> dict[str, Any] | None:
    """Return what was measured of a file of tests, None if the file is another one now."""
    try:
        found: dict[str, Any] = json.loads(_place(file, cache).read_text())
    except FileNotFoundError:
        return None
    return found if found["digest"] == _digest(copy, file) else None


def _add(result: CoverageMap, copy: Path, found: dict[str, Any]) -> None:
    passed = {test: seconds for test, (seconds, passed) in found["outcomes"].items() if passed}
    result.seconds |= passed
    result.not_passing |= found["outcomes"].keys() - passed.keys()
    for path, by_line in found["lines"].items():
        moved = _moved(copy, found["commit"], path)
        for line, numbers in by_line.items():
            now = moved.get(int(line)) if moved is not None else int(line)
            if now is not None:
                result.tests[path][now] |= {found["tests"][n] for n in numbers} & passed.keys()


@functools.cache
def _moved(copy: Path, commit: str, path: str) -> dict[int, int] | None:
    """Return where the lines of a file at a commit are in the copy; None if the file is the same."""
    shown = subprocess.run(["git", "show", f"{commit}:{path}"], cwd=copy, capture_output=True, text=True, check=False)
    now = (copy / path).read_text() if (copy / path).exists() else ""
    if shown.stdout == now:
        return None
    same = difflib.SequenceMatcher(None, shown.stdout.splitlines(), now.splitlines(), autojunk=False).get_matching_blocks()
    return {block.a + n + 1: block.b + n + 1 for block in same for n in range(block.size)}


def _measure(copy: Path, commit: str, files: Sequence[str], cache: Path, *, marks: Sequence[str] = ()) -> None:
    from coverage import CoverageData
    from coverage.exceptions import DataError

    folder = copy.parent / "coverage"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("data*"):
        old.unlink()
    settings, outcomes = folder / "settings.ini", folder / "outcomes.json"
    sources = "\n    ".join(map(str, copy.glob("copick_*/src")))
    settings.write_text(_SETTINGS.format(folder=folder, sources=sources))
    (copy.parent / "site" / "mutation_contexts.py").write_text(_PLUGIN)
    env = environment(copy, COVERAGE_PROCESS_START=str(settings), MUTATION_OUTCOMES=str(outcomes), COVERAGE_CORE="ctrace")
    outcomes.unlink(missing_ok=True)
    code, output = run_pytest(copy, ["-q", "-p", "mutation_contexts", *marks, *files], seconds=7200, env=env)
    if not outcomes.exists():
        raise RuntimeError(f"pytest measured nothing and ended with {code}: {output[-2000:]}")
    seen = json.loads(outcomes.read_text())
    lines: dict[str, Any] = {file: defaultdict(lambda: defaultdict(set)) for file in files}
    for data_file in folder.glob("data*"):
        data = CoverageData(basename=str(data_file))
        try:
            data.read()
        except DataError:
            continue  # of a process that a test killed while it wrote the file
        for path in data.measured_files():
            relative = Path(path).relative_to(copy).as_posix()
            for line, tests in data.contexts_by_lineno(path).items():
                for test in tests:
                    if (file := test.partition("::")[0]) in lines:  # the others ran when a module was imported
                        lines[file][relative][line].add(test)
    for file in files:
        of_file = {test: outcome for test, outcome in seen.items() if test.partition("::")[0] == file}
        numbers = {test: n for n, test in enumerate(of_file)}
        by_path = {
            path: {line: sorted(numbers[t] for t in tests if t in numbers) for line, tests in by_line.items()}
            for path, by_line in lines[file].items()
        }
        kept = {"digest": _digest(copy, file), "commit": commit, "outcomes": of_file, "tests": list(of_file), "lines": by_path}
        _place(file, cache).write_text(json.dumps(kept))
