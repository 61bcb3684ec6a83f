"""A server as a process: started, killed with all that it has started, started again on the same port."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

_PATIENCE = 30.0


class MissingServerError(Exception):
    """What a server needs is not on this machine; the reason is for the one who reads why a test was skipped."""


class Server:
    """One server; subclasses say which.

    Args:
        folder: An empty folder, for its configuration, state and files.

    Attributes:
        folder: That folder.
        port: Its port, the same after each start.
    """

    #: How it is killed; all that it has started is killed with it.
    signal = signal.SIGKILL
    #: Whether it keeps its files when it is killed.
    restarts = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = unused_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.prepare()

    @property
    def url(self) -> str:
        """Location of an empty project."""
        raise NotImplementedError

    @property
    def fs_args(self) -> dict[str, Any]:
        """Arguments of that location's file system."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Write the configuration.

        Raises:
            MissingServerError: The server is not installed, or cannot run as this user.
        """
        raise NotImplementedError

    def command(self) -> list[str]:
        """What starts the server in the foreground."""
        raise NotImplementedError

    def read(self, path: str) -> bytes:
        """Read a file of the project past everything that is tested."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_this_process,
            )
        end = time.monotonic() + _PATIENCE
        while not listens(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"{self.command()[0]} did not start:\n{(self.folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server and every process that it has started, as a machine that loses its power does."""
        if self._process is None:
            return
        for process in [self._process.pid, *descendants(self._process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, self.signal)
        self._process.wait()
        self._process = None

    @property
    def process_id(self) -> int:
        """The server's process, which runs."""
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def restart(self) -> None:
        """Kill the server and start it again."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def executable(*names: str, package: str) -> str:
    """Path of the first of some programs that is there.

    Raises:
        MissingServerError: None is.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/lib/openssh"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    raise MissingServerError(f"{names[0]} is not installed ({package}; .ci/full installs it)")


def unused_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end_with_this_process() -> None:
    """Let a server end when the process that started it does, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@contextlib.contextmanager
def stopped(process: int) -> Iterator[None]:
    """Let a process and all that it has started stop where they are, for a while."""
    processes = [process, *descendants(process)]
    for one in processes:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in processes:
            os.kill(one, signal.SIGCONT)


def descendants(process: int) -> list[int]:
    """Every process that a process has started, and that these have started."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text(errors="replace").rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [*parents.get(process, ())]
    for child in found:
        found += parents.get(child, ())
    return found
