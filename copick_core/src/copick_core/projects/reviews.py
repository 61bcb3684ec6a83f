"""The state of review: who works on which run, what is done, checked or rejected, and why.

Each run has one record, ``reviews``, in the overlay: a JSON file, written all or nothing, which copick 1.x never sees.
Records of all layers are read; of several reviews of one thing the overlay's counts, then that of the last static layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from copick_core.errors import ConflictError, InvalidDataError, NotFoundError, ReadOnlyError, by_caller, closest
from copick_core.layers.records import ATTEMPTS, read_document, record_source, write_document
from copick_core.layers.revisions import Revision
from copick_core.tree.keys import RunKey
from copick_core.tree.schema import REVIEW_STATES

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay

#: Name of the record.
RECORD = "reviews"
#: Runs whose records are read at the same time.
_AT_ONCE = 16

#: Reviews of a run as they are stored: by object, "" for the run as a whole.
Entries = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Review:
    """The state of review of a run, or of one object in it.

    Attributes:
        run: Name of the run.
        object_name: The object; None for the run as a whole.
        state: One of the project's states.
        by: User who set it; None if nobody has.
        at: When, in UTC, as ``"2026-01-31T12:00:00Z"``; None if nobody has set it.
        note: Why.
    """

    run: str
    object_name: str | None
    state: str
    by: str | None = None
    at: str | None = None
    note: str = ""

    def __str__(self) -> str:
        of = f"{self.object_name}: " if self.object_name else ""
        day = f" on {self.at[:10]}" if self.at else ""
        return f"{of}{self.state}{f' by {self.by}' if self.by else ''}{day}{f', {self.note}' if self.note else ''}"

    def to_json(self) -> dict[str, Any]:
        """The review as JSON values."""
        return asdict(self)


class Reviews:
    """The reviews of a project: what ``root.reviews`` is.

    Storage is asked each time. What this object has read is what :meth:`set` expects to find: it refuses to overwrite what
    somebody else has set since.

    Args:
        root: The project.

    Example:
        >>> review = root.reviews.next("ribosome")  # doctest: +SKIP
        >>> root.reviews.set(review.run, "done", "ribosome", note="two at the edge left out")  # doctest: +SKIP
    """

    def __init__(self, root: CopickRootOverlay) -> None:
        self._root = root
        self._seen: dict[str, Entries] = {}

    @property
    def states(self) -> list[str]:
        """The states that there are, as ``review_states`` of the config names them.

        The first one is that of whatever nobody has set; the second one means that somebody works on it.
        """
        return [*(self._root.config.review_states or REVIEW_STATES)]

    def refresh(self) -> None:
        """Forget what was read: :meth:`set` then overwrites whatever is stored."""
        self._seen.clear()

    # ------------------------------------------------------------------ reading

    def get(self, run: str, object_name: str | None = None) -> Review:
        """The review of an object in a run, or of the run as a whole.

        Args:
            run: Name of the run.
            object_name: The object; one that has no review of its own has that of the run. None: the run as a whole.

        Returns:
            The review; in the first state where nobody has set one.

        Raises:
            InvalidDataError: What is stored is not a reviews file.
        """
        return self._applying(run, self._read(run), object_name)

    def of(self, runs: Iterable[str] | None = None) -> dict[str, list[Review]]:
        """All reviews that somebody has set, by run.

        Args:
            runs: Names of runs; all of the project by default. Those without a review have an empty list.

        Raises:
            InvalidDataError: What is stored is not a reviews file.
        """
        return {
            run: [self._review(run, name or None, entry) for name, entry in sorted(entries.items())]
            for run, entries in self._read_all(runs).items()
        }

    def summary(self, runs: Iterable[str] | None = None) -> dict[str, dict[str, int]]:
        """Count runs by state.

        Args:
            runs: Names of runs; all of the project by default.

        Returns:
            For each object that has a review in one of the runs, and under ``""`` for the runs as a whole, how many runs are
            in each state; states without a run are there with 0.
        """
        found = self._read_all(runs)
        names = ["", *sorted({name for entries in found.values() for name in entries} - {""})]
        counts = {name: dict.fromkeys(self.states, 0) for name in names}
        for run, entries in found.items():
            for name in names:
                state = self._applying(run, entries, name or None).state
                counts[name][state] = counts[name].get(state, 0) + 1
        return counts

    # ------------------------------------------------------------------ writing

    def set(
        self,
        run: str,
        state: str,
        object_name: str | None = None,
        *,
        note: str = "",
        by: str | None = None,
        overwrite: bool = False,
    ) -> Review:
        """Set the state of review of a run, or of an object in it.

        Args:
            run: Name of the run.
            state: One of :attr:`states`.
            object_name: The object; None for the run as a whole.
            note: Why.
            by: User who sets it; the project's by default.
            overwrite: Set it even if somebody else has set another one since it was read here.

        Raises:
            ConflictError: Somebody else has set another one since this object has read it. Read it again, and decide anew.
            InvalidDataError: There is no such state, or no user.
            NotFoundError: There is no such run.
            ReadOnlyError: The project has no writable layer, or one that keeps no records.
            UnknownObjectError: There is no such object.
        """
        user = self._checked(state, object_name, by)
        if self._root.get_run(run) is None:
            raise NotFoundError(key=RunKey(run), layer=", ".join(layer.name for layer in self._root.layers.all))
        expected = None if overwrite else self._seen.get(run)
        name = object_name or ""
        for _ in range(ATTEMPTS):
            entries, mine, revision = self._read_to_change(run)
            if expected is not None and entries.get(name) != expected.get(name):
                raise self._conflict(run, object_name, expected.get(name), entries.get(name))
            if (review := self._write(run, name, entries, mine, revision, state, user, note)) is not None:
                return review
        raise self._conflict(run, object_name, None, None)

    def next(
        self, object_name: str | None = None, *, by: str | None = None, runs: Iterable[str] | None = None
    ) -> Review | None:
        """Take the next run that nobody has: set its review, or that of an object in it, to the second state.

        Several people may ask at once: each gets another run.

        Args:
            object_name: The object to be annotated; a run that somebody has taken as a whole is taken for it too. None: the
                run as a whole, of which nobody may have taken an object.
            by: User who takes it; the project's by default.
            runs: Names of the runs to choose from, in order; all of the project by default.

        Returns:
            The review; None if somebody has each of the runs.

        Raises:
            InvalidDataError: There is no user.
            ReadOnlyError: The project has no writable layer, or one that keeps no records.
            UnknownObjectError: There is no such object.
        """
        first, working = self.states[:2]
        user = self._checked(working, object_name, by)
        name = object_name or ""
        for run in self._names(runs):
            for _ in range(ATTEMPTS):
                entries, mine, revision = self._read_to_change(run)
                asked = [entries[key] for key in ((name, "") if name else entries) if key in entries]
                if any(entry["state"] != first for entry in asked):
                    break
                if (review := self._write(run, name, entries, mine, revision, working, user, "")) is not None:
                    return review
        return None

    def bring(self, others: Reviews, runs: Iterable[str], *, overwrite: bool = False) -> None:
        """Bring the reviews of another project, as they are; what this one has itself stays, unless ``overwrite``.

        Args:
            others: The reviews of the other project.
            runs: Names of the runs.
            overwrite: Let those of the other project take the place of this one's.

        Raises:
            ReadOnlyError: There are some, and this project has no writable layer, or one that keeps no records.
        """
        for run, theirs in others._read_all(runs).items():
            for _ in range(ATTEMPTS if theirs else 0):
                entries, mine, revision = self._read_to_change(run)
                wanted = {**entries, **theirs} if overwrite else {**theirs, **entries}
                overlay, key = self._root._writable(RunKey(run)), RunKey(run)
                if wanted == entries or write_document(overlay, key, RECORD, {**mine, "reviews": wanted}, revision):
                    break

    # ------------------------------------------------------------------ behind it

    def _checked(self, state: str, object_name: str | None, by: str | None) -> str:
        """The user who sets a review, after a look at all of its values."""
        if state not in self.states:
            known = ", ".join(self.states)
            raise InvalidDataError(
                source="state", reason=f"{state!r} is not one of: {known}.{closest(state, self.states)}".rstrip(".")
            )
        if object_name is not None:
            self._root._pickable_object(object_name)
        user = by or self._root.user_id
        if not user:
            way_out = by_caller(
                "pass by=, or set user_id in the configuration",
                "pass --by NAME, or set one: copick-core config set user_id NAME",
            )
            raise InvalidDataError(source="the review", reason=f"nobody sets it: {way_out}")
        return user

    def _names(self, runs: Iterable[str] | None) -> list[str]:
        return [run.name for run in self._root.runs] if runs is None else [*runs]

    def _layers(self) -> list[Layer]:
        return [layer for layer in self._root.layers.all if layer.keeps_records]

    def _read_all(self, runs: Iterable[str] | None) -> dict[str, Entries]:
        names = self._names(runs)
        if len(names) < 2:
            return {name: self._read(name) for name in names}
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(names, pool.map(self._read, names), strict=True))

    def _read(self, run: str) -> Entries:
        entries: Entries = {}
        for layer in self._layers():
            entries |= _entries_of(layer, run, read_document(layer, RunKey(run), RECORD)[0])
        self._seen[run] = entries
        return entries

    def _read_to_change(self, run: str) -> tuple[Entries, dict[str, Any], Revision | None]:
        """The reviews of a run over all layers, the overlay's document, and its revision."""
        overlay = self._root._writable(RunKey(run))
        if not overlay.keeps_records:
            raise ReadOnlyError(subject=f"The reviews of {RunKey(run)}", reason=f"layer {overlay.name!r} keeps no records.")
        entries: Entries = {}
        for layer in self._layers():
            if layer is not overlay:
                entries |= _entries_of(layer, run, read_document(layer, RunKey(run), RECORD)[0])
        document, revision = read_document(overlay, RunKey(run), RECORD)
        return {**entries, **_entries_of(overlay, run, document)}, document, revision

    def _write(
        self,
        run: str,
        name: str,
        entries: Entries,
        mine: dict[str, Any],
        revision: Revision | None,
        state: str,
        user: str,
        note: str,
    ) -> Review | None:
        """Write one review; None if somebody else has changed the record meanwhile."""
        from datetime import UTC, datetime

        entry: dict[str, Any] = {"state": state, "by": user, "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        if note:
            entry["note"] = note
        document = {**mine, "reviews": {**mine.get("reviews", {}), name: entry}}
        if not write_document(self._root._writable(RunKey(run)), RunKey(run), RECORD, document, revision):
            return None
        self._seen[run] = {**entries, name: entry}
        return self._review(run, name or None, entry)

    def _conflict(self, run: str, object_name: str | None, expected: object, found: object) -> ConflictError:
        what = f"review of {object_name!r} in {RunKey(run)}" if object_name else f"review of {RunKey(run)}"
        way_out = by_caller(
            "Read it again with root.reviews.get(), and set it anew, or pass overwrite=True.",
            "Look at it again with copick-core ls --state, and set it anew.",
        )
        overlay = self._root._writable(RunKey(run)).name
        return ConflictError(key=what, layer=overlay, expected=expected or {}, found=found or {}, way_out=way_out)

    def _applying(self, run: str, entries: Entries, object_name: str | None) -> Review:
        for name in (object_name or "", ""):
            if name in entries:
                return self._review(run, name or None, entries[name])
        return Review(run, object_name, self.states[0])

    def _review(self, run: str, object_name: str | None, entry: Mapping[str, Any]) -> Review:
        return Review(run, object_name, entry["state"], entry.get("by"), entry.get("at"), entry.get("note") or "")


def _entries_of(layer: Layer, run: str, document: Mapping[str, Any]) -> Entries:
    entries = document.get("reviews", {})
    if not isinstance(entries, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("state"), str) for entry in entries.values()
    ):
        raise InvalidDataError(source=record_source(layer, RunKey(run), RECORD), reason="a review has no state")
    return dict(entries)
