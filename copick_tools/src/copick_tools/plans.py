"""Plans: what a function over a project will change, before it changes anything, and the report of what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from copick_core.cli.words import printable
from copick_core.errors import by_caller
from copick_core.tree.addresses import address_of

if TYPE_CHECKING:
    from copick_core.tree.keys import Key

Action = Literal["create", "replace", "delete"]
#: Called before each step with what it is, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]


def choose_if_exists() -> str:
    """What to do about a target that holds something else."""
    return by_caller("choose if_exists='skip' or 'replace'", "choose --if-exists skip or replace")


def replacing() -> str:
    """How to replace what a target holds."""
    return by_caller("if_exists='replace'", "--if-exists replace")


@dataclass(frozen=True)
class Change:
    """One entity that is changed, or one file that is not an entity.

    Attributes:
        action: What happens to it.
        key: The entity; None for a file that is none.
        layer: Name of the layer.
        project: Name of the project, where a plan changes another one than it reads.
        path: Path of the file in the layer, if it is not an entity.
    """

    action: Action
    key: Key | None
    layer: str
    project: str = ""
    path: str = ""

    def __str__(self) -> str:
        place = f"{self.layer} of {self.project}" if self.project else self.layer
        what = printable(self.path) if self.key is None else self.key
        return f"{self.action} {what} in {place}"

    def to_json(self) -> dict[str, Any]:
        """The change as JSON values."""
        what = {"path": self.path} if self.key is None else _named(self.key)
        found = {"action": self.action, **what, "layer": self.layer}
        return {**found, "project": self.project} if self.project else found


class Step(Protocol):
    """A part of a plan that is done whole or not at all."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """What it changes."""

    @property
    def source(self) -> str:
        """What it is made from, for people; empty if from nothing."""

    def run(self, verify: bool) -> None:
        """Do it.

        Args:
            verify: Compare what was written with its source, byte for byte.
        """


@dataclass(frozen=True)
class Skipped:
    """An entity that is left as it is.

    Attributes:
        key: The entity.
        reason: Why.
    """

    key: Key
    reason: str

    def __str__(self) -> str:
        return f"skip {self.key}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """The entity as JSON values."""
        return {**_named(self.key), "reason": self.reason}


@dataclass
class Report:
    """What was done.

    Attributes:
        done: What was changed, in order.
        skipped: What was left as it was.
        verified: How many changes were compared with their source.
    """

    done: list[Change] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    verified: int = 0

    @property
    def keys(self) -> set[Key]:
        """The entities that were changed."""
        return _keys(self.done)

    @property
    def paths(self) -> set[str]:
        """The files that are not entities and were changed."""
        return {change.path for change in self.done if change.key is None}

    def __str__(self) -> str:
        counts = [f"{_PAST[action]} {number}" for action, number in _counted(self.done).items()]
        counts += [f"skipped {len(self.skipped)}"] if self.skipped else []
        counts += [f"verified {self.verified}"] if self.verified else []
        text = ", ".join(counts)
        return f"{text[:1].upper()}{text[1:]}." if text else "Nothing to do."

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "done": [change.to_json() for change in self.done],
            "skipped": [skipped.to_json() for skipped in self.skipped],
            "verified": self.verified,
        }


@dataclass
class Plan:
    """What will be changed. Making one changes nothing; printing it lists every change.

    Attributes:
        title: What is done, such as ``"Copy"``.
        steps: What is changed, in order.
        skipped: What is left as it is, and why.
        afterwards: Called when all is done, such as to refresh the project.
    """

    title: str
    steps: list[Step] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    afterwards: Callable[[], None] = lambda: None

    @property
    def changes(self) -> list[Change]:
        """Everything that will be changed, in order."""
        return [change for step in self.steps for change in step.changes]

    @property
    def keys(self) -> set[Key]:
        """The entities that will be changed."""
        return _keys(self.changes)

    @property
    def paths(self) -> set[str]:
        """The files that are not entities and will be changed."""
        return {change.path for change in self.changes if change.key is None}

    def run(self, *, verify: bool = False, progress: Progress | None = None) -> Report:
        """Do it, step by step; each entity is changed whole or not at all.

        If it is interrupted, make the plan again and run that: what is done already is skipped.

        Args:
            verify: Compare everything that is written with its source, byte for byte.
            progress: Called before each step.

        Returns:
            What was done.

        Raises:
            ConflictError: Somebody else made an entity of the plan meanwhile.
            InvalidDataError: A copy is not what its source is.
            NotFoundError: Somebody else deleted a source meanwhile.
        """
        report = Report(skipped=[*self.skipped])
        try:
            for done, step in enumerate(self.steps):
                if progress is not None:
                    progress(str(step.changes[0]), done, len(self.steps))
                step.run(verify)
                report.done += step.changes
                report.verified += verify and bool(step.source)
        finally:
            self.afterwards()
        return report

    def __str__(self) -> str:
        lines = [f"{step.changes[0]}{f' from {step.source}' if step.source else ''}" for step in self.steps]
        also = [f"{change}" for step in self.steps for change in step.changes[1:]]
        lines += [*also, *map(str, self.skipped)]
        return "\n".join([f"{self.title}:", *(f"  {line}" for line in lines or ["nothing to do"])])

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "title": self.title,
            "changes": [change.to_json() for change in self.changes],
            "skipped": [skipped.to_json() for skipped in self.skipped],
        }


_PAST = {"create": "created", "replace": "replaced", "delete": "deleted"}


def _keys(changes: Iterable[Change]) -> set[Key]:
    return {change.key for change in changes if change.key is not None}


def _named(key: Key) -> dict[str, str]:
    return {"kind": key.kind.value, "address": str(address_of(key))}


def _counted(changes: Iterable[Change]) -> dict[Action, int]:
    counts: dict[Action, int] = {}
    for change in changes:
        counts[change.action] = counts.get(change.action, 0) + 1
    return counts
