"""Addresses without a run part mean what the reference's URIs mean."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from typing import Any

import pytest

from copick_core.tree.addresses import Address, parse

pytestmark = [pytest.mark.reference]

#: Parses one URI of a kind in each line of standard input.
PARSE = """
import json, sys
from copick.util.uri import parse_copick_uri
for line in sys.stdin:
    print(json.dumps(parse_copick_uri(*json.loads(line))))
"""

PARTS = ("ribosome", "rib*", "*", "[ab]c", "a-b.1", "é ü")
OWNERS = ("", *(f":{user}{session}" for user in PARTS[:4] for session in ("", "/1", "/*", "/1-[0-9]")))
SIZES = ("", "@10.0", "@7.84", "@*", "@1[0-9].0")
TYPES = ("", "?multilabel=true", "?instance=1", "?panoptic=YES", "?multilabel=false", "?instance=0&panoptic=true")
ADDRESSES = {
    "picks": [name + owner for name in PARTS for owner in OWNERS],
    "mesh": [name + owner for name in PARTS for owner in OWNERS],
    "segmentation": ["".join(parts) for parts in itertools.product(PARTS, OWNERS, SIZES, TYPES)],
    "tomogram": ["".join(parts) for parts in itertools.product(PARTS, SIZES)],
    "feature": ["".join(parts) for parts in itertools.product(PARTS, SIZES[1:], ("", ":sobel", ":s*"))] + [*PARTS],
}


def as_reference(address: Address, kind: str) -> dict[str, Any]:
    """An address as the reference's parser returns it: what was left out is ``*``."""

    def part(value: str | None) -> str:
        return "*" if value is None else value

    parsed: dict[str, Any] = {"object_type": kind, "pattern_type": address.syntax}
    if kind in ("picks", "mesh", "segmentation"):
        parsed["name" if kind == "segmentation" else "object_name"] = part(address.name)
        parsed |= {"user_id": part(address.user_id), "session_id": part(address.session_id)}
    else:
        parsed["tomo_type"] = part(address.name)
    if kind not in ("picks", "mesh"):
        parsed["voxel_spacing"] = part(address.voxel_size)
    if kind == "segmentation":
        parsed |= dict.fromkeys(("multilabel", "instance", "panoptic")) | dict(address.flags)
    if kind == "feature":
        parsed["feature_type"] = part(address.feature_type)
    return parsed


@pytest.mark.parametrize("kind", ADDRESSES)
def test_an_address_without_a_run_is_parsed_as_the_reference_parses_it(kind: str, reference) -> None:
    patterns = [f" re:{address} " for address in ADDRESSES[kind] if not re.search(r"(^|[:/@])\*", address)]
    addresses = [*ADDRESSES[kind], *patterns]
    lines = "\n".join(json.dumps([text, kind]) for text in addresses)
    done = subprocess.run([*reference.interpreter, "-c", PARSE], input=lines, capture_output=True, text=True, check=True)

    theirs = dict(zip(addresses, map(json.loads, done.stdout.splitlines()), strict=True))

    assert {text: as_reference(parse(text), kind) for text in addresses} == theirs
