"""A compose volume passes the static part of the conformance kit, by itself and under overlays of other backends."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import trimesh
import zarr
from PIL import Image

from copick_core.testing import StaticBackendTests
from copick_core.tree.keys import MeshKey, RunKey, SegmentationKey, TomogramKey, VoxelSpacingKey
from support.volume_generator import GeneratedVolume


class TestVolume(StaticBackendTests):
    """One job with an image, a segmentation of a model, and its mesh."""

    @pytest.fixture
    def made(self, tmp_path):
        made = GeneratedVolume(tmp_path / "volume")
        made.job("CC7651", "MESHED", shape=[30, 40, 12])
        made.image("CC7651")
        made.segmentation("CC7651", "1720196900")
        made.mesh("CC7651", "1720196900")
        return made.save()

    @pytest.fixture
    def config(self, made):
        return {"config_type": "compose_volume", "volume_root": str(made.root), "voxel_size": 10.0}

    @pytest.fixture
    def expected(self, made):
        return {
            RunKey("CC7651"): None,
            VoxelSpacingKey("CC7651", 10.0): None,
            TomogramKey("CC7651", 10.0, "raw"): made.images["CC7651"],
            SegmentationKey("CC7651", 10.0, "label-255", "unknown", "1720196900"): made.masks["CC7651", "1720196900"],
            MeshKey("CC7651", "label-255", "unknown", "1720196900"): [[45, 95, 25], [195, 295, 85]],
        }

    def fingerprint(self, config):
        root = Path(config.get("volume_root") or config["static"][0]["volume_root"])
        files = sorted(p for p in root.rglob("*") if p.is_file())
        return [(str(p), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]


class TestVolumeUnderAnyOverlay(TestVolume):
    @pytest.fixture(params=["folder", "memory"])
    def config(self, request, made, tmp_path):
        overlays = {
            "folder": {"config_type": "filesystem", "overlay_root": str(tmp_path / "overlay")},
            "memory": {"config_type": "memory"},
        }
        static = {"config_type": "compose_volume", "volume_root": str(made.root), "voxel_size": 10.0}
        return {"config_type": "stack", "overlay": overlays[request.param], "static": [static]}


class TestSample(TestVolume):
    """The shared sample, read for comparison with zarr, pillow and trimesh alone."""

    @pytest.fixture
    def config(self, sample):
        return {"config_type": "compose_volume", "volume_root": str(sample), "voxel_size": 10.0}

    @pytest.fixture
    def expected(self, sample):
        def stored(folder):
            return zarr.open_array(sample / folder, mode="r")[:].transpose(2, 1, 0)

        def slices(job):
            return np.stack([np.asarray(Image.open(path)) for path in sorted((sample / "uploads" / job).iterdir())])

        user = "RandomForest3DSegmenter"
        mesh = trimesh.load_mesh(sample / "meshed/CC7651/1720196900.zarr/255.combined.stl")
        return {
            **{RunKey(job): None for job in ("12E345", "4F09A2", "CC7651")},
            **{VoxelSpacingKey(job, 10.0): None for job in ("4F09A2", "CC7651")},
            **{TomogramKey(job, 10.0, "raw"): slices(job) for job in ("4F09A2", "CC7651")},
            **{
                SegmentationKey("CC7651", 10.0, "label-255", user, model): stored(f"segmented/CC7651/{model}.zarr")
                for model in ("1720196800", "1720196900")
            },
            MeshKey("CC7651", "label-255", user, "1720196900"): mesh.bounds[:, ::-1] * 10,
        }
