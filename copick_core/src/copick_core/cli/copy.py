"""``copick-core copy``: copy a project into another one, of any backend."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack

from copick_core import opening
from copick_core.cli.progress import progress
from copick_core.projects.copying import copy_project
from copick_core.tree.keys import Key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the subcommand."""
    parser.add_argument("source", metavar="SRC_CONFIG", help="config file of the project to copy")
    parser.add_argument(
        "target", metavar="DST_CONFIG", help="config file of the project to copy into; its objects are updated"
    )
    parser.add_argument("--runs", nargs="+", metavar="RUN", help="only these runs")
    parser.add_argument("--verify", action="store_true", help="compare every byte and every voxel afterwards")
    parser.add_argument("--overwrite", action="store_true", help="replace what the target has with other content")


def run(args: argparse.Namespace) -> int:
    """Copies, and says what was done; calling it again resumes a copy that was interrupted."""
    source, target = opening.open(args.source), opening.open(args.target)
    objects = len(target.config.pickable_objects)
    with ExitStack() as bar:
        advance: Callable[[str], None] | None = None

        def show(key: Key, done: int, total: int) -> None:
            nonlocal advance
            if advance is None:  # how much there is to copy is known from here on
                advance = bar.enter_context(progress(total, "Copying"))
            advance(str(key))

        try:
            report = copy_project(source, target, args.runs, overwrite=args.overwrite, verify=args.verify, progress=show)
        finally:  # what was copied before an error belongs to objects too
            if len(target.config.pickable_objects) != objects and target.config._file is not None:
                target.save_config(args.target)
    verified = f", verified {len(report.verified)}" if args.verify else ""
    print(f"Copied {len(report.copied)} entities, skipped {len(report.skipped)} that were there already{verified}.")
    return 0
