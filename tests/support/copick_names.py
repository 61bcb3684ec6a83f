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
#: By module and name: where copick-core has it, and its arguments.
Names = Mapping[str, Mapping[str, tuple[str | None, list[str] | None]]]

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
    """The map: for each module of the released copick a table of its names."""
    present = sum(name in ours.get(module, {}) for module, names in theirs.items() for name in names)
    total = sum(map(len, theirs.values()))
    lines = [
        "",
        "Every public name that copick 2.0.0a6 defines, where it is here, and what differs. `copick.…` names are those of the",
        f"[drop-in](dropin.md), which has {present} of {total}, those of classes included; no released tool that we know uses",
        "one of the others. Arguments are the same where nothing is said.",
        "`python tests/support/copick_names.py` writes these tables, and a test compares them with both packages.",
        "",
    ]
    for module, names in sorted(theirs.items()):
        if not names:
            continue
        here = ours.get(module, {})
        lines += [f"### {module}", "", "| copick | drop-in | copick-core | what differs |", "| --- | --- | --- | --- |"]
        lines += [_row(module, name, names, here) for name in sorted(names) if "." not in name]
        lines.append("")
    return "\n".join(lines)


Known = Mapping[str, tuple[str | None, list[str] | None]]


def _row(module: str, name: str, names: Known, here: Known) -> str:
    if name not in here:
        instead = next(text for start, text in INSTEAD.items() if module == start or module.startswith(f"{start}."))
        return f"| `{name}` | no | {instead} | |"
    members = [member for member in names if member.startswith(f"{name}.")]
    missing = sorted(member.partition(".")[2] for member in members if member not in here)
    what = "yes" if not members else f"yes, and its {len(members)} members"
    if missing:
        what = f"yes; without {', '.join(f'`{m}`' for m in missing)}"
    home = here[name][0]
    place = f"`{home}`" if home else "only for old callers"
    found = {member: _difference(names[member][1], here[member][1]) for member in [name, *members] if member in here}
    differs = "; ".join(
        text if member == name else f"`{member.partition('.')[2]}`: {text}" for member, text in found.items() if text
    )
    return f"| `{name}` | {what} | {place} | {differs} |".replace("|  |", "| |")


def _difference(theirs: list[str] | None, ours: list[str] | None) -> str:
    """In words, how arguments differ; nothing where ours take all of theirs in the same order."""
    if theirs is None or ours is None:
        return ""
    named = [argument for argument in theirs if not argument.startswith("*")]
    mine = [argument for argument in ours if not argument.startswith("*")]
    if mine[: len(named)] == named:
        return ""
    lacking = [argument for argument in named if argument not in mine]
    more = [argument for argument in mine if argument not in named]
    if lacking and "**" not in ours:
        text = f"without {', '.join(f'`{argument}`' for argument in lacking)}"
        return f"{text}; has {', '.join(f'`{argument}`' for argument in more)}" if more else text
    shared = [argument for argument in named if argument in mine]
    in_order = [argument for argument in mine if argument in shared] == shared
    return "" if in_order else "arguments in another order"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from support.downstream import BY_NAME, environment

    pythons = [environment(kind, (BY_NAME["copick-utils"],)) for kind in ("reference", "dropin")]
    kept = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    PAGE.write_text(kept + BEGIN + page(*map(names_in, pythons)), encoding="utf-8")
