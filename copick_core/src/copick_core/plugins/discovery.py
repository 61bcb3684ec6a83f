"""Discovery of backends: metadata first, imports last.

A backend is an installed distribution with an entry point in the group ``copick.backends``. The entry point's *name* is the
``config_type`` it serves; its *value* is a module with one hook implementation, ``copick_backend()``, which returns a
:class:`Backend`. Only the backend that is asked for is imported, and a broken one never affects the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from copick_core.errors import BackendError, UnknownBackendError

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

    from copick_core.layers import Layers
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.schema import CopickConfig

#: Entry-point group of backends.
GROUP = "copick.backends"
#: Version of the plugin interface: the Backend record and the layer contract. Raised when either breaks.
API_VERSION = 1
#: Distributions that serve the config types we know of, as pip installs them.
KNOWN = {
    "filesystem": "copick-core[fs]",
    "memory": "copick-core[memory]",
    "cryoet_data_portal": "copick-core[portal]",
    "compose_volume": "copick-core[volume]",
}


@dataclass(frozen=True)
class Backend:
    """What a plugin registers.

    Attributes:
        config_type: The ``config_type`` it serves; equals the entry point's name.
        api_version: The :data:`API_VERSION` that it was written for. There is no default on purpose.
        config_cls: Model of its configuration.
        open_layers: Opens the layers of a configuration. A module-level function, so that projects can be pickled.
        root_cls: Class of the root; None for the plain one.
        summary: One line that says what it stores where.
        url: Where its documentation is.
    """

    config_type: str
    api_version: int
    config_cls: type[CopickConfig]
    open_layers: Callable[[Any], Layers]
    root_cls: type[CopickRootOverlay] | None = None
    summary: str = ""
    url: str = ""


@dataclass(frozen=True)
class Installed:
    """What is known of an installed backend without importing it.

    Attributes:
        config_type: The type it serves.
        distributions: Names of the distributions that claim it (more than one is an error when it is asked for).
        versions: Their versions.
        state: ``"available"``, ``"loaded"``, ``"broken"`` or ``"duplicate"``.
        cause: Why it is broken.
    """

    config_type: str
    distributions: tuple[str, ...]
    versions: tuple[str, ...]
    state: Literal["available", "loaded", "broken", "duplicate"]
    cause: str = ""


_lock = threading.RLock()
_registered: dict[str, Backend] = {}
_loaded: dict[str, Backend] = {}
_broken: dict[str, BackendError] = {}
_entry_points: dict[str, list[EntryPoint]] | None = None


def register(backend: Backend) -> None:
    """Make a backend known to this process without installing it, for tests and notebooks.

    Raises:
        BackendError: It was written for another version of the interface, or another one serves its type.
    """
    with _lock:
        known = _registered.get(backend.config_type)
        if known is not None and known is not backend:
            raise BackendError(
                config_type=backend.config_type,
                distributions=[],
                reason="another backend was registered for this type",
            )
        if backend.config_type in _scan():
            raise BackendError(
                config_type=backend.config_type,
                distributions=_distributions(backend.config_type),
                reason="an installed distribution serves this type already",
            )
        if reason := _mismatch(backend, backend.config_type):
            raise BackendError(config_type=backend.config_type, distributions=["register()"], reason=reason)
        _registered[backend.config_type] = backend


def reset() -> None:
    """Forget everything that was registered, loaded or scanned; the next question looks again."""
    global _entry_points
    with _lock:
        _registered.clear()
        _loaded.clear()
        _broken.clear()
        _entry_points = None


def installed() -> list[Installed]:
    """List the backends that are installed or registered, sorted by config type. Imports none of them."""
    with _lock:
        rows = [Installed(t, ("registered in this process",), ("",), "loaded") for t in _registered]
        for config_type, points in _scan().items():
            broken = _broken.get(config_type)
            state: Literal["available", "loaded", "broken", "duplicate"] = (
                "duplicate" if len(points) > 1 else "broken" if broken else "loaded" if config_type in _loaded else "available"
            )
            dists = [p.dist for p in points]
            rows.append(
                Installed(
                    config_type,
                    tuple(d.name if d else "unknown" for d in dists),
                    tuple(d.version if d else "" for d in dists),
                    state,
                    broken.reason if broken else "",
                )
            )
    return sorted(rows, key=lambda row: row.config_type)


def get(config_type: str) -> Backend:
    """Load the backend that serves a config type.

    Raises:
        UnknownBackendError: None is installed; tells what is, and how to get the known ones.
        BackendError: It is broken (with the cause), claimed by two distributions, or written for another version.
    """
    with _lock:
        backend = _registered.get(config_type) or _loaded.get(config_type)
        if backend is not None:
            return backend
        if config_type in _broken:
            raise _broken[config_type].with_traceback(None)  # that of the last time would be added to
        points = _scan().get(config_type, [])
        if not points:
            known = KNOWN.get(config_type)
            raise UnknownBackendError(
                config_type=config_type,
                installed=sorted({*_scan(), *_registered}),
                install=f'pip install "{known}"' if known else None,
            )
        try:
            backend = _load(config_type, points)
        except BackendError as error:
            _broken[config_type] = error
            raise
        _loaded[config_type] = backend
        return backend


def _scan() -> dict[str, list[EntryPoint]]:
    """Entry points of the group by name, one for each distribution."""
    global _entry_points
    if _entry_points is None:
        from importlib_metadata import entry_points

        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=GROUP):
            found.setdefault(point.name, []).append(point)
        _entry_points = {name: _claimants(points) for name, points in found.items()}
    return _entry_points


def _claimants(points: list[EntryPoint]) -> list[EntryPoint]:
    """One entry point for each distribution; an editable install beside its build folder shows one distribution twice."""
    if len(points) == 1:
        return points  # asking for the name of a distribution reads all its metadata
    by_distribution: dict[str, EntryPoint] = {}
    for point in points:
        by_distribution.setdefault(point.dist.name.lower() if point.dist else "", point)
    return [*by_distribution.values()]


def _distributions(config_type: str) -> list[str]:
    return [p.dist.name if p.dist else "unknown" for p in _scan().get(config_type, [])]


def _load(config_type: str, points: list[EntryPoint]) -> Backend:
    def unusable(reason: str) -> BackendError:
        return BackendError(config_type=config_type, distributions=_distributions(config_type), reason=reason)

    if len(points) > 1:
        raise unusable("both distributions claim this config_type, and none is chosen silently. Uninstall one of them.")
    try:
        module = points[0].load()
    except Exception as error:
        raise unusable(f"importing {points[0].value} failed: {type(error).__name__}: {error}") from error
    from copick_core.plugins.hookspecs import backends_of

    try:
        backends = backends_of(module)
    except Exception as error:
        raise unusable(f"its hook copick_backend() failed: {type(error).__name__}: {error}") from error
    if len(backends) != 1 or not isinstance(backends[0], Backend):
        raise unusable(f"{points[0].value} must have one hook implementation copick_backend() that returns a Backend")
    if reason := _mismatch(backends[0], config_type):
        raise unusable(reason)
    return backends[0]


def _mismatch(backend: Backend, config_type: str) -> str:
    """Why a backend cannot serve a type; nothing if it can."""
    if backend.api_version != API_VERSION:
        return (
            f"it was written for version {backend.api_version} of the backend interface, this copick-core has {API_VERSION}. "
            f"Upgrade {'it' if backend.api_version < API_VERSION else 'copick-core'}."
        )
    if backend.config_type != config_type:
        return f"its entry point is named {config_type!r}, but its record says {backend.config_type!r}"
    return ""
