"""Merging the picks of several annotators into one set, which remembers who found each point."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import AddressError, AlreadyExistsError, InvalidDataError
from copick_core.layers.provenance import recording
from copick_core.layers.recording import KEY
from copick_core.layers.revisions import ANY, note_change
from copick_core.picks import encode, from_arrays
from copick_core.tree.keys import Kind, PicksKey
from copick_tools import __version__
from copick_tools.comparing import match
from copick_tools.plans import Change, Plan, Progress, Report, Skipped, choose_if_exists
from copick_tools.targets import Target
from copick_tools.transferring import is_newer

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.picks import PicksArrays
    from copick_core.projects.selection import Selection
    from copick_tools.transferring import IfExists


@dataclass(frozen=True)
class Merging:
    """Writes the merged picks of one run.

    Attributes:
        layer: Where they are written.
        key: What they are written as.
        data: The bytes of the file.
        disputed: How many points not all annotators have.
        points: How many points there are.
        changes: What is changed.
    """

    layer: Layer
    key: PicksKey
    data: bytes
    disputed: int
    points: int
    changes: tuple[Change, ...]

    @property
    def source(self) -> str:
        """What is merged."""
        return f"{self.points} points, of which {self.disputed} were not found by everybody"

    def run(self, verify: bool) -> None:
        """Write them.

        Raises:
            ConflictError: Somebody else made picks of this key meanwhile.
        """
        replace = self.changes[0].action == "replace"
        try:
            self.layer.write(self.key, self.data, if_revision=ANY if replace else None)
        finally:
            note_change(self.key)
        if verify and self.layer.read(self.key) != self.data:
            raise InvalidDataError(source=self.key, reason="what was written is not what is stored; merge again")


def plan_merge(selection: Selection, target: str, distance: float, *, at_least: int = 1, if_exists: IfExists = "fail") -> Plan:
    """Plan to merge, in each run, the picks of several annotators into one set.

    Points of different annotators that are at most ``distance`` apart are one, nearest first; points of one annotator never
    are. A merged point lies in the middle, has the orientation of the first annotator who found it, and keeps in its columns
    ``found_by`` who found it (``alice/1, bob/1``) and ``votes`` how many did.

    Args:
        selection: The picks of one object; annotators count in the order of user and session.
        target: User and session of the merged picks, such as ``"*:merged/1"``.
        distance: In angstrom.
        at_least: Leave out points that fewer annotators found.
        if_exists: What happens where the target exists and holds something else. What merging would make again is skipped.

    Raises:
        AddressError: The selection matches no picks or several objects, or the target is one of the sources.
        AlreadyExistsError: A target exists with other content, and ``if_exists="fail"``.
        InvalidDataError: The distance is not above 0.
        ReadOnlyError: The project has no writable layer.
    """
    if not distance > 0:
        raise InvalidDataError(source="distance", reason=f"{distance!r} is not above 0")
    root = selection.root
    held: dict[PicksKey, Layer] = {k: la for k, la in selection.rows() if k.kind is Kind.PICKS and la is not None}
    names = {key.object_name for key in held}
    if len(names) != 1:
        reason = (
            f"it matches picks of {', '.join(sorted(names))}, and one object is merged" if names else "it matches no picks"
        )
        raise AddressError(address=str(selection.address), position=None, reason=reason)
    targets: dict[Any, list[PicksKey]] = defaultdict(list)
    template = Target(target)
    for key in sorted(held):
        targets[template.key(key)].append(key)
    plan = Plan("Merge", afterwards=root.refresh)
    for key, sources in targets.items():
        if key in sources or len({source.run for source in sources}) > 1:
            reason = f"{key} would be one of its own sources, or of several runs; choose a user and session that no source has"
            raise AddressError(address=target, position=None, reason=reason)
        root._pickable_object(key.object_name)
        layer = root._writable(key)
        loaded = [held[source].load_picks(source)[0] for source in sources]
        merged, disputed = merged_picks(dict(zip(sources, loaded, strict=True)), key, distance, at_least)
        exists = layer.exists(key)
        if exists and _without_provenance(layer.read(key)) == _without_provenance(encode(merged, str(key))):
            plan.skipped.append(Skipped(key, "it is what merging makes"))
            continue
        if exists and if_exists == "skip":
            plan.skipped.append(Skipped(key, "it exists"))
            continue
        if exists and if_exists == "newer" and not is_newer([(held[source], source) for source in sources], layer, key):
            plan.skipped.append(Skipped(key, "none of its sources is newer"))
            continue
        if exists and if_exists == "fail":
            way_out = f"It has other content than merging makes; {choose_if_exists()}."
            raise AlreadyExistsError(key=key, layer=layer.name, way_out=way_out)
        with recording(
            "copick-core merge",
            function="copick_tools.merging:merge",
            version=__version__,
            by=root.user_id,
            arguments={"distance": distance, "at_least": at_least},
        ) as recorded:
            for source in sources:
                recorded.read(held[source], source)
            merged.header[KEY] = recorded.provenance(layer, key)
        change = Change("replace" if exists else "create", key, layer.name)
        plan.steps.append(Merging(layer, key, encode(merged, str(key)), disputed, len(merged), (change,)))
    return plan


def _without_provenance(data: bytes) -> Any:
    """The content of a picks file, but for what made it and when; None if it cannot be read."""
    import json

    try:
        content = json.loads(data)
    except ValueError:
        return None
    return {name: value for name, value in content.items() if name != KEY} if isinstance(content, dict) else None


def merge(
    selection: Selection, target: str, distance: float, *, verify: bool = False, progress: Progress | None = None, **how: Any
) -> Report:
    """Merge picks; see :func:`plan_merge`."""
    return plan_merge(selection, target, distance, **how).run(verify=verify, progress=progress)


def merged_picks(
    sources: dict[PicksKey, PicksArrays], key: PicksKey, distance: float, at_least: int = 1
) -> tuple[PicksArrays, int]:
    """Merge the picks of several annotators of one run.

    Args:
        sources: The picks, by their keys.
        key: The key of the merged ones.
        distance: In angstrom; see :func:`plan_merge`.
        at_least: Leave out points that fewer annotators found.

    Returns:
        The merged picks, and how many of them not all annotators have.
    """
    sums = np.zeros((0, 3))
    poses = np.zeros((0, 4, 4))
    found_by: list[list[str]] = []
    for source, arrays in sources.items():
        points = arrays.positions + arrays.transforms[:, :3, 3]
        votes = np.array([len(names) for names in found_by], float).reshape(-1, 1)
        known, new, _ = match(sums / votes if len(sums) else sums, points, distance)
        sums[known] += points[new]
        name = f"{source.user_id}/{source.session_id}"
        for index in known.tolist():
            found_by[index].append(name)
        added = np.setdiff1d(np.arange(len(points)), new)
        sums, poses = np.concatenate([sums, points[added]]), np.concatenate([poses, arrays.transforms[added]])
        found_by += [[name] for _ in added]
    counts = np.array([len(names) for names in found_by], int)
    kept = counts >= at_least
    poses[:, :3, 3] = 0
    first = next(iter(sources.values())).header
    trusted = all(arrays.header.get("trust_orientation", True) is not False for arrays in sources.values())
    header = {
        "pickable_object_name": key.object_name,
        "user_id": key.user_id,
        "session_id": key.session_id,
        "run_name": key.run,
        "voxel_spacing": first.get("voxel_spacing"),
        "trust_orientation": trusted,
    }
    columns = {"votes": counts[kept], "found_by": [", ".join(n) for n, keep in zip(found_by, kept, strict=True) if keep]}
    positions = (sums / counts[:, None])[kept] if len(sums) else sums
    merged = from_arrays(positions, poses[kept] if len(poses) else poses, columns=columns, header=header, source=str(key))
    return merged, int((counts[kept] < len(sources)).sum())
