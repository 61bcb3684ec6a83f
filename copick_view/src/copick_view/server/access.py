"""Who may ask: checks of the token, and of the headers Host and Origin."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from copick_core.errors import InvalidDataError

#: Tokens that are safe in an address, and not to be guessed.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,}")
_ORIGIN = re.compile(r"https?://[^/?#\s,]+")


def new_token() -> str:
    """A token that nobody can guess: 40 hexadecimal digits."""
    return secrets.token_hex(20)


@dataclass(frozen=True)
class Access:
    """What a request must bring.

    A page of another site can make the browser of a user ask this server. It does not know the token. If its own name is made
    to lead here (DNS rebinding), that name stands in ``Host``: only addresses of this machine and given names are
    accepted there.

    Args:
        token: What the path starts with; at least 16 letters, digits, ``-`` or ``_``.
        hosts: Names that ``Host`` may have besides ``localhost`` and loopback addresses.
        any_address: Whether ``Host`` may be any numeric address: for servers that listen to other machines.
        origins: Origins such as ``https://example.org`` whose pages may read; ``*`` for all.

    Raises:
        InvalidDataError: The token or an origin is not of that form.
    """

    token: str = field(repr=False)
    hosts: frozenset[str] = frozenset()
    any_address: bool = False
    origins: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.token):
            raise InvalidDataError(source="token", reason="it must be at least 16 letters, digits, - or _")
        for origin in self.origins:
            if origin not in ("*", "null") and not _ORIGIN.fullmatch(origin):
                raise InvalidDataError(source=f"origin {origin!r}", reason="write it like https://example.org")

    def has_token(self, given: str) -> bool:
        """Whether a token is the right one; takes as long for a wrong one, whatever it has in common with it."""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def allows_host(self, host: str) -> bool:
        """Whether the value of ``Host`` is one of this server."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name == "localhost" or name in self.hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self.any_address

    def allows_origin(self, origin: str, host: str) -> bool:
        """Whether a page of an origin may ask: one of this server, or of an origin that was given."""
        return origin in (f"http://{host}", f"https://{host}") or self.grants(origin)

    def grants(self, origin: str) -> bool:
        """Whether pages of another origin were allowed to read."""
        return "*" in self.origins or origin in self.origins
