"""Where a repository lies: how its storage is opened, and what keeps two commits to a local folder apart."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from copick_backend_icechunk.objects import BucketObjects, LocalObjects, Objects
from copick_core.errors import ConfigError, UnreachableError
from copick_core.layers.atomic import locked
from copick_core.layers.ending import end_after_threads

if TYPE_CHECKING:
    import icechunk


class Place:
    """The location of a repository.

    Args:
        location: A folder (also as ``file://`` or ``local://``), or ``s3://bucket/prefix``.
        arguments: Further arguments of ``icechunk.s3_storage``.

    Attributes:
        folder: The folder, absolute; None in a bucket.

    Raises:
        ConfigError: Such a location is not known here.
    """

    def __init__(self, location: str, arguments: Mapping[str, Any] | None = None) -> None:
        self.location = location
        self.arguments = dict(arguments or {})
        scheme, found, rest = location.partition("://")
        self.folder: str | None = None
        if not found:
            self.folder = os.path.abspath(os.path.expanduser(location))
        elif scheme in ("file", "local"):
            self.folder = os.path.abspath(rest)
        elif scheme != "s3":
            raise ConfigError(source=location, reason="a repository lies in a folder or at s3://bucket/prefix")

    @property
    def is_bucket(self) -> bool:
        """Whether it is in a bucket, so that whatever is asked takes a request."""
        return self.folder is None

    def __str__(self) -> str:
        return self.location if self.folder is None else self.folder

    def storage(self) -> icechunk.Storage:
        """Open the storage; nothing is read."""
        import icechunk

        # It warns of concurrent commits whenever a folder is opened; see committing().
        icechunk.set_logs_filter("error")
        if self.folder is not None:
            return icechunk.local_filesystem_storage(self.folder)
        bucket, prefix, arguments = self._in_bucket()
        return icechunk.s3_storage(bucket=bucket, prefix=prefix, **arguments)

    @property
    def objects(self) -> Objects:
        """The files that icechunk does not let one ask for."""
        return LocalObjects(self.folder) if self.folder is not None else BucketObjects(*self._in_bucket())

    def _in_bucket(self) -> tuple[str, str, dict[str, Any]]:
        """The bucket, the prefix, and the arguments with what follows from them."""
        bucket, _, prefix = self.location.removeprefix("s3://").partition("/")
        arguments = dict(self.arguments)
        if not {"access_key_id", "anonymous", "from_env", "get_credentials"} & arguments.keys():
            arguments["from_env"] = True
        if str(arguments.get("endpoint_url", "")).startswith("http://"):
            arguments.setdefault("allow_http", True)
            arguments.setdefault("force_path_style", True)
        return bucket, prefix.rstrip("/"), arguments

    def open(self, *, create: bool = False, keeping: bool = True) -> icechunk.Repository | None:
        """Open the repository; None where there is none, unless it is to be made.

        Args:
            create: Make it where there is none.
            keeping: Keep snapshots in memory. Walks through the history need each one once.
        """
        import icechunk

        end_after_threads(_loop())
        # Icechunk would ask of each new session, for all arrays, whether their names are those of coordinates, to load
        # these ahead: most of the time of a commit.
        never = icechunk.ManifestPreloadConfig(max_total_refs=0, preload_if=icechunk.ManifestPreloadCondition.false())
        config = icechunk.RepositoryConfig(manifest=icechunk.ManifestConfig(preload=never))
        if not keeping:
            config.caching = icechunk.CachingConfig(num_snapshot_nodes=0)
        storage = self.storage()
        if create:
            return icechunk.Repository.open_or_create(storage, config=config)
        return icechunk.Repository.open(storage, config=config) if icechunk.Repository.exists(storage) else None

    def is_there(self) -> bool:
        """Whether there may be a repository: False for a folder that does not exist."""
        return self.folder is None or os.path.isdir(os.path.join(self.folder, "refs"))

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Raise what icechunk raises of its storage as an error of the place."""
        import icechunk

        try:
            yield
        except (icechunk.ConflictError, icechunk.RebaseFailedError):
            raise
        except icechunk.IcechunkError as error:
            reason = str(error).strip().splitlines()[0].strip(" x")
            if self.is_bucket:
                raise UnreachableError(location=str(self), reason=reason) from error
            raise OSError(f"{self}: {reason}") from error

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Hold the lock of a local folder, which is made where it is missing; in buckets conditional writes do the same."""
        if self.folder is None:
            yield
            return
        os.makedirs(self.folder, exist_ok=True)
        with locked(self.folder):
            yield


def _loop() -> asyncio.AbstractEventLoop:
    """The event loop that asks icechunk: that of zarr, in which this may run already."""
    from zarr.core.sync import sync

    async def running() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return sync(running())
