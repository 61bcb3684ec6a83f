"""What the small portal holds: two usual datasets, and one of odd rows.

* 10001: runs 501 (everything), 502 (one tomogram, one picks file), 503 (no reconstruction)
* 10002: run 601, named as 501 is, and 602
* 10009: run 901, whose rows are odd in every way that the portal's have been
"""

from __future__ import annotations

import numpy as np

from support.portal_loopback.portal import LoopbackPortal

RIBOSOME, MEMBRANE, FERRITIN = "GO:0022626", "GO:0016020", "GO:0070288"
NAMES = {RIBOSOME: "Cytosolic Ribosome", MEMBRANE: "membrane", FERRITIN: "ferritin complex"}
VOLUME = np.arange(32**3, dtype=np.float32).reshape(32, 32, 32)
LABELS = (VOLUME > 20000).astype(np.uint8)
TURN = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def fill(portal: LoopbackPortal) -> LoopbackPortal:
    """Put the small portal's rows and files in place."""
    _runs(portal)
    _tomograms(portal)
    _annotations(portal)
    _odd(portal)
    return portal


def _runs(portal: LoopbackPortal) -> None:
    add = portal.database.add
    for dataset in (10002, 10001, 10009):
        add("Dataset", id=dataset, title=f"Dataset {dataset}", depositionId=1)
    # Not in the order of their ids, as on the portal.
    for run, dataset, name in (
        (602, 10002, "TS_100"),
        (502, 10001, "TS_002"),
        (501, 10001, "TS_001"),
        (503, 10001, "TS_003"),
        (601, 10002, "TS_001"),
        (901, 10009, "odd"),
    ):
        add("Run", id=run, name=name, datasetId=dataset)
    for spacing, run, size in ((802, 501, 4.9896543), (801, 501, 7.84), (803, 502, 7.84), (804, 601, 10.0), (809, 901, 10.0)):
        add("TomogramVoxelSpacing", id=spacing, runId=run, voxelSpacing=size)


def tomogram(portal: LoopbackPortal, tomogram_id: int, run: int, spacing: int, **fields: object) -> None:
    """One tomogram and its files."""
    size = next(r["voxelSpacing"] for r in portal.database.tables["TomogramVoxelSpacing"] if r["id"] == spacing)
    key = f"d/{run}/Reconstructions/VoxelSpacing{size:.3f}/Tomograms/{tomogram_id}/{run}.zarr"
    values = {
        "reconstructionMethod": "WBP",
        "processing": "raw",
        "reconstructionSoftware": "IMOD",
        "fiducialAlignmentStatus": "FIDUCIAL",
        "s3OmezarrDir": portal.s3.put_volume(key, VOLUME + tomogram_id, size),
        "releaseDate": "2024-02-01T00:00:00+00:00",
        **fields,
    }
    portal.database.add(
        "Tomogram", id=tomogram_id, runId=run, tomogramVoxelSpacingId=spacing, voxelSpacing=size, depositionId=1, **values
    )
    for order, name in enumerate(("Alice Author", "Bob Builder")[: 1 + tomogram_id % 2], 1):
        portal.database.add(
            "TomogramAuthor", id=tomogram_id * 10 + order, tomogramId=tomogram_id, name=name, authorListOrder=order
        )


def _tomograms(portal: LoopbackPortal) -> None:
    tomogram(portal, 701, 501, 801, alignmentId=51)
    tomogram(
        portal,
        702,
        501,
        801,
        alignmentId=52,
        processing="denoised",
        processingSoftware="Topaz-Denoise v0.2",
        isPortalStandard=True,
    )
    tomogram(
        portal, 703, 501, 801, processing="denoised", processingSoftware="Topaz-Denoise v0.2", isVisualizationDefault=True
    )
    tomogram(
        portal,
        704,
        501,
        802,
        reconstructionMethod="SIRT",
        processing="filtered",
        processingSoftware="imod/Tomo3D",
        ctfCorrected=True,
    )
    tomogram(portal, 705, 502, 803, reconstructionMethod="Fourier_Space", processing="filtered_even")
    tomogram(portal, 706, 601, 804)


def annotation(portal: LoopbackPortal, annotation_id: int, run: int, object_id: str, **fields: object) -> None:
    """One annotation with its authors."""
    portal.database.add(
        "Annotation",
        **{
            "id": annotation_id,
            "runId": run,
            "objectId": object_id,
            "objectName": NAMES.get(object_id, object_id),
            "annotationMethod": "template matching",
            "methodType": "automated",
            "depositionDate": "2024-01-15T00:00:00+00:00",
            **fields,
        },
    )
    for order, name in enumerate(("Alice Author", "Bob Builder")[: 1 + annotation_id % 2], 1):
        portal.database.add(
            "AnnotationAuthor", id=annotation_id * 10 + order, annotationId=annotation_id, name=name, authorListOrder=order
        )


def file(
    portal: LoopbackPortal, file_id: int, annotation_id: int, shape: str, spacing: int | None, path: str, fmt: str = "ndjson"
) -> None:
    """One file of an annotation, with a shape of its own."""
    portal.database.add("AnnotationShape", id=file_id + 5000, annotationId=annotation_id, shapeType=shape)
    portal.database.add(
        "AnnotationFile",
        id=file_id,
        annotationShapeId=file_id + 5000,
        tomogramVoxelSpacingId=spacing,
        format=fmt,
        s3Path=path,
        alignmentId=51 if file_id == 1001 else None,
        source="dataset_author",
    )


def _location(x: float, y: float, z: float) -> dict[str, float]:
    return {"x": x, "y": y, "z": z}


def points(count: int) -> list[dict[str, object]]:
    """Points as the portal writes them: locations in voxels."""
    return [{"type": "point", "location": _location(i + 1.0, 2.0, 3.0)} for i in range(count)]


def _annotations(portal: LoopbackPortal) -> None:
    put, folder = portal.s3, "d/501/Annotations"
    annotation(portal, 303, 501, RIBOSOME, annotationPublication="", isCuratorRecommended=False)
    annotation(portal, 301, 501, RIBOSOME, annotationPublication="10.1/x, EMD-11638,PDB-4V4R", isCuratorRecommended=True)
    annotation(portal, 302, 501, MEMBRANE, methodType="manual", annotationSoftware="Amira", confidencePrecision=0.9)
    annotation(portal, 304, 501, FERRITIN)
    annotation(portal, 305, 502, RIBOSOME, annotationPublication="EMD-1")
    annotation(portal, 306, 501, "UniProtKB:P12345", objectName="unlisted")
    file(portal, 1001, 301, "Point", 801, put.put_points(f"{folder}/301/ribosome-1.0_point.ndjson", points(3)))
    oriented = [{"type": "orientedPoint", "location": _location(4.0, 5.0, 6.0), "xyz_rotation_matrix": TURN}]
    file(portal, 1002, 301, "OrientedPoint", 802, put.put_points(f"{folder}/301/ribosome-1.0_orientedpoint.ndjson", oriented))
    file(portal, 1008, 303, "Point", 801, put.put(f"{folder}/303/empty.ndjson", b""))
    mask = put.put_volume(f"{folder}/302/membrane-1.0_segmentationmask.zarr", LABELS, 7.84)
    file(portal, 1003, 302, "SegmentationMask", 801, mask, "zarr")
    portal.database.add(
        "AnnotationFile",
        id=1004,
        annotationShapeId=6003,
        tomogramVoxelSpacingId=801,
        format="mrc",
        s3Path=mask.replace("zarr", "mrc"),
    )
    instances = [{"type": "instancePoint", "location": _location(i, i, i), "instance_id": i // 2 + 1} for i in range(4)]
    file(portal, 1005, 304, "InstanceSegmentation", 801, put.put_points(f"{folder}/304/ferritin.ndjson", instances))
    file(
        portal,
        1006,
        304,
        "InstanceSegmentationMask",
        801,
        put.put_volume(f"{folder}/304/ferritin.zarr", LABELS * 7, 7.84),
        "zarr",
    )
    import trimesh

    glb = trimesh.Scene(trimesh.creation.box()).export(file_type="glb")
    file(portal, 1007, 302, "Mesh", 801, put.put(f"{folder}/302/membrane-1.0_mesh.glb", glb), "glb")
    _of_runs(portal)
    file(portal, 1009, 305, "Point", 803, put.put_points("d/502/Annotations/305/ribosome.ndjson", points(2)))
    file(portal, 1010, 306, "Point", 801, put.put_points(f"{folder}/306/unlisted.ndjson", points(1)))


def _of_runs(portal: LoopbackPortal) -> None:
    """What is known of run 501 beyond its volumes; deposition 2 has one annotation in dataset 10001 and nothing else."""
    add, put = portal.database.add, portal.s3
    add(
        "Tiltseries",
        id=41,
        runId=501,
        depositionId=1,
        accelerationVoltage=300000,
        tiltMin=-60.0,
        tiltMax=60.0,
        pixelSpacing=1.96,
    )
    add("Alignment", id=51, runId=501, tiltseriesId=41, depositionId=1, alignmentMethod="fiducial_based")
    add("Alignment", id=52, runId=501, tiltseriesId=41, depositionId=1, alignmentMethod="patch_tracking")
    annotation(portal, 307, 501, MEMBRANE, depositionId=2)
    for number, shape, words in ((1011, "GlobalCaption", b"A cell."), (1012, "AnnotationCaption", b"Its membrane.")):
        file(portal, number, 307, shape, None, put.put(f"d/501/Annotations/307/{number}.txt", words), "txt")


def _odd(portal: LoopbackPortal) -> None:
    tomogram(portal, 790, 901, 809)
    tomogram(portal, 791, 901, 809, processing="denoised", s3OmezarrDir=None)
    portal.database.add("TomogramVoxelSpacing", id=899, runId=901, voxelSpacing=0.0)
    annotation(portal, 391, 901, RIBOSOME)
    annotation(portal, 392, 901, MEMBRANE)
    good = portal.s3.put_points("d/901/good.ndjson", points(2))
    file(portal, 1091, 391, "Point", 809, good)
    file(portal, 1092, 391, "Point", None, good)
    file(portal, 1093, 392, "SegmentationMask", None, "s3://cryoet-data-portal-public/d/901/mask.zarr", "zarr")
    file(portal, 1094, 391, "Point", 809, "")
    file(portal, 1095, 391, "Point", 809, good, "csv")
    file(portal, 1096, 391, "Point", 809, portal.s3.put("d/901/bad.ndjson", b'{"location": {"x": 1}}\n'))
    portal.database.add(
        "AnnotationFile", id=1097, annotationShapeId=None, tomogramVoxelSpacingId=809, format="ndjson", s3Path=good
    )
