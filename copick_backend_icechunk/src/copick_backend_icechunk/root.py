"""Projects with a history: transactions, time travel, branches, tags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from copick_backend_icechunk.history import Change, Commit
from copick_backend_icechunk.layer import IcechunkLayer
from copick_core.layers import Layers
from copick_core.layers.revisions import note_change
from copick_core.overlay import CopickRootOverlay
from copick_core.tree.addresses import Address, parse

if TYPE_CHECKING:
    from copick_backend_icechunk.expiry import Expiry
    from copick_backend_icechunk.merging import Merge
    from copick_core.tree.schema import CopickConfig


def _open_at(config: Any, open_layers: Callable[[Any], Layers], snapshot: str) -> Layers:
    """Open the layers of a project with its history at one snapshot, all of them to be read."""
    layers = open_layers(config)
    for layer in layers.all:
        layer.read_only = True
        history = layer.unwrap(IcechunkLayer)
        if history is not None:
            history.commits.pin(snapshot)
    return Layers(static=layers.all)


def _open_on(config: Any, open_layers: Callable[[Any], Layers], branch: str) -> Layers:
    """Open the layers of a project with its history on a branch."""
    layers = open_layers(config)
    for layer in layers.all:
        history = layer.unwrap(IcechunkLayer)
        if history is not None:
            history.commits.branch = branch
    return layers


class CopickRootIcechunk(CopickRootOverlay):
    """A project with a history, alone or as the overlay of a stack.

    A snapshot is meant, wherever one is asked for, by a tag, a branch, the id of a commit (or its beginning), or a time: a
    ``datetime``, or text such as ``"2026-03-01T12:00"``, local time unless it names a zone.
    """

    spans_any_layers: ClassVar[bool] = True

    def __init__(self, config: CopickConfig, open_layers: Callable[[Any], Layers]) -> None:
        super().__init__(config, open_layers)
        if config.user_id:
            self.history_layer.commits.author = config.user_id

    @property
    def history_layer(self) -> IcechunkLayer:
        """The layer with the history; of several the one that is written to."""
        layers = ([self.layers.overlay] if self.layers.overlay else []) + [*self.layers.static]
        return next(found for layer in layers if (found := layer.unwrap(IcechunkLayer)) is not None)

    # ------------------------------------------------------------------ committing

    @contextmanager
    def transaction(self, message: str) -> Iterator[None]:
        """Make all writes of this project within the block one commit.

        All of them are stored when the block ends, or none: an error in the block drops them. Handles of picks, filaments and
        meshes keep what was assigned to them then; ``refresh()`` gives what is stored. Writes of all threads that use
        this project belong to it; other processes, and other projects of this process, commit on their own.

        Args:
            message: Message of the commit.

        Raises:
            ConflictError: Somebody else has changed one of the entities meanwhile. Nothing was written.
            InvalidDataError: There is a transaction already.
            ReadOnlyError: The project cannot be written to.

        Example:
            >>> with root.transaction("second pass over TS_1 to TS_9"):  # doctest: +SKIP
            ...     for run in root.runs:
            ...         run.picks[0].from_numpy(positions[run.name])
        """
        self._check_writable_history()
        commits = self.history_layer.commits
        transaction = commits.begin(message)
        try:
            yield
            commits.end(transaction)
        except BaseException:
            commits.drop(transaction)
            self._forget_changes(transaction.changes)
            raise

    def _check_writable_history(self) -> None:
        from copick_core.tree.keys import RunKey

        self._writable(RunKey("any"))

    def _forget_changes(self, paths: Any) -> None:
        """Forget what handles know of entities that are not as they were written, and of those that others wrote."""
        from copick_backend_icechunk.tree import entity_of

        for path in paths:
            key = entity_of(path)
            if key is not None:
                note_change(key)
        self.refresh()

    # ------------------------------------------------------------------ looking back

    def history(self, address: Address | str | None = None, limit: int | None = None) -> list[Commit]:
        """The commits of this branch, newest first.

        Args:
            address: Only commits that changed what it matches, or what lies below that, such as ``"TS_001/"``; each with these
                changes only.
            limit: Only so many, the newest ones: older ones are not read then.

        Raises:
            AddressError: The text is not an address.
        """
        return self.history_layer.commits.log(_address(address), limit)

    def as_of(self, snapshot: str | datetime) -> Self:
        """The project as it was, to be read.

        Raises:
            InvalidDataError: There is no such snapshot.
        """
        found = self.history_layer.commits.resolve(snapshot)
        return self._with(partial(_open_at, open_layers=self._open_layers, snapshot=found))

    def on_branch(self, name: str) -> Self:
        """The project on another branch, to be read and written.

        Raises:
            ConfigError: There is no such branch.
        """
        self.history_layer.commits.check_branch(name)
        return self._with(partial(_open_on, open_layers=self._open_layers, branch=name))

    def _with(self, open_layers: Callable[[Any], Layers]) -> Self:
        return type(self)(self.config.model_copy(deep=True), open_layers)

    def diff(self, before: str | datetime, after: str | datetime | None = None) -> tuple[Change, ...]:
        """What changed from one snapshot to another; for picks, which points were added, moved and removed.

        Args:
            before: The first snapshot.
            after: The second one; by default the newest of this branch.

        Raises:
            InvalidDataError: There is no such snapshot.
        """
        return self.history_layer.commits.diff(before, after)

    def restore(self, address: Address | str | None, as_of: str | datetime, message: str | None = None) -> tuple[Change, ...]:
        """Make entities what they were, in one commit: what was removed comes back, what is new goes.

        Args:
            address: What to restore, with all that lies below it; None for everything.
            as_of: The snapshot that it is taken from.
            message: Message of the commit.

        Returns:
            What was changed.

        Raises:
            AddressError: The text is not an address.
            ConflictError: Somebody else changed one of the entities meanwhile.
            InvalidDataError: There is no such snapshot.
            ReadOnlyError: The project cannot be written to.
        """
        from copick_backend_icechunk.restoring import restore

        with self.transaction(message or f"restore {address or 'everything'} as of {as_of}"):
            changes = restore(self.history_layer.commits, _address(address), as_of)
        self._forget_keys(changes)
        return changes

    def _forget_keys(self, changes: Sequence[Change]) -> None:
        for change in changes:
            note_change(change.key)
        self.refresh()

    # ------------------------------------------------------------------ branches and tags

    @property
    def branch(self) -> str:
        """The branch that this project reads and commits to."""
        return self.history_layer.commits.branch

    def branches(self) -> dict[str, str]:
        """The branches, each with the id of its newest commit."""
        return self.history_layer.commits.branches()

    def new_branch(self, name: str, at: str | datetime | None = None) -> None:
        """Make a branch.

        Args:
            name: Its name.
            at: Where it begins; by default at the newest commit of this branch.

        Raises:
            AlreadyExistsError: There is one of that name.
            InvalidDataError: There is no such snapshot.
        """
        self._check_writable_history()
        self.history_layer.commits.new_branch(name, at)

    def delete_branch(self, name: str) -> None:
        """Delete a branch; what only it had is removed when the history is next expired.

        Raises:
            InvalidDataError: There is none of that name, or it is the one that this project is on, or ``main``.
        """
        self._check_writable_history()
        self.history_layer.commits.delete_branch(name)

    def tags(self) -> dict[str, str]:
        """The tags, each with the id of its commit."""
        return self.history_layer.commits.tags()

    def new_tag(self, name: str, at: str | datetime | None = None) -> None:
        """Give a snapshot a name that stays; arguments and errors as for :meth:`new_branch`.

        A tag that was deleted cannot be made again: Icechunk keeps its name.
        """
        self._check_writable_history()
        self.history_layer.commits.new_tag(name, at)

    def delete_tag(self, name: str) -> None:
        """Delete a tag.

        Raises:
            InvalidDataError: There is none of that name.
        """
        self._check_writable_history()
        self.history_layer.commits.delete_tag(name)

    def merge(self, branch: str, *, prefer: Literal["ours", "theirs"] | None = None, dry_run: bool = False) -> Merge:
        """Bring what another branch changed into this one, entity by entity, in one commit.

        Of picks that both changed, what either added, moved or removed stays so. A conflict is a point that both changed, each
        in another way, or any other entity that both changed.

        Args:
            branch: The other branch.
            prefer: Whose version is taken of entities in conflict.
            dry_run: Write nothing.

        Returns:
            What was taken, what was brought together, and the conflicts.

        Raises:
            ConflictError: There are conflicts, and nobody is preferred; the message lists them. Nothing was written.
            ConfigError: There is no such branch.
        """
        from copick_backend_icechunk.merging import merge

        if dry_run:
            return merge(self.history_layer.commits, branch, prefer, dry_run=True)
        with self.transaction(f"merge {branch} into {self.branch}"):
            merged = merge(self.history_layer.commits, branch, prefer, dry_run=False)
        self._forget_keys([*merged.taken, *merged.combined])
        return merged

    def expire(self, older_than: datetime, *, dry_run: bool = True) -> Expiry:
        """Forget commits that are older than a time, and delete what nothing refers to any more.

        The newest commit of each branch, and tagged ones, stay. Run it while nobody writes: what a writer has staged and not
        committed yet is deleted if it is older than that time.

        Args:
            older_than: The time; without a zone, local time.
            dry_run: Only tell what would go, computed from the ancestry of all branches and tags.

        Returns:
            The commits that go, and what is deleted.
        """
        from copick_backend_icechunk.expiry import expire

        if not dry_run:
            self._check_writable_history()
        return expire(self.history_layer.commits, older_than, dry_run=dry_run)


def _address(address: Address | str | None) -> Address | None:
    return parse(address) if isinstance(address, str) else address
