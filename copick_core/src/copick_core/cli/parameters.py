"""Types of options that several commands take; each raises click.BadParameter."""

from __future__ import annotations

import json
from typing import Any

import click


def json_object(text: str) -> dict[str, Any]:
    """Parse an option that is a JSON object, such as ``{"anon": true}``."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise click.BadParameter(f'{text!r} is not a JSON object, such as {{"anon": true}}')
    return content
