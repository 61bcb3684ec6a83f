"""Tables of RELION."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from copick.util.formats import Centre, build_relion_particles_df, centre_of, half_sets_of
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import Frame
from copick_core.projects.transfers import frame_of
from copick_formats.relion import CENTERED, GROUP, INSTANCE, PIXELS, RUN, TILT_SERIES_SIZE, read_relion
from copick_formats.relion_helical import TRACK, track_lengths
from copick_formats.star import quoted, write_block

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame


def filament_track_lengths(positions: ArrayLike, instance_ids: ArrayLike) -> NDArray[np.float64]:
    """How far along its filament each point is.

    Args:
        positions: (n, 3) in angstrom.
        instance_ids: (n,) ids of the filaments; points of one need not be neighbours, and are in its order.

    Returns:
        (n,) in angstrom; 0 at the first point of each filament.
    """
    return track_lengths(positions, instance_ids)


def check_format(format: str) -> None:
    """Refuse tables of other programs.

    Raises:
        ValueError: It is another format.
    """
    if format != "relion":
        raise InvalidDataError(source="format", reason=f"{format!r} is unknown; tables of picks are those of 'relion'")


class FilamentPolarity(NamedTuple):
    """How many of the filaments that picks are on have a known polarity.

    Attributes:
        source: URI of the filaments that say it; None if there are none.
        known: Filaments whose polarity is known.
        unknown: Filaments whose polarity is not.
    """

    source: str | None
    known: int
    unknown: int


def copick_tomogram_center(picks: Any, voxel_spacing: float | None = None, tomo_type: str | None = None) -> Centre | None:
    """The middle of the tomogram that picks are in, as x, y, z in angstrom; None if there is none of that kind."""
    return centre_of(picks.run, voxel_spacing, tomo_type)


def is_filament_export(picks: Any, filament: str | bool) -> bool:
    """Whether picks get the columns of helical processing: with ``"auto"``, if their object is a filament."""
    if filament not in ("auto", "on", "off", True, False):
        raise InvalidDataError(source=str(filament), reason="filament_columns must be one of auto, on, off")
    if filament == "auto":
        found = picks.run.root.get_object(picks.pickable_object_name)
        return found is not None and bool(found.is_filament)
    return filament in (True, "on")


def polarity_filaments(picks: Any, filaments_uri: str | None = None) -> Any:
    """The filaments that say the polarity of picks: those of a URI, or of the picks' own; None if there are none.

    Raises:
        ValueError: A URI is given, and matches no filaments of the run, or several.
    """
    from copick.util.uri import resolve_copick_objects

    run = picks.run
    if filaments_uri is None:
        found = run.get_filaments(picks.pickable_object_name, picks.user_id, picks.session_id)
        return found[0] if found else None
    found = resolve_copick_objects(filaments_uri, picks.run.root, "filaments", run.name)
    if not found:
        raise InvalidDataError(source="filaments_uri", reason=f"No Filaments match {filaments_uri} in {run.name}")
    if len(found) > 1:
        raise InvalidDataError(source="filaments_uri", reason=f"{filaments_uri} matches several Filaments in {run.name}")
    return found[0]


def filament_polarity(picks: Any, filaments_uri: str | None = None) -> tuple[FilamentPolarity, NDArray[np.bool_]]:
    """How many filaments have a known polarity, and for each point whether its filament has.

    Args:
        picks: Points with numbers of filaments.
        filaments_uri: The filaments that say it; those of the picks' own URI by default.

    Raises:
        ValueError: A point's filament is not among them.
    """
    from copick.util.uri import serialize_copick_uri

    ids = np.asarray(picks.instance_ids())
    source = polarity_filaments(picks, filaments_uri)
    if source is None:
        return FilamentPolarity(None, 0, len({*ids.tolist()})), np.zeros(len(ids), bool)
    known = {one.instance_id: one.polarity_known for one in source.filaments}
    uri = serialize_copick_uri(source)
    if missing := sorted({*ids.tolist()} - known.keys()):
        what = f"{len(missing)} filament IDs of {serialize_copick_uri(picks)} in {picks.run.name}"
        raise InvalidDataError(source=uri, reason=f"{what} have no filament in {uri}: {missing}")
    sure = sum(known[number] for number in {*ids.tolist()})
    report = FilamentPolarity(uri, sure, len({*ids.tolist()}) - sure)
    return report, np.array([known[number] for number in ids.tolist()], bool)


def filament_polarity_known(picks: Any, filaments_uri: str | None = None) -> NDArray[np.bool_]:
    """Whether the polarity of each point's filament is known, (n,); see :func:`filament_polarity`."""
    return filament_polarity(picks, filaments_uri)[1]


def filament_half_sets(df: DataFrame) -> NDArray[np.int64]:
    """A half set, 1 or 2, for each particle; see :func:`copick.util.formats.half_sets_of`."""
    return half_sets_of(df)


def picks_to_df_relion(
    picks: Any,
    voxel_spacing: float | None = None,
    tilt_series_pixel_size: float | None = None,
    tomogram_center: Centre | None = None,
    filament: str | bool = "auto",
    polarity_known: bool | ArrayLike = False,
    tomo_type: str | None = None,
    coordinates: str = "auto",
    filament_angles: str = "frame",
    half_sets: str | None = None,
) -> DataFrame:
    """Picks as the particles of a STAR file, with centred coordinates if the run has a tomogram.

    Args:
        picks: The picks.
        voxel_spacing: Voxel size of the tomogram that they are in.
        tilt_series_pixel_size: Angstrom per pixel: coordinates in pixels are written too.
        tomogram_center: The tomogram's middle as x, y, z in angstrom, instead of the project's.
        filament: ``"on"``, ``"off"``, or ``"auto"``: whether there are the columns of helical processing.
        polarity_known: For all points, or (n,).
        tomo_type: Type of the tomogram.
        coordinates: As :func:`copick.util.formats.build_relion_particles_df` has it, as the rest.
        filament_angles: Poses.
        half_sets: Half sets.

    Returns:
        One row for each particle; columns are RELION's labels.
    """
    positions, transforms = picks.numpy()
    centre = tomogram_center or copick_tomogram_center(picks, voxel_spacing, tomo_type)
    return build_relion_particles_df(
        positions,
        transforms,
        picks.run.name,
        centre,
        tilt_series_pixel_size,
        voxel_spacing or picks.meta.voxel_spacing or 1.0,
        picks.instance_ids(),
        is_filament_export(picks, filament),
        polarity_known,
        coordinates,
        filament_angles,
        half_sets,
    )


def order_filament_rows(df: DataFrame) -> DataFrame:
    """Particles in the order of their filaments, and along each; other particles as they are."""
    if INSTANCE not in df or TRACK not in df:
        return df
    return df.sort_values([INSTANCE, TRACK], kind="stable", ignore_index=True)


def relion_df_to_picks(
    picks: Any,
    df: DataFrame,
    optics: DataFrame | None = None,
    tilt_series_pixel_size: float | None = None,
    tomogram_center: Centre | None = None,
    relion_version: str | None = None,
) -> None:
    """Replace picks by the particles of a table, and store them.

    Args:
        picks: The picks.
        df: Rows of particles; columns are RELION's labels. Rows of other runs are left out.
        optics: Optics groups, for the pixel size.
        tilt_series_pixel_size: Angstrom per pixel of the tilt series.
        tomogram_center: The tomogram's middle as x, y, z in angstrom, instead of the project's.
        relion_version: ``"relion4"`` for coordinates in pixels although there are centred ones.
    """
    name = picks.run.name
    df = df[[label for label in df.columns if str(label).startswith("rln")]]
    df = df[df[RUN] == name] if RUN in df else df.assign(**{RUN: name})
    if df.empty:
        picks.from_numpy(np.zeros((0, 3)))
        return
    centred = CENTERED[0] in df and relion_version != "relion4"
    df = order_filament_rows(df.drop(columns=PIXELS if centred else CENTERED, errors="ignore"))
    size = tilt_series_pixel_size or picks.meta.voxel_spacing or 1.0
    if tilt_series_pixel_size is None and optics is not None and TILT_SERIES_SIZE in optics:
        sizes = optics[TILT_SERIES_SIZE]
        size = float(sizes.iloc[0])
        if GROUP in df and GROUP in optics:
            size = float(optics.set_index(GROUP)[TILT_SERIES_SIZE][df[GROUP].iloc[0]])
    frame = frame_of(picks.run)
    if tomogram_center is not None:
        x, y, z = (2 * part for part in tomogram_center)
        frame = Frame((z, y, x), 1.0)  # type: ignore[arg-type]  # of voxels of 1 Å: not all are whole
    with TemporaryDirectory() as folder:
        path = Path(folder) / "particles.star"
        with path.open("w", encoding="utf-8") as file:
            rows = ("\t".join(quoted(str(cell)) for cell in row) + "\n" for row in df.itertuples(index=False))
            write_block(file, "particles", [str(label) for label in df.columns], rows)
        (table,) = read_relion(str(path), frame=lambda run: frame, pixel_size=None if centred else size)
    picks.from_numpy(table.positions, table.transforms, instance_ids=table.instance_ids, scores=table.scores)
