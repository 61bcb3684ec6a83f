"""Configurations made from datasets: one object for everything that is annotated in them, the same one every time."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Mapping, Sequence
from typing import Any

from copick_backend_portal.config import CopickConfigCDP
from copick_backend_portal.connection import Connection
from copick_backend_portal.index import warn_of_empty
from copick_backend_portal.queries import DEPOSITION_QUERIES, OBJECT_QUERIES, RUNS, Row
from copick_core.errors import InvalidDataError
from copick_core.opening import save_config, validated
from copick_core.tree.names import sanitize_name
from copick_core.tree.schema import PickableObject

#: Radius in angstrom of the spheres that show particles, as in copick 1.x.
RADIUS = 50
_PARTICLE_SHAPES = frozenset({"Point", "OrientedPoint", "InstanceSegmentation"})
#: Step between neighbouring hues, as a part of the circle: any number of them stays well apart.
_GOLDEN = 0.6180339887498949


def new_config(
    dataset_ids: Sequence[int],
    overlay_root: str | None,
    *,
    overlay_fs_args: Mapping[str, Any] | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    output_path: str | os.PathLike[str] | None = None,
    **options: Any,
) -> CopickConfigCDP:
    """Make a configuration of some datasets; arguments are those of :func:`copick_core.from_czcdp_datasets`."""
    from copick_core import __version__

    ids = [int(i) for i in dataset_ids]
    content = {
        "config_type": "cryoet_data_portal",
        "name": "CZ cryoET Data Portal Dataset",
        "description": f"This copick project contains data from datasets {ids}.",
        "version": __version__,
        "overlay_root": overlay_root,
        "overlay_fs_args": dict(overlay_fs_args or {}),
        "dataset_ids": ids,
        "user_id": user_id,
        "session_id": session_id,
        **options,
    }
    folder = os.path.dirname(os.path.abspath(output_path)) if output_path is not None else None
    config = validated(CopickConfigCDP, content, "<from_czcdp_datasets>", folder)
    config.pickable_objects = objects_of(config)
    if output_path is not None:
        save_config(config, output_path)
    return config


def datasets_of(deposition_ids: Sequence[int], **options: Any) -> list[int]:
    """Ask the portal which datasets have something of some depositions; sorted.

    Args:
        deposition_ids: Ids of the depositions.
        **options: Fields of the configuration that is to be made.

    Raises:
        InvalidDataError: None has.
    """
    ids = [int(i) for i in deposition_ids]
    content = {"config_type": "cryoet_data_portal", "dataset_ids": [0], **options}
    connection = _connection(validated(CopickConfigCDP, content, "<from_czcdp_depositions>", None))
    tables = connection.ask_all([(query, ids) for query in DEPOSITION_QUERIES], [])
    found: set[int] = {row.get("datasetId") or row["id"] for rows in tables for row in rows}
    if not found:
        reason = "the portal has no dataset, annotation or tomogram of them; check the ids"
        raise InvalidDataError(source=f"depositions {', '.join(map(str, ids))}", reason=reason)
    return sorted(found)


def _connection(config: CopickConfigCDP) -> Connection:
    return Connection(config.graphql_url, config.portal_timeout_seconds, config.portal_batch_runs, config.portal_connections)


def objects_of(config: CopickConfigCDP) -> list[PickableObject]:
    """Ask the portal what is annotated in the datasets of a configuration."""
    connection = _connection(config)
    rows_of_runs = connection.ask(RUNS, config.dataset_ids, [])
    warn_of_empty(config.dataset_ids, rows_of_runs)
    runs = sorted(row["id"] for row in rows_of_runs)
    batches = [runs[i : i + config.portal_batch_runs] for i in range(0, len(runs), config.portal_batch_runs)]
    asked = [(query, batch) for query in OBJECT_QUERIES for batch in batches]
    answers = connection.ask_all(asked, []) if asked else []
    tables: dict[str, list[Row]] = {query.name: [] for query in OBJECT_QUERIES}
    for (query, _), rows in zip(asked, answers, strict=True):
        tables[query.name] += rows
    return objects(tables["object_annotations"], tables["object_shapes"])


def objects(annotations: Sequence[Row], shapes: Sequence[Row]) -> list[PickableObject]:
    """Make one object for each thing that is annotated.

    Labels and colours follow the order of the identifiers, so that they are the same for the same datasets. Ids of EMDB and
    PDB are taken from the best annotation that names one: recommended by curators, else ground truth, else the oldest.

    Args:
        annotations: Rows of the annotations, in any order.
        shapes: Rows of their shapes, in any order.
    """
    shapes_of: dict[int, set[str]] = {}
    for shape in shapes:
        shapes_of.setdefault(shape["annotationId"], set()).add(shape["shapeType"])
    groups: dict[str, list[Row]] = {}
    for row in annotations:
        groups.setdefault(row["objectId"], []).append(row)
    made: list[PickableObject] = []
    taken: set[str] = set()
    for label, identifier in enumerate(sorted(groups), 1):
        rows = sorted(groups[identifier], key=lambda r: (not r["isCuratorRecommended"], not r["groundTruthStatus"], r["id"]))
        name = _name(rows[0], identifier, taken)
        taken.add(name)
        made.append(
            PickableObject(
                name=name,
                is_particle=any(_PARTICLE_SHAPES & shapes_of.get(row["id"], set()) for row in rows),
                label=label,
                color=color(label),
                emdb_id=_publication(rows, "EMD"),
                pdb_id=_publication(rows, "PDB") or _accession(identifier),
                identifier=identifier,
                radius=RADIUS,
            )
        )
    return made


def _name(row: Row, identifier: str, taken: set[str]) -> str:
    name = sanitize_name(row["objectName"] or identifier, suppress_warnings=True).lower()
    return name if name not in taken else sanitize_name(f"{name}-{identifier}", suppress_warnings=True).lower()


def _publication(rows: Sequence[Row], prefix: str) -> str | None:
    """The first publication with a prefix, of the first annotation that has one."""
    entries = (entry.strip() for row in rows for entry in (row["annotationPublication"] or "").split(","))
    return next((entry for entry in entries if entry.startswith(prefix)), None)


def _accession(identifier: str) -> str | None:
    prefix, _, accession = identifier.replace(":", "-").partition("-")
    return accession if prefix.upper() == "PDB" and accession else None


def color(label: int) -> tuple[int, int, int, int]:
    """Colour of a label, RGBA from 0 to 255: neighbouring labels differ strongly.

    Example:
        >>> color(1), color(2)
        ((61, 114, 242, 255), (130, 189, 47, 255))
    """
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN % 1.0, 0.75, 0.95 if label % 2 else 0.74)
    return round(red * 255), round(green * 255), round(blue * 255), 255
