"""Options that commands of plugins share, and what their values mean."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _with(func: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        func = option(func)
    return func


def add_config_option(func: F) -> F:
    """Add ``--config``."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(exists=True),
        required=False,
        metavar="PATH",
        envvar="COPICK_CONFIG",
        show_envvar=True,
        help="Configuration of the project.",
    )(func)


def add_debug_option(func: F) -> F:
    """Add ``--debug/--no-debug``."""
    return click.option("--debug/--no-debug", default=False, show_default=True, help="Log more.")(func)


def add_run_names_option(func: F) -> F:
    """Add ``--run-names``."""
    return click.option(
        "--run-names", "-r", multiple=True, help="Run to work on; give it once for each run. All runs by default."
    )(func)


def add_deprecated_run_alias(*flags: str) -> Callable[[F], F]:
    """Add hidden names of ``--run-names`` that older scripts use; they arrive as ``legacy_run_names``."""
    return click.option(*flags, "legacy_run_names", multiple=True, hidden=True)


def add_create_overwrite_options(func: F) -> F:
    """Add ``--create`` and ``--overwrite``."""
    return _with(
        func,
        click.option("--create/--no-create", default=True, show_default=True, help="Make what is missing."),
        click.option("--overwrite/--no-overwrite", default=False, show_default=True, help="Replace what exists."),
    )


def add_run_options(func: F) -> F:
    """Add ``--run``, ``--run-regex`` and ``--run-name-prefix``."""
    return _with(
        func,
        click.option("--run", default="", show_default=True, help="Run; by default it is taken from the file's name."),
        click.option(
            "--run-regex", default="(.*)", show_default=True, help="Its first group, in a file's name, is the run's name."
        ),
        click.option("--run-name-prefix", default="", show_default=True, help="Goes before every run's name."),
    )


def add_volume_transform_options(func: F) -> F:
    """Add ``--transpose`` and ``--flip``."""
    return _with(
        func,
        click.option("--transpose", default=None, help='New order of the axes z, y, x, such as "2,1,0".'),
        click.option("--flip", default=None, help='Axes that are to run backwards, such as "0,2".'),
    )


def add_max_workers_option(func: F) -> F:
    """Add ``--max-workers``."""
    return click.option("--max-workers", type=int, default=4, show_default=True, help="Number of workers.")(func)


def add_user_session_options(func: F) -> F:
    """Add ``--user-id`` and ``--session-id``."""
    return _with(
        func,
        click.option("--user-id", default="copick", show_default=True, help="User of what is made."),
        click.option("--session-id", default="1", show_default=True, help="Session of what is made."),
    )


def add_pyramid_create_options(func: F) -> F:
    """Add ``--create-pyramid``, ``--pyramid-levels`` and ``--chunk-size``."""
    return _with(
        func,
        click.option("--create-pyramid/--no-create-pyramid", default=True, show_default=True, help="Write coarser levels."),
        click.option("--pyramid-levels", type=int, default=3, show_default=True, help="Number of levels."),
        click.option("--chunk-size", default="128,128,128", show_default=True, help="Chunk shape z,y,x."),
    )


def add_export_common_options(func: F) -> F:
    """Add ``--output-dir``."""
    return click.option(
        "--output-dir",
        required=True,
        type=click.Path(file_okay=False, dir_okay=True),
        metavar="PATH",
        help="Folder to write to.",
    )(func)


def add_pyramid_export_options(func: F) -> F:
    """Add ``--level``, ``--compression`` and ``--copy-all-levels``."""
    return _with(
        func,
        click.option("--level", type=int, default=0, show_default=True, help="Level to export; 0 is the finest."),
        click.option(
            "--compression",
            type=click.Choice(["lzw", "zlib", "jpeg", "none"], case_sensitive=False),
            default=None,
            help="Compression of TIFF files.",
        ),
        click.option("--copy-all-levels/--level-only", default=True, show_default=True, help="Levels of exported zarr."),
    )


def resolve_run_names(
    run_names: Iterable[str] = (),
    legacy_run_names: Iterable[str] = (),
    *,
    legacy_flag: str | None = None,
    logger: logging.Logger | None = None,
) -> list[str] | None:
    """The runs that the options name.

    Args:
        run_names: Values of ``--run-names``; a value with commas names several runs.
        legacy_run_names: Values of an older option; they follow.
        legacy_flag: That option, for the warning.
        logger: Warns of the older option and of commas.

    Returns:
        Names; None for all runs.
    """
    values = [*(run_names or ()), *(legacy_run_names or ())]
    if logger is not None and legacy_run_names:
        logger.warning(f"{legacy_flag or 'This option'} is deprecated: use --run-names.")
    if logger is not None and any("," in value for value in values):
        logger.warning("Run names with commas are deprecated: give --run-names once for each run.")
    names: list[str] = []
    for value in values:
        names += [part.strip() for part in value.split(",") if part.strip()] if "," in value else [value]
    return names or None


def resolve_deprecated_option(
    primary: Any, legacy: Any, *, old_flag: str, new_flag: str, logger: logging.Logger | None = None
) -> Any:
    """The value of an option that has been renamed.

    Args:
        primary: Value of the new option.
        legacy: Value of the old option; used if it is not None.
        old_flag: The old option.
        new_flag: The new option.
        logger: Warns if the old one is used.
    """
    if legacy is None:
        return primary
    if logger is not None:
        logger.warning(f"{old_flag} is deprecated: use {new_flag}.")
    return legacy


def resolve_tomogram_uri(
    uri: str | None,
    tomo_alg: str | None,
    voxel_size: float | None,
    *,
    default_vs: float = 10.0,
    logger: logging.Logger | None = None,
) -> str:
    """The URI of tomograms, from it or from the two options that it replaces.

    Raises:
        click.UsageError: None of them is given.
    """
    if uri:
        return uri
    if not tomo_alg:
        raise click.UsageError("Give the URI of the tomograms, such as wbp@10.0.")
    if logger is not None:
        logger.warning("The algorithm and voxel size of tomograms are deprecated: give their URI.")
    return f"{tomo_alg}@{default_vs if voxel_size is None else voxel_size}"
