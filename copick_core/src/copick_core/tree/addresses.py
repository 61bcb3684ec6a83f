"""Addresses: one line of text that names an entity, or a pattern that matches many.

The grammar is that of copick 1.x and 2.0 ("copick URIs"), with the run in front::

    TS_001/ribosome:alice/1                picks, a mesh, filaments or segmentations of a run
    TS_*/membrane:*/*@10.0?instance=true   instance segmentations at 10 Å in many runs
    TS_001/wbp@10.0                        a tomogram
    TS_001/wbp@10.0:sobel                  features of a tomogram
    TS_001/                                a run
    TS_001/@10.0                           a voxel spacing
    ribosome:alice/1                       the same as */ribosome:alice/1
    re:TS_00[1-3]/ribo.*:alice/.*          regular expressions, matched from the start of each part
    exact:TS_[1]/ribosome:alice/1          no character is special

Parts that are left out match everything. ``*`` and ``[…]`` are those of :mod:`fnmatch`; ``?`` starts the query and is never
a pattern. ``%XX`` stands for one character without its special meaning. It is needed only for ``/ : @ ? * [ %`` inside names,
and for white space at either end.

An address has no kind: ``ribosome:alice/1`` may be picks, filaments and a mesh. Callers that want one kind say which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cached_property
from typing import Any, Literal

from copick_core.errors import AddressError
from copick_core.tree.keys import FILE_KINDS, KEY_CLASSES, Key, Kind, SegmentationType, voxel_size_key

Syntax = Literal["glob", "regex", "exact"]

ANY = "*"
_PREFIXES: dict[str, Syntax] = {"re:": "regex", "exact:": "exact"}
_FLAGS = ("multilabel", "instance", "panoptic")
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
#: Characters that mean something in an address.
_SPECIAL = re.compile(r"[/:@?*\[]|%(?=[0-9A-Fa-f]{2})|^\s+|\s+$")
_GLOB = re.compile(r"[*\[]")


@dataclass(frozen=True)
class Address:
    """A parsed address.

    Parts are kept as they are written, with their escapes; None means that a part was left out, and matches everything.

    Attributes:
        run: Name of the run.
        name: Name of the object, the segmentation or the type of the tomogram; None in addresses of runs and voxel spacings.
        user_id: User.
        session_id: Session.
        voxel_size: Voxel size in angstrom, as text.
        feature_type: Type of the features.
        flags: ``(flag, value)`` of each flag in the query, such as ``(("instance", True),)``.
        syntax: ``"glob"``, ``"regex"`` or ``"exact"``.
    """

    run: str | None = None
    name: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    voxel_size: str | None = None
    feature_type: str | None = None
    flags: tuple[tuple[str, bool], ...] = ()
    syntax: Syntax = "glob"

    def __str__(self) -> str:
        prefix = {"glob": "", "regex": "re:", "exact": "exact:"}[self.syntax]
        text = "" if self.run is None else f"{self.run}/"
        text += self.name or ""
        if self.user_id is not None:
            text += f":{self.user_id}"
        if self.session_id is not None:
            text += f"/{self.session_id}"
        if self.voxel_size is not None:
            text += f"@{self.voxel_size}"
        if self.feature_type is not None:
            text += f":{self.feature_type}"
        query = "&".join(f"{flag}={str(value).lower()}" for flag, value in self.flags)
        return f"{prefix}{text}{'?' if query else ''}{query}"

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds that an entity of this address can have."""
        if self.feature_type is not None:
            return frozenset({Kind.FEATURES})
        if self.flags:
            return frozenset({Kind.SEGMENTATION})
        if self.name is None:
            return frozenset({Kind.RUN if self.voxel_size is None else Kind.VOXEL_SPACING})
        if self.user_id is not None:
            return _AT_A_SIZE - _WITHOUT_USER if self.voxel_size is not None else _WITH_USER
        if self.voxel_size is not None:
            return _AT_A_SIZE
        return _WITH_USER | _AT_A_SIZE | (frozenset({Kind.OBJECT}) if self.run is None else frozenset())

    def matches(self, key: Key) -> bool:
        """Whether a key has this address; its kind must be one of :attr:`kinds`, or one that the caller asks for."""
        values = _parts(key)
        if not all(match(values[part]) for part, match in self._tests.items() if part in values):
            return False
        return key.kind is not Kind.SEGMENTATION or self.matches_type(key.segmentation_type)

    def literal(self, part: str) -> str | None:
        """The value of a part that names one thing, without its escapes; None if the part is a pattern or was left out.

        Args:
            part: Name of an attribute, such as ``"run"``.
        """
        text: str | None = getattr(self, part)
        if text is None or self.syntax == "regex" or (self.syntax == "glob" and _GLOB.search(text)):
            return None
        return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)

    def literals(self, kind: Kind) -> dict[str, str | float]:
        """The fields of keys of a kind that the address gives one value, by name."""
        found: dict[str, str | float] = {}
        for field, part in _FIELDS[kind].items():
            value = self.size if part == "voxel_size" else self.literal(part)
            if value is not None:
                found[field] = value
        return found

    def is_decided_by(self, fields: Container[str], kind: Kind) -> bool:
        """Whether every key of a kind with the values that :meth:`literals` gives for some fields has this address."""
        parts = {part: field for field, part in _FIELDS[kind].items()}
        return not self.flags and all(parts[part] in fields for part in self._tests if part in parts)

    @property
    def size(self) -> float | None:
        """The voxel size in angstrom, as keys have it; None if it is a pattern or was left out."""
        text = self.literal("voxel_size")
        return None if text is None else _size(text)

    def matches_type(self, segmentation_type: SegmentationType) -> bool:
        """Whether a segmentation of a type can have this address."""
        return all((segmentation_type == flag) is value for flag, value in self.flags)

    @cached_property
    def _tests(self) -> dict[str, Callable[[Any], bool]]:
        tests: dict[str, Callable[[Any], bool]] = {}
        for part in ("run", "name", "user_id", "session_id", "feature_type"):
            text = getattr(self, part)
            if text is not None and not (text == ANY and self.syntax == "glob"):
                tests[part] = _test(text, self.syntax)
        if self.voxel_size is not None and not (self.voxel_size == ANY and self.syntax == "glob"):
            tests["voxel_size"] = _size_test(self.voxel_size, self.syntax)
        return tests


_WITH_USER = FILE_KINDS | {Kind.SEGMENTATION}
_AT_A_SIZE = frozenset({Kind.TOMOGRAM, Kind.SEGMENTATION})
_WITHOUT_USER = frozenset({Kind.TOMOGRAM})


_OWNED = {"run": "run", "object_name": "name", "user_id": "user_id", "session_id": "session_id"}
_TOMOGRAM = {"run": "run", "voxel_size": "voxel_size", "tomo_type": "name"}
#: Which part of an address each field of a key is, by kind; fields that are not there have defaults.
_FIELDS: dict[Kind, dict[str, str]] = {
    Kind.RUN: {"name": "run"},
    Kind.VOXEL_SPACING: {"run": "run", "voxel_size": "voxel_size"},
    Kind.TOMOGRAM: _TOMOGRAM,
    Kind.FEATURES: {**_TOMOGRAM, "feature_type": "feature_type"},
    **dict.fromkeys(FILE_KINDS, _OWNED),
    Kind.SEGMENTATION: {
        "run": "run",
        "voxel_size": "voxel_size",
        "name": "name",
        "user_id": "user_id",
        "session_id": "session_id",
    },
    Kind.OBJECT: {"name": "name"},
}


def _parts(key: Key) -> dict[str, Any]:
    """The parts of the address of a key."""
    return {part: getattr(key, field) for field, part in _FIELDS[key.kind].items()}


def parse(text: str) -> Address:
    """Parse an address.

    Raises:
        AddressError: It is not an address; points at the character.

    Example:
        >>> parse("TS_*/membrane:alice/*@10.0").kinds
        frozenset({<Kind.SEGMENTATION: 'segmentation'>})
    """
    return _Parser(text).address()


def address_of(key: Key) -> Address:
    """The address that names one entity.

    Tomograms that differ only in their variant share one address.

    Example:
        >>> from copick_core.tree.keys import PicksKey
        >>> str(address_of(PicksKey("TS:1", "ribosome", "alice", "1")))
        'TS%3A1/ribosome:alice/1'
    """
    parts: dict[str, Any] = {part: escaped(str(value)) for part, value in _parts(key).items()}
    address = Address(**parts)
    if key.kind is Kind.SEGMENTATION and key.segmentation_type != "binary":
        address = replace(address, flags=((key.segmentation_type, True),))
    return address


def key_of(address: Address, kind: Kind) -> Key | None:
    """The key of the one entity of a kind that an address names, found without asking storage.

    Args:
        address: The address.
        kind: The kind that is meant.

    Returns:
        The key, of a segmentation without a type that of the binary one; None if a part is a pattern or was left out.

    Example:
        >>> str(key_of(parse("TS_001/wbp@10.0"), Kind.TOMOGRAM))
        "tomogram 'wbp' at 10.000 of run 'TS_001'"
    """
    values: dict[str, Any] = {}
    for field, part in _FIELDS[kind].items():
        value = address.size if part == "voxel_size" else address.literal(part)
        if value is None:
            return None
        values[field] = value
    if kind is Kind.SEGMENTATION:
        types = [flag for flag, value in address.flags if value]
        if address.flags and not types:
            return None
        values["segmentation_type"] = types[0] if types else "binary"
    return KEY_CLASSES[kind](**values)


def escaped(name: str) -> str:
    """A name as it is written in an address: characters that mean something there become ``%XX``."""
    return _SPECIAL.sub(lambda found: "".join(f"%{ord(c):02X}" for c in found[0]), name)


class _Parser:
    """Takes an address apart, from the outside in; remembers where it is, for errors."""

    def __init__(self, text: str) -> None:
        self.text = text

    def address(self) -> Address:
        if not isinstance(self.text, str):
            raise AddressError(address=self.text, position=0, reason=f"it must be a string, not {type(self.text).__name__}")
        start = len(self.text) - len(self.text.lstrip())
        body = self.text.strip()
        syntax: Syntax = "glob"
        for prefix, name in _PREFIXES.items():
            if body.startswith(prefix):
                syntax, body, start = name, body[len(prefix) :], start + len(prefix)
        body, mark, query = body.partition("?")
        flags = tuple(self._flags(query, start + len(body) + 1)) if mark else ()
        run, body, start = self._run(body, start)
        if not body:
            if run is None:
                raise AddressError(address=self.text, position=start, reason="it is empty; * matches everything")
            if flags:
                raise AddressError(address=self.text, position=start, reason="a run has no segmentation type")
            return self._checked(Address(run=run, syntax=syntax), start)
        return self._checked(self._body(Address(run=run, flags=flags, syntax=syntax), body, start), start)

    def _run(self, body: str, start: int) -> tuple[str | None, str, int]:
        """What stands before a slash that precedes the first ``:`` or ``@``."""
        end = min((i for i in (body.find(":"), body.find("@")) if i >= 0), default=len(body))
        slash = body.find("/", 0, end)
        if slash < 0:
            return None, body, start
        second = body.find("/", slash + 1, end)
        if second >= 0:
            raise AddressError(
                address=self.text, position=start + second, reason="one slash ends the run; write %2F for one inside a name"
            )
        if slash == 0:
            raise AddressError(address=self.text, position=start, reason="the run before the slash is empty; * is any run")
        return body[:slash], body[slash + 1 :], start + slash + 1

    def _body(self, address: Address, body: str, start: int) -> Address:
        name, at, size = body.partition("@")
        voxel_size: str | None = None
        feature_type: str | None = None
        if at:
            voxel_size, colon, feature = size.partition(":")
            feature_type = feature if colon else None
            where = start + len(name) + 1
            self._not_empty(voxel_size, where, "voxel size after @")
            if colon:
                self._not_empty(feature, where + len(voxel_size) + 1, "feature type after the voxel size")
                if ":" in feature:
                    at_colon = where + len(voxel_size) + 1 + feature.index(":")
                    raise AddressError(address=self.text, position=at_colon, reason="the feature type ends the address")
        name, colon, owner = name.partition(":")
        if not colon:
            if not name and (feature_type is not None or address.flags):
                raise AddressError(address=self.text, position=start, reason="the name is empty; * matches every one")
            return replace(address, name=name or None, voxel_size=voxel_size, feature_type=feature_type)
        self._not_empty(name, start, "name before the colon")
        where = start + len(name) + 1
        if ":" in owner:
            raise AddressError(
                address=self.text,
                position=where + owner.index(":"),
                reason="one colon ends the name; write %3A for one in a name",
            )
        if feature_type is not None:
            raise AddressError(address=self.text, position=where, reason="features belong to no user: tomogram@size:feature")
        user, slash, session = owner.partition("/")
        self._not_empty(user, where, "user after the colon")
        if slash:
            self._not_empty(session, where + len(user) + 1, "session after the user")
        return replace(address, name=name, user_id=user, session_id=session if slash else None, voxel_size=voxel_size)

    def _not_empty(self, text: str, position: int, what: str) -> None:
        if not text:
            raise AddressError(address=self.text, position=position, reason=f"the {what} is empty; * matches every one")

    def _flags(self, query: str, start: int) -> Iterator[tuple[str, bool]]:
        true, seen = "", set()
        for part in query.split("&"):
            flag, _, value = part.partition("=")
            if flag not in _FLAGS:
                reason = f"the query is one of {', '.join(f'{name}=true' for name in _FLAGS)}"
                raise AddressError(address=self.text, position=start, reason=reason)
            if value.lower() not in _TRUE | _FALSE:
                raise AddressError(
                    address=self.text, position=start + len(flag) + 1, reason=f"{flag} is true or false, not {value!r}"
                )
            is_true = value.lower() in _TRUE
            if flag in seen or (is_true and true):
                raise AddressError(address=self.text, position=start, reason="a segmentation has one type")
            seen.add(flag)
            true = flag if is_true else true
            yield flag, is_true
            start += len(part) + 1

    def _checked(self, address: Address, start: int) -> Address:
        """Compile every part, so that errors come when an address is parsed, not when it is used."""
        try:
            address._tests  # noqa: B018 (cached)
        except re.error as error:
            found = self.text.find(str(error.pattern))
            where = start if found < 0 else found
            reason = f"{error.pattern!r} is not a regular expression: {error.msg}"
            raise AddressError(address=self.text, position=where, reason=reason) from None
        except ValueError as error:
            raise AddressError(address=self.text, position=self.text.find("@") + 1, reason=str(error)) from None
        return address


def _test(text: str, syntax: Syntax) -> Callable[[str], bool]:
    """What a part of an address matches."""
    if syntax == "exact" or (syntax == "glob" and not _GLOB.search(text)):
        literal = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
        return lambda value: value == literal
    pieces, last = [], 0
    for found in _ESCAPE.finditer(text):  # an escaped character is itself, in patterns too
        character = chr(int(found[1], 16))
        pieces += [text[last : found.start()], re.escape(character) if syntax == "regex" else f"[{character}]"]
        last = found.end()
    pattern = "".join([*pieces, text[last:]])
    match = re.compile(pattern if syntax == "regex" else translate(pattern)).match
    return lambda value: match(value) is not None


def _size_test(text: str, syntax: Syntax) -> Callable[[float], bool]:
    """What the voxel size of an address matches: a number as a number, a pattern as the size is written."""
    size = _size(text)
    if size is not None:
        return lambda value: value == size
    if syntax == "exact" or (syntax == "glob" and not _GLOB.search(text)):
        raise ValueError(f"{text!r} is not a voxel size in angstrom")
    test = _test(text, syntax)
    return lambda value: any(test(form) for form in {f"{value:.3f}", str(value), f"{value:g}"})


def _size(text: str) -> float | None:
    try:
        return voxel_size_key(float(text))
    except ValueError:
        return None
