"""What commits to one branch of a repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from copick_backend_icechunk.history import CHANGES, commits, paths_changed
from copick_backend_icechunk.reading import Branch, answered
from copick_backend_icechunk.transaction import Transaction
from copick_backend_icechunk.tree import described, entity_of, key_of
from copick_backend_icechunk.views import Changes, Sign, View, apply
from copick_core.errors import AlreadyExistsError, ConfigError, ConflictError, InvalidDataError

if TYPE_CHECKING:
    from datetime import datetime

    import icechunk


#: How often a commit is tried again when others commit at the same time.
_TRIES = 100

#: How many changed entities a commit lists at most; of larger ones icechunk is asked.
_MOST_CHANGES = 10_000


class Committer(Branch):
    """One branch of a repository, which is committed to."""

    def commit(self, change: Callable[[View], Changes], message: Callable[[Changes], str]) -> None:
        """Make a change in a session and commit it.

        Args:
            change: Makes it; called again with a newer snapshot if somebody else commits meanwhile.
            message: What to say of it.

        Raises:
            ConflictError: Others committed again and again.
        """
        import icechunk

        if self._transaction is not None:
            self._transaction.change(change)
            self._changed()
            return
        repository = self.existing()
        self.view()  # what is wrong with the repository is looked for without the lock
        changes: Changes = {}
        with self.place.committing(), self.place.failing():
            for _ in range(_TRIES):
                view = self._writing(repository)
                changes = change(view)
                if not view.session.has_uncommitted_changes:
                    return
                self._begin(view)
                try:
                    self._store(view, changes, message(changes))
                except icechunk.ConflictError:
                    continue
                self._advance(View(repository, view.session, _updated(view, changes)))
                return
        raise self._crowded(changes)

    @answered
    def _writing(self, repository: icechunk.Repository) -> View:
        """A session that writes, with the tree of its snapshot if that is known.

        Raises:
            InvalidDataError: Files of the newest commits are missing.
        """
        import icechunk

        self.view(fresh=self.good is not None)
        if self.good is not None:
            raise InvalidDataError(source=str(self.place), reason=f"{self.damage} Run 'copick-core doctor --repair' first")
        try:
            session = repository.writable_session(self.branch)
        except icechunk.IcechunkError as error:
            self._check_branch(repository, error)
            raise
        known = self._view
        same = known is not None and known.id == session.snapshot_id
        return View(repository, session, known.known_tree if known is not None and same else None)

    def _begin(self, view: View) -> None:
        """Make the root group of the repository, which says whose it is."""
        from zarr.core.sync import sync

        from copick_backend_icechunk.volumes import put_root

        if not self._has_root:
            sync(put_root(view.store))

    def _store(self, view: View, changes: Changes, message: str) -> str:
        metadata: dict[str, Any] = {"author": self.author, "branch": self.branch}
        if len(changes) <= _MOST_CHANGES:
            metadata[CHANGES] = dict(changes)
        return view.session.commit(f"{self.author}: {message}", metadata=metadata)

    def _advance(self, view: View) -> None:
        with self._lock:
            self._view = view
            self._has_root = True
            self._advanced += 1
            self.stale = False
        self._changed()

    def _crowded(self, changes: Mapping[str, Sign]) -> ConflictError:
        key = next((key_of(path) for path in changes), None)
        return ConflictError(
            key=key or str(self.place),
            layer=str(self.place),
            expected=None,
            found=None,
            way_out=f"Others committed {_TRIES} times meanwhile; try again.",
        )

    # ------------------------------------------------------------------ volumes

    @contextmanager
    def staging(self) -> Iterator[View]:
        """A session of its own for a volume that is written; what is not published stays unseen."""
        if self._transaction is None:
            yield self._writing(self.existing())
            return
        with self._transaction.staging() as fork:
            yield View(self.existing(), fork)

    @answered
    def publish(self, staged: View, path: str, known: str, new: str) -> None:
        """Commit a volume that was staged, in the place of what is there now.

        Args:
            staged: The session.
            path: The volume.
            known: The message if there is one already.
            new: The message if there is none.
        """
        if self._transaction is not None:
            self._transaction.take(staged.session, path)
            self._changed()
            return
        tip = self.view(fresh=True)
        exists = tip is not None and tip.tree.holds(path, folder=True)
        sign: Sign = "~" if exists else "+"
        self._begin(staged)
        self._commit_session(staged, {path: sign}, known if exists else new, path, whole=True)

    def batch_of(self, path: str) -> icechunk.Session | None:
        """The session in which parts of a volume are changed at this moment, or None."""
        return self._batches.get(path)

    @contextmanager
    def batch(self, path: str, message: str) -> Iterator[None]:
        """Commit what is changed in a volume within the block at once; one thread at a time for each volume."""
        if path in self._batches or self._transaction is not None:
            yield
            return
        view = self._writing(self.existing())
        known = view.tree.holds(path, folder=True)
        self._batches[path] = view.session
        try:
            yield
            if view.session.has_uncommitted_changes:
                self._begin(view)
                self._commit_session(view, {path: "~" if known else "+"}, message, path, whole=False)
        finally:
            del self._batches[path]

    # ------------------------------------------------------------------ transactions

    @answered
    def begin(self, message: str) -> Transaction:
        """Begin a transaction: until it ends, all reads and writes go to it.

        Raises:
            InvalidDataError: There is one already.
        """
        repository = self.existing()
        with self._lock:
            if self._transaction is not None:
                reason = f"{self._transaction.message!r} has not ended yet; one at a time"
                raise InvalidDataError(source="transaction", reason=reason)
            while True:
                view, spare = self._writing(repository), repository.writable_session(self.branch)
                if spare.snapshot_id == view.id:
                    break
            self._transaction = Transaction(View(repository, view.session, view.tree.copy()), spare, message)
        self._changed()
        return self._transaction

    def open_transaction(self) -> Transaction:
        """The transaction that was begun."""
        if self._transaction is None:
            raise RuntimeError("there is no transaction")
        return self._transaction

    @answered
    def base_of(self, transaction: Transaction) -> View:
        """The snapshot that a transaction began with."""
        repository = self.existing()
        return View(repository, repository.readonly_session(snapshot_id=transaction.base))

    def end(self, transaction: Transaction) -> None:
        """Commit a transaction.

        Raises:
            ConflictError: Somebody else has changed one of its entities.
        """
        import icechunk

        repository = self.existing()
        view, changes = transaction.view, transaction.changes
        if not changes:
            self.drop(transaction)
            return
        self._begin(view)
        rebased = False
        with self.place.committing(), self.place.failing():
            for _ in range(_TRIES):
                try:
                    self._store(view, changes, transaction.message)
                except icechunk.ConflictError:
                    self._check_apart(repository, transaction)
                    try:
                        view.session.rebase(icechunk.ConflictDetector())
                    except icechunk.RebaseFailedError as error:
                        paths = [conflict.path.strip("/") for conflict in error.conflicts]
                        raise self._taken(next((p for p in paths if entity_of(p)), paths[0])) from error
                    rebased = True
                    continue
                self._transaction = None
                self._advance(View(repository, view.session, None if rebased else view.known_tree))
                return
        raise self._crowded(changes)

    def drop(self, transaction: Transaction) -> None:
        """Forget what a transaction has written."""
        with self._lock:
            if self._transaction is transaction:
                self._transaction = None
        self._changed()

    def _check_apart(self, repository: icechunk.Repository, transaction: Transaction) -> None:
        """Raise ConflictError if somebody else has changed an entity that a transaction has changed too."""
        for info in commits(repository, repository.lookup_branch(self.branch), transaction.base):
            both = paths_changed(repository, info).keys() & transaction.changes.keys()
            if both:
                raise self._taken(min(both), info)

    def _taken(self, path: str, info: icechunk.SnapshotInfo | None = None) -> ConflictError:
        who = f" by {info.message!r} ({info.metadata.get('author', 'unknown')})" if info else ""
        return ConflictError(
            key=entity_of(path) or path,
            layer=str(self.place),
            expected=None,
            found=None if info is None else info.id,
            reason=f"{described(path)} was changed on branch {self.branch!r}{who} while the transaction was open",
        )

    # ------------------------------------------------------------------ branches and tags

    def check_branch(self, name: str) -> None:
        """Raise ConfigError, which lists the branches, if there is none of that name."""
        branches = self.branches()
        if name not in branches:
            raise ConfigError(source=str(self.place), reason=f"there is no branch {name!r}; there are {', '.join(branches)}")

    @answered
    def branches(self) -> dict[str, str]:
        """The branches, each with its newest commit."""
        repository = self.existing()
        return {name: repository.lookup_branch(name) for name in sorted(repository.list_branches())}

    @answered
    def new_branch(self, name: str, at: str | datetime | None) -> None:
        """Make a branch."""
        repository = self.existing()
        if name in repository.list_branches():
            raise AlreadyExistsError(key=f"branch {name!r}", layer=str(self.place), way_out="Choose another name.")
        repository.create_branch(name, self._tip(repository) if at is None else self.resolve(at))

    @answered
    def delete_branch(self, name: str) -> None:
        """Delete a branch."""
        self.check_branch(name)
        if name in ("main", self.branch):
            raise InvalidDataError(
                source=f"branch {name!r}", reason="it cannot be deleted, because the project is on it or it is main"
            )
        self.existing().delete_branch(name)

    @answered
    def tags(self) -> dict[str, str]:
        """The tags, each with its commit."""
        repository = self.existing()
        return {name: repository.lookup_tag(name) for name in sorted(repository.list_tags())}

    @answered
    def new_tag(self, name: str, at: str | datetime | None) -> None:
        """Make a tag."""
        import icechunk

        repository = self.existing()
        try:
            repository.create_tag(name, self._tip(repository) if at is None else self.resolve(at))
        except icechunk.IcechunkError as error:
            way_out = "Choose another name; those of deleted tags stay taken."
            raise AlreadyExistsError(key=f"tag {name!r}", layer=str(self.place), way_out=way_out) from error

    @answered
    def delete_tag(self, name: str) -> None:
        """Delete a tag."""
        tags = self.tags()
        if name not in tags:
            raise InvalidDataError(source=f"tag {name!r}", reason=f"there is none; there are {', '.join(tags) or 'no tags'}")
        self.existing().delete_tag(name)

    def _commit_session(self, view: View, changes: Changes, message: str, path: str, *, whole: bool) -> None:
        """Commit a session that was opened a while ago; where others have changed the same meanwhile, this comes after it."""
        import icechunk
        from zarr.core.sync import sync

        from copick_backend_icechunk.volumes import changed_names, copy_values

        repository = self.existing()
        rebased = False
        with self.place.committing(), self.place.failing():
            for _ in range(_TRIES):
                try:
                    self._store(view, changes, message)
                except icechunk.ConflictError:
                    try:
                        view.session.rebase(icechunk.ConflictDetector())
                        rebased = True
                    except icechunk.RebaseFailedError:
                        names = None if whole else sync(changed_names(view.session, path))
                        newer = self._writing(repository)
                        if whole:
                            sync(newer.store.delete_dir(path))
                        sync(copy_values(view.store, newer.store, path, names))
                        view = newer
                    continue
                self._advance(View(repository, view.session, None if rebased else _updated(view, changes)))
                return
        raise self._crowded(changes)


def _updated(view: View, changes: Changes) -> Any:
    """The tree after a commit, if it was known before it."""
    tree = view.known_tree
    if tree is not None:
        apply(changes, tree)
    return tree
