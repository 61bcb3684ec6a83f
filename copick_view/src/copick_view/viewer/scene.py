"""What is drawn of a run: which layers it has, and the volumes, meshes and shapes that the page then asks for."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from copick_core.errors import InvalidDataError, NotFoundError
from copick_core.models.segmentation import PANOPTIC_CHANNELS
from copick_core.tree.addresses import address_of
from copick_core.tree.keys import RunKey
from copick_view.viewer.contrast import contrast
from copick_view.viewer.layers import Json, hex_color, image_layer, labels_layer, mesh_layer, shapes_layer
from copick_view.viewer.passthrough import PageVolume
from copick_view.viewer.precomputed import Shapes, label_names, mesh_files, polylines, tube

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from copick_core.models import CopickFilaments, CopickMesh, CopickSegmentation, CopickTomogram
    from copick_core.models.entity import Entity
    from copick_core.overlay import CopickRootOverlay, CopickRunOverlay
    from copick_view.viewer.placement import Level

E = TypeVar("E", bound="Entity[Any]")

#: Color of what belongs to no object.
_GREY = (160, 160, 160)
#: Versions that are kept of what changes with each edit.
_VERSIONS = 3
#: Radius of tubes of filaments whose object has none, in angstrom.
_TUBE = 40.0


class Sources:
    """What the page can ask for, by a name that is part of its address.

    Args:
        base: Address below which the names are; it ends with a slash.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self._stores: dict[str, Store] = {}
        self._files: dict[str, Mapping[str, bytes]] = {}
        self._versions: dict[str, list[str]] = {}

    def add_volume(self, volume: PageVolume) -> str:
        """Serve a volume; gives its address, with its format."""
        name = f"v{secrets.token_hex(6)}"
        self._stores[name] = volume
        return f"{self.base}{name}/|zarr{volume.zarr_format}:"

    def add_files(self, files: Mapping[str, bytes], place: str | None = None) -> str:
        """Serve files; gives the address that they are below, which is the same for the same files.

        Args:
            files: Their contents by name.
            place: What they are shown as; of one place the last few versions are kept, for pages that still read them.
        """
        digest = hashlib.sha256()
        for path, data in files.items():
            digest.update(f"{path}\0{len(data)}\0".encode() + data)
        name = f"f{digest.hexdigest()[:24]}"
        self._files[name] = files
        if place is not None:
            versions = self._versions.setdefault(place, [])
            versions[:] = [*(version for version in versions if version != name), name]
            while len(versions) > _VERSIONS:
                old = versions.pop(0)
                if not any(old in others for others in self._versions.values()):
                    self._files.pop(old, None)
        return f"{self.base}{name}"

    def store(self, name: str) -> Store | None:
        """The volume of a name."""
        return self._stores.get(name)

    def file(self, name: str, path: str) -> bytes | None:
        """A file, by the name of its folder and its path."""
        return self._files.get(name, {}).get(path)


@dataclass
class Scene:
    """What is drawn of a run, besides its picks.

    Attributes:
        tomogram: The tomogram.
        levels: Its levels.
        finest: Where the voxels of the finest level that is drawn lie.
        layers: Layers of the tomogram, segmentations, meshes and filaments.
        stored: The layer of the project that each of them is stored in, by name.
        problems: What could not be drawn, and why.
    """

    tomogram: CopickTomogram
    levels: list[str]
    finest: Level
    layers: list[Json] = field(default_factory=list)
    stored: dict[str, str | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def run_of(root: CopickRootOverlay, name: str) -> CopickRunOverlay:
    """The run of a name.

    Raises:
        NotFoundError: There is none.
    """
    run = root.get_run(name)
    if run is None:
        raise NotFoundError(key=RunKey(name), layer=", ".join(layer.name for layer in root.layers.all))
    return run  # type: ignore[return-value,unused-ignore]


def tomograms(root: CopickRootOverlay, run: str) -> dict[str, CopickTomogram]:
    """Tomograms of a run by their names in the page, those of the smallest voxels first.

    Raises:
        NotFoundError: It has none.
    """
    spacings = sorted(run_of(root, run).voxel_spacings, key=lambda s: s.voxel_size)
    found = {
        f"{address_of(tomogram.key)} {place}".strip(): tomogram
        for spacing in spacings
        for tomogram, place in placed(spacing.tomograms)
    }
    if not found:
        raise NotFoundError(key=f"A tomogram of run {run!r}", layer=", ".join(layer.name for layer in root.layers.all))
    return found


def placed(entities: Sequence[E]) -> list[tuple[E, str]]:
    """Entities with what tells apart those of one key: ``""`` for the one that the project shows, ``"in LAYER"`` for others.

    Args:
        entities: As the project lists them: those of static layers first, that of the overlay last.
    """
    found = {entity.key: entity for entity in entities}
    return [*((e, "") for e in found.values()), *((e, f"in {e.layer}") for e in entities if found[e.key] is not e)]


def build(
    root: CopickRootOverlay, run: str, sources: Sources, tomogram: CopickTomogram | None = None, first_level: int = 0
) -> Scene:
    """Make the layers of a run, except of its picks.

    Args:
        root: The project.
        run: Name of the run.
        sources: Where volumes, meshes and shapes are served from.
        tomogram: Which tomogram; that of the smallest voxels by default.
        first_level: Which of its levels is the finest that is drawn.

    Raises:
        NotFoundError: There is no tomogram.
        InvalidDataError: It cannot be drawn.
    """
    tomogram = tomogram or next(iter(tomograms(root, run).values()))
    size = tomogram.voxel_spacing.voxel_size
    volume = PageVolume(tomogram, size, labels=False, first_level=first_level)
    scene = Scene(tomogram, [*tomogram.levels], volume.levels[0])
    name = f"{tomogram.tomo_type}@{size:g}"
    scene.layers.append(image_layer(name, sources.add_volume(volume), contrast(volume.views)))
    scene.stored[name] = tomogram.layer
    handle = run_of(root, run)
    parts: list[tuple[Any, str, Any]] = [
        *((*found, _labels) for found in placed(handle.segmentations)),
        *((*found, _mesh) for found in placed(handle.meshes)),
        *((*found, _filaments) for found in placed(handle.filaments)),
    ]
    for entity, place, make in parts:
        try:
            made: list[Json] = make(root, entity, sources)
        except (InvalidDataError, NotFoundError, KeyError) as error:
            scene.problems.append(f"{address_of(entity.key)} is not drawn: {error}")
            continue
        shown = [_apart(layer, place) for layer in made] if place else made
        scene.layers += shown
        scene.stored.update({layer["name"]: entity.layer for layer in shown})
    return scene


def _apart(layer: Json, place: str) -> Json:
    """The layer of an entity that another one of its key covers, under a name of its own: hidden at first."""
    return {**layer, "name": f"{layer['name']} {place}", "visible": False}


def layer_name(entity: Any, note: str = "") -> str:
    """The name of the layer of an entity: its address without the run."""
    address = str(address_of(entity.key)).partition("/")[2]
    return f"{address} {note}".strip()


def color_of(root: CopickRootOverlay, object_name: str) -> str:
    """The color of an object as ``"#rrggbb"``; grey for one that the project does not list."""
    found = root.get_object(object_name)
    return hex_color(_GREY if found is None else found.color)


def _labels(root: CopickRootOverlay, segmentation: CopickSegmentation, sources: Sources) -> list[Json]:
    if segmentation.is_panoptic:
        return _channels(root, segmentation, sources)
    url = sources.add_volume(PageVolume(segmentation, segmentation.voxel_size, labels=True))
    name = layer_name(segmentation)
    if segmentation.is_multilabel:
        return [_objects_layer(root, name, url, sources)]
    color = None if segmentation.is_instance else color_of(root, segmentation.name)
    return [labels_layer(name, url, None, {}, color)]


def _channels(root: CopickRootOverlay, segmentation: CopickSegmentation, sources: Sources) -> list[Json]:
    """One layer for each channel; only the first, that of the labels, is visible at first, since they cover each other."""
    layers: list[Json] = []
    for channel in range(segmentation.view(segmentation.levels[0]).shape[0]):
        url = sources.add_volume(PageVolume(segmentation, segmentation.voxel_size, labels=True, channel=channel))
        if channel == 0:
            layers.append(_objects_layer(root, layer_name(segmentation), url, sources))
            continue
        note = PANOPTIC_CHANNELS[channel] if channel < len(PANOPTIC_CHANNELS) else f"channel {channel}"
        layers.append({**labels_layer(layer_name(segmentation, note), url, None, {}, None), "visible": False})
    return layers


def _objects_layer(root: CopickRootOverlay, name: str, url: str, sources: Sources) -> Json:
    """Labels of objects, in their colors and with their names."""
    objects = [o for o in root.pickable_objects if o.label is not None]
    names = sources.add_files({"info": label_names({int(o.label): o.name for o in objects if o.label is not None})})
    return labels_layer(name, url, names, {int(o.label): hex_color(o.color) for o in objects if o.label is not None}, None)


def _mesh(root: CopickRootOverlay, mesh: CopickMesh, sources: Sources) -> list[Json]:
    import trimesh

    geometry = mesh.mesh
    surface = geometry.to_mesh() if isinstance(geometry, trimesh.Scene) else geometry
    if not isinstance(surface, trimesh.Trimesh):
        raise InvalidDataError(source=str(mesh.key), reason="it has no triangles")
    url = sources.add_files(mesh_files(surface.vertices, surface.faces))
    return [mesh_layer(layer_name(mesh, "mesh"), url, color_of(root, mesh.pickable_object_name))]


def _filaments(root: CopickRootOverlay, filaments: CopickFilaments, sources: Sources) -> list[Json]:
    curves = [np.asarray(curve, np.float64) for curve in filaments.numpy()]
    name = filaments.pickable_object_name
    color = color_of(root, name)
    layers = [_shapes(layer_name(filaments, "filaments"), color, polylines(curves), sources)]
    definition = root.get_object(name)
    radius = (definition.radius if definition is not None else None) or _TUBE
    tubes = [tube(curve, radius) for curve in curves if len(curve) > 1]
    if tubes:
        starts = np.cumsum([0, *(len(vertices) for vertices, _ in tubes)])
        vertices = np.vstack([vertices for vertices, _ in tubes])
        faces = np.vstack([faces + start for (_, faces), start in zip(tubes, starts, strict=False)])
        layers.append(mesh_layer(layer_name(filaments, "tubes"), sources.add_files(mesh_files(vertices, faces)), color))
    return layers


def _shapes(name: str, color: str, shapes: Shapes, sources: Sources) -> Json:
    return shapes_layer(name, color, sources.add_files(shapes.files()), lines=shapes.kind == "LINE")
