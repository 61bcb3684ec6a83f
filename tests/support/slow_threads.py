"""Threads and an interpreter that take their time at the end, as where a machine has too much to do; for other programs."""

import asyncio
import threading
import time


class _Lasting:
    def __del__(self, sleep=time.sleep):
        sleep(1.0)


def make_slow(loop: asyncio.AbstractEventLoop) -> None:
    """Let Python take a second to end, and let each thread that has woken up a loop go on a while later."""
    threading.lasting = _Lasting()  # of a module, which is torn down while Python ends
    wake = loop._write_to_self

    def wake_and_lag() -> None:
        wake()
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.3)

    loop._write_to_self = wake_and_lag
