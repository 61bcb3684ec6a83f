"""``python -m copick_core``: subcommands, exit codes, and what goes where."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from copick_core import __main__, plugins
from copick_core.__main__ import main


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
