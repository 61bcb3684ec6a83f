"""Opening projects: from a config file, a URL, a dict or a JSON string to a root."""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from copick_core.callers import warn_caller
from copick_core.errors import ConfigError, ConfigNotFoundError, ConflictError, UnknownBackendError, closest, redacted

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.schema import CopickConfig

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
    overlay_root: str | os.PathLike[str],
    proj_name: str = "copick project",
    proj_description: str = "",
    pickable_objects: list[Any] | None = None,
) -> CopickRootOverlay:
    """Write the configuration of a new filesystem project, and open it.

    Args:
        config: File to write; folders that are missing are made.
        overlay_root: Folder or URL that the project's data go to; a relative one starts at the folder of ``config``.
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
    location = os.fspath(overlay_root)
    content = {
        "config_type": DEFAULT_CONFIG_TYPE,
        "name": proj_name,
        "description": proj_description,
        "version": __version__,
        "pickable_objects": objects,
        "overlay_root": location if _SCHEME.match(location) else f"local://{location}",
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

    root_cls: Any = plugins.backends.get("cryoet_data_portal").root_cls
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
        ConfigError: A value cannot be written as JSON. Nothing was written.
    """
    name = os.fspath(path)
    place = _place_of(name)
    known = config._file[1] if not overwrite and config._file is not None and config._file[0] == place else None

    def check() -> None:
        try:
            found = _digest(_read(name)) if known else None
        except ConfigNotFoundError:
            return  # of a file that was deleted, nothing is overwritten
        if found != known:
            raise ConflictError(
                key="the configuration",
                layer=redacted(name),
                expected=known,
                found=found,
                way_out="Open it again and make your change there, or pass overwrite=True.",
            )

    try:
        content = config.model_dump(mode="json")
        if config._folder is not None and config._folder == _folder_of(name):
            _restore_relative(content, config._as_written)
        data = json.dumps(content, indent=4, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(source=name, reason=f"it cannot be written as JSON: {error}") from error
    _write(name, data, check)
    config._file = (place, _digest(data))


def _restore_relative(content: dict[str, Any], as_written: Mapping[tuple[str | int, ...], tuple[str, str]]) -> None:
    """Write locations as they were written, where they still are what they were resolved to."""
    for (*above, field), (resolved, written) in as_written.items():
        with contextlib.suppress(LookupError, TypeError):  # of a part that is not there any more
            holder: Any = content
            for part in above:
                holder = holder[part]
            if holder[field] == resolved:
                holder[field] = written


def adopt_locations(config: CopickConfig, where: tuple[str | int, ...], content: dict[str, Any], nested: CopickConfig) -> None:
    """Hold the locations of a nested configuration as resolved: saved in another folder they must mean the same places.

    Args:
        config: The configuration that it is a part of.
        where: Path of the part.
        content: The part as the configuration holds it.
        nested: The configuration that was made of it.
    """
    for (*above, field), texts in nested._as_written.items():
        holder: Any = content
        for part in above:
            holder = holder[part]
        holder[field] = texts[0]
        config._as_written[*where, *above, field] = texts


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

    misspelt = [*_misspelt(config_cls, content, prefix)]
    try:
        config = config_cls.model_validate(content)
    except ValidationError as error:
        complaints = [_complaint(e, prefix) for e in error.errors()]
        raise ConfigError(source=source, reason="; ".join(complaints + misspelt)) from None
    for hint in misspelt:
        warn_caller(f"Configuration {redacted(source)}: {hint}")
    config._folder = folder
    for field in config_cls.location_fields:
        written = getattr(config, field)
        if isinstance(written, str) and written:  # an empty one is none, not the file's folder
            resolved = _resolved(written, folder)
            if resolved != written:
                setattr(config, field, resolved)
                config._as_written[field,] = (resolved, written)
                if before := _only_in_working_folder(written, resolved):
                    path = f"{prefix}.{field}".lstrip(".")
                    warn_caller(
                        f"Configuration {redacted(source)}: {path} is relative to its folder, where there is no "
                        f"{_local_path(resolved)}. There is {before}, which copick 1.x would open from this working folder. "
                        "Write an absolute path if you mean that."
                    )
    return config


def _misspelt(config_cls: type[CopickConfig], content: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Hints at keys that no model knows, where a field that was not given is spelled almost like them."""
    from copick_core.tree.schema import PickableObject

    objects = content.get("pickable_objects")
    parts: list[tuple[str, Any, Any]] = [(prefix, config_cls, content)]
    if isinstance(objects, list):
        parts += [(f"{prefix}.pickable_objects[{i}]", PickableObject, obj) for i, obj in enumerate(objects)]
    for path, model, part in parts:
        if not isinstance(part, Mapping):
            continue
        for name in part.keys() - model.model_fields.keys():
            if hint := closest(str(name), model.model_fields.keys() - part.keys(), cutoff=0.85):
                yield f"{path}.{name}: there is no such field.{hint}".lstrip(".")


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
        hint = f"Configuration {source} has no config_type; {DEFAULT_CONFIG_TYPE!r} is assumed. Add it."
        warn_caller(hint, DeprecationWarning)
        config_type = content["config_type"] = DEFAULT_CONFIG_TYPE
    if not isinstance(config_type, str):
        raise ConfigError(source=source, reason=f"config_type: {config_type!r} is not a string")
    try:
        backend = plugins.backends.get(config_type)
    except UnknownBackendError as error:
        raise UnknownBackendError(
            config_type=config_type, installed=error.installed, install=error.install, source=source
        ) from None
    config = validated(backend.config_cls, content, source, folder)
    try:
        return (config.root_class() or backend.root_cls or CopickRootOverlay)(config, backend.open_layers)
    except ConfigError as error:
        error.place_in(source)  # a nested configuration does not know which file it stands in
        raise


def _resolved(location: str, folder: str | None) -> str:
    """A location as seen from everywhere: relative local paths become absolute, URLs stay as they are."""
    inside, chain, outermost = location.rpartition("::")
    if chain:  # zip://folder::archive.zip
        return f"{inside}::{_resolved(outermost, folder)}"
    match = _SCHEME.match(location)
    if match and match[1] not in _LOCAL_SCHEMES:
        return location
    prefix = location[: match.end()] if match else ""
    path = os.path.expanduser(location[len(prefix) :])
    remote = _SCHEME.match(folder or "")
    if folder is not None and remote:
        # Object stores would take "./data" for another place than "data".
        below = posixpath.normpath(posixpath.join(folder[remote.end() :], path))
        return location if os.path.isabs(path) else folder[: remote.end()] + below
    return prefix + os.path.abspath(os.path.join(folder or os.getcwd(), path))


def _only_in_working_folder(written: str, resolved: str) -> str | None:
    """Where copick 1.x looked for a relative location, if that is there and what we take it for is not."""
    before = _resolved(written, None)
    if before == resolved or _is_remote(before) or _is_remote(resolved):
        return None
    path = _local_path(before)
    return path if os.path.exists(path) and not os.path.exists(_local_path(resolved)) else None


def _is_remote(name: str) -> bool:
    match = _SCHEME.match(name)
    return match is not None and match[1] not in _LOCAL_SCHEMES


def _local_path(name: str) -> str:
    match = _SCHEME.match(name)
    return os.path.abspath(os.path.expanduser(name[match.end() :] if match else name))


def _folder_of(name: str) -> str:
    match = _SCHEME.match(name)
    if match and _is_remote(name):
        return name[: match.end()] + posixpath.dirname(name[match.end() :])
    return os.path.dirname(_local_path(name))


def _remote(name: str) -> tuple[Any, str]:
    """File system of a URL, and the path on it."""
    from copick_core.errors import MissingDependencyError

    feature = f"A config file at {redacted(name)}"
    try:
        import fsspec  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingDependencyError(feature=feature, install='pip install "copick-core[fs]"') from error
    try:
        fs, path = fsspec.core.url_to_fs(name)
    except ImportError as error:
        raise MissingDependencyError(feature=feature, install=f"pip: {error}") from error
    except ValueError as error:  # fsspec does not know the protocol
        raise ConfigError(source=name, reason=f"it cannot be read: {redacted(str(error))}") from error
    return fs, path


@contextlib.contextmanager
def _reaching(name: str) -> Iterator[None]:
    """Raise ConfigError for what is no OSError: the libraries of file systems bring errors of their own, such as botocore."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ConfigError(
            source=name, reason=f"it cannot be reached: {type(error).__name__}: {redacted(str(error))}"
        ) from error


def _place_of(name: str) -> str:
    return name if _is_remote(name) else os.path.realpath(_local_path(name))


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _read(name: str) -> bytes:
    try:
        if _is_remote(name):
            fs, path = _remote(name)
            with _reaching(name):
                data: bytes = fs.cat_file(path)
        else:
            with builtins.open(_local_path(name), "rb") as file:
                data = file.read()
    except FileNotFoundError as error:
        raise ConfigNotFoundError(source=name, location=name if _is_remote(name) else _local_path(name)) from error
    except OSError as error:
        raise ConfigError(source=name, reason=f"it cannot be read: {redacted(error.strerror or str(error))}") from error
    return data


def _parse_json(data: bytes | str, source: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ConfigError(source=source, reason=f"it is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(source=source, reason=f"it is a JSON {type(content).__name__}, not an object")
    return content


def _write(name: str, data: bytes, check: Callable[[], None]) -> None:
    if _is_remote(name):
        check()
        fs, path = _remote(name)
        with _reaching(name):
            fs.pipe_file(path, data)
        return
    from copick_core.layers.atomic import replace_file

    path = os.path.realpath(_local_path(name))  # a link stays one
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace_file(path, data, check)
