"""``init``, ``config`` and ``completion``: commands that set things up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from copick_core.cli.parameters import examples, json_option, project_option
from copick_core.cli.words import count
from copick_core.plugins import known
from copick_tools.commands.options import opened
from copick_tools.shells import SHELLS, completion_script


@examples(
    "copick-core init my-project --object ribosome --user-id alice",
)
@click.command
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", help="Name of the project; that of the folder by default.")
@click.option("--user-id", metavar="NAME", help="User that new annotations belong to by default.")
@click.option("--object", "objects", multiple=True, metavar="NAME", help="An object that is picked; repeatable.")
@json_option
def init(folder: Path, name: str | None, user_id: str | None, objects: tuple[str, ...], as_json: bool) -> None:
    """Make an empty project in FOLDER: config.json, and data in the folder "project" beside it.

    For other kinds of storage, and data that are read-only, see: copick-core new-config --help
    """
    from copick_core.tree.schema import PickableObject

    found = [PickableObject(name=name, is_particle=True, label=number) for number, name in enumerate(objects, 1)]
    content: dict[str, Any] = {
        "config_type": known()["default_config_type"],
        "name": name or folder.resolve().name,
        "overlay_root": "project",
        "pickable_objects": [obj.model_dump(mode="json", exclude_none=True) for obj in found],
    }
    if user_id:
        content["user_id"] = user_id
    path = folder / "config.json"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
    except FileExistsError:
        raise FileExistsError(f"{path} already exists. Name another folder.") from None
    click.echo(json.dumps({"config": str(path)}, indent=2) if as_json else str(path))


@click.group
def config() -> None:
    """Print, change and check the config of a project."""


@examples(
    "copick-core config show -c config.json",
)
@config.command("show")
@project_option
@click.option("--json", is_flag=True, expose_value=False, help="Changes nothing: the output is always JSON.")
def config_show(config: str) -> None:
    """Print the config as JSON, without credentials."""
    click.echo(json.dumps(_without_credentials(opened(config).config.model_dump(mode="json", exclude_none=True)), indent=2))


_CREDENTIAL = re.compile(r"key|secret|passw|token|credential", re.IGNORECASE)


def _without_credentials(value: Any) -> Any:
    """JSON values, with *** for those whose names sound like credentials, and in URLs."""
    from copick_core.errors import redacted

    if isinstance(value, dict):
        return {
            k: "***" if _CREDENTIAL.search(k) and isinstance(v, str) else _without_credentials(v) for k, v in value.items()
        }
    if isinstance(value, list):
        return [_without_credentials(item) for item in value]
    return redacted(value) if isinstance(value, str) else value


@examples(
    "copick-core config set user_id alice",
)
@config.command("set")
@click.argument("field")
@click.argument("value")
@project_option
@json_option
def config_set(field: str, value: str, config: str, as_json: bool) -> None:
    """Set a FIELD of the config to VALUE, which is JSON or text; the new config is checked before it is written."""
    from pydantic import ValidationError

    from copick_core.errors import ConfigError, closest

    root = opened(config)
    fields = type(root.config).model_fields
    if field not in fields:
        raise click.UsageError(f"A config of type {root.config.config_type!r} has no field {field!r}.{closest(field, fields)}")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    checked = None
    for candidate in (parsed,) if parsed == value else (parsed, value):  # 2 may be a number, or the name of a session
        try:
            checked = type(root.config).model_validate({**root.config.model_dump(), field: candidate})
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            continue
        parsed = candidate
        break
    if checked is None:
        raise ConfigError(source=config, reason=f"{field} cannot be {value}: {reason}")
    setattr(root.config, field, getattr(checked, field))
    root.save_config(config)
    click.echo(json.dumps({field: parsed}, indent=2) if as_json else f"{field} = {json.dumps(parsed)}")


@examples(
    "copick-core config check -c config.json",
)
@config.command("check")
@project_option
@json_option
def config_check(config: str, as_json: bool) -> None:
    """Check that the config is valid and that every layer answers."""
    from copick_core.tree.keys import ROOT, Kind

    layers: list[dict[str, Any]] = [
        {"name": layer.name, "runs": len([*layer.list(Kind.RUN, ROOT)]), "read_only": layer.read_only}
        for layer in opened(config).layers.all
    ]
    if as_json:
        click.echo(json.dumps({"valid": True, "layers": layers}, indent=2))
        return
    for one in layers:
        click.echo(f"{one['name']}: {count(one['runs'], 'run')}, {'read-only' if one['read_only'] else 'writable'}")
    click.echo("The config is valid.")


@examples(
    'eval "$(copick-core completion bash)"',
    'eval "$(copick-core completion zsh)"',
    "copick-core completion fish | source",
)
@click.command
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete commands, options and addresses; load it where your shell starts."""
    click.echo(completion_script(shell), nl=False)
