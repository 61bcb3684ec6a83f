"""``info``, ``ls``, ``show`` and ``stats``: commands that only look."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from copick_core.cli.parameters import examples, json_option, project_option
from copick_core.cli.words import count, times
from copick_tools.commands.options import ADDRESS, kind_of, kind_option, nothing_matches, opened

#: Value of ``--state`` that means every state.
ANY_STATE = "*"


@examples(
    "copick-core info -c config.json",
)
@click.command
@project_option
@json_option
def info(config: str, as_json: bool) -> None:
    """Print what a project is, where its layers are, and what it has."""
    root = opened(config)
    layers = [
        {"name": layer.name, "read_only": layer.read_only, "type": type(layer.unwrap()).__name__} for layer in root.layers.all
    ]
    objects: list[dict[str, Any]] = [
        {"name": obj.name, "label": obj.label, "is_particle": obj.is_particle} for obj in root.pickable_objects
    ]
    facts = {
        "name": root.config.name,
        "description": root.config.description,
        "type": root.config.config_type,
        "user": root.user_id,
        "runs": root.select("*/").count(),
        "objects": objects,
        "layers": layers,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name in ("name", "description", "type", "user", "runs"):
        click.echo(f"{name:<12} {facts[name] if facts[name] is not None else '-'}")
    click.echo(f"{'objects':<12} {', '.join(obj['name'] for obj in objects) or '-'}")
    for layer in layers:
        click.echo(f"{'layer':<12} {layer['name']} ({'read-only' if layer['read_only'] else 'writable'})")


@examples(
    "copick-core ls",
    "copick-core ls TS_001/",
    "copick-core ls 'TS_*/ribosome:alice' --kind picks",
    "copick-core ls --state",
    "copick-core ls 'TS_*/ribosome' --state rejected",
    "copick-core ls 'TS_*/ribosome' --min-points 100",
)
@click.command
@click.argument("address", required=False, type=ADDRESS)
@project_option
@kind_option
@click.option("-l", "--long", "long", is_flag=True, help="Print the layer of each entity, and whether it is read-only.")
@click.option(
    "--state",
    is_flag=False,
    flag_value=ANY_STATE,
    metavar="[STATE]",
    help="Print the state of review of each, or only what is in STATE; give it after ADDRESS.",
)
@click.option("--made-by", metavar="NAME", help="Only what this tool, function or user made; reads every entity.")
@click.option("--min-points", type=click.IntRange(0), metavar="N", help="Only picks with at least N points.")
@click.option("--max-points", type=click.IntRange(0), metavar="N", help="Only picks with at most N points.")
@click.option("--label", type=click.IntRange(1), metavar="N", help="Only segmentations with label N in their voxels.")
@click.option("--tree", "as_tree", is_flag=True, help="Print the whole project as a tree; reads every entity.")
@json_option
def ls(
    address: str | None,
    config: str,
    kind: str | None,
    long: bool,
    state: str | None,
    made_by: str | None,
    min_points: int | None,
    max_points: int | None,
    label: int | None,
    as_tree: bool,
    as_json: bool,
) -> None:
    """List runs, or what ADDRESS matches; of a run, what is in it."""
    from copick_core.tree.addresses import address_of, parse
    from copick_core.tree.keys import Kind

    root = opened(config)
    if as_tree:
        if address or state or made_by:
            raise click.UsageError("--tree prints the whole project: leave out ADDRESS and the other options")
        from copick_tools.tree import nodes, project_tree

        click.echo(json.dumps(asdict(nodes(root)), indent=2) if as_json else "\n".join(project_tree(root)))
        return
    content = {"min_points": min_points, "max_points": max_points, "label": label}
    is_filtered = any(number is not None for number in content.values())
    parsed = parse(address or ("*" if made_by is not None or is_filtered else "*/"))
    texts = [parsed]
    if address and parsed.kinds == {Kind.RUN} and kind is None and not is_filtered:
        inside = ("*@*:*", "*")
        texts = [parse(f"{parsed!s}{text}") for text in inside][::-1]
    rows = [row for text in texts for row in root.select(text, kind_of(kind), **content).rows()]
    if made_by is not None:
        from copick_tools.stats import was_made_by

        rows = [(key, layer) for key, layer in rows if layer is not None and was_made_by(layer, key, made_by)]
    found: list[dict[str, Any]] = [
        {
            "kind": key.kind.value,
            "address": str(address_of(key)),
            "layer": None if layer is None else layer.name,
            "read_only": None if layer is None else layer.read_only,
        }
        for key, layer in rows
    ]
    if state is not None:
        found = _in_state(root, [key for key, _ in rows], found, state)
    if as_json:
        click.echo(json.dumps(found, indent=2, default=asdict))
        return
    wide = max((len(row["kind"]) for row in found), default=0)
    longest = max((len(row["address"]) for row in found), default=0)
    one_kind = len({row["kind"] for row in found}) == 1
    lines = []
    for row in found:
        text = row["address"] if one_kind and not long else f"{row['kind']:<{wide}}  {row['address']}"
        pad = " " * (longest - len(row["address"]))
        if long and row["layer"]:
            text, pad = f"{text}{pad}  {row['layer']}{', read-only' if row['read_only'] else ''}", ""
        lines += [text if one is None else f"{text}{pad}  {one}" for one in row.get("reviews", [None])]
    if lines:
        click.echo("\n".join(lines))
    elif not address:
        click.echo("The project has no runs." if not (state or made_by or is_filtered) else "Nothing matches.", err=True)
    else:
        click.echo(nothing_matches(root.select(parsed)), err=True)


def _in_state(root: Any, keys: list[Any], found: list[dict[str, Any]], state: str) -> list[dict[str, Any]]:
    """Rows of a listing with their reviews: of a run all that were set, of anything else the one that applies to it."""
    from copick_core.errors import InvalidDataError, closest
    from copick_core.projects.reviews import Review
    from copick_core.tree.keys import Kind

    reviews = root.reviews
    if state not in (ANY_STATE, *reviews.states):
        reason = f"{state!r} is not one of: {', '.join(reviews.states)}.{closest(state, reviews.states)}".rstrip(".")
        raise InvalidDataError(source="--state", reason=reason)
    runs = [key.name if key.kind is Kind.RUN else getattr(key, "run", None) for key in keys]
    of = reviews.of(dict.fromkeys(run for run in runs if run is not None))
    rows = []
    for key, run, row in zip(keys, runs, found, strict=True):
        name = getattr(key, "object_name", key.name if key.kind is Kind.SEGMENTATION else None)
        apply = of.get(run, [])
        if key.kind is not Kind.RUN:
            own = [one for one in apply if one.object_name == name]
            apply = own or [one for one in apply if one.object_name is None]
        kept = [one for one in apply or [Review(run or "", None, reviews.states[0])] if state in (ANY_STATE, one.state)]
        if kept:
            rows.append({**row, "reviews": kept})
    return rows


@examples(
    "copick-core show TS_001/wbp@10.0 --kind tomogram",
)
@click.command
@click.argument("address", type=ADDRESS)
@project_option
@kind_option
@json_option
def show(address: str, config: str, kind: str | None, as_json: bool) -> None:
    """Print what is stored of the one entity that ADDRESS names, and where."""
    facts = described(opened(config).entity(address, kind_of(kind)))
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for line in lines_of(facts):
        click.echo(line)


def lines_of(facts: dict[str, Any]) -> list[str]:
    """What :func:`described` gives, in lines for people."""
    lines = []
    for name, value in facts.items():
        if name == "provenance":
            lines += _history(value)
        elif name == "levels":
            for level in value:
                shape, chunks = times(tuple(level["shape"])), times(tuple(level["chunks"]))
                lines.append(f"{'level ' + level['name']:<12} {shape}, {level['dtype']}, chunks {chunks}")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            words = {None: "-", True: "yes", False: "no"}
            text = words[value] if value is None or isinstance(value, bool) else shown
            lines.append(f"{name.replace('_', ' '):<12} {text}")
    return lines


def _history(provenance: dict[str, Any] | None) -> list[str]:
    """What made an entity, what made that of which it is a copy, and so on, in lines."""
    lines = []
    while provenance:
        made = " ".join(str(provenance[name]) for name in ("tool", "version") if name in provenance)
        whose = f" by {provenance['by']}" if provenance.get("by") else ""
        lines.append(f"{'made with':<12} {made}{whose} at {provenance.get('at', '-')}")
        called = [provenance["function"]] if "function" in provenance else []
        called += [f"{name}={value}" for name, value in (provenance.get("arguments") or {}).items()]
        lines += [f"{'':<12} {', '.join(called)}"] if called else []
        inputs = provenance.get("inputs", ())
        lines += [f"{'':<12} from {one.get('file') or ' '.join((one['kind'], one['address']))}" for one in inputs]
        provenance = provenance.get("original")
    return lines


def described(entity: Any) -> dict[str, Any]:
    """What is stored of an entity, as JSON values.

    Args:
        entity: A handle.

    Returns:
        Kind, address, layer, place and provenance; of volumes also levels, voxel size, number of stored files and bytes; of
        picks the number of points; of files also bytes and revision.
    """
    from copick_core.layers.provenance import provenance_of
    from copick_core.tree.addresses import address_of
    from copick_core.tree.keys import FILE_KINDS, VOLUME_KINDS

    key = entity.key
    facts: dict[str, Any] = {"kind": key.kind.value, "address": str(address_of(key)), "layer": entity.layer}
    facts["read_only"] = entity.read_only
    layer = entity._layer if hasattr(entity, "_layer") else None
    if layer is None:
        layers = getattr(entity, "layers", None)
        return {**facts, "layers": layers} if isinstance(layers, list) else facts
    facts["location"] = layer.location(key)
    facts["provenance"] = provenance_of(layer, key)
    if key.kind in FILE_KINDS:
        data, revision = layer.read_revised(key)
        token = "-".join(map(str, revision)) if isinstance(revision, tuple) else str(revision)
        facts |= {"bytes": len(data), "revision": token}
        if hasattr(entity, "points"):
            facts["points"] = len(entity.points)
    if key.kind in VOLUME_KINDS:
        arrays = {name: entity.array(name) for name in entity.levels}
        facts["voxel_size"] = key.voxel_size
        facts["levels"] = [
            {"name": name, "shape": [*a.shape], "dtype": str(a.dtype), "chunks": [*a.chunks]} for name, a in arrays.items()
        ]
        facts |= _stored(entity.zarr())
    return facts


def _stored(store: Any) -> dict[str, int]:
    """How many files a volume has, and their bytes."""
    from zarr.core.sync import sync

    async def sizes() -> list[int]:
        return [await store.getsize(name) async for name in store.list()]

    found = sync(sizes())
    return {"files": len(found), "bytes": sum(found)}


@examples(
    "copick-core stats 'TS_*/ribosome' --points",
)
@click.command
@click.argument("address", default="*", type=ADDRESS)
@project_option
@kind_option
@click.option("--points", is_flag=True, help="Count the points of picks too; reads all of them.")
@click.option("--by", type=click.Choice(["tool"]), help="Count by the tool that made them too; reads every entity.")
@json_option
def stats(address: str, config: str, kind: str | None, points: bool, by: str | None, as_json: bool) -> None:
    """Count what ADDRESS matches, by run, object, user and session."""
    from copick_tools.stats import stats as counted

    root = opened(config)
    found = counted(root, address, kind=kind_of(kind), points=points, tools=by == "tool")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo(nothing_matches(root.select(address)))
    for name, counts in found.items():
        points_text = f", {count(counts['points'], 'point')}" if "points" in counts else ""
        click.echo(f"{name}: {counts['total']}{points_text}")
        for name_of in ("object", "user", "session", "tool"):
            if f"by_{name_of}" in counts:
                values = ", ".join(f"{value or 'unknown'} {number}" for value, number in counts[f"by_{name_of}"].items())
                click.echo(f"  by {name_of:<8} {values}")
        if "by_run" in counts:
            click.echo(f"  in {count(len(counts['by_run']), 'run')}")


@examples("copick-core compare 'ribosome:alice' 'ribosome:model/0' --distance 100")
@click.command
@click.argument("truth", type=ADDRESS)
@click.argument("prediction", type=ADDRESS)
@project_option
@click.option(
    "--distance",
    type=float,
    required=True,
    metavar="ANGSTROM",
    help="Largest distance between two points that count as the same.",
)
@json_option
def compare(truth: str, prediction: str, config: str, distance: float, as_json: bool) -> None:
    """Compare the picks of the address PREDICTION with those of TRUTH, or two annotators, in each run and over all runs."""
    from copick_tools.comparing import compare as compared

    root = opened(config)
    found = compared(root.select(truth, "picks"), root.select(prediction, "picks"), distance)
    if as_json:
        runs = {run: agreement.to_json() for run, agreement in found.items() if run}
        click.echo(json.dumps({"all": found[""].to_json(), "runs": runs}, indent=2))
        return
    wide = max(len(run) for run in [*found, "all runs"])
    click.echo(f"{'':<{wide}}  matched  missed  false  distance  F-score")
    for run, one in [*((run, one) for run, one in found.items() if run), ("all runs", found[""])]:
        apart = "-" if one.distance is None else f"{one.distance:.1f} Å"
        score = "-" if one.f_score is None else f"{one.f_score:.3f}"
        click.echo(f"{run:<{wide}}  {one.matched:>7}  {one.missed:>6}  {one.false:>5}  {apart:>8}  {score:>7}")
