"""Patches for a ``torch.utils.data.DataLoader``; needs torch (``pip install "copick-train[torch]"``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from copick_train.patches import Patch, Patches

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PatchDataset(IterableDataset):
    """The patches of an epoch, shared out over ranks and over the workers of a loader.

    Each item is a dictionary: ``volume`` (1, z, y, x), ``target`` and ``features`` if there are any, ``run``, ``origin`` (3,)
    and ``object_name`` ("" if there is none). Labels are int64 (z, y, x), as losses take them, heat maps float32 (1, z, y, x),
    and features (channels, z, y, x). Unsigned integers become signed ones that hold them.

    Ranks get equally many patches only if their number is a multiple of the number of ranks.

    Args:
        patches: The patches.
        rank: Which of several training processes this is; None for what ``torch.distributed`` says.
        ranks: How many there are; None likewise.
        threads: Threads that read ahead, in each worker.
    """

    def __init__(self, patches: Patches, *, rank: int | None = None, ranks: int | None = None, threads: int = 1) -> None:
        super().__init__()
        spread = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.patches = patches
        self.rank = rank if rank is not None else torch.distributed.get_rank() if spread else 0
        self.ranks = ranks if ranks is not None else torch.distributed.get_world_size() if spread else 1
        self.threads = threads
        #: In shared memory, so that workers which outlive an epoch see the next one.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, before each pass over the loader."""
        self._epoch[0] = epoch

    def __len__(self) -> int:
        """The number of patches that this rank gets in an epoch."""
        return len(range(self.rank, len(self.patches), self.ranks))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The patches of this worker."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        shard = {"rank": self.rank + self.ranks * number, "ranks": self.ranks * workers}
        for patch in self.patches.epoch(int(self._epoch[0]), **shard, workers=self.threads):
            yield tensors(patch, labels=self.patches.has_labels)


def tensors(patch: Patch, *, labels: bool) -> dict[str, Any]:
    """A patch as :class:`PatchDataset` gives it.

    Args:
        patch: The patch.
        labels: Whether its target is labels.
    """
    made = {
        "volume": _tensor(patch.volume[None]),
        "run": patch.run,
        "origin": torch.tensor(patch.origin),
        "object_name": patch.object_name or "",
    }
    if patch.target is not None:
        made["target"] = _tensor(patch.target.astype(np.int64) if labels else patch.target[None])
    if patch.features is not None:
        depth = patch.features.shape[-3:]
        made["features"] = _tensor(patch.features.reshape(-1, *depth))
    return made


def _tensor(values: NDArray[Any]) -> torch.Tensor:
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "u" and size > 1:
        return torch.from_numpy(values.astype(f"i{min(2 * size, 8)}"))
    return torch.from_numpy(np.ascontiguousarray(values, values.dtype.newbyteorder("=")))
