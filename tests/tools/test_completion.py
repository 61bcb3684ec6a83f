"""Completion of commands, options and addresses, in the shells themselves."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import copick_core
from copick_core.__main__ import COMPLETE, main
from tools.conftest import fill

#: How long a shell may take to draw its prompt, and to complete.
_PATIENCE = 30.0


@pytest.fixture
def project(project_config, tmp_path, monkeypatch):
    """A filled project in a folder, which ``COPICK_CONFIG`` names; the shells find ``copick-core``, and nobody's settings."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(project_config()))
    monkeypatch.setenv("COPICK_CONFIG", str(path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("HOME", "ZDOTDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    root = fill(copick_core.open(path))
    root.new_run("lamella, 2")
    return root


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"there is no {shell}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_script_asks_for_completions(shell, capsys):
    assert main(["completion", shell]) == 0
    assert f"{COMPLETE}={shell}_complete" in capsys.readouterr().out


@needs("bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["l"], ["log", "ls"]),
        (["ls", "TS"], ["TS_1/", "TS_2/"]),
        (["ls", "TS_1/ribosome:"], ["TS_1/ribosome:alice/1", "TS_1/ribosome:bob/1"]),
        (["ls", "--kind", "me"], ["mesh"]),
        (["ls", "lam"], ["lamella\\,\\ 2/"]),
        (["ls", "'lam"], ["lamella, 2/"]),
    ],
)
def test_a_bash_completes_commands_and_addresses(project, typed, offered):
    words = " ".join(map(shlex.quote, ["copick-core", *typed]))
    script = f"""
        eval "$(copick-core completion bash)"
        COMP_WORDS=({words}); COMP_CWORD={len(typed)}
        "$(complete -p copick-core | sed 's/.*-F \\([^ ]*\\).*/\\1/')" copick-core {shlex.quote(typed[-1])} previous
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """

    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=_PATIENCE)

    assert (done.stdout.splitlines(), done.stderr) == (offered, "")


def line_after_tab(shell, typed, folder, rc, setup):
    """What stands in the line of a shell when somebody has typed something and a tab; ``rc`` is where it starts."""
    line = folder / "line"
    rc.parent.mkdir(parents=True, exist_ok=True)
    rc.write_text(setup.format(line=shlex.quote(str(line))))
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [shell, "-i"], stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "dumb"}, start_new_session=True
    )
    os.close(theirs)
    shown, sent, until = b"", False, time.monotonic() + _PATIENCE
    try:
        while time.monotonic() < until:
            if not select.select([mine], [], [], 0.1)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                shown += os.read(mine, 4096)
            except OSError:  # the shell has ended
                break
            if not sent and b"READY" in shown:
                os.write(mine, f"{typed}\t\x18".encode())
                sent = True
    finally:
        if process.poll() is None and time.monotonic() >= until:
            process.kill()
        process.wait(_PATIENCE)
        os.close(mine)
    assert line.exists(), shown.decode(errors="replace")
    return line.read_text()


#: Notes the line at Ctrl-X, and ends.
_ZSH = """
PROMPT='READY'
eval "$(copick-core completion zsh)"
note() {{ print -rn -- "$BUFFER" > {line}; exit }}
zle -N note
bindkey '^X' note
"""


@pytest.mark.slow
@needs("zsh")
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("copick-core sho", "copick-core show "),
        ("copick-core ls --kind pi", "copick-core ls --kind picks "),
        ("copick-core ls TS_", "copick-core ls TS_"),
        ("copick-core ls TS_1", "copick-core ls TS_1/"),
        ("copick-core ls TS_1/ribosome:a", "copick-core ls TS_1/ribosome:alice/1 "),
        ("copick-core ls TS_1/ribo", "copick-core ls TS_1/ribosome:"),
        ("copick-core ls lam", "copick-core ls lamella,\\ 2/"),
        ("copick-core ls --ki", "copick-core ls --kind "),
        ("copick-core ls 'TS_1/ribosome:a", "copick-core ls 'TS_1/ribosome:alice/1' "),
    ],
)
def test_a_zsh_completes_commands_and_addresses(project, tmp_path, typed, line):
    assert line_after_tab("zsh", typed, tmp_path, tmp_path / ".zshrc", _ZSH) == line


@pytest.mark.slow
@needs("fish")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("copick-core sho", ["show"]),
        ("copick-core ls --kind pi", ["picks"]),
        ("copick-core ls TS_", ["TS_1/", "TS_2/"]),
        ("copick-core ls TS_1/ribosome:a", ["TS_1/ribosome:alice/1"]),
        ("copick-core ls 'TS_1/ribo", ["TS_1/ribosome:alice/1", "TS_1/ribosome:bob/1"]),
        ("copick-core ls lam", ["lamella, 2/"]),
    ],
)
def test_a_fish_completes_commands_and_addresses(project, typed, offered):
    script = f"copick-core completion fish | source; complete -C {shlex.quote(typed)}"

    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, timeout=_PATIENCE)

    assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == offered, done.stderr


@pytest.mark.slow
@needs("fish")
def test_a_fish_shows_the_whole_summary_of_a_command(project):
    script = "copick-core completion fish | source; complete -C 'copick-core comp'"

    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, timeout=_PATIENCE)

    assert "or two annotators" in done.stdout
