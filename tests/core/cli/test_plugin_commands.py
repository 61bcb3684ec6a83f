"""Commands that other distributions bring: listed, run, and told apart when they are broken."""

import os
import subprocess
import sys
import warnings

import pytest

from copick_core import plugins
from copick_core.__main__ import main
from copick_core.cli.own import COMMANDS
from support import distributions

PLUGIN = """
from copick_core.plugins import Command, hookimpl

@hookimpl
def copick_command():
    return Command({name!r}, {version}, {target!r}, "greet the world")
"""
GREETING = """
import sys
import click
import greeting_weight

@click.command
@click.argument("whom", default="world")
@click.option("--code", type=int, default=0)
@click.option("--fail")
@click.option("--why", default="so it is")
@click.pass_context
def greet(context, whom, code, fail, why):
    if fail:
        error = getattr(__import__("builtins"), fail, None) or getattr(click, fail)
        raise error(why) if why else error()
    print(f"hello {whom}")
    context.exit(code)

no_command = 3
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on sys.path with the module ``greeting``, which a plugin's command is taken from."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "greeting.py").write_text(GREETING)
    (tmp_path / "greeting_weight.py").touch()
    yield tmp_path
    plugins.reset()
    for name in [name for name in sys.modules if name.startswith("greeting") or name.endswith("_tools_of_theirs")]:
        del sys.modules[name]


def install(site, distribution="greeting-tools-of-theirs", name="greet", target="greeting:greet", version=1, source=None):
    source = PLUGIN.format(name=name, version=version, target=target) if source is None else source
    distributions.install(site, distribution, "copick_core.commands", [name], source)
    plugins.reset()


def listed(capsys):
    """The lines of the list of commands."""
    assert main(["--help"]) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_a_plugins_command_is_listed_with_its_summary_and_imported_when_it_is_called(site, capsys):
    install(site)

    assert any(line.split() == ["greet", "greet", "the", "world"] for line in listed(capsys))
    assert "greeting" not in sys.modules
    assert main(["greet", "moon"]) == 0
    assert capsys.readouterr().out == "hello moon\n"


def test_the_exit_code_is_that_of_the_context(site):
    install(site)

    assert main(["greet", "--code", "3"]) == 3


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        ("OSError", 1, "error: so it is"),
        ("KeyError", 1, "error: KeyError: 'so it is'"),
        ("LookupError", 1, "error: so it is"),
        ("ImportError", 1, "error: so it is"),
        ("MemoryError", 1, "error: so it is"),
        ("RuntimeError", 1, "error: so it is"),
        ("ValueError", 1, "error: so it is"),
        ("ClickException", 1, "error: so it is"),
        ("UsageError", 2, "error: so it is. Try: copick-core greet --help"),
        ("KeyboardInterrupt", 130, "error: interrupted"),
        ("Abort", 130, "error: interrupted"),
    ],
)
def test_an_error_of_a_plugins_command_is_one_line(site, capsys, error, code, line):
    install(site)

    assert main(["greet", "--fail", error]) == code

    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"{line}\n")


def test_an_error_without_a_message_is_named_by_its_kind(site, capsys):
    install(site)

    assert main(["greet", "--fail", "TimeoutError", "--why", ""]) == 1

    assert capsys.readouterr().err == "error: TimeoutError\n"


@pytest.mark.parametrize("arguments", [["greet"], ["greet", "--fail", "OSError"]])
def test_a_command_leaves_the_look_of_warnings_as_it_was(site, arguments):
    install(site)
    usual = warnings.formatwarning

    main(arguments)

    assert warnings.formatwarning is usual


def test_commands_are_listed_below_their_heading(site, capsys):
    install(site)

    lines = listed(capsys)

    assert lines.index("Commands:") < next(n for n, line in enumerate(lines) if line.startswith("greet "))


def test_an_option_that_a_command_lacks_is_named_with_where_to_look(site, capsys):
    install(site)

    assert main(["greet", "--xyzzy"]) == 2

    assert capsys.readouterr().err == "error: No such option '--xyzzy'. Try: copick-core greet --help\n"


def test_a_broken_plugin_is_listed_as_broken_and_the_others_work(site, capsys):
    install(site)
    install(site, "broken-tools-of-theirs", "shout", source="import a_package_that_nobody_has")

    lines = listed(capsys)
    shout = next(index for index, line in enumerate(lines) if line.startswith("shout"))
    assert "(broken: importing broken_tools_of_theirs failed" in lines[shout]
    assert any(line.startswith("greet ") for line in lines)
    assert main(["greet"]) == 0


@pytest.mark.parametrize(
    ("plugin", "cause"),
    [
        ({"source": "import a_package_that_nobody_has"}, "No module named 'a_package_that_nobody_has'"),
        ({"version": 0}, "it was written for version 0 of the command interface"),
        ({"target": "greeting:nothing"}, "importing greeting:nothing failed"),
        ({"target": "greeting:no_command"}, "greeting:no_command is not a click command, but a int"),
    ],
)
def test_calling_a_broken_command_gives_the_cause_and_exits_with_1(site, capsys, plugin, cause):
    install(site, **plugin)

    assert main(["greet"]) == 1

    error = capsys.readouterr().err
    assert error.startswith("error: Command 'greet' (from greeting-tools-of-theirs) cannot be used: ")
    assert cause in error
    assert len(error.splitlines()) == 1


def test_calling_a_command_that_two_distributions_bring_names_both(site, capsys):
    install(site)
    install(site, "other-tools-of-theirs")

    assert main(["greet"]) == 1

    error = capsys.readouterr().err
    assert "greeting-tools-of-theirs" in error
    assert "other-tools-of-theirs" in error


def test_a_plugin_that_claims_a_command_of_the_framework_does_not_get_it(site, capsys):
    install(site, name="plugins")

    assert main(["plugins"]) == 0

    rows = capsys.readouterr().out.splitlines()
    assert any(row.split()[:2] == ["command", "plugins"] and row.endswith("duplicate") for row in rows)


def test_a_known_command_that_is_not_installed_gives_its_install_line(monkeypatch, capsys):
    monkeypatch.setitem(plugins.known()["commands"], "absent", "copick-core[absent]")

    assert main(["absent", "--option"]) == 2

    error = capsys.readouterr().err
    assert error == "error: The command 'absent' is not installed. Install it with: pip install \"copick-core[absent]\"\n"


@pytest.mark.parametrize(("typed", "meant"), [("plugin", "plugins"), ("dmeo", "demo"), ("absnet", "absent")])
def test_a_misspelt_command_gets_the_closest_one(monkeypatch, capsys, typed, meant):
    monkeypatch.setitem(plugins.known()["commands"], "absent", "copick-core[absent]")

    assert main([typed]) == 2

    assert f"There is no command {typed!r}. Did you mean {meant!r}?" in capsys.readouterr().err


def test_output_that_a_console_cannot_show_is_no_error(site):
    install(site)
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "copick_core", "greet", "Å"]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, "hello ?\n")


def test_every_command_of_the_framework_is_an_entry_point_too():
    assert {command.name for command in COMMANDS} <= {*plugins.commands.names()}
