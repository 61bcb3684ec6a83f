"""Every benchmark runs, in small, and counts what it should; docs/performance.md is made of the committed results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import report
import run_all

from support.environments import IndexUnreachableError, reference_python
from support.servers.process import MissingServerError, executable
from support.tracing import can_trace

RESULTS = json.loads(report.RESULTS.read_text())


def test_the_document_is_made_of_the_committed_results() -> None:
    assert report.DOCUMENT.read_text() == report.render(RESULTS), "run `bench/run --report`"


def test_the_committed_results_are_in_order_and_in_full() -> None:
    assert [*RESULTS] == [name for name in run_all.SCRIPTS if name in RESULTS]
    assert {*RESULTS} >= {f"W{number}" for number in range(1, 10)}
    assert not [name for name, result in RESULTS.items() if "--small" in result["command"]]


@pytest.fixture(scope="module")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run the script of a workload in small, and return its JSON."""
    try:
        reference_python()
    except IndexUnreachableError as error:
        pytest.skip(f"the reference library cannot be installed: {error}")

    def run(name: str) -> dict[str, Any]:
        output = tmp_path_factory.mktemp(name) / "results.json"
        command = [sys.executable, str(run_all.SCRIPTS[name]), "--small", "--json", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(output.read_text()))

    return run


def counts(result: dict[str, Any], case: str, system: str) -> dict[str, Any]:
    return dict(result["cases"][case]["systems"][system]["counts"])


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize("name", run_all.SCRIPTS)
def test_a_benchmark_compares_all_systems_in_every_case(measure: Any, name: str) -> None:
    if name == "W15":
        try:
            executable("nginx", package="nginx-light")
        except MissingServerError as error:
            pytest.skip(str(error))
    result = measure(name)

    assert result["workload"] == name
    assert {"cores", "python", "versions"} <= {*result["machine"]}
    targets = [target for target in report.TARGETS if target.workload == name]
    assert {target.case for target in targets} <= {*result["cases"]}
    for case in result["cases"].values():
        assert {"reference", "limit", "ours"} <= {*case["systems"]}
        for summary in case["systems"].values():
            assert len(summary["seconds"]) == result["rounds"] == 1
            assert summary["median"] > 0
            assert name == "W9" or summary["peak_mib"] > 5
    table = report.table(next(iter(result["cases"].values()))["systems"])
    assert table.count("\n") == 2 + len(next(iter(result["cases"].values()))["systems"])
    COUNTS[name](result)


def check_w1(result: dict[str, Any]) -> None:
    opened = "import and open"
    assert counts(result, opened, "ours")["modules"] < 400 < 1000 < counts(result, opened, "reference")["modules"]


def check_w2(result: dict[str, Any]) -> None:
    if can_trace():
        assert counts(result, "enumerate", "ours")["system calls a run"] <= 26


def check_w3(result: dict[str, Any]) -> None:
    runs = result["sizes"]["runs"]
    expected = {
        "enumerate everything": (1 + 5 * runs, 1 + 5 * runs),
        "picks of all runs": (1 + runs, 1 + runs),
        "first region": (2, 4),  # the last one checks that all came from one volume
        "one picks file": (1, 1),
    }
    for case, (limit, ours) in expected.items():
        assert counts(result, case, "limit")["requests"] == limit
        assert counts(result, case, "ours")["requests"] <= ours
        assert counts(result, case, "ours")["over"] == "s3fs"


def check_w5(result: dict[str, Any]) -> None:
    assert counts(result, "tomogram", "limit")["files"] == 3
    # .zarray of three levels, .zgroup, .zattrs, and the markers of run and voxel spacing
    assert counts(result, "tomogram", "ours")["files"] == 3 + 7


def check_w10(result: dict[str, Any]) -> None:
    assert counts(result, "import", "ours")["MiB more"] < counts(result, "import", "limit")["MiB more"] + 16


def check_w18(result: dict[str, Any]) -> None:
    lists_and_deletes = 2  # one LIST and one multi-delete for 1,000 keys
    assert counts(result, "a new volume", "ours")["more than needed"] <= 8
    assert counts(result, "a volume that is there", "ours")["more than needed"] <= 8 + lists_and_deletes


def check_w12(result: dict[str, Any]) -> None:
    assert counts(result, "with an index", "ours")["requests"] <= 5
    assert counts(result, "after 10 runs changed through it", "ours")["requests"] <= 30
    assert counts(result, "listed anew, as after changes by others", "ours")["requests"] == 3  # runs, objects, a page of all
    assert (
        counts(result, "without an index", "ours")["requests"] <= counts(result, "without an index", "reference")["requests"]
    )


def check_w13(result: dict[str, Any]) -> None:
    for case in ("again in this process", "in the next process"):
        assert counts(result, case, "ours")["requests"] == 0
    assert counts(result, "first time", "ours")["requests"] == 6  # of the region 4, of the picks and the mesh one each


def check_w14(result: dict[str, Any]) -> None:
    assert counts(result, "open and read picks", "ours")["requests"] == 1
    assert counts(result, "open and read a region", "ours")["requests"] <= 4
    assert counts(result, "a later region", "ours")["requests"] <= 2  # its chunk, and one check


def check_w19(result: dict[str, Any]) -> None:
    listed = "open and list"
    assert counts(result, listed, "ours")["MB"] <= 3 * counts(result, listed, "limit")["MB"]


def check_w20(result: dict[str, Any]) -> None:
    for workers in ("1 worker", "2 workers"):
        first = f"S3, first epoch, {workers}"
        assert counts(result, first, "ours")["requests"] <= counts(result, first, "limit")["requests"]
        assert counts(result, f"S3, second epoch, {workers}", "ours")["requests"] == 0


def check_w17(result: dict[str, Any]) -> None:
    assert counts(result, "--help", "ours")["modules"] < 200 < 500 < counts(result, "--help", "reference")["modules"]
    assert counts(result, "plugins", "ours")["modules"] < 200 < 500 < counts(result, "plugins", "reference")["modules"]
    assert counts(result, "ls", "ours")["modules"] < 400 < 1000 < counts(result, "ls", "reference")["modules"]


COUNTS = {name: lambda _: None for name in run_all.SCRIPTS} | {
    "W1": check_w1,
    "W2": check_w2,
    "W3": check_w3,
    "W5": check_w5,
    "W10": check_w10,
    "W18": check_w18,
    "W17": check_w17,
    "W12": check_w12,
    "W13": check_w13,
    "W14": check_w14,
    "W19": check_w19,
    "W20": check_w20,
}


def test_sampling_tells_where_time_goes() -> None:
    from sampling import Sampler

    with Sampler() as sampler:
        _spin(200_000)

    assert "test_benchmarks.py:_spin" in sampler.shares()


def test_what_imports_while_it_is_timed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import rounds

    monkeypatch.delitem(sys.modules, "this", raising=False)

    with pytest.raises(SystemExit, match="import of 1 modules: this"):
        rounds.timed(lambda: __import__("this"))


def _spin(times: int) -> None:
    total = 0
    for number in range(times):
        total += number


def test_the_report_tells_floors_and_goals_that_are_not_reached() -> None:
    target = report.Target("W1", "import and open", report.times, "x", 4, 8)
    least = report.Target("W7", "import", report.peak, " MiB", 700, 500, least=True)

    assert [target.reached(value, target.floor) for value in (3.9, 4)] == [False, True]
    assert [least.reached(value, least.goal) for value in (500, 501)] == [True, False]
    assert Path(report.DOCUMENT).read_text().count("**yes**") > 10
