"""Makes configurations of projects on datasets, for ``copick-core new-config cryoet_data_portal``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from copick_core.cli.parameters import json_object


@click.option("--dataset-id", "dataset_ids", type=int, multiple=True, help="A dataset; repeatable.")
@click.option(
    "--deposition-id", "deposition_ids", type=int, multiple=True, help="All datasets with data of this deposition; repeatable."
)
@click.option("--overlay-root", metavar="LOCATION", help="Folder or URL to write to; without it the project is only read.")
@click.option("--overlay-fs-args", type=json_object, metavar="JSON", help="Arguments of the overlay's fsspec filesystem.")
@click.option("--graphql-url", metavar="URL", help="Address of the portal, if not the public one.")
@click.option("--s3-endpoint-url", metavar="URL", help="Address of the S3 service with the portal's files, if not AWS.")
def new_config(
    dataset_ids: Sequence[int] = (), overlay_root: str | None = None, deposition_ids: Sequence[int] = (), **options: Any
) -> Mapping[str, Any]:
    """Write the configuration of a project on datasets of the CryoET Data Portal, with an object for all annotated things."""
    from copick_backend_portal.objects import datasets_of
    from copick_backend_portal.objects import new_config as configuration

    if not dataset_ids and not deposition_ids:
        raise click.UsageError("Give a --dataset-id or a --deposition-id.")
    given = {name: value for name, value in options.items() if value is not None}
    if deposition_ids:
        dataset_ids = sorted({*dataset_ids, *datasets_of(deposition_ids, **given)})
    return configuration(dataset_ids, None, **given).model_dump(mode="json") | {"overlay_root": overlay_root}
