"""Links into the page: which run it shows, and how."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from copick_core.errors import AddressError
from copick_core.tree.addresses import address_of, parse
from copick_core.tree.keys import Kind
from copick_view.viewer.scene import run_of


def page_of(root: Any, address: str) -> str:
    """What follows the page's address to show what an address names.

    Args:
        root: The project.
        address: Of a run, of a tomogram, or of anything else in one run.

    Raises:
        AddressError: It does not name one run.
        NotFoundError: There is no such run.
    """
    parsed = parse(address if "/" in address else f"{address}/")
    run = parsed.literal("run")
    if run is None:
        raise AddressError(address=address, position=None, reason="it names no single run; write TS_001/")
    run_of(root, run)
    view: dict[str, Any] = {}
    if parsed.name is not None and parsed.user_id is None:
        tomogram = root.entity(str(parsed), kind=Kind.TOMOGRAM)
        view["tomogram"] = str(address_of(tomogram.key))
    elif (name := parsed.literal("name")) is not None:
        view["object"] = name
    return f"#{quote(run, safe='')}{f'!{encoded(view)}' if view else ''}"


def run_in(place: str) -> str:
    """The run that :func:`page_of` leads to."""
    return unquote(place.removeprefix("#").partition("!")[0])


def encoded(view: Mapping[str, Any]) -> str:
    """A view as it stands in a link."""
    return base64.b64encode(json.dumps(view).encode()).decode()
