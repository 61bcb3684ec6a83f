"""Opening projects: from a config file, a URL, a dict or a JSON string to a root."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from copick_core import plugins
from copick_core.errors import ConfigError, ConfigNotFoundError, by_caller, redacted
from copick_core.opening.config_types import backend_for, config_type_of
from copick_core.opening.files import parse_json, read
from copick_core.opening.locations import folder_of, place_of
from copick_core.opening.validation import validated

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay


def open(source: str | os.PathLike[str] | Mapping[str, Any]) -> CopickRootOverlay:
    """Open a project.

    Nothing is read but the configuration: entities are listed when they are asked for.

    A folder that has exactly one config file is opened with it. A folder, an archive or any other file or URL without a
    configuration is opened if exactly one installed backend can; objects are then taken from what lies there, with a warning.

    Args:
        source: Path or URL of a config file, a folder or an archive; a JSON string; or the configuration as a dict.

    Returns:
        The project.

    Raises:
        ConfigError: The configuration cannot be read or is not valid; says where.
        UnknownBackendError: No backend is installed for its ``config_type``.
        ConfigNotFoundError: Nothing is there.

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
    from copick_core.opening.guessing import config_file_at, guessed, warn_of_guess

    file = config_file_at(text)
    if file is not None:
        return from_file(file)
    content = guessed(text)
    root = _open(content, text, None)
    warn_of_guess(text, content["config_type"], [obj.name for obj in root.config.pickable_objects])
    return root


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
    data = read(name)
    root = _open(parse_json(data, name), name, folder_of(name), (place_of(name),))
    root.config._file = (place_of(name), data)
    return root


def from_string(config: str) -> CopickRootOverlay:
    """Open a project from a JSON string.

    Raises:
        ConfigError: The string is not a valid configuration.
        UnknownBackendError: No backend is installed for its ``config_type``.
    """
    return _open(parse_json(config, "<string>"), "<string>", None)


def new_config(
    config: str | os.PathLike[str],
    overlay_root: str | os.PathLike[str],
    proj_name: str = "copick project",
    proj_description: str = "",
    pickable_objects: list[Any] | None = None,
    *,
    user_id: str | None = None,
    session_id: str | None = None,
    overwrite: bool = False,
) -> CopickRootOverlay:
    """Write the configuration of a new filesystem project, and open it.

    Args:
        config: File to write; folders that are missing are made.
        overlay_root: Folder or URL that the project's data go to; a relative one starts at the folder of ``config``.
        proj_name: Name of the project.
        proj_description: Description of the project.
        pickable_objects: Objects, as :class:`~copick_core.models.PickableObject` or dicts; those without a label get one.
        user_id: User whose annotations are made by default.
        session_id: Session of that user.
        overwrite: Replace a file that exists. Data stay; objects that were added to the old file are lost.

    Raises:
        FileExistsError: The file exists, and not ``overwrite``. Nothing was written.
        ConfigError: A value is not possible.
    """
    config_type = plugins.known()["default_config_type"]
    make = plugins.backends.resolve(config_type, plugins.backends.get(config_type).new_config)
    objects = [o if isinstance(o, Mapping) else o.model_dump(mode="json", exclude_unset=True) for o in pickable_objects or []]

    def content() -> dict[str, Any]:
        fields = {"name": proj_name, "description": proj_description, "pickable_objects": objects}
        names = {"user_id": user_id, "session_id": session_id}
        fields.update({field: name for field, name in names.items() if name is not None})
        return {"config_type": config_type, **make(overlay_root=os.fspath(overlay_root)), **fields}

    return write_new(content, config, overwrite=overwrite)


def write_new(
    make: Callable[[], Mapping[str, Any]], path: str | os.PathLike[str], *, overwrite: bool = False
) -> CopickRootOverlay:
    """Write the configuration of a new project, and open it.

    Args:
        make: Gives the content of the configuration. It is called after the file was looked for, since it may take long.
            Objects without a label get one.
        path: File or URL to write; local folders that are missing are made.
        overwrite: Replace a file that exists.

    Raises:
        FileExistsError: The file exists. Nothing was written.
        ConfigError: The content is not a valid configuration. Nothing was written.
    """
    from copick_core import __version__
    from copick_core.opening.configs import save_config

    name = os.fspath(path)
    if not overwrite and _exists(name):
        way_out = by_caller(
            "Open it with copick_core.open, name another file, or replace it (overwrite=True).",
            "Name another file, or replace it with --force.",
        )
        raise FileExistsError(f"{redacted(name)} exists. {way_out}")
    content = {"name": "copick project", "description": "", "version": __version__, "pickable_objects": [], **make()}
    objects = content["pickable_objects"] = [dict(obj) for obj in content["pickable_objects"]]
    label = max((obj.get("label") or 0 for obj in objects), default=0)
    for obj in objects:
        if "label" not in obj:
            obj["label"] = label = label + 1
    root = _open(content, name, folder_of(name))
    save_config(root.config, name)
    return root


def _exists(name: str) -> bool:
    try:
        read(name)
    except ConfigNotFoundError:
        return False
    return True


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
    root_cls: Any = plugins.backends.get(plugins.known()["from_czcdp_datasets"]).root_cls
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


def from_czcdp_depositions(deposition_ids: Sequence[int], overlay_root: str | None, **options: Any) -> CopickRootOverlay:
    """Make a project on the datasets of the CryoET Data Portal that have something of some depositions.

    These are the depositions' own datasets, and those in whose runs they have annotations or tomograms. The configuration
    names the datasets; ``get_picks(portal_meta_query={"deposition_id": …})`` tells what in them is of one deposition.

    Args:
        deposition_ids: Ids of the depositions.
        overlay_root: Folder or URL that your annotations go to; None for a project that is only read.
        **options: Further arguments of :func:`from_czcdp_datasets`.

    Raises:
        UnknownBackendError: The portal's backend is not installed; tells how to get it.
        InvalidDataError: The portal has nothing of these depositions.
        ConnectionError: The portal cannot be reached.
    """
    root_cls: Any = plugins.backends.get(plugins.known()["from_czcdp_datasets"]).root_cls
    root: CopickRootOverlay = root_cls.from_czcdp_depositions(deposition_ids, overlay_root, **options)
    return root


def _open(content: dict[str, Any], source: str, folder: str | None, referrers: tuple[str, ...] = ()) -> CopickRootOverlay:
    from copick_core.overlay import CopickRootOverlay

    backend = backend_for(config_type_of(content, source), source)
    config = validated(backend.config_cls, content, source, folder)
    config._referrers = referrers
    try:
        return (config.root_class() or backend.root_cls or CopickRootOverlay)(config, backend.open_layers)
    except ConfigError as error:
        error.place_in(source)  # a nested configuration does not know which file it stands in
        raise
