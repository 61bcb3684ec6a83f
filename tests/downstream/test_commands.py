"""copick-mcp lists the same commands with the same parameters on both, and says the same of command lines."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[1] / "support" / "reference_scripts"
#: They are there to say that the drop-in has no mlcroissant, whatever is passed to them.
CROISSANT = {f"config.{name}" for name in ("append-croissant", "export-croissant", "mlcroissant", "set-splits")}


def listed(python: Path, out: Path, script: str = "listed_commands.py") -> dict[str, Any]:
    command = [str(python), "-W", "ignore", str(SCRIPTS / script), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_the_same_commands_with_the_same_parameters_are_listed(reference_env, dropin_env, tmp_path):
    theirs, ours = (listed(python, tmp_path / python.parts[-3]) for python in (reference_env, dropin_env))

    assert ours["valid"] == theirs["valid"]
    assert ours["parameters"].keys() == theirs["parameters"].keys()
    assert len(theirs["parameters"]) >= 79
    differing = {path for path, names in theirs["parameters"].items() if ours["parameters"][path] != names}
    assert differing == CROISSANT


def test_every_command_has_every_option_and_choice_of_copick(reference_env, dropin_env, tmp_path):
    envs = (reference_env, dropin_env)
    theirs, ours = (listed(python, tmp_path / python.parts[-3], "command_options.py") for python in envs)

    missing = [
        f"{command}: {name} {kind}: {value}"
        for command, parameters in theirs.items()
        if not command.endswith(("croissant", "set-splits"))
        for name, parameter in parameters.items()
        for kind, values in parameter.items()
        for value in values
        if value not in ours.get(command, {}).get(name, {}).get(kind, ())
    ]
    assert len(theirs) >= 42
    assert missing == []
