"""A folder of links to the files of a project, laid out as a project."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from copick.models import CopickRoot
from copick.ops.manage import KINDS, one_address
from copick.ops.open import from_file
from copick.util.uri import resolve_copick_objects
from copick_tools.deposits import deposit as link


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
    """Link what URIs name into a folder; correct links stay, and what else is in their place is left alone.

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
        How many entities the URIs name.

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
    links = 0
    for object_type, uris in wanted.items():
        found = {
            entity.key: entity
            for name in names
            for uri in uris or ()
            for entity in resolve_copick_objects(uri, root, object_type, name)
        }
        if found:
            link(
                root,  # type: ignore[arg-type]
                target_dir,
                [one_address(key) for key in found],
                kind=KINDS[object_type],
                run_prefix=run_name_prefix or None,
                run_regex=run_name_regex,
                if_exists="skip",
            )
            links += len(found)
    return links
