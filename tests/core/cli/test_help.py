"""The help of every installed command: examples, whole summaries, and a word for every option."""

from __future__ import annotations

import click
import pytest

from copick_core.cli.frame import command_line


def commands():
    """Every command, with those of groups, by what is typed."""
    context = click.Context(command_line, info_name="copick-core")
    return dict(_below(command_line, context, ""))


def _below(group, context, path):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if not command.hidden:
            yield f"{path}{name}", command
            if isinstance(command, click.Group):
                yield from _below(command, click.Context(command, context, name), f"{path}{name} ")


COMMANDS = commands()
LEAVES = [name for name, command in COMMANDS.items() if not isinstance(command, click.Group)]


def shown(name):
    return COMMANDS[name].get_help(click.Context(COMMANDS[name], info_name=f"copick-core {name}"))


@pytest.mark.parametrize("name", LEAVES)
def test_a_command_shows_an_example(name):
    assert f"  copick-core {name}" in shown(name).partition("Example")[2]


#: Commands that print no facts for programs, and why.
WITHOUT_JSON = {
    "browse": "draws a screen",
    "completion": "prints a script for a shell",
    "demo": "tells a story, for people",
    "serve": "serves until it is stopped",
    "view": "serves until it is stopped",
}


def test_every_command_that_prints_facts_prints_them_as_json_too():
    without = [name for name in LEAVES if not any("--json" in option.opts for option in COMMANDS[name].params)]

    assert sorted(without) == sorted(WITHOUT_JSON)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_cuts_nothing_off(name):
    assert not [line for line in shown(name).splitlines() if line.endswith("...") and "Usage" not in line]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name):
    options = [param for param in COMMANDS[name].params if isinstance(param, click.Option) and not param.hidden]

    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_options_that_mean_the_same_have_the_same_letters(name):
    letters = {"--config": "-c", "--dry-run": "-n", "--yes": "-y"}
    options = {long: {*param.opts} for param in COMMANDS[name].params for long in param.opts}

    assert {long: letter for long, letter in letters.items() if letter in options.get(long, {letter})} == letters


@pytest.mark.parametrize("name", COMMANDS)
def test_what_becomes_of_things_that_exist_is_said_in_the_same_words(name):
    words = ["fail", "skip", "replace", "newer"]
    options = {long: param for param in COMMANDS[name].params for long in param.opts}
    choices = [*options["--if-exists"].type.choices] if "--if-exists" in options else []

    assert not {"--overwrite", "--exist-ok"} & {*options}
    assert choices == [word for word in words if word in choices]


def test_a_project_is_named_once_by_its_config_or_by_an_option_or_the_environment(tmp_path, monkeypatch, capsys):
    from copick_core.__main__ import main

    path = tmp_path / "config.json"
    path.write_text('{"config_type": "memory", "pickable_objects": []}')

    assert main(["doctor", str(path)]) == main(["doctor", "-c", str(path)]) == 0
    assert main(["doctor"]) == 2
    assert "COPICK_CONFIG" in capsys.readouterr().err
    monkeypatch.setenv("COPICK_CONFIG", str(path))
    assert main(["doctor"]) == 0


def words_of(name):
    return " ".join(shown(name).split())


def test_options_that_many_commands_have_are_explained_alike_with_what_they_take():
    assert (
        "-c, --config FILE Config file of the project, or the project's folder or URL. [env var: COPICK_CONFIG; required]"
        in words_of("ls")
    )
    assert "-c, --config FILE Config file of the project, if CONFIG is left out. [env var: COPICK_CONFIG]" in words_of(
        "doctor"
    )
    assert "--if-exists [fail|skip|replace|newer] What to do with targets that exist with other content. [default: fail]" in (
        words_of("cp")
    )
    assert "--as-of WHEN Show an earlier state: a tag, a commit or a time. Needs a project with a history." in words_of(
        "render"
    )


def test_options_of_every_new_configuration_are_explained_with_what_they_take():
    assert (
        "--output FILE File to write. [default: config.json] --force Replace the file if it exists. "
        "--name TEXT Name of the project. --description TEXT Description of the project. "
        "--user-id NAME User that new annotations belong to by default. "
        "--session-id NAME Session of new annotations by default. --json Print JSON. "
        "--objects FILE JSON file with the objects: a list of them, or a configuration."
    ) in words_of("new-config memory")
    assert "stack An overlay of any backend over static layers of any backends" in words_of("new-config")
