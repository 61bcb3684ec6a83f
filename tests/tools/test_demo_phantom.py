"""The synthetic tomogram: what it claims to know must be true of its density."""

import numpy as np
import pytest
import trimesh

from copick_tools.demo import phantom


@pytest.fixture(scope="module")
def known():
    return phantom.build()


def _mean_at(volume, positions, voxel_size):
    z, y, x = np.rint(positions[:, ::-1] / voxel_size).astype(int).T
    return float(volume[z, y, x].mean())


def test_the_same_seed_gives_the_same_phantom():
    small = (32, 64, 64)

    first, second = phantom.build(small, seed=3), phantom.build(small, seed=3)

    assert np.array_equal(first.density, second.density)
    assert not np.array_equal(first.density, phantom.build(small, seed=4).density)


def test_density_is_a_float32_volume_in_z_y_x(known):
    assert known.density.shape == (64, 192, 192)
    assert known.density.dtype == np.float32


def test_the_noise_outweighs_the_signal(known):
    assert phantom.SIGNAL_TO_NOISE < 0.5
    assert known.density.std() == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("index", [0, 1])
def test_particles_are_dark_at_their_known_positions(known, index):
    labels = known.labels == known.particles[index].species.label

    assert known.density[labels].mean() < known.density[known.labels == 0].mean() - 0.4


def test_every_particle_lies_within_the_volume_and_off_the_membrane(known):
    upper = np.array(known.density.shape[::-1]) * known.voxel_size
    positions = np.concatenate([particles.positions for particles in known.particles])

    assert (positions > 0).all()
    assert (positions < upper).all()
    assert _mean_at(known.membrane, positions, known.voxel_size) == 0


def test_transforms_are_rotations_without_translation(known):
    transforms = np.concatenate([particles.transforms for particles in known.particles])
    rotations = transforms[:, :3, :3]

    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(rotations), 1)
    assert np.allclose(transforms[:, :3, 3], 0)
    assert np.allclose(transforms[:, 3], [0, 0, 0, 1])


def test_the_transform_takes_the_density_map_to_the_particle():
    species = phantom.ribosome()
    rotation = phantom._random_rotation(np.random.default_rng(1))
    volume = np.zeros((40, 40, 40))
    phantom._add_atoms(volume, species, np.array([200.0, 200.0, 200.0]), rotation, 10.0)
    alone = phantom.density_map(species, 10.0, size=40)

    inside = np.argwhere(alone > 0.8)[:, ::-1] * 10.0 - 200.0
    moved = inside @ rotation.T + 200.0

    assert _mean_at(volume, moved, 10.0) > 0.8
    assert _mean_at(volume, inside + 200.0, 10.0) < 0.9 * _mean_at(volume, moved, 10.0)


def test_ribosomes_have_no_rotational_symmetry():
    moments = np.linalg.eigvalsh(np.cov(phantom.ribosome().atoms.T))

    assert np.diff(moments).min() > 0.1 * moments.min()


def test_ferritin_looks_the_same_after_a_quarter_turn():
    turned = np.rot90(phantom.density_map(phantom.ferritin(), 10.0, size=31), axes=(1, 2))

    assert np.allclose(turned, phantom.density_map(phantom.ferritin(), 10.0, size=31), atol=1e-5)


def test_the_membranes_mesh_is_closed_and_lies_in_the_middle_of_its_label(known):
    mesh = trimesh.Trimesh(known.vertices, known.faces, process=False)

    assert mesh.is_watertight
    assert mesh.volume > 0
    assert _mean_at(known.membrane, known.vertices, known.voxel_size) == 1.0


def test_labels_hold_the_membrane_and_both_species(known):
    assert set(np.unique(known.labels)) == {0, 1, 2, 3}
    assert np.array_equal(known.labels == phantom.MEMBRANE_LABEL, known.membrane == 1)
