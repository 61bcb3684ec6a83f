"""A large dataset for measuring: rows only, no files."""

from __future__ import annotations

from support.portal_loopback.portal import LoopbackPortal

DATASET = 10003
OBJECTS = tuple(f"GO:{n:07d}" for n in range(1, 6))
PROCESSINGS = ("raw", "denoised", "filtered")


def fill(portal: LoopbackPortal, runs: int = 400, tomograms: int = 3, annotations: int = 5) -> LoopbackPortal:
    """Add a dataset of many runs, each with one spacing, some tomograms and some annotations with two shapes."""
    add = portal.database.add
    add("Dataset", id=DATASET, title="bulk")
    folder = "s3://cryoet-data-portal-public/10003"
    for n in range(runs):
        run = 20000 + n
        spacing = 30000 + n
        add("Run", id=run, name=f"bulk_{n:04d}", datasetId=DATASET)
        add("TomogramVoxelSpacing", id=spacing, runId=run, voxelSpacing=10.0)
        for t in range(tomograms):
            number = 100000 + n * tomograms + t
            add(
                "Tomogram",
                id=number,
                runId=run,
                tomogramVoxelSpacingId=spacing,
                voxelSpacing=10.0,
                reconstructionMethod="WBP",
                processing=PROCESSINGS[t % 3],
                s3OmezarrDir=f"{folder}/{run}/{number}.zarr",
            )
            add("TomogramAuthor", id=number, tomogramId=number, name="Alice Author", authorListOrder=1)
        for a in range(annotations):
            number = 200000 + n * annotations + a
            add("Annotation", id=number, runId=run, objectId=OBJECTS[a % 5], objectName=f"object {a % 5}")
            for author in range(2):
                add(
                    "AnnotationAuthor",
                    id=number * 2 + author,
                    annotationId=number,
                    name=f"Author {author}",
                    authorListOrder=author,
                )
            for s, (shape, suffix) in enumerate((("Point", "ndjson"), ("SegmentationMask", "zarr"))):
                add("AnnotationShape", id=number * 2 + s, annotationId=number, shapeType=shape)
                add(
                    "AnnotationFile",
                    id=number * 2 + s,
                    annotationShapeId=number * 2 + s,
                    tomogramVoxelSpacingId=spacing,
                    format=suffix,
                    s3Path=f"{folder}/{run}/{number}.{suffix}",
                )
    return portal
