"""``copick-core portal-cache``: what a project keeps on disk of the portal, and how to delete it."""

from __future__ import annotations

import json
from typing import Any

import click

from copick_core.cli.parameters import examples, json_option, project_argument


@click.group
def portal_cache() -> None:
    """Show or delete the data of the CryoET Data Portal that a project keeps on disk; does not connect to the portal."""


@examples("copick-core portal-cache info config.json")
@portal_cache.command
@project_argument
@json_option
def info(config: str, as_json: bool) -> None:
    """Show what the project of the file CONFIG keeps on disk."""
    caches = _caches(config)
    if as_json:
        click.echo(json.dumps([_facts(cache) for cache in caches], indent=2))
        return
    _tell_of_none(caches)
    for cache in caches:
        _info(cache)


@examples("copick-core portal-cache clear config.json")
@portal_cache.command
@project_argument
@click.option("--all", "everything", is_flag=True, help="Also delete what other projects keep in the same folders.")
@json_option
def clear(config: str, everything: bool, as_json: bool) -> None:
    """Delete what the project of the file CONFIG keeps on disk."""
    caches = _caches(config)
    deleted = [len(cache.clear(everything=everything)) for cache in caches]
    if as_json:
        click.echo(json.dumps({"deleted_answers": sum(deleted)}))
        return
    _tell_of_none(caches)
    for number in deleted:
        print(f"{number} answers deleted")


def _caches(config: str) -> list[Any]:
    import copick_core

    return [layer.cache for layer in copick_core.from_file(config).layers.all if hasattr(layer, "cache")]


def _tell_of_none(caches: list[Any]) -> None:
    if not caches:
        print("No layer of this project keeps anything on disk.")


def _facts(cache: Any) -> dict[str, Any]:
    answers = [
        {"file": str(entry.path), "bytes": entry.size, "stale": entry.stale, "age": entry.age, "question": entry.question}
        for entry in cache.entries()
    ]
    return {"folders": [str(folder) for folder in cache.folders], "answers": answers}


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
