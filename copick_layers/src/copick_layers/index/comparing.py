"""Comparing an index with the storage: whole runs are listed together, and what the index knows of the same content stays."""

from __future__ import annotations

import builtins
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from copick_core.errors import CopickError, InvalidDataError
from copick_core.layers import Layer, Revision
from copick_core.layers.layer import PartialListing
from copick_core.tree.keys import (
    FILE_KINDS,
    KINDS,
    PARENT_KIND,
    ROOT,
    Key,
    Kind,
    ParentKey,
    RunKey,
    SegmentationKey,
    child_kinds,
)
from copick_layers.index.database import IndexFile
from copick_layers.index.rows import run_of

#: Volumes that are asked for their versions, or entities that are read, at once.
AT_ONCE = 16
#: Runs that are listed at once, and put into the index in one step.
BATCH = 1000
#: Kinds below runs, each after the kind that holds it.
_KINDS = [
    *(kind for kind in child_kinds(Kind.RUN) if not KINDS[kind].sparse),
    *(kind for kind in child_kinds(Kind.RUN) if KINDS[kind].sparse),
    *child_kinds(Kind.VOXEL_SPACING),
    *child_kinds(Kind.TOMOGRAM),
]


@dataclass
class Differences:
    """Where an index and the storage differ.

    Attributes:
        missing: Entities that the index lacks.
        surplus: Entities that only the index has.
        changed: Entities whose revision is not the one with which their content was noted.
        failed: Runs that could not be listed.
    """

    missing: set[Key] = field(default_factory=set)
    surplus: set[Key] = field(default_factory=set)
    changed: set[Key] = field(default_factory=set)
    failed: set[Key] = field(default_factory=set)


class Comparison:
    """An index and the storage that it is about.

    Args:
        inner: The layer of the storage.
        index: The file.
    """

    def __init__(self, inner: Layer, index: IndexFile) -> None:
        self.inner = inner
        self.index = index

    def runs(self) -> builtins.list[str]:
        """Names of all runs, asked of the storage."""
        return [run_of(key) for key in self.inner.list(Kind.RUN, ROOT)]

    def version(self, run: str) -> str | None:
        """What tells that a run, or the project (""), is as it was."""
        found = self.inner.listing_version(RunKey(run) if run else ROOT)
        return None if found is None else repr(found)

    def relist(self, runs: Sequence[str], *, forget: bool = False) -> Mapping[str, Sequence[Key]]:
        """List whole runs and take what is there into the index.

        Args:
            runs: Names of the runs; "" is the project.
            forget: Forget what their entities contain.

        Returns:
            What was found, by run.
        """
        if not runs:
            return {}
        before = self.index.state()
        versions = {run: self.version(run) for run in runs}
        with self.inner.listing_runs([RunKey(run) for run in runs if run]):
            found, failed = self._listed(runs)
            told = {} if forget else self._told(self.index.noted_revisions(runs, versions))
        # Runs that cannot be listed stay unknown: whoever asks for them gets the error.
        known = {run: keys for run, keys in found.items() if run not in failed}
        self.index.replace(known, before, versions, told, forget=forget)
        return found

    def differences(self) -> Differences:
        """List the whole storage, and compare; changes nothing."""
        self.inner.forget(ROOT)
        found = Differences()
        known: dict[str, set[Key]] = {"": set()}
        for key in self.index.everything():
            known.setdefault(run_of(key) if key.kind is not Kind.RUN else "", set()).add(key)
        stored, _ = self._listed([""])
        runs = [run_of(key) for key in stored[""] if key.kind is Kind.RUN]
        for first in range(0, max(1, len(runs)), BATCH):
            batch = runs[first : first + BATCH]
            with self.inner.listing_runs([RunKey(run) for run in batch]):
                below, failed = self._listed(batch)
                noted = self.index.noted_revisions(["", *batch] if first == 0 else batch, {})
                told = self._told({key: revision for key, revision in noted.items() if run_of(key) not in failed})
            stored.update(below)
            found.failed.update(RunKey(run) for run in failed)
            found.changed.update(key for key, revision in noted.items() if told.get(key, revision) != revision)
        for run in {*stored, *known}:
            if RunKey(run) not in found.failed:
                found.missing |= {*stored.get(run, ())} - known.get(run, set())
                found.surplus |= known.get(run, set()) - {*stored.get(run, ())}
        return found

    def _told(self, keys: Iterable[Key]) -> dict[Key, str]:
        """Revisions of entities now, as text: files all at once, volumes many at a time."""
        from concurrent.futures import ThreadPoolExecutor

        files: list[Key] = []
        volumes: list[Key] = []
        for key in keys:
            (files if key.kind in FILE_KINDS else volumes).append(key)
        told: dict[Key, Hashable | None] = {**(self.inner.revisions(files) if files else {})}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            told.update(zip(volumes, pool.map(self.inner.volume_version, volumes), strict=True))
        return {key: repr(revision) for key, revision in told.items() if revision is not None}

    def _listed(self, runs: Sequence[str]) -> tuple[dict[str, builtins.list[Key]], set[str]]:
        """List everything below some runs; gives it by run, and the runs that could not be listed."""
        found: dict[str, list[Key]] = {run: [] for run in runs}
        failed: set[str] = set()
        for run in runs:
            self.inner.forget(RunKey(run) if run else ROOT)
        if "" in found:
            found[""] = [*self.inner.list(Kind.RUN, ROOT), *self.inner.list(Kind.OBJECT, ROOT)]
        names = [run for run in runs if run]
        parents: dict[Kind, list[ParentKey]] = {Kind.RUN: [RunKey(run) for run in names]}
        for kind in _KINDS if names else ():
            above = PARENT_KIND[kind]
            listed = self.inner.list_many(kind, parents.get(above, ())) if above is not None else {}
            if isinstance(listed, PartialListing):
                failed |= {run_of(parent) for parent in listed.failures}
            keys = [key for children in listed.values() for key in children]
            parents[kind] = keys  # type: ignore[assignment]
            for key in keys:
                found[run_of(key)].append(key)
        return found, failed

    def describe(self, *, workers: int = AT_ONCE) -> int:
        """Read what the index does not know: size, revision and points of files, shape and levels of volumes, labels.

        Returns:
            How many entities were read.
        """
        from concurrent.futures import ThreadPoolExecutor

        unknown = self.index.undescribed()
        with ThreadPoolExecutor(workers) as pool:
            for key, facts, changes in pool.map(self._facts, unknown):
                self.index.note(key, facts, changes)
        return len(unknown)

    def _facts(self, key: Key) -> tuple[Key, dict[str, Any], int]:
        changes = self.index.changes_of(run_of(key))
        try:
            if key.kind in FILE_KINDS:
                data, revision = self.inner.read_revised(key)
                return key, file_facts(key, data, revision), changes
            from copick_core.volumes import ome
            from copick_core.volumes.labels_present import labels_present

            store, version = self.inner.zarr(key), self.inner.volume_version(key)
            facts: dict[str, Any] = {"levels": len(ome.levels(store)), "shape": [*ome.open_with_image(store, "0")[0].shape]}
            facts["revision"] = None if version is None else repr(version)
            if isinstance(key, SegmentationKey):
                facts["labels"] = sorted(labels_present(self.inner, key))
            return key, facts, changes
        except (CopickError, OSError, ValueError, KeyError):
            return key, {}, changes  # gone meanwhile, or damaged: nothing is known of it


def file_facts(key: Key, data: bytes, revision: Revision | None) -> dict[str, Any]:
    """What is known of a file, by column."""
    facts: dict[str, Any] = {"size": len(data), "revision": None if revision is None else repr(revision)}
    if key.kind is Kind.PICKS:
        from copick_core.picks import decode

        try:
            facts["points"] = len(decode(data, str(key)))
        except InvalidDataError:
            facts["points"] = None
    return facts
