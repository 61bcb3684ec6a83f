"""What a user has to decide before something is done."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from copick_core.models import CopickPicks
    from copick_view.viewer.drafts import Left
    from copick_view.viewer.lists import Listed

_numbers: itertools.count[int] = itertools.count(1)


@dataclass(frozen=True)
class Question:
    """A question to the user.

    Attributes:
        kind: ``"copy"``, ``"store"``, ``"conflict"`` or ``"draft"``.
        text: What happened, and what can be done.
        choices: What the buttons say, by answer.
        subject: What it is about; for whoever gets the answer.
        number: Another one for each question.
    """

    kind: str
    text: str
    choices: dict[str, str]
    subject: Any = None
    number: int = field(default_factory=lambda: next(_numbers))

    def to_json(self) -> dict[str, Any]:
        """The question as the page shows it."""
        return {"number": self.number, "kind": self.kind, "text": self.text, "choices": self.choices}


def about_copying(listed: Listed, count: int, target: str, have: int, subject: Any) -> Question:
    """Whether points of somebody else are to be copied, and the copy edited.

    Args:
        listed: Where they are from.
        count: How many there are.
        target: The own list.
        have: How many points that has already.
        subject: For whoever gets the answer.
    """
    picks = listed.picks
    why = f"read-only, in layer {picks.layer!r}" if picks is not None and picks.read_only else "of somebody else"
    more = f" These are added to the {have} that you have." if have else ""
    text = f"{listed.name} is {why}. Copy its {count} points, with your change, to {target}, and edit those?{more}"
    return Question("copy", text, {"yes": "Copy and edit", "no": "Leave it as it is"}, subject)


def about_own_copies(copies: Sequence[CopickPicks]) -> Question:
    """Whether own picks that cannot be written where they are may be copied.

    Args:
        copies: The picks.
    """
    names = ", ".join(f"{p.pickable_object_name}:{p.user_id}/{p.session_id} in layer {p.layer!r}" for p in copies)
    text = f"Read-only: {names}. Store your points as a copy in the project's own layer? The original stays as it is."
    return Question("store", text, {"yes": "Copy and store", "no": "Do not store"})


def about_a_conflict(what: str) -> Question:
    """What to do about picks that somebody else has stored.

    Args:
        what: What happened.
    """
    choices = {"reload": "Reload, and lose my edits", "save": "Save mine as another session", "no": "Decide later"}
    return Question("conflict", what, choices)


def about_a_draft(left: Left) -> Question:
    """Whether edits that were not stored are to be taken up again."""
    edits = "; ".join(f"{name}: {found}" for name, found in left.edits.items())
    text = f"Edits of {left.at[:16].replace('T', ' ')} UTC were not stored ({edits}). Take them up again?"
    if left.stored:
        text = f"The program ended while it stored: {', '.join(left.stored)} is stored, the rest is not. {text}"
    return Question("draft", text, {"yes": "Take them up", "later": "Ask again later", "no": "Delete them"}, left)
