"""Where a program's time goes: which function each thread is in, asked every millisecond."""

from __future__ import annotations

import functools
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

#: Innermost functions of a thread that waits for work, for another thread, or for the network.
_IDLE = {
    ("base_events.py", "run_forever"),
    ("queue.py", "get"),
    ("selectors.py", "select"),
    ("thread.py", "_worker"),
    ("threading.py", "_wait_for_tstate_lock"),
    ("threading.py", "join"),
    ("threading.py", "wait"),
}


class Sampler:
    """Watches all threads while its block runs. Compiled functions count for the Python function that called them.

    A timer's signal stops the main thread where it is; a thread that watches would see it only where it gives up the
    interpreter's lock.
    """

    def __enter__(self) -> Sampler:
        self._seconds: Counter[str] = Counter()
        self._last = time.perf_counter()
        self._before = signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def shares(self, most: int = 6) -> dict[str, float]:
        """Functions that took the most time, and each one's share of the time of threads that did not wait."""
        total = sum(self._seconds.values())
        return {name: round(seconds / total, 3) for name, seconds in self._seconds.most_common(most)}

    def _look(self, _number: int, frame: FrameType | None) -> None:
        # Signals are delayed while compiled code runs: what it took belongs to its caller, which is the frame here.
        now = time.perf_counter()
        frames = {**sys._current_frames(), threading.get_ident(): frame}
        for name in {thread: _name(each.f_code) for thread, each in frames.items() if each is not None}.values():
            if name is not None:
                self._seconds[name] += now - self._last
        self._last = now


@functools.cache
def _name(code: CodeType) -> str | None:
    path = Path(code.co_filename)
    if (path.name, code.co_name) in _IDLE or path == Path(__file__):
        return None
    if (path.name, code.co_name) == ("thread.py", "run"):
        return "compiled functions on pool threads"
    roots = [n for n, part in enumerate(path.parts) if part in ("site-packages", "src")]
    return f"{'/'.join(path.parts[roots[-1] + 1 if roots else -1 :])}:{code.co_name}"
