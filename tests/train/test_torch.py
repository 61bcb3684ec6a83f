"""The adapter for torch, in an environment that has torch: this one, or that of the downstream tools."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import copick_core
from support.downstream import FOLDER
from support.environments import REPOSITORY
from support.objects import OBJECTS

SHAPE = (12, 16, 16)
SOURCES = os.pathsep.join(
    str(REPOSITORY / name / "src")
    for name in ("copick_core", "copick_backend_fs", "copick_backend_memory", "copick_layers", "copick_train")
)
#: What every script begins with; what it prints last is JSON.
BEGIN = """
import json, sys, warnings
import torch
from torch.utils.data import DataLoader
import copick_core
from copick_train import HeatMap, Labels, Patches
from copick_train.torch import PatchDataset

root = copick_core.open(sys.argv[1])
labels = Labels("*/membrane:alice/1@10.0")
patches = Patches(root, "*/wbp@10.0", (4, 8, 8), count=12, around="*/*:alice", seed=1, target=labels)

def names(batch):
    return [[run, *origin] for run, origin in zip(batch["run"], batch["origin"].tolist())]

if __name__ == "__main__":
"""


def python_with_torch() -> str:
    if importlib.util.find_spec("torch") is not None:
        return sys.executable
    for environment in ("dropin", "reference"):
        root = FOLDER / environment
        if (root / "bin" / "python").exists() and [*root.glob("lib/*/site-packages/torch/__init__.py")]:
            return str(root / "bin" / "python")
    pytest.skip("torch is not installed here, nor in an environment of the downstream tools")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    root = copick_core.new_config(tmp_path / "config.json", "project", pickable_objects=OBJECTS, user_id="alice")
    for number in (1, 2):
        run = root.new_run(f"TS_{number}")
        values = np.arange(np.prod(SHAPE), dtype="u2").reshape(SHAPE) + 60_000
        tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
        tomogram.from_numpy(values, levels=1, chunks=8, dtype="u2")
        tomogram.new_features("sobel").from_numpy(np.stack([values, values]).astype("f4"))
        run.new_picks("ribosome", "1").from_numpy([[80, 80, 60], [20, 30, 40]])
        labels = (values % 2).astype("u1")
        run.new_segmentation(10.0, "membrane", "1", user_id="alice").from_numpy(labels, levels=1, chunks=8)
    return tmp_path / "config.json"


def run(config: Path, body: str) -> Any:
    script = config.parent / "script.py"
    script.write_text(BEGIN + body)
    python = python_with_torch()
    kept = {name: value for name, value in os.environ.items() if name != "COPICK_CONFIG"}
    done = subprocess.run(
        [python, "-W", "error::ResourceWarning", str(script), str(config)],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "PYTHONPATH": SOURCES},
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_workers_and_ranks_share_out_the_epoch(config: Path) -> None:
    found = run(
        config,
        """
    everything = sorted([p.run, *p.origin] for p in patches.epoch(3))
    shared = []
    for rank in range(2):
        dataset = PatchDataset(patches, rank=rank, ranks=2)
        dataset.set_epoch(3)
        loader = DataLoader(dataset, batch_size=2, num_workers=2, multiprocessing_context="spawn" if rank else "fork")
        batches = [*loader]
        assert len(loader) == 3 and len(dataset) == 6
        shared += [name for batch in batches for name in names(batch)]
    print(json.dumps(sorted(shared) == everything and len(everything) == 12))
""",
    )

    assert found is True


@pytest.mark.slow
def test_workers_that_outlive_an_epoch_see_the_next_one(config: Path) -> None:
    found = run(
        config,
        """
    dataset = PatchDataset(patches)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, persistent_workers=True)
    seen = []
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        seen.append([[item["run"], *item["origin"].tolist()] for item in loader])
    print(json.dumps([seen[n] == [[p.run, *p.origin] for p in patches.epoch(n)] for n in (0, 1)] + [seen[0] != seen[1]]))
""",
    )

    assert found == [True, True, True]


@pytest.mark.slow
def test_tensors_have_the_shapes_and_types_that_losses_take(config: Path) -> None:
    found = run(
        config,
        """
    made = []
    heat = Patches(root, "*/wbp@10.0", (4, 8, 8), count=1, target=HeatMap("*/*:alice", 20.0), features="*/wbp@10.0:sobel")
    for dataset in (PatchDataset(patches), PatchDataset(heat)):
        batch = next(iter(DataLoader(dataset, batch_size=1)))
        made.append({name: [*batch[name].shape, str(batch[name].dtype)] for name in batch if torch.is_tensor(batch[name])})
        made.append({"smallest": int(batch["volume"].min()), "object": batch["object_name"]})
    print(json.dumps(made))
""",
    )

    labels, first, heat, second = found
    assert labels == {
        "volume": [1, 1, 4, 8, 8, "torch.int32"],
        "origin": [1, 3, "torch.int64"],
        "target": [1, 4, 8, 8, "torch.int64"],
    }
    assert heat["target"] == [1, 1, 4, 8, 8, "torch.float32"]
    assert heat["features"] == [1, 2, 4, 8, 8, "torch.float32"]
    assert min(first["smallest"], second["smallest"]) >= 60_000
    assert (first["object"], second["object"]) == (["ribosome"], [""])
