"""How many system calls a command makes, counted by strace."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_ROW = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(?P<calls>\d+)\s+(?:\d+\s+)?(?P<name>\w+)$", re.MULTILINE)

_MEMORY = ("brk", "madvise", "mmap", "mprotect", "mremap", "munmap")


def can_trace() -> bool:
    """Return whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-c", "true"], capture_output=True, check=False).returncode == 0


def count_system_calls(command: Sequence[str]) -> dict[str, int]:
    """Run a command under strace, with its threads and children, and return how often it made each call.

    Calls for memory are left out: how many there are is chance.
    """
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as summary:
        strace = ["strace", "-f", "-qq", "-c", "-o", summary.name]
        subprocess.run([*strace, *command], capture_output=True, check=True)
        rows = _ROW.finditer(Path(summary.name).read_text())
        return {row["name"]: int(row["calls"]) for row in rows if row["name"] not in {"total", *_MEMORY}}


_CHANGING = (
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,mknod,mknodat,truncate,"
    "ftruncate,fallocate,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utime,utimes,futimesat,utimensat,setxattr,"
    "lsetxattr,fsetxattr,removexattr,write,pwrite64,writev,pwritev,copy_file_range,sendfile"
)


def changing_calls(command: Sequence[str], *, inside: Path) -> list[str]:
    """Run a command under strace, and return the calls that changed, or could have changed, something in a folder."""
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as trace:
        calls = f"trace=open,openat,openat2,creat,{_CHANGING}"
        strace = ["strace", "-f", "-qq", "-y", "-s", "0", "-e", calls, "-o", trace.name]
        subprocess.run([*strace, *command], capture_output=True, check=True)
        lines = [line for line in Path(trace.name).read_text().splitlines() if f"{inside}" in line]
    # What is resumed was judged where it began.
    harmless = re.compile(r"<\.\.\. open|\bopen(at2?)?\((?!.*(O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND))")
    return [line for line in lines if not harmless.search(line)]
