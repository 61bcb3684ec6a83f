"""``copick-core portal-cache``: what a project keeps on disk of the portal, and how to delete it."""

from __future__ import annotations

from typing import Any

import click

from copick_core.cli.parameters import examples, project_argument


@click.group
def portal_cache() -> None:
    """Show or delete what a project keeps on disk of the portal; the portal is not asked."""


@examples("copick-core portal-cache info config.json")
@portal_cache.command
@project_argument
def info(config: str) -> None:
    """Show what the project of the file CONFIG keeps on disk."""
    for cache in _caches(config):
        _info(cache)


@examples("copick-core portal-cache clear config.json")
@portal_cache.command
@project_argument
@click.option("--all", "everything", is_flag=True, help="Also what other projects keep in the same folders.")
def clear(config: str, everything: bool) -> None:
    """Delete what the project of the file CONFIG keeps on disk."""
    for cache in _caches(config):
        print(f"{len(cache.clear(everything=everything))} answers deleted")


def _caches(config: str) -> list[Any]:
    import copick_core

    caches = [layer.cache for layer in copick_core.from_file(config).layers.all if hasattr(layer, "cache")]
    if not caches:
        print("No layer of this project keeps anything on disk.")
    return caches


def _info(cache: Any) -> None:
    for folder in cache.folders:
        print(f"{folder}{'' if folder.is_dir() else ' (not there)'}")
    entries = cache.entries()
    for entry in entries:
        state = "stale" if entry.stale else "fresh"
        print(f"  {entry.path.name}  {entry.size:,} bytes  {state}, {_age(entry.age)} old  {entry.question}")
    print(f"{len(entries)} answers, {sum(entry.size for entry in entries):,} bytes")


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
