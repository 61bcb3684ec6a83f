"""A folder of links to the files of a project, laid out as a project."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from copick.models import CopickRoot
from copick.ops.open import from_file
from copick.util.uri import resolve_copick_objects
from copick_core.errors import InvalidDataError
from copick_core.tree import layout
from copick_core.tree.keys import RunKey

logger = logging.getLogger(__name__)


def deposit(
    config: str | CopickRoot,
    target_dir: str | os.PathLike[str],
    run_names: Sequence[str] | None = None,
    run_name_prefix: str = "",
    run_name_regex: str | None = None,
    picks_uris: Iterable[str] | None = None,
    meshes_uris: Iterable[str] | None = None,
    segmentations_uris: Iterable[str] | None = None,
    tomograms_uris: Iterable[str] | None = None,
    features_uris: Iterable[str] | None = None,
    n_workers: int = 8,
) -> int:
    """Link what URIs name into a folder; correct links stay, and what is in their place is left alone with a warning.

    Args:
        config: Configuration of the project, which must lie on local disks.
        target_dir: The folder.
        run_names: Only these runs.
        run_name_prefix: Goes before every run's name.
        run_name_regex: Its first group, in a run's name, is the run's name there.
        picks_uris: Picks; none by default, as for all that follow.
        meshes_uris: Meshes.
        segmentations_uris: Segmentations.
        tomograms_uris: Tomograms.
        features_uris: Features.
        n_workers: Has no effect.

    Returns:
        How many links there are now.

    Raises:
        ValueError: A run is missing, or an entity is not on a local disk.
    """
    root = from_file(config) if isinstance(config, str) else config
    wanted = {
        "picks": picks_uris,
        "mesh": meshes_uris,
        "segmentation": segmentations_uris,
        "tomogram": tomograms_uris,
        "feature": features_uris,
    }
    names = [*run_names] if run_names else [run.name for run in root.runs]
    made = 0
    for name in names:
        found = [
            entity
            for object_type, uris in wanted.items()
            for uri in uris or ()
            for entity in resolve_copick_objects(uri, root, object_type, name)
        ]
        for entity in {e.key: e for e in found}.values():
            made += _link(entity, Path(target_dir), _renamed(name, run_name_prefix, run_name_regex))
    return made


def _renamed(name: str, prefix: str, regex: str | None) -> str:
    if regex:
        match = re.search(regex, name)
        if match is None:
            raise InvalidDataError(source="run_name_regex", reason=f"{regex!r} does not match run {name!r}")
        name = match[1] if match.groups() else match[0]
    return prefix + name


def _link(entity: Any, folder: Path, run: str) -> int:
    key = entity.key
    source, fs = getattr(entity, "path", None), getattr(entity, "fs", None)
    if source is None or fs is None or not os.path.exists(source):
        raise InvalidDataError(source=key, reason="only files on a local disk can be linked")
    parent = layout.path(RunKey(key.run))
    target = folder / layout.path(RunKey(run)) / Path(layout.path(key)).relative_to(parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() and os.path.realpath(target) == os.path.realpath(source):
        return 1
    if target.is_symlink() or target.exists():
        logger.warning("%s is in the way and was left as it is.", target)
        return 0
    target.symlink_to(os.path.abspath(source))
    return 1
