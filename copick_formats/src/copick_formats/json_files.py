"""Files of JSON."""

from __future__ import annotations

import json
from typing import Any

from copick_core.errors import InvalidDataError


def json_object(path: str) -> dict[str, Any]:
    """The object that a file of JSON holds; an empty one if it holds something else.

    Raises:
        InvalidDataError: It is not JSON.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(source=path, reason=f"is not readable JSON: {error}") from error
    return content if isinstance(content, dict) else {}
