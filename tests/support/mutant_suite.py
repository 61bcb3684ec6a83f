"""The kit over every mutant: run by test_kit_mutants.py in a pytest of its own, where all of it must fail."""

from pathlib import Path

import pytest

from copick_backend_fs.local import LocalLayer
from copick_core.testing import BackendTests, LayerTests
from support.backend_mutants import BACKENDS, HONEST, HONEST_FOLDER
from support.mutants import LAYERS


class OverDict(LayerTests):
    @pytest.fixture
    def layer(self):
        return self.mutant()

    def reopen(self, layer, *, read_only=False):
        return self.mutant(layer.place, read_only=read_only)


class OverFolder(LayerTests):
    @pytest.fixture
    def layer(self, tmp_path):
        return self.mutant("overlay", tmp_path)

    def reopen(self, layer, *, read_only=False):
        return self.mutant("overlay", layer.root, read_only=read_only)

    def stored_files(self, layer):
        return {p.relative_to(layer.root).as_posix(): p.read_bytes() for p in Path(layer.root).rglob("*") if p.is_file()}

    def plant(self, layer, path, data):
        target = Path(layer.root, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


for _mutant in LAYERS:
    _base = OverFolder if issubclass(_mutant, LocalLayer) else OverDict
    globals()[f"Test{_mutant.__name__}"] = type(f"Test{_mutant.__name__}", (_base,), {"mutant": _mutant})


class OverPlaces(BackendTests):
    process_bound = True

    def make_config(self, folder, name):
        return {"config_type": "mutant", "place": str(folder / name)}


class TestHonestBackend(OverPlaces):
    """What the broken ones are made from; this one must pass."""

    backend = HONEST


class OverFolders(BackendTests):
    kills = 200  # the first that finds something half written ends the check; none of so many is no accident

    def make_config(self, folder, name):
        return {"config_type": "mutant-folder", "path": str(folder / name)}


class TestHonestFolder(OverFolders):
    """What those that other processes can reach are made from; this one must pass."""

    backend = HONEST_FOLDER


for _broken in BACKENDS:
    _over = OverPlaces if _broken.backend.config_type == "mutant" else OverFolders
    globals()[f"Test{_broken.name}"] = type(f"Test{_broken.name}", (_over,), {"backend": _broken.backend})
