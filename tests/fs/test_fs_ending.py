"""A process that has used obstore ends as any other: no thread of obstore comes back to Python while Python ends."""

from __future__ import annotations

import subprocess
import sys

import pytest
from s3_stub import S3Stub

pytest.importorskip("obstore")

LAYER = """
import sys, threading, time
from copick_backend_fs.layer import open_layer
from copick_core.tree.keys import ROOT, Kind

layer = open_layer("overlay", "s3://lab/project", {"key": "a", "secret": "b", "endpoint_url": sys.argv[1]})

class Lasting:  # Python takes its time to end
    def __del__(self, sleep=time.sleep):
        sleep(1.0)

threading.lasting = Lasting()
"""

#: The thread that hands the answer over needs as long after that as it does on a machine with too much to do.
ENDS_WHILE_ONE_IS_HANDED_OVER = """
from fsspec.asyn import get_loop

loop = get_loop()
wake = loop._write_to_self

def wake_and_lag():
    wake()
    if threading.current_thread() is not threading.main_thread():
        time.sleep(0.3)

loop._write_to_self = wake_and_lag
layer.list(Kind.RUN, ROOT)
"""

#: A request has only begun.
ENDS_BEFORE_THE_ANSWER = """
from copick_backend_fs import store_arguments

begun, look_up = threading.Event(), store_arguments._credentials

def slow(*args):
    def credentials(found=look_up(*args)):
        begun.set()
        time.sleep(0.3)
        return found()
    return credentials

store_arguments._credentials = slow
threading.excepthook = lambda _: None
threading.Thread(target=layer.list, args=(Kind.RUN, ROOT), daemon=True).start()
begun.wait()
"""


@pytest.mark.parametrize("program", [ENDS_WHILE_ONE_IS_HANDED_OVER, ENDS_BEFORE_THE_ANSWER])
def test_a_thread_of_obstore_that_is_in_python_is_waited_for(program: str) -> None:
    with S3Stub() as stub:
        done = subprocess.run([sys.executable, "-c", LAYER + program, stub.url], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
