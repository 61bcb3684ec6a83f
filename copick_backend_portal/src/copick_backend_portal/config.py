"""Configuration of projects on the CryoET Data Portal."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, Field

from copick_core.errors import ConfigError
from copick_core.tree.schema import CopickConfig

#: Where the public portal answers; the default of the client ``cryoet-data-portal`` 4.9.
DEFAULT_URL = "https://graphql.cryoetdataportal.czscience.com/graphql"


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


T = TypeVar("T")
_Location = Annotated[str | None, BeforeValidator(_as_text)]


class CopickConfigCDP(CopickConfig):
    """Configuration of a project on datasets of the CryoET Data Portal.

    Attributes:
        dataset_ids: The datasets; their runs are the project's runs.
        overlay_root: Where the project is written; without it the project is read-only.
        overlay_fs_args: Arguments of the overlay's fsspec filesystem.
        graphql_url: Address of the portal's GraphQL endpoint; the public portal by default.
        s3_endpoint_url: Address of the S3 service that holds the portal's files; that of AWS by default.
        static_fs_args: Further arguments of the ``s3fs`` filesystem for the portal's files; anonymous by default.
        portal_cache: Whether answers of the portal are kept on disk (``COPICK_PORTAL_CACHE`` wins).
        portal_cache_ttl_seconds: Age at which a kept answer is asked again; 0 or less: never (``COPICK_PORTAL_CACHE_TTL``).
        portal_cache_dir: Folder to keep answers in; by default the overlay, else the user's cache folder
            (``COPICK_PORTAL_CACHE_DIR``).
        portal_cache_lock_timeout_seconds: How long to wait for another process that is asking the same
            (``COPICK_PORTAL_CACHE_LOCK_TIMEOUT``).
        portal_timeout_seconds: How long one query may take, retries included.
        portal_offline_seconds: How long a portal that could not be reached is not asked again.
        portal_batch_runs: How many runs one query asks for.
        portal_connections: How many queries are under way at once.
    """

    location_fields: ClassVar[tuple[str, ...]] = ("overlay_root", "portal_cache_dir")

    config_type: Literal["cryoet_data_portal"] = "cryoet_data_portal"
    dataset_ids: list[int] = Field(min_length=1)
    overlay_root: _Location = None
    overlay_fs_args: dict[str, Any] = Field(default_factory=dict, repr=False)
    graphql_url: str = DEFAULT_URL
    s3_endpoint_url: str | None = None
    static_fs_args: dict[str, Any] = Field(default_factory=dict, repr=False)
    portal_cache: bool = True
    portal_cache_ttl_seconds: float = 24 * 3600
    portal_cache_dir: _Location = None
    portal_cache_lock_timeout_seconds: float = 60.0
    portal_timeout_seconds: float = Field(default=10.0, gt=0)
    portal_offline_seconds: float = Field(default=30.0, ge=0)
    portal_batch_runs: int = Field(default=200, ge=1)
    portal_connections: int = Field(default=4, ge=1, le=32)

    def cache_settings(self) -> tuple[bool, float, str | None, float]:
        """Whether to cache, time to live in seconds, pinned folder, lock time-out in seconds; the environment wins."""
        return (
            _setting("COPICK_PORTAL_CACHE", _flag, self.portal_cache),
            _setting("COPICK_PORTAL_CACHE_TTL", float, self.portal_cache_ttl_seconds),
            _setting("COPICK_PORTAL_CACHE_DIR", str, self.portal_cache_dir),
            _setting("COPICK_PORTAL_CACHE_LOCK_TIMEOUT", float, self.portal_cache_lock_timeout_seconds),
        )

    def identifiers(self) -> list[str]:
        """Identifiers of the objects whose annotations are asked for, sorted."""
        return sorted({obj.identifier for obj in self.pickable_objects if obj.identifier})


def _flag(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return known[text.strip().lower()]


def _setting(variable: str, parse: Callable[[str], T], default: T) -> T:
    text = os.environ.get(variable, "")
    if not text:
        return default
    try:
        return parse(text)
    except (ValueError, KeyError):
        raise ConfigError(source=f"${variable}", reason=f"{text!r} is not a possible value") from None
