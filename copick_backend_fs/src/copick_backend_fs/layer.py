"""From a location to the layer that serves it: of local folders, or of everything that fsspec reaches."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from copick_backend_fs import protocols
from copick_backend_fs.local import LocalLayer
from copick_core.callers import warn_caller
from copick_core.errors import ConfigError, redacted

if TYPE_CHECKING:
    from copick_backend_fs.config import Limits
    from copick_backend_fs.connection import Connection
    from copick_backend_fs.remote import FsspecLayer

#: Protocols that a warning was given of.
_announced: set[str] = set()


def open_layer(
    name: str,
    location: str,
    fs_args: Mapping[str, Any] | None = None,
    *,
    read_only: bool = False,
    obstore: bool = True,
    limits: Limits | None = None,
) -> LocalLayer | FsspecLayer:
    """Open one location as a layer. Nothing is connected to, read or made before the first call.

    Args:
        name: Name of the layer.
        location: Local path or URL.
        fs_args: Arguments of the fsspec filesystem.
        read_only: Refuse writes.
        obstore: Go over obstore where it is installed and the arguments can be translated for it.
        limits: How long to wait for a server; by default, as long as the configuration's defaults say.

    Raises:
        MissingDependencyError: The URL's protocol needs a package that is not installed.
        ConfigError: The location is a local file, or its protocol is unknown, names no archive, or cannot be written to
            although it should.
    """
    path = local_path(location)
    if path is not None:
        if os.path.isfile(path):  # it would be listed as empty
            archive = f". For what is in an archive, write zip://::{path} as static_root" if path.endswith(".zip") else ""
            raise ConfigError(source=path, reason=f"it is a file, not a folder{archive}")
        return LocalLayer(name, path, read_only=read_only)
    return _open_remote(name, location, fs_args or {}, read_only=read_only, obstore=obstore, limits=limits)


def _open_remote(
    name: str, url: str, fs_args: Mapping[str, Any], *, read_only: bool, obstore: bool, limits: Limits | None
) -> FsspecLayer:
    """Open a URL as a layer; nothing is connected to before the first call."""
    from copick_backend_fs.bucket_layer import BucketLayer
    from copick_backend_fs.connection import Connection
    from copick_backend_fs.remote import FsspecLayer

    store = _store_connection(url, fs_args, limits) if obstore else None
    connection = store or Connection(url, fs_args, limits)
    if connection.protocol in protocols.ARCHIVES and "::" not in url:
        form = f"{connection.protocol}://::ARCHIVE, or {connection.protocol}://FOLDER::ARCHIVE for a folder in it"
        raise ConfigError(source=redacted(url), reason=f"write the location of an archive as {form}")
    if connection.protocol in protocols.READ_ONLY and not read_only:
        raise ConfigError(source=redacted(url), reason=f"{connection.protocol}:// cannot be written to; use it as static_root")
    if not {*connection.protocols} <= protocols.TRIED | _announced:
        _announced.update(connection.protocols)
        untried = ", ".join(f"{protocol}://" for protocol in connection.protocols if protocol not in protocols.TRIED)
        warn_caller(
            f"copick-core was never tried with a server of {untried} (location {redacted(url)}). Check that what you write "
            "is there when you open the project again, and report what is not."
        )
    cls = BucketLayer if store or connection.protocol in protocols.CONDITIONAL else FsspecLayer
    return cls(name, connection, read_only=read_only)


def _store_connection(url: str, fs_args: Mapping[str, Any], limits: Limits | None) -> Connection | None:
    """A connection over obstore, if it is installed and can do what the arguments say."""
    from importlib.util import find_spec

    if find_spec("obstore") is None:
        return None
    from copick_backend_fs.object_store import StoreConnection
    from copick_backend_fs.store_arguments import translate

    return StoreConnection(url, fs_args, limits) if translate(url, fs_args) else None


def local_path(location: str) -> str | None:
    """The local path that a location means, or None if it is a URL of anything else."""
    for scheme in ("local://", "file://"):
        if location.startswith(scheme) and "::" not in location:
            location = location[len(scheme) :]
            break
    else:
        if "://" in location or "::" in location:
            return None
    return os.path.abspath(os.path.expanduser(location))


def place_of(layer: LocalLayer | FsspecLayer) -> Hashable:
    """What is equal for two layers that keep their entities in the same place, whoever they connect as."""
    return ("local", os.path.realpath(layer.root)) if isinstance(layer, LocalLayer) else layer.place
