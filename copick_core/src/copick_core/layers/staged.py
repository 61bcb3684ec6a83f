"""Names of what is being staged or was moved aside: hidden from every listing; they tell the time, or the place."""

from __future__ import annotations

import re
import time

from copick_core.tree.names import MAX_NAME_BYTES

#: What the name of a volume begins with that was moved aside while another one takes its place; its own name follows.
ASIDE = ".replaced-"
#: Seconds after which something staged belongs to a writer that died; a week is longer than any volume takes to write.
STAGED_SECONDS = 7 * 24 * 3600
#: Names of values that zarr's store is writing, which a writer that died leaves beside them.
PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial$")
_STAGED = re.compile(r"\.staged-([0-9a-f]+)-[0-9a-f]{32}")


def staged_name() -> str:
    """Name for a file or folder that is being staged.

    Its leading dot keeps it out of every listing, ours and that of copick 1.x; it tells when it was made.
    """
    import uuid

    return f".staged-{int(time.time()):x}-{uuid.uuid4().hex}"


def aside_of(path: str) -> str:
    """Path that a folder is moved aside to; of one with a very long name, a staged name."""
    folder, _, name = path.rpartition("/")
    aside = f"{ASIDE}{name}"
    length = len(aside.encode(errors="surrogatepass"))  # of a name that no file can have, too
    return f"{folder}/{aside if length <= MAX_NAME_BYTES else staged_name()}"


def is_staged(name: str) -> bool:
    """Whether a name is that of something that is being staged."""
    return _STAGED.fullmatch(name) is not None


def is_abandoned(name: str) -> bool:
    """Whether a name is that of something staged by a writer that must have died."""
    match = _STAGED.fullmatch(name)
    return match is not None and time.time() - int(match[1], 16) > STAGED_SECONDS


def natural(name: str) -> tuple[object, ...]:
    """What to sort names by, so that "2" comes before "10" and "s2" before "s10"."""
    return tuple((not part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"([0-9]+)", name) if part)
