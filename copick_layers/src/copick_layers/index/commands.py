"""``copick-core index``: build the index of a project, compare it with the storage, bring it up to date, and show it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from copick_core.cli.parameters import examples, json_option

if TYPE_CHECKING:
    from copick_core.tree.keys import Key
    from copick_layers.index.layer import IndexLayer

_config = click.option(
    "-c",
    "--config",
    metavar="FILE",
    envvar="COPICK_CONFIG",
    show_envvar=True,
    required=True,
    help='Config of the project; its "wrappers" name the index.',
)
_describe = click.option(
    "--describe",
    is_flag=True,
    help="Also read sizes and points of files, shapes of volumes, and labels: every file and every segmentation.",
)


@click.group
def index() -> None:
    """Build, compare, update or show the index that the wrapper "index" keeps."""


@examples("copick-core index build --describe")
@index.command
@_config
@_describe
@json_option
def build(config: str, describe: bool, as_json: bool) -> None:
    """Build the index anew, listing the whole storage."""
    _updated(config, describe, as_json, everything=True)


@examples("copick-core index update")
@index.command
@_config
@_describe
@json_option
def update(config: str, describe: bool, as_json: bool) -> None:
    """Bring the index up to date, listing only what may have changed; resumes a build that was interrupted."""
    _updated(config, describe, as_json, everything=False)


@examples("copick-core index check")
@index.command
@_config
@json_option
@click.pass_context
def check(context: click.Context, config: str, as_json: bool) -> None:
    """Compare the index with the storage; the exit code is 1 if they differ. Changes nothing."""
    found: list[tuple[str, str, Key]] = []
    layers = _indexes(config)
    for layer in layers:
        differences = layer.differences()
        for word, keys in (
            ("missing in the index", differences.missing),
            ("only in the index", differences.surplus),
            ("has another content", differences.changed),
            ("cannot be listed", differences.failed),
        ):
            found += [(layer.name, word, key) for key in sorted(keys, key=str)]
    if as_json:
        click.echo(json.dumps([{"layer": name, "difference": word, "key": str(key)} for name, word, key in found], indent=2))
    else:
        for name, word, key in found:
            click.echo(f"{name}: {word}: {key}")
        for layer in layers:
            if layer.requests is not None:
                click.echo(f"{layer.name}: compared with {layer.requests:,} requests")
        click.echo(f"{len(found)} differences" if found else "the index is up to date")
    context.exit(1 if found else 0)


@examples("copick-core index info --json")
@index.command
@_config
@json_option
def info(config: str, as_json: bool) -> None:
    """Print what the index knows, and how recent it is; does not read the storage."""
    facts = [{"layer": layer.name, **layer.index.facts()} for layer in _indexes(config)]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for fact in facts:
        _show(fact)


def _show(fact: dict[str, Any]) -> None:
    built = fact["built"]
    when = "not built yet" if built is None else f"as of {datetime.fromtimestamp(built, UTC):%Y-%m-%d %H:%M} UTC"
    if fact["requests"] is not None:
        when += f" ({fact['listed']:,} runs were listed with {fact['requests']:,} requests)"
    click.echo(f"{fact['layer']}: {fact['path']}, {when}")
    for kind, count in fact["entities"].items():
        click.echo(f"  {kind:<14} {count:>10,}")
    if fact["unfinished"]:
        click.echo(
            f"  {len(fact['unfinished'])} runs are being changed, or were when a process died; they are listed when used"
        )


def _updated(config: str, describe: bool, as_json: bool, *, everything: bool) -> None:
    facts: list[dict[str, Any]] = []
    for layer in _indexes(config):
        listed = layer.update(everything=everything)
        requests = layer.index.facts()["requests"]
        facts.append({"layer": layer.name, "runs_listed": listed, "requests": requests, "entities_read": 0})
        if not as_json:
            click.echo(f"{layer.name}: {listed} runs listed{'' if requests is None else f' with {requests:,} requests'}")
        if describe:
            facts[-1]["entities_read"] = layer.describe()
            if not as_json:
                click.echo(f"{layer.name}: {facts[-1]['entities_read']} entities read")
    if as_json:
        click.echo(json.dumps(facts, indent=2))


def _indexes(config: str) -> list[IndexLayer]:
    from copick_core import opening
    from copick_layers.index.layer import IndexLayer

    found = [layer.unwrap(IndexLayer) for layer in opening.open(config).layers.all]
    indexes = [layer for layer in found if layer is not None]
    if not indexes:
        raise click.ClickException(
            'No layer of this project has an index. Add {"name": "index", "path": …} to "wrappers" in its config.'
        )
    return indexes
