"""The root of a project."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from copick_core.callers import warn_caller
from copick_core.errors import AlreadyExistsError, InvalidDataError, InvalidNameError, UnknownObjectError, by_caller
from copick_core.models.children import Children
from copick_core.models.entity import check_flags, check_metadata, count
from copick_core.tree.keys import RunKey
from copick_core.tree.names import check_run_name, checked_name, sanitize_name
from copick_core.tree.schema import CopickConfig, CopickRunMeta, PickableObject

if TYPE_CHECKING:
    import os

    from copick_core.models.object import CopickObject
    from copick_core.models.plausibility import Sizes
    from copick_core.models.run import CopickRun
    from copick_core.tree.filament_spec import FilamentSpec
    from copick_core.tree.keys import Key, ParentKey
    from copick_core.volumes.chunk_cache import ChunkCache


class CopickRoot:
    """A project: its configuration, runs and objects.

    Args:
        config: The project's configuration.

    Attributes:
        config: The project's configuration.
    """

    def __init__(self, config: CopickConfig) -> None:
        self.config = config
        self._run_children: Children[CopickRun] = Children(threading.RLock())
        #: Handles of the objects; None: make them anew from the configuration (tools assign that after changing it).
        self._objects: list[CopickObject] | None = None
        #: Sizes of tomograms that are known, by run: what is written is compared with them.
        self._sizes: dict[str, Sizes] = {}
        #: Entities whose content, or what lies below, was complained of, with what it was.
        self._complained: set[tuple[ParentKey | Key, str]] = set()

    @cached_property
    def _chunk_cache(self) -> ChunkCache | None:
        """Decoded chunks of this project's volumes, if the configuration asks for that."""
        if not self.config.chunk_cache_bytes:
            return None
        from copick_core.volumes.chunk_cache import ChunkCache

        return ChunkCache(self.config.chunk_cache_bytes)

    # ------------------------------------------------------------------ who is annotating

    @property
    def user_id(self) -> str | None:
        """User whose annotations are made by default; assigning sanitises it."""
        return self.config.user_id

    @user_id.setter
    def user_id(self, value: str | None) -> None:
        self.config.user_id = None if value is None else checked_name("user_id", value)

    @property
    def session_id(self) -> str | None:
        """Session of that user; assigning sanitises it."""
        return self.config.session_id

    @session_id.setter
    def session_id(self, value: str | None) -> None:
        self.config.session_id = None if value is None else checked_name("session_id", value)

    # ------------------------------------------------------------------ runs

    @property
    def runs(self) -> list[CopickRun]:
        """Runs, sorted by name; listed when first asked for. Those made since then follow."""
        return self._run_children.all(self.query)

    @property
    def _runs(self) -> list[CopickRun] | None:
        """The listed runs or None; assigning None forgets them."""
        return self._run_children.listed

    @_runs.setter
    def _runs(self, value: None) -> None:
        self._run_children.forget()

    def query(self) -> list[CopickRun]:
        """List the runs from storage."""
        raise NotImplementedError(f"{type(self).__name__} must implement query()")

    def get_run(self, name: str, **kwargs: Any) -> CopickRun | None:
        """The run of a name, or None; found without listing all of them.

        Args:
            name: Name.
            **kwargs: Metadata of the handle, which nothing stores; if given, a run that does not exist is made.

        Raises:
            InvalidNameError: The name is not a string: a run's number would never be found, without a word.
        """
        try:
            key = RunKey(check_run_name(name))
        except InvalidNameError:
            if kwargs or not isinstance(name, str):
                raise
            return None  # no run can have such a name
        found = next(iter(self._run_children.get(key, lambda: self._probe_runs(key))), None)
        return self.new_run(name, **kwargs) if found is None and kwargs else found

    def new_run(self, name: str, exist_ok: bool = False, **kwargs: Any) -> CopickRun:
        """Make a run and store it.

        Args:
            name: Name; any text without path separators, control characters or a leading dot.
            exist_ok: Give the existing one instead of failing.
            **kwargs: Further metadata, of this handle only: nothing stores them.

        Raises:
            AlreadyExistsError: There is one of that name, and not ``exist_ok``.
            InvalidNameError: The name cannot be stored safely.
            ReadOnlyError: The project has no writable overlay.
        """
        check_metadata(self.new_run, kwargs)
        check_flags(exist_ok=exist_ok)
        key = RunKey(check_run_name(name))
        existing = self._run_children.current(key, lambda: self._probe_runs(key))
        if existing:
            if not exist_ok:
                raise AlreadyExistsError(key=key, layer=existing[0].layer)
            return existing[0]
        run_cls, meta_cls = self._run_factory()
        run = run_cls(self, meta_cls(name=name, **kwargs))
        run._create()
        return self._run_children.add(run)

    def delete_run(self, name: str) -> None:
        """Delete a run and everything below it; does nothing where there is none of that name.

        Raises:
            ReadOnlyError: It, or something below it, lives in a read-only layer; nothing was deleted.
        """
        run = self.get_run(name)
        if run is not None:
            self._run_children.delete([run])

    def _probe_runs(self, key: RunKey) -> Sequence[CopickRun]:
        return [r for r in self.runs if r.key == key]

    def _run_factory(self) -> tuple[type[CopickRun], type[CopickRunMeta]]:
        """Classes of runs and of their metadata."""
        from copick_core.models.run import CopickRun

        return CopickRun, CopickRunMeta

    # ------------------------------------------------------------------ objects

    @property
    def pickable_objects(self) -> list[CopickObject]:
        """Objects of the configuration."""
        if self._objects is None:
            object_cls, _ = self._object_factory()
            self._objects = [object_cls(self, meta) for meta in self.config.pickable_objects]
        return [*self._objects]

    def get_object(self, name: str) -> CopickObject | None:
        """The object of a name, or None."""
        return next((o for o in self.pickable_objects if o.name == name), None)

    def new_object(
        self,
        name: str,
        is_particle: bool,
        label: int | None = None,
        color: tuple[int, int, int, int] | None = None,
        emdb_id: str | None = None,
        pdb_id: str | None = None,
        identifier: str | None = None,
        map_threshold: float | None = None,
        radius: float | None = None,
        metadata: dict[str, Any] | None = None,
        exist_ok: bool = False,
        filament: FilamentSpec | dict[str, Any] | None = None,
    ) -> CopickObject:
        """Add an object to the configuration in memory; :meth:`save_config` makes it permanent.

        Args:
            name: Name, as :func:`~copick_core.tree.names.sanitize_name` would leave it.
            is_particle: Whether points represent it (True) or segmentation masks (False).
            label: Value in multilabel segmentations; the highest one plus 1 by default.
            color: RGBA, each 0 to 255.
            emdb_id: EMDB id.
            pdb_id: PDB id.
            identifier: Gene Ontology id, UniProtKB accession or the like.
            map_threshold: Density threshold for isosurfaces of its map.
            radius: Radius in angstrom.
            metadata: Anything else.
            exist_ok: Update the existing one (fields that are not given keep their values) instead of failing.
            filament: Declares that the object is a filament: a :class:`FilamentSpec` or its fields, such as
                ``{"polar": True, "helical_rise_a": 40.0}``; ``{}`` declares no more than that.

        Raises:
            InvalidNameError: The name has characters that cannot be stored.
            AlreadyExistsError: There is one of that name, and not ``exist_ok``.
            InvalidDataError: Another object has the label, or a layer of a stack says another one for this object.
            pydantic.ValidationError: A value is not possible.
        """
        check_flags(is_particle=is_particle, exist_ok=exist_ok)
        if sanitize_name(name, suppress_warnings=True) != name or checked_name("object name", name) != name:
            raise InvalidNameError(
                what="object name",
                name=name,
                reason=f"it has invalid characters; use {sanitize_name(name, suppress_warnings=True)!r}",
            )
        if name.endswith("-multilabel"):
            warn_caller(f"Object name {name!r} ends in '-multilabel': it cannot have binary segmentations.")
        given = {
            "label": label,
            "color": color,
            "emdb_id": emdb_id,
            "pdb_id": pdb_id,
            "identifier": identifier,
            "map_threshold": map_threshold,
            "radius": radius,
            "metadata": metadata,
        }
        fields: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        existing = self.get_object(name)
        if existing is not None and not exist_ok:
            raise AlreadyExistsError(
                key=existing.key, way_out=by_caller("Pass exist_ok=True to update it.", "Choose another name.")
            )
        others = {o.label: o.name for o in self.pickable_objects if o.name != name and o.label is not None}
        before: dict[str, Any] = {"name": name, "label": max(others, default=0) + 1}
        if existing is not None:
            before = existing.meta.model_dump()
        if filament is not None:
            from copick_core.tree.filament_spec import with_declaration

            fields["metadata"] = with_declaration(fields.get("metadata", before.get("metadata", {})), filament)
        object_cls, meta_cls = self._object_factory()
        meta = meta_cls.model_validate({**before, "is_particle": is_particle, **fields})
        if label is not None and meta.label in others:
            raise InvalidDataError(
                source=f"object {name!r}",
                reason=f"label {meta.label} already exists: it belongs to object {others[meta.label]!r}",
            )
        self.config.check_object(meta)
        if existing is not None:
            self._replace_object(existing, meta)
            return existing
        obj = object_cls(self, meta)
        self._objects = [*self.pickable_objects, obj]
        self.config.pickable_objects = [*self.config.pickable_objects, meta]
        return obj

    def _replace_object(self, obj: CopickObject, meta: PickableObject) -> None:
        self.config.pickable_objects = [meta if m.name == meta.name else m for m in self.config.pickable_objects]
        obj._meta = meta

    def _remove_object(self, obj: CopickObject) -> None:
        self.config.pickable_objects = [m for m in self.config.pickable_objects if m.name != obj.name]
        if self._objects is not None:
            self._objects = [o for o in self._objects if o is not obj]

    def _pickable_object(self, name: str) -> PickableObject:
        """An object of the configuration, by its name or what that is sanitised to, with a warning.

        Raises:
            InvalidNameError: It is not a name.
            UnknownObjectError: There is none of that name.
        """
        objects = {meta.name: meta for meta in self.config.pickable_objects}
        for spelling in (name, checked_name("object name", name, suppress_warnings=True)):
            if spelling in objects:
                if spelling != name:
                    checked_name("object name", name)  # warns
                return objects[spelling]
        raise UnknownObjectError(name=name, known=[m.name for m in self.config.pickable_objects])

    def _object_factory(self) -> tuple[type[CopickObject], type[PickableObject]]:
        """Classes of objects and of their entries in the configuration."""
        from copick_core.models.object import CopickObject

        return CopickObject, PickableObject

    # ------------------------------------------------------------------ the project itself

    def refresh(self) -> None:
        """Forget runs and objects; the next access asks again."""
        self._run_children.forget()
        self._objects = None
        self._sizes.clear()

    def reconnect(self) -> None:
        """Renew connections and forget everything; places without connections only forget."""
        self.refresh()

    def save_config(self, config_path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the configuration as JSON, all or nothing.

        Locations that were relative to the file's folder when the configuration was loaded are written so again, if it is
        saved in that folder.

        Args:
            config_path: File to write.
            overwrite: Write even if somebody else has changed the file since it was loaded.

        Raises:
            ConflictError: Somebody else has changed the file since it was loaded, and not ``overwrite``.
        """
        from copick_core.opening.configs import save_config

        save_config(self.config, config_path, overwrite=overwrite)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name={self.config.name!r}, user_id={self.user_id!r}, "
            f"len(pickable_objects)={len(self.config.pickable_objects)}, "
            f"len(runs)={count(self._run_children.listed)}) at {hex(id(self))}"
        )
