"""``python -m copick_core``: subcommands, exit codes, and what goes where."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from copick_core import __main__, plugins
from copick_core.__main__ import main
from support.volumes import bound_by_modes


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


def test_help_lists_every_subcommand_without_importing_one():
    script = (
        "import sys; from copick_core.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print([m for m in sys.modules if m.startswith('copick_core.cli.') or m == 'numpy'])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert all(command.name in done.stdout for command in __main__.COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("demo", "--nonsense"), ("demo", "--backend", "tape")])
def test_what_is_not_understood_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)

    assert exit_.value.code == 2
    assert capsys.readouterr().out == ""


def test_backends_lists_type_distribution_version_and_state(capsys, fresh_plugins):
    code = main(["backends"])

    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert rows[0] == ["config_type", "distribution", "version", "state"]
    assert ["filesystem", "copick-backend-fs", version("copick-backend-fs"), "loaded"] in rows
    assert ["memory", "copick-backend-memory", version("copick-backend-memory"), "loaded"] in rows


def test_backends_tells_why_one_is_broken_and_lists_the_others(broken_backend):
    paths = os.pathsep.join([str(broken_backend), os.environ.get("PYTHONPATH", "")])

    done = _run("backends", env={**os.environ, "PYTHONPATH": paths})

    lines = done.stdout.splitlines()
    row = next(index for index, line in enumerate(lines) if line.startswith("tape"))
    assert done.returncode == 0
    assert lines[row].split() == ["tape", "copick-backend-tape", "0.3", "broken"]
    assert "a_driver_that_is_missing" in lines[row + 1]
    assert any(line.startswith("filesystem") and line.endswith("loaded") for line in lines)


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
    command = f"{sys.executable} -m copick_core backends | true"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)

    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_warning_is_one_line_on_standard_error(tmp_path):
    (tmp_path / "config.json").write_text('{"config_type": "filesystem", "overlay_root": "data", "pickable_object": []}')

    done = _run("cache", "info", "config.json", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stderr.startswith("warning: Configuration config.json: pickable_object: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="the shell of other systems cannot close a stream")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_is_no_error(tmp_path, closed):
    command = f"{sys.executable} -m copick_core volume jobs {tmp_path} {closed}"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_folder_to_keep_that_is_not_empty_is_refused_before_anything_is_computed(tmp_path, capsys):
    (tmp_path / "notes.txt").touch()
    for taken in (tmp_path, tmp_path / "notes.txt"):
        assert main(["demo", "--keep", str(taken)]) == 1

        out, err = capsys.readouterr()
        assert out == ""
        assert err == f"error: --keep {taken}: this exists, and is no empty folder; name a new one\n"


def test_a_config_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "into").mkdir()
    config, target = tmp_path / "config.json", tmp_path / "into" / "config.json"
    for path, name in [(config, "from"), (target, "to")]:
        objects = [{"name": "ribosome", "is_particle": True}] if path == config else []
        path.write_text(json.dumps({"config_type": "memory", "place": name, "pickable_objects": objects}))
    target.parent.chmod(0o555)
    command = [*bound_by_modes(), sys.executable, "-m", "copick_core", "copy", str(config), str(target)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert done.stderr == f"error: [Errno 13] Permission denied: '{target}'\n"
