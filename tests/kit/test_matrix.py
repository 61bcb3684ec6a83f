"""Any overlay over any static layer: the kit's checks of overlays, on every pair of writable backends."""

import itertools
import sys
from pathlib import Path

import pytest

from copick_core import plugins
from copick_core.testing.project_base import FIELDS
from copick_core.testing.project_layers import ProjectOverlayChecks

SQLITE = Path(__file__).parents[2] / "examples" / "copick_backend_sqlite" / "src"

PLACES = {
    "folder": lambda folder, name: {"config_type": "filesystem", "overlay_root": str(folder / name)},
    "memory": lambda folder, name: {"config_type": "memory", "place": str(folder / name)},
    "memory-filesystem": lambda folder, name: {"config_type": "filesystem", "overlay_root": f"memory://{folder}/{name}"},
    "sqlite": lambda folder, name: {"config_type": "sqlite", "path": str(folder / f"{name}.sqlite")},
}


@pytest.mark.slow
class TestAnyOverAny(ProjectOverlayChecks):
    @pytest.fixture(autouse=True)
    def _sqlite(self, monkeypatch):
        """The tutorial's backend, as if it were installed."""
        monkeypatch.setattr(sys, "path", [str(SQLITE), *sys.path])
        from copick_backend_sqlite.plugin import copick_backend

        plugins.register(copick_backend())
        yield
        plugins.reset()

    @pytest.fixture(autouse=True, params=itertools.product(PLACES, PLACES), ids=lambda pair: f"{pair[0]}-over-{pair[1]}")
    def _pair(self, request):
        self.overlay_place, self.static_place = (PLACES[name] for name in request.param)

    def make_config(self, folder, name):
        return self.static_place(folder, name)

    @pytest.fixture
    def stack(self, tmp_path, config):
        overlay = self.overlay_place(tmp_path, "overlay")
        return {
            "config_type": "stack",
            "overlay": overlay,
            "static": [{**config, "layer_name": "reference"}],
            **FIELDS,
            "user_id": "bob",
        }
