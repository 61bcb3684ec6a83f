"""What stands in ``jobs.json``, as pure functions: parsing, saving what is whole of a torn file, and merging two versions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

Document = dict[str, Any]
#: Decides between two versions of an entry: job id, the version before both, ours, and theirs.
Resolver = Callable[[str, Any, Document, Document], Document]

TIME_FIELD = "last_updated_at"
_ENTRY = re.compile(r'"((?:[^"\\]|\\.)+)"\s*:\s*(?=\{)')


def parse(data: bytes) -> Document | None:
    """The document in a file's bytes; None where it is torn, or no object of JSON."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def salvage(data: bytes) -> Document:
    """Every entry of a file that is whole, also where the file is torn."""
    document = parse(data)
    if document is not None:
        return document
    text = data.decode("utf-8", "replace")
    decoder = json.JSONDecoder()
    found: Document = {}
    position = 0
    while match := _ENTRY.search(text, position):
        try:
            job_id = json.loads(f'"{match[1]}"')
            entry, position = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError):
            position = match.end() + 1
            continue
        if "status" in entry:
            found[job_id] = entry
    return found


def updated_at(entry: Document) -> datetime:
    """When an entry was last written, local time; the earliest time there is where it does not tell."""
    try:
        return datetime.fromisoformat(str(entry.get(TIME_FIELD))).replace(tzinfo=None)
    except ValueError:
        return datetime.min


def later_than(entry: Document) -> str:
    """The time of a change of an entry: now, or the entry's own time where the clock of its writer is ahead of ours.

    Older states are recognised by their times: a change that seemed older than what it replaces would never seem to last.
    """
    return max(datetime.now(), updated_at(entry)).isoformat()


def is_as_new(stored: Any, ours: Document) -> bool:
    """Whether a stored entry is ours or a later one; an app that put an older state back has an older time in it."""
    if not isinstance(stored, dict):
        return False
    return stored == ours or updated_at(stored) > updated_at(ours)


def merged(document: Document, base: Document, theirs: Document | None, resolve: Resolver) -> Document:
    """Our document with what others have changed since the base; where both changed an entry, ``resolve`` decides."""
    if theirs is None or theirs == base:
        return document
    result = dict(document)
    for job, their_entry in theirs.items():
        entry = their_entry
        before, ours = base.get(job), document.get(job)
        if entry in (before, ours):
            continue
        if isinstance(entry, dict) and isinstance(ours, dict) and ours != before:
            entry = resolve(job, before, ours, entry)
        result[job] = entry
    return result


def joined(before: Any, ours: Document, theirs: Document) -> Document:
    """An entry that two writers have changed at once: each field as its writer left it, as the later one if both did."""
    old = before if isinstance(before, dict) else {}
    later, earlier = (ours, theirs) if updated_at(ours) >= updated_at(theirs) else (theirs, ours)
    fields = dict(later)
    for name, value in earlier.items():
        if fields.get(name) == old.get(name) and value != old.get(name):
            fields[name] = value
    return {**fields, TIME_FIELD: later.get(TIME_FIELD)}


def undone(before: Any, ours: Document, stored: Any) -> Document:
    """The fields that we have changed, and that a writer who had read the state before has put back."""
    if not isinstance(stored, dict) or stored == ours:
        return {}
    old = before if isinstance(before, dict) else {}
    return {
        name: value
        for name, value in ours.items()
        if name != TIME_FIELD and value != old.get(name) and stored.get(name) == old.get(name)
    }
