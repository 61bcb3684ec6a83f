"""A SLURM cluster of one node on loopback: munged, slurmctld and slurmd of Debian, as long as a test needs them."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What Debian's packages slurmctld, slurmd, slurm-client and munge bring.
EXECUTABLES = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo", "sacct")
#: Seconds in which the node must be ready.
_READY = 40

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
InactiveLimit=0
KillWait=2
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def missing() -> str | None:
    """Why there can be no cluster here; None if there can."""
    absent = [name for name in EXECUTABLES if found(name) is None]
    if absent:
        return f"{', '.join(absent)} of SLURM and munge are not installed"
    return None if os.getuid() == 0 else "SLURM's daemons need to be root"


def found(name: str) -> str | None:
    """An executable, also where only root's PATH has it."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Run a cluster of one node.

    Args:
        folder: For its files; its path must be short, as it holds a socket.

    Yields:
        Environment variables with which SLURM's commands talk to it.

    Raises:
        RuntimeError: The node does not become ready; has the logs.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    host, ports = socket.gethostname().partition(".")[0], _free_ports(2)
    conf = folder / "slurm.conf"
    values = {"host": host, "folder": folder, "ctld_port": ports[0], "slurmd_port": ports[1], "cpus": os.cpu_count() or 1}
    conf.write_text(CONF.format(**values))
    environment = {"SLURM_CONF": str(conf)}
    munge = [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("pid-file", "log-file", "seed-file")]
    commands = [
        ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.sock", *munge],
        ["slurmctld", "-D", "-i", "-f", str(conf)],
        ["slurmd", "-D", "-f", str(conf)],
    ]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            path = found(command[0])
            assert path is not None
            with (folder / f"{command[0]}.out").open("wb") as log:
                started = subprocess.Popen([path, *command[1:]], stdout=log, stderr=log, env={**os.environ, **environment})
            running.append(started)
            if command[0] == "munged":
                _wait(lambda: (folder / "munge.sock").exists(), folder)
        _wait(lambda: "idle" in _state(environment), folder)
        try:
            yield environment
        finally:  # the daemons clean up after jobs; what they leave behind nobody ends
            _ask(environment, "scancel", "--me")
            _wait(lambda: not _ask(environment, "squeue", "--noheader").strip(), folder)
            _wait(lambda: not _steps(folder), folder)
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _state(environment: dict[str, str]) -> str:
    return _ask(environment, "sinfo", "--noheader", "--format=%t")


def _ask(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    return done.stdout


def _steps(folder: Path) -> list[str]:
    """Processes of jobs that still run: their scripts lie in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{folder}/spool" in command:
            found.append(command)
    return found


def _wait(ready: object, folder: Path) -> None:
    until = time.monotonic() + _READY
    while not ready():  # type: ignore[operator]
        if time.monotonic() > until:
            written = [path for path in folder.iterdir() if path.suffix in {".out", ".log"}]
            logs = {path.name: path.read_text(errors="replace")[-1500:] for path in written}
            raise RuntimeError(f"the cluster does not become ready: {logs}")
        time.sleep(0.2)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
