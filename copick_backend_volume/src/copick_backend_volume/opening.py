"""From a configuration to layers."""

from __future__ import annotations

import os

from copick_backend_volume.config import CopickConfigVolume, has_label
from copick_backend_volume.layer import VolumeLayer
from copick_backend_volume.places import DATABASE, JOB_FOLDERS, local_folder
from copick_core.errors import ConfigError, redacted
from copick_core.layers import Layer, Layers
from copick_core.tree.schema import PickableObject

#: Colours of objects that have none, RGBA, which people tell apart whatever colours they see: those of Okabe and Ito.
_COLORS = (
    (230, 159, 0, 255),
    (86, 180, 233, 255),
    (0, 158, 115, 255),
    (240, 228, 66, 255),
    (0, 114, 178, 255),
    (213, 94, 0, 255),
    (204, 121, 167, 255),
)


def open_layers(config: CopickConfigVolume) -> Layers:
    """Open the volume, and the overlay over it; objects for the volume's values are added to the configuration.

    Raises:
        ConfigError: The volume is not a folder, or the overlay's configuration is not valid.
    """
    root = local_folder(config.volume_root)
    if root is None or not os.path.isdir(root):
        raise ConfigError(source="<config>", reason=f"volume_root: {redacted(config.volume_root)} is not a folder here")
    found = {name for name in os.listdir(root) if not name.startswith(".")} - {"lost+found"}
    is_volume = any(name in JOB_FOLDERS or name.startswith(DATABASE) for name in found)
    if not is_volume and (found or not config.write_back):
        has = f"has neither {DATABASE} nor any of the folders {', '.join(JOB_FOLDERS)}"
        reason = (
            f'volume_root: {root} {has}; is it the right one? A new volume begins as an empty folder with "write_back": true'
        )
        raise ConfigError(source="<config>", reason=reason)
    config.volume_root = root
    static = VolumeLayer("volume", config)
    config.pickable_objects = _labelled(config)
    config.pickable_objects += _objects(config, static)
    return Layers(static=[static], overlay=_overlay(config, static))


def _labelled(config: CopickConfigVolume) -> list[PickableObject]:
    """The objects of the configuration; one without a label gets the value that has its name."""
    values = {label.name: value for value, label in config.labels.items()}
    return [
        obj.model_copy(update={"label": values[obj.name]}) if obj.name in values and not has_label(obj) else obj
        for obj in config.pickable_objects
    ]


def _objects(config: CopickConfigVolume, layer: VolumeLayer) -> list[PickableObject]:
    names = {obj.name for obj in config.pickable_objects}
    labels = {obj.label for obj in config.pickable_objects if has_label(obj)}
    added: list[PickableObject] = []
    for value in layer.discovered_values():
        name = layer.object_name(value)
        if name not in names and value not in labels:
            label = config.labels.get(value)
            color = label.color if label else _COLORS[len(added) % len(_COLORS)]
            added.append(PickableObject(name=name, is_particle=False, label=value, color=color))
    return added


def _overlay(config: CopickConfigVolume, static: VolumeLayer) -> Layer | None:
    from copick_core.opening import nested

    content = config.overlay
    if content is None:
        if config.overlay_root is None:
            return None
        content = {
            "config_type": "filesystem",
            "overlay_root": config.overlay_root,
            "overlay_fs_args": config.overlay_fs_args,
        }
    part = nested(config, ("overlay",), content)
    overlay = part.open().overlay
    if overlay is None:
        raise ConfigError(source="overlay", reason="it has no writable layer")
    location = getattr(part.config, "overlay_root", None)
    static.overlay_root = location if isinstance(location, str) else None
    return overlay
