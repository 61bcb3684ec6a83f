"""What a process that is one command leaves out, and what it must not lose by that."""

import gc
import os
import subprocess
import sys

import pytest

from copick_core.__main__ import main
from support.distributions import install

pytest.importorskip("copick_tools")

#: What the script that pip installs does, and what it takes afterwards.
_COMMAND = """
import sys
from copick_core.__main__ import main
sys.argv = ["copick-core", {arguments}]
code = main()
"""


def _process(program, path="", cwd=None):
    env = {name: value for name, value in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    env["PYTHONPATH"] = os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=env, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def lab(tmp_path):
    assert main(["init", str(tmp_path / "lab"), "--object", "ribosome"]) == 0
    assert main(["add", "run", "TS_001", "-c", str(tmp_path / "lab/config.json")]) == 0
    return tmp_path / "lab/config.json"


def test_listing_runs_imports_only_what_it_uses(lab):
    program = _COMMAND.format(arguments=f"'ls', '-c', {str(lab)!r}")
    unused = (
        "{'numpy', 'zarr', 'fsspec', 'asyncio', 'email', 'logging', 'hashlib', 'shutil', 'concurrent.futures', 'tempfile'}"
    )

    printed = _process(program + f"print(sorted({unused} & {{*sys.modules}}))")

    assert printed.splitlines() == ["TS_001/", "[]"]


def test_metadata_of_distributions_are_read_when_somebody_asks_for_them(lab):
    program = _COMMAND.format(arguments=f"'ls', '-c', {str(lab)!r}") + (
        "import importlib.metadata\n"
        "from importlib.metadata import version\n"
        "import importlib.metadata._meta\n"
        "print(version('pydantic') == importlib.metadata.version('pydantic'))\n"
        "print(type(importlib.metadata).__name__, type(sys.modules['importlib.metadata']).__name__)"
    )

    printed = _process(program)

    assert printed.splitlines()[1:] == ["True", "module module"]


def test_threads_that_ask_for_metadata_at_once_all_get_them(lab):
    program = (
        "import sys, threading\n"
        "from copick_core.cli.quick import start\n"
        "start()\n"
        "import importlib.metadata as metadata\n"
        "assert 'email' not in sys.modules\n"
        "barrier, found = threading.Barrier(8), []\n"
        "def ask():\n"
        "    barrier.wait()\n"
        "    found.append(metadata.version('pydantic'))\n"
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print(len(found), len({*found}))"
    )

    printed = _process(program)

    assert printed.split() == ["8", "1"]


def test_a_name_that_somebody_puts_into_the_metadata_module_is_found_there():
    program = (
        "from copick_core.cli.quick import start\n"
        "start()\n"
        "import importlib.metadata as metadata\n"
        "metadata.put_here = 1\n"
        "import importlib.metadata\n"
        "print(importlib.metadata.put_here, importlib.metadata is metadata)"
    )

    printed = _process(program)

    assert printed.split() == ["1", "False"]


def test_a_plugin_of_pydantic_still_sees_the_models(tmp_path, lab):
    source = """
        class Plugin:
            def new_schema_validator(self, schema, schema_type, *more):
                print("seen", schema_type.__name__)
                return None, None, None

        plugin = Plugin()
    """
    install(tmp_path, "pydantic-watch", "pydantic", ["watch"], source)
    info = next(tmp_path.glob("pydantic_watch*.dist-info")) / "entry_points.txt"
    info.write_text(info.read_text().rstrip() + ":plugin\n")

    printed = _process(_COMMAND.format(arguments=f"'ls', '-c', {str(lab)!r}"), path=tmp_path)

    assert "seen CopickConfigFSSpec" in printed


def test_a_program_that_calls_a_command_is_left_as_it_is(lab, capsys):
    before = gc.get_threshold(), gc.get_freeze_count()

    main(["ls", "-c", str(lab)])

    assert (gc.get_threshold(), gc.get_freeze_count()) == before
