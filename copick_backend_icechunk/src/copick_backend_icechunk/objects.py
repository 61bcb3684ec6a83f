"""Files of a repository that icechunk does not let one ask for: which snapshots there are, and that of a branch."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from copick_core.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obstore.store import S3Store

#: The configuration of a repository, which is stored before anything else.
CONFIG = "config.yaml"
#: The empty snapshot that each repository begins with.
FIRST = "1CECHNKREP0F1RSTCMT0"


class Objects(Protocol):
    """Files of a repository."""

    def snapshots(self) -> list[str]:
        """Ids of the snapshots whose files are there and not empty, the newest first."""

    def read_branch(self, branch: str) -> bytes | None:
        """The content of the file of a branch; None if there is none."""

    def write_branch(self, branch: str, content: bytes) -> None:
        """Store the file of a branch that is missing or cut off; if somebody else was faster, theirs stays."""

    def remove_beginning(self) -> bool:
        """Remove the configuration if it is all there is, and say whether it was.

        Whoever was making the repository died, and icechunk makes none beside it. Whoever still is at it needs it no more.
        """


class LocalObjects:
    """Files of a repository in a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def snapshots(self) -> list[str]:
        """Ids of the snapshots."""
        try:
            entries = [*os.scandir(os.path.join(self._folder, "snapshots"))]
        except FileNotFoundError:
            return []
        found = [(entry.stat().st_mtime_ns, entry.name) for entry in entries if entry.stat().st_size]
        return [name for _, name in sorted(found, reverse=True)]

    def read_branch(self, branch: str) -> bytes | None:
        """The content of the file of a branch."""
        try:
            with open(self._branch(branch), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write_branch(self, branch: str, content: bytes) -> None:
        """Store the file of a branch."""
        path = self._branch(branch)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.tmp"
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def remove_beginning(self) -> bool:
        """Remove the configuration if it is all there is."""
        found = [os.path.join(folder, name) for folder, _, names in os.walk(self._folder) for name in names]
        files = [path for path in found if not os.path.basename(path).startswith(".")]
        if files != [os.path.join(self._folder, CONFIG)]:
            return False
        os.remove(files[0])
        return True

    def _branch(self, branch: str) -> str:
        return os.path.join(self._folder, "refs", f"branch.{branch}", "ref.json")


class BucketObjects:
    """Files of a repository in a bucket.

    Args:
        bucket: The bucket.
        prefix: Where the repository lies in it.
        arguments: Those of ``icechunk.s3_storage``.
    """

    def __init__(self, bucket: str, prefix: str, arguments: Mapping[str, Any]) -> None:
        self._location = f"s3://{bucket}/{prefix}"
        self._store = _store(bucket, prefix, arguments)

    def snapshots(self) -> list[str]:
        """Ids of the snapshots."""
        import obstore

        with self._answering():
            listed = [one for some in obstore.list(self._store, prefix="snapshots") for one in some if one["size"]]
        listed.sort(key=lambda one: one["last_modified"], reverse=True)
        return [one["path"].rpartition("/")[2] for one in listed]

    def read_branch(self, branch: str) -> bytes | None:
        """The content of the file of a branch."""
        import obstore

        with self._answering():
            try:
                return bytes(obstore.get(self._store, _branch(branch)).bytes())
            except FileNotFoundError:
                return None

    def write_branch(self, branch: str, content: bytes) -> None:
        """Store the file of a branch."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        cut_off = self.read_branch(branch) is not None  # nobody can commit with it
        with self._answering(), suppress(AlreadyExistsError):
            if cut_off:
                obstore.delete(self._store, _branch(branch))
            obstore.put(self._store, _branch(branch), content, mode="create")

    def remove_beginning(self) -> bool:
        """Remove the configuration if it is all there is."""
        import obstore

        with self._answering():
            if [one["path"] for some in obstore.list(self._store) for one in some] != [CONFIG]:
                return False
            obstore.delete(self._store, CONFIG)
        return True

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except AlreadyExistsError:
            raise
        except (BaseError, PermissionError) as error:
            raise UnreachableError(location=self._location, reason=str(error).splitlines()[0]) from error


def _branch(branch: str) -> str:
    return f"refs/branch.{branch}/ref.json"


def _store(bucket: str, prefix: str, arguments: Mapping[str, Any]) -> S3Store:
    from obstore.store import S3Store

    known = dict(arguments)
    renew = known.get("get_credentials")
    if renew is not None:
        credentials = renew()
        known |= {name: getattr(credentials, name) for name in ("access_key_id", "secret_access_key", "session_token")}
    names = ("access_key_id", "secret_access_key", "session_token", "region")
    config: dict[str, Any] = {name: known[name] for name in names if known.get(name) is not None}
    if known.get("endpoint_url"):
        config["endpoint"] = known["endpoint_url"]
    if known.get("anonymous"):
        config["skip_signature"] = True
    config["virtual_hosted_style_request"] = not known.get("force_path_style", False)
    options: Any = {"allow_http": bool(known.get("allow_http", False))}
    return S3Store(bucket, prefix=prefix or None, client_options=options, **config)
