"""What the page shows beside the viewer, as one JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from copick_core.errors import CopickError
from copick_view.viewer.layers import Json
from copick_view.viewer.points import centre
from copick_view.viewer.scene import color_of, tomograms

if TYPE_CHECKING:
    from copick_view.viewer.lists import Listed
    from copick_view.viewer.session import RunSession


def panel(session: RunSession) -> Json:
    """All that the page shows of a run beside the viewer.

    Args:
        session: The run; whoever calls holds its lock.
    """
    root, editor, lists = session.root, session.editor, session.lists
    hidden = session.drawing.hidden
    return {
        "run": session.run,
        "user": editor.user_id,
        "session": editor.session_id,
        "why_not": editor.why_not(),
        "chosen": lists.chosen,
        "objects": [_object(session, found) for found in root.pickable_objects],
        "lists": [_list(session, listed, hidden) for listed in lists],
        "layers": [_layer(session, layer["name"], hidden) for layer in session.scene.layers],
        "tomogram": session.tomogram,
        "tomograms": [*tomograms(root, session.run)],
        "level": session.first_level,
        "levels": len(session.scene.levels),
        "unsaved": {name: str(found) for name, found in editor.changes.items()},
        "problems": [*session.scene.problems, *lists.problems],
        "messages": session.messages,
        "question": None if session.question is None else session.question.to_json(),
        "states": root.reviews.states,
        "reviews": session.reviews,
        "view": session.view(),
    }


def points_of(listed: Listed | None) -> list[list[Any]]:
    """The points of a list: id, x, y and z in angstrom, score and instance of each."""
    found = {} if listed is None else listed.points
    return [[key, *centre(point), point.score, point.instance_id] for key, point in found.items()]


def reviews_of(session: RunSession) -> Json:
    """The states of review of the run (under ``""``) and of its objects; storage is asked for them."""
    try:
        found = {"": session.root.reviews.get(session.run)}
        found.update({name: session.root.reviews.get(session.run, name) for name in session.editor.objects})
    except CopickError as error:
        return {"": {"state": None, "text": str(error)}}
    return {name: {"state": review.state, "text": str(review)} for name, review in found.items()}


def _layer(session: RunSession, name: str, hidden: set[str]) -> Json:
    return {"name": name, "visible": name not in hidden, "layer": session.scene.stored.get(name)}


def _object(session: RunSession, found: Any) -> Json:
    return {
        "name": found.name,
        "color": color_of(session.root, found.name),
        "radius": found.radius,
        "label": found.label,
        "identifier": found.identifier,
        "points": found.name in session.editor.own,
    }


def _list(session: RunSession, listed: Listed, hidden: set[str]) -> Json:
    picks = listed.picks
    return {
        "name": listed.name,
        "object": listed.object_name,
        "color": color_of(session.root, listed.object_name),
        "own": listed.own,
        "layer": None if picks is None else picks.layer,
        "read_only": picks is not None and picks.read_only,
        "covered": listed.covered,
        "count": len(listed.points),
        "new": listed.new,
        "visible": listed.name not in hidden,
    }
