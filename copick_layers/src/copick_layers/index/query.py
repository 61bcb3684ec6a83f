"""Questions to the indexes of a project that its lists cannot answer: by points, and by parts of names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from copick_core.errors import ConfigError
from copick_core.layers.contents import Content
from copick_core.projects.listing import kind_of
from copick_layers.index.layer import IndexLayer
from copick_layers.index.rows import FIELDS, keys_of
from copick_layers.index.tables import content_condition

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.keys import Key, Kind


def search(
    root: CopickRootOverlay,
    kind: Kind | str,
    *,
    text: str | None = None,
    run: str | None = None,
    name: str | None = None,
    user: str | None = None,
    session: str | None = None,
    voxel_size: float | None = None,
    min_points: int | None = None,
    max_points: int | None = None,
    label: int | None = None,
) -> list[tuple[Key, Layer]]:
    """Find entities of a kind in all layers of a project, by their indexes alone.

    Points and labels are those that were written through the index, or read by ``copick-core index build --describe``. What is
    not known matches no limit; :meth:`~copick_core.overlay.CopickRootOverlay.select` reads it.

    Args:
        root: The project; each layer has an index.
        kind: The kind, as :class:`~copick_core.tree.keys.Kind` or by name.
        text: Part of the run, the name, the user, the session or the type; case does not matter.
        run: Name of the run.
        name: The object, the segmentation, or the type of the tomogram.
        user: The user.
        session: The session.
        voxel_size: In angstrom.
        min_points: Fewest points.
        max_points: Most points.
        label: A label that segmentations have.

    Returns:
        Keys and the layers that hold them: sorted, and layers in the order of the project.

    Raises:
        ConfigError: A layer has no index, or its index was not built.
    """
    wanted = kind_of(kind)
    conditions, values = ["kind = ?"], [wanted.value]
    equal: dict[str, Any] = {
        "run": run,
        "name": name,
        "user": user,
        "session": session,
        "voxel_size": None if voxel_size is None else round(float(voxel_size), 3),
    }
    for column, value in equal.items():
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    condition, numbers = content_condition(Content(min_points, max_points, label))
    values += numbers
    conditions[-1] += condition
    if text is not None:
        columns = ("run", "name", "user", "session", "type")
        conditions.append(f"({' OR '.join(f'instr(lower({column}), ?)' for column in columns)})")
        values += [text.lower()] * len(columns)
    query = f"SELECT {', '.join(FIELDS[wanted])} FROM entities WHERE {' AND '.join(conditions)}"
    found: list[tuple[Key, Layer]] = []
    for layer in root.layers.all:
        indexed = layer.unwrap(IndexLayer)
        if indexed is None or not indexed.index.is_complete:
            reason = "has no index" if indexed is None else "has an index that was not built: run `copick-core index build`"
            raise ConfigError(source=f"layer {layer.name!r}", reason=f"it {reason}")
        found += [(key, layer) for key in sorted(keys_of(wanted, indexed.index.select(query, values)))]
    order = {layer.name: number for number, layer in enumerate(root.layers.all)}
    return sorted(found, key=lambda row: (row[0], order[row[1].name]))
