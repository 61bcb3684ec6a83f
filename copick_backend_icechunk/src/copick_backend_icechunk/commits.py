"""What reads and commits to one branch of a repository."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from copick_backend_icechunk.tree import key_of
from copick_backend_icechunk.views import Changes, Sign, View, apply
from copick_core.errors import ConfigError, ConflictError

if TYPE_CHECKING:
    import icechunk

    from copick_backend_icechunk.places import Place

#: How often a commit is tried again when others commit at the same time.
_TRIES = 100

#: Metadata of a commit that says which entities it changed, and how many of them are listed at most.
CHANGES = "changes"
MOST_CHANGES = 10_000


class Committer:
    """One branch, or one snapshot, of a repository.

    Args:
        place: Where the repository lies.
        branch: The branch.
        as_of: A snapshot's id, a tag or a time to read instead of its tip.
        author: Who commits.
        changed: Called when another snapshot is shown.

    Attributes:
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

    # ------------------------------------------------------------------ reading

    def repository(self, *, create: bool = False) -> icechunk.Repository | None:
        """The repository; None where there is none yet."""
        import icechunk

        with self._lock:
            if self._repository is None:
                if create:
                    with self.place.committing():
                        self._repository = icechunk.Repository.open_or_create(self.place.storage())
                elif self.place.is_there():
                    storage = self.place.storage()
                    if icechunk.Repository.exists(storage):
                        self._repository = icechunk.Repository.open(storage)
            return self._repository

    def existing(self) -> icechunk.Repository:
        """The repository; made where there is none."""
        found = self.repository(create=True)
        if found is None:
            raise RuntimeError(f"the repository at {self.place} was neither opened nor made")
        return found

    def disconnect(self) -> None:
        """Open the repository anew when it is next asked."""
        with self._lock:
            self._repository = self._view = None

    def view(self, *, fresh: bool = False) -> View | None:
        """What is read: the snapshot that was seen last, or (``fresh``) the newest one; None where there is no repository."""
        known = self._view
        if known is not None and not fresh and not self.stale:
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
                if self._view is None or self._view.id != tip:
                    self._view = View(repository, repository.readonly_session(snapshot_id=tip))
                    self._changed()
                return self._view

    def _tip(self, repository: icechunk.Repository) -> str:
        import icechunk

        try:
            return repository.lookup_branch(self.branch)
        except icechunk.IcechunkError as error:
            self._check_branch(repository, error)
            raise

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

        repository = self.existing()
        with self.place.committing():
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

    def _writing(self, repository: icechunk.Repository) -> View:
        """A session that writes, with the tree of its snapshot if that is known."""
        import icechunk

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

        sync(put_root(view.store))

    def _store(self, view: View, changes: Changes, message: str) -> str:
        metadata: dict[str, Any] = {"author": self.author, "branch": self.branch}
        if len(changes) <= MOST_CHANGES:
            metadata[CHANGES] = dict(changes)
        return view.session.commit(f"{self.author}: {message}", metadata=metadata)

    def _advance(self, view: View) -> None:
        with self._lock:
            self._view = view
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
        yield self._writing(self.existing())

    def publish(self, staged: View, path: str, known: str, new: str) -> None:
        """Commit a volume that was staged, in the place of what is there now.

        Args:
            staged: The session.
            path: The volume.
            known: The message if there is one already.
            new: The message if there is none.
        """
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
        if path in self._batches:
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

    def _commit_session(self, view: View, changes: Changes, message: str, path: str, *, whole: bool) -> None:
        """Commit a session that was opened a while ago; where others have changed the same meanwhile, this comes after it."""
        import icechunk
        from zarr.core.sync import sync

        from copick_backend_icechunk.volumes import changed_names, copy_values

        repository = self.existing()
        rebased = False
        with self.place.committing():
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
