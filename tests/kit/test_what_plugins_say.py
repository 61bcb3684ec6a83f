"""What our backends and commands say of themselves, their options and their settings."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import click
import pytest

from copick_core.plugins import Backend, Command, resolved

BACKENDS = ["fs", "memory", "portal", "volume", "icechunk"]
COMMANDS = ["portal", "volume", "icechunk"]


def backend(name: str) -> Backend:
    found: Backend = importlib.import_module(f"copick_backend_{name}.plugin").copick_backend()
    return found


def commands(name: str) -> list[Command]:
    found = importlib.import_module(f"copick_backend_{name}.commands").copick_command()
    return found if isinstance(found, list) else [found]


def walked(command: click.Command) -> Iterator[click.Command]:
    yield command
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        yield from walked(inner)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_says_what_it_is_and_makes_configurations(name: str) -> None:
    found = backend(name)

    assert found.api_version == Backend.API_VERSION
    assert found.summary
    assert callable(resolved(found.new_config))
    assert callable(found.open_layers)
    assert found.config_cls.model_fields["config_type"].default == found.config_type


@pytest.mark.parametrize("name", ["fs", "portal", "volume", "icechunk"])
def test_a_backend_has_a_hierarchy_of_its_own(name: str) -> None:
    assert backend(name).root_cls.__module__.startswith(f"copick_backend_{name}.")


@pytest.mark.parametrize("name", ["fs", "volume", "icechunk"])
def test_a_backend_of_folders_guesses_what_a_folder_holds(name: str) -> None:
    assert callable(resolved(backend(name).guess))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does(name: str) -> None:
    for command in commands(name):
        assert command.api_version == Command.API_VERSION
        assert command.summary
        assert isinstance(resolved(command.command), click.Command)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_is_explained_and_shows_what_it_takes(name: str) -> None:
    for command in commands(name):
        for each in walked(resolved(command.command)):
            assert each.help, each.name
            for option in (param for param in each.params if isinstance(param, click.Option)):
                assert option.help, f"{each.name} {option.opts}"
                named = option.is_flag or isinstance(option.type, click.Choice | click.IntRange)
                assert named or option.metavar, f"{each.name} {option.opts}"


@pytest.mark.parametrize("name", BACKENDS)
def test_each_option_of_a_new_configuration_is_explained(name: str) -> None:
    for option in resolved(backend(name).new_config).__click_params__:
        assert option.help, option.opts


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("fs", {"overlay_root": "o", "overlay_fs_args": {"secret": "hush"}, "static_fs_args": {"secret": "hush"}}),
        ("portal", {"dataset_ids": [1], "overlay_fs_args": {"secret": "hush"}, "static_fs_args": {"secret": "hush"}}),
        ("volume", {"volume_root": "v", "overlay_fs_args": {"secret": "hush"}}),
        ("volume", {"volume_root": "v", "overlay": {"config_type": "memory", "secret": "hush"}}),
        ("icechunk", {"overlay_root": "o", "storage_args": {"secret_access_key": "hush"}}),
    ],
)
def test_secrets_of_a_configuration_are_not_shown_and_no_two_share_their_arguments(
    name: str, fields: dict[str, object]
) -> None:
    cls = backend(name).config_cls
    shown = cls(**fields, pickable_objects=[])  # type: ignore[arg-type]
    arguments = [field for field in cls.model_fields if field.endswith("_args")]
    plain = {field: value for field, value in fields.items() if field not in (*arguments, "overlay")}

    assert "hush" not in repr(shown)
    for field in arguments:
        one, other = (getattr(cls(**plain, pickable_objects=[]), field) for _ in range(2))  # type: ignore[arg-type]
        assert one == other == {}
        assert one is not other


@pytest.mark.parametrize(
    ("field", "least", "below"),
    [
        ("portal_timeout_seconds", 0.001, 0),
        ("portal_offline_seconds", 0, -0.001),
        ("portal_batch_runs", 1, 0),
        ("portal_connections", 1, 0),
    ],
)
def test_settings_of_the_portal_have_least_values(field: str, least: float, below: float) -> None:
    cls = backend("portal").config_cls

    assert getattr(cls(dataset_ids=[1], pickable_objects=[], **{field: least}), field) == least  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=field):
        cls(dataset_ids=[1], pickable_objects=[], **{field: below})  # type: ignore[call-arg]


def test_the_portal_is_asked_over_32_connections_at_most_and_for_some_dataset() -> None:
    cls = backend("portal").config_cls

    assert cls(dataset_ids=[1], pickable_objects=[], portal_connections=32).portal_connections == 32  # type: ignore[call-arg, attr-defined]
    for fields in ({"dataset_ids": []}, {"dataset_ids": [1], "portal_connections": 33}):
        with pytest.raises(ValueError, match=next(iter(fields)) if len(fields) == 1 else "portal_connections"):
            cls(pickable_objects=[], **fields)  # type: ignore[arg-type]


def test_the_portal_is_waited_for_and_kept_as_the_documents_say() -> None:
    found = backend("portal").config_cls(dataset_ids=[1], pickable_objects=[])  # type: ignore[call-arg]

    assert found.cache_settings() == (True, 24 * 3600, None, 60.0)  # type: ignore[attr-defined]
    waits = (found.portal_timeout_seconds, found.portal_offline_seconds, found.portal_batch_runs, found.portal_connections)  # type: ignore[attr-defined]
    assert waits == (10.0, 30.0, 200, 4)


@pytest.mark.parametrize(
    ("field", "bad"), [("timeout_seconds", 0), ("timeout_seconds", float("inf")), ("offline_seconds", -1)]
)
def test_waits_for_a_file_system_are_positive_and_finite(field: str, bad: float) -> None:
    cls = backend("fs").config_cls

    with pytest.raises(ValueError, match=field):
        cls(overlay_root="o", pickable_objects=[], **{field: bad})  # type: ignore[call-arg]
    found = cls(overlay_root="o", pickable_objects=[], offline_seconds=0)  # type: ignore[call-arg]
    assert (found.timeout_seconds, found.offline_seconds, found.obstore) == (15.0, 0.0, True)  # type: ignore[attr-defined]
    assert cls(overlay_root="o", pickable_objects=[]).offline_seconds == 5.0  # type: ignore[call-arg, attr-defined]
