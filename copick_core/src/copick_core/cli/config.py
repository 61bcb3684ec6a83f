"""``copick-core config``: make the configuration of a new project."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds one subcommand for each kind of project."""
    kinds = parser.add_subparsers(title="kinds", metavar="KIND", required=True)
    portal = kinds.add_parser(
        "dataportal", help="on datasets of the CryoET Data Portal, with an object for all that is annotated"
    )
    portal.add_argument("--dataset-id", type=int, action="append", required=True, help="a dataset; may be given several times")
    portal.add_argument("--overlay-root", help="folder or URL for your annotations; without it the project is only read")
    portal.add_argument("--output", default="config.json", help="file to write (default: config.json)")
    portal.add_argument("--user-id", help="user whose annotations are made by default")
    portal.add_argument("--session-id", help="session of that user")
    portal.add_argument("--graphql-url", help="address of the portal, if not the public one")
    portal.add_argument("--s3-endpoint-url", help="address of the S3 service with the portal's files, if not AWS")


def run(args: argparse.Namespace) -> int:
    """Asks the portal what is annotated, and writes the configuration."""
    import copick_core

    options = {"graphql_url": args.graphql_url, "s3_endpoint_url": args.s3_endpoint_url}
    root = copick_core.from_czcdp_datasets(
        args.dataset_id,
        args.overlay_root,
        user_id=args.user_id,
        session_id=args.session_id,
        output_path=args.output,
        **{name: value for name, value in options.items() if value is not None},
    )
    print(f"{args.output}: {len(root.pickable_objects)} objects")
    for obj in root.pickable_objects:
        print(f"  {obj.label:>3}  {obj.name}  {'particle' if obj.is_particle else 'segmentation'}  {obj.meta.identifier}")
    return 0
