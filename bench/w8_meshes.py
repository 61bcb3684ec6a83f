"""W8: load and store a mesh of 40,962 vertices; struct, JSON and NumPy alone are the limit. Importing trimesh comes before."""

from __future__ import annotations

import json
import statistics
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import RUN, import_now, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed

LOAD, STORE = "load", "store"
FILE = f"ExperimentRuns/{RUN}/Meshes/alice_1_membrane.glb"


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    mesh = open_project("copick_core", folder).new_run(RUN).new_mesh("membrane", "1", "alice")
    mesh.mesh = _sphere(sizes)
    mesh.store()
    yield


def _sphere(sizes: Sizes) -> Any:
    import trimesh

    return trimesh.creation.icosphere(subdivisions=sizes["subdivisions"], radius=1000)


def _repeated(job: Job, action: Any) -> Numbers:
    """The median of some times: one is so short that whatever else runs disturbs it."""

    def once(_: int) -> float:
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    seconds, numbers = timed(lambda: [once(number) for number in range(job.sizes["repeats"])])
    return {**numbers, "seconds": statistics.median(seconds)}


def library(job: Job) -> Numbers:
    import_now("trimesh.exchange.gltf", "copick_core.meshes", "copick_backend_fs.local_reading")
    with job.scratch() as folder:
        if job.case == LOAD:
            mesh = open_project(job.library, Path(job.folder)).get_run(RUN).get_meshes("membrane")[0]
            vertices = sum(len(part) for part, _ in _loaded(mesh))
            return {**_repeated(job, lambda: _loaded(mesh)), "check": vertices}
        mesh = open_project(job.library, folder).new_run(RUN).new_mesh("membrane", "1", "alice")
        mesh.mesh = _sphere(job.sizes)
        return _repeated(job, mesh.store)


def _loaded(mesh: Any) -> list[tuple[Any, Any]]:
    return [(part.vertices, part.faces) for part in mesh.load().geometry.values()]


def limit(job: Job) -> Numbers:
    file = Path(job.folder, "project", FILE)
    if job.case == LOAD:
        return {**_repeated(job, lambda: read_glb(file)), "check": len(read_glb(file)[0])}
    vertices, faces = read_glb(file)
    with job.scratch() as folder:
        return _repeated(job, lambda: write_glb(folder / "written.glb", vertices, faces))


def read_glb(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a GLB file with one mesh."""
    content = path.read_bytes()
    length = struct.unpack_from("<I", content, 12)[0]
    head = json.loads(content[20 : 20 + length])
    primitive = head["meshes"][0]["primitives"][0]
    types = {5125: "<u4", 5126: "<f4"}

    def array(number: int) -> np.ndarray:
        accessor = head["accessors"][number]
        start = 28 + length + head["bufferViews"][accessor["bufferView"]].get("byteOffset", 0)
        count = accessor["count"] * (3 if accessor["type"] == "VEC3" else 1)
        return np.frombuffer(content, types[accessor["componentType"]], count, start).reshape(-1, 3)

    return array(primitive["attributes"]["POSITION"]), array(primitive["indices"])


def write_glb(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write vertices and faces as GLB."""
    points, indices = vertices.astype("<f4"), faces.astype("<u4")
    sizes = [points.nbytes, indices.nbytes]
    head = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "buffers": [{"byteLength": sum(sizes)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": sizes[0]},
            {"buffer": 0, "byteOffset": sizes[0], "byteLength": sizes[1]},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": len(points)}
            | {"min": points.min(0).tolist(), "max": points.max(0).tolist()},
            {"bufferView": 1, "componentType": 5125, "type": "SCALAR", "count": indices.size},
        ],
    }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 4)
    with path.open("wb") as file:
        file.write(struct.pack("<4sIII4s", b"glTF", 2, 28 + len(text) + sum(sizes), len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", sum(sizes), b"BIN\0"))
        file.write(points.tobytes())
        file.write(indices.tobytes())


if __name__ == "__main__":
    main(
        Workload(
            name="W8",
            title="a mesh (icosphere of {subdivisions} subdivisions)",
            systems={REFERENCE: library, LIMIT: limit, OURS: library},
            cases=[LOAD, STORE],
            sizes={"subdivisions": (6, 2), "repeats": (200, 2)},
            rounds=3,
            setup=setup,
            warm_up=True,
        )
    )
