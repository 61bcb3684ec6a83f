"""Roots of several backends as one: a stack offers what each of them does."""

import pickle

import pytest

import copick_core
from copick_core.overlay import CopickRootOverlay
from copick_core.overlay.combining import combined
from copick_core.overlay.containers import CopickRunOverlay


class CountingRun(CopickRunOverlay):
    __slots__ = ()

    def count(self):
        return len(self.picks)


class NamingRun(CopickRunOverlay):
    __slots__ = ()

    def shout(self):
        return self.name.upper()


class Counting(CopickRootOverlay):
    def who(self):
        return "counting"

    def _run_factory(self):
        return CountingRun, super()._run_factory()[1]


class Naming(CopickRootOverlay):
    def who(self):
        return "naming"

    def only_naming(self):
        return True

    def _run_factory(self):
        return NamingRun, super()._run_factory()[1]


@pytest.fixture
def root():
    plain = copick_core.open({"config_type": "memory", "pickable_objects": []})
    return combined([Counting, Naming])(plain.config, plain._open_layers)


def test_a_combined_root_has_the_methods_of_all_and_the_first_decides(root):
    assert root.who() == "counting"
    assert root.only_naming()


def test_runs_of_a_combined_root_have_the_methods_of_all(root):
    run = root.new_run("ts")

    assert (run.count(), run.shout()) == (0, "TS")


def test_a_base_of_another_class_adds_nothing():
    assert combined([CopickRootOverlay, Naming, Naming]) is Naming


def test_a_combined_root_pickles(tmp_path):
    plain = copick_core.new_config(tmp_path / "config.json", str(tmp_path / "project"))
    root = combined([Counting, Naming])(plain.config, plain._open_layers)

    again = pickle.loads(pickle.dumps(root))

    assert type(again) is type(root)
