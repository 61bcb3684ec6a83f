"""The command ``volume``: results go to standard output, progress and errors to standard error."""

from __future__ import annotations

import click

from copick_backend_volume.cli.looking import doctor, jobs
from copick_backend_volume.cli.making import annotate, convert, mesh, publish, upload
from copick_backend_volume.cli.mending import cleanup, rename, restore, set_status


@click.group
def volume() -> None:
    """Look after the shared volume of a segmentation web app, beside the app or without it."""


for _command in (upload, convert, annotate, publish, mesh, jobs, doctor, restore, set_status, rename, cleanup):
    volume.add_command(_command)
