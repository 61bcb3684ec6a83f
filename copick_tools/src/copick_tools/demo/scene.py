"""What the demonstration stores: a volume and annotations of it, from the phantom or from a volume of the user's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from copick_core.errors import InvalidDataError
from copick_tools.demo import detect, phantom
from copick_tools.demo.surface import isosurface

Array = NDArray[np.float64]

ANNOTATOR = "alice"
REVIEWER = "bob"
TOOL = "peak-finder"

#: Voxels that the image processing looks at: larger volumes are averaged down to this first.
MOST_VOXELS = 2**23


@dataclass(frozen=True)
class PickSet:
    """Picks of one object by one user: (N, 3) positions in Ångström, (N, 4, 4) transforms, (N,) scores."""

    object_name: str
    user_id: str
    session_id: str
    positions: Array
    transforms: Array
    scores: Array

    def moved(self, distance: float) -> PickSet:
        """The picks moved by a distance in Ångström along each axis."""
        return replace(self, positions=self.positions + distance)

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> PickSet:
        """Some of the picks."""
        return replace(self, positions=self.positions[chosen], transforms=self.transforms[chosen], scores=self.scores[chosen])


@dataclass(frozen=True)
class Scene:
    """A volume with everything that is to be stored about it.

    Attributes:
        run: Name of the run.
        title: Headline of the picture.
        facts: Lines that say where volume and annotations come from.
        density: (z, y, x).
        voxel_size: Ångström.
        objects: The pickable objects, as they stand in a config.
        picks: Picks of a user, and of a tool (session "0").
        segmentation: Name of the segmented object.
        mask: uint8 (z, y, x), 1 inside it.
        labels: uint8 (z, y, x), labels of all objects.
        mask_voxel_size: Ångström, of mask and labels.
        vertices: Mesh of the segmented object, (V, 3) as (x, y, z) in Ångström.
        faces: Its triangles (F, 3).
        particle: The object that has a density map.
        particle_map: float32 (z, y, x), protein bright.
        particle_map_voxel_size: Ångström.
        kept: For each of the tool's picks, whether the reviewer keeps it.
        added: Picks that the reviewer adds.
    """

    run: str
    title: str
    facts: tuple[str, ...]
    density: NDArray[Any]
    voxel_size: float
    objects: tuple[dict[str, Any], ...]
    picks: tuple[PickSet, PickSet]
    segmentation: str
    mask: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    mask_voxel_size: float
    vertices: Array
    faces: NDArray[np.int64]
    particle: str
    particle_map: NDArray[np.float32]
    particle_map_voxel_size: float
    kept: NDArray[np.bool_]
    added: PickSet


def synthetic(advance: Callable[[str], None] = lambda step: None) -> Scene:
    """The phantom. A user has picked most ribosomes where they are known to be; the tool really searches for ferritins.

    The reviewer, who knows the truth, drops what the tool took for ferritin wrongly, and adds the ribosomes that the user
    missed.
    """
    known = phantom.build(advance=advance)
    ribosomes, ferritins = known.particles
    by_user = PickSet(
        ribosomes.species.name, ANNOTATOR, "1", ribosomes.positions, ribosomes.transforms, np.ones(len(ribosomes.positions))
    )
    missed = np.arange(len(ribosomes.positions)) % 5 == 3

    advance("picking")
    occupied = detect.low_pass((known.labels == phantom.MEMBRANE_LABEL).astype(np.float32), 1.0) > 0.02
    for position in ribosomes.positions:
        _fill_sphere(occupied, position / known.voxel_size, 1.25 * ribosomes.species.radius / known.voxel_size, True)
    by_tool = _find(
        ferritins.species.name, known.density, known.voxel_size, sigma=3.5, distance=9.0, count=36, allowed=~occupied
    )
    gaps = np.linalg.norm(by_tool.positions[:, None] - ferritins.positions[None], axis=2)
    right = gaps.min(axis=1) < 0.75 * ferritins.species.radius
    found = len(set(gaps.argmin(axis=1)[right]))

    species = [ribosomes.species, ferritins.species]
    objects = [_object(s.name, True, s.label, s.color, s.radius) for s in species]
    objects.append(_object("membrane", False, phantom.MEMBRANE_LABEL, known.membrane_color, None))
    return Scene(
        run="phantom",
        title="Synthetic tomogram",
        facts=(
            f"{len(ribosomes.positions)} ribosomes and {len(ferritins.positions)} ferritins at known places; "
            f"signal to noise {phantom.SIGNAL_TO_NOISE:g}, tilt range ±{phantom.TILT_RANGE:g}°",
            f"{TOOL} found {found} of {len(ferritins.positions)} ferritins, with {int((~right).sum())} false picks",
        ),
        density=known.density,
        voxel_size=known.voxel_size,
        objects=tuple(objects),
        picks=(by_user.only(~missed), by_tool),
        segmentation="membrane",
        mask=known.membrane,
        labels=known.labels,
        mask_voxel_size=known.voxel_size,
        vertices=known.vertices,
        faces=known.faces,
        particle=ribosomes.species.name,
        particle_map=phantom.density_map(ribosomes.species, known.voxel_size),
        particle_map_voxel_size=known.voxel_size,
        kept=right,
        added=replace(by_user.only(missed), user_id=REVIEWER, session_id="2"),
    )


def measured(name: str, density: NDArray[Any], voxel_size: float, advance: Callable[[str], None] = lambda step: None) -> Scene:
    """A volume of the user's, with annotations that are computed from it.

    Picks are the highest maxima of the band-passed density at two scales, turned to the local structure tensor; the
    segmentation is the largest connected part beyond Otsu's threshold; the density map is the mean around the finer picks.
    Two users and a tool sign them, because a project has such.

    Args:
        name: Name of the run.
        density: (z, y, x).
        voxel_size: Ångström.
        advance: Called with the name of each step when it begins.

    Raises:
        InvalidDataError: The volume has no contrast in which anything could be found.
    """
    advance("averaging")
    volume, size = _averaged(np.asarray(density), voxel_size)
    spread = float(volume.std())
    if not np.isfinite(spread) or spread == 0:
        raise InvalidDataError(
            source=name, reason="it has no contrast, or values that are not numbers; nothing can be found in it"
        )
    sign = detect.contrast(volume)
    bright = (sign * (volume - volume.mean()) / spread).astype(np.float32)

    advance("picking")
    fine = _find("small-blob", bright, size, sigma=1.5, distance=4.0, count=80, bright=True)
    coarse = _find("large-blob", bright, size, sigma=3.0, distance=8.0, count=24, bright=True)
    if not len(fine.positions) or not len(coarse.positions):
        raise InvalidDataError(source=name, reason="its density has no local maximum to pick")

    advance("segmentation")
    smooth = detect.low_pass(bright, 2.0)
    mask = detect.largest_component(smooth > detect.otsu(smooth))
    # The distance between a mask and its surface is well below a voxel once the mask is slightly smoothed.
    solid = detect.low_pass(np.pad(mask, 1).astype(np.float32), 0.7)
    vertices, faces = isosurface(-solid, -0.5, size)

    labels = mask.astype(np.uint8)
    objects = (
        _object("small-blob", True, 2, (226, 62, 140, 255), 2.6 * size),
        _object("large-blob", True, 3, (240, 170, 0, 255), 5.2 * size),
        _object("foreground", False, 1, (86, 180, 233, 255), None),
    )
    for picks, definition in ((coarse, objects[1]), (fine, objects[0])):
        for position in picks.positions:
            _fill_sphere(labels, position / size, definition["radius"] / size, definition["label"])

    # A block's mean stands in the middle of its voxels, not at the first one.
    shift = (size - voxel_size) / 2
    fine, coarse = fine.moved(shift), coarse.moved(shift)

    count = max(1, len(fine.positions) * 4 // 5)
    by_tool, rest = fine.only(np.arange(count)), fine.only(np.arange(count, len(fine.positions)))
    box = min(16, *(2 * (n // 2) for n in volume.shape))
    indices = np.rint((by_tool.positions[:, ::-1] - shift) / size).astype(np.int64)
    return Scene(
        run=name,
        title=name,
        facts=(
            f"the specimen is {'bright' if sign > 0 else 'dark'}; every annotation is computed from the density: "
            "blobs at two scales, Otsu's foreground, orientations from the structure tensor",
        ),
        density=density,
        voxel_size=voxel_size,
        objects=objects,
        picks=(replace(coarse, user_id=ANNOTATOR, session_id="1"), by_tool),
        segmentation="foreground",
        mask=mask.astype(np.uint8),
        labels=labels,
        mask_voxel_size=size,
        vertices=vertices - size + shift,
        faces=faces,
        particle="small-blob",
        particle_map=detect.mean_subvolume(bright, indices, max(2, box)),
        particle_map_voxel_size=size,
        # The reviewer drops the weakest fifth.
        kept=np.arange(count) < max(1, count * 4 // 5),
        added=replace(rest, user_id=REVIEWER, session_id="2"),
    )


def _find(
    name: str,
    density: NDArray[np.float32],
    voxel_size: float,
    sigma: float,
    distance: float,
    count: int,
    allowed: NDArray[np.bool_] | None = None,
    bright: bool = False,
) -> PickSet:
    """The tool: maxima of the band-passed density, with the local orientation; scores are in standard deviations."""
    sign = 1 if bright else detect.contrast(density)
    filtered = detect.band_pass(sign * density, sigma)
    margin = min(int(1.5 * sigma), min(density.shape) // 8)
    indices, heights = detect.peaks(filtered, distance, count, margin, allowed)
    transforms = detect.directions(detect.low_pass(density, 1.0), indices, reach=max(3, round(2 * sigma)))
    spread = float(filtered.std()) or 1.0
    positions: Array = indices[:, ::-1].astype(np.float64) * voxel_size
    scores: Array = (heights / spread).astype(np.float64)
    return PickSet(name, TOOL, "0", positions, transforms, scores)


def _averaged(density: NDArray[Any], voxel_size: float) -> tuple[NDArray[np.float32], float]:
    """Halves a volume until it is small enough; what does not fill a block of 2x2x2 is left out."""
    volume = density
    while volume.size > MOST_VOXELS and min(volume.shape) >= 4:
        z, y, x = (n // 2 * 2 for n in volume.shape)
        blocks = volume[:z, :y, :x].reshape(z // 2, 2, y // 2, 2, x // 2, 2)
        volume = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
        voxel_size *= 2
    return volume.astype(np.float32), voxel_size


def _fill_sphere(volume: NDArray[Any], centre: Array, radius: float, value: Any) -> None:
    """Sets the voxels within a radius of a centre (x, y, z), both in voxels."""
    window, away = [], []
    for middle, length in zip(centre[::-1], volume.shape, strict=True):
        start, stop = max(0, int(np.ceil(middle - radius))), min(length, int(np.floor(middle + radius)) + 1)
        window.append(slice(start, max(start, stop)))
        away.append(np.arange(start, max(start, stop)) - middle)
    z, y, x = away
    inside = z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2 <= radius**2
    volume[tuple(window)][inside] = value


def _object(
    name: str, is_particle: bool, label: int, color: tuple[int, int, int, int], radius: float | None
) -> dict[str, Any]:
    return {"name": name, "is_particle": is_particle, "label": label, "color": list(color), "radius": radius}
