"""What copick-mcp lists of the command line, and what it says of some commands, as JSON: ``listed_commands.py OUT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from copick_mcp.cli_introspection import get_all_cli_commands, get_command_info, validate_copick_cli_command

COMMANDS = (
    "copick stats picks --output json",
    "copick stats picks --output pickle",
    "copick add object --name x --object-type particle",
    "copick add object",
    "copick cp picks a:b/c d:e/f",
    "copick cp pies a:b/c d:e/f",
    "copick convert picks2seg --config no-such-file.json",
    "copick rm picks 'a:b/c' --dry-run",
    "copick no such",
)


def paths(found: Any) -> list[str]:
    """The paths of all commands in what the tool lists."""
    if isinstance(found, dict):
        own = [found["path"]] if isinstance(found.get("path"), str) else []
        return own + [path for value in found.values() for path in paths(value)]
    return [path for value in found for path in paths(value)] if isinstance(found, list) else []


def main(out: Path) -> None:
    listed = sorted(set(paths(get_all_cli_commands(include_help=True))))
    parameters = {}
    for path in listed:
        names = [parameter["name"] for parameter in get_command_info(path)["parameters"]]
        # Headings of option groups have random names.
        parameters[path] = sorted(name for name in names if not name.startswith("fake_"))
    valid = {command: validate_copick_cli_command(command)["valid"] for command in COMMANDS}
    out.write_text(json.dumps({"parameters": parameters, "valid": valid}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
