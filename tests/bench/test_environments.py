"""Environments of other software are made once, and only an unreachable index excuses their absence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.environments import IndexUnreachableError, UnusableEnvironmentError, reference_python


def test_an_interpreter_without_the_reference_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPICK_REFERENCE_PYTHON", sys.executable)

    with pytest.raises(UnusableEnvironmentError, match=r"has copick .*, not 1\.31\.0"):
        reference_python()


def test_a_missing_interpreter_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COPICK_REFERENCE_PYTHON", str(tmp_path / "python"))

    with pytest.raises(UnusableEnvironmentError, match="No such file"):
        reference_python()


@pytest.mark.slow
def test_an_unreachable_index_is_told_from_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COPICK_REFERENCE_PYTHON", raising=False)
    monkeypatch.setenv("COPICK_REFERENCE_ENV", str(tmp_path / "environment"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nobody listens

    with pytest.raises(IndexUnreachableError):
        reference_python()


@pytest.mark.slow
def test_an_index_without_the_reference_library_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "index" / "copick").mkdir(parents=True)
    (tmp_path / "index" / "copick" / "index.html").write_text("<!DOCTYPE html><html><body></body></html>")
    monkeypatch.delenv("COPICK_REFERENCE_PYTHON", raising=False)
    monkeypatch.setenv("COPICK_REFERENCE_ENV", str(tmp_path / "environment"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())

    with pytest.raises(UnusableEnvironmentError, match="No matching distribution"):
        reference_python()


def test_a_complete_environment_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "environment"
    folder.mkdir()
    (folder / ".complete").touch()
    monkeypatch.delenv("COPICK_REFERENCE_PYTHON", raising=False)
    monkeypatch.setenv("COPICK_REFERENCE_ENV", str(folder))

    assert reference_python() == folder / "bin" / "python"
    assert [path.name for path in folder.iterdir()] == [".complete"]
