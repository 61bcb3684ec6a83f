"""Opening projects: from a config file, a URL, a dict or a JSON string to a root."""

from __future__ import annotations

import builtins
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from copick_core.errors import ConfigError, ConflictError, UnknownBackendError

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay
    from copick_core.schema import CopickConfig

    C = TypeVar("C", bound=CopickConfig)

#: ``scheme://`` of a URL.
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*)(?:://|::)")
_LOCAL_SCHEMES = ("local", "file")
DEFAULT_CONFIG_TYPE = "filesystem"


def open(source: str | os.PathLike[str] | Mapping[str, Any]) -> CopickRootOverlay:
    """Open a project.

    Nothing is read but the configuration: entities are listed when they are asked for.

    Args:
        source: Path or URL of a config file, a JSON string, or the configuration as a dict.

    Returns:
        The project.

    Raises:
        ConfigError: The configuration cannot be read or is not valid; says where.
        UnknownBackendError: No backend is installed for its ``config_type``.

    Example:
        >>> root = open({"config_type": "memory", "pickable_objects": []})
        >>> root.runs
        []
    """
    if isinstance(source, Mapping):
        return _open(dict(source), "<dict>", None)
    text = os.fspath(source)
    if text.lstrip().startswith("{"):
        return from_string(text)
    return from_file(source)


def from_file(path: str | os.PathLike[str]) -> CopickRootOverlay:
    """Open a project from a config file.

    Relative locations in it are resolved against the file's folder.

    Args:
        path: Path or URL of the JSON file; ``~`` is your home folder.

    Raises:
        ConfigError: The file cannot be read, or is not a valid configuration.
        UnknownBackendError: No backend is installed for its ``config_type``.
    """
    name = os.fspath(path)
    data = _read(name)
    root = _open(_parse_json(data, name), name, _folder_of(name))
    root.config._file = (_place_of(name), _digest(data))
    return root


def from_string(config: str) -> CopickRootOverlay:
    """Open a project from a JSON string.

    Raises:
        ConfigError: The string is not a valid configuration.
        UnknownBackendError: No backend is installed for its ``config_type``.
    """
    return _open(_parse_json(config, "<string>"), "<string>", None)


def new_config(
    config: str | os.PathLike[str],
    overlay_root: str,
    proj_name: str = "copick project",
    proj_description: str = "",
    pickable_objects: list[Any] | None = None,
) -> CopickRootOverlay:
    """Write the configuration of a new filesystem project, and open it.

    Args:
        config: File to write; folders that are missing are made.
        overlay_root: Folder or URL that the project's data go to.
        proj_name: Name of the project.
        proj_description: Description of the project.
        pickable_objects: Objects, as :class:`~copick_core.models.PickableObject` or dicts; those without a label get one.

    Raises:
        ConfigError: A value is not possible.
    """
    from copick_core import __version__

    objects = [
        dict(o) if isinstance(o, Mapping) else o.model_dump(mode="json", exclude_unset=True) for o in pickable_objects or []
    ]
    label = max((o.get("label") or 0 for o in objects), default=0)
    for obj in objects:
        if "label" not in obj:
            obj["label"] = label = label + 1
    content = {
        "config_type": DEFAULT_CONFIG_TYPE,
        "name": proj_name,
        "description": proj_description,
        "version": __version__,
        "pickable_objects": objects,
        "overlay_root": overlay_root if _SCHEME.match(overlay_root) else f"local://{overlay_root}",
        "overlay_fs_args": {"auto_mkdir": True},
    }
    name = os.fspath(config)
    root = _open(content, name, _folder_of(name))
    save_config(root.config, name)
    return root


def from_czcdp_datasets(
    dataset_ids: Sequence[int],
    overlay_root: str | None,
    overlay_fs_args: Mapping[str, Any] | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    output_path: str | os.PathLike[str] | None = None,
    **options: Any,
) -> CopickRootOverlay:
    """Make a project on datasets of the CryoET Data Portal, with an object for everything that is annotated in them.

    The same datasets give the same objects, labels and colours every time.

    Args:
        dataset_ids: Ids of the datasets.
        overlay_root: Folder or URL that your annotations go to; None for a project that is only read.
        overlay_fs_args: Arguments of the overlay's fsspec filesystem.
        user_id: User whose annotations are made by default.
        session_id: Session of that user.
        output_path: File to write the configuration to.
        **options: Further fields of the configuration, such as ``graphql_url``.

    Raises:
        UnknownBackendError: The portal's backend is not installed; tells how to get it.
        ConnectionError: The portal cannot be reached.
    """
    from copick_core import plugins

    root_cls: Any = plugins.get("cryoet_data_portal").root_cls
    root: CopickRootOverlay = root_cls.from_czcdp_datasets(
        dataset_ids,
        overlay_root,
        overlay_fs_args=overlay_fs_args,
        user_id=user_id,
        session_id=session_id,
        output_path=output_path,
        **options,
    )
    return root


def load_config(path: str | os.PathLike[str], config_cls: type[C]) -> C:
    """Load a configuration of a known type from a file.

    Raises:
        ConfigError: The file cannot be read, or is not such a configuration.
    """
    name = os.fspath(path)
    data = _read(name)
    config = validated(config_cls, _parse_json(data, name), name, _folder_of(name))
    config._file = (_place_of(name), _digest(data))
    return config


def save_config(config: CopickConfig, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a configuration as JSON, all or nothing.

    A file that somebody else has changed since this configuration was loaded from it, or saved to it, is not overwritten.

    Every field is written, also keys that no model knows. Locations that were relative when it was loaded are relative
    again if it is saved in the same folder, and absolute elsewhere.

    Args:
        config: The configuration.
        path: File or URL to write; local folders that are missing are made.
        overwrite: Write whatever the file holds now.

    Raises:
        ConflictError: Somebody else has changed the file in the meantime. Nothing was written.
    """
    name = os.fspath(path)
    place = _place_of(name)
    if not overwrite and config._file is not None and config._file[0] == place:
        found = _digest(_read(name)) if _exists(name) else None
        if found is not None and found != config._file[1]:
            raise ConflictError(key="the configuration", layer=name, expected=config._file[1], found=found)
    content = config.model_dump(mode="json")
    if config._folder is not None and config._folder == _folder_of(name):
        for field, (resolved, written) in config._as_written.items():
            if content.get(field) == resolved:
                content[field] = written
    data = json.dumps(content, indent=4, ensure_ascii=False, allow_nan=False).encode()
    _write(name, data)
    config._file = (place, _digest(data))


def validated(config_cls: type[C], content: Mapping[str, Any], source: str, folder: str | None, *, prefix: str = "") -> C:
    """Build a configuration from its content.

    Args:
        config_cls: Its model.
        content: The content.
        source: What it was read from, for messages.
        folder: Folder that relative locations are resolved against; the working folder if None.
        prefix: Path of the content inside a larger configuration, for messages.

    Raises:
        ConfigError: It is not valid; tells each field that is wrong, and never its value, which may be a secret.
    """
    from pydantic import ValidationError

    try:
        config = config_cls.model_validate(content)
    except ValidationError as error:
        raise ConfigError(source=source, reason="; ".join(_complaint(e, prefix) for e in error.errors())) from None
    config._folder = folder
    for field in config_cls.location_fields:
        written = getattr(config, field)
        if isinstance(written, str):
            resolved = _resolved(written, folder)
            if resolved != written:
                setattr(config, field, resolved)
                config._as_written[field] = (resolved, written)
    return config


def _complaint(error: Any, prefix: str) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    path = "".join([prefix, *parts]).lstrip(".")
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{path}: {message}" if path else message


def _open(content: dict[str, Any], source: str, folder: str | None) -> CopickRootOverlay:
    from copick_core import plugins
    from copick_core.overlay import CopickRootOverlay

    config_type = content.get("config_type")
    if config_type is None:
        warnings.warn(
            f"Configuration {source} has no config_type; {DEFAULT_CONFIG_TYPE!r} is assumed. Add it.",
            DeprecationWarning,
            stacklevel=3,
        )
        config_type = content["config_type"] = DEFAULT_CONFIG_TYPE
    if not isinstance(config_type, str):
        raise ConfigError(source=source, reason=f"config_type: {config_type!r} is not a string")
    try:
        backend = plugins.get(config_type)
    except UnknownBackendError as error:
        raise UnknownBackendError(
            config_type=config_type, installed=error.installed, install=error.install, source=source
        ) from None
    config = validated(backend.config_cls, content, source, folder)
    return (config.root_class() or backend.root_cls or CopickRootOverlay)(config, backend.open_layers)


def _resolved(location: str, folder: str | None) -> str:
    """A location as seen from everywhere: relative local paths become absolute, URLs stay as they are."""
    match = _SCHEME.match(location)
    if match and match[1] not in _LOCAL_SCHEMES:
        return location
    prefix = location[: match.end()] if match else ""
    path = os.path.expanduser(location[len(prefix) :])
    if folder is not None and _SCHEME.match(folder):
        return location if os.path.isabs(path) else f"{folder}/{path}"
    return prefix + os.path.abspath(os.path.join(folder or os.getcwd(), path))


def _is_remote(name: str) -> bool:
    match = _SCHEME.match(name)
    return match is not None and match[1] not in _LOCAL_SCHEMES


def _local_path(name: str) -> str:
    match = _SCHEME.match(name)
    return os.path.abspath(os.path.expanduser(name[match.end() :] if match else name))


def _folder_of(name: str) -> str:
    return name.rpartition("/")[0] if _is_remote(name) else os.path.dirname(_local_path(name))


def _fsspec(name: str) -> Any:
    try:
        import fsspec  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        from copick_core.errors import MissingDependencyError

        raise MissingDependencyError(feature=f"A config file at {name}", install='pip install "copick-core[fs]"') from error
    return fsspec


def _place_of(name: str) -> str:
    return name if _is_remote(name) else os.path.realpath(_local_path(name))


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _exists(name: str) -> bool:
    if _is_remote(name):
        fs, path = _fsspec(name).core.url_to_fs(name)
        return bool(fs.exists(path))
    return os.path.exists(_local_path(name))


def _read(name: str) -> bytes:
    try:
        if _is_remote(name):
            fs, path = _fsspec(name).core.url_to_fs(name)
            data: bytes = fs.cat_file(path)
        else:
            with builtins.open(_local_path(name), "rb") as file:
                data = file.read()
    except OSError as error:
        raise ConfigError(source=name, reason=f"it cannot be read: {error.strerror or error}") from error
    return data


def _parse_json(data: bytes | str, source: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ConfigError(source=source, reason=f"it is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(source=source, reason=f"it is a JSON {type(content).__name__}, not an object")
    return content


def _write(name: str, data: bytes) -> None:
    if _is_remote(name):
        fs, path = _fsspec(name).core.url_to_fs(name)
        fs.pipe_file(path, data)
        return
    from copick_core.atomic import replace_file

    path = _local_path(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace_file(path, data)
