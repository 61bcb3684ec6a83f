"""The commits of a repository, and how two of them differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from copick_backend_icechunk.points import PointsDiff, compare
from copick_backend_icechunk.tree import entity_of, volume_of
from copick_backend_icechunk.views import Sign, View
from copick_core.errors import InvalidDataError
from copick_core.tree.keys import Key, Kind, RootKey

if TYPE_CHECKING:
    import icechunk

    from copick_core.tree.addresses import Address

What = Literal["added", "changed", "removed"]
_WHAT: dict[Sign, What] = {"+": "added", "~": "changed", "-": "removed"}
_WHOLE = 20
_ID = re.compile(rf"[0-9A-Z]{{4,{_WHOLE}}}")

#: Metadata of a commit that say which entities it changed.
CHANGES = "changes"


@dataclass(frozen=True)
class Change:
    """What happened to one entity.

    Attributes:
        key: The entity.
        what: ``"added"``, ``"changed"`` or ``"removed"``.
        points: For picks that were changed, how their points differ; None where that was not asked for.
    """

    key: Key
    what: What
    points: PointsDiff | None = None

    def __str__(self) -> str:
        return f"{self.what} {self.key}{'' if self.points is None else f': {self.points}'}"


@dataclass(frozen=True)
class Commit:
    """One commit.

    Attributes:
        id: Its snapshot.
        time: When it was stored, in UTC.
        author: Who made it; empty for commits of other programs.
        message: What was said of it.
        changes: What it changed.
    """

    id: str
    time: datetime
    author: str
    message: str
    changes: tuple[Change, ...]


def paths_changed(repository: icechunk.Repository, info: icechunk.SnapshotInfo) -> dict[str, Sign]:
    """The paths that a commit changed, as it says itself; of commits that do not, asked of the repository."""
    known = info.metadata.get(CHANGES)
    if known is not None:
        return dict(known)
    if info.parent_id is None:
        return {}
    found = repository.diff(from_snapshot_id=info.parent_id, to_snapshot_id=info.id)
    new, gone = {*found.new_arrays, *found.new_groups}, {*found.deleted_arrays, *found.deleted_groups}
    changed = {*found.updated_arrays, *found.updated_groups, *found.updated_chunks}
    signs: dict[str, Sign] = {}
    for node in sorted(new | gone | changed):
        path = node.strip("/")
        whole = volume_of(path) or path
        sign: Sign = "~"
        if whole == path and node in new - gone:
            sign = "+"
        elif whole == path and node in gone - new:
            sign = "-"
        if path:
            signs[whole] = signs.get(whole, sign) if whole != path else sign
    return signs


def commits(repository: icechunk.Repository, tip: str, until: str | None = None) -> Iterator[icechunk.SnapshotInfo]:
    """The ancestry of a snapshot, newest first, without the empty one that each repository begins with."""
    for info in repository.ancestry(snapshot_id=tip):
        if info.id == until or info.parent_id is None:
            return
        yield info


def log(repository: icechunk.Repository, tip: str, address: Address | None = None) -> Iterator[Commit]:
    """The commits up to a snapshot, newest first; with an address, those that changed what it matches."""
    for info in commits(repository, tip):
        changes = [
            Change(key, _WHAT[sign])
            for path, sign in sorted(paths_changed(repository, info).items())
            if (key := entity_of(path)) is not None and (address is None or covers(address, key))
        ]
        if changes or address is None:
            author = str(info.metadata.get("author", ""))
            yield Commit(info.id, info.written_at, author, info.message, tuple(changes))


def covers(address: Address, key: Key) -> bool:
    """Whether an address matches an entity, or one that it lies in."""
    above: Key | RootKey = key
    while not isinstance(above, RootKey):
        if above.kind in address.kinds and address.matches(above):
            return True
        above = above.parent
    return False


def common_ancestor(repository: icechunk.Repository, first: str, second: str) -> icechunk.SnapshotInfo:
    """The newest snapshot that two have in common: the empty beginning where expiry has cut off the others."""
    known = {info.id for info in repository.ancestry(snapshot_id=first)}
    return next(info for info in repository.ancestry(snapshot_id=second) if info.id in known)


def changed_between(repository: icechunk.Repository, before: View, after: View) -> dict[str, Sign]:
    """The paths that differ between two snapshots, of whatever branches."""
    if before.id == after.id:
        return {}
    base = common_ancestor(repository, before.id, after.id)
    known, now = {*before.tree.below("")} - {""}, {*after.tree.below("")} - {""}
    touched = known | now
    if base.parent_id is not None:  # else commits that expiry removed may have changed anything
        tips = (before.id, after.id)
        lists = (paths_changed(repository, info) for tip in tips for info in commits(repository, tip, base.id))
        touched = {path for paths in lists for path in paths}
    signs: dict[str, Sign] = {}
    for path in sorted(touched & (known | now)):
        if path not in known:
            signs[path] = "+"
        elif path not in now:
            signs[path] = "-"
        elif differs(before, after, path):
            signs[path] = "~"
    return signs


def differs(before: View, after: View, path: str) -> bool:
    """Whether a file or a volume that two snapshots have is not the same in both."""
    from zarr.core.sync import sync

    from copick_backend_icechunk.files import read_file
    from copick_backend_icechunk.volumes import same_values

    if volume_of(path) is None:
        return bool(sync(read_file(before.store, path)) != sync(read_file(after.store, path)))
    return not sync(same_values(before.store, after.store, path))


def diff(repository: icechunk.Repository, before: View, after: View) -> tuple[Change, ...]:
    """What changed from one snapshot to another; for picks, point by point."""
    from zarr.core.sync import sync

    from copick_backend_icechunk.files import read_file

    found = []
    for path, sign in changed_between(repository, before, after).items():
        key = entity_of(path)
        if key is None:
            continue
        points = None
        if key.kind is Kind.PICKS and sign == "~":
            points = compare(sync(read_file(before.store, path)), sync(read_file(after.store, path)))
        found.append(Change(key, _WHAT[sign], points))
    return tuple(found)


def resolve(repository: icechunk.Repository, branch: str, when: str | datetime) -> str:
    """The snapshot that a tag, a branch, the id of a commit (or its beginning) or a time means.

    Args:
        repository: The repository.
        branch: The branch in whose history times and beginnings of ids are looked up.
        when: What is meant; a time without a zone is local time.

    Raises:
        InvalidDataError: There is no such snapshot.
    """
    text = when if isinstance(when, str) else when.isoformat()
    if isinstance(when, str):
        if text in repository.list_tags():
            return repository.lookup_tag(text)
        if text in repository.list_branches():
            return repository.lookup_branch(text)
        if len(text) == _WHOLE and _ID.fullmatch(text) and _is_there(repository, text):
            return text
        if _ID.fullmatch(text):
            infos = repository.ancestry(branch=branch)
            found = [info.id for info in infos if info.id.startswith(text)] or _of_any_branch(repository, text)
            if len(found) == 1:
                return found[0]
            if len(found) > 1:
                raise InvalidDataError(source=text, reason=f"{len(found)} commits begin so; write more of the id")
    try:
        moment = when if isinstance(when, datetime) else datetime.fromisoformat(text)
    except ValueError:
        tags = ", ".join(sorted(repository.list_tags())) or "none"
        reason = f"it is not a tag ({tags}), a branch, the id of a commit or a time such as 2026-03-01T12:00"
        raise InvalidDataError(source=text, reason=reason) from None
    moment = moment.astimezone(UTC)
    for info in repository.ancestry(branch=branch):
        if info.written_at <= moment:
            return info.id
    raise InvalidDataError(source=text, reason=f"the history of branch {branch!r} begins later, at {info.written_at}")


def _is_there(repository: icechunk.Repository, snapshot: str) -> bool:
    """Whether there is a snapshot, without a walk through the history."""
    import icechunk

    try:
        return next(iter(repository.ancestry(snapshot_id=snapshot))).id == snapshot
    except icechunk.IcechunkError:
        return False


def _of_any_branch(repository: icechunk.Repository, start: str) -> list[str]:
    tips = [repository.lookup_branch(name) for name in repository.list_branches()]
    tips += [repository.lookup_tag(name) for name in repository.list_tags()]
    return sorted({i.id for tip in tips for i in repository.ancestry(snapshot_id=tip) if i.id.startswith(start)})
