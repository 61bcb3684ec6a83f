"""Opening a place that has no configuration: each backend is asked whether it can, and exactly one must."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from copick_core import plugins
from copick_core.callers import warn_caller
from copick_core.errors import ConfigError, ConfigNotFoundError, PluginError, by_caller, redacted
from copick_core.opening.files import parse_json, read
from copick_core.opening.locations import is_remote, local_path

#: End of the name of a config file: as it is, with the query of a URL, or in front of the archive that it lies in.
_JSON = re.compile(r"^[^?]*\.json($|\?|::)", re.IGNORECASE)
#: A larger JSON file is not a configuration that somebody has left in a project's folder.
_LARGEST_CONFIG = 16 * 1024 * 1024


def config_file_at(name: str) -> str | None:
    """The config file that a path or URL means: itself, or the only one in the folder; None for a place without one.

    Args:
        name: Path or URL of a config file, a folder, an archive or anything else.

    Raises:
        ConfigError: The folder has several; lists them.
    """
    if _JSON.search(name):
        return name
    if is_remote(name):
        return name if _is_remote_config(name) else None
    path = local_path(name)
    if os.path.isdir(path):
        configs = [file for file in sorted(os.listdir(path)) if _is_config(os.path.join(path, file))]
        if len(configs) > 1:
            raise ConfigError(source=name, reason=f"the folder has several configurations: {', '.join(configs)}. Open one.")
        return os.path.join(path, configs[0]) if configs else None
    if os.path.isfile(path):
        with open(path, "rb") as file:
            return name if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[", b"") else None
    return name  # reading it tells that nothing is there


def guessed(name: str) -> dict[str, Any]:
    """The content of a configuration for a place without one, as the only backend that can open it makes it.

    Args:
        name: Path or URL of a folder, a file or an archive.

    Raises:
        ConfigNotFoundError: It is a URL at which nothing can be found.
        ConfigError: No backend can open it, or several; tells what each of them said, and what to do.
    """
    found: dict[str, dict[str, Any]] = {}
    said: list[str] = []
    for config_type in plugins.backends.names():
        try:
            guess = plugins.backends.look(config_type).guess
            content: Mapping[str, Any] | None = None if guess is None else plugins.resolved(guess)(name)
        except PluginError as error:
            said.append(f"{config_type}: broken, {error.reason}")
            continue
        except Exception as error:  # a backend's own trouble must not hide that another one can open it
            said.append(f"{config_type}: {type(error).__name__}: {redacted(str(error))}")
            continue
        if content is not None:
            found[config_type] = {"config_type": config_type, **content}
        elif guess is not None:
            said.append(f"{config_type}: nothing of its own there")
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise ConfigError(
            source=name,
            reason=f"it has no configuration, and several backends can open it: {', '.join(found)}. "
            "Write a config that names one of them as config_type, and open that.",
        )
    if is_remote(name):
        _check_is_there(name)
    raise ConfigError(
        source=name,
        reason=f"it is not a configuration, and no installed backend opens it ({'; '.join(said) or 'none of them guesses'}). "
        "Open a config file, or write one for a new project: "
        f"{by_caller('copick_core.new_config(config, overlay_root)', 'copick-core new-config TYPE')}.",
    )


def warn_of_guess(name: str, config_type: str, objects: list[str]) -> None:
    """Warn that a project was opened without a configuration."""
    command = f"copick-core config show -c {redacted(name)} > config.json"
    write = by_caller('root.save_config("config.json")', command)
    has = f"the objects that were found there: {', '.join(objects)}" if objects else "no objects: none were found there"
    warn_caller(
        f"Write a config for {redacted(name)} with {write}, and check its objects: there was none, so it was "
        f"opened as {config_type!r} with {has}. Labels and colors are made up."
    )


def _is_config(path: str) -> bool:
    """Whether a file is a configuration: a JSON object that names its backend, or has objects and a place (copick 1.x)."""
    if not path.lower().endswith(".json") or not os.path.isfile(path) or os.path.getsize(path) > _LARGEST_CONFIG:
        return False
    try:
        with open(path, "rb") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return False
    if not isinstance(content, dict):
        return False
    return isinstance(content.get("config_type"), str) or {"pickable_objects", "overlay_root"} <= content.keys()


def _is_remote_config(name: str) -> bool:
    if name.lower().endswith((".zip", "/")) or "::" in name:
        return False
    try:
        parse_json(read(name), name)
    except ConfigError:
        return False
    return True


def _check_is_there(name: str) -> None:
    try:
        read(name)
    except ConfigNotFoundError:
        raise
    except ConfigError:
        return  # something is there, or it cannot be reached: what the backends said tells more
