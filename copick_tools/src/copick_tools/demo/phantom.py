"""A synthetic tomogram whose every particle, membrane voxel and triangle is known.

The scene is a flattened vesicle with ribosomes on its membrane and in the solution around it, and ferritin cages in
between. Particles are sums of Gaussian pseudo-atoms, drawn at their exact sub-voxel position and rotation, so that no
interpolation blurs the truth. The imaging keeps what a tilt series keeps: a tilt range (the missing wedge), a band of
spatial frequencies, weak low frequencies, and much noise. Protein is dark.

Arrays are (z, y, x). Positions are (x, y, z) in Ångström; the voxel with index ``i`` samples the position
``i * voxel_size``, as the scale transform of an OME-Zarr level has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from copick_tools.demo.surface import isosurface

Array = NDArray[np.float64]

SHAPE = (64, 192, 192)
VOXEL_SIZE = 10.0  # Å
TILT_RANGE = 60.0  # degrees to either side
RESOLUTION = 28.0  # Å, where the band limit has fallen to 1/e
SIGNAL_TO_NOISE = 0.18  # variance of the signal over variance of the noise

MEMBRANE_LABEL = 1
LEAFLET_DISTANCE = 20.0  # Å from the bilayer's middle to the head groups of one leaflet
LEAFLET_WIDTH = 8.0  # Å, standard deviation of one leaflet's density
BILAYER_HALF_WIDTH = 28.0  # Å, what the membrane's label covers on each side


@dataclass(frozen=True)
class Species:
    """One kind of particle: its pseudo-atoms around the origin, and how it is shown.

    Attributes:
        name: Name of the pickable object.
        label: Its value in label volumes.
        color: RGBA, 0 to 255.
        radius: Radius in Ångström that encloses the density.
        atoms: Positions of the pseudo-atoms, (N, 3) as (x, y, z) in Ångström.
        atom_width: Standard deviation of a pseudo-atom in Ångström.
        amplitude: Height of a pseudo-atom.
    """

    name: str
    label: int
    color: tuple[int, int, int, int]
    radius: float
    atoms: Array
    atom_width: float
    amplitude: float


@dataclass(frozen=True)
class Particles:
    """Known particles of one species: (N, 3) positions in Ångström and (N, 4, 4) object-to-tomogram transforms."""

    species: Species
    positions: Array
    transforms: Array


@dataclass(frozen=True)
class Phantom:
    """A tomogram and the truth about it.

    Attributes:
        density: The imaged volume, float32 (z, y, x), protein dark.
        voxel_size: Ångström.
        particles: The known particles of each species.
        membrane: uint8 (z, y, x), 1 inside the bilayer.
        labels: uint8 (z, y, x), the membrane's label and each species' label.
        vertices: The membrane's middle surface, (V, 3) as (x, y, z) in Ångström.
        faces: Its triangles, (F, 3), outward by the right-hand rule.
        membrane_color: RGBA, 0 to 255.
    """

    density: NDArray[np.float32]
    voxel_size: float
    particles: tuple[Particles, ...]
    membrane: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    vertices: Array
    faces: NDArray[np.int64]
    membrane_color: tuple[int, int, int, int] = (86, 180, 233, 255)


def ribosome() -> Species:
    """A ribosome-like particle of 110 pseudo-atoms: a large subunit towards -Z, a small one towards +Z, and a stalk.

    No rotation but the identity maps it onto itself.
    """
    rng = np.random.default_rng(80)
    large = _filled_ellipsoid(rng, 64, centre=(0.0, 0.0, -32.0), axes=(82.0, 74.0, 68.0))
    small = _filled_ellipsoid(rng, 36, centre=(10.0, 0.0, 66.0), axes=(88.0, 44.0, 32.0))
    stalk = np.array([-88.0, 34.0, -10.0]) + np.linspace(0.0, 1.0, 6)[:, None] * np.array([-36.0, 26.0, 28.0])
    beak = np.array([96.0, 12.0, 62.0]) + np.linspace(0.0, 1.0, 4)[:, None] * np.array([20.0, 16.0, -18.0])
    atoms = np.concatenate([large, small, stalk, beak])
    return Species(
        name="ribosome",
        label=2,
        color=(240, 170, 0, 255),
        radius=130.0,
        atoms=atoms - atoms.mean(axis=0),
        atom_width=13.0,
        amplitude=0.85,
    )


def ferritin() -> Species:
    """A ferritin-like cage: 24 subunits of two pseudo-atoms on a shell, with octahedral symmetry."""
    rotations = _octahedral_group()
    subunit = np.array([[42.0, 28.0, 16.0], [30.0, 40.0, 18.0]])
    return Species(
        name="ferritin",
        label=3,
        color=(226, 62, 140, 255),
        radius=66.0,
        atoms=np.einsum("gij,aj->gai", rotations, subunit).reshape(-1, 3),
        atom_width=10.0,
        amplitude=0.8,
    )


def density_map(species: Species, voxel_size: float, size: int = 32) -> NDArray[np.float32]:
    """The particle alone, unrotated, centred on the middle voxel of a cube: what an object's density map holds.

    Args:
        species: The particle.
        voxel_size: Ångström.
        size: Edge of the cube in voxels.

    Returns:
        float32 (z, y, x), protein bright, as density maps are by convention.
    """
    volume = np.zeros((size, size, size), dtype=np.float64)
    _add_atoms(volume, species, np.full(3, size // 2 * voxel_size), np.eye(3), voxel_size)
    return volume.astype(np.float32)


def build(
    shape: tuple[int, int, int] = SHAPE,
    voxel_size: float = VOXEL_SIZE,
    seed: int = 7,
    advance: Callable[[str], None] = lambda step: None,
) -> Phantom:
    """Builds the scene and images it.

    Args:
        shape: (z, y, x) in voxels. The vesicle's size follows it.
        voxel_size: Ångström.
        seed: The same seed gives the same phantom.
        advance: Called with the name of each step when it begins.

    Returns:
        The imaged volume with the truth about it.
    """
    rng = np.random.default_rng(seed)

    advance("membrane")
    distance = _vesicle_distance(shape, voxel_size)
    vertices, faces = isosurface(distance, 0.0, voxel_size)
    membrane = (np.abs(distance) <= BILAYER_HALF_WIDTH).astype(np.uint8)
    scene = np.zeros(shape, dtype=np.float64)
    for side in (-1.0, 1.0):
        scene += np.exp(-0.5 * ((distance - side * LEAFLET_DISTANCE) / LEAFLET_WIDTH) ** 2)

    advance("particles")
    large, small = ribosome(), ferritin()
    taken: list[tuple[Array, float]] = []
    bound = _bind_to_membrane(rng, large, distance, voxel_size, taken, count=9)
    free = _scatter(rng, large, distance, voxel_size, taken, count=9)
    cages = _scatter(rng, small, distance, voxel_size, taken, count=34)
    particles = (_particles(large, bound + free), _particles(small, cages))

    labels = membrane * np.uint8(MEMBRANE_LABEL)
    for known in particles:
        alone = np.zeros(shape, dtype=np.float64)
        for position, transform in zip(known.positions, known.transforms, strict=True):
            _add_atoms(alone, known.species, position, transform[:3, :3], voxel_size)
        labels[(alone > 0.3) & (labels == 0)] = known.species.label
        scene += alone

    advance("imaging")
    density = _image(rng, -scene, voxel_size)
    return Phantom(density, voxel_size, particles, membrane, labels, vertices, faces)


def _filled_ellipsoid(
    rng: np.random.Generator, count: int, centre: tuple[float, float, float], axes: tuple[float, float, float]
) -> Array:
    """Points that fill an ellipsoid evenly: the best of a few random candidates, one after the other."""
    points = np.empty((0, 3))
    while len(points) < count:
        candidates = rng.normal(size=(12, 3))
        candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
        candidates *= rng.random((12, 1)) ** (1 / 3) * np.array(axes)
        if len(points):
            gaps = np.linalg.norm(candidates[:, None] - points[None], axis=2).min(axis=1)
            candidates = candidates[[int(gaps.argmax())]]
        points = np.concatenate([points, candidates[:1]])
    return np.asarray(points + np.array(centre))


def _octahedral_group() -> Array:
    """The 24 rotations of a cube: signed permutations of the axes with determinant 1."""
    matrices = []
    for order in permutations(range(3)):
        for signs in product((-1.0, 1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            if np.linalg.det(matrix) > 0:
                matrices.append(matrix)
    return np.array(matrices)


def _vesicle_distance(shape: tuple[int, int, int], voxel_size: float) -> Array:
    """Signed distance in Ångström to a vesicle's membrane, negative inside, exact to first order near the membrane.

    The vesicle is an ellipsoid, flattened along z as in thin ice, with a few waves on it.
    """
    extent = np.array(shape) * voxel_size
    centre = extent * (0.5, 0.50, 0.40)
    axes = extent * (0.38, 0.245, 0.265)
    grid = [
        (np.arange(n) * voxel_size - c).reshape([-1 if i == axis else 1 for i in range(3)])
        for axis, (n, c) in enumerate(zip(shape, centre, strict=True))
    ]
    radius = np.sqrt(sum((g / a) ** 2 for g, a in zip(grid, axes, strict=True)))
    slope = np.sqrt(sum((g / a**2) ** 2 for g, a in zip(grid, axes, strict=True)))
    azimuth = np.arctan2(grid[1], grid[2])
    # The waves fade towards the poles, where an azimuth means nothing.
    equatorial = 1.0 - (grid[0] / axes[0]) ** 2 / np.maximum(radius**2, 1e-12)
    waves = 0.05 * np.cos(2 * azimuth + 0.6) + 0.03 * np.cos(3 * azimuth - 1.0) + 0.015 * np.sin(5 * azimuth)
    waves = 1.0 + waves * np.clip(equatorial, 0.0, 1.0)
    relative = radius / waves
    # Both vanish at the centre, where their ratio lies between the axes.
    scale = np.where(slope > 0, radius / np.where(slope > 0, slope, 1.0), axes.min())
    return np.asarray((relative - 1.0) * scale / waves)


def _sample(volume: Array, position: Array, voxel_size: float) -> float:
    """The voxel nearest to a position (x, y, z), or -infinity outside the volume."""
    index = np.rint(position[::-1] / voxel_size).astype(int)
    if np.any(index < 0) or np.any(index >= volume.shape):
        return -np.inf
    return float(volume[tuple(index)])


def _fits(position: Array, radius: float, shape: tuple[int, ...], voxel_size: float, taken: list[tuple[Array, float]]) -> bool:
    """Whether a sphere lies within the volume and touches no other."""
    upper = (np.array(shape[::-1]) - 1) * voxel_size
    if np.any(position < radius) or np.any(position > upper - radius):
        return False
    return all(np.linalg.norm(position - other) >= 0.96 * (radius + reach) for other, reach in taken)


def _bind_to_membrane(
    rng: np.random.Generator,
    species: Species,
    distance: Array,
    voxel_size: float,
    taken: list[tuple[Array, float]],
    count: int,
) -> list[tuple[Array, Array]]:
    """Places particles on the outer side of the membrane, their +Z along its outward normal."""
    gap = BILAYER_HALF_WIDTH + 0.86 * species.radius
    shell = np.argwhere(np.abs(distance - gap) < 0.5 * voxel_size)
    placed: list[tuple[Array, Array]] = []
    for index in rng.permutation(shell):
        if len(placed) == count:
            break
        position = index[::-1] * voxel_size
        if not _fits(position, 0.9 * species.radius, distance.shape, voxel_size, taken):
            continue
        normal = np.array([slope.item() for slope in _slopes(distance, index)])
        rotation = _frame(normal) @ _turn_about_z(rng.uniform(0.0, 2 * np.pi))
        placed.append((position.astype(np.float64), rotation))
        taken.append((position, species.radius))
    return placed


def _scatter(
    rng: np.random.Generator,
    species: Species,
    distance: Array,
    voxel_size: float,
    taken: list[tuple[Array, float]],
    count: int,
    attempts: int = 20_000,
) -> list[tuple[Array, Array]]:
    """Places particles at random, randomly rotated, clear of the membrane, on both of its sides."""
    extent = (np.array(distance.shape[::-1]) - 1) * voxel_size
    placed: list[tuple[Array, Array]] = []
    for _ in range(attempts):
        if len(placed) == count:
            break
        position = rng.random(3) * extent
        clear = abs(_sample(distance, position, voxel_size)) > BILAYER_HALF_WIDTH + species.radius
        if clear and _fits(position, species.radius, distance.shape, voxel_size, taken):
            placed.append((position, _random_rotation(rng)))
            taken.append((position, species.radius))
    return placed


def _slopes(volume: Array, index: NDArray[np.int64]) -> Array:
    """The unit gradient (x, y, z) at an inner voxel."""
    z, y, x = (int(i) for i in index)
    gradient = np.array(
        [
            volume[z, y, x + 1] - volume[z, y, x - 1],
            volume[z, y + 1, x] - volume[z, y - 1, x],
            volume[z + 1, y, x] - volume[z - 1, y, x],
        ]
    )
    return np.asarray(gradient / np.linalg.norm(gradient))


def _frame(axis: Array) -> Array:
    """A rotation that takes +Z to a unit vector."""
    helper = np.eye(3)[int(np.abs(axis).argmin())]
    first = np.cross(helper, axis)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(axis, first), axis], axis=1)


def _turn_about_z(angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _random_rotation(rng: np.random.Generator) -> Array:
    """Uniform over all rotations: a normalised Gaussian quaternion."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _particles(species: Species, placed: list[tuple[Array, Array]]) -> Particles:
    transforms = np.tile(np.eye(4), (len(placed), 1, 1))
    for transform, (_, rotation) in zip(transforms, placed, strict=True):
        transform[:3, :3] = rotation
    return Particles(species, np.array([position for position, _ in placed]).reshape(-1, 3), transforms)


def _add_atoms(volume: Array, species: Species, position: Array, rotation: Array, voxel_size: float) -> None:
    """Adds one particle's pseudo-atoms; what lies outside the volume is left out."""
    width = species.atom_width / voxel_size
    reach = int(np.ceil(3.5 * width))
    for atom in (species.atoms @ rotation.T + position)[:, ::-1] / voxel_size:
        window, profiles = [], []
        for centre, length in zip(atom, volume.shape, strict=True):
            middle = round(float(centre))
            start, stop = max(0, middle - reach), min(length, middle + reach + 1)
            window.append(slice(start, stop))
            profiles.append(np.exp(-0.5 * ((np.arange(start, stop) - centre) / width) ** 2))
        if all(len(profile) for profile in profiles):
            z, y, x = profiles
            volume[tuple(window)] += species.amplitude * z[:, None, None] * y[None, :, None] * x[None, None, :]


def _image(rng: np.random.Generator, scene: Array, voxel_size: float) -> NDArray[np.float32]:
    """What a tilt series keeps of a scene, with noise of the same band; zero mean and unit variance."""
    kz, ky, kx = (np.fft.fftfreq(n, voxel_size) for n in scene.shape)
    kx = kx[: scene.shape[2] // 2 + 1]
    kz, ky, kx = np.abs(kz)[:, None, None], np.abs(ky)[None, :, None], np.abs(kx)[None, None, :]
    squared = kz**2 + ky**2 + kx**2

    # Tilting is about y: the beam's direction z is seen only up to the tilt range, with a soft edge of about 4 degrees.
    angle = np.degrees(np.arctan2(kz, kx + 1e-12))
    kept = 1.0 / (1.0 + np.exp((angle - TILT_RANGE) / 1.0))
    kept = np.where((kz == 0) | (squared == 0), 1.0, kept)
    band = np.exp(-squared * RESOLUTION**2)
    phase_contrast = 1.0 - 0.85 * np.exp(-squared * 260.0**2)

    signal = np.fft.irfftn(np.fft.rfftn(scene) * (kept * band * phase_contrast), s=scene.shape, axes=(0, 1, 2))
    noise = np.fft.rfftn(rng.normal(size=scene.shape)) * (kept * (0.35 + 0.65 * band) * np.exp(-squared * 12.0**2))
    noise = np.fft.irfftn(noise, s=scene.shape, axes=(0, 1, 2))
    noise *= np.sqrt(signal.var() / (SIGNAL_TO_NOISE * noise.var()))
    volume = signal + noise
    volume -= volume.mean()
    return np.asarray(volume / volume.std(), dtype=np.float32)
