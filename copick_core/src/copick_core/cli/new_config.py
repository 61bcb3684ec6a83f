"""``copick-core new-config TYPE``: write the configuration of a new project, with the options of that backend."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from copick_core.cli.parameters import examples
from copick_core.errors import InvalidDataError, UnknownBackendError
from copick_core.plugins import backends, known

#: What every configuration has. A backend that declares an option of the same name has its own.
COMMON = (
    click.Option(["--output"], default="config.json", show_default=True, metavar="FILE", help="File to write."),
    click.Option(["--force"], is_flag=True, help="Replace the file if it exists."),
    click.Option(["--name"], metavar="TEXT", help="Name of the project."),
    click.Option(["--description"], metavar="TEXT", help="Description of the project."),
    click.Option(["--user-id"], metavar="NAME", help="User that new annotations belong to by default."),
    click.Option(["--session-id"], metavar="NAME", help="Session of new annotations by default."),
    click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
    click.Option(["--objects"], metavar="FILE", help="JSON file with the objects: a list of them, or a configuration."),
)


class NewConfig(click.Group):
    """A group with one command for each installed backend that makes configurations."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Types of the backends, sorted; loads them, because only that shows which ones make configurations."""
        return [backend.config_type for backend in backends.usable() if backend.new_config is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a backend.

        Raises:
            UsageError: It is not installed, or makes no configurations.
            BackendError: It is broken; with the cause.
        """
        try:
            command = command_of(cmd_name)
        except UnknownBackendError as error:
            raise click.UsageError(f"{error.reason[:1].upper()}{error.reason[1:]}", ctx) from error
        make: Any = command.callback
        own = {option.name for option in command.params}
        examples(f"copick-core new-config {cmd_name} {_required(command)}".rstrip())(command)
        command.callback = lambda **options: _write(make, own, **options)
        command.params += [option for option in COMMON if option.name not in own]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the types with the summaries of their backends."""
        with formatter.section("Types"):
            formatter.write_dl([(name, backends.look(name).summary) for name in self.list_commands(ctx)])


@examples(
    f"copick-core new-config {known()['default_config_type']} --overlay-root project --user-id alice",
    "copick-core new-config stack --help",
)
@click.command(cls=NewConfig, options_metavar="", subcommand_metavar="TYPE [OPTIONS]")
def new_config() -> None:
    """Write the configuration of a new project.

    TYPE is the kind of storage; copick-core new-config TYPE --help lists its options. A relative location starts at the
    folder of the file that is written.
    """


def _required(command: click.Command) -> str:
    """The options that a backend needs, with what stands for their values."""
    needed = [option for option in command.params if isinstance(option, click.Option) and option.required]
    return " ".join(f"{option.opts[0]} {option.metavar or (option.name or '').upper()}" for option in needed)


def command_of(config_type: str) -> click.Command:
    """The ``new_config`` of a backend as a click command, which returns the content of a configuration.

    Raises:
        UnknownBackendError: No such backend is installed.
        BackendError: It is broken; with the cause.
        UsageError: It makes no configurations.
    """
    backend = backends.get(config_type)
    function: Callable[..., Mapping[str, Any]] | None = backends.resolve(config_type, backend.new_config)
    if function is None:
        where = f", see {backend.url}" if backend.url else ""
        raise click.UsageError(f"Backend {config_type!r} makes no configurations. Write the JSON file yourself{where}.")

    @functools.wraps(function)  # click takes the options off the function that it makes a command of
    def content(**options: Any) -> dict[str, Any]:
        return {"config_type": config_type, **function(**options)}

    return click.command(config_type)(content)


def content_of(config_type: str, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a new configuration.

    Args:
        config_type: The backend.
        arguments: Its options, as on the command line.

    Raises:
        UnknownBackendError: No such backend is installed.
        BackendError: It is broken; with the cause.
        UsageError: It makes no configurations, or not with these options.
    """
    command = command_of(config_type)
    with command.make_context(config_type, [*arguments]) as context:
        content: dict[str, Any] = command.invoke(context)
    return content


def _write(
    make: Callable[..., dict[str, Any]],
    own: set[str],
    *,
    output: str,
    force: bool,
    as_json: bool,
    objects: str | None = None,
    **options: Any,
) -> None:
    from copick_core.opening import write_new

    common = {name: options.pop(name) for name in ("name", "description", "user_id", "session_id") if name not in own}
    if objects is not None:
        common["pickable_objects"] = _objects(objects)

    def content() -> dict[str, Any]:
        return {**make(**options), **{name: value for name, value in common.items() if value is not None}}

    root = write_new(content, output, overwrite=force)
    if as_json:
        declared = [obj.meta.model_dump(mode="json") for obj in root.pickable_objects]
        print(json.dumps({"config": output, "objects": declared}, indent=2))
        return
    print(f"{output}: {len(root.pickable_objects)} objects")
    for obj in root.pickable_objects:
        kind = "particle" if obj.is_particle else "segmentation"
        print(f"  {obj.label:>3}  {obj.name}  {kind}  {obj.meta.identifier or ''}".rstrip())


def _objects(path: str) -> list[Any]:
    """Objects of a JSON file: a list of them, or a configuration."""
    with click.open_file(path, encoding="utf-8") as file:
        try:
            content = json.load(file)
        except ValueError as error:
            raise InvalidDataError(source=path, reason=f"it is not valid JSON: {error}") from error
    found = content.get("pickable_objects") if isinstance(content, dict) else content
    if not isinstance(found, list):
        raise InvalidDataError(source=path, reason="it is neither a list of objects nor a configuration that has them")
    return found
