"""What can go wrong between us and the portal.

::

    PortalError                 CopickError, RuntimeError
    ├── PortalUnreachableError  ConnectionError      no answer within the time; trying later may help
    │   └── PortalFilesError                         the same, of the portal's files
    └── PortalQueryError                             the portal answered that it will not; trying again does not help
"""

from __future__ import annotations

from copick_core.errors import CopickError, redacted


class PortalWarning(UserWarning):
    """Something about the portal's data or its availability that a user should know."""


class PortalError(CopickError, RuntimeError):
    """A query of the portal failed.

    Attributes:
        query: Name of the query.
        url: Address that was asked, without secrets.
        reason: Why it failed.
    """

    query: str
    url: str
    reason: str

    def __init__(self, *, query: str, url: str, reason: str) -> None:
        reason, url = reason.replace(url, redacted(url)), redacted(url)
        super().__init__(self._text(query, url, reason), query=query, url=url, reason=reason)

    def _text(self, query: str, url: str, reason: str) -> str:
        return f"Query {query!r} of the CryoET Data Portal at {url} failed: {reason}"


class PortalUnreachableError(PortalError, ConnectionError):
    """The portal gave no usable answer in the time that the configuration allows."""

    def _text(self, query: str, url: str, reason: str) -> str:
        return (
            f"The CryoET Data Portal at {url} cannot be reached (query {query!r}): {reason}. What is in the overlay and in "
            "the cache can be used without it; raise portal_timeout_seconds if the connection is slow, lower "
            "portal_batch_runs if the portal takes too long."
        )


class PortalFilesError(PortalUnreachableError):
    """The portal's files cannot be reached; ``query`` is ``"file"``, ``url`` the file's address."""

    def _text(self, query: str, url: str, reason: str) -> str:
        return (
            f"File {url} of the CryoET Data Portal cannot be reached: {reason}. What is in the overlay can be read without it."
        )


class PortalQueryError(PortalError):
    """The portal refused a query: the query, or what it was asked for, is wrong."""
