"""Configuration of projects with a history."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from copick_core.tree.schema import CopickConfig


class CopickConfigIcechunk(CopickConfig):
    """Configuration of a project in an Icechunk repository.

    Icechunk's own storage of local folders is not safe for commits at the same time, so this backend locks the folder around
    each commit. Share a local repository only on file systems that have such locks (not NFS before version 4), and commit to
    it through copick-core only. On object stores conditional writes do the same, and no lock is needed.

    Volumes are OME-Zarr 0.5 (zarr v3) with default chunk keys, which is all that Icechunk stores; ``chunks``, ``compressor``
    and ``shards`` are as configured.

    Attributes:
        overlay_root: The repository: a folder, or ``s3://bucket/prefix``.
        storage_args: Further arguments of ``icechunk.s3_storage``, such as ``region``, ``endpoint_url`` and
            ``access_key_id``. Without credentials those of the environment are used.
        branch: The branch to read and to commit to.
        as_of: Open the project as it was, to be read: a snapshot's id, a tag, or a time such as ``2026-03-01T12:00``.
    """

    location_fields: ClassVar[tuple[str, ...]] = ("overlay_root",)

    config_type: Literal["icechunk"] = "icechunk"
    overlay_root: str
    storage_args: dict[str, Any] = Field(default_factory=dict, repr=False)
    branch: str = "main"
    as_of: str | None = None
