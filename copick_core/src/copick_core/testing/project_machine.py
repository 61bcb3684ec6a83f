"""Random histories of whole projects: an overlay over a reference, against a dumb model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from copick_core import opening
from copick_core.errors import AlreadyExistsError, ReadOnlyError
from copick_core.overlay import CopickRootOverlay
from copick_core.testing.contract import ContractBroken
from copick_core.testing.machines import run_histories
from copick_core.testing.project_base import (
    FIELDS,
    LEAVES,
    ProjectChecks,
    contents,
    fill_project,
    holds,
    leaf,
    listed,
    put,
)

leaves = st.sampled_from([what for what in LEAVES if what != "features"])


class ProjectMachine(RuleBasedStateMachine):
    """Drives two roots on one stack; the model says what the overlay holds of each kind of entity.

    Args:
        open_stack: Opens the project once more.
    """

    def __init__(self, open_stack: Callable[[], CopickRootOverlay]) -> None:
        super().__init__()
        self.open_stack = open_stack
        self.roots = [open_stack(), open_stack()]
        self.overlay: dict[str, int] = {}
        self.reference = self._reference()

    def _reference(self) -> dict[str, str]:
        return {name: digest for name, digest in contents(self.open_stack()).items() if not name.startswith("overlay: ")}

    @rule(what=leaves, who=st.integers(0, 1), seed=st.integers(1, 3))
    def copy_and_store(self, what: str, who: int, seed: int) -> None:
        """Take the overlay's entity, or a copy of the static one, and store something else in it."""
        self.roots[who].refresh()
        entity = leaf(self.roots[who], what, exist_ok=True)
        put(entity, what, seed)
        self.overlay[what] = seed

    @rule(what=leaves, who=st.integers(0, 1))
    def create_again(self, what: str, who: int) -> None:
        """Every key is taken, by the reference at least."""
        try:
            leaf(self.roots[who], what)
        except AlreadyExistsError:
            return
        raise ContractBroken("AlreadyExistsError: The key exists, and not exist_ok.", f"{what} was created a second time")

    @rule(what=leaves, who=st.integers(0, 1))
    def delete(self, what: str, who: int) -> None:
        """Delete what the overlay holds; what the reference holds is refused."""
        self.roots[who].refresh()
        for entity in listed(self.roots[who], what):
            if entity.read_only:
                with pytest.raises(ReadOnlyError):
                    entity.delete()
            else:
                entity.delete()
                self.overlay.pop(what)

    @rule(who=st.integers(0, 1))
    def reopen(self, who: int) -> None:
        """Somebody opens the project anew."""
        self.roots[who] = self.open_stack()

    @rule(who=st.integers(0, 1))
    def reconnect(self, who: int) -> None:
        """Renew the connections."""
        self.roots[who].reconnect()

    @invariant()
    def projects_are_those_of_the_model(self) -> None:
        """Compare whole listings and contents of both roots with the model."""
        for root in self.roots:
            root.refresh()
            for what in LEAVES:
                found = listed(root, what)
                # A tomogram that is copied is another tomogram, and feature maps lie below both.
                where = [e.layer for e in found]
                expected = ["reference", *(["overlay"] if what in self.overlay else [])]
                if what != "features" and where != expected:
                    raise ContractBroken(
                        "Entries of every layer are listed, static ones first, the overlay's last.",
                        f"{what} in {where}, the model says {expected}",
                    )
                for entity in found:
                    seed = self.overlay.get(what, 0) if entity.layer == "overlay" else 0
                    if not holds(entity, what, seed):
                        raise ContractBroken("What was stored is there.", f"{entity!r} does not hold what was stored last")

    @invariant()
    def the_reference_never_changes(self) -> None:
        """Compare every byte of the static side with what it was."""
        if self._reference() != self.reference:
            raise ContractBroken("A static layer never changes.", "the reference holds other bytes than in the beginning")


class ProjectMachineChecks(ProjectChecks):
    """Random histories."""

    def test_random_histories_of_projects_agree_with_the_model(self, tmp_path: Path) -> None:
        """Overlay and reference, two users, any order."""
        self.need_sharing()
        reference = {**FIELDS, **self.make_config(tmp_path, "reference")}
        fill_project(opening.open(reference))
        count = 0

        def start() -> ProjectMachine:
            nonlocal count
            count += 1
            stack: dict[str, Any] = {
                "config_type": "stack",
                "overlay": self.make_config(tmp_path, f"overlay-{count}"),
                "static": [{**reference, "layer_name": "reference"}],
                **FIELDS,
            }
            return ProjectMachine(lambda: opening.open(stack))

        run_histories(start, self.examples, self.steps)
