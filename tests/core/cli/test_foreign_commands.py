"""Click commands that other programs of copick bring in their own entry-point groups."""

import sys

import pytest

from copick_core import plugins
from copick_core.__main__ import main

SOURCE = """
import click

@click.command("another-name")
@click.argument("whom", default="world")
def greet(whom):
    click.echo(f"hello {whom}")

@click.group()
def tools():
    pass

tools.add_command(greet, "greet")
no_command = 3
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with entry points of a group: ``install(distribution, group, name="attribute")``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(distribution, group, source=SOURCE, **points):
        module = f"{distribution}_of_theirs"
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        lines = [f"{name.replace('_', '-')} = {module}:{attribute}" for name, attribute in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
        plugins.reset()

    yield make
    plugins.reset()
    for name in [name for name in sys.modules if name.endswith("_of_theirs")]:
        del sys.modules[name]


def listed(capsys, *words):
    assert main([*words, "--help"]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_command_is_listed_by_its_entry_point_and_imported_when_it_is_called(install, capsys):
    install("theirs", "copick.commands", say_hello="greet")

    assert ["say-hello", "(from", "theirs)"] in listed(capsys)
    assert "theirs_of_theirs" not in sys.modules
    assert main(["say-hello", "moon"]) == 0
    assert capsys.readouterr().out == "hello moon\n"


def test_commands_of_a_group_are_in_a_group_of_its_name(install, capsys):
    install("theirs", "copick.process.commands", picks2hello="greet", more="tools")

    assert ["process", "(from", "theirs)"] in listed(capsys)
    assert ["picks2hello", "(from", "theirs)"] in listed(capsys, "process")
    assert "theirs_of_theirs" not in sys.modules
    assert main(["process", "picks2hello", "moon"]) == 0
    assert main(["process", "more", "greet"]) == 0
    assert capsys.readouterr().out == "hello moon\nhello world\n"


def test_a_group_of_ours_has_their_commands_too_and_keeps_its_own(install, capsys):
    ours = {line[0] for line in listed(capsys, "convert") if line}
    install("theirs", "copick.convert.commands", picks2hello="greet", mesh_from_segmentation="greet")

    assert {line[0] for line in listed(capsys, "convert") if line} == {*ours, "picks2hello"}
    assert main(["convert", "picks2hello", "moon"]) == 0
    assert capsys.readouterr().out == "hello moon\n"


def test_no_command_of_others_takes_the_place_of_ours(install, capsys):
    install("theirs", "copick.commands", plugins="greet")

    assert main(["plugins", "--json"]) == 0
    assert "hello" not in capsys.readouterr().out


def test_a_broken_command_is_named_with_its_distribution_and_harms_no_other(install, capsys):
    install("broken", "copick.commands", source="import no_such_module", broken="greet")
    install("theirs", "copick.commands", say_hello="greet", number="no_command")

    assert main(["say-hello"]) == 0
    assert main(["broken"]) == 1
    assert "(from broken) cannot be used: ModuleNotFoundError" in capsys.readouterr().err
    assert main(["number"]) == 1
    assert "is not a click command, but a int" in capsys.readouterr().err


def test_of_two_claimants_of_a_name_neither_is_run(install, capsys):
    install("first", "copick.commands", say_hello="greet")
    install("second", "copick.commands", say_hello="greet")

    assert main(["say-hello"]) == 1
    assert "first and second" in capsys.readouterr().err


def test_groups_that_nobody_fills_are_not_listed(capsys):
    assert not any(line[:1] == ["training"] for line in listed(capsys))


def test_a_group_says_which_commands_it_has_and_from_whom(install, capsys):
    install("theirs", "copick.process.commands", picks2hello="greet")
    install("others", "copick.process.commands", more="tools", again="greet")

    assert ["process", "(from", "others,", "theirs)"] in listed(capsys)
    lines = listed(capsys, "process")
    assert ["Commands", "that", "other", "distributions", "bring", "to", "process."] in lines
    assert lines[lines.index(["Commands:"]) + 1 :] == [
        ["again", "(from", "others)"],
        ["more", "(from", "others)"],
        ["picks2hello", "(from", "theirs)"],
    ]


def test_a_group_without_a_command_shows_its_help_and_exits_with_2(install, capsys):
    install("theirs", "copick.process.commands", picks2hello="greet")

    assert main(["process"]) == 2
    assert "picks2hello" in capsys.readouterr().err


def test_a_group_of_ours_keeps_its_help(install, capsys):
    before = listed(capsys, "convert")
    install("theirs", "copick.convert.commands", picks2hello="greet")

    after = listed(capsys, "convert")

    assert after[: after.index(["Commands:"])] == before[: before.index(["Commands:"])]
    assert len(after) == len(before) + 1
    assert [line for line in after if line[:1] != ["picks2hello"]] == before


def test_a_broken_command_of_a_group_is_named_with_its_distribution_and_cause(install, capsys):
    install("first", "copick.process.commands", twice="greet", number="no_command", missing="nothing")
    install("second", "copick.process.commands", twice="greet")

    for name, reason in (
        ("twice", "(from first and second) cannot be used: several distributions bring it"),
        ("number", "(from first) cannot be used: first_of_theirs:no_command is not a click command, but a int"),
        ("missing", "(from first) cannot be used: AttributeError: "),
    ):
        assert main(["process", name]) == 1
        assert f"Command {name!r} {reason}" in capsys.readouterr().err
