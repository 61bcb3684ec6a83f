"""What is known of an entity, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from copick.util.ontology import identifier_to_markdown_link, parse_identifier

Lines = Sequence[tuple[str, Any]]


def _page(title: str, name: str, value: Any, lines: Lines = ()) -> str:
    """A page with a heading and a list of what is not None."""
    shown = "".join(f"* {label}: {text}\n" for label, text in lines if text is not None)
    return f"# {title} Metadata\n## {name}: {value}\n{shown}"


def _color(entity: Any) -> str | None:
    color = entity.color
    return None if color is None else f"{color} | #{''.join(f'{part:02x}' for part in color)}"


def _portal(entity: Any, name: str) -> Any:
    return getattr(getattr(entity, "meta", None), name, None)


def _places(run: Any) -> Lines:
    return [("Static Location", getattr(run, "static_path", None)), ("Overlay Location", getattr(run, "overlay_path", None))]


def root_to_md(root: Any) -> str:
    """A project."""
    config = root.config
    lines = [
        ("Project Type", {"filesystem": "Filesystem", "cryoet_data_portal": "CryoET Data Portal"}.get(config.config_type)),
        ("Dataset IDs", getattr(config, "dataset_ids", None)),
        ("Static Location", getattr(config, "static_root", None)),
        ("Overlay Location", getattr(config, "overlay_root", None)),
    ]
    return _page("CopickRoot", "Project Name", config.name, lines)


def object_to_md(pickable_object: Any) -> str:
    """A pickable object."""
    found = pickable_object
    same = parse_identifier(found.identifier)
    pdb = found.pdb_id
    if pdb is not None and same is not None and (same.namespace, same.accession.upper()) == ("PDB", pdb.upper()):
        pdb = None
    lines = [
        ("Identifier", identifier_to_markdown_link(found.identifier)),
        ("EMDB ID", found.emdb_id and f"[{found.emdb_id}](https://www.ebi.ac.uk/emdb/{found.emdb_id})"),
        ("PDB ID", pdb and f"[{pdb}](https://www.rcsb.org/structure/{pdb})"),
        ("Type", "particle/segmentation" if found.is_particle else "segmentation"),
        ("Label", found.label),
        ("Color", _color(found)),
        ("Map Threshold", found.map_threshold),
        ("Radius", found.radius),
    ]
    return _page("PickableObject", "Object", found.name, lines)


def run_to_md(run: Any) -> str:
    """A run."""
    return _page("CopickRun", "Run", run.name, [("Portal Run ID", _portal(run, "portal_run_id")), *_places(run)])


def voxel_spacing_to_md(voxel_spacing: Any) -> str:
    """A voxel spacing."""
    return _page("CopickVoxelSpacing", "Voxel Spacing", voxel_spacing.voxel_size)


def tomogram_to_md(tomogram: Any) -> str:
    """A tomogram."""
    lines = [("Portal Tomogram ID", _portal(tomogram, "portal_tomo_id"))]
    return _page("Tomogram", "Tomogram", tomogram.tomo_type, lines)


def features_to_md(features: Any) -> str:
    """A feature map."""
    return _page("Features", "Features", features.feature_type)


def segmentation_to_md(segmentation: Any) -> str:
    """A segmentation."""
    size = f"{segmentation.voxel_size:.3f}"
    lines = [
        ("Voxel Spacing", size),
        ("Name", segmentation.name),
        ("User/Tool", segmentation.user_id),
        ("Session", segmentation.session_id),
        ("Type", segmentation.segmentation_type),
        ("is_multilabel", segmentation.is_multilabel),
        ("is_instance", segmentation.is_instance),
        ("is_panoptic", segmentation.is_panoptic),
        ("Color", _color(segmentation)),
        ("Portal Annotation ID", _portal(segmentation, "portal_annotation_id")),
    ]
    name = f"{size}_{segmentation.user_id}_{segmentation.session_id}_{segmentation.name}"
    return _page("Segmentation", "Segmentation", name, lines)


def _annotation(entity: Any, title: str, lines: Lines) -> str:
    name = f"{entity.user_id}_{entity.session_id}_{entity.pickable_object_name}"
    who = [("Name", entity.pickable_object_name), ("User/Tool", entity.user_id), ("Session", entity.session_id)]
    rest = [("Color", _color(entity)), ("Portal Annotation ID", _portal(entity, "portal_annotation_id"))]
    return _page(title, title, name, [*who, *lines, *rest])


def picks_to_md(picks: Any) -> str:
    """Picks."""
    lines = [("Count", len(picks.points)), ("trust_orientation", picks.trust_orientation)]
    return _annotation(picks, "Picks", lines)


def mesh_to_md(mesh: Any) -> str:
    """A mesh."""
    return _annotation(mesh, "Mesh", ())


#: The pages, by the kind of entity.
ENTITY_TO_MD: Mapping[str, Callable[[Any], str]] = {
    "root": root_to_md,
    "object": object_to_md,
    "run": run_to_md,
    "voxel_spacing": voxel_spacing_to_md,
    "tomogram": tomogram_to_md,
    "features": features_to_md,
    "segmentation": segmentation_to_md,
    "picks": picks_to_md,
    "mesh": mesh_to_md,
}
