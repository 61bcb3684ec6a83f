"""Every error that this project raises on purpose.

Each one is a built-in exception too, so that callers need not import this module, carries fields, and makes its message
from them::

    CopickError
    ├── NotFoundError            FileNotFoundError   nothing is stored under a key
    ├── AlreadyExistsError       ValueError          a new entity would take a key that is taken
    ├── ReadOnlyError            PermissionError     a write to something that must not change
    ├── ConflictError            RuntimeError        somebody else stored in the meantime
    │   └── BeingReplacedError   RuntimeError        a volume that somebody is replacing at this moment
    ├── InvalidNameError         ValueError          a name that no file could hold safely
    ├── AddressError             ValueError          text that is not an address of entities, or of several where one is wanted
    ├── UnknownObjectError       ValueError          an object name that the config does not list
    ├── InvalidDataError         ValueError          values or bytes that must not be, or cannot be, stored or read
    │   └── UnknownFormatError   LookupError         a file that no installed format reads, or that several claim
    ├── LevelNotFoundError       KeyError            a resolution level that a volume does not have
    │   └── VolumeNotFoundError  FileNotFoundError   … because the volume is not stored (a NotFoundError too)
    ├── FilamentNotFoundError    KeyError            an id that none of some filaments has
    ├── RegionTooLargeError      ValueError          a region that does not fit into free memory
    ├── ConfigError              ValueError          a configuration that cannot be used
    │   ├── ConfigNotFoundError  FileNotFoundError   a config file that does not exist
    │   └── UnknownBackendError  LookupError         no installed backend answers to a config_type
    ├── UnknownPluginError       LookupError         no installed command, format or wrapper has a name
    ├── PluginError              RuntimeError        an installed plugin that cannot be used
    │   └── BackendError         RuntimeError        … that is a backend
    ├── UnreachableError         ConnectionError     a place that does not answer
    ├── MissingDependencyError   ImportError         an optional package that a request needs
    ├── NotPicklableError        TypeError           what lives in one process only, or cannot be sent to another
    ├── RunsFailedError          RuntimeError        a function failed for some of many runs
    └── WorkerLostError          RuntimeError        a worker process ended before its work
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_is_command_line = False
_calls_python: ContextVar[bool] = ContextVar("calls_python", default=False)


def by_caller(python: str, command: str) -> str:
    """What the caller can do next: the words for Python, or in a process that is a command those for the command line.

    Args:
        python: With names of functions and arguments.
        command: The same with commands and options.
    """
    return command if is_at_command_line() else python


def is_at_command_line() -> bool:
    """Whether :func:`by_caller` gives the words for the command line here."""
    return _is_command_line and not _calls_python.get()


def no_user() -> str:
    """What to do where nobody has said who makes something."""
    return by_caller(
        "pass one, or set user_id in the configuration or on the root",
        "pass --user NAME, or set one: copick-core config set user_id NAME",
    )


def copy_first() -> str:
    """How to change something read-only."""
    return by_caller(
        "Make a copy in the overlay with new_…(…, exist_ok=True).",
        "Copy it into the overlay, to another user or session, with copick-core cp.",
    )


@contextmanager
def at_command_line() -> Iterator[None]:
    """Within it, all errors and warnings of this process name commands and options."""
    global _is_command_line
    before, _is_command_line = _is_command_line, True
    try:
        yield
    finally:
        _is_command_line = before


@contextmanager
def in_python() -> Iterator[None]:
    """Within it, errors and warnings of this thread name functions and arguments: it runs what a user has written."""
    token = _calls_python.set(True)
    try:
        yield
    finally:
        _calls_python.reset(token)


class CopickError(Exception):
    """Base of all errors of copick-core and its backends.

    Args:
        message: What happened, where, and what to do next.
        **fields: What the message was made from; each becomes an attribute.
    """

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.__dict__.update(fields)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            type(self),
            self.message,
            {k: v for k, v in self.__dict__.items() if k != "message"},
        )


def _rebuild(cls: type[CopickError], message: str, fields: dict[str, Any]) -> CopickError:
    """Unpickle an error, whatever arguments its constructor takes."""
    error = cls.__new__(cls)
    CopickError.__init__(error, message, **fields)
    return error


def closest(name: str, candidates: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Say which candidate is spelled most like a name: ``" Did you mean 'x'?"``, or nothing.

    Args:
        name: The name.
        candidates: What it may have been meant to be.
        cutoff: How much it must be alike, from 0 (not at all) to 1 (the same).
    """
    import difflib

    matches = difflib.get_close_matches(name, [str(c) for c in candidates], n=1, cutoff=cutoff)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def redacted(url: str) -> str:
    """A URL, or a text with URLs, without the secrets that these may hold: passwords and queries."""
    url = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"\?\S*?(?=::|\s|$)", "?***", url) if "://" in url else url


class NotFoundError(CopickError, FileNotFoundError):
    """Nothing is stored under a key.

    Attributes:
        key: The key that was asked for.
        layer: Name of the layer that was asked.
        location: Where the layer would keep it, if it can say.
    """

    key: Any
    layer: str
    location: str | None

    def __init__(
        self,
        *,
        key: Any,
        layer: str,
        location: str | None = None,
        way_out: str | None = None,
    ) -> None:
        where = f" at {location}" if location else ""
        if way_out is None:
            way_out = by_caller(
                "If it was deleted or renamed by someone else, refresh() its parent.",
                "Somebody else may have deleted or renamed it; copick-core ls lists what there is.",
            )
        super().__init__(
            f"{key} is not in layer {layer!r}{where}. {way_out}",
            key=key,
            layer=layer,
            location=location,
        )


class AlreadyExistsError(CopickError, ValueError):
    """A new entity would take the key of one that exists.

    Attributes:
        key: The key that is taken.
        layer: Name of the layer that holds it; None for what spans all of them.
    """

    key: Any
    layer: str | None

    def __init__(self, *, key: Any, layer: str | None = None, way_out: str | None = None) -> None:
        where = "" if layer is None else f" in layer {layer!r}"
        way_out = way_out or by_caller("Pass exist_ok=True to get it.", "Pass --if-exists replace to replace it.")
        super().__init__(f"{key} already exists{where}. {way_out}", key=key, layer=layer)


class ReadOnlyError(CopickError, PermissionError):
    """A write to an entity, layer or project that must not change.

    Attributes:
        subject: What was to be written.
        reason: Why it cannot be, and the way out.
    """

    subject: Any
    reason: str

    def __init__(self, *, subject: Any, reason: str) -> None:
        super().__init__(f"{subject} is read-only: {reason}", subject=subject, reason=reason)


class ConflictError(CopickError, RuntimeError):
    """What is stored is not what this handle has read: somebody else stored in the meantime.

    Attributes:
        key: The entity.
        layer: Name of the layer.
        expected: The revision that this handle knows (None: that nothing is stored).
        found: The revision that is stored now (None: nothing).

    ``reason`` replaces the message where the conflict is another one: two at work on one thing.
    """

    key: Any
    layer: str
    expected: object
    found: object

    def __init__(
        self,
        *,
        key: Any,
        layer: str,
        expected: object,
        found: object,
        way_out: str | None = None,
        reason: str | None = None,
    ) -> None:
        if reason is not None:
            message = f"{reason}. Nothing was written."
            super().__init__(message, key=key, layer=layer, expected=expected, found=found)
            return
        if way_out is None:
            again = "merge, and store again" if found is not None else "assign them again, and store: that makes it anew"
            way_out = by_caller(f"Keep your values, refresh() the handle, {again}.", "Run the command again.")
        what = "was created" if expected is None else "was deleted" if found is None else "was changed"
        super().__init__(
            f"{key} {what} in layer {layer!r} by someone else since it was read. Nothing was written. {way_out}",
            key=key,
            layer=layer,
            expected=expected,
            found=found,
        )


class InvalidNameError(CopickError, ValueError):
    """A name that would be unsafe, ambiguous or invisible in storage.

    Attributes:
        what: Which name it is, for example ``"run name"``.
        name: The name.
        reason: What is wrong with it.
    """

    what: str
    name: str
    reason: str

    def __init__(self, *, what: str, name: str, reason: str) -> None:
        super().__init__(f"{what} {name!r} cannot be used: {reason}", what=what, name=name, reason=reason)


class AddressError(CopickError, ValueError):
    """Text that is not an address, or an address that does not mean what is wanted.

    Attributes:
        address: The text.
        position: Index of the character where it goes wrong; None where the address as a whole is not what is wanted.
        reason: What is wrong, and how it would be right.
    """

    address: Any
    position: int | None
    reason: str

    def __init__(self, *, address: Any, position: int | None, reason: str) -> None:
        pointer = f"\n  {address}\n  {' ' * position}^" if isinstance(address, str) and position is not None else ""
        problem = f"Address {address!r} cannot be used" if position is None else f"{address!r} is not an address"
        super().__init__(f"{problem}: {reason}.{pointer}", address=address, position=position, reason=reason)


class UnknownObjectError(CopickError, ValueError):
    """An object name that the project's configuration does not list.

    Attributes:
        name: The name.
        known: The names that exist.
    """

    name: str
    known: list[str]

    def __init__(self, *, name: str, known: list[str]) -> None:
        import shlex

        way_out = by_caller("Add it with root.new_object(...).", f"Add it with: copick-core add object {shlex.quote(name)}")
        super().__init__(
            f"Object {name!r} is not among the project's objects ({', '.join(known) or 'none'}).{closest(name, known)} "
            f"{way_out}",
            name=name,
            known=known,
        )


class BeingReplacedError(ConflictError):
    """A volume that somebody is replacing at this moment, or whose replacement was cut off.

    Attributes:
        key: The volume.
        layer: Name of the layer.
        since: When the replacement began, in seconds since 1970; None if that is not known.
    """

    since: float | None

    def __init__(self, *, key: Any, layer: str, since: float | None = None, way_out: str | None = None) -> None:
        import time

        ago = "" if since is None else f" (for {max(0, time.time() - since):.0f} s now)"
        way_out = way_out or "Try again when the other writer has finished."
        CopickError.__init__(
            self,
            f"{key} is being replaced in layer {layer!r}{ago}. {way_out}",
            key=key,
            layer=layer,
            expected=None,
            found=None,
            since=since,
        )


class InvalidDataError(CopickError, ValueError):
    """Values or bytes that cannot be stored or read.

    Attributes:
        source: The entity or file.
        reason: What is wrong.
        index: Index of the first offending point or voxel, if there is one.
    """

    source: Any
    reason: str
    index: Any

    def __init__(self, *, source: Any, reason: str, index: Any = None) -> None:
        super().__init__(f"{source}: {reason}", source=source, reason=reason, index=index)


class UnknownFormatError(InvalidDataError, LookupError):
    """A file that no installed format reads, or that several claim.

    Attributes:
        kind: What was to be read, such as ``"volume"``.
        suffix: The suffix of the file's name, without that of a packed file.
        candidates: Names of the formats that its content or suffix fits.
        installed: Names of the installed formats.
        install: The command that installs what reads it, where it is known.
    """

    kind: str
    suffix: str
    candidates: list[str]
    installed: list[str]
    install: str | None

    def __init__(
        self,
        *,
        source: Any,
        kind: str,
        suffix: str,
        candidates: list[str],
        installed: list[str],
        install: str | None,
        reason: str,
    ) -> None:
        super().__init__(source=source, reason=f"{reason}. Install it with: {install}" if install else reason)
        self.__dict__.update(kind=kind, suffix=suffix, candidates=candidates, installed=installed, install=install)


class LevelNotFoundError(CopickError, KeyError):
    """A resolution level that a volume does not have.

    Attributes:
        source: The volume.
        level: The level that was asked for.
        levels: The levels that exist.
    """

    source: Any
    level: str
    levels: list[str]

    def __init__(self, *, level: str, levels: list[str], source: Any = "the volume") -> None:
        has = f"it has {', '.join(map(repr, levels))}" if levels else "nothing has been written to it yet, or it was deleted"
        super().__init__(f"Level {level!r} is not in {source}: {has}.", source=source, level=level, levels=levels)


class VolumeNotFoundError(NotFoundError, LevelNotFoundError):
    """A volume whose level is asked for is not stored.

    Attributes:
        key: The volume.
        layer: Name of the layer that was asked.
        location: Where the layer would keep it, if it can say.
        source: The volume, as in `LevelNotFoundError`.
        level: The level that was asked for.
        levels: An empty list.
    """

    def __init__(self, *, key: Any, layer: str, level: str, location: str | None = None) -> None:
        where = f" at {location}" if location else ""
        message = f"{key} is not in layer {layer!r}{where}: nothing has been written to it yet, or it was deleted."
        fields = {"key": key, "layer": layer, "location": location, "source": key, "level": level, "levels": []}
        CopickError.__init__(self, message, **fields)


class FilamentNotFoundError(CopickError, KeyError):
    """None of some filaments has an id.

    Attributes:
        key: Address of the filaments.
        instance_id: The id that was asked for.
        instance_ids: The ids that there are.
    """

    key: Any
    instance_id: int
    instance_ids: list[int]

    def __init__(self, *, key: Any, instance_id: int, instance_ids: list[int]) -> None:
        there = f"their ids are {', '.join(map(str, instance_ids))}" if instance_ids else "there are none"
        message = f"{key}: no filament has the id {instance_id}; {there}."
        super().__init__(message, key=key, instance_id=instance_id, instance_ids=instance_ids)


class RegionTooLargeError(CopickError, ValueError):
    """A region that does not fit into free memory.

    Attributes:
        requested: Bytes that the region takes.
        available: Bytes that are free.
    """

    requested: int
    available: int

    def __init__(self, *, requested: int, available: int) -> None:
        way_out = by_caller(
            "Read a smaller region (x=, y=, z= slices), or a coarser level (zarr_group=).",
            "Run it where more memory is free.",
        )
        super().__init__(
            f"The region takes {requested:,} bytes, but only {available:,} bytes of memory are free. {way_out}",
            requested=requested,
            available=available,
        )


class ConfigError(CopickError, ValueError):
    """A configuration that cannot be used.

    Attributes:
        source: The file (a URL without its secrets), or ``"<dict>"`` / ``"<string>"``.
        reason: What is wrong, with the path inside the configuration.
    """

    source: str
    reason: str

    def __init__(self, *, source: str, reason: str) -> None:
        source = redacted(source)
        super().__init__(f"Configuration {source}: {reason}", source=source, reason=reason)

    def place_in(self, source: str) -> None:
        """Name the configuration that the one at fault is a part of, or is itself where that was not known."""
        outer = redacted(source)
        self.source = outer if self.source == "<config>" else f"{outer}, {self.source}"
        self.message = f"Configuration {self.source}: {self.reason}"
        self.args = (self.message,)


class ConfigNotFoundError(ConfigError, FileNotFoundError):
    """A config file that does not exist.

    Attributes:
        location: Where it was looked for: the absolute path, or the URL without its secrets.
    """

    # ValueError's cannot make what is an OSError too; unpickling calls it.
    __new__ = FileNotFoundError.__new__  # type: ignore[assignment]

    def __init__(self, *, source: str, location: str) -> None:
        location = redacted(location)
        super().__init__(source=source, reason=f"there is no file {location}")
        self.location = location


class UnknownBackendError(ConfigError, LookupError):
    """No installed backend answers to a ``config_type``.

    Attributes:
        config_type: The type that was asked for.
        installed: The types that are installed.
    """

    installed: list[str]
    install: str | None

    def __init__(self, *, config_type: str, installed: list[str], install: str | None, source: str = "<config>") -> None:
        has = ", ".join(installed) or "none"
        way_out = f" Install it with: {install}" if install else closest(config_type, installed)
        super().__init__(
            source=source,
            reason=f"no backend for config_type {config_type!r} is installed (installed: {has}).{way_out}",
        )
        self.config_type = config_type
        self.installed = installed
        self.install = install


class UnknownPluginError(CopickError, LookupError):
    """No installed command, format or wrapper has the name that was asked for.

    Attributes:
        kind: ``"command"``, ``"format"`` or ``"wrapper"``.
        name: The name that was asked for.
        installed: The names that are installed.
        install: The command that installs it, where it is known.
    """

    kind: str
    name: str
    installed: list[str]
    install: str | None

    def __init__(self, *, kind: str, name: str, installed: list[str], install: str | None) -> None:
        has = ", ".join(installed) or "none"
        way_out = f" Install it with: {install}" if install else closest(name, installed)
        super().__init__(
            f"No {kind} {name!r} is installed (installed: {has}).{way_out}",
            kind=kind,
            name=name,
            installed=installed,
            install=install,
        )


class PluginError(CopickError, RuntimeError):
    """An installed plugin that cannot be used: broken, duplicated, or written for another version.

    Attributes:
        kind: ``"backend"``, ``"command"``, ``"format"`` or ``"wrapper"``.
        name: Its name.
        distributions: The distributions that bring it.
        reason: What is wrong.
    """

    kind: str
    name: str
    distributions: list[str]
    reason: str

    def __init__(self, *, kind: str, name: str, distributions: list[str], reason: str) -> None:
        by = " and ".join(distributions) or "an unknown distribution"
        super().__init__(
            f"{kind.capitalize()} {name!r} (from {by}) cannot be used: {reason}",
            kind=kind,
            name=name,
            distributions=distributions,
            reason=reason,
        )


class BackendError(PluginError):
    """An installed backend that cannot be used.

    Attributes:
        config_type: Its config type.
    """

    config_type: str

    def __init__(self, *, config_type: str, distributions: list[str], reason: str) -> None:
        super().__init__(kind="backend", name=config_type, distributions=distributions, reason=reason)
        self.config_type = config_type


class MissingDependencyError(CopickError, ImportError):
    """An optional package that a request needs is not installed.

    Attributes:
        feature: What was asked for.
        install: The command that installs what it needs.
    """

    feature: str
    install: str

    def __init__(self, *, feature: str, install: str) -> None:
        super().__init__(
            f"{feature} needs a package that is not installed. Install it with: {install}",
            feature=feature,
            install=install,
        )


class UnreachableError(CopickError, ConnectionError):
    """A place that does not answer.

    Attributes:
        location: The place: a URL without its secrets.
        reason: What its library says.
        field: Field of the configuration that holds the location, if known.
    """

    location: str
    reason: str
    field: str

    def __init__(self, *, location: str, reason: str, field: str = "", way_out: str | None = None) -> None:
        location, reason = redacted(location), redacted(reason)
        where = field or "the location"
        arguments = f"{field.removesuffix('_root')}_fs_args" if field.endswith("_root") else "the arguments of its file system"
        way_out = way_out or f"Check {where} and {arguments} in the configuration, and whether the server runs."
        super().__init__(
            f"{location} cannot be reached: {reason}. {way_out}",
            location=location,
            reason=reason,
            field=field,
        )


class NotPicklableError(CopickError, TypeError):
    """A project that lives in one process only, or something else that cannot be sent to another.

    Attributes:
        subject: What was to be pickled.
        reason: Why it cannot be, and the way out.
    """

    subject: Any
    reason: str

    def __init__(self, *, subject: Any, reason: str) -> None:
        super().__init__(f"{subject} cannot be pickled: {reason}", subject=subject, reason=reason)


class RunsFailedError(CopickError, RuntimeError):
    """A function failed for some of the runs that it was mapped over.

    Attributes:
        report: Results, and failures with their tracebacks, of all runs.
    """

    report: Any

    #: Failures that the message tells.
    _told = 5

    def __init__(self, *, report: Any, runs: int) -> None:
        failures = [*report.errors.values()]
        told = [f"\n  {f.run}: {type(f.error).__name__}: {f.error}" for f in failures[: self._told]]
        more = f"\n  and {len(failures) - len(told)} more" if len(failures) > len(told) else ""
        super().__init__(
            f"{len(failures)} of {runs} runs failed. The report of this error has all results and tracebacks; pass it as done "
            f"to try only the others again.{''.join(told)}{more}\n\nThe first one's traceback:\n{failures[0].traceback}",
            report=report,
        )


class WorkerLostError(CopickError, RuntimeError):
    """A worker process ended before its work.

    Attributes:
        run: Name of the run that it worked on; None if it could not start.
        reason: What is known about it.
    """

    run: str | None
    reason: str

    def __init__(self, *, run: str | None, reason: str) -> None:
        what = "Workers cannot be used" if run is None else f"The worker of run {run!r} ended before it was done"
        hint = "" if run is None else " It may have run out of memory, been killed, or crashed outside of Python."
        super().__init__(f"{what}: {reason}{hint}", run=run, reason=reason)
