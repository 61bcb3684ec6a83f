"""What of a configuration reaches the two locations of a project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from copick_backend_fs import opening
from copick_backend_fs.config import CopickConfigFSSpec, Limits
from copick_backend_fs.object_store import StoreConnection
from copick_backend_fs.opening import open_layers
from copick_core.errors import ConfigError

SERVER = {"endpoint_url": "http://lab:9000", "key": "me", "secret": "hush"}


def config(**fields: Any) -> CopickConfigFSSpec:
    return CopickConfigFSSpec(pickable_objects=[], **fields)


def test_each_location_has_its_own_arguments_and_the_limits_of_the_project() -> None:
    both = config(
        overlay_root="s3://lab/mine",
        static_root="s3://lab/theirs",
        overlay_fs_args=SERVER,
        static_fs_args={**SERVER, "key": "other"},
        timeout_seconds=3.0,
        offline_seconds=1.0,
    )

    layers = open_layers(both)

    overlay, (static,) = layers.overlay, layers.static
    found = [(one.name, one.read_only, one._connection) for one in (overlay, static)]  # type: ignore[union-attr]
    assert [row[:2] for row in found] == [("overlay", False), ("static", True)]
    assert [row[2]._args["key"] for row in found] == ["me", "other"]
    assert [row[2]._limits for row in found] == [Limits(3.0, 1.0, f"{name}_root") for name in ("overlay", "static")]
    assert all(isinstance(row[2], StoreConnection) for row in found)


@pytest.mark.parametrize("field", ["overlay_root", "static_root"])
def test_a_location_goes_over_fsspec_where_the_project_says_so(field: str) -> None:
    arguments = {field.replace("root", "fs_args"): SERVER}

    (layer,) = open_layers(config(**{field: "s3://lab/mine"}, **arguments, obstore=False)).all

    assert not isinstance(layer._connection, StoreConnection)  # type: ignore[attr-defined]
    assert layer.read_only is (field == "static_root")


@pytest.mark.parametrize(("static", "overlay"), [("a", "a/b"), ("a/b", "a")])
def test_the_location_that_lies_in_the_other_is_named(tmp_path: Path, static: str, overlay: str) -> None:
    roots = {"static_root": str(tmp_path / static), "overlay_root": str(tmp_path / overlay)}

    with pytest.raises(ConfigError) as raised:
        open_layers(config(**roots))

    inner = "static_root" if static == "a/b" else "overlay_root"
    outer = "overlay_root" if static == "a/b" else "static_root"
    assert raised.value.source == roots[inner]
    assert raised.value.reason == f"{inner} lies inside of {roots[outer]}; choose two folders that lie apart"


def test_an_overlay_is_not_written_to_through_links_into_the_reference(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()

    layers = open_layers(config(static_root=str(tmp_path / "theirs"), overlay_root=str(tmp_path / "mine")))

    assert layers.overlay is not None
    assert layers.overlay.protected == [str(tmp_path / "theirs")]  # type: ignore[attr-defined]


def test_a_reference_that_is_missing_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_layers(config(static_root=str(tmp_path / "none"), overlay_root=str(tmp_path / "mine")))

    (record,) = caplog.records
    assert record.name == opening.__name__
    assert record.getMessage() == f"static_root {tmp_path / 'none'} does not exist: nothing will be listed from it"


def test_a_location_that_is_both_is_one_layer_that_is_written_to(tmp_path: Path) -> None:
    layers = open_layers(config(static_root=str(tmp_path / "x" / ".."), overlay_root=str(tmp_path)))

    assert (layers.static, layers.overlay.name, layers.overlay.read_only) == ((), "overlay", False)  # type: ignore[union-attr]


@pytest.mark.parametrize("static", ["s3://lab/theirs", "memory://theirs"])
def test_of_a_folder_and_a_bucket_neither_lies_in_the_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, static: str
) -> None:
    arguments = SERVER if static.startswith("s3") else {}
    both = config(static_root=static, static_fs_args=arguments, overlay_root=str(tmp_path / "mine"))

    layers = open_layers(both)

    assert layers.overlay.protected == ()  # type: ignore[union-attr]
    assert [layer.name for layer in layers.static] == ["static"]
    assert caplog.records == []
