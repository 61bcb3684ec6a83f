"""A configuration of a known type, from its file and back."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from copick_core.errors import ConfigError, ConfigNotFoundError, ConflictError, by_caller, redacted
from copick_core.opening.files import digest, parse_json, read, write
from copick_core.opening.locations import folder_of, place_of
from copick_core.opening.validation import validated

if TYPE_CHECKING:
    from copick_core.tree.schema import CopickConfig

    C = TypeVar("C", bound=CopickConfig)


def load_config(path: str | os.PathLike[str], config_cls: type[C]) -> C:
    """Load a configuration of a known type from a file.

    Raises:
        ConfigError: The file cannot be read, or is not such a configuration.
    """
    name = os.fspath(path)
    data = read(name)
    config = validated(config_cls, parse_json(data, name), name, folder_of(name))
    config._referrers = (place_of(name),)
    config._file = (place_of(name), data)
    return config


def save_config(config: CopickConfig, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a configuration as JSON, all or nothing.

    A file that somebody else has changed since this configuration was loaded from it, or saved to it, is not overwritten.

    Every field is written, also keys that no model knows. Locations that were relative when it was loaded are relative
    again if it is saved in the same folder, and absolute elsewhere.

    Args:
        config: The configuration.
        path: File or URL to write; local folders that are missing are made.
        overwrite: Write whatever the file holds now.

    Raises:
        ConflictError: Somebody else has changed the file in the meantime. Nothing was written.
        ConfigError: A value cannot be written as JSON. Nothing was written.
    """
    name = os.fspath(path)
    place = place_of(name)
    known = config._file[1] if not overwrite and config._file is not None and config._file[0] == place else None

    def check() -> None:
        if known is None:
            return
        try:
            found = read(name)
        except ConfigNotFoundError:
            return  # of a file that was deleted, nothing is overwritten
        if found != known:
            raise ConflictError(
                key="the configuration",
                layer=redacted(name),
                expected=digest(known),  # the files may hold secrets
                found=digest(found),
                way_out=by_caller(
                    "Open it again and make your change there, or pass overwrite=True.", "Run the command again."
                ),
            )

    try:
        content = config.file_content()
        if config._folder is not None and config._folder == folder_of(name):
            _restore_relative(content, config._as_written)
        data = json.dumps(content, indent=4, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(source=name, reason=f"it cannot be written as JSON: {error}") from error
    write(name, data, check)
    config._file = (place, data)


def _restore_relative(content: dict[str, Any], as_written: Mapping[tuple[str | int, ...], tuple[str, str]]) -> None:
    """Write locations as they were written, where they still are what they were resolved to."""
    for (*above, field), (resolved, written) in as_written.items():
        with contextlib.suppress(LookupError, TypeError):  # of a part that is not there any more
            holder: Any = content
            for part in above:
                holder = holder[part]
            if holder[field] == resolved:
                holder[field] = written
