"""A run in the page: the viewer's state on one side, the picks that are edited on the other, kept in step."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from copick_core.errors import AlreadyExistsError, ConflictError, CopickError, InvalidDataError
from copick_core.tree.addresses import address_of
from copick_view.viewer import scene as scenes
from copick_view.viewer.drawing import Drawing
from copick_view.viewer.editing import RunEditor, checked_object
from copick_view.viewer.layers import Json
from copick_view.viewer.lists import AXES, Listed, Lists
from copick_view.viewer.panel import panel, points_of, reviews_of
from copick_view.viewer.points import Points, centre, edited
from copick_view.viewer.questions import Question, about_a_conflict, about_a_draft, about_copying, about_own_copies
from copick_view.viewer.watching import Place, Watch

if TYPE_CHECKING:
    from pathlib import Path

    from copick_core.overlay import CopickRootOverlay

logger = logging.getLogger(__name__)

#: Seconds that the mouse must rest before what it did is taken over, and between two steps that are undone as one.
_REST = 0.15
_ONE_MOVEMENT = 1.0
#: Seconds without a change before something of others is shown: it could undo a click of the same moment.
_PAUSE = 2.0
#: Seconds without a question of the page after which it is taken to be closed, and storage is not looked at any more.
_PAGE_GONE = 15.0
#: Seconds between two looks at the states of review.
_REVIEWS_EVERY = 10.0
#: Messages that are kept.
_MESSAGES = 50


class RunSession:
    """A run that is open in the page.

    The page, the viewer and a thread that looks for changes all come here; one lock keeps them apart.

    Args:
        root: The project.
        run: Name of the run.
        sources: What volumes and shapes are served from.
        viewer: A ``neuroglancer`` viewer.
        user_id: User; that of the config by default.
        session_id: Session; that of the config by default.
        drafts: Folder of drafts; that of the user by default.

    Attributes:
        editor: What edits the own picks.
        lists: The lists of points that are shown.
        scene: What else is shown.
        first_level: Which level of the tomogram is the finest that is drawn.
        question: What the user has to decide, or None.
        messages: What the user was told, newest last.
        reviews: The states of review, as they were read last.

    Raises:
        NotFoundError: The run has no tomogram.
    """

    def __init__(
        self,
        root: CopickRootOverlay,
        run: str,
        sources: scenes.Sources,
        viewer: Any,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        drafts: Path | None = None,
    ) -> None:
        self.root = root
        self.run = run
        self.sources = sources
        self.drawing = Drawing(viewer)
        self.question: Question | None = None
        self.messages: list[str] = []
        self.editor = RunEditor(root, run, user_id, session_id, drafts)
        self.lists = Lists(root, self.editor, sources)
        self.scene = scenes.build(root, run, sources)
        self.first_level = 0
        self.reviews = reviews_of(self)
        self._reviewed = time.monotonic()
        self._lock = threading.RLock()
        self._asked = time.monotonic()
        self._changed = threading.Event()
        self._closed = False
        self._last_change = 0.0
        self._watch = Watch(root, run)
        self._watch.look(now=True)
        self.drawing.begin(run, self._layers(), self.scene.finest, self._selected_layer())
        self._offer_draft()
        viewer.shared_state.add_changed_callback(self._changed.set)
        self._thread = threading.Thread(target=self._follow, name=f"copick-view {run}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following the page and the storage."""
        self._closed = True
        self._changed.set()
        self._thread.join()

    def _layers(self) -> list[Json]:
        return [*self.scene.layers, *self.lists.layers(self.scene.finest.scale[0])]

    def _selected_layer(self) -> str | None:
        return None if self.lists.chosen is None else self.lists.own_name(self.lists.chosen)

    # ------------------------------------------------------------------ following the page and the storage

    def _follow(self) -> None:
        """Take over what the mouse did once it rests, and look for what others stored while a page is open."""
        while True:
            noticed = self._changed.wait(timeout=1.0)
            if self._closed:
                return
            try:
                if noticed:
                    time.sleep(_REST)
                    self._changed.clear()
                    self.take_over()
                now = time.monotonic()
                if now - self._asked < _PAGE_GONE and now - self._last_change > _PAUSE:
                    self.look()
            except Exception as error:  # the thread must live on: the next change may be fine
                logger.exception("A change of the page could not be taken over.")
                self._tell(f"Something went wrong: {error}")

    def take_over(self) -> None:
        """Take over annotations that were added, moved or deleted in the viewer."""
        with self._lock:
            shown = {layer.get("name"): layer for layer in self.drawing.layers if layer.get("type") == "annotation"}
            new: dict[str, Points] = {}
            rewrite = False
            for listed in self.lists:
                if listed.sent is None or listed.name not in shown:
                    continue  # one that is only looked at, or that was closed in the viewer: that deletes no points
                found = shown[listed.name].get("annotations", [])
                if found == listed.sent:
                    continue
                points = edited(listed.points, found)
                listed.sent = found
                if points == listed.points:
                    continue
                if listed.own and (reason := self.editor.why_not()) is None:
                    # New points stay dots until something else is shown anew: what is sent to the page at the moment of
                    # another click would undo that.
                    new[listed.object_name] = points
                    continue
                rewrite = True
                if listed.own:
                    self._tell(str(reason))
                else:
                    self._ask_for_copy(listed, points)
            if new:
                self._change(new)
            if rewrite:
                self.drawing.put_annotations(self.lists.annotations())

    def _change(self, new: dict[str, Points]) -> None:
        """Take over points; the steps of one movement of the mouse are undone together."""
        now = time.monotonic()
        only_moved = all(points.keys() == self.editor.own[name].shown.keys() for name, points in new.items())
        self.editor.change(new, merge=only_moved and now - self._last_change < _ONE_MOVEMENT)
        self._last_change = now
        self.lists.take_own()
        for name in new:
            self._warn_of_places(name)

    def _warn_of_places(self, object_name: str) -> None:
        """Tell of a new point that lies beside the tomogram: a slip of the mouse, hardly ever meant."""
        finest = self.scene.finest
        ends = [(n - 0.5) * s for n, s in zip(finest.shape[::-1], finest.scale[::-1], strict=True)]
        own = self.editor.own[object_name]
        added = [centre(point) for name, point in own.shown.items() if own.stored.get(name) is not point]
        if any(not -0.5 * s <= p <= end for place in added for p, s, end in zip(place, finest.scale, ends, strict=True)):
            self._tell(f"A point of {object_name} lies outside of the tomogram.")

    def look(self) -> None:
        """Show what others have stored since the last look."""
        if time.monotonic() - self._reviewed > _REVIEWS_EVERY:
            self._reviewed = time.monotonic()
            self.reviews = reviews_of(self)
        changed = self._watch.look()
        if changed:
            with self._lock:
                self._others_stored(changed)

    def _others_stored(self, changed: set[Place]) -> None:
        handle = scenes.run_of(self.root, self.run)
        handle.refresh_picks()
        anew, theirs = False, set()
        for key, layer in sorted(changed):
            if (key.user_id, key.session_id) == (
                self.editor.user_id,
                self.editor.session_id,
            ) and key.object_name in self.editor.own:
                anew = self._own_changed(key.object_name) or anew
                continue
            for picks in handle.picks:
                if picks.key == key and picks.layer == layer:
                    picks.refresh()
            theirs.add(str(address_of(key)).partition("/")[2])
        if not (anew or theirs):
            return
        self.lists.read()
        for listed in self.lists:
            listed.new = listed.new or (listed.name in theirs and not listed.own)
        for name in sorted(theirs):
            self._tell(f"{name} was stored just now." if self.lists.get(name) else f"{name} was deleted.")
        self.drawing.put(self._layers(), self._selected_layer())

    def _own_changed(self, object_name: str) -> bool:
        """Notice that the own picks of an object are other ones in storage; says whether anything is to be shown anew."""
        if self.editor.is_current(object_name):
            return False  # this page stored them
        if self.editor.changes:
            self._tell(f"Your picks of {object_name} were stored by another page or program. Storing will ask what to do.")
            return False
        self.editor.reload()
        self._tell(f"Your picks of {object_name} were changed by another page or program, and read again.")
        return True

    # ------------------------------------------------------------------ questions

    def _ask_for_copy(self, listed: Listed, points: Points) -> None:
        if (reason := self.editor.why_not()) is not None:
            self._tell(f"{listed.name} is read-only. {reason}")
        elif listed.object_name not in self.editor.own:
            self._tell(f"{listed.name} is read-only: {listed.object_name} is not an object that points can be given to.")
        else:
            target = self.lists.own_name(listed.object_name)
            have = len(self.editor.own[listed.object_name].shown)
            self.question = about_copying(listed, len(points), target, have, (listed.name, points))

    def _offer_draft(self) -> None:
        left = self.editor.left_drafts()
        if left and self.editor.why_not() is None:
            self.question = about_a_draft(left[-1])

    def answer(self, number: int, choice: str, session_id: str | None = None) -> None:
        """Do what the user decided.

        Args:
            number: Of the question; an answer to another one is ignored.
            choice: One of its choices.
            session_id: The session to save as.
        """
        with self._lock:
            question = self.question
            if question is None or question.number != number or choice not in question.choices:
                return
            self.question = None
            if question.kind == "copy" and choice == "yes":
                self._copy(*question.subject)
            elif question.kind == "store" and choice == "yes":
                self.store(copy=True)
            elif question.kind == "draft":
                self._answer_draft(question.subject, choice)
            elif choice == "reload":
                self.reload()
            elif choice == "save":
                self.save_as(session_id or "")

    def _answer_draft(self, left: Any, choice: str) -> None:
        if choice == "no":
            left.path.unlink(missing_ok=True)
        if choice == "yes":
            missing = self.editor.take_draft(left)
            if missing:
                self._tell(f"{missing} of the edits do not fit what is stored now, and were left out.")
            self._show_edits()
        if choice != "later":
            self._offer_draft()

    def _copy(self, name: str, points: Points) -> None:
        listed = self.lists.get(name)
        if listed is not None:
            self.editor.take_over(listed.object_name, list(points.values()))
            self.lists.chosen = listed.object_name
            self._show_edits()
            self.drawing.show([name, f"{name} {AXES}"], False)

    # ------------------------------------------------------------------ what the user does

    def store(self, *, copy: bool = False) -> bool:
        """Store what was edited; asks what to do about a conflict, and before it copies. Says whether all is stored.

        Args:
            copy: Copy own picks of read-only layers without asking.
        """
        with self._lock:
            self.take_over()
            if not self.editor.changes:
                self._tell("There is nothing to store.")
                return True
            if not copy and (copies := self.editor.copies()) and self.editor.why_not() is None:
                self.question = about_own_copies(copies)
                return False
            try:
                stored = self.editor.store()
            except (ConflictError, AlreadyExistsError) as error:
                self.question = about_a_conflict(f"{error.key} was stored by another page or program. Nothing was stored now.")
                return False
            except (CopickError, OSError) as error:
                self._tell(f"Nothing was stored: {error}")
                return False
            self._tell(f"Stored {'; '.join(f'{name}: {found}' for name, found in stored.items())}.")
            self._show_edits()
            return True

    def undo(self) -> None:
        """Take back the last change."""
        with self._lock:
            self.take_over()
            if not self.editor.undo():
                self._tell("There is nothing to undo.")
            self._show_edits()

    def reload(self) -> None:
        """Read all picks again; what was not stored is lost."""
        with self._lock:
            self.editor.reload()
            for picks in scenes.run_of(self.root, self.run).picks:
                picks.refresh()
            self._show_edits()

    def save_as(self, session_id: str) -> None:
        """Store the own points as another session, and go on in that."""
        with self._lock:
            self.take_over()
            try:
                stored = self.editor.save_as(session_id)
            except (CopickError, OSError, ValueError) as error:
                self.question = about_a_conflict(f"Nothing was stored: {error}")
                return
            self._tell(f"Stored {', '.join(stored)} as session {session_id}.")
            self._show_edits()

    def choose(self, object_name: str) -> None:
        """Choose the object that new points are given to."""
        with self._lock:
            self.take_over()
            self.lists.chosen = checked_object(self.editor, object_name)
            self._show_edits()

    def assign(self, object_name: str) -> None:
        """Give the point that is selected in the viewer to another object."""
        with self._lock:
            self.take_over()
            target = checked_object(self.editor, object_name)
            selected = self._selected()
            if selected is None or not selected[0].own:
                self._tell("Select one of your own points first: click on it.")
                return
            self.editor.assign([selected[1]], selected[0].object_name, target)
            self._show_edits()

    def delete_selected(self) -> None:
        """Delete the point that is selected in the viewer."""
        with self._lock:
            self.take_over()
            selected = self._selected()
            if selected is None:
                self._tell("Select a point first: click on it.")
                return
            listed, chosen = selected
            points = {name: point for name, point in listed.points.items() if name != chosen}
            if listed.own and self.editor.why_not() is None:
                self.editor.change({listed.object_name: points})
                self._show_edits()
            else:
                self._ask_for_copy(listed, points)

    def copy_list(self, name: str) -> None:
        """Ask whether a list of somebody else is to be copied, and edited."""
        with self._lock:
            listed = self.lists.get(name)
            if listed is not None and not listed.own:
                self._ask_for_copy(listed, listed.points)

    def _selected(self) -> tuple[Listed, str] | None:
        """The list and the id of the point that is selected in the viewer."""
        for name, point in self.drawing.selection().items():
            listed = self.lists.get(name)
            if listed is not None and point in listed.points:
                return listed, point
        return None

    def go_to(self, name: str, point: str) -> None:
        """Look at a point, and select it.

        Args:
            name: Name of the list.
            point: Id of the point.
        """
        with self._lock:
            listed = self.lists.get(name)
            if listed is not None and point in listed.points:
                scale = self.scene.finest.scale[::-1]
                position = [p / s for p, s in zip(centre(listed.points[point]), scale, strict=True)]
                self.drawing.go(position, None if listed.sent is None else name, point)

    def show(self, names: Sequence[str], *, visible: bool) -> None:
        """Show or hide layers."""
        with self._lock:
            self.drawing.show(names, visible)

    def open_tomogram(self, address: str, first_level: int = 0) -> None:
        """Show another tomogram, or begin at a coarser level of it.

        Raises:
            InvalidDataError: The run has no such tomogram.
        """
        with self._lock:
            found = scenes.tomograms(self.root, self.run).get(address)
            if found is None:
                raise InvalidDataError(source=address, reason=f"it is not a tomogram of run {self.run!r}")
            now = self.scene.tomogram
            if (found.key, found.layer, first_level) == (now.key, now.layer, self.first_level):
                return
            # Coordinates count voxels of the finest level that is drawn.
            self.scene = scenes.build(self.root, self.run, self.sources, found, first_level)
            self.first_level = first_level
            self.drawing.put(self._layers(), self._selected_layer(), self.scene.finest)

    @property
    def tomogram(self) -> str:
        """The name of the tomogram that is shown."""
        shown = self.scene.tomogram
        named = scenes.tomograms(self.root, self.run).items()
        return next((name for name, t in named if (t.key, t.layer) == (shown.key, shown.layer)), str(address_of(shown.key)))

    def view(self) -> Json:
        """The view, in few values. :meth:`restore_view` shows it again."""
        return {**self.drawing.view(), "tomogram": self.tomogram, "level": self.first_level, "object": self.lists.chosen}

    def restore_view(self, view: Mapping[str, Any]) -> None:
        """Show a view that :meth:`view` gave.

        Raises:
            InvalidDataError: Its tomogram is gone.
        """
        with self._lock:
            self.take_over()
            if view.get("object") in self.editor.own:
                self.lists.chosen = view["object"]
                self._show_edits()
            if "tomogram" in view:
                self.open_tomogram(str(view["tomogram"]), int(view.get("level", 0)))
            self.drawing.restore(view)

    def review(self, object_name: str | None, value: str, note: str = "") -> None:
        """Set the state of review of the run, or of an object in it."""
        with self._lock:
            try:
                self.root.reviews.set(self.run, value, object_name, note=note, by=self.editor.user_id)
            except CopickError as error:
                self._tell(f"The review was not set: {error}")
            self.reviews = reviews_of(self)

    def _show_edits(self) -> None:
        """Show what the editor has now."""
        self.lists.read()
        self.drawing.put(self._layers(), self._selected_layer())

    def _tell(self, text: str) -> None:
        self.messages = [*self.messages, text][-_MESSAGES:]

    # ------------------------------------------------------------------ what the page shows beside the viewer

    def panel(self) -> Json:
        """All that the page shows beside the viewer; that a page asks for it keeps :meth:`look` going."""
        self._asked = time.monotonic()
        with self._lock:
            return panel(self)

    def points(self, name: str) -> Json:
        """The points of a list."""
        with self._lock:
            return {"name": name, "points": points_of(self.lists.get(name))}
