"""Samba, with a share and a user of its own."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path
from typing import Any

from support.servers.process import MissingServerError, Server, executable

_PASSWORD = "on loopback only"
_CONFIG = """
[global]
    server role = standalone server
    workgroup = TESTS
    interfaces = lo
    bind interfaces only = yes
    smb ports = {port}
    disable netbios = yes
    load printers = no
    printcap name = /dev/null
    passdb backend = tdbsam:{folder}/state/passdb.tdb
    private dir = {folder}/state
    lock directory = {folder}/state
    state directory = {folder}/state
    cache directory = {folder}/state
    pid directory = {folder}/state
    binddns dir = {folder}/state
    ncalrpc dir = {folder}/state/ncalrpc
    log file = {folder}/samba.log
    log level = 0
[share]
    path = {folder}/share
    read only = no
"""


class Samba(Server):
    """smbd; whoever runs the tests logs in, with a password that only this server knows. Needs the rights of root."""

    def prepare(self) -> None:
        executable("smbd", package="samba")
        if os.getuid() != 0:
            raise MissingServerError("smbd serves other users' files, and so needs to be started by root")
        (self.folder / "state").mkdir()
        self.project.mkdir(parents=True)
        config = self.folder / "config"
        config.write_text(_CONFIG.format(port=self.port, folder=self.folder))
        subprocess.run(
            [executable("smbpasswd", package="samba-common-bin"), "-c", config, "-a", "-s", getpass.getuser()],
            input=f"{_PASSWORD}\n{_PASSWORD}\n".encode(),
            check=True,
            capture_output=True,
        )

    def command(self) -> list[str]:
        smbd = executable("smbd", package="samba")
        return [smbd, "--foreground", "--no-process-group", "--configfile", str(self.folder / "config")]

    @property
    def project(self) -> Path:
        """Folder of the project, on this machine."""
        return self.folder / "share" / "project"

    @property
    def url(self) -> str:
        return "smb://127.0.0.1/share/project"

    @property
    def fs_args(self) -> dict[str, Any]:
        return {"port": self.port, "username": getpass.getuser(), "password": _PASSWORD}

    def read(self, path: str) -> bytes:
        return (self.project / path).read_bytes()
