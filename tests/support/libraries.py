"""The two libraries under comparison, each driven in fresh processes of its own interpreter."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.reference_scripts.dump import Dump

_SCRIPTS = Path(__file__).with_name("reference_scripts")


@dataclass(frozen=True)
class Library:
    """One library: its import name and the interpreter, with flags, that has it."""

    name: str
    interpreter: tuple[str, ...]

    def dump(self, config: Path) -> Dump:
        """Return everything that this library reads of the project."""
        out = config.with_name(f"{config.stem}-read-by-{self.name}")
        self.run("dump.py", config, out)
        return Dump.load(out)

    def write(self, config: Path, description: Path) -> None:
        """Write a described project."""
        self.run("write.py", config, description)

    def edit(self, config: Path) -> None:
        """Edit a project that `write` wrote."""
        self.run("edit.py", config)

    def run(self, script: str, *arguments: Path) -> None:
        """Run one of the scripts; a failure shows what it said."""
        command = [*self.interpreter, str(_SCRIPTS / script), self.name, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{script} of {self.name} failed:\n{done.stdout}{done.stderr}")


def ours() -> Library:
    """Return this repository's library, for which every warning is an error."""
    return Library("copick_core", (sys.executable, "-W", "error"))


def reference(python: Path) -> Library:
    """Return the released library, apart from everything that this process has on its path."""
    return Library("copick", (str(python), "-I"))
