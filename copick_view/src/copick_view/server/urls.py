"""The paths of URLs: which entity one means, and which one an entity has.

A path is that of an address (:mod:`copick_core.tree.addresses`) behind the kind that is meant::

    tomogram/TS_001/wbp@10.0/0/.zarray              a value of a tomogram's zarr store
    tomogram;layer=overlay/TS_001/wbp@10.0/…        of the one in that layer
    segmentation;type=instance/TS_001/membrane:alice/1@10.0/…
    picks/TS_001/ribosome:alice/1

Each part of the address is percent-encoded, so an escape of the address itself is encoded twice: run ``TS:1`` is ``TS%3A1`` in
addresses and ``TS%253A1`` here. Without ``layer``, the overlay goes before static layers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast, get_args
from urllib.parse import quote, unquote

from copick_core.errors import AddressError, CopickError, InvalidDataError
from copick_core.tree.addresses import Address, address_of, key_of, parse
from copick_core.tree.keys import FILE_KINDS, VOLUME_KINDS, Key, Kind, SegmentationKey, SegmentationType

#: Parts, between slashes, of the addresses of each kind that is served.
PARTS: dict[Kind, int] = {
    Kind.RUN: 1,
    Kind.TOMOGRAM: 2,
    Kind.FEATURES: 2,
    Kind.SEGMENTATION: 3,
    Kind.OBJECT: 1,
    **{kind: 3 for kind in Kind if kind in FILE_KINDS},
}
_KINDS = {kind.value: kind for kind in PARTS}
_TYPES: tuple[str, ...] = get_args(SegmentationType)
#: What no name has, nor the name of a value of a volume: separators of paths on any system, and control characters.
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]")
_UNENCODED = ":@"


class BadPathError(CopickError, ValueError):
    """A path that means nothing that is served.

    Attributes:
        reason: What is wrong with it; it goes to whoever asked.
    """

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(reason, reason=reason)


@dataclass(frozen=True)
class Target:
    """What a path means.

    Attributes:
        key: The entity.
        layer: Name of the layer that is meant, or None.
        value: Of a volume, the name of a value in its zarr store; ``""`` of everything else.
    """

    key: Key
    layer: str | None = None
    value: str = ""


def path_of(key: Key, layer: str | None = None) -> str:
    """The path of an entity, relative to the address of the server; that of a volume or run ends with a slash.

    Args:
        key: A run, or an entity that has content.
        layer: Name of the layer that is meant; None for whichever holds it.

    Example:
        >>> from copick_core.tree.keys import PicksKey
        >>> path_of(PicksKey("TS 1", "ribosome", "alice", "1"), "overlay")
        'picks;layer=overlay/TS%201/ribosome:alice/1'
    """
    address = address_of(key)
    text = str(Address(**{**vars_of(address), "flags": ()})).rstrip("/")
    options = {"layer": layer, "variant": getattr(key, "variant", "")}
    if key.kind is Kind.SEGMENTATION and key.segmentation_type != "binary":
        options["type"] = key.segmentation_type
    first = key.kind.value + "".join(f";{name}={quote(value, safe='')}" for name, value in options.items() if value)
    parts = [quote(part, safe=_UNENCODED) for part in text.split("/")]
    return "/".join([first, *parts]) + ("/" if key.kind in VOLUME_KINDS else "")


def vars_of(address: Address) -> dict[str, Any]:
    """The parts of an address by name."""
    return {name: getattr(address, name) for name in Address.__dataclass_fields__}


def target_of(path: str) -> Target:
    """What the path of a URL means, as it was sent: still percent-encoded, relative to the address of the server.

    Raises:
        BadPathError: It means nothing, or has names that no entity and no value of a volume can have.
    """
    first, *parts = path.split("/")
    kind, options = _kind(first)
    count = PARTS[kind]
    key = _key(kind, [_decoded(part) for part in parts[:count]], options)
    values = parts[count:]
    if values == [""]:  # a slash at the end
        values = []
    if values and kind not in VOLUME_KINDS:
        raise BadPathError(f"{kind.value} have nothing below them")
    return Target(key, options.get("layer"), "/".join(checked(_decoded(part)) for part in values))


def _kind(text: str) -> tuple[Kind, dict[str, str]]:
    name, *rest = text.split(";")
    if name not in _KINDS:
        raise BadPathError(f"the path starts with the kind of what is asked for: {', '.join(_KINDS)}")
    options = {}
    for part in rest:
        option, _, value = part.partition("=")
        if option not in ("layer", "type", "variant"):
            raise BadPathError("options of a kind are layer, type and variant")
        options[option] = _decoded(value)
    return _KINDS[name], options


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError as error:
        raise BadPathError("the path is not UTF-8") from error


def _key(kind: Kind, parts: list[str], options: dict[str, str]) -> Key:
    text = "/".join(parts)
    if len(parts) < PARTS[kind] or any(_UNSAFE.search(part) or "?" in part for part in parts):
        raise BadPathError(f"it is not the address of {_article(kind)}; special characters of names are encoded twice")
    try:
        address = parse(f"exact:{text}/" if kind is Kind.RUN else f"exact:{text}")
        key = key_of(address, kind) if kind in address.kinds else None
    except (AddressError, InvalidDataError, ValueError) as error:
        raise BadPathError(str(error)) from error
    if key is None:
        raise BadPathError(f"{text!r} is not the address of {_article(kind)}")
    if kind is Kind.SEGMENTATION:
        if options.get("type", "binary") not in _TYPES:
            raise BadPathError(f"types of segmentations are {', '.join(_TYPES)}")
        key = cast(SegmentationKey, key)._replace(segmentation_type=cast(SegmentationType, options.get("type", "binary")))
    elif "variant" in options:
        if not hasattr(key, "variant"):
            raise BadPathError(f"{kind.value} have no variants")
        key = cast(Any, key)._replace(variant=options["variant"])
    for name in key[:-1]:
        if isinstance(name, str) and name:
            checked(name)
        if isinstance(name, str) and name.startswith("."):
            raise BadPathError("names do not start with a dot")
    return key


def _article(kind: Kind) -> str:
    """A kind as a sentence names one of it; most plurals have no other form."""
    name = kind.value
    return name if name.endswith("s") else f"an {name}" if name[0] in "aeiou" else f"a {name}"


def checked(name: str) -> str:
    """A name that leads nowhere else, as it is.

    Raises:
        BadPathError: It is empty, a step upwards, or has separators of paths or control characters.
    """
    if name in ("", ".", "..") or _UNSAFE.search(name):
        raise BadPathError("a name in the path is empty, leads upwards, or has a slash, a backslash or control characters")
    return name
