"""The portal passes the static part of the conformance kit."""

from __future__ import annotations

import numpy as np
import pytest

from copick_core.testing import StaticBackendTests
from copick_core.tree.keys import MeshKey, PicksKey, RunKey, SegmentationKey, TomogramKey, VoxelSpacingKey
from support.portal_loopback.content import LABELS, VOLUME
from support.portals import OBJECTS

USER = "data-portal"
TOPAZ = "wbp-denoised-topazDenoiseV0.2"


class TestPortal(StaticBackendTests):
    @pytest.fixture
    def config(self, portal):
        return portal.config(10001, pickable_objects=OBJECTS)

    def fingerprint(self, config):
        import boto3

        bucket = boto3.resource("s3", endpoint_url=config["s3_endpoint_url"]).Bucket("cryoet-data-portal-public")
        return sorted((o.key, o.e_tag) for o in bucket.objects.filter(Prefix="d/501/Annotations"))

    @pytest.fixture
    def expected(self, config):
        return {
            RunKey("501"): None,
            RunKey("502"): None,
            RunKey("503"): None,
            VoxelSpacingKey("501", 4.99): None,
            VoxelSpacingKey("501", 7.84): None,
            VoxelSpacingKey("502", 7.84): None,
            TomogramKey("501", 4.99, "sirt-filtered-imod-Tomo3D-ctfdeconv"): VOLUME + 704,
            TomogramKey("501", 7.84, "wbp-raw"): VOLUME + 701,
            TomogramKey("501", 7.84, TOPAZ): VOLUME + 703,
            TomogramKey("501", 7.84, TOPAZ, "702"): VOLUME + 702,
            TomogramKey("502", 7.84, "fourierSpace-filteredEven"): VOLUME + 705,
            PicksKey("501", "ribosome", USER, "1001"): np.array([[1, 2, 3], [2, 2, 3], [3, 2, 3]]) * 7.84,
            PicksKey("501", "ribosome", USER, "1002"): np.array([[4, 5, 6]]) * 4.9896543,
            PicksKey("501", "ribosome", USER, "1008"): np.empty((0, 3)),
            PicksKey("501", "ferritin", USER, "1005"): np.arange(4)[:, None] * np.full((1, 3), 7.84),
            PicksKey("502", "ribosome", USER, "1009"): np.array([[1, 2, 3], [2, 2, 3]]) * 7.84,
            MeshKey("501", "membrane", USER, "1007"): [[-0.5] * 3, [0.5] * 3],
            SegmentationKey("501", 7.84, "membrane", USER, "1003"): LABELS,
            SegmentationKey("501", 7.84, "ferritin", USER, "1006", "instance"): LABELS * 7,
        }


class TestPortalUnderAnyOverlay(TestPortal):
    """The same, as a static layer of a stack."""

    @pytest.fixture(params=["folder", "memory", "memory-filesystem"])
    def config(self, request, portal, tmp_path):
        overlays = {
            "folder": {"config_type": "filesystem", "overlay_root": str(tmp_path / "overlay")},
            "memory": {"config_type": "memory"},
            "memory-filesystem": {"config_type": "filesystem", "overlay_root": f"memory://{tmp_path}/overlay"},
        }
        static = portal.config(10001, pickable_objects=OBJECTS)
        return {"config_type": "stack", "overlay": overlays[request.param], "static": [static], "user_id": "me"}

    def fingerprint(self, config):
        return super().fingerprint(config["static"][0])
