"""Whether a call waits for a lock that somebody else holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

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


def waits_after(name: str, owner: object, lock: Any, call: Callable[[], object]) -> bool:
    """Return whether a call waits for a lock that somebody else has taken just when it had called a function.

    Args:
        name: Name of the function, after which the lock is taken.
        owner: What has it as an attribute.
        lock: The lock.
        call: The call.
    """
    before: Callable[..., Any] = getattr(owner, name)
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            free.wait(30)

    def then_taken(*args: Any, **kwargs: Any) -> Any:
        answer = before(*args, **kwargs)
        if not holder.is_alive() and not taken.is_set():
            holder.start()
            taken.wait(30)
        return answer

    holder, caller = (threading.Thread(target=target, daemon=True) for target in (hold, call))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, then_taken)
        caller.start()
        assert taken.wait(30), f"the call did not call {name}"
        caller.join(_SOON)
        waited = caller.is_alive()
        free.set()
        caller.join(30)
    assert not caller.is_alive(), "the call did not end after the lock was released"
    return waited
