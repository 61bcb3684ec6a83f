"""``config_type: "stack"``: an overlay of any backend over static layers of any backends.

Example:
    A sandbox in memory over a project in a folder, over another one in a bucket::

        {
            "config_type": "stack",
            "overlay": {"config_type": "memory"},
            "static": [
                {"config_type": "filesystem", "overlay_root": "/data/mine", "layer_name": "mine"},
                {"config_type": "filesystem", "overlay_root": "s3://lab/project", "overlay_fs_args": {"anon": true}}
            ]
        }

    A project of your own over somebody else's, whose objects come along::

        {
            "config_type": "stack",
            "overlay": {"config_type": "filesystem", "overlay_root": "mine"},
            "static": ["/data/lab/project.json"]
        }
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from copick_core.errors import ConfigError, InvalidDataError
from copick_core.layers import Layer, Layers
from copick_core.opening.nesting import LAYER_NAME, Nested, nested
from copick_core.tree.schema import DEFAULT_LABEL, CopickConfig, PickableObject

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay


class CopickConfigStack(CopickConfig):
    """Configuration of a stack.

    Each nested configuration is one of any backend, written out or as a reference to its file: ``"other.json"``, or
    ``{"config": "other.json"}`` with ``layer_name`` and ``wrappers`` beside it. Its objects are added to the stack's. An
    object that is defined several times is taken from the stack itself, else from the overlay, else from the first static
    layer; its labels must agree.

    Attributes:
        config_type: ``"stack"``.
        overlay: Configuration of the place that is written to; without one the project is read-only.
        static: Configurations of the places that are only read; earlier ones are listed first.
    """

    config_type: Literal["stack"] = "stack"
    overlay: dict[str, Any] | str | None = Field(default=None, repr=False)
    static: list[dict[str, Any] | str] = Field(default_factory=list, repr=False)

    #: Labels that nested configurations give to objects, and which ones do.
    _labels: dict[str, tuple[int | None, str]] = PrivateAttr(default_factory=dict)
    #: Objects that nested configurations brought, as they were: they are not written into this one.
    _brought: dict[str, dict[str, Any]] = PrivateAttr(default_factory=dict)
    #: What :meth:`root_class` has read of the nested configurations, for opening them.
    _read: list[Nested] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _has_layers(self) -> Self:
        if self.overlay is None and not self.static:
            raise ValueError("a stack needs an overlay, static layers, or both")
        return self

    def nested(self) -> Iterator[Nested]:
        """Read each nested configuration: the overlay first.

        Raises:
            ConfigError: One is not valid or cannot be read; names its place.
        """
        if self.overlay is not None:
            yield nested(self, ("overlay",), self.overlay)
        for index, content in enumerate(self.static):
            yield nested(self, ("static", index), content)

    def own_objects(self) -> list[PickableObject]:
        """The objects that no nested configuration brought, or that were changed since."""
        return [obj for obj in self.pickable_objects if self._brought.get(obj.name) != obj.model_dump(mode="json")]

    def file_content(self) -> dict[str, Any]:
        """The content of its file: objects that nested configurations bring stay there."""
        content = super().file_content()
        content["pickable_objects"] = [obj.model_dump(mode="json") for obj in self.own_objects()]
        return content

    def check_object(self, obj: PickableObject) -> None:
        """Refuse an object that a nested configuration gives another label."""
        label, where = self._labels.get(obj.name, (obj.label, ""))
        if label != obj.label:
            raise InvalidDataError(
                source=f"object {obj.name!r}",
                reason=f"its label is {label} in {where} of the stack, and labels of one object must agree. Change it there",
            )

    def root_class(self) -> type[CopickRootOverlay] | None:
        """The root classes of the nested backends that work over any layers, as one; None if there are none.

        The overlay's comes first: where two differ, it decides.
        """
        from copick_core.overlay.combining import combined

        self._read = [*self.nested()]
        classes = [part.config.root_class() or part.backend.root_cls for part in self._read]
        spanning = [cls for cls in classes if cls is not None and cls.spans_any_layers]
        return combined(spanning) if spanning else None


def open_layers(config: CopickConfigStack) -> Layers:
    """Open the layers of all nested configurations.

    Raises:
        ConfigError: A nested configuration is not valid, two layers have one name, or labels contradict; tells where.
    """
    static: list[Layer] = []
    overlay: Layer | None = None
    names: set[str] = set()
    merged = {obj.name: (obj, "the stack") for obj in config.own_objects()}
    brought: dict[str, dict[str, Any]] = {}
    config._labels.clear()
    parts, config._read = config._read, None
    for part in config.nested() if parts is None else parts:
        layers = part.open()
        found = part.config.pickable_objects
        brought.update((obj.name, obj.model_dump(mode="json")) for obj in found if obj.name not in merged)
        _merge_objects(merged, found, part.place)
        config._labels.update((obj.name, (obj.label, part.place)) for obj in found)
        is_overlay = part.where == ("overlay",)
        if is_overlay:
            overlay = layers.overlay
            if overlay is None:
                raise ConfigError(
                    source=part.place, reason="it has no writable layer; use it as a static one, or give it an overlay"
                )
            config.user_id = config.user_id or part.config.user_id
            config.session_id = config.session_id or part.config.session_id
            below = [*layers.static]
        else:
            below = layers.all
        for layer in below:
            layer.read_only = True
        mine = [*below, overlay] if is_overlay and overlay is not None else below
        for layer in mine:
            layer.name = _layer_name(part, layer, len(mine), names)
        static += below
    config._brought = brought
    config.pickable_objects = [obj for obj, _ in merged.values()]
    _check_labels(merged)
    return Layers(static, overlay, overlay_field="overlay")


def _layer_name(part: Nested, layer: Layer, siblings: int, taken: set[str]) -> str:
    """The name of a layer: the given one, else that of its place in the stack; unique."""
    is_overlay = part.where == ("overlay",)
    name = part.layer_name or ("overlay" if is_overlay else f"static[{part.where[-1]}]")
    if siblings > 1 and (layer.read_only or not is_overlay):
        name = f"{name}.{layer.name}"
    if name in taken:
        raise ConfigError(source=part.place, reason=f"{LAYER_NAME}: another layer is named {name!r}")
    taken.add(name)
    return name


def _merge_objects(merged: dict[str, tuple[PickableObject, str]], objects: list[PickableObject], path: str) -> None:
    for obj in objects:
        known, where = merged.setdefault(obj.name, (obj, path))
        if known.label != obj.label:
            raise ConfigError(
                source=path,
                reason=f"pickable_objects: {obj.name!r} has label {obj.label}, but label {known.label} in {where}. "
                "Labels of one object must agree.",
            )


def _check_labels(merged: Mapping[str, tuple[PickableObject, str]]) -> None:
    users: dict[int, tuple[str, str]] = {}
    for obj, where in merged.values():
        if obj.label in (None, DEFAULT_LABEL):
            continue
        other = users.setdefault(obj.label, (obj.name, where))
        if other[0] != obj.name:
            raise ConfigError(
                source=where,
                reason=f"pickable_objects: label {obj.label} is {obj.name!r} here, but {other[0]!r} in {other[1]}",
            )
