"""The records that plugins return from their hooks: one class for each kind of plugin.

A record names what the plugin brings and points to the code that does it. Where a field takes ``"module:name"`` instead of an
object, the module is imported when it is first needed; a plugin module that writes its fields so costs nothing to list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    import click

    from copick_core.layers import Layer, Layers
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.schema import CopickConfig
    from copick_core.tree.wrapper_options import WrapperOptions


T = TypeVar("T")


class Named(Generic[T]):
    """A field of a record that may be written as ``"module:name"``; who reads it gets the object, imported then.

    Args:
        default: What it is if it is left out; nothing for a field that must be given.
    """

    def __init__(self, *default: T) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: object, owner: type | None = None) -> T:
        if record is None:  # the class is asked, by dataclasses that look for the default
            if not self._default:
                raise AttributeError(self._name)
            return self._default[0]
        value: T = resolved(vars(record)[self._name])
        return value

    def __set__(self, record: object, value: T | str) -> None:
        vars(record)[self._name] = value


@dataclass(eq=False)  # one record is one plugin; frozen classes take twice as long to make, each time a project is opened
class Backend:
    """A kind of storage.

    ``config_cls``, ``open_layers`` and ``root_cls`` are best written as ``"module:name"``: then listing the plugin imports
    neither pydantic nor the storage. Whoever reads them gets the objects.

    Attributes:
        config_type: The ``config_type`` it serves; equals the entry point's name.
        api_version: The :attr:`API_VERSION` that it was written for. There is no default on purpose.
        config_cls: Model of its configuration.
        open_layers: Opens the layers of a configuration. A module-level function, so that projects can be pickled.
        root_cls: Class of the root; None for the plain one.
        summary: One line that says what it stores where.
        url: Where its documentation is.
        guess: Returns the content of a configuration for a folder, file or URL that this backend can open, with absolute
            locations, or None. It writes nothing, and looks before it lists: what is not its own costs a request or two. What
            it raises is shown if no other backend can open the place. May be ``"module:name"``.
        new_config: Returns the content of a new configuration; its docstring is the help of ``copick-core new-config TYPE``,
            and its arguments are declared with ``click.option`` decorators, as options of that command (``output``, ``force``,
            ``json`` and ``objects`` are taken). Where they all have defaults, two calls must make two projects, at locations
            that are relative or new: ``copick-core demo --backend TYPE`` runs on that. May be ``"module:name"``.
    """

    API_VERSION: ClassVar[int] = 1

    config_type: str
    api_version: int
    config_cls: Named[type[CopickConfig]] = Named()
    open_layers: Named[Callable[[Any], Layers]] = Named()
    root_cls: Named[type[CopickRootOverlay] | None] = Named(None)
    summary: str = ""
    url: str = ""
    guess: Callable[[str], Mapping[str, Any] | None] | str | None = None
    new_config: Callable[..., Mapping[str, Any]] | str | None = None

    @property
    def name(self) -> str:
        """The name of its entry point."""
        return self.config_type


@dataclass(eq=False)
class Command:
    """A command, or a group of commands, of ``copick-core``.

    Attributes:
        name: What is typed; equals the entry point's name.
        api_version: The :attr:`API_VERSION` that it was written for.
        command: The click command or group. May be ``"module:name"``, so that ``copick-core --help`` imports nothing heavy.
        summary: One line for the list of commands.
        url: Where its documentation is.
    """

    API_VERSION: ClassVar[int] = 1

    name: str
    api_version: int
    command: click.Command | str
    summary: str
    url: str = ""


@dataclass(eq=False)
class Format:
    """A file format.

    ``reads`` and ``writes`` say what files of the format hold: ``"volume"`` (tomograms, segmentations, features and object
    maps), ``"picks"``, ``"filaments"``, ``"mesh"``; ``"tomograms"`` are lists of files. Each gives the function that does it,
    or ``"module:name"``. What the functions of each kind take and return is described in
    :mod:`copick_core.plugins.format_functions`.

    Attributes:
        name: Name of the format, such as ``"mrc"``; equals the entry point's name.
        api_version: The :attr:`API_VERSION` that it was written for.
        suffixes: Endings of file names, lower case and with the dot; they decide where content does not.
        sniff: Whether a file is of this format, by its path and its first 4096 bytes (unpacked, if it is packed by gzip or
            bzip2; empty for a folder); None where only the suffix tells. It must not raise.
        reads: What can be read, and by which function.
        writes: What can be written, and by which function.
        summary: One line that says what the format is.
        url: Where it is described.
    """

    API_VERSION: ClassVar[int] = 1

    name: str
    api_version: int
    suffixes: tuple[str, ...]
    sniff: Callable[[str, bytes], bool] | str | None = None
    reads: Mapping[str, Callable[..., Any] | str] = field(default_factory=dict)
    writes: Mapping[str, Callable[..., Any] | str] = field(default_factory=dict)
    summary: str = ""
    url: str = ""


@dataclass(eq=False)
class LayerWrapper:
    """A layer around a layer, which a configuration can ask for in ``"wrappers"``.

    Attributes:
        name: The name in the configuration; equals the entry point's name.
        api_version: The :attr:`API_VERSION` that it was written for.
        wrap: Takes the layer and the validated options (an instance of ``options_cls``), and returns the layer around it.
            May be ``"module:name"``. Usually the class of a :class:`~copick_core.layers.WrapperLayer`.
        options_cls: Model of its options, a subclass of :class:`~copick_core.tree.wrapper_options.WrapperOptions`; None if
            it has none. May be ``"module:name"``.
        summary: One line that says what it is for.
        url: Where its documentation is.
    """

    API_VERSION: ClassVar[int] = 1

    name: str
    api_version: int
    wrap: Callable[[Layer, Any], Layer] | str
    options_cls: type[WrapperOptions] | str | None = None
    summary: str = ""
    url: str = ""


Record = Backend | Command | Format | LayerWrapper


def targets(record: Record) -> Iterator[str]:
    """What a record names as ``"module:name"``.

    Args:
        record: A record of any kind.
    """
    if isinstance(record, Backend):
        fields = ("config_cls", "open_layers", "root_cls", "guess", "new_config")
        values: list[Any] = [vars(record)[name] for name in fields]
    elif isinstance(record, Command):
        values = [record.command]
    elif isinstance(record, Format):
        values = [record.sniff, *record.reads.values(), *record.writes.values()]
    else:
        values = [record.wrap, record.options_cls]
    yield from (value for value in values if isinstance(value, str))


def resolved(target: Any) -> Any:
    """The object that a field of a record gives, imported if it is written as ``"module:name"``.

    Raises:
        ImportError: The module cannot be imported.
        AttributeError: It has no such name.
    """
    if not isinstance(target, str):
        return target
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
