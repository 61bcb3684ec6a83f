"""Fuzzing of everything that reads files: seeds, mutations, and a process of its own that reads the mutated files.

``python -m support.fuzz TARGET COUNT SEED FOLDER`` prints a `Report` as JSON. A process of its own has a level of memory from
which peaks can be counted, and may crash.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import resource
import shutil
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from copick_core.errors import CopickError

from .memory import peak_mib, reset_peak

RNG = np.random.default_rng(5)
VOLUME = RNG.integers(0, 100, (4, 6, 8)).astype("f4")
GUARD = 2**30
"""Address space that the reading process may take beyond what it has after one good file."""
TOKEN = re.compile(rb'"[^"\\]*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null')
"""Values and keys of a JSON document."""
VALUES = (
    b"null", b"true", b"-1", b"0", b"1", b"3", b"7.5", b"1e308", b"1e999", b"NaN", b"4294967296", b"9" * 23,
    b"1000000", b"1000000000", b"123456789012", b"[]", b"{}", b"[1]", b'{"a":1}', b"[" * 20000 + b"]" * 20000,
    b'""', b'"x"', b'"../x"', b'"\\ud800"', b'"\xff"',
)  # fmt: skip
EXTREMES = (0, 1, 255, 256, 2**16, 2**24, 2**31 - 1, 2**32 - 1)


@dataclass
class Report:
    """What became of the mutated files.

    Attributes:
        files: How many were read.
        refused: How many raised one of our errors.
        in_parsed_bytes: How many were changed in bytes that decide what the parser finds.
        failures: Other errors, with their tracebacks.
        too_much: Files that took more memory than 4 x their size and 64 MiB, with the peak in MiB.
        slowest: Seconds that the slowest file took.
    """

    files: int = 0
    refused: int = 0
    in_parsed_bytes: int = 0
    failures: list[str] = field(default_factory=list)
    too_much: list[str] = field(default_factory=list)
    slowest: float = 0.0


@dataclass(frozen=True)
class Target:
    """Something that reads files.

    Attributes:
        seeds: Writes good files below a folder, and gives those that are mutated, each with what is opened for it.
        describe: Reads what the parser finds, without the bulk of the data.
        read: Reads everything.
    """

    seeds: Callable[[Path], list[tuple[Path, Path]]]
    describe: Callable[[Path], Any]
    read: Callable[[Path], None]


# ---------------------------------------------------------------------------------------------------------------- targets


def _mrc(folder: Path) -> list[tuple[Path, Path]]:
    import mrcfile

    from .volume_files import patched, write_mrc

    found = []
    for number, (dtype, order) in enumerate([("f4", (1, 2, 3)), ("i1", (3, 2, 1)), (">i2", (1, 2, 3))]):
        path = write_mrc(folder / f"{number}.mrc", VOLUME.astype(dtype), extended=80)
        found.append(patched(path, 64, np.array(order, f"{'>' if dtype[0] == '>' else '<'}i4").tobytes()))
    with mrcfile.new(folder / "3.mrc", VOLUME.astype("u2"), overwrite=True) as file:
        file.voxel_size = 3.0
    packed = folder / "4.mrc.gz"
    packed.write_bytes(gzip.compress(found[0].read_bytes()))
    return [(path, path) for path in (*found, folder / "3.mrc", packed)]


def _nrrd(folder: Path) -> list[tuple[Path, Path]]:
    import nrrd

    header = {"space dimension": 3, "space directions": np.diag([7.84] * 3), "space units": ["angstrom"] * 3}
    paths = []
    for number, encoding in enumerate(("raw", "gzip", "bzip2", "raw")):
        paths.append(folder / f"{number}.nrrd")
        nrrd.write(str(paths[-1]), VOLUME.astype("f4" if number else "i2"), {**header, "encoding": encoding}, index_order="C")
    return [(path, path) for path in paths]


def _tiff(folder: Path) -> list[tuple[Path, Path]]:
    import tifffile

    nm = {"spacing": 1.0, "unit": "nm", "axes": "ZYX"}
    ome = {"axes": "ZYX"} | {f"PhysicalSize{a}": 1.0 for a in "XYZ"} | {f"PhysicalSize{a}Unit": "nm" for a in "XYZ"}
    grey = {"photometric": "minisblack"}
    kinds: list[dict[str, Any]] = [
        {"imagej": True, "resolution": (1.0, 1.0), "metadata": nm},
        {"imagej": True, "resolution": (1.0, 1.0), "metadata": nm, "compression": "zlib"},
        {"metadata": ome},
        {**grey, "metadata": None, "compression": "lzw", "predictor": True},
        {**grey, "compression": "zstd", "byteorder": ">", "bigtiff": True},
        {**grey, "compression": "packbits", "tile": (16, 16)},
    ]
    found = []
    for number, options in enumerate(kinds):
        path = folder / f"{number}.tif"
        tifffile.imwrite(path, VOLUME.astype("f4" if number < 3 else "u1"), **options)
        found.append(path)
    path = folder / "jpeg.tif"
    tifffile.imwrite(path, VOLUME.astype("u1").repeat(2, 1), compression="jpeg", **grey)
    return [(path, path) for path in (*found, path)]


def _em(folder: Path) -> list[tuple[Path, Path]]:
    from .volume_files import write_em

    little = write_em(folder / "little.em", VOLUME, 6, 5)
    big = write_em(folder / "big.em", VOLUME.astype("i2"), 5, 2)
    return [(path, path) for path in (little, big)]


def _zarr(folder: Path) -> list[tuple[Path, Path]]:
    from zarr.storage import LocalStore

    from copick_core.volumes.ome import VolumeFormat, write_volume

    names = {2: (".zattrs", ".zgroup", "0/.zarray", "1/.zarray"), 3: ("zarr.json", "0/zarr.json")}
    found = []
    for version, documents in names.items():
        path = folder / f"{version}.zarr"
        layout = VolumeFormat(zarr_format=2 if version == 2 else 3, chunks=4)
        write_volume(LocalStore(path), VOLUME, 10.0, levels=2, format=layout)
        found += [(path / name, path) for name in documents]
    return found


def _describe_volume(path: Path) -> Any:
    from copick_core.volumes.reading import read_volume

    with read_volume(path) as volume:
        return volume.shape, str(volume.dtype), volume.voxel_sizes


def _import_volume(path: Path) -> None:
    from zarr.storage import MemoryStore

    from copick_core.volumes.importing import import_volume_into
    from copick_core.volumes.reading import read_volume

    with read_volume(path, voxel_size=10.0) as volume:
        if np.prod([float(n) for n in volume.shape]) > 2**22:
            # Chunks that a zarr folder lacks are voxels too: there may be as many as the metadata claim.
            volume.box(*(slice(n // 2, n // 2 + 1) for n in volume.shape))
            return
        import_volume_into(MemoryStore(), volume, levels=2)


def _project(folder: Path) -> list[tuple[Path, Path]]:
    """The documents of volumes in a project."""
    import copick_core

    for version in (2, 3):
        config = {"config_type": "filesystem", "overlay_root": "overlay", "user_id": "a", "pickable_objects": []}
        home = folder / str(version)
        home.mkdir()
        (home / "config.json").write_text(json.dumps({**config, "zarr_format": version}))
        root = copick_core.open(home / "config.json")
        root.new_run("r").new_voxel_spacing(10).new_tomogram("wbp").from_numpy(VOLUME, levels=2, chunks=4)
    names = {2: (".zattrs", "0/.zarray", "1/.zarray"), 3: ("zarr.json", "0/zarr.json")}
    place = "overlay/ExperimentRuns/r/VoxelSpacing10.000/wbp.zarr"
    return [(folder / str(v) / place / name, folder / str(v) / "config.json") for v in names for name in names[v]]


def _tomogram(path: Path) -> Any:
    import copick_core

    return copick_core.open(path).get_run("r").get_voxel_spacing(10).get_tomogram("wbp")


def _describe_tomogram(path: Path) -> Any:
    tomogram = _tomogram(path)
    return tomogram.levels, [(tomogram.array(level).shape, str(tomogram.array(level).metadata)) for level in tomogram.levels]


def _read_tomogram(path: Path) -> None:
    tomogram = _tomogram(path)
    for level in tomogram.levels:
        shape = tomogram.array(level).shape
        if np.prod([float(n) for n in shape]) <= 2**22:
            tomogram.numpy(level)
        else:
            tomogram.numpy(level, x=slice(0, 1), y=slice(0, 1), z=slice(0, 1))


def _glb(folder: Path) -> list[tuple[Path, Path]]:
    import trimesh

    from copick_core.meshes import encode_mesh

    coloured = trimesh.creation.icosahedron()
    coloured.visual.vertex_colors = np.full((12, 4), 200, np.uint8)
    (folder / "box.glb").write_bytes(encode_mesh(trimesh.creation.box(), "box"))
    (folder / "coloured.glb").write_bytes(encode_mesh(coloured, "coloured"))
    return [(folder / name, folder / name) for name in ("box.glb", "coloured.glb")]


def _describe_mesh(path: Path) -> Any:
    from copick_core.meshes import decode_mesh

    scene = decode_mesh(path.read_bytes(), path.name)
    return [(name, repr(g.vertices.tolist()), repr(getattr(g, "faces", None))) for name, g in scene.geometry.items()]


def _picks(folder: Path) -> list[tuple[Path, Path]]:
    from copick_core.picks.arrays import PicksArrays
    from copick_core.picks.encoding import encode

    n = 5
    header = {"pickable_object_name": "ribosome", "user_id": "a", "session_id": "1", "run_name": "r", "voxel_spacing": 10.0}
    arrays = PicksArrays(RNG.random((n, 3)), np.tile(np.eye(4), (n, 1, 1)), np.arange(n), np.ones(n), header, {})
    (folder / "small.json").write_bytes(encode(arrays, "small"))
    return [(folder / "small.json", folder / "small.json")]


def _describe_picks(path: Path) -> Any:
    from copick_core.picks.decoding import decode

    found = decode(path.read_bytes(), path.name)
    return found.header, [a.tolist() for a in (found.positions, found.transforms, found.instance_ids, found.scores)]


def _config(folder: Path) -> list[tuple[Path, Path]]:
    objects = [{"name": "ribosome", "is_particle": True, "label": 1, "color": [0, 117, 220, 255], "radius": 100.0}]
    config = {"config_type": "filesystem", "name": "n", "version": "1.0", "overlay_root": "overlay", "user_id": "a"}
    (folder / "config.json").write_text(json.dumps({**config, "pickable_objects": objects, "chunks": [4, 4, 4]}, indent=1))
    return [(folder / "config.json", folder / "config.json")]


def _describe_config(path: Path) -> Any:
    import copick_core

    root = copick_core.open(path)
    return repr(root.config), [run.name for run in root.runs]


def _points(name: str, suffix: str) -> Target:
    """A format of points: files that it writes, read as points, and as filaments and meshes where it has them."""
    from copick_core.plugins.discovery import formats
    from copick_core.plugins.format_functions import Frame, PicksTable
    from copick_core.plugins.records import resolved

    def frame(run: str | None) -> Frame:
        return Frame((20, 40, 30), 10.0)

    def seeds(folder: Path) -> list[tuple[Path, Path]]:
        path = folder / f"small{suffix}"
        record = formats.get(name)
        if "picks" in record.writes:
            ids, scores = np.array([1, 1, 2, 2, 2]), np.arange(5.0)
            table = PicksTable(RNG.uniform(0, 300, (5, 3)), np.tile(np.eye(4), (5, 1, 1)), ids, scores, "1", "ribosome")
            options = {"helical": "frame"} if name == "relion" else {}
            resolved(record.writes["picks"])(str(path), [table], frame=frame, **options)
        else:
            path.write_text(_WRITTEN[name])
        return [(path, path)]

    def describe(path: Path) -> Any:
        found = resolved(formats.get(name).reads["picks"])(str(path), frame=frame)
        return [(t.run, t.object_name, t.positions.tolist(), {k: v.tolist() for k, v in t.columns.items()}) for t in found]

    def read(path: Path) -> Any:
        for kind, function in formats.get(name).reads.items():
            if kind in ("picks", "filaments"):
                refused = None
                try:
                    [*resolved(function)(str(path), frame=frame)]
                except CopickError as error:
                    refused = error
                if refused is not None and kind == "picks":
                    raise refused

    return Target(seeds, describe, read)


_WRITTEN = {
    "cbox": "data_global\n_cbox_format_version 1.0\n\ndata_cryolo\nloop_\n_CoordinateX\n_CoordinateY\n_CoordinateZ\n_Width\n"
    "_Height\n_Confidence\n1.5 2.5 3 4 4 0.5\n5.5 6.5 7 4 4 0.25\n",
    "eman2": '{"apix_unbin": 2.5, "boxes_3d": [[1, 2, 3, "manual", 0.5, 0], [4, 5, 6, "manual", 0.25, 1]],'
    ' "class_list": {"0": {"name": "ribosome"}}}',
}
"""Good files of formats that are not written."""
_SUFFIXES = {
    "relion": ".star",
    "stopgap": ".star",
    "dynamo": ".tbl",
    "imod": ".mod",
    "csv": ".csv",
    "parquet": ".parquet",
    "cbox": ".cbox",
    "eman2": ".json",
    "cets": ".json",
}

TARGETS = {
    **{name: _points(name, suffix) for name, suffix in _SUFFIXES.items()},
    "mrc": Target(_mrc, _describe_volume, _import_volume),
    "nrrd": Target(_nrrd, _describe_volume, _import_volume),
    "tiff": Target(_tiff, _describe_volume, _import_volume),
    "em": Target(_em, _describe_volume, _import_volume),
    "zarr": Target(_zarr, _describe_volume, _import_volume),
    "project": Target(_project, _describe_tomogram, _read_tomogram),
    "glb": Target(_glb, _describe_mesh, _describe_mesh),
    "picks": Target(_picks, _describe_picks, _describe_picks),
    "config": Target(_config, _describe_config, _describe_config),
}


# -------------------------------------------------------------------------------------------------------------- mutations


def parsed_bytes(target: Target, file: Path, opened: Path, rng: random.Random) -> list[int]:
    """The offsets of bytes that decide what the parser finds: those whose change changes it, measured one by one."""
    content = file.read_bytes()
    before = _outcome(target.describe, opened)
    found = []
    # Of a long file every n-th byte is tried.
    for offset in range(0, len(content), max(1, len(content) // 600)):
        changed = bytearray(content)
        changed[offset] ^= rng.choice([0x01, 0x10, 0xFF])
        file.write_bytes(changed)
        if _outcome(target.describe, opened) != before:
            found.append(offset)
    file.write_bytes(content)
    return found


def _outcome(describe: Callable[[Path], Any], path: Path) -> str:
    try:
        return repr(describe(path))
    except Exception as error:
        return type(error).__name__


def mutated(content: bytes, parsed: list[int], rng: random.Random) -> tuple[bytes, bool]:
    """A changed file, and whether it was changed in bytes that the parser reads."""
    end = 20 + int.from_bytes(content[12:16], "little") if content[:4] == b"glTF" else len(content)
    tokens = [*TOKEN.finditer(content, 20 if content[:4] == b"glTF" else 0, end)] if content[:1] in (b"{", b"g") else []
    if tokens and rng.random() < 0.75:
        return _with_other_values(content, tokens, parsed, rng)
    changed = bytearray(content)
    touched: set[int] = set()
    for _ in range(rng.choice([1, 1, 2, 4])):
        offset = rng.choice(parsed) if parsed and rng.random() < 0.6 else rng.randrange(len(content))
        kind = rng.random()
        if kind < 0.45:
            new = bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])])
        elif kind < 0.7:
            new = struct.pack(rng.choice("<>") + "I", rng.choice([*EXTREMES, rng.randrange(2**32)]))
        elif kind < 0.85:
            new = bytes(rng.choice(b'0123456789-.eE[]{}",: ') for _ in range(rng.randrange(1, 6)))
        else:
            new = content[(other := rng.randrange(len(content))) : other + rng.randrange(1, 16)]
        changed[offset : offset + len(new)] = new
        touched |= {i for i in range(offset, min(offset + len(new), len(content))) if changed[i] != content[i]}
    kind = rng.random()
    if kind < 0.08:
        del changed[rng.randrange(len(changed)) :]
        touched |= {*range(len(changed), len(content))}
    elif kind < 0.14:
        start = rng.randrange(len(changed))
        del changed[start : start + rng.randrange(1, 32)]
    elif kind < 0.2:
        start = rng.randrange(len(changed))
        changed[start:start] = rng.randbytes(rng.randrange(1, 32))
    return bytes(changed), not touched.isdisjoint(parsed)


def _with_other_values(
    content: bytes, tokens: list[re.Match[bytes]], parsed: list[int], rng: random.Random
) -> tuple[bytes, bool]:
    """A JSON document, or a GLB file, with one or two values or keys replaced: still JSON, most of the time."""
    changed, touched = content, set[int]()
    for token in sorted(rng.sample(tokens, min(len(tokens), rng.choice([1, 1, 2]))), key=lambda t: -t.start()):
        new = rng.choice([*VALUES, rng.choice(tokens).group()])
        if content[token.end() : token.end() + 3].strip().startswith(b":") and not new.startswith(b'"'):
            new = b'"' + new.strip(b'"') + b'"'  # a key
        changed = changed[: token.start()] + new + changed[token.end() :]
        touched |= {*range(token.start(), token.end())} if new != token.group() else set()
    if content[:4] == b"glTF":
        grown = len(changed) - len(content)
        padding = -grown % 4
        end = 20 + int.from_bytes(content[12:16], "little") + grown
        lengths = struct.pack("<I", len(changed) + padding) + struct.pack("<I", end + padding - 20)
        changed = content[:8] + lengths + changed[16:end] + b" " * padding + changed[end:]
    return changed, not touched.isdisjoint(parsed)


# ------------------------------------------------------------------------------------------------------------ the process


def run(target: Target, count: int, seed: int, folder: Path) -> Report:
    """Read mutated files, and report."""
    rng = random.Random(seed)
    seeds = target.seeds(folder)
    parsed = {file: parsed_bytes(target, file, opened, rng) for file, opened in seeds}
    for _, opened in seeds:
        target.read(opened)
    reset_peak()
    level = peak_mib()
    limited = _address_space() + GUARD
    resource.setrlimit(resource.RLIMIT_AS, (limited, limited))
    report = Report()
    for number in range(count):
        file, opened = seeds[number % len(seeds)]
        content = file.read_bytes()
        changed, counts = mutated(content, parsed[file], rng)
        file.write_bytes(changed)
        report.files += 1
        report.in_parsed_bytes += counts
        reset_peak()
        began = time.monotonic()
        try:
            target.read(opened)
        except CopickError:
            report.refused += 1
        except BaseException as error:
            shutil.copy(file, folder / f"failure-{number}")
            trace = "".join(traceback.format_exception(error)[-6:])
            report.failures.append(f"file {number} ({file.name}): {trace}")
        report.slowest = max(report.slowest, time.monotonic() - began)
        if (taken := peak_mib() - level) > 4 * len(changed) / 2**20 + 64:
            report.too_much.append(f"file {number} ({file.name}) of {len(changed)} bytes: {taken:.0f} MiB")
            shutil.copy(file, folder / f"too-much-{number}")
        file.write_bytes(content)
    return report


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(arguments: Iterator[str]) -> None:
    """Run one target."""
    warnings.simplefilter("ignore")
    name, count, seed, folder = arguments
    os.chdir(folder)
    print(json.dumps(asdict(run(TARGETS[name], int(count), int(seed), Path(folder)))))  # noqa: T201 - what the caller reads


if __name__ == "__main__":
    main(iter(sys.argv[1:]))
