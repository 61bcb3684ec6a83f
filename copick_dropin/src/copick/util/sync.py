"""What ``copick sync`` reads from its options, and the objects that it adds to a project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def parse_list(list_str: str) -> list[str]:
    """``a,b`` as a list."""
    return [part.strip() for part in list_str.split(",") if part.strip()]


def parse_mapping(mapping_str: str) -> dict[str, str]:
    """``a:b,c:d`` as a dict.

    Raises:
        ValueError: A part has no colon.
    """
    pairs = [part.partition(":") for part in parse_list(mapping_str)]
    if missing := [source for source, colon, _ in pairs if not colon]:
        from copick_core.errors import InvalidDataError

        raise InvalidDataError(source=mapping_str, reason=f"{missing[0]!r} has no target: write source:target")
    return {source.strip(): target.strip() for source, _, target in pairs}


def parse_dataset_ids(dataset_ids_str: str) -> list[int]:
    """``1,2`` as numbers."""
    return [int(part) for part in parse_list(dataset_ids_str)]


def add_objects(source_root: Any, target_root: Any, names: Iterable[str], targets: Mapping[str, str]) -> int:
    """Add objects that a project lacks, as another project has them, and return how many.

    Labels that are taken are replaced by the next free one. The configuration changes in memory.

    Args:
        source_root: The project that has them.
        target_root: The project that may lack them.
        names: Their names in the source.
        targets: Their names in the target, by theirs in the source; others keep theirs.
    """
    added = 0
    for name in names:
        found = source_root.get_object(name)
        new = targets.get(name, name)
        if found is None or target_root.get_object(new) is not None:
            continue
        given = found.meta.model_dump(exclude={"name", "is_particle"}, exclude_none=True)
        if given.get("label") in {obj.label for obj in target_root.pickable_objects}:
            del given["label"]
        known = ("label", "color", "emdb_id", "pdb_id", "identifier", "map_threshold", "radius", "metadata")
        target_root.new_object(new, found.is_particle, **{key: given[key] for key in known if key in given})
        added += 1
    return added


def ensure_pickable_objects(
    source_root: Any,
    target_root: Any,
    target_config_path: str,
    source_objects_list: Iterable[str],
    target_objects_dict: Mapping[str, str],
    log: bool = False,
) -> None:
    """Add objects that a project lacks, as another project has them, and write its configuration.

    Args:
        source_root: As :func:`add_objects` has it.
        target_root: The project that may lack them.
        target_config_path: Its configuration.
        source_objects_list: Names in the source.
        target_objects_dict: Names in the target.
        log: Has no effect.
    """
    if add_objects(source_root, target_root, source_objects_list, target_objects_dict):
        target_root.save_config(target_config_path, overwrite=True)
