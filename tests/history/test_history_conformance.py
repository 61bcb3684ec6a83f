"""The layer with a history keeps the contract of layers; projects on it behave as users expect."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from copick_backend_icechunk.layer import IcechunkLayer
from copick_backend_icechunk.places import Place
from copick_core.testing import BackendTests, LayerTests


class TestIcechunkLayer(LayerTests):
    zarr_formats = (3,)

    @pytest.fixture
    def layer(self, tmp_path: Path) -> Iterator[IcechunkLayer]:
        return IcechunkLayer(Place(str(tmp_path / "history")))

    def reopen(self, layer: IcechunkLayer, *, read_only: bool = False) -> IcechunkLayer:
        return IcechunkLayer(layer.place, read_only=read_only)


@pytest.mark.slow
class TestIcechunkBackend(BackendTests):
    zarr_formats = (3,)

    def make_config(self, folder: Path, name: str) -> dict:
        return {"config_type": "icechunk", "overlay_root": str(folder / name)}
