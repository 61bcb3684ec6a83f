"""OpenSSH's server, with keys of its own."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path
from typing import Any

from support.servers.process import Server, executable

_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
"""


class OpenSSH(Server):
    """sshd; whoever runs the tests logs in, with a key. The project is a folder of this machine."""

    def prepare(self) -> None:
        executable("sshd", package="openssh-server")
        generate = executable("ssh-keygen", package="openssh-client")
        for name in ("host", "client"):
            subprocess.run([generate, "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        # Its own sftp server: the other one is started by the user's shell, with all that .bashrc does.
        (self.folder / "config").write_text(_CONFIG.format(port=self.port, folder=self.folder))
        (self.folder / "project").mkdir()
        host = (self.folder / "host.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host}")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it changes its root to; there if Debian started it once

    def command(self) -> list[str]:
        return [executable("sshd", package="openssh-server"), "-D", "-e", "-f", str(self.folder / "config")]

    @property
    def project(self) -> Path:
        """Folder of the project, on this machine."""
        return self.folder / "project"

    @property
    def url(self) -> str:
        return f"ssh://127.0.0.1{self.project}"

    @property
    def fs_args(self) -> dict[str, Any]:
        """Arguments of sshfs."""
        return {
            "port": self.port,
            "username": getpass.getuser(),
            "client_keys": [str(self.folder / "client")],
            "known_hosts": str(self.folder / "known_hosts"),
        }

    @property
    def paramiko_args(self) -> dict[str, Any]:
        """Arguments of fsspec's own file system, over paramiko."""
        return {"port": self.port, "username": getpass.getuser(), "key_filename": str(self.folder / "client")}

    def read(self, path: str) -> bytes:
        return (self.project / path).read_bytes()
