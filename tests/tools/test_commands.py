"""The everyday commands: what they print, refuse and return."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import copick_core
from copick_core.__main__ import COMPLETE, main
from copick_core.tree.keys import Kind
from tools.conftest import contents, fill


@pytest.fixture
def project(project_config, tmp_path, monkeypatch):
    """A filled project in a folder, which ``COPICK_CONFIG`` names."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(project_config()))
    monkeypatch.setenv("COPICK_CONFIG", str(path))
    return fill(copick_core.open(path))


def printed(capsys, *words):
    """What a command prints as JSON."""
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_no_project_is_a_usage_error_that_names_the_ways_out(capsys):
    assert main(["ls"]) == 2
    error = capsys.readouterr().err
    assert "--config" in error
    assert "COPICK_CONFIG" in error


def test_rm_refuses_an_address_of_several_kinds_also_with_yes(project, capsys):
    before = contents(project)

    assert main(["rm", "membrane:alice/1", "--yes"]) == 1

    error = capsys.readouterr().err
    assert "mesh 'membrane'" in error
    assert "binary segmentation 'membrane'" in error
    assert contents(project) == before


@pytest.mark.parametrize("words", [["mv", "membrane:alice/1", "*:bob"], ["cp", "membrane:alice/1", "*:bob"]])
def test_mv_and_cp_refuse_an_address_of_several_kinds(project, capsys, words):
    before = contents(project)

    assert main(words) == 1
    assert contents(project) == before
    assert "Choose one kind (--kind): " in capsys.readouterr().err


def test_rm_deletes_nothing_where_nobody_can_be_asked(project, capsys):
    before = contents(project)

    assert main(["rm", "ribosome:alice", "--kind", "picks"]) == 2

    assert "pass --yes" in capsys.readouterr().err
    assert contents(project) == before


@pytest.mark.parametrize("address", ["ribo?:nobody/9", "[a-z]ibo:me/1"])
def test_a_mistyped_address_deletes_nothing(project, address):
    before = contents(project)

    main(["rm", address, "--yes"])

    assert contents(project) == before


@pytest.mark.parametrize(
    "words",
    [
        ["cp", "*/ribosome:alice/1", "*:carol", "--kind", "picks"],
        ["mv", "*/ribosome:alice/1", "*:carol", "--kind", "picks"],
        ["rm", "TS_1/wbp@10.0", "--kind", "tomogram"],
    ],
)
def test_a_dry_run_prints_what_the_real_run_then_reports_and_changes_nothing(project, capsys, words):
    before = contents(project)
    planned = printed(capsys, *words, "--dry-run")["changes"]

    assert contents(project) == before
    assert planned
    assert printed(capsys, *words, *(["--yes"] if words[0] == "rm" else []))["done"] == planned


def test_ls_lists_picks_by_points_and_segmentations_by_label(project, capsys):
    project.get_run("TS_2").get_picks(user_id="bob")[0].from_numpy([[1, 2, 3], [4, 5, 6]])

    assert [row["address"] for row in printed(capsys, "ls", "--min-points", "2")] == ["TS_2/ribosome:bob/1"]
    assert [row["address"] for row in printed(capsys, "ls", "--label", "1")] == ["TS_1/membrane:alice/1@10.0"]


def test_ls_of_a_run_lists_what_is_in_it(project, capsys):
    found = printed(capsys, "ls", "TS_1/")

    assert {(row["kind"], row["address"]) for row in found} == {
        ("tomogram", "TS_1/wbp@10.0"),
        ("features", "TS_1/wbp@10.0:sobel"),
        ("picks", "TS_1/ribosome:alice/1"),
        ("picks", "TS_1/ribosome:bob/1"),
        ("mesh", "TS_1/membrane:alice/1"),
        ("segmentation", "TS_1/membrane:alice/1@10.0"),
    }


def test_show_prints_levels_chunks_files_and_bytes_of_a_volume(project, capsys):
    facts = printed(capsys, "show", "TS_1/wbp@10.0", "--kind", "tomogram")

    assert facts["levels"][0] == {"name": "0", "shape": [4, 4, 4], "dtype": "float32", "chunks": [4, 4, 4]}
    assert facts["files"] > 3
    assert facts["location"].endswith("wbp.zarr")


@pytest.mark.parametrize(
    "address", ["TS_1/ribosome:alice/1", "TS_1/membrane:alice/1", "TS_1/", "TS_1/@10.0", "TS_1/wbp@10.0:sobel"]
)
def test_show_prints_every_kind(project, capsys, address):
    kind = ["--kind", "mesh"] if "membrane" in address else []

    assert printed(capsys, "show", address, *kind)["address"] == address
    assert main(["show", address, *kind]) == 0
    assert address in capsys.readouterr().out


def test_sync_adds_the_objects_to_the_config_of_the_target(project, tmp_path, capsys):
    target = tmp_path / "target.json"
    target.write_text(json.dumps({"config_type": "filesystem", "overlay_root": "target", "pickable_objects": []}))

    assert main(["sync", str(target)]) == 0

    assert [obj.name for obj in copick_core.open(target).pickable_objects] == ["ribosome", "membrane"]
    stored = {key for key, _ in contents(project) if key.kind is not Kind.OBJECT}
    assert {key for key, _ in contents(copick_core.open(target)) if key.kind is not Kind.OBJECT} == stored


def test_a_config_is_changed_only_to_what_is_valid(project, tmp_path, capsys):
    before = (tmp_path / "config.json").read_text()

    assert main(["config", "set", "user_idd", "bob"]) == 2
    assert "user_id" in capsys.readouterr().err
    assert main(["config", "set", "zarr_format", "7"]) == 1
    assert (tmp_path / "config.json").read_text() == before
    assert main(["config", "set", "user_id", "bob"]) == 0
    assert copick_core.open(tmp_path / "config.json").user_id == "bob"


def test_a_config_is_printed_without_credentials(tmp_path, capsys):
    path = tmp_path / "config.json"
    args = {"key": "me", "secret": "do-not-tell"}
    path.write_text(json.dumps({"config_type": "filesystem", "overlay_root": "s3://lab/p", "overlay_fs_args": args}))

    assert main(["config", "show", "-c", str(path)]) == 0

    assert "do-not-tell" not in capsys.readouterr().out


def test_init_does_not_replace_a_config(tmp_path, capsys):
    assert main(["init", str(tmp_path)]) == 0
    assert main(["init", str(tmp_path), "--object", "ribosome"]) == 1
    assert copick_core.open(tmp_path / "config.json").pickable_objects == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("TS", ["TS_1/", "TS_2/"]), ("TS_1/ribosome:", ["TS_1/ribosome:alice/1", "TS_1/ribosome:bob/1"]), ("TS_9/", [])],
)
def test_addresses_are_completed(project, capsys, monkeypatch, typed, offered):
    monkeypatch.setenv(COMPLETE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"copick-core show {typed}")
    monkeypatch.setenv("COMP_CWORD", "2")

    assert main([]) == 0

    assert [line.partition(",")[2] for line in capsys.readouterr().out.split()] == offered


def test_a_run_is_drawn_with_its_picks_and_all_runs_on_one_page(project, tmp_path, capsys):
    from PIL import Image

    assert main(["render", "--run", "TS_1", "-o", str(tmp_path / "one.png")]) == 0
    assert main(["render", "-o", str(tmp_path / "all.html")]) == 0

    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width > 500
    page = (tmp_path / "all.html").read_text()
    assert page.count("<img") == 1
    assert "TS_2: no tomogram" in page


def test_every_command_of_the_tools_shows_an_example(capsys):
    for words in (
        ["ls"],
        ["cp"],
        ["mv"],
        ["rm"],
        ["sync"],
        ["show"],
        ["stats"],
        ["info"],
        ["init"],
        ["render"],
        ["add", "run"],
    ):
        assert main([*words, "--help"]) == 0
        assert f"copick-core {words[0]}" in capsys.readouterr().out.partition("Example")[2]


def test_a_value_that_looks_like_a_number_is_text_where_text_is_wanted(project, capsys):
    assert main(["config", "set", "session_id", "2"]) == 0
    assert main(["config", "set", "zarr_format", "3"]) == 0

    capsys.readouterr()
    found = json.loads(Path(os.environ["COPICK_CONFIG"]).read_text())
    assert (found["session_id"], found["zarr_format"]) == ("2", 3)


def test_a_value_that_is_not_possible_is_refused_in_one_line(project, capsys):
    assert main(["config", "set", "zarr_format", "4"]) == 1

    error = capsys.readouterr().err
    assert "zarr_format cannot be 4" in error
    assert error.count("\n") == 1


def test_a_tree_and_a_copy_print_json(project, project_config, tmp_path, capsys):
    tree = printed(capsys, "tree")
    (tmp_path / "target.json").write_text(json.dumps(project_config("target")))
    copied = printed(capsys, "copy", str(tmp_path / "config.json"), str(tmp_path / "target.json"), "--verify")

    assert printed(capsys, "ls", "--tree") == tree
    assert [child["text"] for child in tree["children"]] == ["objects", "run TS_1", "run TS_2"]
    assert {"kind": "picks", "address": "TS_1/ribosome:alice/1"} in copied["copied"]
    assert copied["verified"]
    assert copied["skipped"] == []


def test_init_and_config_set_print_json(project, tmp_path, capsys):
    assert printed(capsys, "init", str(tmp_path / "new")) == {"config": str(tmp_path / "new" / "config.json")}
    assert printed(capsys, "config", "set", "session_id", "2") == {"session_id": "2"}


def test_add_and_check_print_json(project, capsys):
    assert printed(capsys, "add", "run", "TS_9") == {"run": "TS_9"}
    added = printed(capsys, "add", "object", "apoferritin", "--label", "9")
    assert added == {"object": "apoferritin", "label": 9, "is_particle": True}
    checked = printed(capsys, "config", "check")
    assert (checked["valid"], [layer["runs"] for layer in checked["layers"]]) == (True, [3])


@pytest.mark.parametrize(
    "arguments",
    [["ls", "TS_9/ribosome"], ["cp", "TS_9/ribosome", "*:carol"], ["mv", "TS_9/ribosome", "*:carol"], ["rm", "TS_9/ribosome"]],
)
def test_an_address_that_matches_nothing_is_named(project, capsys, arguments):
    kind = ["--kind", "picks"]

    assert main([*arguments, *kind]) == 0

    assert "Nothing matches 'TS_9/ribosome'." in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("TS_22/ribosome", " There is no run 'TS_22'. Did you mean 'TS_2'?"),
        ("elsewhere/ribosome", " There is no run 'elsewhere'."),
        ("ribosme:alice", " Did you mean 'ribosome'?"),
        ("TS_1", " Did you mean the run, 'TS_1/'?"),
        ("TS_1/ribosome:zoe", ""),
        ("*/rib*:zoe", ""),
    ],
)
def test_what_may_have_been_meant_is_said(project, capsys, address, hint):
    assert main(["ls", address]) == 0

    assert capsys.readouterr().err == f"Nothing matches '{address}'.{hint}\n"


def test_a_project_without_runs_says_so(tmp_path, capsys):
    assert main(["init", str(tmp_path)]) == 0
    capsys.readouterr()

    assert main(["ls", "-c", str(tmp_path / "config.json")]) == 0

    assert capsys.readouterr() == ("", "The project has no runs.\n")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["show", "nothing"], 1, "error: an entity of address 'nothing' is not in layer 'overlay'. Check its spelling.\n"),
        (
            ["render", "--run", "TS_9", "-o", "none.png"],
            1,
            "error: run 'TS_9' is not in layer 'overlay'. Choose another run.\n",
        ),
        (["add", "run", "TS_1"], 1, "error: run 'TS_1' already exists.\n"),
        (["add", "object", "ribosome"], 1, "error: object 'ribosome' already exists.\n"),
        (
            ["completion"],
            2,
            "error: Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish. Try: copick-core completion --help\n",
        ),
        (
            ["rm", "TS_1/ribosome:alice/1"],
            2,
            "error: Nothing was deleted, because there is no terminal to ask in: pass --yes. Try: copick-core rm --help\n",
        ),
    ],
)
def test_an_error_is_a_sentence_for_those_who_type(project, capsys, arguments, code, text):
    assert main(arguments) == code

    assert capsys.readouterr().err.endswith(text)
