"""Forgetting old commits, and deleting what nothing refers to any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import icechunk

    from copick_backend_icechunk.commits import Committer


@dataclass(frozen=True)
class Expiry:
    """What expiry removed, or would remove.

    Attributes:
        commits: Ids of the commits that are forgotten.
        objects: How many stored objects are deleted. A dry run counts those that are garbage already, and not yet
            what only the forgotten commits refer to.
        size: Their size in bytes.
    """

    commits: frozenset[str]
    objects: int
    size: int


def expire(commits: Committer, older_than: datetime, *, dry_run: bool) -> Expiry:
    """Expire commits and collect garbage."""
    repository = commits.existing()
    moment = older_than.astimezone(UTC)
    with commits.place.committing():
        walked = commits.walked()
        gone = expired(walked, moment)
        if not dry_run:
            before = {*_ancestry(walked)}
            repository.expire_snapshots(moment)  # it returns those too that it keeps because a branch or a tag names them
            gone = frozenset(before - {*_ancestry(walked)})
        found = repository.garbage_collect(moment, dry_run=dry_run)
    if not dry_run:
        commits.disconnect()
    counts = (found.chunks_deleted, found.manifests_deleted, found.snapshots_deleted, found.transaction_logs_deleted)
    return Expiry(gone, sum(counts), found.bytes_deleted)


def expired(repository: icechunk.Repository, moment: datetime) -> frozenset[str]:
    """The commits that expiry forgets: those before a time, but for tips of branches and tags and the empty beginning."""
    tips = {repository.lookup_branch(name) for name in repository.list_branches()}
    tips |= {repository.lookup_tag(name) for name in repository.list_tags()}
    return frozenset(
        info.id
        for info in _ancestry(repository).values()
        if info.parent_id is not None and info.written_at < moment and info.id not in tips
    )


def _ancestry(repository: icechunk.Repository) -> dict[str, icechunk.SnapshotInfo]:
    """The commits that branches and tags lead to."""
    found = [info for name in repository.list_branches() for info in repository.ancestry(branch=name)]
    found += [info for name in repository.list_tags() for info in repository.ancestry(tag=name)]
    return {info.id: info for info in found}
