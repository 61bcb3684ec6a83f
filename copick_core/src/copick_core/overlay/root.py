"""The root of a project over a stack of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, cast
from weakref import WeakValueDictionary

from copick_core.errors import ConflictError, InvalidDataError, NotPicklableError, ReadOnlyError
from copick_core.models.root import CopickRoot
from copick_core.overlay.combining import combined, parts
from copick_core.tree.keys import (
    ROOT,
    Key,
    Kind,
    RunKey,
    TomogramKey,
    VoxelSpacingKey,
    voxel_size_key,
)

if TYPE_CHECKING:
    from datetime import datetime

    from copick_core.layers import Layer, Layers
    from copick_core.models.entity import Entity
    from copick_core.models.object import CopickObject
    from copick_core.models.run import CopickRun
    from copick_core.overlay.containers import CopickRunOverlay
    from copick_core.overlay.leaves import CopickObjectOverlay
    from copick_core.projects.doctor import Found
    from copick_core.projects.reviews import Reviews
    from copick_core.projects.selection import Selection
    from copick_core.tree.addresses import Address
    from copick_core.tree.keys import ParentKey
    from copick_core.tree.schema import (
        CopickConfig,
        CopickRunMeta,
        PickableObject,
    )


class _Index:
    """What a configuration says of its static layers, so that they need not be listed for it."""

    def __init__(self, config: CopickConfig, has_static: bool) -> None:
        used = config if has_static else None
        self.runs = None if used is None or used.runs is None else [RunKey(name) for name in used.runs]
        sizes = None if used is None else used.voxel_spacings
        self.voxel_spacings = None if sizes is None else [voxel_size_key(v) for v in sizes]
        tomograms = (used.tomograms if used is not None else None) or {}
        self.tomograms = {voxel_size_key(size): types for size, types in tomograms.items()}

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return self.runs is None and self.voxel_spacings is None and not self.tomograms

    def tomogram_keys(self, spacing: VoxelSpacingKey) -> list[TomogramKey] | None:
        """Tomograms that every static run has at a spacing; None where nothing is said of it."""
        types = self.tomograms.get(spacing.voxel_size)
        return None if types is None else [TomogramKey(spacing.run, spacing.voxel_size, tomo_type) for tomo_type in types]


def _reopened_root(
    classes: tuple[type[CopickRootOverlay], ...], config: CopickConfig, open_layers: Callable[[Any], Layers]
) -> CopickRootOverlay:
    root: CopickRootOverlay = combined(classes)(config, open_layers)
    return root


class CopickRootOverlay(CopickRoot):
    """A project over a stack of layers.

    Args:
        config: The project's configuration.
        open_layers: Opens the layers of a configuration; a module-level function, so that the project can be pickled.

    Attributes:
        config: The project's configuration.
        layers: The opened layers.
    """

    #: Whether this class works over layers of other backends too. A stack's root is all such classes of its layers' backends
    #: as one, so their methods must call ``super()``.
    spans_any_layers: ClassVar[bool] = False

    def __init__(self, config: CopickConfig, open_layers: Callable[[Any], Layers]) -> None:
        super().__init__(config)
        self._open_layers = open_layers
        if config.wrappers or config._wrapper_files:
            from copick_core.opening.wrappers import open_wrapped

            open_layers = partial(open_wrapped, open_layers=open_layers)
        self.layers: Layers = open_layers(config)
        for layer in self.layers.all:
            layer.know_objects(config)
        self._overlays: list[Layer] = [] if self.layers.overlay is None else [self.layers.overlay]
        self._index = _Index(config, bool(self.layers.static))
        #: Answers that :meth:`prefetch` has for handles that are about to ask.
        self._prefetched: dict[tuple[str, Kind, ParentKey], Sequence[Key]] = {}
        #: Handles of which nobody has asked storage, by key and layer; the children of their parents do not know them.
        self._assumed: WeakValueDictionary[tuple[Key, str | None], Any] = WeakValueDictionary()
        #: Whether there ever was one; asking the dictionary for its length would slow down every listing.
        self._assumes = False

    @property
    def read_only(self) -> bool:
        """Whether the project has no writable layer."""
        return self.layers.overlay is None or self.layers.overlay.read_only

    @property
    def _root(self) -> CopickRootOverlay:
        return self

    def _writable(self, key: Key) -> Layer:
        """The layer that new things go to."""
        overlay = self.layers.overlay
        if overlay is None or overlay.read_only:
            field = self.layers.overlay_field
            way_out = (
                f"Set {field!r} in its configuration."
                if field in type(self.config).model_fields
                else 'Lay a writable one over it with "config_type": "stack".'
            )
            raise ReadOnlyError(subject=key, reason=f"the project has no writable layer. {way_out}")
        return overlay

    def _layer(self, name: str | None) -> Layer | None:
        if name is None:
            return None
        return next(layer for layer in self.layers.all if layer.name == name)

    def _listed(self, layer: Layer, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        """List children in a layer, unless they have just been prefetched."""
        found = self._prefetched.pop((layer.name, kind, parent), None) if self._prefetched else None
        return layer.list(kind, parent) if found is None else found

    @cached_property
    def reviews(self) -> Reviews:
        """The state of review of runs and objects: who works on what, what is done, checked or rejected, and why."""
        from copick_core.projects.reviews import Reviews

        return Reviews(self)

    def select(
        self,
        address: Address | str,
        kind: Kind | str | None = None,
        *,
        min_points: int | None = None,
        max_points: int | None = None,
        label: int | None = None,
    ) -> Selection:
        """The entities that an address matches, in all layers; listed when they are used.

        Layers with an index answer from it. Points and labels that no index knows are read, entity by entity.

        Args:
            address: Such as ``"TS_*/ribosome:alice/1"``; see :mod:`copick_core.tree.addresses`.
            kind: The one kind that is wanted; None for every kind that the address can mean.
            min_points: Only picks with at least so many points.
            max_points: Only picks with at most so many points.
            label: Only segmentations with this label in their voxels.

        Returns:
            What can be iterated, counted, tabulated, mapped and deleted.

        Raises:
            AddressError: The text is not an address, or no entity of the wanted kind can have it, or its points or labels.
            InvalidDataError: There is no such kind, or points and labels were asked for.

        Example:
            >>> for picks in root.select("TS_*/ribosome:alice/1", kind="picks"):  # doctest: +SKIP
            ...     print(picks.run.name, len(picks.points))
        """
        from copick_core.projects.selection import Selection

        content = None
        if (min_points, max_points, label) != (None, None, None):
            from copick_core.layers.contents import Content

            content = Content(min_points, max_points, label)
        return Selection(self, address, kind, content)

    def entity(self, address: Address | str, kind: Kind | str | None = None) -> Entity[Any]:
        """The one entity that an address names; of several layers the overlay's, as that is what a user edits.

        Storage is asked as little as possible. With ``kind`` (or an address that means one kind only) and one layer it is not
        asked at all: an entity that does not exist then raises NotFoundError when it is read. A segmentation's address
        without a type means every type; if several exist, it means the binary one.

        Args:
            address: Such as ``"TS_001/wbp@10.0"``; see :mod:`copick_core.tree.addresses`.
            kind: The kind that is meant, where the address can mean several.

        Returns:
            The handle that the getters of the project return too.

        Raises:
            AddressError: The text is not an address, or matches several entities, which the message lists.
            InvalidDataError: There is no such kind.
            NotFoundError: There is no such entity.

        Example:
            >>> root.entity("TS_001/wbp@10.0", kind="tomogram").numpy(z=slice(0, 10))  # doctest: +SKIP
        """
        from copick_core.projects.selection import entity

        return entity(self, address, kind)

    def as_of(self, snapshot: str | datetime) -> CopickRootOverlay:
        """The project as it was, to be read, where its storage keeps a history; see the documentation of its backend.

        Args:
            snapshot: A tag, the id of a commit, or a time.

        Raises:
            InvalidDataError: It keeps none, or there is no such moment in it.
        """
        reason = "its storage keeps no history; copy it into a project of a backend that does"
        raise InvalidDataError(source=f"project {self.config.name!r}", reason=reason)

    def prefetch(self, kinds: Iterable[Kind | str] | None = None) -> None:
        """List all entities of some kinds at once, so that walking the project asks storage for nothing more.

        Each folder is asked once, and many at the same time: on object stores that is as many times faster as requests
        fit into flight. What was listed before stays; call :meth:`refresh` first to list it anew.

        Args:
            kinds: Kinds as :class:`~copick_core.tree.keys.Kind` or by name, such as ``["picks", "segmentations"]``; None for
                all.

        Raises:
            InvalidDataError: There is no such kind.

        Example:
            >>> root.prefetch(["picks"])  # doctest: +SKIP
            >>> sum(len(run.picks) for run in root.runs)  # doctest: +SKIP
            5000
        """
        from copick_core.projects.listing import prefetch

        prefetch(self, kinds)

    def table(self, kind: Kind | str) -> dict[str, list[Any]]:
        """All entities of a kind in all layers, as columns of equal length.

        Storage is asked, all folders at once; no handle is made, and none is needed. Runs and voxel spacings have one row
        for each layer that lists them.

        Args:
            kind: Kind as :class:`~copick_core.tree.keys.Kind` or by name, such as ``"picks"`` or ``"segmentations"``.

        Returns:
            The fields of the kind's keys (``run``, ``voxel_size`` in angstrom, ``object_name``, ...), then ``layer`` and
            ``read_only``. ``pandas.DataFrame`` and ``pyarrow.table`` take it as it is.

        Raises:
            InvalidDataError: There is no such kind.

        Example:
            >>> pandas.DataFrame(root.table("picks"))  # doctest: +SKIP
        """
        from copick_core.projects.listing import table

        return table(self, kind)

    def problems(self, *, contents: bool = False) -> list[Found]:
        """Examine all layers for what could not be read or is wrong, as ``copick-core doctor`` does; changes nothing.

        Storage is asked, every folder of it: folders that cannot be listed, names that are not those of entities, remains
        of writers that died.

        Args:
            contents: Read all annotations and segmentations too, and look for labels of no object, points outside, empty
                annotations, shapes that differ, features without a tomogram, and what cannot be read.

        Returns:
            Each problem with the name of its layer, errors first.
        """
        from copick_core.projects.doctor import doctor

        return doctor(self, contents=contents)

    def _details(self, key: Key) -> dict[str, Any]:
        """What the layers know of a container beyond its key; the first one that says something is believed."""
        for layer in self.layers.all:
            details = layer.details(key)
            if details:
                return dict(details)
        return {}

    def _handle(self, key: RunKey, layer: Layer | None = None) -> CopickRun:
        """The handle of a run."""
        return self._run_children.add(self._run_at(key))

    def _find_handle(self, key: Key, layer: Layer | None) -> Any:
        """The handle of an entity that was found in a layer; None for those that span layers."""
        if isinstance(key, RunKey):
            return self._handle(key)
        above = layer if key.kind is Kind.FEATURES else None
        return self._find_handle(cast("Key", key.parent), above)._handle(key, layer)

    def _assume(self, key: Key, layer: Layer | None) -> Any:
        """The handle of an entity of which nobody has asked storage."""
        name = None if layer is None else layer.name
        parent: Any = self
        if not isinstance(key, RunKey):
            parent = self._assume(cast("Key", key.parent), layer if key.kind is Kind.FEATURES else None)
        known = parent._known_child(key, name) or self._assumed.get((key, name))
        if known is None:
            made = self._run_at(key) if isinstance(key, RunKey) else parent._child(key, layer)
            self._assumes = True
            known = self._assumed.setdefault((key, name), made)
        return known

    def _known_child(self, key: Key, layer: str | None) -> Any:
        return self._run_children.known(key, layer)

    def _run_at(self, key: RunKey) -> CopickRun:
        assumed = self._assumed.pop((key, None), None) if self._assumes else None
        if assumed is not None:
            return cast("CopickRun", assumed)
        run_cls, _ = self._run_factory()
        return run_cls._at(self, key)

    def _forget_assumed(self, parent: ParentKey) -> None:
        """Forget the assumed handles below a parent."""
        for entry in [*self._assumed]:
            above: Any = entry[0]
            while above != parent and above != ROOT:
                above = above.parent
                if above == parent:
                    self._assumed.pop(entry, None)

    def query(self) -> list[CopickRun]:
        """List the runs of all layers; each name is there once."""
        found = {*self._query_static_runs(), *self._query_overlay_runs()}
        if self._assumes:
            return [self._run_at(key) for key in sorted(found)]
        run_cls, _ = self._run_factory()
        return [run_cls._at(self, key) for key in sorted(found)]

    def _query_static_runs(self) -> list[RunKey]:
        return self._list_runs(self.layers.static) if self._index.runs is None else self._index.runs

    def _query_overlay_runs(self) -> list[RunKey]:
        return self._list_runs(self._overlays)

    def _list_runs(self, layers: Sequence[Layer]) -> list[RunKey]:
        return [cast("RunKey", key) for layer in layers for key in self._listed(layer, Kind.RUN, ROOT)]

    def _probe_runs(self, key: RunKey) -> list[CopickRun]:
        indexed = self._index.runs is not None and key in self._index.runs
        return [self._run_at(key)] if indexed or any(layer.exists(key) for layer in self.layers.all) else []

    def _replace_object(self, obj: CopickObject, meta: PickableObject) -> None:
        """Update an object's entry; a map that only a static layer has is copied into the overlay, as for all entities."""
        from copick_core.overlay.leaves import CopickObjectOverlay

        super()._replace_object(obj, meta)
        holder = obj._find() if isinstance(obj, CopickObjectOverlay) else None
        if holder is not None and holder.read_only and not self.read_only:
            from copick_core.projects.copying import configured_format, copy_content

            with suppress(ConflictError):  # somebody else was faster: theirs is the copy
                copy_content(holder, obj.key, self._writable(obj.key), obj.key, format=configured_format(self))
            obj.refresh()

    def refresh(self) -> None:
        """Forget runs, objects and whatever layers remember; the next access asks again."""
        for layer in self.layers.all:
            layer.forget(ROOT)
        self._forget_assumed(ROOT)
        if "reviews" in vars(self):
            self.reviews.refresh()
        super().refresh()

    def reconnect(self) -> None:
        """Renew the connections of all layers and forget everything."""
        for layer in self.layers.all:
            layer.reconnect()
        self.refresh()

    def _run_factory(self) -> tuple[type[CopickRunOverlay], type[CopickRunMeta]]:
        """Classes of runs and of their metadata."""
        from copick_core.overlay.containers import CopickRunOverlay

        return CopickRunOverlay, super()._run_factory()[1]

    def _object_factory(self) -> tuple[type[CopickObjectOverlay], type[PickableObject]]:
        """Classes of objects and of their entries in the configuration."""
        from copick_core.overlay.leaves import CopickObjectOverlay

        return CopickObjectOverlay, super()._object_factory()[1]

    def __reduce__(self) -> tuple[Any, ...]:
        for layer in self.layers.all:
            if layer.process_bound:
                raise NotPicklableError(subject=f"Project {self.config.name!r}", reason=layer.process_bound)
        return _reopened_root, (parts(type(self)), self.config, self._open_layers)
