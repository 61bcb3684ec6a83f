"""How copick-core finds what other distributions bring: storage, commands, file formats and layer wrappers."""

from copick_core.plugins.discovery import (
    Installed,
    Registry,
    backends,
    commands,
    formats,
    installed,
    register,
    reset,
    wrappers,
)
from copick_core.plugins.hookspecs import hookimpl
from copick_core.plugins.known import install_line, known
from copick_core.plugins.records import Backend, Command, Format, LayerWrapper, resolved

__all__ = [
    "Backend",
    "Command",
    "Format",
    "Installed",
    "LayerWrapper",
    "Registry",
    "backends",
    "commands",
    "formats",
    "hookimpl",
    "install_line",
    "installed",
    "known",
    "register",
    "reset",
    "resolved",
    "wrappers",
]
