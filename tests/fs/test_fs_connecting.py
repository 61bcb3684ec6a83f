"""What connections are made with, and what they say of places that they do not reach."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from copick_backend_fs import connection
from copick_backend_fs.config import Limits
from copick_backend_fs.connection import CONCURRENCY, Connection
from copick_backend_fs.files import RemoteFiles
from copick_backend_fs.live import Live, is_broken_connection
from copick_core.errors import ConfigError, UnreachableError


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


@pytest.mark.parametrize(
    ("error", "cause", "reason"),
    [
        (ConnectionResetError("gone"), None, "gone"),
        (EOFError(), ValueError("of the library"), "of the library"),
        (TimeoutError(), None, "no answer in time"),
        (EOFError(), None, "EOFError"),
        (ConnectionResetError(), None, "ConnectionResetError"),
    ],
)
def test_a_place_that_is_not_reached_says_why(error: Exception, cause: Exception | None, reason: str) -> None:
    async def fail(live: Live) -> None:
        raise error from cause

    with pytest.raises(UnreachableError) as raised:
        Connection("memory://place", {}, Limits(field="overlay_root")).ask(fail)

    told = raised.value
    assert (told.location, told.reason, told.field) == ("memory://place", reason, "overlay_root")
    assert told.__cause__ is error or isinstance(error, TimeoutError)  # fsspec puts one of its own in its place


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
