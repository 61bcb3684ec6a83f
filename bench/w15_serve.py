"""W15: serve all chunks of a tomogram of float32 over HTTP, to four connections at once.

The limit is nginx with the same files. copick 1.31 serves nothing; the reference is what its users have instead, the server
that comes with Python. Memory is that of the server, and the client reads into one buffer for each connection.
"""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from projects import RUN, new_tomogram, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed

from support.servers.nginx import Nginx
from support.servers.process import descendants, listens, unused_port

DEFAULT, SMALL = "chunks of 128 x 128 x 128", "chunks of 64 x 64 x 64"
_SIDES = {DEFAULT: 128, SMALL: 64}
CONNECTIONS = 4
_PATIENCE = 60.0
_STORE = f"ExperimentRuns/{RUN}/VoxelSpacing10.000/wbp.zarr"


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    shape = sizes["depth"], sizes["width"], sizes["width"]
    data = np.random.default_rng(15).standard_normal(shape, np.float32)
    for side in _SIDES.values():
        (folder / str(side)).mkdir()
        new_tomogram(open_project("copick_core", folder / str(side), chunks=[side] * 3)).from_numpy(data, levels=1)
    yield


def ours(job: Job) -> Numbers:
    folder = _folder(job)
    command = [sys.executable, "-m", "copick_core", "serve", "-c", str(folder / "config.json")]
    with _process(command, stdout=subprocess.PIPE) as server:
        url = server.stdout.readline().decode().strip()
        return _measured(job, f"{url}tomogram/{RUN}/wbp@10.0", server.pid)


def limit(job: Job) -> Numbers:
    with tempfile.TemporaryDirectory() as state, Nginx(Path(state)) as server:
        server.project.rmdir()
        server.project.symlink_to(_folder(job) / "project")
        return _measured(job, f"{server.at('unlisted')}/{_STORE}", server.process_id)


def reference(job: Job) -> Numbers:
    port = unused_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--protocol", "HTTP/1.1"]
    with _process(command, cwd=_folder(job) / "project", stdout=subprocess.DEVNULL) as server:
        end = time.monotonic() + _PATIENCE
        while not listens(port) and time.monotonic() < end:
            time.sleep(0.02)
        return _measured(job, f"http://127.0.0.1:{port}/{_STORE}", server.pid)


@contextmanager
def _process(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _folder(job: Job) -> Path:
    return Path(job.folder, str(_SIDES[job.case]))


def _measured(job: Job, url: str, server: int) -> Numbers:
    level = _folder(job) / "project" / _STORE / "0"
    names = sorted(
        str(path.relative_to(level)) for path in level.rglob("*") if path.is_file() and not path.name.startswith(".")
    )
    place = urlsplit(url)

    def fetch(share: Sequence[str]) -> list[tuple[str, int, str]]:
        buffer = bytearray(64 * 2**20)
        found = []
        with socket.create_connection((place.hostname, place.port), timeout=_PATIENCE) as connection:
            for name in share:
                request = f"GET {place.path}/0/{name} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n"
                connection.sendall(request.encode())
                body = _answer(connection, buffer)
                found.append((name, len(body), hashlib.sha1(body[-64:]).hexdigest()))
        return found

    shares = [names[start::CONNECTIONS] for start in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        found, numbers = timed(
            lambda: sorted(one for share in pool.map(fetch, shares) for one in share),
            lambda: [*pool.map(fetch, [names[:1]] * CONNECTIONS)],
        )
    peak = sum(_peak_mib(process) for process in (server, *descendants(server)))
    return {
        **numbers,
        "peak_mib": round(peak, 1),
        "chunks": len(found),
        "MB": round(sum(n for _, n, _ in found) / 1e6),
        "check": found,
    }


def _answer(connection: socket.socket, buffer: bytearray) -> memoryview:
    """Read one answer; its body, as part of the buffer."""
    view, have, end = memoryview(buffer), 0, -1
    while end < 0:
        have += _received(connection, view[have:])
        end = buffer.find(b"\r\n\r\n", 0, have)
    head = bytes(view[:end]).decode().lower()
    if " 200 " not in head.partition("\r\n")[0]:
        raise SystemExit(f"the server answered: {head}")
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    while have < end + 4 + length:
        have += _received(connection, view[have : end + 4 + length])
    return view[end + 4 : end + 4 + length]


def _received(connection: socket.socket, view: memoryview) -> int:
    count = connection.recv_into(view)
    if not count:
        raise SystemExit("the server closed the connection")
    return count


def _peak_mib(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main(
        Workload(
            name="W15",
            title="serve {depth} x {width} x {width} voxels of float32 over HTTP",
            systems={REFERENCE: reference, LIMIT: limit, OURS: ours},
            cases=[DEFAULT, SMALL],
            sizes={"depth": (256, 64), "width": (512, 128)},
            rounds=3,
            setup=setup,
        )
    )
