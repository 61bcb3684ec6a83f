"""Reads ``known.toml``: the names that core knows of other distributions, and how to install them."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def known() -> dict[str, Any]:
    """The content of ``known.toml``."""
    import tomllib
    from importlib.resources import files

    content: dict[str, Any] = tomllib.loads(files("copick_core.plugins").joinpath("known.toml").read_text(encoding="utf-8"))
    return content


def install_line(kind: str, name: str) -> str | None:
    """The command that installs a plugin which is known by name; None for others.

    Args:
        kind: A table of ``known.toml``, such as ``"backends"``.
        name: The plugin's name.
    """
    requirement = known()[kind].get(name)
    return f'pip install "{requirement}"' if requirement else None
