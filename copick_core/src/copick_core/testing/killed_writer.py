"""A process whose children write to a project until they are killed: the other side of the kit's checks of killed writers.

It imports everything once and forks a child for each round, so that twenty kills take as long as one start of Python.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from copick_core.testing import samples
from copick_core.tree.keys import Kind, PicksKey, TomogramKey

if TYPE_CHECKING:
    from copick_core.layers import Layer

PICKS: PicksKey = samples.key(Kind.PICKS, run="TS_killed")  # type: ignore[assignment]
TOMOGRAM: TomogramKey = samples.key(Kind.TOMOGRAM, run="TS_killed")  # type: ignore[assignment]


def file_content(number: int) -> bytes:
    """Bytes that tell their number, and whether all of them are there."""
    return b"%08d" % number * (20_000 + 10_000 * (number % 5))


def write(layer: Layer, kind: str, number: int) -> None:
    """Store one numbered content."""
    if kind == "file":
        layer.write(PICKS, file_content(number))
    else:
        with layer.replace_zarr(TOMOGRAM) as store:
            samples.write_volume(store, samples.volume(number))


def main() -> None:
    """Serve rounds: read ``[kind, first number, seconds]`` from stdin, write the last number that a child has stored."""
    import zarr  # noqa: F401 - children find it imported

    from copick_core import opening

    config = json.loads(sys.argv[1])
    for line in sys.stdin:
        kind, number, seconds = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _write_until_killed(lambda: opening.open(config).layers.overlay, kind, number, writer)
        os.close(writer)
        stored = int(os.read(reader, 8) or b"0")
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while last := os.read(reader, 1 << 16):
            stored = int(last[-8:])
        os.close(reader)
        sys.stdout.write(f"{stored}\n")
        sys.stdout.flush()


def _write_until_killed(open_layer: Any, kind: str, number: int, writer: int) -> None:
    try:
        layer = open_layer()
        while True:
            write(layer, kind, number)
            os.write(writer, b"%08d" % number)
            number += 1
    except BaseException:
        traceback.print_exc()
        os._exit(1)
