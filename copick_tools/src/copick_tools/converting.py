"""Meshes of segmentations, and segmentations of meshes and picks, for everything that an address matches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import copick_tools
from copick_core.errors import CopickError, InvalidDataError, UnknownObjectError
from copick_core.layers.provenance import recording
from copick_core.projects.transfers import described, frame_of
from copick_core.tree.addresses import address_of

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.schema import PickableObject

State = Literal["done", "planned", "failed"]


@dataclass(frozen=True)
class Conversion:
    """One entity, and what was made of it.

    Attributes:
        source: Address of the entity.
        made: Address of what was made of it; None if that failed.
        state: ``"done"``, ``"planned"`` (by a dry run) or ``"failed"``.
        error: What went wrong.
    """

    source: str
    made: str | None
    state: State
    error: str | None = None


@dataclass(frozen=True)
class Target:
    """Names of what is made.

    Attributes:
        object_name: The object; that of the source by default.
        user_id: User or tool; that of the configuration by default.
        session_id: Session.
        exist_ok: Replace what exists.
        dry_run: Only say what would be made.
    """

    object_name: str | None = None
    user_id: str | None = None
    session_id: str = "0"
    exist_ok: bool = False
    dry_run: bool = False


def meshes_from_segmentations(
    root: CopickRootOverlay, address: str, target: Target, *, reduction: float = 1, max_error: float = 1
) -> list[Conversion]:
    """Make a mesh of each segmentation; of one with labels of several objects, the surface of the object's label.

    Args:
        root: The project.
        address: Which segmentations.
        target: What the meshes are called.
        reduction: As :func:`~copick_core.volumes.surfaces.mesh_from_segmentation` has it.
        max_error: As there, in voxels.
    """
    from copick_core.volumes.surfaces import mesh_from_segmentation

    def make(source: Any, declared: PickableObject) -> Any:
        several = source.is_multilabel or getattr(source.key, "segmentation_type", None) == "panoptic"
        label = declared.label if several else None
        mesh = mesh_from_segmentation(source, label, reduction=reduction, max_error=max_error)
        return source.run.new_mesh(declared.name, target.session_id, target.user_id, exist_ok=target.exist_ok, mesh=mesh)

    arguments = {"reduction": reduction, "max_error": max_error}
    return _convert(root, address, "segmentation", target, "meshes_from_segmentations", arguments, make)


def segmentations_from(
    root: CopickRootOverlay,
    address: str,
    kind: Literal["mesh", "picks"],
    target: Target,
    *,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
    radius: float | None = None,
) -> list[Conversion]:
    """Make a segmentation of each mesh (what is inside), or of picks (spheres), as large as a tomogram of the run.

    Args:
        root: The project.
        address: Which meshes or picks.
        kind: What they are.
        target: What the segmentations are called.
        voxel_size: Voxel size of the tomogram; the run's smallest by default.
        tomo_type: Type of the tomogram.
        radius: Radius of the spheres, in angstrom; the object's by default.
    """
    import numpy as np

    from copick_core.volumes.surfaces import segmentation_from_mesh, segmentation_from_picks

    def make(source: Any, declared: PickableObject) -> Any:
        frame = frame_of(source.run, voxel_size, tomo_type)
        if frame is None:
            raise InvalidDataError(
                source=source.run.key, reason="it has no such tomogram to take the segmentation's shape from"
            )
        label = declared.label or 1
        dtype = np.uint8 if label < 1 << 8 else np.uint16 if label < 1 << 16 else np.uint32
        if kind == "mesh":
            labels = segmentation_from_mesh(source, frame.shape, frame.voxel_size, label, dtype)
        else:
            of_object = declared.radius if radius is None else radius
            if of_object is None:
                raise InvalidDataError(
                    source=source.key, reason=f"the object {declared.name!r} has no radius; pass one, or set it in the config"
                )
            labels = segmentation_from_picks(source, frame.shape, frame.voxel_size, of_object, label, dtype)
        made = source.run.new_segmentation(
            frame.voxel_size, declared.name, target.session_id, user_id=target.user_id, exist_ok=target.exist_ok
        )
        made.from_numpy(labels)
        return made

    given = {"voxel_size": voxel_size, "tomo_type": tomo_type, "radius": radius}
    arguments = {"kind": kind, **{name: value for name, value in given.items() if value is not None}}
    return _convert(root, address, kind, target, "segmentations_from", arguments, make)


def _convert(
    root: CopickRootOverlay,
    text: str,
    kind: str,
    target: Target,
    function: str,
    arguments: dict[str, Any],
    make: Callable[[Any, PickableObject], Any],
) -> list[Conversion]:
    rows: list[Conversion] = []
    for source in {entity.key: entity for entity in root.select(text, kind)}.values():
        address = str(address_of(source.key))
        try:
            name = target.object_name or getattr(source.key, "object_name", None) or source.key.name
            declared = next((obj.meta for obj in root.pickable_objects if obj.name == name), None)
            if declared is None:
                raise UnknownObjectError(name=name, known=[obj.name for obj in root.pickable_objects])
            if target.dry_run:
                rows.append(Conversion(address, None, "planned"))
                continue
            with recording(
                "copick-core convert",
                function=f"copick_tools.converting:{function}",
                version=copick_tools.__version__,
                by=root.config.user_id,
                arguments=arguments,
            ):
                made = make(source, declared)
        except (CopickError, OSError) as error:
            rows.append(Conversion(address, None, "failed", described(error)))
            continue
        rows.append(Conversion(address, str(address_of(made.key)), "done"))
    if not rows:
        raise InvalidDataError(source=f"address {text!r}", reason="nothing matches it")
    return rows
