"""Checks that what was stored outlives writers that are killed at any moment."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from copick_core.errors import CopickError
from copick_core.layers import Layer
from copick_core.overlay import CopickRootOverlay
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.killed_writer import PICKS, TOMOGRAM, file_content, write
from copick_core.testing.project_base import ProjectChecks
from copick_core.tree.keys import ROOT, Kind

KILLED = "A killed write leaves the old data readable; what was being staged never lists."
SEED = 20


class ProjectKillChecks(ProjectChecks):
    """Writers that are killed.

    Attributes:
        kills: How many writers of files, and how many writers of volumes, are killed. About one kill of ten catches a backend
            that copies a volume over the old one.
        whole_volumes: Whether a reader finds the old volume or the new one whenever its writer is killed. False only where
            the storage cannot rename, so that a volume is copied to its place.
    """

    kills = 20
    whole_volumes = True

    @promises(KILLED)
    def test_files_outlive_writers_that_are_killed_at_any_moment(
        self, root: CopickRootOverlay, config: dict[str, Any]
    ) -> None:
        self._kill_writers("file", root, config)

    @promises(KILLED)
    def test_volumes_outlive_writers_that_are_killed_at_any_moment(
        self, root: CopickRootOverlay, config: dict[str, Any]
    ) -> None:
        if not self.whole_volumes:
            pytest.skip("whole_volumes is False")
        self._kill_writers("volume", root, config)

    def _kill_writers(self, kind: str, root: CopickRootOverlay, config: dict[str, Any]) -> None:
        program = self.elsewhere() + "from copick_core.testing.killed_writer import main\nmain()\n"
        if not hasattr(os, "fork"):
            pytest.skip("this system does not fork")
        layer: Any = root.layers.overlay
        write(layer, kind, 1)
        moments = random.Random(SEED)  # noqa: S311 - moments, not secrets
        with subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            assert writer.stderr is not None
            for round_ in range(1, self.kills + 1):
                first = round_ * 10_000
                writer.stdin.write(json.dumps([kind, first, moments.uniform(0, 0.03)]) + "\n")
                writer.stdin.flush()
                answer = writer.stdout.readline().strip()
                if int(answer or 0) < first:
                    writer.stdin.close()
                    pytest.fail(f"the writer failed: {writer.stderr.read()}")
                _check(layer, kind, int(answer), f"after kill {round_} of {self.kills}")
        write(layer, kind, 2)
        _check(layer, kind, 2, "after the last kill")


def _check(layer: Layer, kind: str, stored: int, when: str) -> None:
    """Check that a layer holds what was stored last, or what was being stored after it, and lists nothing else."""
    layer.forget(ROOT)
    seen = "neither the content that was stored last nor the next one"
    try:
        if kind == "file":
            data = layer.read(PICKS)
            whole = data in (file_content(stored), file_content(stored + 1))
            seen = f"{len(data)} bytes that begin with {data[:8]!r}; stored last was {stored}"
        else:
            voxels = samples.read_volume(layer.zarr(TOMOGRAM))
            whole = any(np.array_equal(voxels, samples.volume(n)) for n in (stored, stored + 1))
        listed = [*layer.list(Kind.PICKS, PICKS.parent)] if kind == "file" else [*layer.list(Kind.TOMOGRAM, TOMOGRAM.parent)]
    except (CopickError, OSError, ValueError, KeyError) as error:
        pytest.fail(f"{when}: {type(error).__name__}: {error}")
    assert whole, f"{when}: {seen}"
    assert listed == [PICKS if kind == "file" else TOMOGRAM], when
