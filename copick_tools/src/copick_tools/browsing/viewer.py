"""Opening an entity in the viewer, which another distribution brings as a command."""

from __future__ import annotations

import subprocess
import sys
import tempfile

from copick_core.errors import CopickError, MissingDependencyError
from copick_core.plugins import commands, install_line

#: Seconds that a viewer gets to end when the browser is left.
_SECONDS = 5.0


class Viewers:
    """The viewers that a browser has started; they end with it.

    Args:
        config: Config of the project.
        command: Name of the command that views an address.
    """

    def __init__(self, config: str, command: str = "view") -> None:
        self.config = config
        self.command = command
        self._running: list[subprocess.Popen[bytes]] = []

    def check(self) -> None:
        """Check that the command is installed.

        Raises:
            MissingDependencyError: It is not; with the line that installs it.
            PluginError: It is broken.
            UnknownPluginError: It is not, and nobody is known to bring it.
        """
        install = install_line("commands", self.command)
        if self.command not in commands.names() and install is not None:
            raise MissingDependencyError(feature="The viewer", install=install)
        commands.get(self.command)

    def show(self, address: str) -> None:
        """Open an address, and return when the viewer has been closed.

        Raises:
            CopickError: The viewer failed; with what it printed last.
        """
        words = [sys.executable, "-m", "copick_core", self.command, address, "-c", self.config]
        with tempfile.TemporaryFile() as printed:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and command
                words, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT
            )
            self._running.append(process)
            code = process.wait()
            self._running.remove(process)
            printed.seek(0)
            lines = printed.read().decode(errors="replace").strip().splitlines() or [f"exit code {code}"]
        if code > 0:
            raise CopickError(f"The viewer failed: {lines[-1]}", address=address, code=code)

    def close(self) -> None:
        """End all viewers."""
        for process in [*self._running]:
            process.terminate()
            try:
                process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
