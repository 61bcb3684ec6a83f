"""Which installed format reads a file: by content first, by suffix second, never by chance."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Mapping
from typing import Any

from copick_core.errors import PluginError, UnknownFormatError, by_caller
from copick_core.plugins import packed
from copick_core.plugins.discovery import formats
from copick_core.plugins.known import install_line, known
from copick_core.plugins.records import Format, resolved

logger = logging.getLogger(__name__)

HEAD_BYTES = 4096


def format_that_reads(path: str, kind: str, name: str | None = None) -> Format:
    """Find the format of a file.

    Formats whose ``sniff`` accepts the content come first; the suffix (without ``.gz`` or ``.bz2``) decides only where
    none does.

    Args:
        path: An existing file or folder.
        kind: What is to be read, such as ``"volume"``.
        name: Name of the format, where it is known; nothing is sniffed then.

    Raises:
        UnknownFormatError: No installed format reads it, or several claim it.
        UnknownPluginError: No format of that name is installed.
        PluginError: The format of that name is broken.
    """
    if name is not None:
        chosen = formats.get(name)
        if kind not in chosen.reads:
            raise _claimed(path, kind, [chosen], f"the format {name!r} does not read {_many(kind)}")
        return chosen
    usable = [*formats.usable()]
    head = b"" if os.path.isdir(path) else packed.head(path, HEAD_BYTES)
    by_content = [f for f in usable if _sniffs(f, path, head)]
    claimants = [f for f in by_content if kind in f.reads]
    if not claimants and by_content:
        names = " or ".join(repr(f.name) for f in by_content)
        raise _claimed(path, kind, by_content, f"its content is of the format {names}, which does not read {_many(kind)}")
    if not claimants:
        claimants = _by_suffix([f for f in usable if kind in f.reads], path)
    if not claimants:
        raise _unknown(path, kind)
    if len(claimants) > 1:
        names = " and ".join(repr(f.name) for f in claimants)
        example = f"file_format={claimants[0].name!r}"
        reason = f"the formats {names} claim it, and none is chosen silently; choose one with {example}"
        raise _claimed(path, kind, claimants, reason)
    return claimants[0]


def format_that_writes(path: str, kind: str, name: str | None = None) -> Format:
    """Find the format of a new file by the suffix of its name.

    Args:
        path: The new file.
        kind: What is to be written, such as ``"picks"``.
        name: Name of the format; the suffix does not matter then.

    Raises:
        UnknownFormatError: No installed format writes it, or several claim the suffix.
        UnknownPluginError: No format of that name is installed.
        PluginError: The format of that name is broken.
    """
    if name is not None:
        chosen = formats.get(name)
        if kind not in chosen.writes:
            raise _claimed(path, kind, [chosen], f"the format {name!r} does not write {_many(kind)}")
        return chosen
    claimants = _by_suffix([f for f in formats.usable() if kind in f.writes], path)
    if not claimants:
        raise _unknown(path, kind, reads=False)
    if len(claimants) > 1:
        names = " and ".join(repr(f.name) for f in claimants)
        first = claimants[0].name
        choose = by_caller(f"file_format={first!r}", f"--format {first}")
        reason = f"the formats {names} have its suffix; choose one with {choose}"
        raise _claimed(path, kind, claimants, reason)
    return claimants[0]


def format_that_lists(path: str, name: str | None = None) -> Format | None:
    """Find the format of a file that lists tomograms; None if it is no such list.

    Args:
        path: A file, which may be missing.
        name: Name of the format, where it is known.

    Raises:
        UnknownPluginError: No format of that name is installed.
        PluginError: The format of that name is broken.
    """
    if name is not None:
        chosen = formats.get(name)
        return chosen if "tomograms" in chosen.reads and "volume" not in chosen.reads else None
    if not os.path.isfile(path):
        return None
    able = [f for f in formats.usable() if "tomograms" in f.reads]
    head = packed.head(path, HEAD_BYTES)
    return next((f for f in able if _sniffs(f, path, head)), None) or next(iter(_by_suffix(able, path)), None)


def function_of(record: Format, functions: Mapping[str, Any], kind: str, options: Mapping[str, Any]) -> Any:
    """Import the function behind ``reads`` or ``writes``, and check the options that it is to be called with.

    Raises:
        PluginError: The function cannot be imported.
        TypeError: The format has no such option.
    """
    try:
        function = resolved(functions[kind])
    except (ImportError, AttributeError) as error:
        raise PluginError(kind="format", name=record.name, distributions=[], reason=f"{functions[kind]}: {error}") from error
    parameters = inspect.signature(function).parameters.values()
    allowed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = [name for name in options if name not in allowed]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        has = f"it has {', '.join(allowed)}" if allowed else "it has none"
        raise TypeError(f"The format {record.name!r} has no option {unknown[0]!r} for a {kind}; {has}.")
    return function


def declared(function: Any, context: Mapping[str, Any]) -> dict[str, Any]:
    """What a function takes of a context, by the names of its keyword-only arguments."""
    names = {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    return {name: value for name, value in context.items() if name in names}


def _sniffs(record: Format, path: str, head: bytes) -> bool:
    if record.sniff is None:
        return False
    try:
        return bool(resolved(record.sniff)(path, head))
    except Exception:  # one broken format must not keep the others from a file
        logger.warning("Format %r cannot tell whether %s is its own.", record.name, path, exc_info=True)
        return False


def _many(kind: str) -> str:
    """The plural of what is read or written."""
    return {"volume": "volumes", "mesh": "meshes"}.get(kind, kind)


def _plain_name(path: str) -> str:
    """The file's name in lower case, without the suffix of a packed file."""
    name = os.path.basename(os.path.normpath(path)).lower()
    return os.path.splitext(name)[0] if name.endswith(packed.SUFFIXES) else name


def _by_suffix(records: list[Format], path: str) -> list[Format]:
    """The formats with the longest suffix of the file's name."""
    name = _plain_name(path)
    lengths = {id(r): max((len(s) for s in r.suffixes if name.endswith(s)), default=0) for r in records}
    longest = max(lengths.values(), default=0)
    return [r for r in records if longest and lengths[id(r)] == longest]


def _claimed(path: str, kind: str, records: list[Format], reason: str) -> UnknownFormatError:
    """The error for a file whose format is known, or known too often."""
    return UnknownFormatError(
        source=path,
        kind=kind,
        suffix=os.path.splitext(_plain_name(path))[1],
        candidates=[record.name for record in records],
        installed=formats.names(),
        install=None,
        reason=reason,
    )


def _unknown(path: str, kind: str, reads: bool = True) -> UnknownFormatError:
    """The error for a file that no format claims: names the formats of its kind, what is broken, and what is not installed."""
    suffix = os.path.splitext(_plain_name(path))[1]
    rows = formats.installed()
    broken = [f"{row.name} cannot be used: {row.cause or row.state}" for row in rows if row.state in ("broken", "duplicate")]
    able = [r for r in formats.usable() if kind in (r.reads if reads else r.writes)]
    has = ", ".join(f"{r.name} ({' '.join(r.suffixes)})" if r.suffixes else r.name for r in able)
    by_suffix = known()["suffixes"].get(suffix)
    missing = {by_suffix} if by_suffix else {*known()["formats"]}
    lines = {line for name in missing - {row.name for row in rows} if (line := install_line("formats", name))}
    many = _many(kind)
    what = "folder" if os.path.isdir(path) else "file"
    of_suffix = f"with suffix {suffix!r}" if suffix else "without suffix"
    found = "; ".join([f"installed for {many}: {has or 'none'}", *broken])
    return UnknownFormatError(
        source=path,
        kind=kind,
        suffix=suffix,
        candidates=[],
        installed=[row.name for row in rows if row.state not in ("broken", "duplicate")],
        install=" or ".join(sorted(lines)) or None,
        reason=f"no installed format {f'reads {many} from' if reads else f'writes {many} to'} a {what} {of_suffix} ({found})",
    )
