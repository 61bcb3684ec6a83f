"""Tomograms from files, with the voxel spacing that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from copick_core.models import CopickRun, CopickTomogram
    from copick_core.volumes.importing import ImportOptions


def import_tomogram(
    run: CopickRun,
    source: Any,
    tomo_type: str,
    levels: int = 3,
    dtype: DTypeLike | None = "float32",
    *,
    exist_ok: bool = False,
    **options: Unpack[ImportOptions],
) -> CopickTomogram:
    """Make a tomogram from a file or an array, at the voxel spacing that it has.

    The voxel spacing is made if the run has none of that size. If the import fails or is interrupted, there is no new
    tomogram, and an old one stays as it was; a voxel spacing that was made for it stays, as others may use it already.

    Args:
        run: The run.
        source: As :meth:`~copick_core.models.CopickTomogram.import_volume` takes it.
        tomo_type: Type of the tomogram.
        levels: Number of resolution levels.
        dtype: Type to store; None for that of the source.
        exist_ok: Replace a tomogram of that type instead of failing.
        **options: As :meth:`~copick_core.models.CopickTomogram.import_volume` takes them; ``voxel_size`` for sources that do
            not tell it, or tell a wrong one.

    Returns:
        The tomogram.

    Raises:
        InvalidDataError: The source cannot be read, or neither it nor ``voxel_size`` tells the voxel size.
        AlreadyExistsError: There is a tomogram of that type at that spacing, and not ``exist_ok``.
        UnknownFormatError: No installed format reads the file; the message gives the line that installs one.
        ReadOnlyError: The project has no writable overlay.

    Example:
        >>> import copick_core, numpy
        >>> run = copick_core.open({"config_type": "memory"}).new_run("TS_1")
        >>> copick_core.import_tomogram(run, numpy.zeros((4, 5, 6)), "wbp", voxel_size=10.0).voxel_spacing.voxel_size
        10.0
    """
    from copick_core.volumes.reading import opened_volume

    read_options = options.pop("read_options", None) or {}
    file_format = options.pop("file_format", None)
    with opened_volume(source, voxel_size=options.get("voxel_size"), file_format=file_format, **read_options) as volume:
        size = volume.voxel_size
        if size is None:
            raise InvalidDataError(source=volume.name, reason="does not tell its voxel size; give voxel_size (in angstrom)")
        spacing = run.new_voxel_spacing(size, exist_ok=True)
        tomogram = spacing.new_tomogram(tomo_type, exist_ok=exist_ok)
        try:
            tomogram.import_volume(volume, levels, dtype, **options)
        except BaseException:
            if tomogram._unsaved:
                spacing._tomograms_children.remove(tomogram)  # or a second attempt would find it
            raise
    return tomogram
