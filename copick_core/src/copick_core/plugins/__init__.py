"""How copick-core finds what other distributions bring."""

from copick_core.plugins.discovery import API_VERSION, GROUP, KNOWN, Backend, Installed, get, installed, register, reset
from copick_core.plugins.hookspecs import hookimpl

__all__ = [
    "API_VERSION",
    "GROUP",
    "KNOWN",
    "Backend",
    "Installed",
    "get",
    "hookimpl",
    "installed",
    "register",
    "reset",
]
