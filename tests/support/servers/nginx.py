"""nginx, which serves a folder over HTTP with listings, without them, or only to whom it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.servers.process import Server, executable

#: Of alice, for what is private.
PASSWORD = "on-loopback-only"
_CONFIG = """
daemon off;
{user}
worker_processes 1;
pid {folder}/state/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/state/body;
    proxy_temp_path {folder}/state/proxy;
    fastcgi_temp_path {folder}/state/fastcgi;
    uwsgi_temp_path {folder}/state/uwsgi;
    scgi_temp_path {folder}/state/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /listed/ {{ alias {folder}/project/; autoindex on; }}
        location /unlisted/ {{ alias {folder}/project/; }}
        location /private/ {{
            alias {folder}/project/; autoindex on;
            auth_basic "tests"; auth_basic_user_file {folder}/users;
        }}
        location /denied/ {{ return 403; }}
        location /missing/ {{ return 404; }}
        location /gone/ {{ return 410; }}
    }}
}}
"""


class Nginx(Server):
    """nginx; the project is a folder of this machine, and can only be read."""

    def prepare(self) -> None:
        import getpass

        executable("nginx", package="nginx-light")
        (self.folder / "state").mkdir()
        self.project.mkdir()
        (self.folder / "users").write_text(f"alice:{{PLAIN}}{PASSWORD}\n")
        user = f"user {getpass.getuser()};" if getpass.getuser() == "root" else ""
        (self.folder / "config").write_text(_CONFIG.format(folder=self.folder, port=self.port, user=user))

    def command(self) -> list[str]:
        return [
            executable("nginx", package="nginx-light"),
            "-c",
            str(self.folder / "config"),
            "-e",
            str(self.folder / "error.log"),
        ]

    @property
    def project(self) -> Path:
        """Folder of the project, on this machine."""
        return self.folder / "project"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/listed"

    def at(self, place: str) -> str:
        """Another of its places: ``unlisted``, ``private``, ``denied``, ``missing`` or ``gone``."""
        return f"http://127.0.0.1:{self.port}/{place}"

    @property
    def fs_args(self) -> dict[str, Any]:
        return {}

    def read(self, path: str) -> bytes:
        return (self.project / path).read_bytes()
