"""Mutations of the product are small, repeatable, and tried in a copy."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from support.mutation.__main__ import main
from support.mutation.operators import OPERATORS, PICKED, draw, mutations_of, picked

CASES = {
    "flipped comparison": ("if a == b:\n    pass\n", ["if a != b:\n    pass\n"]),
    "negated condition": ("x = 1 if a else 2\n", ["x = 1 if (not (a)) else 2\n"]),
    "removed statement": ("f(1)\nx = g()\n", ["pass\nx = g()\n"]),
    "constant off by one": ("x = 1\ny = True\n", ["x = 2\ny = True\n", "x = 1\ny = False\n"]),
    "removed with": ("with lock:\n    pass\nwith f() as g:\n    pass\n", ["if True:\n    pass\nwith f() as g:\n    pass\n"]),
    "dropped keyword": ("f(a, b=1, c=2)\n", ["f(a,  c=2)\n", "f(a, b=1)\n"]),
    "returned None": ("def f():\n    return 'ü', g()\n", ["def f():\n    return None\n"]),
    "swapped and, or": ("x = a and b\n", ["x = a or b\n"]),
    "raised again": ("try:\n    f()\nexcept E:\n    g()\n    h()\n", ["try:\n    f()\nexcept E:\n    raise\n"]),
}
SOURCES = {"a.py": "".join(source for source, _ in CASES.values()), "b.py": "def f(a, b):\n    return a < b\n"}


@pytest.mark.parametrize("kind", OPERATORS)
def test_an_operator_changes_one_place(kind: str) -> None:
    source, expected = CASES[kind]

    assert [m.applied(source) for m in mutations_of("a.py", source) if m.kind == kind] == expected


def test_what_never_runs_is_not_changed() -> None:
    source = "from __future__ import annotations\nif TYPE_CHECKING:\n    x = 1\ndef f(a: Literal[1]) -> Literal[2]:\n    ...\n"

    assert mutations_of("a.py", source) == []


def test_a_seed_draws_the_same_mutations_again_and_another_one_others() -> None:
    drawn = [draw(SOURCES, 10, seed) for seed in (1, 1, 2)]

    assert drawn[0] == drawn[1] != drawn[2]
    assert {mutation.kind for mutation in drawn[0]} == {*OPERATORS}


def test_a_mutation_tells_its_change_and_the_lines_of_its_statement() -> None:
    source = "x = 1\ny = f(\n    a,\n    2,\n)\n"
    mutation = mutations_of("a.py", source)[-1]

    assert mutation.diff(source) == "@@ -4 +4 @@\n-    2,\n+    3,"
    assert [*mutation.lines(source)] == [2, 3, 4, 5]


def test_defaults_and_class_bodies_run_at_import() -> None:
    source = "class A:\n    b = 1\n\n    def c(self, d=2):\n        return d + 3\n"
    found = {m.old: m.runs_at_import(source) for m in mutations_of("a.py", source) if m.old in "123"}

    assert found == {"1": True, "2": True, "3": False}


def test_a_picked_mutation_that_fits_no_more_is_named() -> None:
    text = '[[mutation]]\npath = "a.py"\nold = "x"\nnew = "y"\nwhy = "lock"\n'

    assert picked(text, lambda path: "x = 1\n")[0][0].applied("x = 1\n") == "y = 1\n"
    assert picked(text, lambda path: "x = x\n") == ([], ["a.py has 'x' 2 times, not once (lock)"])


def test_what_was_picked_says_why() -> None:
    entries = tomllib.loads(PICKED.read_text())["mutation"]
    topics = {entry["why"].partition(":")[0] for entry in entries}

    assert topics == {"check", "fields", "forget", "lock", "retry", "sweep", "sync"}
    assert [entry for entry in entries if entry.keys() != {"path", "old", "new", "why"}] == []


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository with a function that is tested, one that only runs, and one that is tested by a slow file."""
    package = tmp_path / "copick_core/src/copick_core"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "sums.py").write_text(
        "def known(a):\n    return a + 1\n\n\ndef run(a):\n    return a + 7\n\n\ndef slow(a):\n    return a + 9\n"
    )
    (tmp_path / "tests/core").mkdir(parents=True)
    test = "from copick_core.sums import known, run\n\n\ndef test_it():\n    run(1)\n    assert known(1) == 2\n"
    (tmp_path / "tests/core/test_sums.py").write_text(test)
    slow = "import pytest\nfrom copick_core.sums import slow\n\npytestmark = pytest.mark.slow\n\n\n"
    slow += "def test_it():\n    assert slow(1) == 10\n"
    (tmp_path / "tests/core/test_slow_sums.py").write_text(slow)
    settings = 'timeout = 60\naddopts = "-m \'not slow\'"\nmarkers = ["slow", "exhaustive", "full"]\n'
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{settings}")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Add sums"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return tmp_path


@pytest.mark.slow
def test_what_no_test_notices_survives_and_the_checkout_stays_as_it_is(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("coverage", reason="the extra dev is not installed")
    results = repository / "results.json"

    assert main(["--random", "9", "--seed", "1", "--without-picked", "--json", str(results)], repository) == 1

    found = {(r["line"], r["mutation"]["kind"]): r["killed_by"] for r in json.loads(results.read_text())["results"]}
    of_test = "tests/core/test_sums.py::test_it"
    assert found == {
        (2, "constant off by one"): of_test,
        (2, "returned None"): of_test,
        (6, "constant off by one"): "",
        (6, "returned None"): "",
        (10, "constant off by one"): of_test.replace("test_sums", "test_slow_sums"),
        (10, "returned None"): of_test.replace("test_sums", "test_slow_sums"),
    }
    assert "4 of 6 mutations are killed" in capsys.readouterr().out
    assert subprocess.run(["git", "-C", str(repository), "diff", "--quiet"], check=False).returncode == 0
