"""S3: the same files with the fewest requests, ETags as revisions, and conditional writes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from copick_backend_fs.buckets import MARK, BucketFiles, Page
from copick_backend_fs.files import PIECE, PreconditionFailedError, together
from copick_core.layers.path_layer import Listing
from copick_core.layers.revisions import ANY, AnyRevision, Revision

if TYPE_CHECKING:
    from copick_backend_fs.live import Live

#: Parts that an object has at most, and how many of them are sent at once.
_MOST_PARTS, _PARTS_AT_ONCE = 10_000, 4
#: Keys that one request deletes at most.
_DELETE_BATCH = 1000


#: Descriptions of Amazon's services, as botocore reads them from a data path.
_models: dict[str | None, Any] = {}


def new_session(options: Mapping[str, Any]) -> Any:
    """Make a session of aiobotocore that reads no description of a service that another session has read.

    To read them takes longer than anything else about a new client. They are the same for all sessions with one data path;
    credentials, profiles and regions are looked up anew by each session.

    Args:
        options: Arguments of the session.
    """
    from aiobotocore.session import AioSession  # type: ignore[import-untyped,unused-ignore]
    from botocore.loaders import create_loader  # type: ignore[import-untyped,unused-ignore]

    session = AioSession(**options)
    path = session.get_config_variable("data_path")
    session.register_component("data_loader", _models.setdefault(path, create_loader(path)))
    return session


def _response(error: BaseException) -> Mapping[str, Any]:
    """What the server answered, as botocore has it; s3fs raises its errors from those of botocore."""
    return getattr(error.__cause__, "response", None) or {}


def _version(answer: Mapping[str, Any]) -> tuple[Hashable, ...]:
    return str(answer["ETag"]), str(answer["LastModified"]), (answer.get("Metadata") or {}).get(MARK)


class S3Files(BucketFiles):
    """The files of a bucket, over the S3 client of s3fs."""

    def __init__(self) -> None:
        super().__init__("s3")

    async def _call(self, live: Live, method: str, path: str | None = None, **kwargs: Any) -> Any:
        bucket = live.fs.split_path(live.root)[0]
        if path is not None:
            # Not split_path(path): it takes "?versionId=" in a name for a version.
            kwargs["Key"] = path[len(bucket) + 1 :]
        try:
            async with live.slots:
                return await live.fs._call_s3(method, Bucket=bucket, **kwargs, **live.fs.req_kw)
        except FileNotFoundError as error:
            if _response(error).get("Error", {}).get("Code") != "NoSuchBucket":
                raise
            # A folder that is not there is an empty one, but nobody makes a bucket that is misspelled.
            raise FileNotFoundError(errno.ENOENT, "There is no such bucket", bucket) from error

    # ------------------------------------------------------------------ reading

    async def _pages(self, live: Live, folder: str, **kwargs: Any) -> AsyncIterator[tuple[str, Any]]:
        """Pages of a listing of at most 1000 names, and the prefix of all its keys."""
        bucket = live.fs.split_path(live.root)[0]
        prefix = folder[len(bucket) + 1 :]
        prefix = f"{prefix}/" if prefix else ""
        while True:
            page = await self._call(live, "list_objects_v2", Prefix=prefix, **kwargs)
            yield prefix, page
            if not page.get("IsTruncated"):
                return
            kwargs["ContinuationToken"] = page["NextContinuationToken"]

    async def list_folder(self, live: Live, folder: str) -> Listing:
        """Names in a folder, and whether each is a folder; one request for 1000 names."""
        listing: Listing = {}
        async for prefix, page in self._pages(live, folder, Delimiter="/"):
            listing.update({entry["Key"][len(prefix) :]: False for entry in page.get("Contents", ())})
            listing.update({entry["Prefix"][len(prefix) : -1]: True for entry in page.get("CommonPrefixes", ())})
        listing.pop("", None)  # an object that stands for the folder itself
        return listing

    async def revisions_in(self, live: Live, folder: str) -> dict[str, Revision]:
        """ETags of the objects in a folder, by name; one request for 1000 names."""
        found: dict[str, Revision] = {}
        async for prefix, page in self._pages(live, folder, Delimiter="/"):
            found |= {e["Key"][len(prefix) :]: str(e["ETag"]) for e in page.get("Contents", ()) if "ETag" in e}
        return found

    lists_after = True

    async def page_after(self, live: Live, folder: str, after: str) -> Page:
        """The first thousand objects below a folder that come after a name: one request."""
        bucket = live.fs.split_path(live.root)[0]
        prefix = f"{folder[len(bucket) + 1 :]}/"
        page = await self._call(live, "list_objects_v2", Prefix=prefix, StartAfter=f"{prefix}{after}")
        names = [(entry["Key"][len(prefix) :], entry.get("ETag")) for entry in page.get("Contents", ())]
        return Page(names, not page.get("IsTruncated"))

    async def exists(self, live: Live, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder: one request."""
        if folder:
            async for _, page in self._pages(live, path, MaxKeys=1):
                return bool(page.get("Contents"))
        try:
            await self._call(live, "head_object", path)
        except FileNotFoundError:
            return False
        return True

    async def first_below(self, live: Live, folder: str) -> list[str]:
        """The first of the names below a folder: one request."""
        async for prefix, page in self._pages(live, folder, MaxKeys=1):
            return [entry["Key"][len(prefix) :] for entry in page.get("Contents", ())]
        return []

    async def read(self, live: Live, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Read an object or a part of it: one request."""
        part = {}
        if start is not None or end is not None:
            first = start or 0
            part["Range"] = f"bytes={first}" if first < 0 else f"bytes={first}-{'' if end is None else end - 1}"
        return (await self._get(live, path, **part))[0]

    async def read_revised(self, live: Live, path: str) -> tuple[bytes, Revision]:
        """Read an object and its ETag: one request."""
        return await self._get(live, path)

    async def _get(self, live: Live, path: str, **kwargs: Any) -> tuple[bytes, str]:
        answer = await self._call(live, "get_object", path, **kwargs)
        async with answer["Body"] as body:
            return await body.read(), answer["ETag"]

    async def revision(self, live: Live, path: str) -> Revision | None:
        """ETag of an object, None where there is none: one request."""
        try:
            return str((await self._call(live, "head_object", path))["ETag"])
        except FileNotFoundError:
            return None

    async def read_versioned(self, live: Live, path: str) -> tuple[bytes, tuple[Hashable, ...]]:
        """Read an object and its version: one request."""
        answer = await self._call(live, "get_object", path)
        async with answer["Body"] as body:
            return await body.read(), _version(answer)

    async def version(self, live: Live, path: str) -> tuple[Hashable, ...] | None:
        """ETag, time and mark of an object, None where there is none: one request."""
        try:
            return _version(await self._call(live, "head_object", path))
        except FileNotFoundError:
            return None

    async def write_marked(self, live: Live, path: str, data: bytes, mark: str) -> None:
        """Write an object with a mark: one request."""
        await self._call(live, "put_object", path, Body=data, Metadata={MARK: mark})

    async def copy_marked(self, live: Live, source: str, target: str, mark: str) -> None:
        """Copy an object with a mark: one request."""
        bucket = live.fs.split_path(live.root)[0]
        place = {"Bucket": bucket, "Key": source[len(bucket) + 1 :]}
        marked = {"Metadata": {MARK: mark}, "MetadataDirective": "REPLACE"}
        await self._call(live, "copy_object", target, CopySource=place, **marked)

    async def find(self, live: Live, folder: str) -> list[str]:
        """Keys of all objects below a folder, relative to it."""
        return [
            entry["Key"][len(prefix) :]
            async for prefix, page in self._pages(live, folder)
            for entry in page.get("Contents", ())
        ]

    async def size(self, live: Live, path: str) -> int:
        """Size of an object in bytes."""
        return int((await self._call(live, "head_object", path))["ContentLength"])

    # ------------------------------------------------------------------ writing

    async def write(self, live: Live, path: str, data: bytes) -> None:
        """Write an object: one request."""
        await self._call(live, "put_object", path, Body=data)

    async def write_file(self, live: Live, path: str, file: IO[bytes]) -> None:
        """Write an object of any size from an open file, in parts; it appears when the last one is stored."""
        size = file.seek(0, os.SEEK_END)
        if size <= PIECE:
            file.seek(0)
            await self.write(live, path, file.read())
            return
        piece = max(PIECE, -(-size // _MOST_PARTS))
        upload = (await self._call(live, "create_multipart_upload", path))["UploadId"]
        at_once = asyncio.Semaphore(_PARTS_AT_ONCE)

        stored: dict[int, str] = {}

        async def part(number: int) -> None:
            async with at_once:
                file.seek(number * piece)
                body = file.read(piece)  # no other part reads between these two: there is no await
                known = {"UploadId": upload, "PartNumber": number + 1}
                answer = await self._call(live, "upload_part", path, Body=body, **known)
                stored[number + 1] = answer["ETag"]

        try:
            await together(part(n) for n in range(-(-size // piece)))
            parts = [{"ETag": stored[number], "PartNumber": number} for number in sorted(stored)]
            whole = {"UploadId": upload, "MultipartUpload": {"Parts": parts}}
            await self._call(live, "complete_multipart_upload", path, **whole)
        except BaseException:
            with contextlib.suppress(Exception):
                await self._call(live, "abort_multipart_upload", path, UploadId=upload)
            raise

    async def put(self, live: Live, path: str, data: bytes, expected: Revision | AnyRevision | None) -> Revision:
        """Write an object if its ETag is the expected one (None: if there is none): one request.

        Raises:
            PreconditionFailedError: It is not.
        """
        condition = {} if expected is ANY else {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        try:
            return str((await self._call(live, "put_object", path, Body=data, **condition))["ETag"])
        except Exception as error:
            about = _response(error).get("ResponseMetadata", {})
            changed = about.get("HTTPStatusCode") in (409, 412) or isinstance(error, FileExistsError)
            if condition and (changed or (expected is not None and isinstance(error, FileNotFoundError))):
                raise PreconditionFailedError(repeated=bool(about.get("RetryAttempts", 0))) from error
            raise

    async def _honours_conditions(self, live: Live) -> bool:
        await live.fs.set_session()
        members = live.fs.s3.meta.service_model.operation_model("PutObject").input_shape.members
        return "IfMatch" in members and await super()._honours_conditions(live)  # releases of botocore before 2024 lack it

    async def copy(self, live: Live, pairs: Sequence[tuple[str, str]]) -> None:
        """Copy objects inside the bucket, many at once, one request each."""
        bucket = live.fs.split_path(live.root)[0]

        async def one(source: str, target: str) -> None:
            await self._call(live, "copy_object", target, CopySource={"Bucket": bucket, "Key": source[len(bucket) + 1 :]})

        await together(one(source, target) for source, target in pairs)

    async def delete_files(self, live: Live, paths: Sequence[str]) -> None:
        """Delete objects, 1000 with each request."""
        bucket = live.fs.split_path(live.root)[0]

        async def some(batch: Sequence[str]) -> None:
            keys = [{"Key": path[len(bucket) + 1 :]} for path in batch]
            answer = await self._call(live, "delete_objects", Delete={"Objects": keys, "Quiet": True})
            for error in answer.get("Errors", ()):
                kind = PermissionError if error.get("Code") == "AccessDenied" else OSError
                raise kind(f"{error.get('Key')}: {error.get('Code')} {error.get('Message', '')}".strip())

        await together(some(paths[n : n + _DELETE_BATCH]) for n in range(0, len(paths), _DELETE_BATCH))
