"""Errors: one tree, each a built-in too, each survives a trip between processes."""

import pickle
from contextlib import suppress

import pytest

from copick_core import errors
from copick_core.projects.runs import MapReport, RunFailure

BUILT_IN = {
    "NotFoundError": FileNotFoundError,
    "AlreadyExistsError": ValueError,
    "ReadOnlyError": PermissionError,
    "ConflictError": RuntimeError,
    "InvalidNameError": ValueError,
    "AddressError": ValueError,
    "UnknownObjectError": ValueError,
    "InvalidDataError": ValueError,
    "UnknownFormatError": LookupError,
    "BeingReplacedError": RuntimeError,
    "LevelNotFoundError": KeyError,
    "VolumeNotFoundError": FileNotFoundError,
    "FilamentNotFoundError": KeyError,
    "RegionTooLargeError": ValueError,
    "ConfigError": ValueError,
    "ConfigNotFoundError": FileNotFoundError,
    "UnknownBackendError": LookupError,
    "UnknownPluginError": LookupError,
    "PluginError": RuntimeError,
    "BackendError": RuntimeError,
    "UnreachableError": ConnectionError,
    "MissingDependencyError": ImportError,
    "NotPicklableError": TypeError,
    "RunsFailedError": RuntimeError,
    "WorkerLostError": RuntimeError,
}
EXAMPLES = [
    errors.NotFoundError(key="k", layer="l", location="/x"),
    errors.AlreadyExistsError(key="k", layer="l"),
    errors.ReadOnlyError(subject="s", reason="r"),
    errors.ConflictError(key="k", layer="l", expected=1, found=2),
    errors.BeingReplacedError(key="k", layer="l", since=1.0),
    errors.InvalidNameError(what="w", name="n", reason="r"),
    errors.AddressError(address="a:b:c", position=3, reason="r"),
    errors.UnknownObjectError(name="riboosme", known=["ribosome"]),
    errors.InvalidDataError(source="s", reason="r", index=3),
    errors.UnknownFormatError(
        source="s", kind="volume", suffix=".x", candidates=[], installed=["y"], install="pip install z", reason="r"
    ),
    errors.LevelNotFoundError(level="7", levels=["0", "1"]),
    errors.VolumeNotFoundError(key="k", layer="l", level="0"),
    errors.FilamentNotFoundError(key="k", instance_id=3, instance_ids=[1, 2]),
    errors.RegionTooLargeError(requested=10**12, available=10**9),
    errors.ConfigError(source="c", reason="r"),
    errors.ConfigNotFoundError(source="c", location="/x/c"),
    errors.UnknownBackendError(config_type="s3", installed=["memory"], install=None),
    errors.UnknownPluginError(kind="command", name="dmeo", installed=["demo"], install=None),
    errors.PluginError(kind="format", name="x", distributions=["a"], reason="r"),
    errors.BackendError(config_type="x", distributions=["a", "b"], reason="r"),
    errors.UnreachableError(location="s3://bucket", reason="r"),
    errors.MissingDependencyError(feature="f", install="pip install x"),
    errors.NotPicklableError(subject="s", reason="r"),
    errors.RunsFailedError(report=MapReport(errors={"TS_1": RunFailure("TS_1", KeyError("k"), "t")}), runs=2),
    errors.WorkerLostError(run="TS_1", reason="r"),
]


def test_the_tree_is_the_documented_one():
    found = {c.__name__ for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.CopickError)}
    assert found == {*BUILT_IN, "CopickError"}
    assert all(name in errors.__doc__ for name in found)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_every_error_is_a_built_in_one_too(error):
    assert isinstance(error, BUILT_IN[type(error).__name__])


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_every_error_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__


def test_every_error_is_among_the_examples():
    assert {type(e).__name__ for e in EXAMPLES} == set(BUILT_IN)


def test_a_misspelt_name_is_told_the_closest_one():
    assert "Did you mean 'ribosome'?" in str(errors.UnknownObjectError(name="riboosme", known=["ribosome", "membrane"]))


E = errors


def said():
    """Each error, its message, and the fields that it carries; made by the test that looks at it."""
    return [
        (
            E.NotFoundError(key="k", layer="l", location="/x"),
            "k is not in layer 'l' at /x. If it was deleted or renamed by someone else, refresh() its parent.",
            {"key": "k", "layer": "l", "location": "/x"},
        ),
        (
            E.NotFoundError(key="k", layer="l", way_out="Look."),
            "k is not in layer 'l'. Look.",
            {"key": "k", "layer": "l", "location": None},
        ),
        (
            E.AlreadyExistsError(key="k", layer="l"),
            "k already exists in layer 'l'. Pass exist_ok=True to get it.",
            {"key": "k", "layer": "l"},
        ),
        (E.AlreadyExistsError(key="k", way_out="Look."), "k already exists. Look.", {"key": "k", "layer": None}),
        (E.ReadOnlyError(subject="s", reason="r"), "s is read-only: r", {"subject": "s", "reason": "r"}),
        (
            E.ConflictError(key="k", layer="l", expected=1, found=2),
            "k was changed in layer 'l' by someone else since it was read. Nothing was written. Keep your "
            "values, refresh() the "
            "handle, merge, and store again.",
            {"key": "k", "layer": "l", "expected": 1, "found": 2},
        ),
        (
            E.ConflictError(key="k", layer="l", expected=None, found=2),
            "k was created in layer 'l' by someone else since it was read. Nothing was written. Keep your "
            "values, refresh() the "
            "handle, merge, and store again.",
            {"key": "k", "layer": "l", "expected": None, "found": 2},
        ),
        (
            E.ConflictError(key="k", layer="l", expected=1, found=None),
            "k was deleted in layer 'l' by someone else since it was read. Nothing was written. Keep your "
            "values, refresh() the "
            "handle, assign them again, and store: that makes it anew.",
            {"key": "k", "layer": "l", "expected": 1, "found": None},
        ),
        (
            E.ConflictError(key="k", layer="l", expected=1, found=2, way_out="Look."),
            "k was changed in layer 'l' by someone else since it was read. Nothing was written. Look.",
            {"key": "k", "layer": "l", "expected": 1, "found": 2},
        ),
        (
            E.ConflictError(key="k", layer="l", expected=1, found=2, reason="two at work"),
            "two at work. Nothing was written.",
            {"key": "k", "layer": "l", "expected": 1, "found": 2},
        ),
        (
            E.BeingReplacedError(key="k", layer="l"),
            "k is being replaced in layer 'l'. Try again when the other writer has finished.",
            {"key": "k", "layer": "l", "expected": None, "found": None, "since": None},
        ),
        (
            E.BeingReplacedError(key="k", layer="l", since=4e9, way_out="Look."),
            "k is being replaced in layer 'l' (for 0 s now). Look.",
            {"key": "k", "layer": "l", "expected": None, "found": None, "since": 4e9},
        ),
        (
            E.InvalidNameError(what="w", name="n", reason="r"),
            "w 'n' cannot be used: r",
            {"what": "w", "name": "n", "reason": "r"},
        ),
        (
            E.AddressError(address="a:b:c", position=3, reason="r"),
            "'a:b:c' is not an address: r.\n  a:b:c\n     ^",
            {"address": "a:b:c", "position": 3, "reason": "r"},
        ),
        (
            E.AddressError(address="a", position=None, reason="r"),
            "Address 'a' cannot be used: r.",
            {"address": "a", "position": None, "reason": "r"},
        ),
        (
            E.AddressError(address=5, position=0, reason="r"),
            "5 is not an address: r.",
            {"address": 5, "position": 0, "reason": "r"},
        ),
        (
            E.UnknownObjectError(name="riboosme", known=["ribosome", "actin"]),
            "Object 'riboosme' is not among the project's objects (ribosome, actin). Did you mean 'ribosome'? Add it with "
            "root.new_object(...).",
            {"name": "riboosme", "known": ["ribosome", "actin"]},
        ),
        (
            E.UnknownObjectError(name="x", known=[]),
            "Object 'x' is not among the project's objects (none). Add it with root.new_object(...).",
            {"name": "x", "known": []},
        ),
        (E.InvalidDataError(source="s", reason="r"), "s: r", {"source": "s", "reason": "r", "index": None}),
        (E.InvalidDataError(source="s", reason="r", index=3), "s: r", {"source": "s", "reason": "r", "index": 3}),
        (
            E.UnknownFormatError(
                source="s", kind="volume", suffix=".x", candidates=["a"], installed=["y"], install="pip install z", reason="r"
            ),
            "s: r. Install it with: pip install z",
            {
                "source": "s",
                "reason": "r. Install it with: pip install z",
                "index": None,
                "kind": "volume",
                "suffix": ".x",
                "candidates": ["a"],
                "installed": ["y"],
                "install": "pip install z",
            },
        ),
        (
            E.UnknownFormatError(source="s", kind="picks", suffix="", candidates=[], installed=[], install=None, reason="r"),
            "s: r",
            {
                "source": "s",
                "reason": "r",
                "index": None,
                "kind": "picks",
                "suffix": "",
                "candidates": [],
                "installed": [],
                "install": None,
            },
        ),
        (
            E.LevelNotFoundError(level="7", levels=["0", "1"]),
            "Level '7' is not in the volume: it has '0', '1'.",
            {"level": "7", "levels": ["0", "1"], "source": "the volume"},
        ),
        (
            E.LevelNotFoundError(level="7", levels=[], source="s"),
            "Level '7' is not in s: nothing has been written to it yet, or it was deleted.",
            {"level": "7", "levels": [], "source": "s"},
        ),
        (
            E.VolumeNotFoundError(key="k", layer="l", level="0", location="/x"),
            "k is not in layer 'l' at /x: nothing has been written to it yet, or it was deleted.",
            {"key": "k", "layer": "l", "location": "/x", "source": "k", "level": "0", "levels": []},
        ),
        (
            E.VolumeNotFoundError(key="k", layer="l", level="0"),
            "k is not in layer 'l': nothing has been written to it yet, or it was deleted.",
            {"key": "k", "layer": "l", "location": None, "source": "k", "level": "0", "levels": []},
        ),
        (
            E.FilamentNotFoundError(key="k", instance_id=3, instance_ids=[1, 2]),
            "k: no filament has the id 3; their ids are 1, 2.",
            {"key": "k", "instance_id": 3, "instance_ids": [1, 2]},
        ),
        (
            E.FilamentNotFoundError(key="k", instance_id=3, instance_ids=[]),
            "k: no filament has the id 3; there are none.",
            {"key": "k", "instance_id": 3, "instance_ids": []},
        ),
        (
            E.RegionTooLargeError(requested=10**4, available=10**3),
            "The region takes 10,000 bytes, but only 1,000 bytes of memory are free. Read a smaller region (x=, "
            "y=, z= slices), "
            "or a coarser level (zarr_group=).",
            {"requested": 10**4, "available": 10**3},
        ),
        (E.ConfigError(source="c", reason="r"), "Configuration c: r", {"source": "c", "reason": "r"}),
        (
            E.ConfigError(source="s3://me:secret@host/c?token=1", reason="r"),
            "Configuration s3://me:***@host/c?***: r",
            {"source": "s3://me:***@host/c?***", "reason": "r"},
        ),
        (
            E.ConfigNotFoundError(source="c", location="https://me:secret@host/c?token=1"),
            "Configuration c: there is no file https://me:***@host/c?***",
            {
                "source": "c",
                "reason": "there is no file https://me:***@host/c?***",
                "location": "https://me:***@host/c?***",
            },
        ),
        (
            E.UnknownBackendError(config_type="memry", installed=["memory", "fs"], install=None),
            "Configuration <config>: no backend for config_type 'memry' is installed (installed: memory, fs). "
            "Did you mean 'memory'?",
            {
                "source": "<config>",
                "reason": "no backend for config_type 'memry' is installed (installed: memory, fs). Did you mean 'memory'?",
                "config_type": "memry",
                "installed": ["memory", "fs"],
                "install": None,
            },
        ),
        (
            E.UnknownBackendError(config_type="memry", installed=[], install="pip install x", source="c"),
            "Configuration c: no backend for config_type 'memry' is installed (installed: none). Install it "
            "with: pip install x",
            {
                "source": "c",
                "reason": "no backend for config_type 'memry' is installed (installed: none). Install it with: pip install x",
                "config_type": "memry",
                "installed": [],
                "install": "pip install x",
            },
        ),
        (
            E.UnknownPluginError(kind="command", name="dmeo", installed=["demo", "x"], install=None),
            "No command 'dmeo' is installed (installed: demo, x). Did you mean 'demo'?",
            {"kind": "command", "name": "dmeo", "installed": ["demo", "x"], "install": None},
        ),
        (
            E.UnknownPluginError(kind="format", name="x", installed=[], install="pip install x"),
            "No format 'x' is installed (installed: none). Install it with: pip install x",
            {"kind": "format", "name": "x", "installed": [], "install": "pip install x"},
        ),
        (
            E.PluginError(kind="format", name="x", distributions=["a"], reason="r"),
            "Format 'x' (from a) cannot be used: r",
            {"kind": "format", "name": "x", "distributions": ["a"], "reason": "r"},
        ),
        (
            E.BackendError(config_type="x", distributions=["a", "b"], reason="r"),
            "Backend 'x' (from a and b) cannot be used: r",
            {"kind": "backend", "name": "x", "config_type": "x", "distributions": ["a", "b"], "reason": "r"},
        ),
        (
            E.PluginError(kind="wrapper", name="x", distributions=[], reason="r"),
            "Wrapper 'x' (from an unknown distribution) cannot be used: r",
            {"kind": "wrapper", "name": "x", "distributions": [], "reason": "r"},
        ),
        (
            E.MissingDependencyError(feature="F", install="pip install x"),
            "F needs a package that is not installed. Install it with: pip install x",
            {"feature": "F", "install": "pip install x"},
        ),
        (
            E.UnreachableError(location="https://me:secret@host/?q=1", reason="https://a:b@c"),
            "https://me:***@host/?*** cannot be reached: https://a:***@c. Check the location and the arguments "
            "of its file system "
            "in the configuration, and whether the server runs.",
            {"location": "https://me:***@host/?***", "reason": "https://a:***@c", "field": ""},
        ),
        (
            E.UnreachableError(location="s3://b", reason="r", field="overlay_root"),
            "s3://b cannot be reached: r. Check overlay_root and overlay_fs_args in the configuration, and whether the server "
            "runs.",
            {"location": "s3://b", "reason": "r", "field": "overlay_root"},
        ),
        (
            E.UnreachableError(location="s3://b", reason="r", field="graphql_url"),
            "s3://b cannot be reached: r. Check graphql_url and the arguments of its file system in the configuration, and "
            "whether the server runs.",
            {"location": "s3://b", "reason": "r", "field": "graphql_url"},
        ),
        (
            E.UnreachableError(location="s3://b", reason="r", way_out="Look."),
            "s3://b cannot be reached: r. Look.",
            {"location": "s3://b", "reason": "r", "field": ""},
        ),
        (E.NotPicklableError(subject="s", reason="r"), "s cannot be pickled: r", {"subject": "s", "reason": "r"}),
        (
            E.WorkerLostError(run="TS_1", reason="r"),
            "The worker of run 'TS_1' ended before it was done: r It may have run out of memory, been killed, or "
            "crashed outside "
            "of Python.",
            {"run": "TS_1", "reason": "r"},
        ),
        (E.WorkerLostError(run=None, reason="r"), "Workers cannot be used: r", {"run": None, "reason": "r"}),
    ]


@pytest.mark.parametrize("number", range(len(said())))
def test_an_error_says_what_happened_where_and_what_to_do_and_carries_that_in_fields(number):
    error, message, fields = said()[number]

    assert str(error) == message
    assert error.__dict__ == {"message": message, **fields}


def test_everything_that_an_error_may_say_is_proved():
    assert {type(error) for error, _, _ in said()} == {type(error) for error in EXAMPLES} - {errors.RunsFailedError}


@pytest.mark.parametrize(("number", "more"), [(1, ""), (5, ""), (6, "\n  and 1 more"), (8, "\n  and 3 more")])
def test_of_runs_that_failed_five_are_told_and_the_traceback_of_the_first(number, more):
    failures = {f"TS_{n}": RunFailure(f"TS_{n}", KeyError(n), f"traceback {n}") for n in range(number)}

    error = errors.RunsFailedError(report=MapReport(errors=failures), runs=10)

    told = "".join(f"\n  TS_{n}: KeyError: {n}" for n in range(min(number, 5)))
    assert str(error).startswith(f"{number} of 10 runs failed. ")
    assert str(error).endswith(f"try only the others again.{told}{more}\n\nThe first one's traceback:\ntraceback 0")
    assert error.report.errors == failures


def test_a_replacement_is_told_with_the_seconds_since_it_began(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1000.0)

    assert " (for 40 s now). " in str(errors.BeingReplacedError(key="k", layer="l", since=960.0))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://bucket/a", "s3://bucket/a"),
        ("s3://me:secret@host/a", "s3://me:***@host/a"),
        ("https://host/a?token=1", "https://host/a?***"),
        ("zip://x?y=1::https://host/a?token=1 and", "zip://x?***::https://host/a?*** and"),
        ("what? no address", "what? no address"),
    ],
)
def test_a_text_is_shown_without_the_secrets_of_addresses(text, shown):
    assert errors.redacted(text) == shown


def test_the_place_of_an_error_in_a_configuration_is_added_from_the_inside_out():
    error = errors.ConfigError(source="<config>", reason="r")
    error.place_in("inner.json")
    error.place_in("https://me:secret@host/outer.json")

    assert error.source == "https://me:***@host/outer.json, inner.json"
    assert str(error) == f"Configuration {error.source}: r"
    assert error.args == (str(error),)


def test_how_much_a_name_must_be_alike_can_be_told():
    assert errors.closest("ribosme", ["ribosome"]) == " Did you mean 'ribosome'?"
    assert errors.closest("ribosme", ["ribosome"], cutoff=0.99) == ""
    assert errors.closest("x", [], cutoff=0.0) == ""


def test_words_for_the_command_line_are_used_as_long_as_one_runs_and_what_users_wrote_gets_those_of_python():
    with suppress(ZeroDivisionError), errors.at_command_line():
        with errors.at_command_line():
            pass
        assert errors.by_caller("python", "command") == "command"
        with suppress(ZeroDivisionError), errors.in_python():
            with errors.in_python():
                pass
            assert errors.by_caller("python", "command") == "python"
            raise ZeroDivisionError
        assert errors.by_caller("python", "command") == "command"
        raise ZeroDivisionError
    assert errors.by_caller("python", "command") == "python"
