"""Opening and making projects."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from copick._version import __version__
from copick.impl.cryoet_data_portal import CopickConfigCDP, CopickRootCDP
from copick.impl.filesystem import CopickConfigFSSpec, CopickRootFSSpec
from copick.models import CopickRoot, PickableObject
from copick_core.errors import ConfigError

_CROISSANT = (
    "projects of mlcroissant cannot be opened here: open them with the released copick, in an environment of its own, "
    "and copy what you need with its `copick sync`"
)
_TYPES: Mapping[str, tuple[Any, Any]] = {
    "filesystem": (CopickConfigFSSpec, CopickRootFSSpec),
    "cryoet_data_portal": (CopickConfigCDP, CopickRootCDP),
}


def from_file(path: str | os.PathLike[str]) -> CopickRoot:
    """Open a project from a configuration file.

    Relative locations in it start at the working folder, as in copick.

    Args:
        path: The JSON file.

    Raises:
        ValueError: Its ``config_type`` is unknown, or it is not a valid configuration.
    """
    with open(path, encoding="utf-8") as file:
        return from_string(file.read())


def from_string(data: str) -> CopickRoot:
    """Open a project from the text of a configuration.

    Args:
        data: JSON.

    Raises:
        ValueError: Its ``config_type`` is unknown, or it is not a valid configuration.
    """
    content = json.loads(data)
    config_type = content.get("config_type")
    if config_type is None:
        message = "The configuration has no config_type: 'filesystem' is assumed. Add it, it will be required."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        config_type = content["config_type"] = "filesystem"
    if config_type == "mlcroissant":
        raise ConfigError(source="<config>", reason=f"config_type: {_CROISSANT}")
    if config_type not in _TYPES:
        from copick_core.opening import from_string as open_with_core
        from copick_core.plugins import backends

        if config_type in backends.names():
            return open_with_core(json.dumps(content))  # type: ignore[return-value] # a backend that copick does not have
        known = ", ".join([*_TYPES, "mlcroissant"])
        raise ValueError(f"Unknown config_type {config_type!r}; copick has {known}.")
    config_cls, root_cls = _TYPES[config_type]
    return root_cls(config_cls.model_validate(content))  # type: ignore[no-any-return]


def new_config(
    config: str | os.PathLike[str],
    overlay_root: str | os.PathLike[str],
    proj_name: str = "copick project",
    proj_description: str = "",
    pickable_objects: Sequence[PickableObject] | None = None,
) -> CopickRoot:
    """Write the configuration of a new project on a local disk, and open it.

    Args:
        config: File to write; it is replaced.
        overlay_root: Folder of the project's data.
        proj_name: Name of the project.
        proj_description: Description of the project.
        pickable_objects: Its objects.
    """
    content = {
        "config_type": "filesystem",
        "name": proj_name,
        "description": proj_description,
        "version": __version__,
        "pickable_objects": [obj.model_dump(mode="json") for obj in pickable_objects or []],
        "overlay_root": f"local://{os.fspath(overlay_root)}",
        "overlay_fs_args": {"auto_mkdir": True},
    }
    folder = os.path.dirname(os.fspath(config))
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(config, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=4)
    return from_file(config)


def from_czcdp_datasets(
    dataset_ids: Sequence[int],
    overlay_root: str,
    overlay_fs_args: Mapping[str, Any] | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    output_path: str | os.PathLike[str] | None = None,
    **fields: Any,
) -> CopickRootCDP:
    """Make a project on datasets of the CryoET Data Portal, with an object for everything that is annotated in them.

    Args:
        dataset_ids: Ids of the datasets.
        overlay_root: Folder or URL of your annotations; a relative one starts at the working folder, as in copick.
        overlay_fs_args: Arguments of its fsspec filesystem.
        user_id: User of new annotations.
        session_id: Session of that user.
        output_path: File to write the configuration to; it is replaced.
        **fields: Further fields of the configuration, such as ``graphql_url``.

    Raises:
        ConnectionError: The portal cannot be reached.
        TypeError: There is no such field.
        ValueError: A value does not fit its field.
    """
    if unknown := sorted(fields.keys() - CopickConfigCDP.model_fields.keys()):
        raise TypeError(f"from_czcdp_datasets() has no argument {unknown[0]!r}")
    root: CopickRootCDP = CopickRootCDP.from_czcdp_datasets(
        dataset_ids,
        overlay_root,
        overlay_fs_args=overlay_fs_args,
        user_id=user_id,
        session_id=session_id,
        **{"version": __version__, **fields},
    )
    if output_path is not None:
        root.save_config(output_path, overwrite=True)
    return root


def from_croissant(*args: Any, **kwargs: Any) -> NoReturn:
    """Projects of mlcroissant are not part of this distribution.

    Raises:
        NotImplementedError: Always; tells what to do.
    """
    raise NotImplementedError(_CROISSANT)
