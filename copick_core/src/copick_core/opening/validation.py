"""From the content of a configuration to its model, with every mistake named by its field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from copick_core.callers import warn_caller
from copick_core.errors import ConfigError, closest, redacted
from copick_core.opening.locations import local_path, only_in_working_folder, resolved

if TYPE_CHECKING:
    from copick_core.tree.schema import CopickConfig

    C = TypeVar("C", bound=CopickConfig)


def validated(config_cls: type[C], content: Mapping[str, Any], source: str, folder: str | None, *, prefix: str = "") -> C:
    """Build a configuration from its content.

    Args:
        config_cls: Its model.
        content: The content.
        source: What it was read from, for messages.
        folder: Folder that relative locations are resolved against; the working folder if None.
        prefix: Path of the content inside a larger configuration, for messages.

    Raises:
        ConfigError: It is not valid; tells each field that is wrong, and never its value, which may be a secret.
    """
    from pydantic import ValidationError

    misspelt = [*_misspelt(config_cls, content, prefix)]
    try:
        config = config_cls.model_validate(content)
    except ValidationError as error:
        complaints = [_complaint(e, prefix) for e in error.errors()]
        raise ConfigError(source=source, reason="; ".join(complaints + misspelt)) from None
    for hint in misspelt:
        warn_caller(f"Configuration {redacted(source)}: {hint}")
    config._folder = folder
    for field in config_cls.location_fields:
        written = getattr(config, field)
        if isinstance(written, str) and written:  # an empty one is none, not the file's folder
            path = f"{prefix}.{field}".lstrip(".")
            try:
                location = resolved(written, folder)
            except ConfigError as error:
                raise ConfigError(source=source, reason=f"{path}: {error.reason}") from None
            if location != written:
                setattr(config, field, location)
                config._as_written[field,] = (location, written)
                if before := only_in_working_folder(written, location):
                    warn_caller(
                        f"Configuration {redacted(source)}: {path} is relative to its folder, where there is no "
                        f"{local_path(location)}. There is {before}, which copick 1.x would open from this working folder. "
                        "Write an absolute path if you mean that."
                    )
    return config


def adopt_locations(config: CopickConfig, where: tuple[str | int, ...], content: dict[str, Any], nested: CopickConfig) -> None:
    """Hold the locations of a nested configuration as resolved: saved in another folder they must mean the same places.

    Args:
        config: The configuration that it is a part of.
        where: Path of the part.
        content: The part as the configuration holds it.
        nested: The configuration that was made of it.
    """
    for (*above, field), texts in nested._as_written.items():
        holder: Any = content
        for part in above:
            holder = holder[part]
        holder[field] = texts[0]
        config._as_written[*where, *above, field] = texts


def _misspelt(config_cls: type[CopickConfig], content: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Hints at keys that no model knows, where a field that was not given is spelled almost like them."""
    object_cls = get_args(config_cls.model_fields["pickable_objects"].annotation)[0]
    objects = content.get("pickable_objects")
    parts: list[tuple[str, Any, Any]] = [(prefix, config_cls, content)]
    if isinstance(objects, list):
        parts += [(f"{prefix}.pickable_objects[{i}]", object_cls, obj) for i, obj in enumerate(objects)]
    for path, model, part in parts:
        if not isinstance(part, Mapping):
            continue
        for name in part.keys() - model.model_fields.keys():
            # Capitals are a slip too: "user_ID".
            if hint := closest(str(name).lower(), model.model_fields.keys() - part.keys(), cutoff=0.85):
                yield f"{path}.{name}: there is no such field.{hint}".lstrip(".")


def _complaint(error: Any, prefix: str) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    path = "".join([prefix, *parts]).lstrip(".")
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{path}: {message}" if path else message
