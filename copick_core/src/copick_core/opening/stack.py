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
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from copick_core.errors import ConfigError, CopickError, InvalidDataError, UnknownBackendError
from copick_core.layers import Layer, Layers
from copick_core.plugins import Backend, hookimpl
from copick_core.tree.schema import DEFAULT_LABEL, CopickConfig, PickableObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from copick_core.overlay import CopickRootOverlay

#: Key of a nested configuration that names its layers.
LAYER_NAME = "layer_name"


class CopickConfigStack(CopickConfig):
    """Configuration of a stack.

    Each nested configuration is one of any backend; its objects are added to the stack's. An object that is defined several
    times is taken from the stack itself, else from the overlay, else from the first static layer; its labels must agree.

    Attributes:
        config_type: ``"stack"``.
        overlay: Configuration of the place that is written to; without one the project is read-only.
        static: Configurations of the places that are only read; earlier ones are listed first.
    """

    config_type: Literal["stack"] = "stack"
    overlay: dict[str, Any] | None = Field(default=None, repr=False)
    static: list[dict[str, Any]] = Field(default_factory=list, repr=False)

    #: Labels that nested configurations give to objects, and which ones do.
    _labels: dict[str, tuple[int | None, str]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _has_layers(self) -> Self:
        if self.overlay is None and not self.static:
            raise ValueError("a stack needs an overlay, static layers, or both")
        return self

    def nested(self) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
        """Path inside the JSON, and content, of each nested configuration: the overlay first."""
        if self.overlay is not None:
            yield ("overlay",), self.overlay
        for index, content in enumerate(self.static):
            yield ("static", index), content

    def check_object(self, obj: PickableObject) -> None:
        """Refuse an object that a nested configuration gives another label."""
        label, where = self._labels.get(obj.name, (obj.label, ""))
        if label != obj.label:
            raise InvalidDataError(
                source=f"object {obj.name!r}",
                reason=f"its label is {label} in {where} of the stack, and labels of one object must agree. Change it there",
            )

    def root_class(self) -> type[CopickRootOverlay] | None:
        """The root class of the first nested backend whose own one works over any layers; None if there is none."""
        from copick_core import plugins

        for _, content in self.nested():
            try:
                root_cls = plugins.backends.get(str(content.get("config_type"))).root_cls
            except CopickError:
                continue  # opening its layers tells what is wrong, and where
            if root_cls is not None and root_cls.spans_any_layers:
                return root_cls
        return None


def open_layers(config: CopickConfigStack) -> Layers:
    """Open the layers of all nested configurations.

    Raises:
        ConfigError: A nested configuration is not valid, two layers have one name, or labels contradict; tells where.
    """
    from copick_core.opening.validation import adopt_locations

    static: list[Layer] = []
    overlay: Layer | None = None
    names: set[str] = set()
    merged = {obj.name: (obj, "the stack") for obj in config.pickable_objects}
    for where, content in config.nested():
        path = "overlay" if where == ("overlay",) else f"static[{where[-1]}]"
        nested, layers = _open_nested(path, content, config._folder)
        adopt_locations(config, where, content, nested)
        _merge_objects(merged, nested.pickable_objects, path)
        config._labels.update((obj.name, (obj.label, path)) for obj in nested.pickable_objects)
        if path == "overlay":
            overlay = layers.overlay
            if overlay is None:
                raise ConfigError(
                    source=path, reason="it has no writable layer; use it as a static one, or give it an overlay"
                )
            config.user_id = config.user_id or nested.user_id
            config.session_id = config.session_id or nested.session_id
            below = [*layers.static]
        else:
            below = layers.all
        for layer in below:
            layer.read_only = True
        mine = below if overlay is None or path != "overlay" else [*below, overlay]
        for layer in mine:
            layer.name = _layer_name(path, content, layer, len(mine), names)
        static += below
    config.pickable_objects = [obj for obj, _ in merged.values()]
    _check_labels(merged)
    return Layers(static, overlay, overlay_field="overlay")


def _open_nested(path: str, content: dict[str, Any], folder: str | None) -> tuple[CopickConfig, Layers]:
    from copick_core import plugins
    from copick_core.opening.validation import validated

    config_type = content.get("config_type")
    if not isinstance(config_type, str):
        raise ConfigError(source=path, reason="config_type: every layer of a stack names its backend")
    try:
        backend = plugins.backends.get(config_type)
        fields = {key: value for key, value in content.items() if key != LAYER_NAME}
        # A complaint names the field by its path in the whole file: static[1].overlay_root.
        config = validated(backend.config_cls, fields, path, folder, prefix=path)
        return config, backend.open_layers(config)
    except UnknownBackendError as error:
        raise UnknownBackendError(
            config_type=config_type, installed=error.installed, install=error.install, source=path
        ) from None
    except ConfigError:
        raise
    except CopickError as error:
        raise ConfigError(source=path, reason=str(error)) from error


def _layer_name(path: str, content: Mapping[str, Any], layer: Layer, siblings: int, taken: set[str]) -> str:
    """The name of a layer: the given one, else that of its place in the stack; unique."""
    name = str(content.get(LAYER_NAME) or path)
    if siblings > 1 and not (path == "overlay" and not layer.read_only):
        name = f"{name}.{layer.name}"
    if name in taken:
        raise ConfigError(source=path, reason=f"{LAYER_NAME}: another layer is named {name!r}")
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


@hookimpl
def copick_backend() -> Backend:
    """The backend record of stacks."""
    return Backend(
        config_type="stack",
        api_version=1,
        config_cls=CopickConfigStack,
        open_layers=open_layers,
        summary="an overlay of any backend over static layers of any backends",
    )
