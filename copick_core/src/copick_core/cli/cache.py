"""``copick-core cache``: what a project keeps on disk of a remote place, and how to delete it."""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("action", choices=("info", "clear"), help="show what is kept, or delete it")
    parser.add_argument("config", help="config file of the project")
    parser.add_argument("--all", action="store_true", help="also what other projects keep in the same folders (clear)")


def run(args: argparse.Namespace) -> int:
    """Shows or deletes what is kept; the remote place is asked nothing."""
    import copick_core

    root = copick_core.from_file(args.config)
    caches = [layer.cache for layer in root.layers.all if hasattr(layer, "cache")]
    if not caches:
        print("No layer of this project keeps anything on disk.")
        return 0
    for cache in caches:
        _clear(cache, args.all) if args.action == "clear" else _info(cache)
    return 0


def _info(cache: Any) -> None:
    for folder in cache.folders:
        print(f"{folder}{'' if folder.is_dir() else ' (not there)'}")
    entries = cache.entries()
    for entry in entries:
        state = "stale" if entry.stale else "fresh"
        print(f"  {entry.path.name}  {entry.size:,} bytes  {state}, {_age(entry.age)} old  {entry.question}")
    print(f"{len(entries)} answers, {sum(entry.size for entry in entries):,} bytes")


def _clear(cache: Any, everything: bool) -> None:
    deleted = cache.clear(everything=everything)
    print(f"{len(deleted)} answers deleted")


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
