"""The map of copick's names in ``docs/from-copick-1.md``. Run as a program it writes that part of the page."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from support.environments import REPOSITORY

PAGE = REPOSITORY / "docs" / "from-copick-1.md"
#: Where the map begins; it is the last part of the page.
BEGIN = "## Every name\n"
_SCRIPT = Path(__file__).with_name("reference_scripts") / "public_names.py"
#: By name: where copick-core has it, its arguments, and those that it does not use.
Known = Mapping[str, tuple[str | None, list[str] | None, list[str]]]
#: The same by module.
Names = Mapping[str, Known]

#: What to use for what the drop-in does not have, by module, or by its full name.
INSTEAD = {
    "copick.cli.config": "the drop-in reads `--objects` itself",
    "copick.cli.grouped_cli": "`GroupedCommandGroup`",
    "copick.cli.info": "`copick.cli.ext.get_plugin_command_sources`",
    "copick.cli.make_cli_docs": "a tool of copick's own documentation",
    "copick.cli.make_templates": "`copick-core new-config`",
    "copick.impl.cryoet_data_portal": "metadata are in `meta` of each entity; the cache is `copick-core portal-cache`",
    "copick.impl.filesystem": "`copick_core.tree.layout`",
    "copick.impl.mlcroissant": "nothing: use the released copick",
    "copick.models": "checks of pydantic models, under other names",
    "copick.ops._markdown": "`copick-core show`",
    "copick.ops.add": "`add_tomogram_from_file`",
    "copick.ops.browser": "`copick-core tree`, `copick browse`",
    "copick.ops.croissant": "nothing: use the released copick",
    "copick.ops.deposit": "`deposit`",
    "copick.ops.export": "`copick.ops.export.export_picks`, `copick_core.export_picks`, `copick_core.export_volumes`",
    "copick.ops.manage": "the functions without a suffix work on all runs",
    "copick.util.formats": "[file formats](import-and-export.md) of copick-formats",
    "copick.util.handlers": "[plugins](writing-a-plugin.md) of group `copick.formats`",
    "copick.util.ome": "`copick_core.volumes.ome`",
    "copick.util.ontology": "nothing",
    "copick.util.path_util": "`copick_core.import_tomograms`, which names runs by `run_regex`",
    "copick.util.portal": "`copick_core.from_czcdp_datasets`",
    "copick.util.reconnecting_fs": "the file system backend reconnects by itself",
    "copick.util.relion": "`copick_formats.relion`, `copick_formats.relion_helical`",
    "copick.util.segmentation": "`copick_core.tree.keys`, `copick_core.tree.layout`, `copick_core.volumes.labels`",
    "copick.util.store": "`entity.zarr()`",
    "copick.util.sync": "`copick.ops.sync`, `copick-core sync`",
    "copick.util.zarr_copy": "`copick_core.projects.copying`",
}
#: What in copick-core does what names of the drop-in do that adapt it, by full name, or by module.
AT = {
    "copick.COPICK_TYPES": "the classes of `copick_core.models`",
    "copick.cli.cli": "`copick-core`; commands are [plugins](writing-a-plugin.md) of group `copick_core.commands`",
    "copick.cli.ext": "`copick-core plugins`, `copick_core.plugins.commands`",
    "copick.cli.grouped_cli": "`copick-core --help`",
    "copick.cli.types": "`copick_tools.commands.options.ADDRESS`",
    "copick.cli.util": "`copick_core.cli.parameters`, `copick_tools.commands.options`",
    "copick.from_croissant": "nothing: use the released copick",
    "copick.from_czcdp_datasets": "`copick_core.from_czcdp_datasets`",
    "copick.from_file": "`copick_core.from_file`, `copick_core.open`",
    "copick.from_string": "`copick_core.from_string`, `copick_core.open`",
    "copick.models.COPICK_TYPES": "the classes of `copick_core.models`",
    "copick.models.PANOPTIC_CHANNELS": "`copick_core.models.PANOPTIC_CHANNELS`",
    "copick.new_config": "`copick_core.new_config`",
    "copick.ops._markdown": "`copick-core show`",
    "copick.ops.add.add_features": "`copick_core.models.CopickFeatures.from_numpy`",
    "copick.ops.add.add_object": "`copick_core.models.CopickRoot.new_object`, `copick-core add object`",
    "copick.ops.add.add_object_volume": "`from_numpy` and `import_volume` of `copick_core.models.CopickObject`",
    "copick.ops.add.add_picks": "`copick_core.import_picks`",
    "copick.ops.add.add_picks_from_file": "`copick_core.import_picks`",
    "copick.ops.add.add_picks_grouped_from_file": "`copick_core.import_picks`",
    "copick.ops.add.add_run": "`copick_core.models.CopickRoot.new_run`",
    "copick.ops.add.add_segmentation": "`copick_core.models.CopickSegmentation.import_volume`",
    "copick.ops.add.add_segmentation_from_file": "`copick_core.models.CopickSegmentation.import_volume`",
    "copick.ops.add.add_tomogram": "`copick_core.models.CopickTomogram.from_numpy`",
    "copick.ops.add.add_tomogram_from_file": "`copick_core.import_tomogram`, `copick_core.import_tomograms`",
    "copick.ops.add.add_voxelspacing": "`copick_core.models.CopickRun.new_voxel_spacing`",
    "copick.ops.add.get_or_create_run": "`copick_core.models.CopickRoot.new_run` with `exist_ok=True`",
    "copick.ops.add.get_or_create_voxelspacing": "`copick_core.models.CopickRun.new_voxel_spacing` with `exist_ok=True`",
    "copick.ops.browser": "`copick-core browse`, `copick_tools.browsing.app.Browser`",
    "copick.ops.croissant": "nothing: use the released copick",
    "copick.ops.deposit": "`copick_tools.deposits.deposit`, `copick-core deposit`",
    "copick.ops.export.export_segmentation": "`copick_core.export_volumes`",
    "copick.ops.export.export_tomogram": "`copick_core.export_volumes`",
    "copick.ops.export": "`copick_core.export_picks`, `copick_core.export_filaments`, `copick_core.export_volumes`",
    "copick.ops.get": "`copick_core.overlay.CopickRootOverlay.table`, `copick_core.overlay.CopickRootOverlay.prefetch`",
    "copick.ops.manage.copy_copick_objects": "`copick_tools.transfers.copy`, `copick-core cp`",
    "copick.ops.manage.copy_copick_objects_batch": "`copick_tools.transfers.copy`, `copick-core cp`",
    "copick.ops.manage.copy_copick_objects_per_run": "`copick_tools.transfers.copy`, `copick-core cp`",
    "copick.ops.manage.move_copick_objects": "`copick_tools.transfers.move`, `copick-core mv`",
    "copick.ops.manage.move_copick_objects_batch": "`copick_tools.transfers.move`, `copick-core mv`",
    "copick.ops.manage.move_copick_objects_per_run": "`copick_tools.transfers.move`, `copick-core mv`",
    "copick.ops.manage": "`copick_tools.deletions.delete`, `copick-core rm`",
    "copick.ops.open.from_croissant": "nothing: use the released copick",
    "copick.ops.open.from_czcdp_datasets": "`copick_core.from_czcdp_datasets`",
    "copick.ops.open.from_file": "`copick_core.from_file`, `copick_core.open`",
    "copick.ops.open.from_string": "`copick_core.from_string`, `copick_core.open`",
    "copick.ops.open.new_config": "`copick_core.new_config`",
    "copick.ops.run": "`copick_core.map_runs`, whose report says what failed",
    "copick.ops.stats": "`copick_tools.stats.stats`, `copick-core stats`",
    "copick.ops.sync": "`copick_tools.transfers.sync`, `copick-core sync`",
    "copick.util.escape": "`copick_core.tree.names.sanitize_name`",
    "copick.util.filaments": "`copick_core.filaments.kinds`",
    "copick.util.formats.euler_to_matrix": "`copick_formats.rotations.matrices`",
    "copick.util.formats.matrix_to_euler": "`copick_formats.rotations.angles`",
    "copick.util.formats.read_em_volume": "`copick_formats.em.read_em`",
    "copick.util.formats.read_picks_csv": "`copick_formats.copick_tables.read_csv`",
    "copick.util.formats.read_tiff_volume": "`copick_formats.tiff.read_tiff`",
    "copick.util.formats.write_em_volume": "`copick_formats.volume_writing.write_em`",
    "copick.util.formats.write_picks_csv": "`copick_formats.copick_tables.write_csv`",
    "copick.util.formats.write_tiff_volume": "`copick_formats.volume_writing.write_tiff`",
    "copick.util.formats": "`copick_formats.relion`, `copick_formats.relion_writing`, `copick_formats.relion_tomograms`",
    "copick.util.log": "`logging.getLogger`",
    "copick.util.ome": "`copick_core.volumes.ome`, `copick_core.volumes.multiscales`",
    "copick.util.ontology": "nothing",
    "copick.util.relion": "`copick_formats.relion_writing`, `copick_formats.relion_helical`",
    "copick.util.segmentation": "`copick_core.tree.keys`, `copick_core.tree.layout`, `copick_core.volumes.labels`",
    "copick.util.sync": "`copick-core sync`",
    "copick.util.uri": "`copick_core.tree.addresses`, `copick_core.projects.selection`",
}
#: What to use for members of classes that the drop-in does not have; the checks of pydantic models are told by their names.
MEMBERS_INSTEAD = {
    "CopickRootCDP.datasets": "use `dataset_ids`",
    "CopickSegmentationCDP.portal_segmentation_id": "use `meta.portal_annotation_file_id`",
    "CopickTomogramCDP.portal_tomo": "use `meta.portal_tomo_id`, `meta.portal_metadata`",
    "CopickObjectOverlay.has_density_map": "in `copick.models.CopickObject`",
    "CopickRunOverlay.split": "in `copick.models.CopickRun`",
}

#: What becomes of arguments that a name takes without naming them (``*``, ``**``), by member or full name.
FURTHER = {
    "add_deprecated_run_alias": "used: flags of the option",
    "append_croissant": "refused: every call is, there is no mlcroissant",
    "df": "used: those of `copick.util.relion.picks_to_df_relion`; others are refused",
    "export_croissant": "refused: every call is, there is no mlcroissant",
    "from_croissant": "refused: every call is, there is no mlcroissant",
    "from_czcdp_datasets": "used: fields of the configuration, such as `graphql_url`; others are refused",
    "from_df": "used: those of `copick.util.relion.relion_df_to_picks`; others are refused",
    "from_numpy": "used: layout of the volume, such as `format` and `chunks`; others are refused",
    "get_copick_objects_by_type": "used: filters, which are the keys of `parse_copick_uri`; others are refused",
    "get_meshes": "used: filters of the portal; others are refused",
    "get_picks": "used: filters of the portal, which change nothing elsewhere, as in copick; others are refused",
    "get_run": "used: metadata of the handle, which nothing stores; on the portal also `portal_run_name` and `dataset_id`",
    "get_segmentations": "used: filters of the portal, which change nothing elsewhere, as in copick; others are refused",
    "get_tomograms": "used: filters of the portal, which change nothing elsewhere, as in copick; others are refused",
    "get_voxel_spacing": "used: metadata of the handle, which nothing stores",
    "map_runs": "used: arguments of every call",
    "new_features": "used: metadata of the handle, which nothing stores",
    "new_filaments": "used: what the polylines have, such as `scores` and `radii`; others are refused",
    "new_mesh": "used: metadata of the handle, which nothing stores",
    "new_run": "used: metadata of the handle, which nothing stores",
    "new_segmentation": "used: metadata of the handle, which nothing stores",
    "new_tomogram": "used: metadata of the handle, which nothing stores",
    "new_voxel_spacing": "used: metadata of the handle, which nothing stores",
    "set_splits": "refused: every call is, there is no mlcroissant",
}
#: Arguments that change nothing, and why.
WITHOUT_EFFECT = {
    "log": "what cannot be done is raised or returned, and nothing else is logged",
    "max_workers": "copies are planned together and made one after the other, so that one that fails stops the rest",
    "n_workers": "a link takes no time",
    "parallel": "the lists of all runs are loaded together without it",
    "relion_version": "the columns of the file say it",
    "show_progress": "there is nothing to wait for",
    "tomogram_dimensions": "the sizes are those of the project's tomograms",
    "workers": "lists are loaded together; copies, moves and deletions are checked together and made one after the other",
}


def names_in(python: Path) -> Names:
    """The public names of the copick in an environment."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "names.json"
        done = subprocess.run(
            [str(python), "-W", "ignore", str(_SCRIPT), str(out)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(done.stderr)
        found: Names = json.loads(out.read_text())
        return found


def written() -> str:
    """The map as it stands in the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2]


def page(theirs: Names, ours: Names) -> str:
    """The map: what becomes of arguments, then for each module of the released copick a table of its names."""
    present = sum(name in ours.get(module, {}) for module, names in theirs.items() for name in names)
    total = sum(map(len, theirs.values()))
    lines = [
        "",
        "Every public name that copick 2.0.0a6 defines, where it is here, and what differs. `copick.…` names are those of the",
        f"[drop-in](dropin.md), which has {present} of {total}, those of classes included; no released tool that we know uses",
        "one of the others. Arguments are the same where nothing is said.",
        "`python tests/support/copick_names.py` writes these tables, and a test compares them with both packages.",
        "",
        *_arguments(theirs, ours),
    ]
    for module, names in sorted(theirs.items()):
        if not names:
            continue
        here = ours.get(module, {})
        lines += [f"### {module}", "", "| copick | drop-in | copick-core | what differs |", "| --- | --- | --- | --- |"]
        lines += [_row(module, name, names, here) for name in sorted(names) if "." not in name]
        lines.append("")
    return "\n".join(lines)


def _arguments(theirs: Names, ours: Names) -> list[str]:
    """Tables of what becomes of arguments that the drop-in takes without naming them, and of those that change nothing.

    Raises:
        AssertionError: One of them is not decided, or something is decided that there is not.
    """
    further: dict[str, set[str]] = {}
    without: dict[str, set[str]] = {}
    for module, names in theirs.items():
        for name in names:
            _, arguments, unused = ours.get(module, {}).get(name, (None, None, []))
            member = name.rpartition(".")[2]
            if {"*", "**"} & {*(arguments or ())} and member != "json":  # of pydantic, in both
                further.setdefault(member, set()).add(module)
            for argument in unused:
                without.setdefault(argument, set()).add(f"`{module}.{name}`")
    assert further.keys() == FURTHER.keys(), f"arguments are not decided: {further.keys() ^ FURTHER.keys()}"
    assert without.keys() == WITHOUT_EFFECT.keys(), f"arguments are not decided: {without.keys() ^ WITHOUT_EFFECT.keys()}"
    lines = ["### Arguments that are not named", "", "Each is used, ignored or refused; none is dropped without a word here."]
    lines += ["", "| name | in | further arguments are |", "| --- | --- | --- |"]
    lines += [
        f"| `{name}` | {', '.join(f'`{m}`' for m in sorted(further[name]))} | {FURTHER[name]} |" for name in sorted(further)
    ]
    lines += ["", "### Arguments without effect", "", "| argument | of | why |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {', '.join(sorted(without[name]))} | {WITHOUT_EFFECT[name]} |" for name in sorted(without)]
    return [*lines, ""]


def _row(module: str, name: str, names: Known, here: Known) -> str:
    if name not in here:
        instead = next(text for start, text in INSTEAD.items() if module == start or module.startswith(f"{start}."))
        return f"| `{name}` | no | {instead} | |"
    members = [member for member in names if member.startswith(f"{name}.")]
    missing = sorted(member for member in members if member not in here)
    what = "yes" if not members else f"yes, and its {len(members)} members"
    if missing:
        what = "yes; without " + ", ".join(f"`{member.partition('.')[2]}`" for member in missing)
    home = here[name][0]
    place = f"`{home}`" if home else AT.get(f"{module}.{name}") or AT[module]
    found = {member: _difference(names[member][1], here[member]) for member in [name, *members] if member in here}
    checks = [member for member in missing if member.rpartition(".")[2].startswith(("validate_", "none_to_"))]
    found |= {member: MEMBERS_INSTEAD[member] for member in missing if member not in checks}
    texts = [text if member == name else f"`{member.partition('.')[2]}`: {text}" for member, text in found.items() if text]
    differs = "; ".join([*texts, *["checks have other names; only pydantic calls them"] * bool(checks)])
    return f"| `{name}` | {what} | {place} | {differs} |".replace("|  |", "| |")


def _difference(theirs: list[str] | None, here: tuple[str | None, list[str] | None, list[str]]) -> str:
    """In words, how arguments differ; nothing where ours take and use all of theirs in the same order."""
    _, ours, unused = here
    if theirs is None or ours is None:
        return ""
    parts = []
    if unused:
        parts.append(f"no effect of {', '.join(f'`{argument}`' for argument in unused)}")
    named = [argument for argument in theirs if not argument.startswith("*")]
    mine = [argument for argument in ours if not argument.startswith("*")]
    if mine[: len(named)] != named:
        lacking = [argument for argument in named if argument not in mine]
        more = [argument for argument in mine if argument not in named]
        if lacking and ours == ["*", "**"]:
            parts.append("every call is refused")
        elif lacking:
            parts.append(f"without {', '.join(f'`{argument}`' for argument in lacking)}")
            parts += [f"has {', '.join(f'`{argument}`' for argument in more)}"] * bool(more)
        else:
            shared = [argument for argument in mine if argument in named]
            parts += ["arguments in another order"] * (shared != named)
    return "; ".join(parts)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from support.downstream import BY_NAME, environment

    pythons = [environment(kind, (BY_NAME["copick-utils"],)) for kind in ("reference", "dropin")]
    kept = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    PAGE.write_text(kept + BEGIN + page(*map(names_in, pythons)), encoding="utf-8")
