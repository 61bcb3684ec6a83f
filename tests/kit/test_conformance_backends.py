"""Every writable backend of this repository passes the kit."""

from pathlib import Path

import pytest
import zarr

from copick_core.testing import BackendTests, StaticBackendTests, samples
from copick_core.tree.keys import (
    FeaturesKey,
    MeshKey,
    ObjectKey,
    PicksKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
)


class TestFilesystem(BackendTests):
    def make_config(self, folder, name):
        return {"config_type": "filesystem", "overlay_root": str(folder / name)}


class TestMemory(BackendTests):
    process_bound = True

    def make_config(self, folder, name):
        return {"config_type": "memory", "place": str(folder / name)}


class TestMemoryFilesystem(BackendTests):
    process_bound = True

    def make_config(self, folder, name):
        return {"config_type": "filesystem", "overlay_root": f"memory://{folder}/{name}"}


class OnS3(BackendTests):
    examples = 2
    steps = 6
    whole_volumes = False
    obstore = True

    @pytest.fixture(autouse=True)
    def _bucket(self, s3_url):
        self.fs_args = {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": s3_url}}

    def make_config(self, folder, name):
        url = f"s3://conformance/{folder.name}/{name}"
        return {"config_type": "filesystem", "overlay_root": url, "overlay_fs_args": self.fs_args, "obstore": self.obstore}


@pytest.mark.slow
class TestS3(OnS3):
    """Over obstore, which is the default."""


@pytest.mark.exhaustive
class TestS3OverS3fs(OnS3):
    """Over s3fs. It takes as long again; CI runs the tests of test_fs_s3.py over both."""

    obstore = False


class TestReadOnlyFilesystem(StaticBackendTests):
    """A folder that somebody else laid out by hand."""

    @pytest.fixture
    def config(self, tmp_path):
        run = tmp_path / "ExperimentRuns" / "TS_1"
        for folder in ("Picks", "Meshes", "Segmentations", "VoxelSpacing10.000"):
            (run / folder).mkdir(parents=True)
        (run / "Picks" / "me_1_ribo.json").write_bytes(samples.picks_json(3))
        (run / "Meshes" / "me_1_ribo.glb").write_bytes(samples.mesh_glb(3))
        for name in ("VoxelSpacing10.000/wbp.zarr", "VoxelSpacing10.000/wbp_sobel_features.zarr"):
            samples.write_volume(zarr.storage.LocalStore(run / name), samples.volume(4))
        samples.write_volume(zarr.storage.LocalStore(run / "Segmentations" / "10.000_me_1_ribo.zarr"), samples.volume(5))
        samples.write_volume(zarr.storage.LocalStore(tmp_path / "Objects" / "ribo.zarr"), samples.volume(6))
        return {"config_type": "filesystem", "static_root": str(tmp_path)}

    @pytest.fixture
    def expected(self):
        return {
            RunKey("TS_1"): None,
            VoxelSpacingKey("TS_1", 10.0): None,
            PicksKey("TS_1", "ribo", "me", "1"): [[3, 0, 0.5], [3, 1, 0.5]],
            MeshKey("TS_1", "ribo", "me", "1"): [[0, 0, 0], [4, 1, 0]],
            TomogramKey("TS_1", 10.0, "wbp"): samples.volume(4),
            FeaturesKey("TS_1", 10.0, "wbp", "sobel"): samples.volume(4),
            SegmentationKey("TS_1", 10.0, "ribo", "me", "1"): samples.volume(5),
            ObjectKey("ribo"): samples.volume(6),
        }

    def fingerprint(self, config):
        root = Path(config["static_root"])
        return {path: path.stat().st_mtime_ns for path in root.rglob("*")}
