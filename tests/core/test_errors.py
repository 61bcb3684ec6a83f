"""Errors: one tree, each a built-in too, each survives a trip between processes."""

import pickle

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
