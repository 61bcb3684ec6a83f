"""What buckets, blobs and servers refuse, and as which error that is told."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from copick_backend_fs import azure, connection, object_store
from copick_backend_fs.azure import AzureFiles
from copick_backend_fs.buckets import BucketFiles
from copick_backend_fs.config import Limits
from copick_backend_fs.connection import CONCURRENCY, Connection
from copick_backend_fs.files import PreconditionFailedError, RemoteFiles
from copick_backend_fs.live import Live, is_broken_connection
from copick_backend_fs.object_store import StoreConnection, StoreFiles
from copick_backend_fs.s3 import S3Files
from copick_backend_fs.store_arguments import StoreArguments, translate
from copick_core.errors import ConfigError, UnreachableError
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


# ------------------------------------------------------------------------------------------------------------ connecting


class HostKeyNotVerifiable(Exception):  # noqa: N818 - the name is what counts
    """As that of asyncssh."""


def test_a_server_whose_key_is_unknown_says_how_to_make_it_known(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Connection("memory://me:hush@lab", {})

    async def refuse(live: Live) -> None:
        raise HostKeyNotVerifiable("no trusted key")

    with pytest.raises(ConfigError) as raised:
        made.ask(refuse)

    assert raised.value.source == "memory://me:***@lab"
    assert raised.value.reason == (
        "the server's key cannot be verified (no trusted key). Log in once with ssh, which stores it in "
        f"{connection.known_hosts()}, or give another file as known_hosts in its arguments; null checks nothing"
    )


def test_an_error_that_names_its_place_already_is_raised_as_it_is() -> None:
    made = Connection("memory://place", {}, Limits(field="overlay_root"))
    error = UnreachableError(location="elsewhere", reason="down", field="")

    async def refuse(live: Live) -> None:
        raise error

    with pytest.raises(UnreachableError) as raised:
        made.ask(refuse)
    assert raised.value is error


@pytest.mark.parametrize(("there", "given"), [(True, {}), (True, {"known_hosts": None}), (False, {})])
def test_keys_of_servers_are_those_of_the_user_unless_others_are_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool, given: dict[str, Any]
) -> None:
    hosts = tmp_path / "known_hosts"
    if there:
        hosts.write_text("")
    monkeypatch.setattr(connection, "known_hosts", lambda: str(hosts))
    made = Connection("ssh://lab/project", given)

    args = _arguments(made, monkeypatch)

    assert args == {"skip_instance_cache": True, **({"known_hosts": str(hosts)} if there else {}), **given}


@pytest.mark.parametrize("given", [{}, {"share_access": "r"}])
def test_who_reads_a_file_of_a_share_locks_out_nobody_unless_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    made = Connection("smb://lab/project", given)

    assert _arguments(made, monkeypatch) == {"skip_instance_cache": True, "share_access": "rwd", **given}


def test_pools_are_as_large_as_the_number_of_requests_at_once_unless_another_one_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for given, size in (({}, CONCURRENCY), ({"config_kwargs": {"max_pool_connections": 3}}, 3)):
        args = _arguments(Connection("s3://lab", given), monkeypatch)
        assert args == {"skip_instance_cache": True, "config_kwargs": {"max_pool_connections": size}}


def _arguments(made: Connection, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the file system is made with."""
    found: list[dict[str, Any]] = []

    def url_to_fs(url: str, **args: Any) -> Any:
        found.append(args)
        assert url == made.url
        return SimpleNamespace(async_impl=False, session=object(), kwargs={}), "/"

    monkeypatch.setattr("fsspec.core.url_to_fs", url_to_fs)
    live = made._connect()
    assert (live.root, live.slots._value) == ("/", CONCURRENCY // 4)
    (args,) = found
    return args


def test_nothing_that_is_listed_is_remembered_by_the_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SimpleNamespace(use_listings_cache=True, cleared=[])
    cache.clear = lambda: cache.cleared.append(1)
    fs = SimpleNamespace(async_impl=True, dircache=cache)
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url, **args: (fs, "lab/"))

    live = Connection("https://lab", {})._connect()

    assert (cache.use_listings_cache, cache.cleared) == (False, [1])
    assert (live.root, live.slots._value, type(live.files)) == ("lab", CONCURRENCY, RemoteFiles)


class DisconnectError(Exception):
    """As that of asyncssh."""


class PermissionDenied(DisconnectError):  # noqa: N818 - the name is what counts
    """As that of asyncssh, which is an answer."""


class SMBAuthenticationError(Exception):
    """As that of smbprotocol."""


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        (DisconnectError("bye"), True),
        (PermissionDenied("no"), False),
        (SMBAuthenticationError("No username or password was specified"), True),
        (SMBAuthenticationError("wrong password"), False),
        (OSError("Socket is closed"), True),
        (OSError(errno.EBADF, "closed"), True),
        (OSError("another reason"), False),
    ],
)
def test_errors_of_libraries_say_whether_the_connection_is_gone(error: Exception, broken: bool) -> None:
    outer = ValueError("around it")
    outer.__cause__ = error

    assert is_broken_connection(error) is broken
    assert is_broken_connection(outer) is broken
