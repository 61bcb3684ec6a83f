"""``python -m copick_core``: subcommands, exit codes, and what goes where."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from copick_core import plugins
from copick_core.__main__ import main
from support.distributions import install


def _run(*arguments, **options):
    command = [sys.executable, "-m", "copick_core", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, **options)


@pytest.fixture
def fresh_plugins():
    """Discovery as in a new process."""
    plugins.reset()
    yield
    plugins.reset()


@pytest.fixture
def broken_backend(tmp_path):
    """A folder with an installed distribution whose backend cannot be imported."""
    info = tmp_path / "copick_backend_tape-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: copick-backend-tape\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[copick.backends]\ntape = copick_backend_tape\n")
    (tmp_path / "copick_backend_tape.py").write_text("import a_driver_that_is_missing\n")
    return tmp_path


def test_the_module_runs_and_says_its_version():
    done = _run("--version")

    assert done.returncode == 0
    assert done.stdout.strip() == f"copick-core {version('copick-core')}"


def test_help_lists_every_command_with_its_summary_and_imports_none():
    script = (
        "import sys; from copick_core.__main__ import main\n"
        "main(['--help'])\n"
        "heavy = {'numpy', 'pydantic', 'zarr', 'trimesh', 'fsspec', 'PIL', 'tqdm', 'asyncio'}\n"
        "print(sorted(heavy & {*sys.modules}), sorted(m for m in sys.modules if m.startswith('copick_core.cli.')))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    for name in ("copy", "demo", "new-config", "new-plugin", "plugins", "portal-cache", "tree", "volume"):
        assert name in listed
    assert "make an example project" in done.stdout
    assert done.stdout.splitlines()[-1] == "[] ['copick_core.cli.foreign', 'copick_core.cli.frame', 'copick_core.cli.own']"


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("demo", "--nonsense"), ("demo", "--backend", "tape")])
def test_what_is_not_understood_exits_with_2(arguments, capsys):
    code = main(arguments)

    assert code == 2
    assert capsys.readouterr().out == ""


def test_plugins_lists_kind_name_distribution_version_and_state(capsys, fresh_plugins):
    code = main(["plugins"])

    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert rows[0] == ["kind", "name", "distribution", "version", "state"]
    assert ["backend", "filesystem", "copick-backend-fs", version("copick-backend-fs"), "loaded"] in rows
    assert ["command", "demo", "copick-tools", version("copick-tools"), "loaded"] in rows
    assert ["command", "plugins", "copick-core", version("copick-core"), "loaded"] in rows


def test_plugins_prints_the_same_as_json(capsys, fresh_plugins):
    code = main(["plugins", "--json"])

    memory = next(row for row in json.loads(capsys.readouterr().out) if row["name"] == "memory")
    assert code == 0
    assert memory == {
        "kind": "backend",
        "name": "memory",
        "distributions": ["copick-backend-memory"],
        "versions": [version("copick-backend-memory")],
        "state": "loaded",
        "cause": "",
    }


def test_plugins_tells_why_one_is_broken_and_lists_the_others(broken_backend):
    paths = os.pathsep.join([str(broken_backend), os.environ.get("PYTHONPATH", "")])

    done = _run("plugins", env={**os.environ, "PYTHONPATH": paths})

    lines = done.stdout.splitlines()
    row = next(index for index, line in enumerate(lines) if " tape " in line)
    assert done.returncode == 0
    assert lines[row].split() == ["backend", "tape", "copick-backend-tape", "0.3", "broken"]
    assert "a_driver_that_is_missing" in lines[row + 1]
    assert any(" filesystem " in line and line.endswith("loaded") for line in lines)


def test_plugins_imports_what_plugins_need_only_when_asked_to_check(tmp_path):
    source = """
        from copick_core.plugins import Command, hookimpl

        @hookimpl
        def copick_command():
            return Command("reel", 1, "reel_command:reel", "winds")
    """
    install(tmp_path, "copick-reel", "copick_core.commands", ["reel"], source)
    (tmp_path / "reel_command.py").write_text("import a_driver_that_is_missing")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}

    listed, checked = _run("plugins", env=env).stdout, _run("plugins", "--check", env=env).stdout

    assert [line.split()[-1] for line in listed.splitlines() if " reel " in line] == ["loaded"]
    assert [line.split()[-1] for line in checked.splitlines() if " reel " in line] == ["broken"]
    assert (
        "cause: importing reel_command:reel failed: ModuleNotFoundError: No module named 'a_driver_that_is_missing'" in checked
    )


def test_an_error_is_one_line_on_standard_error(capsys):
    code = main(["demo", "--volume", "does_not_exist.mrc"])

    out, err = capsys.readouterr()
    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert "does_not_exist.mrc" in err
    assert "Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="a closed pipe has no signal to ignore elsewhere")
def test_a_reader_that_goes_away_is_no_traceback():
    command = f"{sys.executable} -m copick_core plugins | true"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)

    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_warning_is_one_line_on_standard_error(tmp_path):
    (tmp_path / "config.json").write_text('{"config_type": "filesystem", "overlay_root": "data", "pickable_object": []}')

    done = _run("tree", "config.json", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stderr.startswith("warning: Configuration config.json: pickable_object: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="the shell of other systems cannot close a stream")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_is_no_error(tmp_path, closed):
    (tmp_path / "uploads").mkdir()  # a folder of a volume
    command = f"{sys.executable} -m copick_core volume jobs {tmp_path} {closed}"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="pipes differ elsewhere")
def test_a_command_whose_reader_went_away_fails_without_a_word():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "copick_core", "new-plugin", "--help"]

    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)

    assert (done.returncode, done.stderr) == (1, b"")
