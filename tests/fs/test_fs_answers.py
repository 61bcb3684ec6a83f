"""What errors of servers mean, how long anybody waits, and where entities of a project lie."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pickle
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import copick_core
from copick_backend_fs import live as asking
from copick_backend_fs import mounts, records
from copick_backend_fs.bucket_layer import _seconds
from copick_backend_fs.config import Limits
from copick_backend_fs.connection import Connection, server
from copick_backend_fs.files import PreconditionFailedError, together
from copick_backend_fs.guess import _in_archive, _location_of, _spread, guess
from copick_backend_fs.layer import open_layer
from copick_backend_fs.live import Live, _as_usual, do, hang_up, in_time, is_alive, refusal_of
from copick_backend_fs.records import LEASE, UNREADABLE, Record, decode, record_of, volume_of
from copick_backend_fs.secrets import without_secrets
from copick_backend_fs.store_arguments import translate
from copick_backend_fs.volumes import LocalVolume, RemoteVolume
from copick_backend_fs.writers import host, is_dead, started
from copick_core.errors import ConfigError, UnreachableError
from copick_core.layers.byte_ranges import limits
from copick_core.tree.keys import PicksKey, RunKey
from support.objects import OBJECTS

PROTOTYPE = default_buffer_prototype()


def buffer(data: bytes) -> Any:
    return PROTOTYPE.buffer.from_bytes(data)


# --------------------------------------------------------------------------------------------------------------- errors


class ShareError(OSError):
    """As those of smbprotocol: one class for all numbers."""

    def __init__(self, number: int, ntstatus: int = 0) -> None:
        super().__init__(number, "refused", "share/file")
        self.ntstatus = ntstatus


@pytest.mark.parametrize(
    ("error", "usual"),
    [
        (ShareError(errno.ENOENT), FileNotFoundError),
        (ShareError(0, 0xC0000033), FileNotFoundError),
        (ShareError(0, 0xC0000022), PermissionError),
        (ShareError(0, 0xC0000056), FileNotFoundError),
        (ShareError(errno.EIO), None),
        (FileNotFoundError(errno.ENOENT, "missing", "a"), None),
        (OSError("without a number"), None),
        (ValueError("no error of a system"), None),
    ],
)
def test_an_error_is_raised_as_every_file_system_does(error: Exception, usual: type[OSError] | None) -> None:
    found = _as_usual(error, ["argument"])

    assert (found and type(found)) == usual
    if found is not None:
        assert (found.strerror, found.filename) == (os.strerror(found.errno), "share/file")


def test_an_error_without_a_name_is_named_by_what_was_asked_for() -> None:
    error = ShareError(errno.ENOENT)
    error.filename = None

    assert [getattr(_as_usual(error, args), "filename", 0) for args in (["a", "b"], [])] == ["a", None]


def refusal(status: int, url: str) -> Exception:
    error = ValueError("refused")
    error.status, error.request_info = status, SimpleNamespace(real_url=url)  # type: ignore[attr-defined]
    return error


def test_what_a_web_server_refuses_is_a_refusal_with_the_way_out() -> None:
    file, folder = "http://someone:hush@lab/a", "http://lab/a/"
    gone = refusal_of(refusal(410, file))

    assert isinstance(gone, FileNotFoundError)
    assert gone.filename == "http://someone:***@lab/a"
    for status in (401, 403):
        found = refusal_of(refusal(status, file))
        assert isinstance(found, PermissionError)
        assert found.errno == errno.EACCES
        assert f"(HTTP status {status}); check the arguments" in found.strerror
        assert "lists no folders" not in found.strerror
        assert ("lists no folders" in refusal_of(refusal(status, folder)).strerror) is (status == 403)  # type: ignore[union-attr]
    assert refusal_of(refusal(404, file)) is refusal_of(refusal(500, file)) is refusal_of(ValueError()) is None


def test_secrets_of_a_location_are_in_no_error() -> None:
    url = "ssh://me:hush@host/a::ssh://you:quiet@host/b"
    plain = ValueError("nothing to hide")
    cause = ValueError("of hush")
    outer = ValueError("around it", 7)
    outer.__cause__ = cause

    assert without_secrets(plain, url) is plain
    assert without_secrets(ValueError("hush"), "ssh://host/a").args == ("hush",)
    shown = without_secrets(ValueError("hush and quiet", 7), url)
    assert (type(shown), shown.args) == (ValueError, ("*** and ***", 7))
    assert without_secrets(outer, url) is not outer
    of_system = without_secrets(FileNotFoundError(errno.ENOENT, "no hush", "/quiet"), url)
    assert (type(of_system), of_system.args, of_system.filename) == (FileNotFoundError, (errno.ENOENT, "no ***"), "/***")  # type: ignore[attr-defined]
    assert type(without_secrets(UnreachableError(location="hush", reason="x", field=""), url)) is OSError


def test_of_requests_at_once_the_failure_is_raised_when_none_is_under_way() -> None:
    done = []

    async def slow() -> None:
        await asyncio.sleep(0.05)
        done.append(1)

    async def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(together([fail(), slow()]))
    assert done == [1]


# -------------------------------------------------------------------------------------------------------------- waiting


class Plain:
    """A file system that is asked on threads, as those over SSH and SMB are."""

    async_impl = False

    def __init__(self) -> None:
        self.called: list[Any] = []
        self.error: Exception | None = None
        self.closed = threading.Event()
        self.client = SimpleNamespace(close=self.closed.set)

    def info(self, path: str) -> dict[str, Any]:
        self.called.append(path)
        if self.error is not None:
            raise self.error
        return {"name": path}


class SFTPFileSystem(Plain):
    """The name is what counts."""


def live_of(fs: Any, files: Any = None) -> Live:
    files = files or SimpleNamespace(ask_something=asking.ask_beside)
    return Live(fs, "root", asyncio.Semaphore(2), files, os.getpid())


@pytest.mark.parametrize(
    ("ntstatus", "attempts"), [(0xC0000043, 7), (0xC0000054, 7), (0xC0000056, 7), (0xC0000022, 4), (0xC0000034, 1), (0, 1)]
)
def test_what_a_share_refuses_for_a_moment_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, ntstatus: int, attempts: int
) -> None:
    tried, waited = [], []

    def refused(path: str) -> None:
        tried.append(path)
        raise ShareError(errno.EIO, ntstatus)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asking.asyncio, "sleep", sleep)
    with pytest.raises(OSError, match="share/file"):
        asyncio.run(in_time(live_of(Plain()), refused, "a"))

    assert len(tried) == attempts
    assert waited == [0.02 * 2**n for n in range(1, attempts)]


def test_what_passes_is_answered() -> None:
    answers: list[Any] = [ShareError(errno.EIO, 0xC0000043), {"name": "a"}]

    def answer(path: str) -> Any:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    assert asyncio.run(in_time(live_of(Plain()), answer, "a")) == {"name": "a"}


def test_a_method_is_called_as_the_file_system_has_it() -> None:
    class Both(Plain):
        async_impl = True

        async def _info(self, path: str, **kwargs: Any) -> Any:
            if path == "missing":
                raise ShareError(errno.ENOENT)
            if path == "broken":
                raise ShareError(errno.EIO)
            return {"name": path, "async": True, **kwargs}

        def only_here(self, path: str) -> str:
            return path

    async def asked() -> list[Any]:
        live = live_of(Both())
        return [await do(live, "info", "a", detail=1), await do(live, "only_here", "b")]

    assert asyncio.run(asked()) == [{"name": "a", "async": True, "detail": 1}, "b"]
    with pytest.raises(FileNotFoundError):
        asyncio.run(do(live_of(Both()), "info", "missing"))
    with pytest.raises(ShareError):
        asyncio.run(do(live_of(Both()), "info", "broken"))


@pytest.mark.parametrize(
    ("error", "alive"),
    [(None, True), (PermissionError("refused"), True), (ConnectionResetError(), False), (EOFError(), False)],
)
def test_a_server_that_answers_anything_is_alive(error: Exception | None, alive: bool) -> None:
    fs = Plain()
    fs.error = error

    assert asyncio.run(is_alive(live_of(fs), 5)) is alive
    assert fs.called == ["root"]


def test_a_server_that_says_nothing_is_not_alive() -> None:
    class Silent:
        async def ask_something(self, live: Live) -> None:
            await asyncio.sleep(30)

    began = time.monotonic()

    assert not asyncio.run(is_alive(live_of(Plain(), Silent()), 0.05))
    assert time.monotonic() - began < 5


def test_a_connection_is_ended_where_threads_of_its_library_would_wait() -> None:
    ssh, other = SFTPFileSystem(), Plain()

    hang_up(live_of(ssh))
    hang_up(live_of(other))

    assert ssh.closed.wait(10)
    assert not other.closed.is_set()


def memory(**given: Any) -> Connection:
    return Connection("memory://answers", {}, Limits(**given))


def hanging(connection: Connection, monkeypatch: pytest.MonkeyPatch, *, answers: bool) -> None:
    """Let the server answer nothing, or nothing but small questions."""

    async def ask_something(live: Live) -> None:
        if not answers:
            await asyncio.sleep(30)

    monkeypatch.setattr(connection.live.files, "ask_something", ask_something)


async def wait_long(live: Live) -> str:
    await asyncio.sleep(0.8)
    return "done"


def test_a_call_goes_on_as_long_as_the_server_answers_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = memory(seconds=0.3)
    hanging(connection, monkeypatch, answers=True)

    assert connection.ask(wait_long) == "done"


def test_a_server_that_answers_nothing_else_is_given_up_and_not_asked_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = memory(seconds=0.6, forgets=30, field="overlay_root")
    hanging(connection, monkeypatch, answers=False)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match=r"no answer for 0\.4 seconds") as first:
        connection.ask(wait_long)
    waited = time.monotonic() - began

    with pytest.raises(
        UnreachableError, match=r"a moment ago; it is asked again in (30|29) seconds, or after reconnect\(\)"
    ) as again:
        connection.ask(wait_long)

    assert 0.3 < waited < 5
    for error in (first.value, again.value):
        assert (error.location, error.field) == ("memory://answers", "overlay_root")
    connection.renew()
    assert connection.ask(wait_long) == "done"


def test_a_place_that_is_always_asked_is_never_given_up_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = memory(seconds=0.3, forgets=0)
    hanging(connection, monkeypatch, answers=False)
    with pytest.raises(UnreachableError):
        connection.ask(wait_long)

    assert connection.ask(wait_long) == "done"  # over a new connection


@pytest.mark.parametrize("way", ["ask", "ask_async"])
def test_a_call_over_a_broken_connection_is_made_once_more_over_a_new_one(way: str) -> None:
    connection = memory()
    seen: list[Live] = []

    async def question(live: Live, *, failures: int) -> str:
        seen.append(live)
        if len(seen) <= failures:
            raise ConnectionResetError("gone")
        return "done"

    def ask(**given: Any) -> Any:
        if way == "ask":
            return connection.ask(question, **given)
        return asyncio.run(connection.ask_async(question, **given))

    assert ask(failures=1) == "done"
    assert len(seen) == 2
    assert seen[0] is not seen[1]
    seen.clear()
    with pytest.raises(UnreachableError, match="gone"):
        ask(failures=2)
    assert len(seen) == 2


@pytest.mark.parametrize("way", ["ask", "ask_async"])
def test_an_answer_that_is_no_is_not_asked_for_again(way: str) -> None:
    connection = memory()
    seen = []

    async def refuse(live: Live) -> None:
        seen.append(live)
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        connection.ask(refuse) if way == "ask" else asyncio.run(connection.ask_async(refuse))
    assert len(seen) == 1


def test_an_argument_that_a_file_system_does_not_have_is_named_by_its_field() -> None:
    async def refuse(live: Live) -> None:
        raise TypeError("request() got an unexpected keyword argument 'colour'")

    for field, shown in (("static_root", "static_fs_args"), ("", "overlay_fs_args, static_fs_args")):
        with pytest.raises(ConfigError, match="colour") as raised:
            memory(field=field).ask(refuse)
        assert raised.value.source == "memory://answers"
        assert raised.value.reason.startswith(f"an argument of its file system ({shown}) is unknown")


def test_a_connection_is_sent_to_other_processes_without_what_is_open() -> None:
    connection = memory(seconds=3)
    assert connection.live is connection.live

    sent = pickle.loads(pickle.dumps(connection))

    assert (sent._live, sent._given_up, sent.url, sent._limits) == (None, None, "memory://answers", Limits(3))
    assert repr(Connection("s3://a:b@lab", {})) == "<Connection to s3://a:***@lab>"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({}, ()),
        ({"endpoint_url": "a", "client_kwargs": {"endpoint_url": "b"}}, ("a",)),
        ({"client_kwargs": {"endpoint_url": "b"}}, ("b",)),
        ({"account_name": "me"}, ("me",)),
        ({"host": "h", "port": 22}, ("h", "22")),
    ],
)
def test_the_server_of_a_location_is_what_its_arguments_tell(args: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert server(args) == expected


# --------------------------------------------------------------------------------------------------------------- stores


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (None, (None, None)),
        (RangeByteRequest(2, 5), (2, 5)),
        (OffsetByteRequest(7), (7, None)),
        (SuffixByteRequest(3), (-3, None)),
    ],
)
def test_a_part_of_a_value_is_told_by_its_first_byte_and_the_one_after_its_last(part: Any, expected: tuple[Any, Any]) -> None:
    assert limits(part) == expected


def test_what_is_no_part_of_a_value_is_refused() -> None:
    with pytest.raises(TypeError, match="'2-5' is not a byte range"):
        limits("2-5")  # type: ignore[arg-type]


def test_stores_are_equal_where_they_are_of_one_volume_and_may_do_the_same() -> None:
    one, other = memory(), Connection("memory://elsewhere", {})
    store = RemoteVolume(one, "v")

    assert store == RemoteVolume(memory(), "v")
    others: list[Any] = [RemoteVolume(one, "w"), RemoteVolume(other, "v"), store.with_read_only(True), "v"]
    assert all(store != another for another in others)
    assert (store.supports_writes, store.supports_deletes, store.supports_listing) == (True, True, True)
    assert repr(store) == "<RemoteVolume v on <Connection to memory://answers>>"
    assert not store.with_read_only(True).with_read_only().read_only


def test_what_one_process_knows_alone_is_not_sent_to_another() -> None:
    store = RemoteVolume(memory(), "sent", written={"a"})
    assert sync(store.exists("a"))

    sent = pickle.loads(pickle.dumps(store))

    assert (sent._written, store._written, sent._ahead) == (None, None, {})
    assert not sync(sent.exists("a"))


def test_what_is_known_of_a_new_volume_is_what_was_written_to_it() -> None:
    store = RemoteVolume(memory(), "known", written=set())
    sync(store.set("0/a", buffer(b"1")))
    sync(store.set("0x/b", buffer(b"2")))

    assert [sync(store.is_empty(prefix)) for prefix in ("", "0", "0/", "0x", "1")] == [False, False, False, False, True]
    sync(store.delete("0/a"))
    assert (sync(store.exists("0/a")), sync(store.is_empty("0"))) == (False, True)
    sync(store.set("0/a", buffer(b"1")))
    sync(store.delete_dir("0"))
    assert (sync(store.exists("0/a")), sync(store.exists("0x/b"))) == (False, True)
    sync(store.clear())
    assert (store._written, [*sync(_listed(store))]) == (set(), [])


async def _listed(store: RemoteVolume) -> list[str]:
    return [name async for name in store.list()]


@pytest.mark.parametrize("call", ["set", "set_file", "delete", "delete_dir", "clear"])
def test_a_read_only_store_refuses_every_change(call: str) -> None:
    store = RemoteVolume(memory(), "v", read_only=True)
    arguments: dict[str, list[Any]] = {"set": ["a", buffer(b"1")], "set_file": ["a", None], "clear": []}

    with pytest.raises(ValueError, match="read-only"):
        sync(getattr(store, call)(*arguments.get(call, ["a"])))


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EMLINK, errno.ENOTSUP])
def test_where_there_are_no_links_a_value_is_stored_unless_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    store = LocalVolume(tmp_path)

    sync(store.set_if_not_exists("a", buffer(b"1")))
    sync(store.set_if_not_exists("a", buffer(b"2")))

    assert (tmp_path / "a").read_bytes() == b"1"


def test_another_error_of_storing_a_new_value_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "hardlink_to", refuse)

    with pytest.raises(OSError, match="full"):
        sync(LocalVolume(tmp_path).set_if_not_exists("a", buffer(b"1")))
    assert not (tmp_path / "a").exists()


# -------------------------------------------------------------------------------------------------------------- records


def test_a_record_is_of_a_dead_writer_after_its_lease_or_when_its_process_has_ended() -> None:
    mine = Record.of_this_process("replace", "staged", "zarr.json")
    fields = {**mine.__dict__}
    elsewhere = {**fields, "host": "elsewhere"}

    assert (mine.staged, mine.last, mine.kind) == ("staged", "zarr.json", "replace")
    assert abs(mine.since - time.time()) < 60 > abs(mine.renewed - time.time())
    assert not mine.is_abandoned
    assert not Record(**{**elsewhere, "process": 0, "renewed": time.time() - LEASE + 5}).is_abandoned
    assert Record(**{**elsewhere, "renewed": time.time() - LEASE - 1}).is_abandoned
    assert Record(**{**fields, "process": 2**22 + 1}).is_abandoned
    assert Record(**{**fields, "started": "1"}).is_abandoned
    assert UNREADABLE.is_abandoned


def test_a_record_that_is_taken_over_says_by_whom() -> None:
    theirs = Record("staged", "zarr.json", "them", "elsewhere", 1, "1", 5.0, 6.0, "new")

    mine = theirs.taken_over()

    assert (mine.staged, mine.last, mine.since, mine.kind) == ("staged", "zarr.json", 5.0, "new")
    assert (mine.host, mine.process, mine.started) == (host(), os.getpid(), started(os.getpid()))
    assert mine.owner != "them"
    assert not mine.is_abandoned
    assert theirs.taken_over().owner != mine.owner


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"{", b'{"staged": 1}', json.dumps({**UNREADABLE.__dict__, "more": 1}).encode()]
)
def test_what_is_no_record_is_none(data: bytes) -> None:
    assert decode(data) is None
    assert decode(UNREADABLE.encoded()) == UNREADABLE


def test_a_record_lies_beside_its_volume() -> None:
    assert record_of("a/b/v.zarr") == f"a/b/{records.PREFIX}v.zarr"
    assert volume_of(record_of("a/b/v.zarr")) == "a/b/v.zarr"


def test_a_process_is_dead_if_none_of_this_machine_started_then() -> None:
    me = os.getpid()

    assert started(me) != started(2**22 + 1) == ""
    assert not is_dead(host(), me, started(me))
    assert is_dead(host(), me, "1")
    assert is_dead(host(), 2**22 + 1, "1")
    assert not is_dead("elsewhere", 2**22 + 1, "1")


# --------------------------------------------------------------------------------------------------------------- mounts


def test_of_several_who_make_a_file_of_a_mount_one_does(tmp_path: Path) -> None:
    files, live = mounts.MountFiles(), Connection(f"file://{tmp_path}", {}).live
    path = str(tmp_path / "a")

    assert asyncio.run(files.write_if(live, path, b"1", None)) == b"1"
    with pytest.raises(PreconditionFailedError) as raised:
        asyncio.run(files.write_if(live, path, b"2", None))

    assert not raised.value.repeated
    assert Path(path).read_bytes() == b"1"
    assert (files.writes_whole, files.protocol) == (True, "file")


def test_a_mount_refuses_what_it_refuses_of_an_empty_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not mounts._refuses(str(tmp_path))
    assert not mounts._refuses(str(tmp_path / "none"))
    for number, refuses in ((errno.EXDEV, True), (errno.ENOSPC, False)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", _failing(number))
            assert mounts._refuses(str(tmp_path)) is refuses
    assert os.listdir(tmp_path) == []


def _failing(number: int) -> Any:
    def rename(source: str, target: str) -> None:
        raise OSError(number, os.strerror(number))

    return rename


def test_a_device_is_of_fuse_if_its_mounts_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = tmp_path / "mountinfo"
    mounted.write_text(
        "36 35 0:98 / /a rw - fuse.gcsfuse bucket rw\n"
        "37 35 0:99 / /b rw - ext4 /dev/x rw\n"
        "38 35 0:97 / /fuse rw - tmpfs fuse rw\n"
    )
    monkeypatch.setattr("builtins.open", lambda path, _open=open: _open(mounted))

    assert [mounts.is_fuse.__wrapped__(os.makedev(0, number)) for number in (98, 99, 97, 96)] == [True, False, False, False]
    mounted.unlink()
    assert not mounts.is_fuse.__wrapped__(os.makedev(0, 98))


# ------------------------------------------------------------------------------------------------------------ arguments

ACCOUNT = "AccountName=mine;"


@pytest.mark.parametrize(
    ("text", "config", "client"),
    [
        (f"{ACCOUNT}AccountKey=a=b==", {"account_name": "mine", "account_key": "a=b=="}, {}),
        (f"{ACCOUNT}SharedAccessSignature=?sv=1", {"account_name": "mine", "sas_key": "sv=1"}, {}),
        (
            f"DefaultEndpointsProtocol=https;{ACCOUNT}AccountKey=a;EndpointSuffix=core.windows.net",
            {"account_name": "mine", "account_key": "a"},
            {},
        ),
        (
            f"DefaultEndpointsProtocol=http;{ACCOUNT}AccountKey=a;BlobEndpoint=http://lab/mine/;QueueEndpoint=x;",
            {"account_name": "mine", "account_key": "a", "endpoint": "http://lab/mine"},
            {"allow_http": True},
        ),
        (
            f"{ACCOUNT}AccountKey=a;BlobEndpoint=https://lab/mine",
            {"account_name": "mine", "account_key": "a", "endpoint": "https://lab/mine"},
            {},
        ),
    ],
)
def test_a_connection_string_of_azure_is_translated(text: str, config: dict[str, Any], client: dict[str, Any]) -> None:
    found = translate("az://lab", {"connection_string": text})

    assert found is not None
    assert (found.store, found.filesystem, found.bucket) == ("AzureStore", "AzureBlobFileSystem", "lab")
    assert (found.config, found.client) == (config, client)


@pytest.mark.parametrize(
    "text",
    [
        "AccountKey=a",
        ACCOUNT,
        f"{ACCOUNT}AccountKey=a;SharedAccessSignature=b",
        f"{ACCOUNT}AccountKey=a;More=b",
        f"DefaultEndpointsProtocol=http;{ACCOUNT}AccountKey=a",
        f"{ACCOUNT}AccountKey=a;EndpointSuffix=core.chinacloudapi.cn",
    ],
)
def test_a_connection_string_that_says_more_or_less_is_left_to_fsspec(text: str) -> None:
    assert translate("az://lab", {"connection_string": text}) is None


@pytest.mark.parametrize(
    ("args", "config"),
    [
        ({"account_key": "a"}, {"account_key": "a"}),
        ({"sas_token": "?sv=1"}, {"sas_key": "sv=1"}),
        ({"anon": True}, {"skip_signature": True}),
        (
            {"tenant_id": "t", "client_id": "c", "client_secret": "s"},
            {"tenant_id": "t", "client_id": "c", "client_secret": "s"},
        ),
    ],
)
def test_accounts_of_azure_are_translated(args: dict[str, Any], config: dict[str, Any]) -> None:
    found = translate("abfs://lab/project", {"account_name": "mine", **args})

    assert found is not None
    assert (found.store, found.config) == ("AzureStore", {"account_name": "mine", **config})
    assert translate("az://lab", {**args}) is None
    assert translate("az://lab", {"account_name": "mine", **args, "more": 1}) is None


def test_without_botocore_nobody_looks_up_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    assert translate("s3://lab", {"endpoint_url": "https://s3.lab.org"}) is None


def test_a_store_waits_and_repeats_as_it_is_told() -> None:
    found = translate("gs://lab", {"token": "anon"})

    assert found is not None
    assert (found.retries, found.connections) == (5, 64)
    shown = repr(found.open(retries=0))
    assert "GCSStore" in shown


# ---------------------------------------------------------------------------------------------------------------- guess


@pytest.mark.parametrize(
    ("count", "expected"), [(2, [0, 9]), (3, [0, 4, 9]), (4, [0, 3, 6, 9]), (10, [*range(10)]), (11, [*range(10)])]
)
def test_runs_that_are_looked_at_are_spread_evenly(count: int, expected: list[int]) -> None:
    runs = [RunKey(f"{n}") for n in range(10)]

    assert [int(run.name) for run in _spread(runs, count)] == expected


def packed(path: Path, *names: str) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return str(path)


def test_a_project_is_found_at_the_top_of_an_archive_or_in_its_one_folder(tmp_path: Path) -> None:
    top = packed(tmp_path / "top.zip", "ExperimentRuns/TS_1/a", "Objects/b")
    below = packed(tmp_path / "below.zip", "lab/ExperimentRuns/TS_1/a", "lab/notes")
    two = packed(tmp_path / "two.zip", "a/ExperimentRuns/x", "b/Objects/x")
    deep = packed(tmp_path / "deep.zip", "a/b/ExperimentRuns/x")
    (tmp_path / "no.zip").write_text("no archive")

    assert [_in_archive(path) for path in (top, below)] == [f"zip://::{top}", f"zip://lab::{below}"]
    assert [_in_archive(path) for path in (two, deep, str(tmp_path / "no.zip"))] == [None] * 3


def test_a_location_is_a_folder_an_archive_or_a_url(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", "ExperimentRuns/TS_1/a")

    assert _location_of(str(tmp_path)) == str(tmp_path)
    assert _location_of(archive) == f"zip://::{archive}"
    assert _location_of(str(tmp_path / "none")) is None
    assert _location_of("s3://lab/a.ZIP") == "zip://::s3://lab/a.ZIP"
    assert _location_of("zip://::s3://lab/a.zip") == "zip://::s3://lab/a.zip"
    assert _location_of("s3://lab/a") == "s3://lab/a"


def test_a_guess_of_a_folder_names_its_objects_in_order(tmp_path: Path) -> None:
    root = copick_core.open({"config_type": "filesystem", "overlay_root": str(tmp_path / "p"), "pickable_objects": OBJECTS})
    run = root.new_run("TS_1")
    run.new_picks("ribosome", "1", "alice").from_numpy([[1, 2, 3]])
    import trimesh

    run.new_mesh("membrane", "1", "alice", mesh=trimesh.creation.box())

    found = guess(f"{tmp_path / 'p'}/")

    assert found == {
        "overlay_root": f"{tmp_path / 'p'}",
        "name": "p",
        "description": "",
        "pickable_objects": [
            {"name": "membrane", "is_particle": False, "label": 1},
            {"name": "ribosome", "is_particle": True, "label": 2},
        ],
    }
    assert guess(str(tmp_path)) is None


# ---------------------------------------------------------------------------------------------------------------- paths


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    roots = {"overlay_root": str(tmp_path / "overlay"), "static_root": str(tmp_path / "static")}
    return {"config_type": "filesystem", **roots, "pickable_objects": OBJECTS, "user_id": "alice"}


def test_an_entity_knows_where_it_lies_or_would_lie_in_either_location(config: dict[str, Any], tmp_path: Path) -> None:
    root: Any = copick_core.open(config)
    picks = root.new_run("TS_1").new_picks("ribosome", "1")
    below = "ExperimentRuns/TS_1/Picks/alice_1_ribosome"

    assert picks.path == picks.overlay_path == str(tmp_path / "overlay" / f"{below}.json")
    assert picks.static_path == str(tmp_path / "static" / f"{below}.json")
    assert (picks.overlay_stem, picks.static_stem) == (str(tmp_path / "overlay" / below), str(tmp_path / "static" / below))
    assert picks.directory == f"{tmp_path / 'overlay'}/ExperimentRuns/TS_1/Picks/"
    assert picks.filename == "alice_1_ribosome.json"
    assert picks.fs.exists(picks.path)
    assert picks.fs_overlay.exists(picks.path)
    assert not picks.fs_static.exists(picks.static_path)
    assert (picks.static_is_overlay, root.static_is_overlay) == (False, False)
    assert (root.root_static, root.root_overlay) == (str(tmp_path / "static"), str(tmp_path / "overlay"))


@pytest.mark.parametrize(("field", "other"), [("overlay_root", "static"), ("static_root", "overlay")])
def test_a_project_with_one_location_has_no_other(config: dict[str, Any], field: str, other: str) -> None:
    root: Any = copick_core.open({name: value for name, value in config.items() if name != field})
    key = PicksKey("TS_1", "ribosome", "alice", "1")

    if field == "static_root":
        assert (root.static_is_overlay, root.root_static) == (True, root.root_overlay)
        assert type(root.fs_static) is type(root.fs_overlay)
        picks = root.new_run("TS_1").new_picks("ribosome", "1")
        assert (picks.static_path, picks.static_is_overlay) == (picks.overlay_path, True)
    else:
        assert (root.static_is_overlay, root.root_overlay, root.fs_overlay) == (False, None, None)
        assert root.root_static == config["static_root"]
    assert key.object_name == "ribosome"


def test_volumes_lose_their_suffix_too(config: dict[str, Any], tmp_path: Path) -> None:
    root: Any = copick_core.open(config)
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    place = tmp_path / "overlay" / "ExperimentRuns" / "TS_1" / "VoxelSpacing10.000"

    assert (tomogram.path, tomogram.overlay_stem) == (str(place / "wbp.zarr"), str(place / "wbp"))
    assert root.get_object("ribosome").path == str(tmp_path / "overlay" / "Objects" / "ribosome.zarr")
    assert (root.get_run("TS_1").filename, tomogram.voxel_spacing.filename) == ("TS_1", "VoxelSpacing10.000")


@pytest.mark.parametrize(("value", "expected"), [(5, 5.0), (5.5, 5.5), ("5", None), (None, None)])
def test_a_time_is_seconds(value: object, expected: float | None) -> None:
    assert _seconds(value) == expected


def test_a_location_that_is_a_file_says_what_to_write(tmp_path: Path) -> None:
    for name, way_out in (
        ("a.zip", f". For what is in an archive, write zip://::{tmp_path / 'a.zip'} as static_root"),
        ("a", ""),
    ):
        (tmp_path / name).write_text("")
        with pytest.raises(ConfigError) as raised:
            open_layer("overlay", str(tmp_path / name))
        assert raised.value.source == str(tmp_path / name)
        assert raised.value.reason == f"it is a file, not a folder{way_out}"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("zip:///a.zip", "write the location of an archive as zip://::ARCHIVE, or zip://FOLDER::ARCHIVE for a folder in it"),
        ("zip://::/a.zip", "zip:// cannot be written to; use it as static_root"),
        ("http://lab/a", "http:// cannot be written to; use it as static_root"),
    ],
)
def test_a_location_that_cannot_be_written_or_is_spelt_otherwise_says_how(url: str, reason: str) -> None:
    with pytest.raises(ConfigError) as raised:
        open_layer("overlay", url)

    assert (raised.value.source, raised.value.reason) == (url, reason)


# -------------------------------------------------------------------------------------------------------------- threads


@pytest.mark.parametrize("what", ["connecting", "asking beside", "hanging up"])
def test_no_thread_that_waits_for_a_server_keeps_a_process_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    answered = threading.Event()
    before = {*threading.enumerate()}

    def wait(*args: Any) -> None:
        answered.wait(20)

    if what == "connecting":
        connection = Connection(f"file://{tmp_path}", {}, Limits(seconds=0.15))
        monkeypatch.setattr(connection, "_connect", wait)
        with pytest.raises(UnreachableError, match="no answer in time"):
            connection.live  # noqa: B018 - connecting is what fails
    else:
        fs = SFTPFileSystem()
        monkeypatch.setattr(fs, "info", wait)
        fs.client = SimpleNamespace(close=wait)
        if what == "asking beside":
            assert not asyncio.run(is_alive(live_of(fs), 0.05))
        else:
            hang_up(live_of(fs))
    waiting = {*threading.enumerate()} - before
    answered.set()

    assert waiting
    assert all(thread.daemon for thread in waiting)
