"""``volume jobs`` and ``volume doctor``: what is in a volume, and what is wrong with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from copick_backend_volume.cli.frame import bar, bytes_text, job_as_json, opened, run_of, say, say_json
from copick_core.cli.parameters import examples, json_option
from copick_core.cli.words import count

if TYPE_CHECKING:
    from copick_backend_volume.root import CopickRunVolume


@examples("copick-core volume doctor volume", "copick-core volume doctor volume --repair")
@click.command
@click.argument("path")
@click.option("--stuck-hours", type=float, metavar="HOURS", help="Time without an update that counts as stuck; 6 by default.")
@click.option("--repair", "mend", is_flag=True, help="Repair what can be repaired without guessing, after asking.")
@click.option("-y", "--yes", is_flag=True, help="With --repair: do not ask.")
@json_option
@click.pass_context
def doctor(context: click.Context, path: str, stuck_hours: float | None, mend: bool, yes: bool, as_json: bool) -> None:
    """Look for everything that is wrong in the volume in folder PATH.

    Changes nothing without --repair. The exit code is 1 if errors remain.
    """
    from copick_backend_volume.doctor import STUCK_HOURS, examine
    from copick_backend_volume.repairs import problem_of
    from copick_core.cli.doctor import found_as_json, mended
    from copick_core.projects.doctor import Found

    root = opened(path, write=mend)
    layer = root.volume_layer
    hours = STUCK_HOURS if stuck_hours is None else stuck_hours
    with bar("examining", "job") as progress:
        findings = examine(root.volume, layer.jobs, stuck_hours=hours, progress=progress)
    found = [Found(layer.name, problem_of(root.volume, layer.jobs, finding)) for finding in findings]
    if not as_json:
        _show(found)
    if mend:
        left = mended(found, yes=yes)
        if left is not found and not as_json:
            _show(left)
        found = left
    errors = sum(item.problem.severity == "error" for item in found)
    if as_json:
        say_json([found_as_json(item) for item in found])
    else:
        say(f"{count(errors, 'error')}, {count(len(found) - errors, 'warning')}")
    context.exit(1 if errors else 0)


def _show(found: list[Any]) -> None:
    for item in found:
        problem = item.problem
        job = problem.key.name if problem.key else "-"
        mark = " (--repair mends it)" if problem.repair else ""
        say(f"{problem.severity:7}  {job:8}  {problem.id}: {problem.message}{mark}")


@examples("copick-core volume jobs volume", "copick-core volume jobs volume --job CC7651 --json")
@click.command
@click.argument("path")
@click.option("--job", metavar="ID", help="Print everything about this job.")
@json_option
def jobs(path: str, job: str | None, as_json: bool) -> None:
    """List the jobs of the volume in folder PATH; changes nothing."""
    root = opened(path)
    if job is not None:
        told = _details(run_of(root, job))
        if as_json:
            say_json(told)
        else:
            for name, value in told.items():
                say(f"{name:20}  {_shown(name, value)}".rstrip())
        return
    found = root.jobs()
    if as_json:
        say_json([job_as_json(each) for each in found])
        return
    if not found:
        say(f"there are no jobs in {path}", sys.stderr)
    for each in found:
        shape = "x".join(map(str, each.shape_zyx)) if each.shape_zyx else "-"
        status = each.status.name if each.status else each.status_text or "(not in the database)"
        updated = each.last_updated_at.isoformat(" ", "seconds") if each.last_updated_at else "-"
        say(f"{each.id:8}  {status:22}  {shape:>16}  {updated:19}  {each.name or ''}".rstrip())


def _details(run: CopickRunVolume) -> dict[str, Any]:
    """What is to be known about a job."""
    job, fresh, size = run.job, run.freshness(), run.voxel_size_info
    told = job_as_json(job) if job else {"job": run.name}
    return {
        **told,
        "voxel_size": size.angstrom if size.calibrated else None,
        "voxel_size_zyx": size.zyx,
        "uploads": run._volume.upload_names(run.name),
        "training_pairs": [pair.id for pair in run.training_pairs()],
        "unused_pairs": fresh.unused_pairs,
        "models": [model.id for model in run.models],
        "segmentations": run._volume.segmentation_ids(run.name),
        "latest_segmentation": fresh.latest_segmentation,
        "latest_mesh": fresh.latest_mesh,
        "bytes": run.disk_usage(),
    }


def _shown(name: str, value: Any) -> str:
    if name == "bytes":
        return ", ".join(f"{part} {bytes_text(size)}" for part, size in value.items() if size) or "-"
    if name == "uploads" and len(value) > 4:
        return f"{count(len(value), 'file')}: {', '.join(value[:2])} … {value[-1]}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
