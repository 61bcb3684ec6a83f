"""What buckets, blobs and servers refuse, and as which error that is told."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from types import SimpleNamespace
from typing import Any

import pytest

from copick_backend_fs import azure, object_store
from copick_backend_fs.azure import AzureFiles
from copick_backend_fs.buckets import BucketFiles
from copick_backend_fs.connection import CONCURRENCY
from copick_backend_fs.files import PreconditionFailedError
from copick_backend_fs.live import Live
from copick_backend_fs.object_store import StoreConnection, StoreFiles
from copick_backend_fs.s3 import S3Files
from copick_backend_fs.store_arguments import StoreArguments, translate
from copick_core.errors import ConfigError
from copick_core.layers.revisions import ANY

# --------------------------------------------------------------------------------------------------------------- buckets


class Answering(S3Files):
    """A bucket whose answers are given."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def _call(self, live: Live, method: str, path: str | None = None, **kwargs: Any) -> Any:
        self.asked.append((method, kwargs))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


BUCKET: Any = SimpleNamespace(fs=SimpleNamespace(split_path=lambda path: path.partition("/")[::2]), root="lab/project")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        ({"Key": "a", "Code": "AccessDenied", "Message": "no"}, PermissionError, "a: AccessDenied no"),
        ({"Key": "a", "Code": "InternalError"}, OSError, "a: InternalError"),
    ],
)
def test_an_object_that_a_bucket_does_not_delete_with_the_others_is_an_error(
    error: dict[str, str], kind: type[OSError], said: str
) -> None:
    files = Answering({"Errors": [error]})

    with pytest.raises(OSError, match=f"^{said}$") as raised:
        asyncio.run(files.delete_files(BUCKET, ["lab/project/a", "lab/project/b"]))

    assert type(raised.value) is kind
    keys = [{"Key": "project/a"}, {"Key": "project/b"}]
    assert files.asked == [("delete_objects", {"Delete": {"Objects": keys, "Quiet": True}})]


def test_objects_are_deleted_a_thousand_at_a_time() -> None:
    files = Answering({})

    asyncio.run(files.delete_files(BUCKET, [f"lab/{number}" for number in range(2001)]))

    assert [len(asked["Delete"]["Objects"]) for _, asked in files.asked] == [1000, 1000, 1]


class AnswerError(Exception):
    """As those of botocore."""

    def __init__(self, status: int, attempts: int = 0) -> None:
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": attempts}}


@pytest.mark.parametrize(
    ("expected", "status", "attempts", "repeated"),
    [
        (None, 412, 0, False),
        (None, 409, 1, True),
        ('"x"', 412, 2, True),
        ('"x"', 409, 0, False),
        ('"x"', 500, 0, None),
        (ANY, 412, 0, None),
    ],
)
def test_a_condition_that_a_bucket_finds_unmet_says_whether_it_was_asked_twice(
    expected: Any, status: int, attempts: int, repeated: bool | None
) -> None:
    error = OSError("refused")
    error.__cause__ = AnswerError(status, attempts)
    files = Answering(error)

    with pytest.raises(OSError if repeated is None else PreconditionFailedError) as raised:
        asyncio.run(files.put(BUCKET, "lab/a", b"1", expected))

    if repeated is not None:
        assert raised.value.repeated is repeated  # type: ignore[attr-defined]
    condition = {None: {"IfNoneMatch": "*"}, '"x"': {"IfMatch": '"x"'}}.get(expected, {}) if expected is not ANY else {}
    assert files.asked == [("put_object", {"Body": b"1", **condition})]


@pytest.mark.parametrize(
    ("expected", "error", "unmet"),
    [
        (None, FileExistsError("there"), True),
        (None, FileNotFoundError("no bucket"), False),
        ('"x"', FileNotFoundError("gone"), True),
        (ANY, FileExistsError("there"), False),
    ],
)
def test_an_object_that_is_there_or_gone_is_another_one_than_expected(expected: Any, error: OSError, unmet: bool) -> None:
    with pytest.raises(PreconditionFailedError if unmet else type(error)):
        asyncio.run(Answering(error).put(BUCKET, "lab/a", b"1", expected))


def test_a_server_that_takes_a_write_that_must_fail_heeds_no_condition() -> None:
    class Heedless(Answering):
        conditions = BucketFiles._honours_conditions

    files = Heedless({"ETag": '"x"'})

    assert asyncio.run(files.conditions(BUCKET)) is False
    (put, condition), (delete, what) = files.asked
    assert (put, condition) == ("put_object", {"Body": b"", "IfMatch": BucketFiles.no_revision})
    (key,) = what["Delete"]["Objects"]
    assert (delete, key["Key"].rpartition("-")[0][:15]) == ("delete_objects", "project/.staged")


def test_the_first_name_below_a_folder_that_is_empty_is_none() -> None:
    assert asyncio.run(Answering({}).first_below(BUCKET, "lab/project/d")) == []
    files = Answering({"Contents": [{"Key": "project/d/a"}]})
    assert asyncio.run(files.first_below(BUCKET, "lab/project/d")) == ["a"]
    assert files.asked == [("list_objects_v2", {"Prefix": "project/d/", "MaxKeys": 1})]


# --------------------------------------------------------------------------------------------------------------- obstore


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        ("FileNotFoundError", FileNotFoundError, "missing"),
        ("GenericError", ConnectionError, "the server does not answer, or refuses connections"),
        ("PermissionDeniedError", PermissionError, "lab/a: denied"),
        ("UnauthenticatedError", PermissionError, "lab/a: denied"),
        ("GenericError", PermissionError, "lab/a: status code: 403 Forbidden"),
        ("GenericError", OSError, "lab/a: broken"),
    ],
)
def test_an_error_of_obstore_is_told_as_every_file_system_does(error: str, kind: type[OSError], said: str) -> None:
    from obstore import exceptions

    cls = FileNotFoundError if error == "FileNotFoundError" else getattr(exceptions, error)
    text = "Error sending request for url" if kind is ConnectionError else said.removeprefix("lab/a: ")

    with pytest.raises(OSError, match=f"^{re.escape(said)}") as raised:
        asyncio.run(_raising(cls(f"{text}\n\nDebug source:\nsecrets")))

    assert type(raised.value) is kind
    if cls is not FileNotFoundError:
        assert "secrets" not in str(raised.value)
        assert isinstance(raised.value.__cause__, cls)


async def _raising(error: Exception) -> None:
    with object_store._told_as_usual("lab/a"):
        raise error


def test_another_error_of_a_value_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="of the caller"):
        asyncio.run(_raising(ValueError("of the caller")))


@pytest.mark.parametrize("word", ["NoSuchBucket", "NoSuchContainer", "ContainerNotFound"])
def test_a_bucket_that_obstore_does_not_find_is_named(word: str) -> None:
    from obstore.exceptions import GenericError

    with pytest.raises(FileNotFoundError) as raised:
        asyncio.run(_raising(GenericError(f"<Code>{word}</Code>")))

    error = raised.value
    assert (error.errno, error.strerror, error.filename) == (errno.ENOENT, "There is no such bucket", "lab")


def store(url: str = "s3://lab/project", **args: Any) -> tuple[StoreConnection, StoreFiles]:
    found = StoreConnection(url, {"endpoint_url": "http://lab:9", "key": "me", "secret": "hush", **args})
    files = found.live.files
    assert isinstance(files, StoreFiles)
    return found, files


class Plain:
    """Files over fsspec, which take any name."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.files = self

    async def list_folder(self, live: Any, folder: str) -> dict[str, bool]:
        return {"plain": live is self and folder == "lab/a//b"}

    async def find(self, live: Any, folder: str) -> list[str]:
        return [f"{live is self}", folder]

    async def delete_files(self, live: Any, paths: list[str]) -> None:
        self.asked += paths


def test_names_that_obstore_refuses_are_asked_of_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    made, files = store()
    plain = Plain()
    made._plain = SimpleNamespace(live=plain, sent=0)  # type: ignore[assignment]
    deleted: list[Any] = []

    async def delete(paths: list[str]) -> None:
        deleted.extend(paths)

    files._store = SimpleNamespace(
        list=files._store.list, list_with_delimiter_async=files._store.list_with_delimiter_async, delete_async=delete
    )

    assert asyncio.run(files.list_folder(made.live, "lab/a//b")) == {"plain": True}
    assert asyncio.run(files.find(made.live, "lab/a//b")) == ["True", "lab/a//b"]
    assert asyncio.run(files.revisions_in(made.live, "lab/a//b")) == {}
    with pytest.raises(OSError, match="a//b") as raised:
        asyncio.run(files.page_after(made.live, "lab/a//b", "x"))
    asyncio.run(files.delete_files(made.live, ["lab/a//b", "lab/c", "lab/..", "lab/d\x01"]))

    assert (raised.value.errno, raised.value.filename) == (errno.EINVAL, "lab/a//b")
    assert (plain.asked, deleted) == (["lab/a//b", "lab/..", "lab/d\x01"], ["c"])


def test_what_is_asked_on_condition_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(StoreArguments, "open", lambda self, *, retries=None: asked.append(retries) or SimpleNamespace())
    _, files = store()

    assert files._once is files._once
    assert asked == [None, 0]


def test_requests_over_obstore_and_over_fsspec_are_counted_and_renewed_together() -> None:
    made, _ = store()
    made.sent, made.plain.sent = 2, 3
    renewed: list[int] = []
    made.plain.renew = lambda: renewed.append(1)  # type: ignore[method-assign]

    made.renew()

    assert (made.requests, renewed) == (5, [1])
    assert (made.plain.url, made.plain._args, made.plain._limits) == (made.url, made._args, made._limits)


@pytest.mark.parametrize(("url", "refused"), [("s3://lab/p", False), ("az://lab/p", True)])
def test_a_forked_child_goes_over_fsspec_or_says_how_else_to_start(
    monkeypatch: pytest.MonkeyPatch, url: str, refused: bool
) -> None:
    args = {"account_name": "mine", "anon": True} if refused else {"endpoint_url": "http://lab:9", "anon": True}
    made = StoreConnection(url, args)
    made._plain = SimpleNamespace(live="over fsspec")  # type: ignore[assignment]
    monkeypatch.setattr(object_store, "_started_by", os.getpid() + 1)

    if not refused:
        assert made._connect() == "over fsspec"  # type: ignore[comparison-overlap]
        return
    with pytest.raises(ConfigError) as raised:
        made._connect()
    assert raised.value.source == url
    assert 'start processes with "spawn" or "forkserver", or set "obstore": false' in raised.value.reason


@pytest.mark.parametrize("process", [None, "this"])
def test_the_process_that_has_started_obstore_is_known(monkeypatch: pytest.MonkeyPatch, process: str | None) -> None:
    monkeypatch.setattr(object_store, "_started_by", os.getpid() if process else None)

    live = store()[0]._connect()

    assert object_store._started_by == os.getpid() == live.pid
    assert (live.root, live.slots._value, live.fs) == ("lab/project", CONCURRENCY, None)


@pytest.mark.parametrize(
    ("args", "environment", "obstore"),
    [
        ({"token": "anon"}, {}, True),
        ({"token": "anon", "project": "mine"}, {}, True),
        ({"token": "anon", "more": 1}, {}, False),
        ({"token": "anon"}, {"STORAGE_EMULATOR_HOST": "http://lab"}, False),
        ({"token": "anon"}, {"GOOGLE_CLOUD_PROJECT": "mine"}, True),
        ({"token": "cloud"}, {}, False),
    ],
)
def test_a_place_of_google_is_left_to_fsspec_where_more_is_said_of_it(
    monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], environment: dict[str, str], obstore: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert (translate("gs://lab/p", args) is not None) is obstore


def test_a_place_without_a_server_is_left_to_fsspec_where_it_shall_not_be_encrypted() -> None:
    region = {"client_kwargs": {"region_name": "eu"}, "anon": True}

    assert translate("s3://lab", region) is not None
    assert translate("s3://lab", {**region, "use_ssl": False}) is None
    assert translate("s3://lab", {**region, "client_kwargs": {"region_name": "eu", "use_ssl": False}}) is None


def test_an_account_of_azure_is_left_to_fsspec_where_the_environment_says_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "a")

    assert translate("az://lab", {"account_name": "mine", "anon": True}) is None


def test_a_store_shows_no_secrets_and_is_opened_as_its_arguments_say(monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore.store

    made: list[Any] = []
    monkeypatch.setattr(obstore.store, "S3Store", lambda *args, **options: made.append((args, options)))
    plain = StoreArguments("S3Store", "S3FileSystem", "lab", {"secret": "hush"}, {"timeout": "1s"}, 3)
    given = StoreArguments("S3Store", "S3FileSystem", "lab", {}, credentials=lambda: {"token": "hush"})

    for arguments in (plain, given):
        arguments.open()
        arguments.open(retries=0)

    assert "hush" not in f"{plain} {given}"
    assert [args for args, _ in made] == [("lab",)] * 4
    assert [options["retry_config"]["max_retries"] for _, options in made] == [3, 0, 5, 0]
    assert {options["retry_config"]["retry_timeout"].total_seconds() for _, options in made} == {120.0}
    assert made[0][1]["client_options"] == {"connect_timeout": "5s", "read_timeout": "15s", "timeout": "1s"}
    assert made[2][1]["client_options"] == {"connect_timeout": "5s", "read_timeout": "15s", "timeout": "1h"}
    assert ["credential_provider" in options for _, options in made] == [False, False, True, True]
    assert made[2][1]["credential_provider"]() == {"token": "hush"}


# ----------------------------------------------------------------------------------------------------------------- azure


class Blob:
    """A blob that is copied in some time."""

    url = "https://lab/source"

    def __init__(self, *statuses: str) -> None:
        self.statuses = [*statuses]
        self.asked: list[Any] = []

    async def start_copy_from_url(self, url: str, **options: Any) -> dict[str, str]:
        self.asked.append((url, options))
        return {"copy_status": self.statuses.pop(0)}

    async def get_blob_properties(self, **options: Any) -> Any:
        self.asked.append(options)
        return SimpleNamespace(copy=SimpleNamespace(status=self.statuses.pop(0)))


@pytest.mark.parametrize("last", ["success", "failed"])
def test_a_blob_is_copied_when_the_server_says_so(monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    files, blob = AzureFiles("az", 2.0), Blob("pending", "pending", last)
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(azure.asyncio, "sleep", sleep)
    monkeypatch.setattr(files, "_blob", lambda live, path: blob)
    live: Any = SimpleNamespace(slots=asyncio.Semaphore(1))

    if last == "success":
        asyncio.run(files.copy(live, [("lab/a", "lab/b")]))
    else:
        with pytest.raises(OSError, match="The server reports that the copy is failed") as raised:
            asyncio.run(files.copy(live, [("lab/a", "lab/b")]))
        assert (raised.value.errno, raised.value.filename) == (errno.EIO, "lab/a")

    options = {"retry_total": 2, "retry_connect": 0, "retry_read": 0, "retry_status": 2}
    options |= {"connection_timeout": 2.0, "read_timeout": 2.0}  # type: ignore[dict-item]
    assert blob.asked == [("https://lab/source", options), options, options]
    assert waited == [0.1, 0.1]


@pytest.mark.parametrize(
    ("name", "status", "code", "kind", "told"),
    [
        ("ServiceRequestError", None, "", ConnectionError, "down"),
        ("ServiceResponseError", None, "", ConnectionError, "down"),
        ("HttpResponseError", 404, "BlobNotFound", FileNotFoundError, "There is no such blob"),
        ("HttpResponseError", 404, "ContainerNotFound", FileNotFoundError, "There is no such bucket"),
        ("HttpResponseError", 401, "", PermissionError, "lab/a: down"),
        ("HttpResponseError", 403, "", PermissionError, "lab/a: down"),
        ("HttpResponseError", 500, "", OSError, "lab/a: down"),
        ("AzureError", None, "", OSError, "lab/a: down"),
    ],
)
def test_an_error_of_azure_is_told_as_every_file_system_does(
    name: str, status: int | None, code: str, kind: type[OSError], told: str
) -> None:
    from azure.core import exceptions

    error = getattr(exceptions, name)("down\nmore of it")
    if status is not None:
        error.status_code, error.error_code = status, code

    with pytest.raises(OSError, match=told) as raised, azure._told_as_usual("lab/a"):
        raise error

    assert type(raised.value) is kind
    assert "more of it" not in str(raised.value)
    assert raised.value.__cause__ is error
    if status == 404:
        where = "lab" if code == "ContainerNotFound" else "lab/a"
        assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, where)


@pytest.mark.parametrize(
    ("expected", "error", "unmet"),
    [
        (None, "ResourceExistsError", True),
        ("x", "ResourceModifiedError", True),
        ("x", "ResourceNotFoundError", True),
        (None, "ResourceNotFoundError", False),
        ("x", "HttpResponseError", False),
        (None, "HttpResponseError", False),
        (ANY, "ResourceExistsError", False),
    ],
)
def test_a_condition_that_azure_finds_unmet_is_told_from_other_errors(
    monkeypatch: pytest.MonkeyPatch, expected: Any, error: str, unmet: bool
) -> None:
    from azure.core import MatchConditions, exceptions

    files, asked = AzureFiles("az", 2.0), []

    async def upload_blob(data: bytes, **options: Any) -> None:
        asked.append(options)
        raise getattr(exceptions, error)("no")

    monkeypatch.setattr(files, "_blob", lambda live, path: SimpleNamespace(upload_blob=upload_blob))
    live: Any = SimpleNamespace(slots=asyncio.Semaphore(1))

    with pytest.raises(PreconditionFailedError if unmet else OSError) as raised:
        asyncio.run(files.put(live, "lab/a", b"1", expected))

    assert not unmet or not raised.value.repeated  # type: ignore[attr-defined]
    (options,) = asked
    assert (options["overwrite"], options["metadata"]) == (expected is not None, None)
    assert options["retry_total"] == (2 if expected is ANY else 0)
    condition = {"etag": "x", "match_condition": MatchConditions.IfNotModified} if expected == "x" else {}
    assert {name: options[name] for name in ("etag", "match_condition") if name in options} == condition
