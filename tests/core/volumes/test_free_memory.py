"""Free memory: of the machine, and what the limits of containers and cluster jobs leave of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from copick_core.errors import RegionTooLargeError
from copick_core.volumes.free_memory import available_memory, check_fits

GIB = 2**30


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with 64 GiB of free memory, as the kernel describes it."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {64 * GIB // 1024} kB\n")
    return tmp_path


def group(machine: Path, folder: str, **files: object) -> None:
    place = machine / "cgroup" / folder
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (place / f"memory.{name}").write_text(f"{content}\n")


def of(machine: Path, membership: str) -> int | None:
    (machine / "proc" / "self" / "cgroup").write_text(membership)
    return available_memory(str(machine / "proc"), str(machine / "cgroup"))


def test_free_memory_is_known_here() -> None:
    available = available_memory()

    assert available is not None
    assert available > 2**20


def test_without_groups_the_machine_counts(machine: Path) -> None:
    assert available_memory(str(machine / "proc"), str(machine / "cgroup")) == 64 * GIB


def test_where_the_kernel_describes_nothing_psutil_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    psutil = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=7.0))
    monkeypatch.setitem(sys.modules, "psutil", psutil)

    assert available_memory(str(tmp_path), str(tmp_path)) == 7


def test_without_psutil_the_system_counts_its_free_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(os, "sysconf", {"SC_AVPHYS_PAGES": 5, "SC_PAGE_SIZE": 4096}.__getitem__, raising=False)

    assert available_memory(str(tmp_path), str(tmp_path)) == 5 * 4096


@pytest.mark.parametrize("error", [ValueError, OSError, AttributeError])
def test_what_no_system_tells_is_not_known_and_everything_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def sysconf(name: str) -> int:
        raise error(name)

    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(os, "sysconf", sysconf, raising=False)

    assert available_memory(str(tmp_path), str(tmp_path)) is None
    monkeypatch.setattr("copick_core.volumes.free_memory.available_memory", lambda: None)
    check_fits(2**62)


def test_a_limit_of_a_group_counts_less_what_is_used_but_for_cached_files(machine: Path) -> None:
    group(machine, "job", max=4 * GIB, current=3 * GIB, stat=f"anon 5\ninactive_file {GIB}\nfile {2 * GIB}")

    assert of(machine, "0::/job\n") == 2 * GIB


def test_limits_of_version_1_count_too(machine: Path) -> None:
    group(
        machine,
        "memory/slurm/job_7",
        limit_in_bytes=GIB,
        usage_in_bytes=GIB // 2,
        stat="inactive_file 9\ntotal_inactive_file 5",
    )

    assert of(machine, "5:cpu,cpuacct:/\n4:memory:/slurm/job_7\n") == GIB // 2 + 5


def test_a_limit_of_a_group_above_counts(machine: Path) -> None:
    group(machine, "slurm", max=2 * GIB, current=GIB)
    group(machine, "slurm/job_7/step_0", max="max", current=GIB)

    assert of(machine, "0::/slurm/job_7/step_0\n") == GIB


def test_a_container_that_sees_its_group_as_the_root_is_limited_by_it(machine: Path) -> None:
    group(machine, "", max=GIB, current=0)

    assert of(machine, "0::/docker/0123456789abcdef\n") == GIB


def test_a_group_that_uses_more_than_its_limit_has_none_left(machine: Path) -> None:
    group(machine, "job", max=GIB, current=2 * GIB)

    assert of(machine, "0::/job\n") == 0


def test_what_does_not_fit_is_refused_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copick_core.volumes.free_memory.available_memory", lambda: 2**21)

    check_fits(2**21)
    with pytest.raises(RegionTooLargeError) as caught:
        check_fits(2**21 + 1)

    assert (caught.value.requested, caught.value.available) == (2**21 + 1, 2**21)


def test_what_is_small_is_tried_without_asking_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("copick_core.volumes.free_memory.available_memory", lambda: asked.append(1) or 0)

    check_fits(2**20)
    with pytest.raises(RegionTooLargeError):
        check_fits(2**20 + 1)

    assert len(asked) == 1
