"""Processes that write to a local project, and one that kills them.

Run as a program: ``chaos.py JOB ROOT [ARGUMENT]``. Everything is forked from here, because a fresh interpreter for each
of 200 victims would take minutes. What a job finds out is printed as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from copick_backend_fs.local import LocalLayer
from copick_core.errors import ConflictError, NotFoundError
from copick_core.tree.keys import Kind, PicksKey, TomogramKey

PICKS = PicksKey("TS_1", "ribosome", "alice", "1")
TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
CHUNKS = 6


def content(number: int) -> bytes:
    """A file whose every part tells which write it belongs to; sizes differ from write to write."""
    return b"%08d" % number * (2000 + number % 7 * 500)


def number_of(data: bytes) -> int | None:
    """Which write a file belongs to, None if it is not one whole write."""
    number = int(data[:8] or b"-1")
    return number if number >= 0 and data == content(number) else None


def write_picks(layer: LocalLayer, number: int) -> None:
    """Store the picks of one write."""
    layer.write(PICKS, content(number))


def picks_number(layer: LocalLayer) -> int | None:
    """Which write the stored picks are of."""
    return number_of(layer.read(PICKS))


def write_volume(layer: LocalLayer, number: int) -> None:
    """Replace the volume by that of one write."""
    from zarr.core.buffer.cpu import Buffer

    async def fill(store: object) -> None:
        for chunk in range(CHUNKS):
            await store.set(f"0/{chunk}", Buffer.from_bytes(content(number)))  # type: ignore[attr-defined]

    with layer.replace_zarr(TOMOGRAM) as store:
        asyncio.run(fill(store))


def volume_number(layer: LocalLayer) -> int | None:
    """Which write the stored volume is of, None if it is not one whole write, or something else is listed."""
    layer.forget(TOMOGRAM)
    files = sorted(Path(layer.location(TOMOGRAM), "0").iterdir())
    numbers = {number_of(file.read_bytes()) for file in files}
    whole = [f.name for f in files] == [str(n) for n in range(CHUNKS)] and len(numbers) == 1
    return numbers.pop() if whole and [*layer.list(Kind.TOMOGRAM, TOMOGRAM.parent)] == [TOMOGRAM] else None


def kill_writers(
    root: str,
    rounds: int,
    write: Callable[[LocalLayer, int], None],
    stored: Callable[[LocalLayer], int | None],
    longest: float,
) -> dict[str, int]:
    """Kill writers at random moments; after each, what is stored must be whole, and no older than what was finished."""
    layer = LocalLayer("overlay", root)
    write(layer, 0)
    chance = random.Random(20)
    number, finished, torn, lost, killed_writing = 0, 0, 0, 0, 0
    for _ in range(rounds):
        reader, writer = os.pipe()
        victim = os.fork()
        if victim == 0:
            os.close(reader)
            while True:
                number += 1
                os.write(writer, b"<")
                write(layer, number)
                os.write(writer, b">")
        os.close(writer)
        time.sleep(chance.random() * longest)
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read()
        finished = number + said.count(b">") if b">" in said else finished
        killed_writing += said.endswith(b"<")
        found = stored(layer)
        torn += found is None
        lost += found is not None and found < finished
        number += said.count(b"<")
    return {"torn": torn, "lost": lost, "killed_writing": killed_writing}


def rewrite(root: str, seconds: float) -> dict[str, int]:
    """Rewrite the picks for a while."""
    layer, number, end = LocalLayer("overlay", root), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        number += 1
        write_picks(layer, number)
    return {"writes": number}


def count_up(root: str, times: int) -> dict[str, int]:
    """Add 1 to the stored number, as somebody who reads, edits and stores; again after each conflict."""
    layer, conflicts = LocalLayer("overlay", root), 0
    for _ in range(times):
        while True:
            data, revision = layer.read_revised(PICKS)
            try:
                layer.write(PICKS, b"%d" % (int(data) + 1), if_revision=revision)
                break
            except ConflictError:
                conflicts += 1
    return {"conflicts": conflicts}


def delete_runs(root: str, seconds: float) -> dict[str, int]:
    """Delete the run for a while, whenever it is there; between two deletions a write has time to come through."""
    layer, deleted, end = LocalLayer("overlay", root), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            layer.delete(PICKS.parent)
            deleted += 1
        except NotFoundError:
            pass
        time.sleep(random.uniform(0, 0.02))
    return {"deleted": deleted}


def main(job: str, root: str, argument: str = "0") -> dict[str, int]:
    """Do one job."""
    if job == "kill-picks":
        return kill_writers(root, int(argument), write_picks, picks_number, 0.01)
    if job == "kill-volumes":
        return kill_writers(root, int(argument), write_volume, volume_number, 0.05)
    if job == "rewrite":
        return rewrite(root, float(argument))
    if job == "count-up":
        return count_up(root, int(argument))
    return delete_runs(root, float(argument))


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
