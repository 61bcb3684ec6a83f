"""Voxel spacings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from copick_core.models.children import Children
from copick_core.models.entity import Entity, StringFilter, check_metadata, count, only, wanted
from copick_core.models.parent import Parent
from copick_core.models.tomogram import CopickTomogram
from copick_core.tree.keys import Kind, TomogramKey, VoxelSpacingKey, voxel_size_key
from copick_core.tree.names import checked_name, sanitize_name
from copick_core.tree.schema import CopickConfig, CopickTomogramMeta, CopickVoxelSpacingMeta

if TYPE_CHECKING:
    from copick_core.models.run import CopickRun

_TOMOGRAM = Kind.TOMOGRAM


class CopickVoxelSpacing(Parent, Entity[VoxelSpacingKey]):
    """A voxel spacing (resolution) of a run.

    Args:
        run: The run.
        meta: Its metadata.
        config: Configuration; that of the run by default.

    Attributes:
        run: The run.
        config: The project's configuration.
    """

    __slots__ = ("_tomograms_children", "config", "run")

    _tomograms_children: Children[CopickTomogram]
    config: CopickConfig

    def __init__(self, run: CopickRun, meta: CopickVoxelSpacingMeta, config: CopickConfig | None = None) -> None:
        self.run = run
        self.config = config or run.config
        self._meta = meta
        self._key = VoxelSpacingKey(run.name, voxel_size_key(meta.voxel_size))
        self._tomograms_children = Children(run._voxel_spacings_children.lock)

    @property
    def voxel_size(self) -> float:
        """Voxel size in angstrom."""
        return self._key.voxel_size

    @property
    def tomograms(self) -> list[CopickTomogram]:
        """Tomograms at this spacing; listed when first asked for."""
        return self._tomograms_children.all(self.query_tomograms)

    def query_tomograms(self) -> list[CopickTomogram]:
        """List the tomograms from storage."""
        return self._query(_TOMOGRAM)

    def get_tomogram(self, tomo_type: str) -> CopickTomogram | None:
        """The tomogram of a type (the first one if there are several, static ones first), or None.

        Of ``"my_type"`` and ``"my-type"``, which old projects may have both, the one that was asked for is preferred.
        """
        found = self.get_tomograms(tomo_type)
        return next((t for t in found if t.tomo_type == tomo_type), found[0] if found else None)

    def get_tomograms(self, tomo_type: StringFilter = None, *, layer: str | None = None) -> list[CopickTomogram]:
        """Tomograms of a type.

        Args:
            tomo_type: Type or types; None for all.
            layer: Only those in the layer of this name.
        """
        types = wanted(tomo_type)
        one = only(types)
        if one is not None:
            key = TomogramKey(self._key.run, self._key.voxel_size, one)
            found = self._get_tomograms_of_type(key)
        else:
            found = [t for t in self.tomograms if types is None or t.tomo_type in types]
        return [t for t in found if layer is None or t.layer == layer]

    def _get_tomograms_of_type(self, key: TomogramKey) -> list[CopickTomogram]:
        """Tomograms of the type in a key; places with variants override this, since a key names one variant only."""
        return self._tomograms_children.get(key, lambda: self._probe(key))

    def new_tomogram(self, tomo_type: str, exist_ok: bool = False, **kwargs: Any) -> CopickTomogram:
        """Make a tomogram; it becomes visible to others when data are written to it.

        Args:
            tomo_type: Type; sanitised, with a warning if that changes it.
            exist_ok: Give the existing one instead of failing; a read-only one is copied into the overlay.
            **kwargs: Further metadata, of this handle only: nothing stores them.

        Raises:
            AlreadyExistsError: There is one of that type, and not ``exist_ok``.
            InvalidNameError: The type cannot be stored.
            ReadOnlyError: The project has no writable overlay.
        """
        check_metadata(self.new_tomogram, kwargs)
        key = TomogramKey(self._key.run, self._key.voxel_size, checked_name("tomo_type", tomo_type))
        if "-" in key.tomo_type and (old := self._old_forms_of(key.tomo_type)):
            return self._tomograms_children.add(self._existing(old, exist_ok))
        tomogram_cls, meta_cls = self._tomogram_factory()
        return self._new(
            self._tomograms_children, key, exist_ok, lambda: tomogram_cls(self, meta_cls(tomo_type=key.tomo_type, **kwargs))
        )

    def _old_forms_of(self, tomo_type: str) -> list[CopickTomogram]:
        """Tomograms that an old project has under a name with underscores: they are overwritten, and get no twin."""
        others = [t for t in self.tomograms if t.tomo_type != tomo_type]
        return [t for t in others if sanitize_name(t.tomo_type, suppress_warnings=True) == tomo_type]

    def delete_tomograms(self, tomo_type: StringFilter = None) -> None:
        """Delete the tomograms of a type, or all of them.

        Raises:
            ReadOnlyError: One of them is read-only; then none is deleted.
        """
        self._tomograms_children.delete(self.get_tomograms(tomo_type))

    def refresh_tomograms(self) -> None:
        """Forget the tomograms; the next access lists them again."""
        self._refresh(self._tomograms_children)
        sizes = self.run.root._sizes.get(self._key.run, {})
        for known in [*sizes]:
            if known[0].parent == self._key:
                sizes.pop(known, None)

    def refresh(self) -> None:
        """Forget everything below this spacing."""
        self.refresh_tomograms()

    def ensure(self, create: bool = False) -> bool:
        """Whether the spacing is stored; with ``create``, make it if it is not."""
        raise NotImplementedError(f"{type(self).__name__} must implement ensure()")

    def _create(self) -> None:
        """Make the spacing, of which one has just learned that it is not stored."""
        self.ensure(create=True)

    def delete(self) -> None:
        """Delete the spacing and everything below it from storage.

        Raises:
            ReadOnlyError: It, or something below it, lives in a read-only layer.
        """
        self._delete_data()
        self.refresh()
        self.run._voxel_spacings_children.remove(self)

    def _existing(self, found: Sequence[Any], exist_ok: bool) -> Any:
        return self.run._existing(found, exist_ok)

    def _tomogram_factory(self) -> tuple[type[CopickTomogram], type[CopickTomogramMeta]]:
        """Classes of tomograms and of their metadata."""
        return self._class(Kind.TOMOGRAM, CopickTomogram), CopickTomogramMeta

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        return ("voxel_size", self.voxel_size), ("len(tomograms)", count(self._tomograms_children.listed))
