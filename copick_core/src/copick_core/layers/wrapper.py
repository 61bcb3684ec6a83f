"""A layer around a layer: the base of caches, indexes, logs and whatever else stands between a project and its storage.

Override what you need of a :class:`WrapperLayer`:

* :meth:`~WrapperLayer.around`, which runs around every call that asks the storage: to count, time, retry or refuse;
* one method, such as :meth:`~WrapperLayer.read` or :meth:`~WrapperLayer.list`, to answer it yourself, and
  :meth:`~WrapperLayer.forget` with it, to drop what you remember. An annotation can be read in three ways (:meth:`read`,
  :meth:`read_revised` and :meth:`load_picks` or :meth:`load_mesh`): a cache overrides all of them;
* :meth:`~WrapperLayer.wrap_store`, which sees every store of a volume that is handed out. Subclass
  :class:`zarr.storage.WrapperStore` for the store that it returns.

Methods may be called from several threads at once, and calls that read nothing must stay cheap. A layer is never pickled: a
project that is sent to another process opens its layers and wrappers anew there. Set ``process_bound`` in a wrapper that
cannot be opened twice.

Example:
    A layer that prints what is read::

        class Printing(WrapperLayer):
            def around(self, method, key, call):
                print(method, key)
                return call()
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from copick_core.layers.layer import ANY, Layer, Revision
from copick_core.tree.keys import Key, Kind, ParentKey, RootKey, RunKey

if TYPE_CHECKING:
    from trimesh.parent import Geometry
    from zarr.abc.store import Store

    from copick_core.layers.contents import Content
    from copick_core.layers.problems import Problem
    from copick_core.picks import PicksArrays
    from copick_core.tree.schema import CopickConfig

T = TypeVar("T")
L = TypeVar("L", bound=Layer)


class WrapperLayer(Layer):
    """A layer that passes every call on to another one.

    Public attributes that it does not have itself are those of the wrapped layer; :meth:`unwrap` gives a layer of a class.

    Attributes:
        inner: The wrapped layer.
        name: That of the wrapped layer; setting it sets both.
        read_only: That of the wrapped layer; setting it sets both.
        changes_lists: Whether lists may differ from those of the wrapped layer, so that it is not asked to :meth:`find`; by
            default, whether the class has a :meth:`list` or :meth:`list_many` of its own.
    """

    changes_lists = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "changes_lists" not in vars(cls) and {"list", "list_many"} & {*vars(cls)}:
            cls.changes_lists = True

    def __init__(self, inner: Layer) -> None:
        self.inner = inner
        self.process_bound = inner.process_bound

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self.inner.name

    @name.setter
    def name(self, value: str) -> None:
        self.inner.name = value

    @property
    def read_only(self) -> bool:
        """Whether every write is refused."""
        return self.inner.read_only

    @read_only.setter
    def read_only(self, value: bool) -> None:
        self.inner.read_only = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "inner":  # while it is being copied there is none
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        return getattr(self.inner, name)

    # ------------------------------------------------------------------ to override

    def around(self, method: str, key: Key | ParentKey | None, call: Callable[[], T]) -> T:
        """Run a call of the wrapped layer; every call that may ask the storage goes through here.

        Args:
            method: Name of the method.
            key: What it is called for: an entity, or the parent that is listed; None for many at once.
            call: Makes the call.

        Returns:
            What ``call()`` returned.
        """
        return call()

    def wrap_store(self, key: Key, store: Store, *, staged: bool) -> Store:
        """Give the store of a volume that is handed out.

        Args:
            key: The volume.
            store: That of the wrapped layer.
            staged: Whether it is a fresh one that is about to be filled (:meth:`replace_zarr`).
        """
        return store

    # ------------------------------------------------------------------ reading

    @overload
    def unwrap(self) -> Layer: ...
    @overload
    def unwrap(self, cls: type[L]) -> L | None: ...
    def unwrap(self, cls: type[Layer] | None = None) -> Layer | None:
        """This layer or the first one below it that is of a class; without a class, the innermost."""
        return self if cls is not None and isinstance(self, cls) else self.inner.unwrap(cls)  # type: ignore[arg-type]

    def list(self, kind: Kind, parent: ParentKey) -> list[Key]:
        """Pass on."""
        return self.around("list", parent, lambda: [*self.inner.list(kind, parent)])

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """Pass on."""
        return self.around("list_many", None, lambda: self.inner.list_many(kind, parents))

    @contextmanager
    def listing_runs(self, runs: Sequence[RunKey]) -> Iterator[None]:
        """Pass on; :meth:`around` runs when the block is entered."""
        with ExitStack() as stack:
            self.around("listing_runs", None, lambda: stack.enter_context(self.inner.listing_runs(runs)))
            yield

    @property
    def requests(self) -> int | None:  # type: ignore[override]
        """That of the wrapped layer."""
        return self.inner.requests

    def find(self, kind: Kind, fields: Mapping[str, str | float]) -> Sequence[Key] | None:
        """Pass on, not through :meth:`around`: it asks no storage."""
        return None if self.changes_lists else self.inner.find(kind, fields)

    def find_columns(self, kind: Kind, fields: Mapping[str, str | float]) -> Sequence[Sequence[Any]] | None:
        """Pass on, not through :meth:`around`: it asks no storage. A wrapper that has its own :meth:`find` is asked that."""
        if type(self).find is not WrapperLayer.find:
            return super().find_columns(kind, fields)
        return None if self.changes_lists else self.inner.find_columns(kind, fields)

    def find_content(
        self, kind: Kind, fields: Mapping[str, str | float], content: Content
    ) -> tuple[Sequence[Key], Sequence[Key]] | None:
        """Pass on, not through :meth:`around`: it asks no storage."""
        return None if self.changes_lists else self.inner.find_content(kind, fields, content)

    def exists(self, key: Key) -> bool:
        """Pass on."""
        return self.around("exists", key, lambda: self.inner.exists(key))

    def read(self, key: Key) -> bytes:
        """Pass on."""
        return self.around("read", key, lambda: self.inner.read(key))

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Pass on."""
        return self.around("read_revised", key, lambda: self.inner.read_revised(key))

    def revision(self, key: Key) -> Revision | None:
        """Pass on."""
        return self.around("revision", key, lambda: self.inner.revision(key))

    def revisions(self, keys: Sequence[Key]) -> Mapping[Key, Revision]:
        """Pass on."""
        return self.around("revisions", None, lambda: self.inner.revisions(keys))

    @property
    def keeps_records(self) -> bool:  # type: ignore[override]
        """That of the wrapped layer."""
        return self.inner.keeps_records

    def read_record(self, run: RunKey, name: str) -> tuple[bytes, Revision | None]:
        """Pass on."""
        return self.around("read_record", run, lambda: self.inner.read_record(run, name))

    def modified(self, key: Key) -> float | None:
        """Pass on."""
        return self.around("modified", key, lambda: self.inner.modified(key))

    def zarr(self, key: Key) -> Store:
        """Pass on."""
        return self.wrap_store(key, self.around("zarr", key, lambda: self.inner.zarr(key)), staged=False)

    @property
    def volume_format(self) -> Mapping[str, Any]:  # type: ignore[override]
        """That of the wrapped layer."""
        return self.inner.volume_format

    @property
    def versions_take_requests(self) -> bool:  # type: ignore[override]
        """That of the wrapped layer."""
        return self.inner.versions_take_requests

    def volume_version(self, key: Key) -> Hashable | None:
        """Pass on; through :meth:`around` only where it asks a server."""
        if not self.inner.versions_take_requests:
            return self.inner.volume_version(key)
        return self.around("volume_version", key, lambda: self.inner.volume_version(key))

    def load_picks(self, key: Key) -> tuple[PicksArrays, Revision | None]:
        """Pass on."""
        return self.around("load_picks", key, lambda: self.inner.load_picks(key))

    def load_mesh(self, key: Key) -> tuple[Geometry, Revision | None]:
        """Pass on."""
        return self.around("load_mesh", key, lambda: self.inner.load_mesh(key))

    def details(self, key: Key) -> Mapping[str, Any]:
        """Pass on, not through :meth:`around`: it is asked for each handle."""
        return self.inner.details(key)

    def know_objects(self, config: CopickConfig) -> None:
        """Pass on, not through :meth:`around`: it asks no storage."""
        self.inner.know_objects(config)

    def forget(self, parent: ParentKey) -> None:
        """Pass on, not through :meth:`around`: it asks no storage."""
        self.inner.forget(parent)

    def reconnect(self) -> None:
        """Pass on, not through :meth:`around`: it asks no storage."""
        self.inner.reconnect()

    def location(self, key: Key) -> str | None:
        """Pass on, not through :meth:`around`: it asks no storage."""
        return self.inner.location(key)

    def listing_version(self, parent: RunKey | RootKey) -> Hashable | None:
        """Pass on."""
        return self.around("listing_version", parent, lambda: self.inner.listing_version(parent))

    def place_id(self) -> str | None:
        """Pass on, not through :meth:`around`: it asks no storage."""
        return self.inner.place_id()

    # ------------------------------------------------------------------ writing

    def problems(self) -> Sequence[Problem]:
        """Pass on."""
        return self.around("problems", None, self.inner.problems)

    def write(self, key: Key, data: bytes, *, if_revision: Revision | None = ANY) -> Revision | None:
        """Pass on."""
        self.check_writable(key)
        return self.around("write", key, lambda: self.inner.write(key, data, if_revision=if_revision))

    def write_record(self, run: RunKey, name: str, data: bytes, *, if_revision: Revision | None = ANY) -> Revision | None:
        """Pass on."""
        self.check_writable(run)
        return self.around("write_record", run, lambda: self.inner.write_record(run, name, data, if_revision=if_revision))

    def ensure(self, key: Key) -> None:
        """Pass on."""
        self.check_writable(key)
        self.around("ensure", key, lambda: self.inner.ensure(key))

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Pass on; :meth:`around` runs when the block is entered."""
        self.check_writable(key)
        with ExitStack() as stack:
            store = self.around("replace_zarr", key, lambda: stack.enter_context(self.inner.replace_zarr(key)))
            yield self.wrap_store(key, store, staged=True)

    def changing(self, key: Key) -> AbstractContextManager[None]:
        """Pass on, not through :meth:`around`: it asks no storage by itself."""
        return self.inner.changing(key)

    def delete(self, key: Key) -> None:
        """Pass on."""
        self.check_writable(key)
        self.around("delete", key, lambda: self.inner.delete(key))
