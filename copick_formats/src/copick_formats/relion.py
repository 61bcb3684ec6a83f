"""Particles in STAR files of RELION 3.0 to 5.1, and of Warp and M, which write the same.

Where a particle is, in angstrom from the centre of the first voxel:

======================================  ===========================================================================
``rlnCenteredCoordinate{X,Y,Z}Angst``   plus the tomogram's centre, size / 2 pixels of the tilt series (RELION 5)
``rlnCoordinate{X,Y,Z}``                times the pixel size they count in: that of the tilt series in the optics table
                                        (RELION 4), ``rlnPixelSize`` of the particle (Warp), or the detector's over the
                                        magnification (RELION 3.0)
``rlnOrigin{X,Y,Z}Angst``               is taken off, turned by the subtomogram's pose where there is one
``rlnOrigin{X,Y,Z}``                    the same in pixels (RELION 3.0)
======================================  ===========================================================================

The rotation, from the reference into the tomogram, is A_subtomogram A_particle with A = Rz(-psi) Ry(-tilt) Rz(-rot).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import click
import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import Frame, PicksTable
from copick_formats.cells import Frames, groups, integers, numbers, texts
from copick_formats.options import stacked
from copick_formats.relion_helical import SUBTOMOGRAM
from copick_formats.relion_tomograms import read_tomograms
from copick_formats.rotations import Floats, matrices, transforms_of
from copick_formats.star import Block, read_star

AXES = "XYZ"
CENTERED = [f"rlnCenteredCoordinate{axis}Angst" for axis in AXES]
PIXELS = [f"rlnCoordinate{axis}" for axis in AXES]
ORIGINS = [f"rlnOrigin{axis}Angst" for axis in AXES]
_PIXEL_ORIGINS = [f"rlnOrigin{axis}" for axis in AXES]
ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
RUN = "rlnTomoName"
SCORE = "rlnAutopickFigureOfMerit"
INSTANCE = "rlnHelicalTubeID"
GROUP = "rlnOpticsGroup"
IMPORTED = "rlnTomoImportParticleFile"
"""File with the particles of a tomogram, in a list for RELION's import of coordinates."""
TILT_SERIES_SIZE = "rlnTomoTiltSeriesPixelSize"
_INTERPRETED = {*CENTERED, *PIXELS, *ORIGINS, *_PIXEL_ORIGINS, *ANGLES, RUN, SCORE, INSTANCE}
CENTRES = {"size/2": 0.0, "size/2-1": 1.0}
"""What is taken off size / 2: RELION 5's picking scripts differ from its reader by a pixel for even sizes."""


def is_relion(path: str, head: bytes) -> bool:
    """Whether a file is a STAR file with RELION's labels, in its first 64 kB."""
    if b"data_" not in head:
        return False
    if b"_rln" in head:
        return True
    with open(path, "rb") as file:
        return b"\n_rln" in file.read(1 << 16)


read_options = stacked(
    click.option("--pixel-size", type=float, help="Angstrom per pixel that rlnCoordinateX counts in, instead of the file's."),
    click.option("--tomograms", type=click.Path(exists=True), help="tomograms.star with sizes and pixel sizes of tomograms."),
    click.option("--centre", type=click.Choice([*CENTRES]), default="size/2", help="Where centred coordinates count from."),
    click.option("--block", help="Data block with the particles, where several have coordinates."),
    click.option("--tomogram", help="Name of the tomogram, where the particles name none."),
)


@read_options
def read_relion(
    path: str,
    *,
    frame: Frames,
    pixel_size: float | None = None,
    tomograms: str | None = None,
    centre: str = "size/2",
    block: str | None = None,
    tomogram: str | None = None,
) -> Iterator[PicksTable]:
    """Read particles.

    A list of files for RELION's import of coordinates (``rlnTomoImportParticleFile``) is read with all files in it.

    Runs are named as in ``rlnTomoName``, or by the file in ``rlnMicrographName`` where there is none. All columns that are
    not interpreted are kept. Subtomogram poses (``rlnTomoSubtomogramRot`` …) are kept too, so that priors keep their
    meaning when the particles are written again.

    Args:
        path: The file.
        frame: Returns the frame of a run: for centred coordinates, where ``tomograms`` does not have it.
        pixel_size: Angstrom per pixel that ``rlnCoordinateX`` counts in, instead of what the file says.
        tomograms: Path of a tomograms.star.
        centre: ``"size/2"``, as RELION's reader has it, or ``"size/2-1"`` pixel.
        block: Name of the data block with the particles; the only one that has coordinates by default.
        tomogram: Name of their tomogram, for particles that name none.

    Raises:
        InvalidDataError: It holds no particles, or several blocks of them and ``block`` does not choose, a cell cannot be
            read, or a pixel size or centre is not known.
    """
    if centre not in CENTRES:
        raise InvalidDataError(source=path, reason=f"centre is {centre!r}; choose one of {', '.join(CENTRES)}")
    blocks = read_star(path)
    if listed := next((block.columns for block in blocks if IMPORTED in block.columns), None):
        for row, name in enumerate(listed[IMPORTED], 1):
            file = _listed(path, row, name)
            yield from read_relion(
                file, frame=frame, pixel_size=pixel_size, tomograms=tomograms, centre=centre, tomogram=tomogram
            )
        return
    particles = _particles(path, blocks, block)
    columns = particles.columns
    runs = _runs(path, columns, tomogram)
    known = read_tomograms(tomograms) if tomograms is not None else {}
    optics = next((block.columns for block in blocks if block is not particles and GROUP in block.columns), {})
    particle, subtomogram = _angles(path, columns, ANGLES), _angles(path, columns, SUBTOMOGRAM)
    positions, sizes = _coordinates(path, columns, optics, pixel_size, known)
    origins = _origins(path, columns, sizes)
    scores = numbers(path, SCORE, columns[SCORE]) if SCORE in columns else None
    instances = integers(path, INSTANCE, columns[INSTANCE]) if INSTANCE in columns else None
    centred = all(label in columns for label in CENTERED) and pixel_size is None
    kept = [
        label for label in columns if label not in _INTERPRETED and not (label == "rlnMicrographName" and RUN not in columns)
    ]
    texts_kept = {label: columns[label] for label in kept}
    del blocks, particles, columns, optics, sizes  # of what is numbers now, the text is the larger part of memory
    for run, rows in groups(runs):
        pose, rotations = _poses(particle, subtomogram, rows)
        located = positions[rows] - (origins[rows] if pose is None else np.einsum("nij,nj->ni", pose, origins[rows]))
        if centred:
            located = located + _centre(path, run, known.get(run) or frame(run), CENTRES[centre])
        yield PicksTable(
            located,
            None if rotations is None else transforms_of(rotations, None, len(located)),
            None if instances is None else instances[rows],
            None if scores is None else scores[rows],
            run,
            columns={label: texts(cells, rows) for label, cells in texts_kept.items()},
        )


def _listed(path: str, row: int, name: str) -> str:
    """A file that a list names: from here, as RELION's project is where its programs run, or from the list's place."""
    folder = os.path.dirname(os.path.abspath(path))
    for place in ("", folder, os.path.dirname(folder)):
        file = os.path.join(place, name)
        if os.path.isfile(file):
            return file
    raise InvalidDataError(source=path, reason=f"row {row}, column {IMPORTED}: there is no file {name!r}", index=row - 1)


def _particles(path: str, blocks: Sequence[Block], name: str | None) -> Block:
    """The block with coordinates."""
    found = [b for b in blocks if any(all(label in b.columns for label in labels) for labels in (CENTERED, PIXELS))]
    chosen = [b for b in found if name in (None, b.name)]
    if len(chosen) == 1:
        return chosen[0]
    if found:
        names = " and ".join(f"data_{b.name}" for b in found)
        reason = f"holds coordinates in {names}; give block ({' or '.join(b.name for b in found)})"
        raise InvalidDataError(source=path, reason=reason)
    has = sorted({label for block in blocks for label in block.columns})
    listed = ", ".join(has[:8]) + (" …" if len(has) > 8 else "")
    reason = f"holds no particles: it has neither {', '.join(CENTERED)} nor {', '.join(PIXELS)}, but {listed or 'no column'}"
    raise InvalidDataError(source=path, reason=reason)


def _runs(path: str, columns: Mapping[str, Sequence[str]], tomogram: str | None) -> Sequence[str]:
    if RUN in columns:
        runs = columns[RUN]
    elif "rlnMicrographName" in columns:
        names = {name: PurePosixPath(name.replace("\\", "/")).name for name in {*columns["rlnMicrographName"]}}
        runs = [names[name] for name in columns["rlnMicrographName"]]
    elif tomogram is not None:
        runs = [tomogram] * len(next(iter(columns.values())))
    else:
        reason = f"names no tomograms: it has neither {RUN} nor rlnMicrographName; give tomogram (the name of the only one)"
        raise InvalidDataError(source=path, reason=reason)
    if "" in runs:
        row = [*runs].index("") + 1
        raise InvalidDataError(source=path, reason=f"row {row}: the name of the tomogram is empty", index=row - 1)
    return runs


def _angles(path: str, columns: Mapping[str, Sequence[str]], labels: Sequence[str]) -> Floats | None:
    """The angles (n, 3) in degrees, if the file has them."""
    present = [label for label in labels if label in columns]
    if not present:
        return None
    if len(present) < 3:
        missing = next(label for label in labels if label not in columns)
        raise InvalidDataError(source=path, reason=f"has the column {present[0]}, but not {missing}")
    return np.stack([numbers(path, label, columns[label]) for label in labels], 1)


def _rotations(angles: Floats | None, rows: Any) -> Floats | None:
    if angles is None:
        return None
    rot, tilt, psi = angles[rows].T
    return matrices(-psi, -tilt, -rot, "y")


def _poses(particle: Floats | None, subtomogram: Floats | None, rows: Any) -> tuple[Floats | None, Floats | None]:
    """The poses of some particles' subtomograms, and rotations of the particles into the tomogram."""
    pose, turned = _rotations(subtomogram, rows), _rotations(particle, rows)
    if pose is None or turned is None:
        return pose, pose if turned is None else turned
    return pose, pose @ turned


def _coordinates(
    path: str,
    columns: Mapping[str, Sequence[str]],
    optics: Mapping[str, Sequence[str]],
    pixel_size: float | None,
    known: Mapping[str, Frame],
) -> tuple[Floats, Floats | None]:
    """Positions in angstrom (from the centre, if they are centred), and the pixel size of each particle, if it is needed."""
    in_pixels = all(label in columns for label in PIXELS)
    centred = all(label in columns for label in CENTERED)
    if pixel_size is not None and not in_pixels:
        reason = f"has no {PIXELS[0]}, so pixel_size has no meaning; leave it out"
        raise InvalidDataError(source=path, reason=reason)
    needs_sizes = pixel_size is not None or not centred or _PIXEL_ORIGINS[0] in columns
    sizes = _pixel_sizes(path, columns, optics, pixel_size, known) if needs_sizes else None
    labels = CENTERED if centred and pixel_size is None else PIXELS
    positions = np.stack([numbers(path, label, columns[label]) for label in labels], 1)
    return (positions if labels is CENTERED or sizes is None else positions * sizes[:, None]), sizes


def _pixel_sizes(
    path: str,
    columns: Mapping[str, Sequence[str]],
    optics: Mapping[str, Sequence[str]],
    pixel_size: float | None,
    known: Mapping[str, Frame],
) -> Floats:
    """Angstrom per pixel of the coordinates of each particle."""
    n = len(next(iter(columns.values())))
    if pixel_size is not None:
        sizes = np.full(n, float(pixel_size))
    elif "rlnPixelSize" in columns:
        sizes = numbers(path, "rlnPixelSize", columns["rlnPixelSize"])
    elif TILT_SERIES_SIZE in columns:
        sizes = numbers(path, TILT_SERIES_SIZE, columns[TILT_SERIES_SIZE])
    elif TILT_SERIES_SIZE in optics and GROUP in columns:
        sizes = _of_groups(path, columns, optics)
    elif "rlnDetectorPixelSize" in columns and "rlnMagnification" in columns:
        detector, magnification = (
            numbers(path, label, columns[label]) for label in ("rlnDetectorPixelSize", "rlnMagnification")
        )
        with np.errstate(divide="ignore"):
            sizes = detector * 1e4 / magnification
    elif known and RUN in columns:
        if missing := [run for run in dict.fromkeys(columns[RUN]) if run not in known]:
            raise InvalidDataError(source=path, reason=f"the tomogram {missing[0]!r} is not in the tomograms.star")
        sizes = np.array([known[run].voxel_size for run in columns[RUN]])
    else:
        reason = (
            f"does not say what pixels {PIXELS[0]} counts in: give pixel_size (in angstrom), or tomograms (a tomograms.star)"
        )
        raise InvalidDataError(source=path, reason=reason)
    wrong = ~(np.isfinite(sizes) & (sizes > 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidDataError(source=path, reason=f"row {row + 1}: the pixel size {sizes[row]} is not positive", index=row)
    return sizes


def _of_groups(path: str, columns: Mapping[str, Sequence[str]], optics: Mapping[str, Sequence[str]]) -> Floats:
    of_group = dict(zip(optics[GROUP], numbers(path, TILT_SERIES_SIZE, optics[TILT_SERIES_SIZE]).tolist(), strict=True))
    label = "rlnImagePixelSize" if "rlnImagePixelSize" in optics else TILT_SERIES_SIZE
    images = dict(zip(optics[GROUP], numbers(path, label, optics[label]).tolist(), strict=True))
    names = columns.get(RUN, ())
    # Warp up to 2.0dev39 gives the tilt series' pixel size and counts coordinates in pixels of what it extracted.
    if names and all(name.endswith(".tomostar") for name in {*names}):
        for group, size in of_group.items():
            if abs(size - images[group]) > 1e-6:
                reason = (
                    f"is Warp's with two pixel sizes in its optics: {size:g} (tilt series) and {images[group]:g} (image); "
                    f"versions differ in which of them {PIXELS[0]} counts in. Give pixel_size"
                )
                raise InvalidDataError(source=path, reason=reason)
    try:
        return np.array([of_group[group] for group in columns[GROUP]])
    except KeyError as error:
        row = [*columns[GROUP]].index(error.args[0]) + 1
        reason = f"row {row}: the optics group {error.args[0]} is not in the optics table"
        raise InvalidDataError(source=path, reason=reason, index=row - 1) from None


def _origins(path: str, columns: Mapping[str, Sequence[str]], sizes: Floats | None) -> Floats:
    """What is taken off positions, in angstrom, once it is turned by the pose of the subtomogram."""
    n = len(next(iter(columns.values())))
    shifts = np.zeros((n, 3))
    for axis, (in_angstrom, in_pixels) in enumerate(zip(ORIGINS, _PIXEL_ORIGINS, strict=True)):
        if in_angstrom in columns:
            shifts[:, axis] = numbers(path, in_angstrom, columns[in_angstrom])
        elif in_pixels in columns and sizes is not None:
            shifts[:, axis] = numbers(path, in_pixels, columns[in_pixels]) * sizes
    return shifts


def _centre(path: str, run: str, frame: Frame | None, off: float) -> Floats:
    if frame is None:
        reason = (
            f"coordinates of {run!r} count from the centre of the tomogram, whose size is not known: "
            "give tomograms (a tomograms.star), or import the tomogram first"
        )
        raise InvalidDataError(source=path, reason=reason)
    return (np.array(frame.shape[::-1], float) / 2 - off) * frame.voxel_size
