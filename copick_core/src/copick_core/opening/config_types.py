"""The backend that a configuration is for, by its ``config_type``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from copick_core import plugins
from copick_core.callers import warn_caller
from copick_core.errors import ConfigError, UnknownBackendError, redacted

if TYPE_CHECKING:
    from copick_core.plugins import Backend


def config_type_of(content: dict[str, Any], source: str) -> str:
    """The ``config_type`` of a file's content; one that is missing is filled in, with a warning.

    Raises:
        ConfigError: It is not text.
    """
    config_type = content.get("config_type")
    if config_type is None:
        config_type = content["config_type"] = plugins.known()["default_config_type"]
        hint = f"Configuration {redacted(source)} has no config_type; {config_type!r} is assumed. Add it."
        warn_caller(hint, DeprecationWarning)
    if not isinstance(config_type, str):
        raise ConfigError(source=source, reason=f"config_type: {config_type!r} is not a string")
    return config_type


def backend_for(config_type: str, source: str) -> Backend:
    """The backend of a ``config_type``.

    Raises:
        UnknownBackendError: It is not installed; ``source`` names the configuration that asks for it.
    """
    try:
        return plugins.backends.get(config_type)
    except UnknownBackendError as error:
        raise UnknownBackendError(
            config_type=config_type, installed=error.installed, install=error.install, source=source
        ) from None
