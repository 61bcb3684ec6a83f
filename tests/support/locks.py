"""Whether a call waits for a lock that somebody else holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: Seconds in which a call that does not wait is done.
_SOON = 0.2


def waits_for(lock: Any, call: Callable[[], object]) -> bool:
    """Return whether a call in another thread waits as long as this one holds a lock, and ends afterwards.

    A call that waits is never taken for one that does not, however slow the machine is.
    """
    thread = threading.Thread(target=call, daemon=True)
    with lock:
        thread.start()
        thread.join(_SOON)
        waited = thread.is_alive()
    thread.join(30)
    assert not thread.is_alive(), "the call did not end after the lock was released"
    return waited
