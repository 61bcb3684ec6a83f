"""What reads and commits to one branch of a repository."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from copick_backend_icechunk.history import CHANGES, Change, Commit, commits, diff, log, paths_changed, resolve
from copick_backend_icechunk.recovery import LOST, last_good, restore_ref
from copick_backend_icechunk.transaction import Transaction
from copick_backend_icechunk.tree import described, entity_of, key_of
from copick_backend_icechunk.views import Changes, Sign, View, apply
from copick_core.callers import warn_caller
from copick_core.errors import AlreadyExistsError, ConfigError, ConflictError, InvalidDataError

if TYPE_CHECKING:
    from datetime import datetime

    import icechunk

    from copick_backend_icechunk.places import Place
    from copick_core.tree.addresses import Address

P = ParamSpec("P")
T = TypeVar("T")

#: How often a commit is tried again when others commit at the same time.
_TRIES = 100

#: How many changed entities a commit lists at most; of larger ones icechunk is asked.
_MOST_CHANGES = 10_000


def _answered(method: Callable[Concatenate[Committer, P], T]) -> Callable[Concatenate[Committer, P], T]:
    """A method whose errors of the storage are errors of the place."""

    @wraps(method)
    def answered(self: Committer, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.place.failing():
            return method(self, *args, **kwargs)

    return answered


class Committer:
    """One branch, or one snapshot, of a repository.

    Args:
        place: Where the repository lies.
        branch: The branch.
        as_of: A snapshot's id, a tag or a time to read instead of its tip.
        author: Who commits.
        changed: Called when another snapshot is shown.

    Attributes:
        damaged_tip: The newest commit, if files of it are missing.
        good: The commit that is shown instead.
        stale: Whether the next look must be at the newest snapshot.
        author: Who commits.
    """

    def __init__(self, place: Place, branch: str, as_of: str | None, author: str | None, changed: Callable[[], None]) -> None:
        self.place = place
        self.branch = branch
        self.as_of = as_of
        self.author = author or _login()
        self.stale = False
        self._changed = changed
        self._lock = threading.RLock()
        self._repository: icechunk.Repository | None = None
        self._view: View | None = None
        self._advanced = 0
        self._batches: dict[str, icechunk.Session] = {}
        self._transaction: Transaction | None = None
        self._pinned: str | None = None
        self.damaged_tip: str | None = None
        self.good: str | None = None
        self._guessed = False
        self._has_root = False
        self._walked: icechunk.Repository | None = None

    # ------------------------------------------------------------------ reading

    @_answered
    def repository(self, *, create: bool = False) -> icechunk.Repository | None:
        """The repository; None where there is none yet."""
        with self._lock:
            if self._repository is None and self.place.is_bucket:
                self._repository = self.place.open()
            if self._repository is None and (create or self.place.is_there()):
                self._mend_ref()
                self._repository = self._made() if create else self.place.open()
            return self._repository

    def _made(self) -> icechunk.Repository | None:
        """The repository; made where there is none. In a bucket somebody else may make it at the same time."""
        import icechunk

        with self.place.committing():
            try:
                return self.place.open(create=True)
            except icechunk.IcechunkError:
                begun = self.place.folder is None and self.place.objects.snapshots()
                if not begun and not self.place.objects.remove_beginning():
                    raise
            if begun:
                self._mend_ref()
            return self.place.open(create=True)

    def walked(self) -> icechunk.Repository:
        """The repository, opened once more for walks through its history, which keep no snapshot in memory."""
        with self._lock:
            if self._walked is None:
                self.existing()
                self._walked = self.place.open(keeping=False)
            if self._walked is None:
                raise RuntimeError(f"the repository at {self.place} is gone")
            return self._walked

    def _mend_ref(self) -> None:
        """Bring back the file of a branch that is lost: without it there is no repository."""
        folder = self.place.folder
        if folder is not None and (not os.path.isdir(os.path.join(folder, "snapshots")) or self.branch_is_readable()):
            return
        with self.place.committing():
            mended = restore_ref(self.place.objects, self.branch)
        self._guessed = mended == LOST
        if self._guessed:
            warn_caller(
                f"The file of branch {self.branch!r} of {self.place} was missing{self._how}. The branch "
                "continues from the newest commit whose files are there: look whether your last changes are in it."
            )

    def branch_is_readable(self) -> bool:
        """Whether the file of the branch of a local repository is there, and not empty; True where it was never made."""
        path = os.path.join(str(self.place.folder), "refs", f"branch.{self.branch}", "ref.json")
        try:
            return os.path.getsize(path) > 0
        except FileNotFoundError:
            return self.branch != "main"

    @property
    def _how(self) -> str:
        return "" if self.place.is_bucket else ", as after a power cut"

    @_answered
    def existing(self) -> icechunk.Repository:
        """The repository; made where there is none."""
        found = self.repository(create=True)
        if found is None:
            raise RuntimeError(f"the repository at {self.place} was neither opened nor made")
        return found

    def disconnect(self) -> None:
        """Open the repository anew when it is next asked."""
        with self._lock:
            self._repository = self._view = self._walked = None
            self._has_root = False
            self.damaged_tip = self.good = None

    @_answered
    def view(self, *, fresh: bool = False) -> View | None:
        """What is read: the snapshot that was seen last, or (``fresh``) the newest one; None where there is no repository."""
        if self._transaction is not None:
            return self._transaction.view
        known = self._view
        if known is not None and not self.stale and (not fresh or self._pinned is not None):
            return known
        repository = self.repository()
        if repository is None:
            return None
        while True:
            advanced = self._advanced
            tip = self._tip(repository)
            with self._lock:
                if advanced != self._advanced:
                    continue  # a commit of this process came in between, and must show
                self.stale = False
                if self._view is None or self.damaged_tip == tip:
                    tip = self._sound(repository, tip, deep=not self.place.is_bucket)
                if self._view is None or self._view.id != tip:
                    self._view = View(repository, repository.readonly_session(snapshot_id=tip))
                    self._changed()
                return self._view

    def _sound(self, repository: icechunk.Repository, tip: str, *, deep: bool) -> str:
        """The tip, or the last good commit where files of newer ones are missing; with a warning, and writes are refused."""
        if self._pinned is not None or self.damaged_tip == tip:
            return tip if self.good is None else self.good
        good = last_good(repository, self.place.objects, self.branch, tip, guessed=self._guessed, deep=deep)
        guessed, self._guessed = self._guessed, False
        if good is None:
            raise InvalidDataError(source=str(self.place), reason="files of all its commits are missing; restore a backup")
        if guessed and good != tip:
            with self.place.committing():
                repository.reset_branch(self.branch, good)
            return good
        if good != tip:
            self.damaged_tip, self.good = tip, good
            warn_caller(
                f"{self.damage} The last good one, {good[:8]}, is shown, to be read only. 'copick-core doctor --repair' "
                "goes on from there."
            )
        return good

    @_answered
    def examine(self) -> bool:
        """Look whether what the newest commit changed is there; in buckets that is not asked when a project is opened.

        Returns:
            Whether another commit is shown now.
        """
        repository = self.repository()
        if repository is None or self.good is not None or self._transaction is not None:
            return False
        with self._lock:
            good = self._sound(repository, self._tip(repository), deep=True)
            if self._view is not None and self._view.id == good:
                return False
            self._view = View(repository, repository.readonly_session(snapshot_id=good))
        self._changed()
        return True

    @property
    def damage(self) -> str:
        """What is wrong with the newest commits."""
        return f"Files of the newest commits of {self.place} are missing{self._how}."

    @_answered
    def repair(self) -> None:
        """Make the last good commit the newest one."""
        if self.good is not None:
            with self.place.committing():
                self.existing().reset_branch(self.branch, self.good)
            self.damaged_tip = self.good = None
            self.disconnect()

    def _tip(self, repository: icechunk.Repository) -> str:
        import icechunk

        if self._pinned is None and self.as_of is not None:
            self._pinned = resolve(self.walked(), self.branch, self.as_of)
        if self._pinned is not None:
            return self._pinned
        try:
            return repository.lookup_branch(self.branch)
        except icechunk.IcechunkError as error:
            self._check_branch(repository, error)
            raise

    def pin(self, snapshot: str) -> None:
        """Show one snapshot from now on."""
        with self._lock:
            self._pinned = snapshot
            self._view = None

    @_answered
    def newest(self) -> View:
        """The newest snapshot, or the one that is shown."""
        return self.view_at(self._tip(self.existing()))

    @_answered
    def view_at(self, when: str | datetime) -> View:
        """A snapshot as it was; see :func:`copick_backend_icechunk.history.resolve`."""
        repository = self.existing()
        return View(repository, repository.readonly_session(snapshot_id=self.resolve(when)))

    @_answered
    def resolve(self, when: str | datetime) -> str:
        """The snapshot that a tag, a branch, the id of a commit or a time means."""
        return resolve(self.walked(), self.branch, when)

    @_answered
    def log(self, address: Address | None, limit: int | None = None) -> list[Commit]:
        """The commits up to what is shown, newest first; at most so many."""
        repository = self.repository()
        return [] if repository is None else [*islice(log(self.walked(), self._tip(repository), address), limit)]

    @_answered
    def diff(self, before: str | datetime, after: str | datetime | None) -> tuple[Change, ...]:
        """What changed from one snapshot to another."""
        later = self.newest() if after is None else self.view_at(after)
        return diff(self.walked(), self.view_at(before), later)

    def _check_branch(self, repository: icechunk.Repository, error: Exception) -> None:
        """Raise an error that lists the branches, if this one does not exist."""
        branches = sorted(repository.list_branches())
        if self.branch not in branches:
            reason = f"there is no branch {self.branch!r}; there are {', '.join(branches)}"
            raise ConfigError(source=str(self.place), reason=reason) from error

    # ------------------------------------------------------------------ committing

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

    @_answered
    def _writing(self, repository: icechunk.Repository) -> View:
        """A session that writes, with the tree of its snapshot if that is known.

        Raises:
            InvalidDataError: Files of the newest commits are missing.
        """
        import icechunk

        self.view()
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

    @_answered
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

    @_answered
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

    @_answered
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

    @_answered
    def branches(self) -> dict[str, str]:
        """The branches, each with its newest commit."""
        repository = self.existing()
        return {name: repository.lookup_branch(name) for name in sorted(repository.list_branches())}

    @_answered
    def new_branch(self, name: str, at: str | datetime | None) -> None:
        """Make a branch."""
        repository = self.existing()
        if name in repository.list_branches():
            raise AlreadyExistsError(key=f"branch {name!r}", layer=str(self.place), way_out="Choose another name.")
        repository.create_branch(name, self._tip(repository) if at is None else self.resolve(at))

    @_answered
    def delete_branch(self, name: str) -> None:
        """Delete a branch."""
        self.check_branch(name)
        if name in ("main", self.branch):
            raise InvalidDataError(source=f"branch {name!r}", reason="the project is on it, or it is the main one")
        self.existing().delete_branch(name)

    @_answered
    def tags(self) -> dict[str, str]:
        """The tags, each with its commit."""
        repository = self.existing()
        return {name: repository.lookup_tag(name) for name in sorted(repository.list_tags())}

    @_answered
    def new_tag(self, name: str, at: str | datetime | None) -> None:
        """Make a tag."""
        import icechunk

        repository = self.existing()
        try:
            repository.create_tag(name, self._tip(repository) if at is None else self.resolve(at))
        except icechunk.IcechunkError as error:
            way_out = "Choose another name; those of deleted tags stay taken."
            raise AlreadyExistsError(key=f"tag {name!r}", layer=str(self.place), way_out=way_out) from error

    @_answered
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


def _login() -> str:
    """The user of the operating system."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
