"""``copick config``."""

from __future__ import annotations

from typing import Any

import click

from copick.cli import util
from copick.cli.projects import one_line_errors


@click.group(no_args_is_help=True)
def config() -> None:
    """Make configurations of projects."""


@config.command("filesystem", short_help="Make a project on a file system.")
@click.option("--overlay-root", required=True, help="Folder of the project's data.")
@click.option("--objects", multiple=True, help="name,is_particle,[radius],[pdb_id]; give it once for each object.")
@click.option("--config", default="config.json", show_default=True, help="File to write.")
@click.option("--proj-name", default="copick project", show_default=True, help="Name of the project.")
@click.option("--proj-description", default="Config Project for SessionXXa", help="Description of the project.")
@util.add_debug_option
@one_line_errors
def filesystem(
    overlay_root: str, objects: tuple[str, ...], config: str, proj_name: str, proj_description: str, debug: bool
) -> None:
    """Write the configuration of a new project on a file system."""
    from copick.models import PickableObject
    from copick.ops.open import new_config

    made = []
    for label, text in enumerate(objects, 1):
        name, is_particle, radius, pdb_id = ([part.strip() for part in text.split(",")] + [""] * 4)[:4]
        if is_particle.lower() not in ("true", "false"):
            raise click.BadParameter(f"{text!r}: the second part is True or False", param_hint="--objects")
        fields: dict[str, Any] = {"radius": float(radius) if radius else None, "pdb_id": pdb_id or None}
        made.append(PickableObject(name=name, is_particle=is_particle.lower() == "true", label=label, **fields))
    new_config(config, overlay_root, proj_name, proj_description, made)
    click.echo(f"{config}: written", err=True)


@config.command("dataportal", short_help="Make a project on datasets of the CryoET Data Portal.")
@click.option("-ds", "--dataset-id", type=int, multiple=True, required=True, help="A dataset; may be repeated.")
@click.option("--overlay", required=True, help="Folder of your annotations.")
@click.option("--output", default="config.json", show_default=True, help="File to write.")
@util.add_debug_option
@one_line_errors
def dataportal(dataset_id: tuple[int, ...], overlay: str, output: str, debug: bool) -> None:
    """Write the configuration of a project on datasets of the CryoET Data Portal."""
    from copick.ops.open import from_czcdp_datasets

    from_czcdp_datasets([*dataset_id], overlay, overlay_fs_args={"auto_mkdir": True}, output_path=output)
    click.echo(f"{output}: written", err=True)


def _of_croissant(name: str, summary: str) -> click.Command:
    @click.pass_context
    def refuse(context: click.Context, arguments: tuple[str, ...]) -> None:
        message = f"copick config {name} needs mlcroissant, which the drop-in does not have: use the released copick."
        raise click.ClickException(message)

    anything = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    settings = {"ignore_unknown_options": True}
    return click.Command(name, callback=refuse, params=[anything], help=summary, context_settings=settings)


for _name, _summary in (
    ("mlcroissant", "Make a project on a Croissant dataset (not in the drop-in)."),
    ("export-croissant", "Export a project as a Croissant dataset (not in the drop-in)."),
    ("append-croissant", "Add to a Croissant dataset (not in the drop-in)."),
    ("set-splits", "Edit the splits of a Croissant dataset (not in the drop-in)."),
):
    config.add_command(_of_croissant(_name, _summary))
