"""``copick-core tree``: a project as a text tree, with the layer that holds each entity."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from copick_core.cli.parameters import examples, json_option, project_argument
from copick_core.cli.words import count, times


@examples(
    "copick-core tree config.json",
)
@click.command
@project_argument
@json_option
def tree(config: str, as_json: bool) -> None:
    """Print a project as a tree, with the layer that holds each entity.

    CONFIG is the config file of the project, or a folder, an archive or a URL without one.
    """
    import copick_core

    root = copick_core.open(config)
    click.echo(json.dumps(asdict(nodes(root)), indent=2) if as_json else "\n".join(project_tree(root)))


@dataclass
class Node:
    """A line of the tree, what stands in its right column, and the lines below it."""

    text: str
    layer: str = ""
    children: list[Node] = field(default_factory=list)


def nodes(root: Any) -> Node:
    """The lines of a project, as a tree."""
    objects = Node("objects", children=[_object(entity) for entity in root.pickable_objects])
    return Node(f"project {root.config.name!r}", children=[objects, *(_run(run) for run in root.runs)])


def project_tree(root: Any) -> list[str]:
    """Draws a project.

    Args:
        root: An open project.

    Returns:
        One line for each entity. On the right stand the layer that holds it and ``read-only`` where it must not change;
        runs and voxel spacings span layers and have none.
    """
    lines = list(_lines(nodes(root), "", ""))
    width = max(len(text) for text, _ in lines)
    return [f"{text.ljust(width)}  {layer}".rstrip() for text, layer in lines]


def _lines(node: Node, lead: str, below: str) -> Iterator[tuple[str, str]]:
    yield lead + node.text, node.layer
    for index, child in enumerate(node.children):
        last = index == len(node.children) - 1
        yield from _lines(child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))


def _layer(entity: Any) -> str:
    return f"{entity.layer}, read-only" if entity.read_only else str(entity.layer)


def _run(run: Any) -> Node:
    node = Node(f"run {run.name}")
    node.children += [_voxel_spacing(spacing) for spacing in run.voxel_spacings]
    for picks in run.picks:
        points = picks.numpy()[0]
        owner = _owner(picks)
        node.children.append(
            Node(f"picks {picks.pickable_object_name}, {owner}: {count(len(points), 'point')}", _layer(picks))
        )
    for segmentation in run.segmentations:
        size = f"{segmentation.voxel_size:g} Å"
        kind = segmentation.segmentation_type
        node.children.append(
            Node(f"segmentation {segmentation.name}, {_owner(segmentation)}: {kind}, {size}", _layer(segmentation))
        )
    for mesh in run.meshes:
        node.children.append(Node(f"mesh {mesh.pickable_object_name}, {_owner(mesh)}", _layer(mesh)))
    return node


def _voxel_spacing(spacing: Any) -> Node:
    node = Node(f"voxel spacing {spacing.voxel_size:.3f} Å")
    for tomogram in spacing.tomograms:
        shape = times(tomogram.array().shape) if tomogram.levels else "empty"
        levels = count(len(tomogram.levels), "level")
        below = Node(f"tomogram {tomogram.tomo_type}: {shape}, {levels}", _layer(tomogram))
        below.children = [Node(f"features {entity.feature_type}", _layer(entity)) for entity in tomogram.features]
        node.children.append(below)
    return node


def _object(entity: Any) -> Node:
    kind = "particle" if entity.is_particle else "segmentation"
    if not entity.is_particle or not entity.levels:
        return Node(f"{entity.name}: {kind}, label {entity.label}")
    shape = times(entity.array().shape)
    return Node(f"{entity.name}: {kind}, label {entity.label}, density {shape}", _layer(entity))


def _owner(entity: Any) -> str:
    """Whose it is; session "0" is by convention a tool's."""
    return f"tool {entity.user_id}" if entity.from_tool else f"user {entity.user_id}, session {entity.session_id}"
