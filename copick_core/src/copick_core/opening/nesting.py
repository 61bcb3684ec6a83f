"""Configurations inside a configuration: written out, or named as ``{"config": "other.json"}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from copick_core.errors import ConfigError, CopickError, redacted
from copick_core.opening.config_types import backend_for, config_type_of
from copick_core.opening.files import parse_json, read
from copick_core.opening.locations import folder_of, place_of, resolved
from copick_core.opening.validation import adopt_locations, validated
from copick_core.opening.wrappers import claim_file, dotted, open_wrapped, wrap_layers

if TYPE_CHECKING:
    from copick_core.layers import Layers
    from copick_core.plugins import Backend
    from copick_core.tree.schema import CopickConfig

#: Key of a nested configuration that names its layers.
LAYER_NAME = "layer_name"
#: Key of a reference to the file of a configuration, and the keys that may stand beside it.
REFERENCE = "config"
BESIDE_REFERENCE = (LAYER_NAME, "wrappers")


@dataclass
class Nested:
    """A configuration that is a part of another one.

    Attributes:
        parent: The configuration that it is a part of.
        where: Its path inside the parent's JSON, such as ``("static", 0)``.
        place: The same as text, with the file if it is one, for messages.
        content: What the parent has there.
        config: The configuration itself.
        backend: Its backend.
        is_reference: Whether it stands in a file of its own.
    """

    parent: CopickConfig
    where: tuple[str | int, ...]
    place: str
    content: dict[str, Any]
    config: CopickConfig
    backend: Backend
    is_reference: bool

    @property
    def layer_name(self) -> str | None:
        """The name that the parent gives to its layers."""
        name = self.content.get(LAYER_NAME)
        return str(name) if name else None

    def open(self) -> Layers:
        """Open its layers, inside the wrappers that it and the parent ask for.

        Raises:
            ConfigError: They cannot be opened; names the place.
        """
        path = dotted(self.where)
        try:
            layers = open_wrapped(self.config, self.backend.open_layers)
        except ConfigError as error:
            error.place_in(self.place)
            raise
        except CopickError as error:
            raise ConfigError(source=self.place, reason=str(error)) from error
        for file, at in self.config._wrapper_files.items():
            claim_file(self.parent, file, f"{path}.{at}")
        if not self.is_reference:
            adopt_locations(self.parent, self.where, self.content, self.config)
        elif wrappers := self.content.get("wrappers"):
            layers = wrap_layers(layers, wrappers, self.parent, self.where)
        return layers


def nested(parent: CopickConfig, where: tuple[str | int, ...], content: Mapping[str, Any] | str) -> Nested:
    """Read and check a configuration that is a part of another one. Opens nothing yet.

    Args:
        parent: The configuration that it is a part of; a relative reference starts at the parent's folder.
        where: Path of the part inside the parent's JSON.
        content: The part: a whole configuration, ``{"config": "other.json"}`` with ``layer_name`` and ``wrappers`` if wanted,
            or just ``"other.json"``.

    Raises:
        ConfigError: It is not valid, its file cannot be read, or the files refer to each other in a circle; names the place.
        UnknownBackendError: Its backend is not installed.
    """
    path = dotted(where)
    if isinstance(content, str) or REFERENCE in content:
        return _referred(parent, where, content)
    config_type = content.get("config_type")
    if not isinstance(config_type, str):
        raise ConfigError(
            source=path,
            reason='config_type is missing: write which backend this is for, or refer to a file with {"config": "other.json"}',
        )
    backend = backend_for(config_type, path)
    fields = {key: value for key, value in content.items() if key != LAYER_NAME}
    # A complaint names the field by its path in the whole file: static[1].overlay_root.
    config = validated(backend.config_cls, fields, path, parent._folder, prefix=path)
    config._referrers = parent._referrers
    held = content if isinstance(content, dict) else dict(content)
    return Nested(parent, where, path, held, config, backend, is_reference=False)


def _referred(parent: CopickConfig, where: tuple[str | int, ...], content: Mapping[str, Any] | str) -> Nested:
    path = dotted(where)
    if isinstance(content, str):
        written, beside, at = content, {}, where
    else:
        written, beside, at = content[REFERENCE], {k: v for k, v in content.items() if k != REFERENCE}, (*where, REFERENCE)
    if not isinstance(written, str) or not written:
        raise ConfigError(source=path, reason=f"{path}.{REFERENCE}: write the path or URL of a config file")
    if unknown := sorted(beside.keys() - {*BESIDE_REFERENCE}):
        raise ConfigError(
            source=path,
            reason=f"{path}.{unknown[0]}: beside {REFERENCE!r} only {' and '.join(BESIDE_REFERENCE)} are possible. "
            f"Write everything else into {redacted(written)}.",
        )
    if not isinstance(wrappers := beside.get("wrappers", []), list) or not all(isinstance(w, dict) for w in wrappers):
        raise ConfigError(source=path, reason=f"{path}.wrappers: it must be a list of objects")
    location = resolved(written, parent._folder)
    if location != written:
        _hold(parent, at, location)
        parent._as_written[at] = (location, written)
    file = place_of(location)
    if file in parent._referrers:
        circle = [*parent._referrers[parent._referrers.index(file) :], file]
        raise ConfigError(source=path, reason=f"the files refer to each other: {' -> '.join(map(redacted, circle))}")
    place = f"{path} ({redacted(location)})"
    try:
        found = parse_json(read(location), location)
    except ConfigError as error:
        error.place_in(path)
        raise
    backend = backend_for(config_type_of(found, place), place)
    config = validated(backend.config_cls, found, place, folder_of(location))
    config._referrers = (*parent._referrers, file)
    return Nested(parent, where, place, beside, config, backend, is_reference=True)


def _hold(config: CopickConfig, where: tuple[str | int, ...], value: str) -> None:
    """Put a value into a configuration."""
    first, *others = where
    if not others:
        setattr(config, str(first), value)
        return
    holder: Any = getattr(config, str(first))
    for part in others[:-1]:
        holder = holder[part]
    holder[others[-1]] = value
