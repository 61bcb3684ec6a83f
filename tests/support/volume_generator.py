"""Generates compose volumes as the app would leave them, with plain tools: nothing here uses the backend."""

from __future__ import annotations

import itertools
import json
import math
import os
import struct
from pathlib import Path

import numpy as np
from numcodecs import Blosc
from PIL import Image

CODEC = Blosc(cname="lz4", clevel=5, shuffle=1)


class _Canary:
    """Pickles into an order to make a folder: whoever loads it leaves a trace."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.makedirs, (self.folder, 0o777, True)


def write_array(folder: Path, zyx, chunks, dtype=None, skip=()):
    """A zarr v2 array (x, y, z) at the root of a folder; chunks in ``skip`` are not written."""
    folder.mkdir(parents=True, exist_ok=True)
    data = np.asarray(zyx).transpose(2, 1, 0)
    data = data.astype(dtype or data.dtype)
    document = {
        "chunks": list(chunks),
        "compressor": {"blocksize": 0, "clevel": 5, "cname": "lz4", "id": "blosc", "shuffle": 1},
        "dtype": data.dtype.str,
        "fill_value": 0,
        "filters": None,
        "order": "C",
        "shape": list(data.shape),
        "zarr_format": 2,
    }
    (folder / ".zarray").write_text(json.dumps(document, indent=4))
    for index in itertools.product(*(range(math.ceil(n / c)) for n, c in zip(data.shape, chunks, strict=True))):
        if index in skip:
            continue
        part = data[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))]
        full = np.zeros(chunks, data.dtype)
        full[tuple(slice(0, n) for n in part.shape)] = part
        (folder / ".".join(map(str, index))).write_bytes(CODEC.encode(full))


def box_mesh(low, high):
    """12 outward triangles (x, y, z) of a box."""
    corners = np.array([[(low, high)[(i >> a) & 1][a] for a in range(3)] for i in range(8)], float)
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    return np.array([corners[list(t)] for q in quads for t in ((q[0], q[1], q[2]), (q[0], q[2], q[3]))])


def ascii_stl(path: Path, stored):
    lines = ["solid x"]
    for triangle in stored:
        lines += ["facet normal 0 0 0", "outer loop", *(f"vertex {a} {b} {c}" for a, b, c in triangle), "endloop", "endfacet"]
    path.write_text("\n".join([*lines, "endsolid x", ""]))


def binary_stl(path: Path, stored):
    body = b"".join(struct.pack("<12fH", 0, 0, 0, *t.ravel(), 0) for t in np.asarray(stored, "<f4"))
    path.write_bytes(b"solid numpy-stl".ljust(80) + struct.pack("<I", len(stored)) + body)


def obj(path: Path, stored):
    vertices = [f"v {a} {b} {c}" for a, b, c in np.reshape(stored, (-1, 3))]
    faces = [f"f {i} {i + 1} {i + 2}" for i in range(1, 3 * len(stored) + 1, 3)]
    path.write_text("\n".join([*vertices, *faces, ""]))


def image_of(job: str, shape, dtype):
    rng = np.random.default_rng(sum(job.encode()))
    high = {"u1": 255, "u2": 60000}.get(np.dtype(dtype).str[1:])
    return rng.integers(0, high, shape).astype(dtype) if high else rng.normal(size=shape).astype(dtype)


class GeneratedVolume:
    """A volume in a folder, and what it was made from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images: dict[str, np.ndarray] = {}
        self.masks: dict[tuple[str, str], np.ndarray] = {}
        self.trap = root.parent / "UNPICKLED"
        root.mkdir(parents=True, exist_ok=True)
        self.entries: dict[str, object] = {}

    def save(self) -> GeneratedVolume:
        (self.root / "jobs.json").write_text(json.dumps(self.entries, indent=4))
        return self

    def job(self, job: str, status: str = "CONVERTED", shape=None, **fields):
        self.entries[job] = {
            "status": f"JobStatus.{status}",
            "name": f"Job {job}",
            "id": job,
            "created_at": "2024-07-05T16:24:13.446237",
            "last_updated_at": "2024-07-05T16:35:11",
            "current_job_progress": 14 / 15,
            "shape": shape,
            **fields,
        }

    def uploads(self, job: str, zyx, pattern="s_{:04d}.png"):
        folder = self.root / "uploads" / job
        folder.mkdir(parents=True, exist_ok=True)
        for z, plane in enumerate(zyx):
            path = folder / pattern.format(z)
            if plane.dtype.kind == "f":
                import tifffile

                tifffile.imwrite(path.with_suffix(".tif"), plane)
            else:
                Image.fromarray(np.ascontiguousarray(plane)).save(path)

    def image(self, job: str, shape=(12, 40, 30), dtype="u1", chunks=(16, 16, 16), skip=()):
        data = image_of(job, shape, dtype)
        self.images[job] = data
        write_array(self.root / "chunks" / job, data, chunks, skip=skip)
        return data

    def segmentation(self, job: str, model: str, mask=None, chunks=(13, 13, 13), skip=()):
        if mask is None:
            mask = np.zeros(self.images[job].shape, np.uint64)
            mask[3:9, 10:30, 5:20] = 255
        self.masks[job, model] = mask
        write_array(self.root / "segmented" / job / f"{model}.zarr", mask, chunks, "<u8", skip)

    def mesh(self, job: str, model: str, value=255, low=(4.5, 9.5, 2.5), high=(19.5, 29.5, 8.5), stale=False):
        """A box (x, y, z) in the app's frame: columns (z, y, x), outward there."""
        folder = self.root / "meshed" / job / f"{model}.zarr"
        folder.mkdir(parents=True, exist_ok=True)
        stored = box_mesh(low, high)[:, ::-1, ::-1]
        ascii_stl(folder / f"_{value}_0_0_0.stl", stored)
        if stale:
            ascii_stl(folder / f"_{value}_8_0_0.stl", stored)
        whole = np.concatenate([stored, stored]) if stale else stored
        binary_stl(folder / f"{value}.combined.stl", whole)
        obj(folder / f"{value}.combined.obj", whole)

    def model(self, job: str, model: str, sidecar=None, pickled=True):
        import pickle

        folder = self.root / "models" / job
        folder.mkdir(parents=True, exist_ok=True)
        content = {"rf_kwargs": {}, "model_class": "RandomForest3DSegmenter"} if sidecar is None else sidecar
        (folder / f"{model}.json").write_text(json.dumps(content))
        if pickled:
            (folder / f"{model}.model").write_bytes(pickle.dumps(_Canary(self.trap)))

    def pair(self, job: str, stem: str, mask_value=255, meta=None, only=None, size=(32, 32)):
        folder = self.root / "training" / job
        folder.mkdir(parents=True, exist_ok=True)
        grey = np.arange(size[0] * size[1]).reshape(size).astype(np.uint8)
        if meta is not None:
            z = meta["annotated_global_z_index"]
            ox, oy, _ = meta["cutout_origin_xyz"]
            w, h, _ = meta["cutout_shape_xyz"]
            px, py, _ = meta["padding_before_xyz"]
            grey = np.zeros(size, np.uint8)
            grey[py : py + h, px : px + w] = self.images[job][z, oy : oy + h, ox : ox + w]
            (folder / f"meta{stem}.json").write_text(json.dumps(meta))
        mask = np.zeros(size, np.uint8)
        mask[4:9, 6:20] = mask_value
        zero = np.zeros_like(mask)
        if only != "seg":
            Image.fromarray(np.stack([grey, grey, grey, zero + 255], -1)).save(folder / f"img{stem}.png")
        if only != "img":
            Image.fromarray(np.stack([mask, zero, zero, mask], -1)).save(folder / f"seg{stem}.png")
        return grey, mask


#: Sidecar of a model of 2026.
HEAD_SIDECAR = {
    "model_class": "RandomForest3DSegmenter",
    "rf_kwargs": {"n_estimators": 50, "max_depth": 12, "n_jobs": -1},
    "created_at": "2026-04-01T10:00:00+00:00",
    "training_samples": [{"sample_id": "1750000010", "image_filename": "img1750000010-z03.png"}],
    "metrics": {"dice": 0.91},
}
META = {
    "cutout_origin_xyz": [4, 6, 0],
    "cutout_shape_xyz": [20, 24, 11],
    "requested_shape_xyz": [32, 32, 11],
    "padding_before_xyz": [6, 4, 0],
    "padding_after_xyz": [6, 4, 0],
    "annotated_local_z_index": 5,
    "annotated_global_z_index": 5,
}


def generate(root: Path) -> GeneratedVolume:
    """A volume with a job in every condition."""
    v = GeneratedVolume(root)
    v.job("CC7651", "MESHED", [30, 40, 12])
    image = v.image("CC7651")
    v.uploads("CC7651", image)
    for model in ("1720196800", "1720196900"):
        v.model("CC7651", model)
        v.segmentation("CC7651", model)
    v.mesh("CC7651", "1720196900")
    for stem in ("1720196700", "1720196750", "1720196800", "1720196850", "1720196950"):
        v.pair("CC7651", stem)
    v.pair("CC7651", "1720196820", only="img")

    v.job("4F09A2", "CONVERTED", [25, 17, 9])
    v.uploads("4F09A2", v.image("4F09A2", (9, 17, 25), "<u2"))

    v.job("12E345", "UPLOADING")
    v.uploads("12E345", image_of("12E345", (3, 20, 24), "u1"))

    v.job("123456", "SEGMENTED", [24, 20, 8])
    v.image("123456", (8, 20, 24), "<f4")
    classes = np.zeros((8, 20, 24), np.uint64)
    classes[2:4, 5:9, 6:12], classes[5:7, 10:15, 3:9] = 100, 200
    v.model("123456", "1750000020", HEAD_SIDECAR)
    v.segmentation("123456", "1750000020", classes)
    v.segmentation("123456", "1750000090", classes, skip=[(0, 0, 0)])
    v.pair("123456", "1750000010-z03", np.repeat([100, 200], 7))
    v.pair("123456", "1750000011", 200)

    v.job("AB0001", "CONVERTING")
    v.image("AB0001", skip=[(0, 0, 0)])

    v.image("0FF0FF")  # stands in no database

    v.job("BADBAD", "MELTING", created_at="yesterday", colour="blue")
    return v.save()


def tour(root: Path) -> GeneratedVolume:
    """The sound volume of docs/compose-volume.md: a finished job, one that is converted, one that is being uploaded."""
    v = GeneratedVolume(root)
    v.job("CC7651", "MESHED", [30, 40, 12], name="Burrow")
    v.uploads("CC7651", v.image("CC7651"), "burrow_{:04d}.png")
    for model in ("1720196800", "1720196900"):
        v.model("CC7651", model)
        v.segmentation("CC7651", model)
    v.mesh("CC7651", "1720196900")
    for stem in ("1720196720", "1720196748", "1720196800", "1720196860", "1720197050"):
        v.pair("CC7651", stem)
    v.job("4F09A2", "CONVERTED", [25, 17, 9], name="Egg, scan 2", last_updated_at="2024-07-06T17:24:14.017184")
    v.uploads("4F09A2", v.image("4F09A2", (9, 17, 25), "<u2"), "egg_{:03d}.png")
    v.job("12E345", "UPLOADING", name="Half uploaded", last_updated_at="2024-07-07T16:24:13.017184")
    v.uploads("12E345", image_of("12E345", (3, 20, 24), "u1"), "part{}.png")
    return v.save()
