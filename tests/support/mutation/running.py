"""Trying mutations: is there a test that fails?"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .copies import environment, run_pytest
from .coverage_map import WITH_SLOW, CoverageMap
from .operators import Mutation

#: Most tests of a line that are run before the others.
NEAREST = 120
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """What became of a mutation.

    Attributes:
        mutation: The mutation.
        line: The line of the file where it is.
        diff: The change.
        killed_by: The first test that failed; "" if none did.
        tests: How many tests were run.
        seconds: How long that took.
    """

    mutation: Mutation
    line: int
    diff: str
    killed_by: str
    tests: int
    seconds: float


def nearest(tests: Iterable[str], path: str, known: CoverageMap) -> list[str]:
    """Return tests in the order in which they shall run: those of the same wing first, then quick ones."""
    executed = Counter(test for by_line in [known.tests.get(path, {})] for found in by_line.values() for test in found)
    distribution = path.partition("/")[0].rpartition("_")[2]
    wing = f"tests/{distribution}/{Path(path).parent.name}" if distribution == "core" else f"tests/{distribution}"

    def distance(test: str) -> tuple[bool, int, float]:
        second = known.seconds.get(test, 0.0)
        return not test.startswith(f"{wing}/"), round(second), -executed[test]

    return sorted(tests, key=distance)


def try_mutation(
    mutation: Mutation,
    copy: Path,
    known: CoverageMap,
    *,
    survivors: str,
    say: Callable[[str], object],
    left_out: Sequence[str],
) -> Result:
    """Apply a mutation to a copy, run tests until one fails, and put the source back.

    Args:
        mutation: The mutation.
        copy: The copy of the repository.
        known: Which tests execute a line.
        survivors: What is run when the nearest tests of the line pass: ``"nearest"``, nothing; ``"line"``, all others that
            execute it; ``"suite"``, then the whole quick suite too.
        say: Called with a line of progress.
        left_out: Beginnings of the paths of tests that are not run.
    """
    began = time.monotonic()
    file = copy / mutation.path
    source = file.read_text()
    lines = mutation.lines(source)
    executed = () if mutation.runs_at_import(source) else lines
    ordered = nearest(known.tests_of(mutation.path, executed), mutation.path, known)
    first, others = ordered[:NEAREST], ordered[NEAREST:] if survivors != "nearest" else []
    _write(file, mutation.applied(source))
    ran, killed = 0, ""
    try:
        for chosen in [first, *(others[n : n + 2000] for n in range(0, len(others), 2000))]:
            if chosen and not killed:
                killed = _run(copy, chosen, known)
                ran += len(chosen)
        if not killed and survivors == "suite":
            say(f"  {mutation.path}:{lines[0]} survives {ran} tests; running the quick suite")
            killed = _run(copy, [], known, left_out)
            ran = len(known.seconds)
    finally:
        _write(file, source)
    return Result(mutation, lines[0], mutation.diff(source), killed, ran, time.monotonic() - began)


def _run(copy: Path, tests: Sequence[str], known: CoverageMap, left_out: Sequence[str] = ()) -> str:
    """Run tests, all if none are named, and return the first that fails, "" if none does."""
    chosen = copy.parent / "tests.txt"
    chosen.write_text("\n".join(tests))
    limit = 60 + 4 * sum(known.seconds.get(test, 1.0) for test in (tests or known.seconds))
    if not tests:
        chosen.write_text("\n".join(f"--deselect={test}" for test in sorted(known.not_passing)))
    arguments = [f"@{chosen}", *(WITH_SLOW if tests else (f"--ignore={path}" for path in left_out))]
    code, output = run_pytest(copy, ["-q", "-x", "-rfE", "--timeout=180", *arguments], seconds=limit, env=environment(copy))
    if code == 0 or code == 5:
        return ""
    if code is None:
        return "(the tests did not end in time)"
    failed = _FAILED.search(output)
    return failed[1] if failed else f"(pytest ended with {code})"


def _write(file: Path, text: str) -> None:
    file.write_text(text)
    # Two texts of one size within a second would share what was compiled.
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        compiled.unlink()
