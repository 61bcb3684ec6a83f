"""Editing the picks of one run, as the user and in the session of the config.

Each object has one set of points that can be edited: the picks of this user in this session, which may not exist yet. Picks
of others, and read-only ones, are never changed: their points are taken over into the own set. Nothing is stored until
:meth:`RunEditor.store`, which stores all objects or none; if the process dies in between, the draft has what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from copick_core.errors import AlreadyExistsError, ConflictError, CopickError, InvalidDataError, ReadOnlyError
from copick_core.tree.keys import PicksKey
from copick_view.viewer.drafts import Difference, Draft, Left, apply, difference, digest, draft_name
from copick_view.viewer.points import Points, stored_points
from copick_view.viewer.scene import run_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from copick_core.models import CopickPicks
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.schema import CopickPoint

#: What a write may raise: an error of ours, or of the system, such as a full disk.
_FAILURES = (CopickError, OSError)
#: Changes that can be undone.
_MOST_UNDONE = 200


@dataclass
class OwnSet:
    """The picks of an object that this user edits in this session.

    Attributes:
        picks: What is stored; None where nothing is.
        revision: Revision of what was read.
        stored: The points that were read.
        shown: The points as they are now.
    """

    picks: CopickPicks | None = None
    revision: Any = None
    stored: Points = field(default_factory=dict)
    shown: Points = field(default_factory=dict)

    @property
    def changes(self) -> Difference:
        """What is not stored yet."""
        return difference(self.stored, self.shown)


class RunEditor:
    """The picks of one run, as one user edits them in one session.

    Args:
        root: The project.
        run: Name of the run.
        user_id: User; that of the config by default.
        session_id: Session; that of the config by default, else ``"1"``.
        drafts: Folder of drafts; that of the user by default.

    Attributes:
        user_id: User; None where the config names none: nothing can be edited then.
        session_id: Session.
        own: The sets that can be edited, by object.
    """

    def __init__(
        self,
        root: CopickRootOverlay,
        run: str,
        user_id: str | None = None,
        session_id: str | None = None,
        drafts: Path | None = None,
    ) -> None:
        self._root = root
        self._run = run_of(root, run)
        self.run = run
        self.user_id = user_id or root.user_id
        self.session_id = session_id or root.session_id or "1"
        self.own: dict[str, OwnSet] = {}
        self._undo: list[dict[str, Points]] = []
        self._drafts = drafts
        self._draft = self._new_draft()
        self.reload()

    def _new_draft(self) -> Draft:
        overlay = self._root.layers.overlay
        place = None if overlay is None else overlay.place_id()
        name = draft_name(place or f"{self._root.config.name}", self.run, self.user_id or "", self.session_id)
        return Draft(name, self._drafts)

    @property
    def objects(self) -> list[str]:
        """Names of the objects that points can be given to."""
        return [o.name for o in self._root.pickable_objects if o.is_particle]

    def why_not(self) -> str | None:
        """Why nothing can be edited; None if it can."""
        if self.user_id is None:
            return "The config names no user. Give one: copick-core view --user NAME."
        overlay = self._root.layers.overlay
        if overlay is None or overlay.read_only:
            return "The project has no layer that can be written. Add an overlay to its config."
        return None

    # ------------------------------------------------------------------ reading

    def reload(self) -> None:
        """Read the own picks from storage; what was not stored is given up."""
        self._run.refresh_picks()
        self.own = {name: self._read(name) for name in self.objects}
        self._undo.clear()
        self._draft.end()

    def _read(self, name: str) -> OwnSet:
        found = self._run.get_picks(name, self.user_id, self.session_id) if self.user_id else []
        if not found:
            return OwnSet()
        picks = found[-1]  # that of the overlay, which takes the place of a read-only one of the same name
        revision = None if picks.read_only else self._revision(picks)
        picks.refresh()
        points = stored_points(picks.points)
        return OwnSet(picks, revision, points, dict(points))

    def _revision(self, picks: CopickPicks) -> Any:
        """Revision of what is stored now."""
        return next(layer for layer in self._root.layers.all if layer.name == picks.layer).revision(picks.key)

    def edits(self, picks: CopickPicks) -> bool:
        """Whether picks are those of this user in this session, which own sets stand for."""
        mine = (picks.user_id, picks.session_id) == (self.user_id, self.session_id)
        return mine and picks.pickable_object_name in self.own

    def is_current(self, object_name: str) -> bool:
        """Whether the own picks of an object are stored as they were read, or stored, last."""
        try:
            self._check_unchanged(self.own[object_name], self._key(object_name))
        except ConflictError:
            return False
        return True

    def _key(self, object_name: str) -> PicksKey:
        return PicksKey(self.run, object_name, self.user_id or "", self.session_id)

    # ------------------------------------------------------------------ changing

    @property
    def changes(self) -> dict[str, Difference]:
        """What is not stored yet, by object."""
        return {name: found for name, own in self.own.items() if len(found := own.changes)}

    def change(self, new: dict[str, Points], *, merge: bool = False) -> bool:
        """Take over how points are now.

        Args:
            new: Points by object; of the objects that are left out nothing changes.
            merge: Undo this together with the last change, as the steps of one movement of the mouse.

        Returns:
            Whether anything changed.
        """
        changed = {name: points for name, points in new.items() if points != self.own[name].shown}
        if not changed:
            return False
        if not (merge and self._undo):
            self._undo = [*self._undo, {name: own.shown for name, own in self.own.items()}][-_MOST_UNDONE:]
        self._set(changed)
        return True

    def _set(self, changed: dict[str, Points]) -> None:
        for name, points in changed.items():
            self.own[name].shown = points
            self._draft.note(name, self.own[name].changes)

    def assign(self, ids: Sequence[str], from_object: str, to_object: str) -> int:
        """Give points of one object to another one, with all that they have.

        Returns:
            How many points there were.
        """
        source, target = self.own[from_object].shown, self.own[to_object].shown
        chosen = [name for name in ids if name in source]
        if from_object == to_object or not chosen:
            return 0
        taken = {self._new_id(name, target): source[name] for name in chosen}
        rest = {name: point for name, point in source.items() if name not in chosen}
        self.change({from_object: rest, to_object: {**target, **taken}})
        return len(chosen)

    def take_over(self, object_name: str, points: Sequence[CopickPoint]) -> None:
        """Add points of somebody else's, or of read-only picks, to the own set of an object."""
        shown = dict(self.own[object_name].shown)
        for point in points:
            shown[self._new_id("c", shown)] = point
        self.change({object_name: shown})

    @staticmethod
    def _new_id(name: str, taken: Points) -> str:
        """An id that no point has, nor one that was read: points of files are ``p0``, ``p1`` and so on."""
        number = len(taken)
        while (new := f"{name.lstrip('p')}-{number}") in taken:
            number += 1
        return new

    def undo(self) -> bool:
        """Take back the last change; False if there is none."""
        if not self._undo:
            return False
        before = self._undo.pop()
        self._set({name: points for name, points in before.items() if points != self.own[name].shown})
        return True

    # ------------------------------------------------------------------ drafts

    def close(self) -> None:
        """Leave what is not stored in a draft, which is offered at the next start."""
        self._draft.leave()

    def left_drafts(self) -> list[Left]:
        """What processes that are gone had not stored; drafts of which all was stored are deleted."""
        found = []
        for left in self._draft.left():
            rest = left.without([n for n in left.edits if n in self.own and digest(self.own[n].stored) == left.storing.get(n)])
            if rest.edits:
                found.append(rest)
            else:
                left.path.unlink(missing_ok=True)
        return found

    def take_draft(self, left: Left) -> int:
        """Take over the edits of a draft, which is deleted once they are in the draft of this process.

        Returns:
            How many of them do not fit what is stored now, and were left out.
        """
        missing = 0
        new: dict[str, Points] = {}
        for name, edits in left.edits.items():
            if name not in self.own:
                missing += len(edits)
                continue
            new[name], lost = apply(edits, self.own[name].shown)
            missing += lost
        self.change(new)
        left.path.unlink(missing_ok=True)
        return missing

    # ------------------------------------------------------------------ storing

    def copies(self) -> list[CopickPicks]:
        """Own picks that changed and lie in a read-only layer: :meth:`store` copies them to the overlay."""
        return [own.picks for name in self.changes if (own := self.own[name]).picks is not None and own.picks.read_only]

    def store(self) -> dict[str, Difference]:
        """Store all objects that changed, or none.

        Returns:
            What was stored, by object.

        Raises:
            ConflictError: Somebody else has stored one of them since it was read.
            ReadOnlyError: Nothing can be written.
            InvalidDataError: A point cannot be stored.
        """
        self._check_writable()
        changes = self.changes
        for name in changes:
            self._check_unchanged(self.own[name], self._key(name))
        self._draft.storing({name: digest(self.own[name].shown) for name in changes})
        together = self._transaction(f"picks of {', '.join(changes)} in {self.run}")
        if together is None:
            self._write_in_turn([*changes])
        else:
            self._write_together([*changes], together)
        for name in changes:
            self.own[name] = self._read(name)
        self._undo.clear()
        self._draft.end()
        return changes

    def _transaction(self, message: str) -> AbstractContextManager[None] | None:
        """What makes all writes within it one, where the project is written to a layer with a history; else None."""
        overlay = self._root.layers.overlay
        if overlay is None or getattr(self._root, "history_layer", None) is not overlay.unwrap():
            return None
        return self._root.transaction(message)  # type: ignore[no-any-return,attr-defined]

    def _write_together(self, names: Sequence[str], transaction: AbstractContextManager[None]) -> None:
        """Write the points of objects within a transaction, which drops what was written if one of them fails."""
        before = {name: self.own[name].picks for name in names}
        try:
            with transaction:
                for name in names:
                    self._write(name, self.own[name])
        except _FAILURES:
            for name, picks in before.items():
                self.own[name].picks = picks
                if picks is not None:
                    picks.refresh()
            self._run.refresh_picks()
            raise

    def _write_in_turn(self, names: Sequence[str]) -> None:
        """Write the points of objects, and take back what was written if one of them fails."""
        made: dict[str, bool] = {}
        try:
            for name in names:
                made[name] = self._write(name, self.own[name])
        except _FAILURES:
            for name in reversed(made):
                self._take_back(self.own[name], made[name])
            raise

    def _check_writable(self) -> None:
        if (reason := self.why_not()) is not None:
            raise ReadOnlyError(subject=f"run {self.run!r}", reason=reason)

    def _check_unchanged(self, own: OwnSet, key: PicksKey) -> None:
        """Notice a conflict before anything is written."""
        overlay = self._root.layers.overlay
        if overlay is None:
            return
        read_there = own.picks is not None and not own.picks.read_only
        expected = own.revision if read_there else None  # what only a read-only layer has is copied
        found = overlay.revision(key)
        if found != expected:
            raise ConflictError(key=key, layer=overlay.name, expected=expected, found=found, way_out=_WAY_OUT)

    def _write(self, name: str, own: OwnSet) -> bool:
        """Store the points of an object; says whether that made new picks."""
        made = own.picks is None or own.picks.read_only
        if made:
            own.picks = self._made(name, self.session_id, list(own.shown.values()), exist_ok=own.picks is not None)
        else:
            self._put(own.picks, list(own.shown.values()))  # type: ignore[arg-type]
        return made

    def _made(self, name: str, session_id: str, points: list[CopickPoint], *, exist_ok: bool = False) -> CopickPicks:
        """New picks with points, in one step; those of a read-only layer are copied, with all that their file has."""
        if exist_ok:
            copy = self._run.new_picks(name, session_id, self.user_id, exist_ok=True)
            try:
                self._put(copy, points)
            except _FAILURES:
                copy.delete()
                raise
            return copy
        from copick_core.picks import arrays_of

        header = {"pickable_object_name": name, "user_id": self.user_id, "session_id": session_id}
        arrays = arrays_of(points, header, source=f"picks {name!r}")
        picks = self._run.new_picks(
            name,
            session_id,
            self.user_id,
            positions=arrays.positions,
            transforms=arrays.transforms,
            instance_ids=arrays.instance_ids,
            scores=arrays.scores,
            columns=arrays.columns,
        )
        if arrays.point_extras:  # what only files with keys of other programs have
            self._put(picks, points)
        return picks

    @staticmethod
    def _put(picks: CopickPicks, points: list[CopickPoint]) -> None:
        picks.points = points
        picks.store()

    def _take_back(self, own: OwnSet, made: bool) -> None:
        """Undo a write, because that of another object failed."""
        picks = own.picks
        if picks is None:
            return
        if made:
            picks.delete()
            self._run.refresh_picks()
            own.picks = None
        else:
            self._put(picks, list(own.stored.values()))
            own.revision = self._revision(picks)

    def save_as(self, session_id: str) -> list[str]:
        """Store all own points as another session, and go on in that one.

        Args:
            session_id: A session in which this user has no picks of these objects.

        Returns:
            The objects that were stored.

        Raises:
            AlreadyExistsError: There are picks in that session; nothing was stored.
            InvalidNameError: The session cannot be stored under that name.
        """
        self._check_writable()
        named = {name: list(own.shown.values()) for name, own in self.own.items() if own.shown or len(own.changes)}
        self._run.refresh_picks()
        taken = [p for name in named for p in self._run.get_picks(name, self.user_id, session_id)]
        if taken:
            raise AlreadyExistsError(key=taken[0].key, layer=taken[0].layer, way_out="Choose another session.")
        made: list[CopickPicks] = []
        try:
            for name, points in named.items():
                made.append(self._made(name, session_id, points))
        except _FAILURES:
            for picks in made:
                picks.delete()
            raise
        self._draft.end()
        self.session_id = session_id
        self._draft = self._new_draft()
        self.reload()
        return list(named)


_WAY_OUT = "Reload, or save your points as another session."


def checked_object(editor: RunEditor, name: str) -> str:
    """The name of an object that points can be given to.

    Raises:
        InvalidDataError: There is no such object.
    """
    if name not in editor.own:
        raise InvalidDataError(source=f"object {name!r}", reason=f"points can be given to {', '.join(editor.objects)}")
    return name
