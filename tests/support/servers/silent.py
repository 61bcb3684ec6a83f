"""Hosts that are no use: one that takes connections and says nothing, and a port that nobody listens on."""

from __future__ import annotations

import socket
import threading
from typing import Self

_bound: list[socket.socket] = []


class SilentHost:
    """A host that takes every connection and never says a word, as a machine does whose server hangs.

    Attributes:
        port: Its port of loopback.
        connections: How many connections were made to it.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._socket.getsockname()[1])
        self._taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        return len(self._taken)

    def _take(self) -> None:
        while True:
            try:
                self._taken.append(self._socket.accept()[0])
            except OSError:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for taken in self._taken:
            taken.close()
        self._thread.join()


def unreachable_port() -> int:
    """A port of loopback that refuses connections, and that no server gets while this process lives."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))  # and does not listen
    _bound.append(bound)
    return int(bound.getsockname()[1])
