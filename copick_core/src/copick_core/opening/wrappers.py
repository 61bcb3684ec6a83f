"""``"wrappers"`` of a configuration: layers around its layers, each brought by a plugin.

Example:
    Log what is asked of the reference data, and keep what is read from it; the log sees every call, so it comes first::

        {
            "config_type": "filesystem",
            "static_root": "s3://lab/project",
            "overlay_root": "mine",
            "wrappers": [{"name": "log", "layer": "static", "path": "requests.jsonl"}, {"name": "cache", "layer": "static"}]
        }
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from copick_core import plugins
from copick_core.errors import ConfigError, CopickError, PluginError, UnknownPluginError, closest, redacted
from copick_core.layers import Layer, Layers
from copick_core.opening.locations import place_of, resolved

if TYPE_CHECKING:
    from copick_core.plugins import LayerWrapper
    from copick_core.tree.schema import CopickConfig
    from copick_core.tree.wrapper_options import WrapperOptions

#: Keys of a wrapper in a configuration that are not options of its plugin.
NAME, LAYER = "name", "layer"


def open_wrapped(config: CopickConfig, open_layers: Callable[[Any], Layers]) -> Layers:
    """Open the layers of a configuration, inside the wrappers that it asks for.

    Args:
        config: The configuration. Relative paths in the options of its wrappers become absolute.
        open_layers: Opens the bare layers.

    Raises:
        ConfigError: A wrapper is not installed or cannot be used, an option is wrong, it does not say which of several layers
            is meant, or two layers would share a file. Names the wrapper's place in the configuration.
    """
    config._wrapper_files.clear()
    layers = open_layers(config)
    return wrap_layers(layers, config.wrappers, config) if config.wrappers else layers


def wrap_layers(
    layers: Layers, entries: Sequence[Mapping[str, Any]], config: CopickConfig, where: tuple[str | int, ...] = ()
) -> Layers:
    """Wrap layers; the first wrapper is the outermost.

    Args:
        layers: The layers.
        entries: The wrappers, as a configuration has them.
        config: The configuration that has them.
        where: Path of the part of it that has them.

    Raises:
        ConfigError: As :func:`open_wrapped`.
    """
    static, overlay = [*layers.static], layers.overlay
    for index in reversed(range(len(entries))):
        place = (*where, "wrappers", index)
        path = dotted(place)
        name = entries[index].get(NAME)
        if not isinstance(name, str):
            raise ConfigError(source="<config>", reason=f"{path}.{NAME} is missing: write which wrapper you want")
        record, options = _plugin(name, path), {k: v for k, v in entries[index].items() if k not in (NAME, LAYER)}
        checked = _options(record, options, config, place)
        chosen = _chosen(Layers(static, overlay), entries[index].get(LAYER), path)
        for number, layer in enumerate(chosen):
            for field in type(checked).location_fields:
                if (location := getattr(checked, field)) and field not in type(checked).shared_fields:
                    at = path if number == 0 else f"{path} around layer {layer.name!r}"
                    claim_file(config, str(location), at, field)
            outer = _wrap(record, layer, checked, path)
            static = [outer if bare is layer else bare for bare in static]
            overlay = outer if overlay is layer else overlay
    return Layers(static, overlay, layers.overlay_field)


def claim_file(config: CopickConfig, location: str, path: str, field: str = "") -> None:
    """Note that a wrapper keeps a file, which no other one may have.

    Args:
        config: The outermost configuration that is known.
        location: The file.
        path: Place of the wrapper in that configuration.
        field: The option that names the file.

    Raises:
        ConfigError: Another wrapper keeps it; names both.
    """
    file = place_of(location)
    other = config._wrapper_files.setdefault(file, path)
    if other != path:
        raise ConfigError(
            source="<config>",
            reason=f"{path}{field and '.'}{field}: {redacted(location)} is the file of {other}. "
            "Each layer needs a wrapper of its own, with a file of its own.",
        )


def dotted(where: Sequence[str | int]) -> str:
    """Write a path inside a configuration, such as ``static[0].wrappers[1]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")


def _plugin(name: str, path: str) -> LayerWrapper:
    try:
        return plugins.wrappers.get(name)
    except (UnknownPluginError, PluginError) as error:
        raise ConfigError(source="<config>", reason=f"{path}.{NAME}: {error}") from error


def _options(
    record: LayerWrapper, options: Mapping[str, Any], config: CopickConfig, where: tuple[str | int, ...]
) -> WrapperOptions:
    """The validated options; relative locations are resolved, in the configuration too."""
    from pydantic import ValidationError

    from copick_core.tree.wrapper_options import WrapperOptions

    path = dotted(where)
    cls = _imported(record, record.options_cls or WrapperOptions, path)
    try:
        checked: WrapperOptions = cls.model_validate(options)
    except ValidationError as error:
        reasons = [_complaint(e, record.name, options, cls, path) for e in error.errors()]
        raise ConfigError(source="<config>", reason="; ".join(reasons)) from None
    for field in cls.location_fields:
        written = getattr(checked, field)
        if isinstance(written, str) and written:
            location = resolved(written, config._folder)
            setattr(checked, field, location)
            if location != written:
                _note_location(config, (*where, field), location, written)
    return checked


def _note_location(config: CopickConfig, where: tuple[str | int, ...], location: str, written: str) -> None:
    holder: Any = getattr(config, str(where[0]))
    for part in where[1:-1]:
        holder = holder[part]
    holder[where[-1]] = location
    config._as_written[where] = (location, written)


def _complaint(error: Any, name: str, options: Mapping[str, Any], cls: type[WrapperOptions], path: str) -> str:
    at = dotted((path, *error["loc"]))
    if error["type"] != "extra_forbidden":
        return f"{at}: {str(error['msg']).removeprefix('Value error, ')}"
    fields = sorted(cls.model_fields)
    hint = closest(str(error["loc"][-1]), [field for field in fields if field not in options])
    has = f"it has {', '.join(fields)}" if fields else "it has none"
    return f"{at}: wrapper {name!r} has no such option ({has}).{hint}"


def _chosen(layers: Layers, choice: Any, path: str) -> list[Layer]:
    """The layers that a wrapper is for."""
    names = ", ".join(repr(layer.name) for layer in layers.all)
    if choice is None:
        if len(layers.all) == 1:
            return layers.all
        raise ConfigError(
            source="<config>",
            reason=f"{path}.{LAYER} is missing: there are {len(layers.all)} layers ({names}). Name one, or list several.",
        )
    found: list[Layer] = []
    for name in choice if isinstance(choice, list) else [choice]:
        named = [layer for layer in layers.all if layer.name == name]
        if not named and name == "static" and len(layers.static) == 1:
            named = [*layers.static]
        if not named and name == "overlay" and layers.overlay is not None:
            named = [layers.overlay]
        if not named:
            raise ConfigError(source="<config>", reason=f"{path}.{LAYER}: there is no layer {name!r}; there are {names}")
        found += [layer for layer in named if layer not in found]
    return found


def _wrap(record: LayerWrapper, layer: Layer, options: WrapperOptions, path: str) -> Layer:
    wrap = _imported(record, record.wrap, path)
    try:
        outer = wrap(layer, options)
    except (CopickError, OSError):
        raise
    except Exception as error:
        raise _broken(record, f"making it failed: {type(error).__name__}: {error}", path) from error
    if not isinstance(outer, Layer):
        raise _broken(record, f"it made a {type(outer).__name__}, which is not a Layer", path)
    return outer


def _imported(record: LayerWrapper, target: Any, path: str) -> Any:
    try:
        return plugins.resolved(target)
    except Exception as error:
        raise _broken(record, f"importing {target} failed: {type(error).__name__}: {error}", path) from error


def _broken(record: LayerWrapper, reason: str, path: str) -> ConfigError:
    dists = [name for row in plugins.wrappers.installed() if row.name == record.name for name in row.distributions]
    error = PluginError(kind="wrapper", name=record.name, distributions=dists, reason=reason)
    return ConfigError(source="<config>", reason=f"{path}: {error}")
