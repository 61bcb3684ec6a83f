"""What annotations of an object that are one file share: picks, meshes, filaments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError
from copick_core.models.entity import Annotation
from copick_core.tree.keys import KINDS, FileKey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_core.layers.revisions import AnyRevision, Revision
    from copick_core.models.run import CopickRun

F = TypeVar("F", bound=FileKey)
M = TypeVar("M", bound=BaseModel)

#: Fields of a file's header that say which entity it is.
IDENTITY_FIELDS = ("pickable_object_name", "user_id", "session_id")


class AnnotationFile(Annotation[F]):
    """An annotation of an object that is stored as one file.

    Attributes:
        run: The run.
    """

    __slots__ = ()

    run: CopickRun
    #: Revision that the content in memory is based on (None: nothing was stored); ANY if that is not known.
    _revision: Revision | AnyRevision | None

    @property
    def pickable_object_name(self) -> str:
        """Name of the object."""
        return self._key.object_name

    @property
    def color(self) -> tuple[int, int, int, int]:
        """RGBA color of the object.

        Raises:
            UnknownObjectError: The project does not list the object.
        """
        return self.run._object(self.pickable_object_name).color

    def delete(self) -> None:
        """Delete the file from storage.

        Raises:
            ReadOnlyError: It is read-only.
        """
        self._check_deletable()
        self._delete_data()
        getattr(self.run, f"_{KINDS[self._key.kind].plural}_children").remove(self)

    def _identity(self) -> dict[str, str]:
        """The fields that say which entity this is."""
        return dict(zip(IDENTITY_FIELDS, (self._key.object_name, self._key.user_id, self._key.session_id), strict=True))

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        return self._identity().items()


class HeadedFile(AnnotationFile[F], Generic[F, M]):
    """An annotation whose file has a header beside its content, in one model that is :attr:`meta`."""

    __slots__ = ("_loaded", "_revision")

    #: Field of the model that is the content; all others are the header.
    _content_field: ClassVar[str]
    #: Whether memory holds content (read, or set by the user) rather than nothing.
    _loaded: bool

    def _read_file(self) -> M:
        """Read the file from storage; header and content are held in memory afterwards."""
        raise NotImplementedError(f"{type(self).__name__} must implement _read_file()")

    def _hold(self, meta: M) -> None:
        """Keep what was read or set as what is in memory."""
        self._meta, self._loaded = meta, True

    def _named(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """A header that was read, with the names of this entity: where they differ, the file's name is believed."""
        named = dict(header)
        for field, value in self._identity().items():
            found = named.get(field)
            if found not in (None, value):
                warn_caller(f"{self._key}: the file says {field}={found!r}; its name is believed.")
            named[field] = value
        return named

    def _check_positions(self, parts: Iterable[NDArray[Any]], strict: bool | None = None) -> None:
        """Warn of points, in arrays (n, 3), that lie outside of every tomogram; refuse them if that is strict."""
        from copick_core.models.plausibility import check_points, is_strict

        check_points(self, self.run, [*parts], is_strict(self.run.root, strict))

    def _edits(self) -> dict[str, Any]:
        """Fields of the header that were assigned before the file was read."""
        meta = self._meta
        if meta is None:
            return {}
        known = self._make_meta().model_dump(exclude={self._content_field})
        return {k: v for k, v in meta.model_dump(exclude={self._content_field}).items() if k not in known or known[k] != v}

    def _meta_to_keep(self) -> M:
        """Everything but the content, which is going to be replaced; read if nothing is in memory."""
        loaded, meta = self._loaded, self._meta
        return meta if loaded and meta is not None else self._load_header()

    def _load_header(self) -> M:
        """Read what is stored before it is replaced: what is not replaced stays, and a conflict can be noticed."""
        edits = self._edits()
        try:
            meta = self._read_file()
        except (FileNotFoundError, InvalidDataError) as error:
            if isinstance(error, FileNotFoundError):
                self._revision = None
            else:
                warn_caller(f"{error} It will be replaced.")
            meta = self.meta  # type: ignore[assignment]
            setattr(meta, self._content_field, [])
            self._hold(meta)
        for field, value in edits.items():
            setattr(meta, field, value)
        return meta
