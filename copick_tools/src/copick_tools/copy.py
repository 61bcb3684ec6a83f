"""``copick-core copy``: copy a project into another one, of any backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack

import click

from copick_core import opening
from copick_core.cli.parameters import examples, if_exists_option, json_option
from copick_core.errors import ConfigError
from copick_core.projects.copying import copy_project
from copick_core.tree.addresses import address_of
from copick_core.tree.keys import Key
from copick_tools.progress import progress


@examples(
    "copick-core copy config.json backup.json --verify",
)
@click.command
@click.argument("source_config", metavar="SRC_CONFIG")
@click.argument("target_config", metavar="DST_CONFIG")
@click.option("--runs", "--run", multiple=True, metavar="RUN", help="Only this run; repeatable.")
@click.option("--verify", is_flag=True, help="Compare every byte and every voxel afterwards.")
@if_exists_option("fail", "replace", what="entities that the target has with other content")
@json_option
def copy(source_config: str, target_config: str, runs: tuple[str, ...], verify: bool, if_exists: str, as_json: bool) -> None:
    """Copy a project into another one, of any backend.

    SRC_CONFIG is the config file of the project to copy, DST_CONFIG that of the project to copy into, whose objects are
    updated. Calling it again resumes a copy that was interrupted.
    """
    source, target = opening.open(source_config), opening.open(target_config)
    overlay = target.layers.overlay
    if overlay is not None and overlay.process_bound is not None:
        raise ConfigError(
            source=target_config,
            reason="what is copied there is gone when this command ends, since it lies in the memory of the process. Name a "
            "config of another backend, or call copick_core.copy_project in Python",
        )
    overwrite = if_exists == "replace"
    objects = len(target.config.pickable_objects)
    with ExitStack() as bar:
        advance: Callable[[str], None] | None = None

        def show(key: Key, done: int, total: int) -> None:
            nonlocal advance
            if advance is None:  # how much there is to copy is known from here on
                advance = bar.enter_context(progress(total, "Copying"))
            advance(str(key))

        try:
            report = copy_project(source, target, runs or None, overwrite=overwrite, verify=verify, progress=show)
        finally:  # what was copied before an error belongs to objects too
            if len(target.config.pickable_objects) != objects and target.config._file is not None:
                target.save_config(target_config)
    if as_json:
        facts = {
            name: [{"kind": key.kind.value, "address": str(address_of(key))} for key in keys]
            for name, keys in vars(report).items()
        }
        click.echo(json.dumps(facts, indent=2))
        return
    verified = f", verified {len(report.verified)}" if verify else ""
    print(f"Copied {len(report.copied)} entities, skipped {len(report.skipped)} that were there already{verified}.")
