"""Reading a compose volume, and working in an overlay over it, changes nothing in it, and loads no model."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import volume_reader
from support.tracing import can_trace, changing_calls
from support.volumes import bound_by_modes, open_volume, tree_hash

READER = [sys.executable, volume_reader.__file__]
#: A mount namespace of its own, with the rights of root in it.
UNSHARED = ["unshare", "--mount", "--map-root-user", "sh", "-ec"]


def read_only(folder, command):
    """A command in a namespace in which a folder is mounted read-only."""
    place = shlex.quote(str(folder))
    mounts = f"mount --bind {place} {place}; mount -o remount,bind,ro {place}"
    return [*UNSHARED, f"{mounts}; exec {shlex.join(map(str, command))}"]


def can_mount(folder):
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(read_only(folder, ["true"]), capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("overlay", ["memory", "filesystem"])
def test_an_overlay_session_leaves_every_byte_of_the_volume(either, tmp_path, overlay):
    before = tree_hash(either)
    place = {"overlay_root": str(tmp_path / "mine")} if overlay == "filesystem" else {}

    run = volume_reader.overlay_session(open_volume(either, overlay={"config_type": overlay, **place}))

    assert tree_hash(either) == before
    assert [p.user_id for p in run.picks] == ["ana"]
    assert [s.layer for s in run.segmentations] == ["volume", "volume", "overlay"]


def test_reading_everything_unpickles_nothing_and_opens_nothing_for_writing(either, tmp_path):
    before = {p.name for p in tmp_path.rglob("*")}

    subprocess.run([*READER, str(either)], check=True, cwd=tmp_path)

    assert {p.name for p in tmp_path.rglob("*")} == before
    assert "UNPICKLED" not in before


def test_a_read_only_mount_is_read_whole_and_worked_over(either, tmp_path):
    if not can_mount(either):
        pytest.skip("this machine does not permit mounts in a namespace (unshare --mount --map-root-user)")
    refused = subprocess.run(read_only(either, ["touch", either / "x"]), capture_output=True, text=True, check=False)
    assert "Read-only file system" in refused.stderr

    done = subprocess.run(read_only(either, [*READER, either]), capture_output=True, text=True, check=False, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert not (either / "jobs.json.lock").exists()


def test_a_volume_without_permission_to_write_is_read_whole(either):
    paths = [either, *either.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        subprocess.run([*bound_by_modes(), *READER, str(either)], check=True)
    finally:
        for path in paths:
            path.chmod(modes[path])


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="strace is not here or may not trace")
def test_no_system_call_changes_the_volume(either, tmp_path):
    assert changing_calls([*READER, str(either)], inside=either) == []
    # The same eyes see a change.
    assert len(changing_calls(["touch", str(either / "x")], inside=either)) >= 1


def test_the_package_names_no_loader_of_pickles():
    import ast

    import copick_backend_volume

    forbidden = {"pickle", "joblib", "cloudpickle", "dill", "shelve", "_pickle"}
    files = [*Path(copick_backend_volume.__file__).parent.rglob("*.py")]

    assert len(files) > 20
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.partition(".")[0] for n in names} & forbidden, path
