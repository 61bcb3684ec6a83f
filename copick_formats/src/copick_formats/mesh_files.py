"""Meshes in STL, OBJ, PLY and GLB files, by trimesh. None of the formats has a unit: ``scale`` says what one means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from trimesh.parent import Geometry

_scale = click.option("--scale", type=float, default=1.0, help="Angstrom in a unit of the file: 10 for nanometres.")


def is_glb(path: str, head: bytes) -> bool:
    """Whether a file is GLB: its first four bytes."""
    return head[:4] == b"glTF"


def is_ply(path: str, head: bytes) -> bool:
    """Whether a file is PLY: its first line."""
    return head[:4] in (b"ply\n", b"ply\r")


@_scale
def read_stl(path: str, *, scale: float = 1.0) -> Geometry:
    """Read an STL file; see `read_mesh`."""
    return read_mesh(path, "stl", scale)


@_scale
def read_obj(path: str, *, scale: float = 1.0) -> Geometry:
    """Read an OBJ file, without its materials; see `read_mesh`."""
    return read_mesh(path, "obj", scale)


@_scale
def read_ply(path: str, *, scale: float = 1.0) -> Geometry:
    """Read a PLY file; see `read_mesh`."""
    return read_mesh(path, "ply", scale)


@_scale
def read_glb(path: str, *, scale: float = 1.0) -> Geometry:
    """Read a GLB file; see `read_mesh`."""
    return read_mesh(path, "glb", scale)


@_scale
def write_stl(path: str, mesh: Geometry, *, scale: float = 1.0) -> None:
    """Write an STL file; see `write_mesh`."""
    write_mesh(path, mesh, "stl", scale)


@_scale
def write_obj(path: str, mesh: Geometry, *, scale: float = 1.0) -> None:
    """Write an OBJ file; see `write_mesh`."""
    write_mesh(path, mesh, "obj", scale)


@_scale
def write_ply(path: str, mesh: Geometry, *, scale: float = 1.0) -> None:
    """Write a PLY file; see `write_mesh`."""
    write_mesh(path, mesh, "ply", scale)


@_scale
def write_glb(path: str, mesh: Geometry, *, scale: float = 1.0) -> None:
    """Write a GLB file; see `write_mesh`."""
    write_mesh(path, mesh, "glb", scale)


def read_mesh(path: str, file_type: str, scale: float) -> Geometry:
    """Read a mesh; files that it refers to, such as textures, are not opened.

    Args:
        path: The file.
        file_type: As trimesh calls the format.
        scale: Angstrom in a unit of the file.

    Returns:
        Vertices x, y, z in angstrom.

    Raises:
        InvalidDataError: It cannot be read, has no triangles, or a vertex is not finite.
    """
    import numpy as np
    import trimesh

    _check(path, scale)
    try:
        with open(path, "rb") as file:
            mesh: Any = trimesh.load(file, file_type=file_type, process=False)
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:  # of a damaged file trimesh raises whatever its parser meets
        raise InvalidDataError(source=path, reason=f"is not a readable {file_type.upper()} file: {error}") from error
    parts = [*mesh.geometry.values()] if isinstance(mesh, trimesh.Scene) else [mesh]
    if not any(len(getattr(part, "faces", ())) for part in parts):
        raise InvalidDataError(source=path, reason="holds no triangles")
    if not all(np.isfinite(part.vertices).all() for part in parts):
        raise InvalidDataError(source=path, reason="a vertex is not finite")
    if scale != 1:
        mesh.apply_scale(scale)
    geometry: Geometry = mesh
    return geometry


def write_mesh(path: str, mesh: Any, file_type: str, scale: float) -> None:
    """Write a mesh.

    Args:
        path: The new file.
        mesh: Vertices in angstrom.
        file_type: As trimesh calls the format.
        scale: Angstrom in a unit of the file.

    Raises:
        InvalidDataError: The mesh is empty, or cannot be written.
    """
    import trimesh

    _check(path, scale)
    mesh = mesh.copy() if scale == 1 else mesh.copy().apply_scale(1 / scale)
    try:
        if isinstance(mesh, trimesh.Scene) and file_type != "glb":
            mesh = mesh.to_mesh()
        content = mesh.export(file_type=file_type)
    except Exception as error:
        raise InvalidDataError(source=path, reason=f"the mesh cannot be written as {file_type.upper()}: {error}") from error
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _check(path: str, scale: float) -> None:
    if not 0 < scale < float("inf"):
        raise InvalidDataError(source=path, reason=f"scale is {scale}, no positive number")
