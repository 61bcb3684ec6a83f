"""What reads one branch of a repository, or one moment of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from copick_backend_icechunk.history import Change, Commit, diff, log, resolve
from copick_backend_icechunk.recovery import LOST, last_good, restore_ref
from copick_backend_icechunk.transaction import Transaction
from copick_backend_icechunk.views import View
from copick_core.callers import warn_caller
from copick_core.errors import ConfigError, InvalidDataError

if TYPE_CHECKING:
    from datetime import datetime

    import icechunk

    from copick_backend_icechunk.places import Place
    from copick_core.tree.addresses import Address

B = TypeVar("B", bound="Branch")
P = ParamSpec("P")
T = TypeVar("T")


def answered(method: Callable[Concatenate[B, P], T]) -> Callable[Concatenate[B, P], T]:
    """A method whose errors of the storage are errors of the place."""

    @wraps(method)
    def answering(self: B, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.place.failing():
            return method(self, *args, **kwargs)

    return answering


class Branch:
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

    @answered
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

    @answered
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

    @answered
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
                if self.damaged_tip != tip:  # somebody has repaired it
                    self.damaged_tip = self.good = None
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

    @answered
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

    @answered
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

    @answered
    def newest(self) -> View:
        """The newest snapshot, or the one that is shown."""
        return self.view_at(self._tip(self.existing()))

    @answered
    def view_at(self, when: str | datetime) -> View:
        """A snapshot as it was; see :func:`copick_backend_icechunk.history.resolve`."""
        repository = self.existing()
        return View(repository, repository.readonly_session(snapshot_id=self.resolve(when)))

    @answered
    def resolve(self, when: str | datetime) -> str:
        """The snapshot that a tag, a branch, the id of a commit or a time means."""
        return resolve(self.walked(), self.branch, when)

    @answered
    def log(self, address: Address | None, limit: int | None = None) -> list[Commit]:
        """The commits up to what is shown, newest first; at most so many."""
        repository = self.repository()
        return [] if repository is None else [*islice(log(self.walked(), self._tip(repository), address), limit)]

    @answered
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


def _login() -> str:
    """The user of the operating system."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
