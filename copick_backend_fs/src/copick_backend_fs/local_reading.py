"""Reading local files as one has them open, whatever takes their place meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from copick_core.layers.atomic import check_regular
from copick_core.layers.revisions import Revision, checksum, checksum_of, numbers_may_change, stamp

if TYPE_CHECKING:
    from trimesh.parent import Geometry

P = ParamSpec("P")
T = TypeVar("T")

#: Opening a named pipe does not wait for its writer; for files, the flag means nothing.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
#: How often a file is read again that others replace meanwhile.
_ATTEMPTS = 100


def _while_there(read: Callable[P, T]) -> Callable[P, T]:
    """Read a file again that is missing and is there: so FUSE says of an open file when another one takes its place."""

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(_ATTEMPTS):
            try:
                return read(*args, **kwargs)
            except FileNotFoundError:
                if not os.path.lexists(str(args[0])) or os.path.islink(str(args[0])):
                    raise
        return read(*args, **kwargs)

    return reading


@_while_there
def read_whole(path: str) -> tuple[bytes, Revision]:
    """Read a file with its revision.

    Raises:
        InvalidDataError: It is a pipe, a device or a socket.
    """
    with open(os.open(path, _READ), "rb", buffering=0) as file:
        # Writers put another file in this one's place, so both answers are about the same bytes.
        found = os.fstat(file.fileno())
        check_regular(found, path)
        data = file.readall()
        return data, stamp(found, checksum(data))


@_while_there
def read_mesh(path: str, name: str) -> tuple[Geometry, Revision]:
    """Read a mesh with its revision from its open file: there is no second copy of its bytes.

    Raises:
        InvalidDataError: It is a pipe, a device or a socket, or no mesh; the error names ``name``.
    """
    from copick_core.meshes import decode_mesh

    with open(path, "rb", opener=lambda path, _: os.open(path, _READ)) as file:
        found = os.fstat(file.fileno())
        check_regular(found, path)
        # Reading the file twice would double the time of loading it.
        revision = stamp(found, checksum_of(file) if numbers_may_change(found) else None)
        file.seek(0)
        return decode_mesh(file, name), revision
