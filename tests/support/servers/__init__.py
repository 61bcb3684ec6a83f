"""Real servers on loopback, each with a configuration of its own in a temporary folder and on a free port."""

from __future__ import annotations

from support.servers.azurite import Azurite
from support.servers.moto import Moto
from support.servers.nginx import Nginx
from support.servers.openssh import OpenSSH
from support.servers.process import MissingServerError, Server
from support.servers.samba import Samba
from support.servers.silent import SilentHost, unreachable_port

__all__ = ["Azurite", "MissingServerError", "Moto", "Nginx", "OpenSSH", "Samba", "Server", "SilentHost", "unreachable_port"]
