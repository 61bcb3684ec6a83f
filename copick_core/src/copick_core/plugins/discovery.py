"""Discovery of plugins: metadata first, imports last, by name.

A plugin is an installed distribution with an entry point in one of four groups. The entry point's *name* is the name of what
it brings (a ``config_type``, a command, a format, a wrapper); its *value* is a module that implements the group's hook, which
returns a record of that name. Only what is asked for is imported, and a broken plugin never affects another.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from copick_core.errors import BackendError, PluginError, UnknownBackendError, UnknownPluginError
from copick_core.plugins.known import install_line
from copick_core.plugins.records import Backend, Command, Format, LayerWrapper, Record, resolved, targets

if TYPE_CHECKING:
    from copick_core.plugins.entry_points import EntryPoint

R = TypeVar("R", bound=Record)

State = Literal["available", "loaded", "broken", "duplicate"]


class Installed(NamedTuple):
    """What is known of an installed plugin without importing it.

    Attributes:
        kind: ``"backend"``, ``"command"``, ``"format"`` or ``"wrapper"``.
        name: The name of its entry point.
        distributions: Names of the distributions that claim it (more than one is an error when it is asked for).
        versions: Their versions.
        state: ``"available"``, ``"loaded"``, ``"broken"`` or ``"duplicate"``.
        cause: Why it is broken.
    """

    kind: str
    name: str
    distributions: tuple[str, ...]
    versions: tuple[str, ...]
    state: State
    cause: str = ""


class Registry(Generic[R]):
    """The plugins of one kind.

    Args:
        kind: What they are called in messages.
        group: Their entry-point group.
        hook: The hook that returns their records.
        record_cls: Class of their records.
    """

    def __init__(self, kind: str, group: str, hook: str, record_cls: type[R]) -> None:
        self.kind = kind
        self.group = group
        self._hook = hook
        self._record_cls = record_cls
        self._registered: dict[str, R] = {}
        self._loaded: dict[str, R] = {}
        self._broken: dict[str, PluginError] = {}
        self._answers: dict[Any, list[Any]] = {}
        self._entry_points: dict[str, list[EntryPoint]] | None = None

    def register(self, record: R) -> None:
        """Make a plugin known to this process without installing it, for tests and notebooks.

        Raises:
            PluginError: It was written for another version of the interface, or another plugin has its name.
        """
        with _lock:
            known = self._registered.get(record.name)
            if known is not None and known is not record:
                raise self._unusable(record.name, [], f"another {self.kind} was registered under this name")
            if record.name in self._scan():
                raise self._unusable(
                    record.name, self._distributions(record.name), "an installed distribution brings this name already"
                )
            if reason := self._mismatch(record, record.name):
                raise self._unusable(record.name, ["register()"], reason)
            self._registered[record.name] = record

    def installed(self) -> list[Installed]:
        """List the plugins that are installed or registered, sorted by name. Imports none of them."""
        with _lock:
            rows = [Installed(self.kind, n, ("registered in this process",), ("",), "loaded") for n in self._registered]
            for name, points in self._scan().items():
                broken = self._broken.get(name)
                state: State = "loaded" if name in self._loaded else "broken" if broken else "available"
                if len(points) > 1:
                    state = "duplicate"
                names = tuple(p.distribution.name for p in points)
                versions = tuple(p.distribution.version for p in points)
                rows.append(Installed(self.kind, name, names, versions, state, broken.reason if broken else ""))
        return sorted(rows, key=lambda row: row.name)

    def names(self) -> list[str]:
        """Names of the plugins that are installed or registered, sorted. Imports none of them."""
        with _lock:
            return sorted({*self._scan(), *self._registered})

    def get(self, name: str) -> R:
        """Load a plugin by its name, ready for use.

        Raises:
            UnknownPluginError: None of this name is installed.
            PluginError: It cannot be used; see :meth:`look`.
        """
        return self.look(name)

    def look(self, name: str) -> R:
        """Load the record of a plugin, and import nothing that it names as ``"module:name"``.

        Raises:
            UnknownPluginError: None of this name is installed; lists those that are, and how to install the known ones. For
                backends it is an :class:`~copick_core.errors.UnknownBackendError`.
            PluginError: It is broken (with the cause), claimed by two distributions, or written for another version. For
                backends it is a :class:`~copick_core.errors.BackendError`.
        """
        with _lock:
            record = self._registered.get(name) or self._loaded.get(name)
            if record is not None:
                return record
            if name in self._broken:
                raise self._broken[name].with_traceback(None)  # that of the last time would be added to
            points = self._scan().get(name, [])
            if not points:
                raise self._unknown(name)
            try:
                record = self._load(name, points)
            except PluginError as error:
                self._broken[name] = error
                raise
            self._loaded[name] = record
            return record

    def usable(self) -> Iterator[R]:
        """Look at every plugin of this kind; those that are broken are left out (:meth:`installed` gives the cause)."""
        for name in self.names():
            try:
                yield self.look(name)
            except PluginError:
                continue

    def resolve(self, name: str, target: Any) -> Any:
        """Import what a field of a plugin's record gives as ``"module:name"``; other values are given as they are.

        Args:
            name: The plugin's name.
            target: The value of the field.

        Raises:
            PluginError: It cannot be imported; from then on the plugin is listed as broken.
        """
        try:
            return resolved(target)
        except (Exception, SystemExit) as error:
            raise self.unusable(name, f"importing {target} failed: {type(error).__name__}: {error}") from error

    def unusable(self, name: str, reason: str) -> PluginError:
        """Note that a plugin turned out to be broken, so that it is listed as that; returns the error to raise.

        Args:
            name: The plugin's name.
            reason: What is wrong.
        """
        with _lock:
            distributions = self._distributions(name) or ["register()"]
            error = self._broken[name] = self._unusable(name, distributions, reason)
            self._loaded.pop(name, None)
            return error

    def check(self, name: str, importing: bool = True) -> None:
        """Load a plugin, and make sure that what its record names as ``"module:name"`` exists.

        Args:
            name: The plugin's name.
            importing: Import it all, which shows whether it works. If False, only look for the modules, which is fast.

        Raises:
            UnknownPluginError: None of this name is installed.
            PluginError: It is broken; with the cause.
        """
        for target in targets(self.look(name)):
            if importing:
                self.resolve(name, target)
            elif not self._is_there(name, target.partition(":")[0]):
                raise self.unusable(name, f"its record names {target}, and there is no such module")

    def _is_there(self, name: str, module: str) -> bool:
        if module in sys.modules:
            return True
        try:
            return find_spec(module) is not None
        except ModuleNotFoundError as error:
            if error.name and f"{module}.".startswith(f"{error.name}."):
                return False
            raise self.unusable(name, f"looking for {module} failed: {type(error).__name__}: {error}") from error
        except (Exception, SystemExit) as error:  # whatever its package raises
            raise self.unusable(name, f"looking for {module} failed: {type(error).__name__}: {error}") from error

    def reset(self) -> None:
        """Forget everything that was registered, loaded or scanned; the next question looks again."""
        with _lock:
            self._registered.clear()
            self._loaded.clear()
            self._broken.clear()
            self._answers.clear()
            self._entry_points = None

    def _unknown(self, name: str) -> Exception:
        return UnknownPluginError(
            kind=self.kind, name=name, installed=self.names(), install=install_line(f"{self.kind}s", name)
        )

    def _unusable(self, name: str, distributions: list[str], reason: str) -> PluginError:
        return PluginError(kind=self.kind, name=name, distributions=distributions, reason=reason)

    def _scan(self) -> dict[str, list[EntryPoint]]:
        """Entry points of the group by name, one for each distribution."""
        if self._entry_points is None:
            self._entry_points = entry_points_of(self.group)
        return self._entry_points

    def _distributions(self, name: str) -> list[str]:
        return [point.distribution.name for point in self._scan().get(name, [])]

    def _load(self, name: str, points: list[EntryPoint]) -> R:
        def unusable(reason: str) -> PluginError:
            return self._unusable(name, self._distributions(name), reason)

        if len(points) > 1:
            raise unusable(f"both distributions claim this {self.kind}, and none is chosen silently. Uninstall one of them.")
        try:
            module = points[0].load()
        except (Exception, SystemExit) as error:
            raise unusable(f"importing {points[0].value} failed: {type(error).__name__}: {error}") from error
        from copick_core.plugins.hookspecs import records_of

        try:
            if module not in self._answers:  # one module may serve many entry points
                self._answers[module] = records_of(module, self._hook)
            records = self._answers[module]
        except (Exception, SystemExit) as error:
            raise unusable(f"its hook {self._hook}() failed: {type(error).__name__}: {error}") from error
        if not records or not all(isinstance(record, self._record_cls) for record in records):
            raise unusable(
                f"{points[0].value} must have one hook implementation {self._hook}() "
                f"that returns a {self._record_cls.__name__}, or a list of them"
            )
        mine = [record for record in records if record.name == name] if len(records) > 1 else records
        if len(mine) != 1:
            has = ", ".join(repr(record.name) for record in records)
            raise unusable(f"its entry point is named {name!r}, but its records say {has}")
        if reason := self._mismatch(mine[0], name):
            raise unusable(reason)
        record: R = mine[0]
        return record

    def _mismatch(self, record: R, name: str) -> str:
        """Why a record cannot serve a name; nothing if it can."""
        current = self._record_cls.API_VERSION
        if record.api_version != current:
            return (
                f"it was written for version {record.api_version} of the {self.kind} interface, "
                f"this copick-core has {current}. Upgrade {'it' if record.api_version < current else 'copick-core'}."
            )
        if record.name != name:
            return f"its entry point is named {name!r}, but its record says {record.name!r}"
        return ""


class _Backends(Registry[Backend]):
    """Backends raise errors of configurations: their names stand there."""

    def get(self, name: str) -> Backend:
        """Load a backend with all that opening a project needs of it."""
        record = self.look(name)
        for target in (vars(record)[field] for field in ("config_cls", "open_layers", "root_cls")):
            self.resolve(name, target)
        return record

    def _unknown(self, name: str) -> Exception:
        return UnknownBackendError(config_type=name, installed=self.names(), install=install_line("backends", name))

    def _unusable(self, name: str, distributions: list[str], reason: str) -> PluginError:
        return BackendError(config_type=name, distributions=distributions, reason=reason)


_lock = threading.RLock()
_scanned: dict[str, dict[str, list[EntryPoint]]] | None = None

#: Storage, by ``config_type``.
backends: Registry[Backend] = _Backends("backend", "copick.backends", "copick_backend", Backend)
#: Commands of ``copick-core``, by what is typed.
commands: Registry[Command] = Registry("command", "copick_core.commands", "copick_command", Command)
#: File formats, by name.
formats: Registry[Format] = Registry("format", "copick.formats", "copick_format", Format)
#: Layer wrappers, by the name in a configuration.
wrappers: Registry[LayerWrapper] = Registry("wrapper", "copick.wrappers", "copick_layer_wrapper", LayerWrapper)

REGISTRIES: tuple[Registry[Any], ...] = (backends, commands, formats, wrappers)


def register(record: Record) -> None:
    """Make a plugin of any kind known to this process without installing it, for tests and notebooks.

    Raises:
        PluginError: It was written for another version of the interface, or another plugin has its name.
        TypeError: It is not a record.
    """
    for registry in REGISTRIES:
        if isinstance(record, registry._record_cls):
            registry.register(record)
            return
    raise TypeError(f"{record!r} is not a Backend, Command, Format or LayerWrapper")


def reset() -> None:
    """Forget everything that was registered, loaded or scanned, of every kind."""
    global _scanned
    with _lock:
        for registry in REGISTRIES:
            registry.reset()
        _scanned = None


def installed() -> list[Installed]:
    """List the installed or registered plugins of every kind. Imports none of them."""
    return [row for registry in REGISTRIES for row in registry.installed()]


def entry_points_of(group: str) -> dict[str, list[EntryPoint]]:
    """The entry points of a group by their names, one for each distribution that claims a name.

    What is installed is looked at once, until :func:`reset`.

    Args:
        group: Name of the group, also of one that is not ours.
    """
    global _scanned
    with _lock:
        if _scanned is None:
            from copick_core.plugins.entry_points import entry_points

            _scanned = {}
            for point in entry_points():
                _scanned.setdefault(point.group, {}).setdefault(point.name, []).append(point)
        return _scanned.get(group, {})
