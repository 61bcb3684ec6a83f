"""Draw mutations of the product, run the tests of each, and print which survive."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import coverage_map, report
from .copies import REPOSITORY, commit_of, copy_of
from .operators import PICKED, draw, picked
from .running import Result, try_mutation

#: The conformance kit is a test itself, and has broken layers of its own.
NOT_THE_PRODUCT = "copick_core/src/copick_core/testing/"


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser("python -m tests.support.mutation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the random mutations (default 0)")
    parser.add_argument("--random", type=int, default=60, metavar="N", help="how many random mutations (default 60)")
    parser.add_argument("--commit", default="HEAD", help="the commit that is mutated and whose tests run (default HEAD)")
    parser.add_argument("--picked", type=Path, default=PICKED, metavar="FILE", help="mutations picked by hand (TOML)")
    parser.add_argument("--without-picked", action="store_true", help="only random mutations")
    parser.add_argument(
        "--over", nargs="+", metavar="FOLDER", help="distributions that are mutated (default: core, all backends)"
    )
    parser.add_argument("--matching", default="", metavar="TEXT", help="only mutations whose path or reason has this text")
    parser.add_argument(
        "--survivors",
        choices=("suite", "line", "nearest"),
        default="suite",
        help="what runs when the nearest tests pass: the quick suite (default), all tests that execute the line, or nothing",
    )
    parser.add_argument(
        "--leave-out", nargs="*", default=["tests/bench"], metavar="PATH", help="tests that are not used (default tests/bench)"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no mutation after so many minutes")
    parser.add_argument("--list", action="store_true", help="print the mutations and run nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too, after every mutation")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str], repository: Path = REPOSITORY) -> int:
    """Run the command line; returns 1 if a mutation survives, 2 if one that was picked does not fit any more."""
    options = parsed(arguments)
    began = time.monotonic()
    commit = commit_of(options.commit, repository)

    def say(line: str) -> None:
        print(f"[{(time.monotonic() - began) / 60:5.1f} min] {line}", file=sys.stderr, flush=True)

    with copy_of(commit, repository) as copy:
        over = options.over or ["copick_core", *sorted(p.name for p in copy.glob("copick_backend_*"))]
        files = [p for folder in over for p in (copy / folder / "src").rglob("*.py")]
        sources = {p.relative_to(copy).as_posix(): p.read_text() for p in files}
        sources = {path: text for path, text in sources.items() if not path.startswith(NOT_THE_PRODUCT)}
        mutations = draw(sources, options.random, options.seed)
        stale: Sequence[str] = ()
        if not options.without_picked:
            by_hand, stale = picked(options.picked.read_text(), lambda path: (copy / path).read_text())
            mutations += by_hand
        mutations = [m for m in mutations if options.matching in f"{m.path} {m.kind}"]
        for line in stale:
            say(f"does not fit any more: {line}")
        if options.list:
            for m in mutations:
                text = (copy / m.path).read_text()
                print(f"{m.path}:{m.lines(text)[0]} {m.kind}\n{m.diff(text)}\n")
            return 2 if stale else 0
        known = coverage_map.load(copy, commit, say=say, left_out=options.leave_out, cache=repository / ".cache/mutation")
        results: list[Result] = []
        for number, mutation in enumerate(mutations, 1):
            if time.monotonic() - began > 60 * options.minutes:
                say(f"time is over: {len(mutations) - number + 1} mutations were not tried")
                break
            result = try_mutation(mutation, copy, known, survivors=options.survivors, say=say, left_out=options.leave_out)
            results.append(result)
            say(f"{number}/{len(mutations)} {mutation.path}:{result.line} {mutation.kind}: {result.killed_by or 'SURVIVES'}")
            if options.json:
                options.json.write_text(report.as_json(results, commit=commit, seed=options.seed))
    print(report.as_markdown(results, commit=commit, seed=options.seed), end="")
    return 2 if stale else int(any(not result.killed_by for result in results))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what it started, and removes the copy
    sys.exit(main(sys.argv[1:]))
