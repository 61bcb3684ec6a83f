"""``copick-core demo``: makes a project, reviews it in an overlay that leaves it untouched, and draws a picture of both."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import numpy as np

from copick_core.cli.parameters import examples
from copick_core.cli.words import count, times
from copick_core.errors import InvalidDataError, ReadOnlyError, UnknownBackendError
from copick_core.plugins import known
from copick_core.tree.keys import voxel_size_key
from copick_tools.demo.digest import Digest, folder_digest, layer_digest
from copick_tools.demo.render import PickMarks, Tint, draw
from copick_tools.demo.scene import REVIEWER, Scene, measured, synthetic
from copick_tools.progress import progress

DEFAULT: str = known()["default_config_type"]
TOMOGRAM = "wbp"
FEATURES = "gradient-magnitude"
PICTURE = "copick-demo.png"
_WAY_OUT = "Say it with --voxel-size ANGSTROM."
STEPS_OF_SYNTHETIC = 4
STEPS_OF_MEASURED = 4
STEPS_OF_WRITING = 7


def _voxel_size(text: str) -> float:
    try:
        return voxel_size_key(float(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a size in angstrom") from error


@examples(
    "copick-core demo",
    "copick-core demo --volume TS_001.mrc --keep demo",
)
@click.command
@click.option("--volume", metavar="FILE", help="Use this MRC, MAP, REC or TIFF volume instead of a synthetic one.")
@click.option(
    "--voxel-size",
    type=_voxel_size,
    metavar="ANGSTROM",
    help="Voxel size, if the file has none or a wrong one.",
)
@click.option("--keep", metavar="DIR", help="Keep the project, its configs and the picture in this new folder.")
@click.option("--backend", default=DEFAULT, metavar="TYPE", show_default=True, help="Storage to use: any installed type.")
@click.option(
    "--progress/--no-progress", "shown", default=None, help="Show progress on standard error. Default: if it is a terminal."
)
@click.option("--view", is_flag=True, help="Open the project in the browser at the end, until Ctrl+C.")
@click.option("--browser/--no-browser", default=True, help="With --view: open a browser, or only print the address.")
@click.pass_context
def demo(
    ctx: click.Context,
    volume: str | None,
    voxel_size: float | None,
    keep: str | None,
    backend: str,
    shown: bool | None,
    view: bool,
    browser: bool,
) -> None:
    """Make an example project, annotate it in an overlay, and draw a picture of it."""
    started = time.perf_counter()
    viewer = _viewer() if view else None  # raises the error that names the install line before anything is computed
    if voxel_size is not None and volume is None:
        raise ValueError("--voxel-size needs --volume: the synthetic volume has a voxel size of its own")
    if keep and os.path.exists(keep) and not (os.path.isdir(keep) and not os.listdir(keep)):
        raise FileExistsError(f"--keep {keep}: this exists, and is not an empty folder; name a new one")
    _new_content(backend)  # raises the error before anything is computed
    scene = _scene(volume, voxel_size, shown)
    shape = times(scene.density.shape)
    _say("volume", f"{scene.title}: a {shape} tomogram (z×y×x) at {scene.voxel_size:.2f} Å")
    for fact in scene.facts:
        _say("", fact)

    with _folder(keep) as folder:
        place = _Place(backend, folder)

        config = place.write_project_config(scene)
        _say("project", f"{config} ({backend})")
        _write_project(config, scene, shown)
        before = place.digest(config)
        _say("static", f"sha256 {before}")

        config = place.write_review_config(scene)
        _say("reopened", f"{config}: the project, read-only, under a fresh overlay")
        root = _open(config)
        _compare(root, scene)
        _review(root, scene)
        _prove_refusal(root, scene)
        after = place.digest(config)
        if after != before:
            raise RuntimeError(f"the read-only project has changed: its sha256 was {before}, and is now {after}")
        _say("static", f"sha256 {after}")
        _say("", "byte-identical before and after the review")

        from copick_tools.tree import project_tree

        print()
        print("\n".join(project_tree(root)))
        print()
        _say("picture", _draw(root, scene, _picture_path(keep)))
        if viewer is not None:
            _say("view", f"edit as {root.user_id}; Ctrl+C ends it")
            ctx.invoke(viewer, config=config, address=f"{scene.run}/", browser=browser)
        if keep:
            _say("kept", folder)
        else:
            _say("deleted", "everything but the picture; --keep DIR keeps it")
    _say("done", f"in {time.perf_counter() - started:.1f} s")


def _viewer() -> click.Command:
    """The command that shows a project in the browser, whoever brings it.

    Raises:
        UsageError: It is not installed; names the install line.
    """
    from copick_core.plugins import commands, install_line

    if "view" not in commands.names():
        raise click.UsageError(f"--view needs the command view. Install it with: {install_line('commands', 'view')}")
    found = commands.resolve("view", commands.get("view").command)
    if not isinstance(found, click.Command):
        raise commands.unusable("view", "it is not a click command")
    return found


class _Place:
    """The project and the overlay of its review: two projects of one backend, each in a folder of its own."""

    def __init__(self, backend: str, folder: str) -> None:
        self.backend = backend
        self.folder = folder
        self.project = self._content("project")

    def write_project_config(self, scene: Scene) -> str:
        """Writes the config with which the project is made; returns its path."""
        return self._write("project.json", self.project, scene, scene.picks[0].user_id, scene.picks[0].session_id)

    def write_review_config(self, scene: Scene) -> str:
        """Writes the config that lays an empty overlay over the project; returns its path."""
        static = self.project | {"pickable_objects": [], "layer_name": "static"}
        where: dict[str, Any] = {"config_type": "stack", "overlay": self._content("overlay"), "static": [static]}
        return self._write("review.json", where, scene, REVIEWER, scene.added.session_id)

    def digest(self, config: str) -> Digest:
        """Fingerprint of everything that the project holds."""
        folder = os.path.join(self.folder, "project")
        if os.listdir(folder):
            return folder_digest(folder)
        layers = _open(config).layers
        return layer_digest(layers.static[0] if layers.static else layers.overlay)

    def _content(self, name: str) -> dict[str, Any]:
        """The config of a new project of the backend; what it stores in files gets a folder of that name."""
        from copick_core.opening import validated
        from copick_core.plugins import backends

        content = _new_content(self.backend)
        folder = os.path.join(self.folder, name)
        os.makedirs(folder)
        config_cls = backends.get(self.backend).config_cls
        config = validated(config_cls, content, self.backend, folder)
        for field in config_cls.location_fields:
            if location := getattr(config, field):
                content[field] = str(location).replace(self.folder + os.sep, "")
        return content

    def _write(self, name: str, where: dict[str, Any], scene: Scene, user_id: str, session_id: str) -> str:
        path = os.path.join(self.folder, name)
        content = {
            "name": f"copick-core demo: {scene.run}",
            "description": " ".join(scene.facts),
            **where,
            "pickable_objects": list(scene.objects),
            "user_id": user_id,
            "session_id": session_id,
        }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=4, ensure_ascii=False)
        return path


def _new_content(backend: str) -> dict[str, Any]:
    """The config of a new project of a backend, made without any option.

    Raises:
        UsageError: The backend is not installed, or needs options.
    """
    from copick_core.cli.new_config import content_of

    try:
        return content_of(backend) | {"pickable_objects": []}
    except (UnknownBackendError, click.UsageError) as error:
        reason = error.format_message() if isinstance(error, click.UsageError) else str(error)
        raise click.UsageError(f"--backend {backend}: the demo cannot make a project there. {reason}") from error


def _scene(volume: str | None, voxel_size: float | None, shown: bool | None) -> Scene:
    """The synthetic scene, or one that is computed from the volume that was asked for."""
    if volume is None:
        with progress(STEPS_OF_SYNTHETIC, "building", shown) as advance:
            return synthetic(advance)
    from copick_core.volumes.reading import read_volume

    if os.path.isdir(volume):
        raise IsADirectoryError(f"--volume {volume}: this is a folder; name an MRC or TIFF file")
    source = read_volume(volume, voxel_size=voxel_size)
    try:
        size = source.voxel_size
    except InvalidDataError as error:
        raise ValueError(f"{error}. {_WAY_OUT}") from error
    if size is None:
        raise InvalidDataError(source=volume, reason=f"the file does not say its voxel size. {_WAY_OUT}")
    name = os.path.splitext(os.path.basename(volume))[0]
    with progress(STEPS_OF_MEASURED, "searching", shown) as advance:
        return measured(name, source.data, size, advance)


def _write_project(config: str, scene: Scene, shown: bool | None) -> None:
    """Writes everything of a scene through the public API."""
    import trimesh

    root = _open(config)
    by_user, by_tool = scene.picks
    with progress(STEPS_OF_WRITING, "writing", shown) as advance:
        advance("tomogram")
        run = root.new_run(scene.run)
        spacing = run.new_voxel_spacing(scene.voxel_size)
        tomogram = spacing.new_tomogram(TOMOGRAM)
        tomogram.from_numpy(scene.density, levels=3)
        _say("wrote", f"tomogram {TOMOGRAM}, {len(tomogram.levels)} levels: {_level_shapes(tomogram)}")

        advance("features")
        tomogram.new_features(FEATURES).from_numpy(_gradient_magnitude(scene.density))
        _say("", f"features {FEATURES}")

        for picks in (by_user, by_tool):
            advance("picks")
            stored = run.new_picks(picks.object_name, picks.session_id, picks.user_id)
            stored.from_numpy(picks.positions, picks.transforms, scores=picks.scores)
            kind = "tool" if stored.from_tool else "user"
            _say("", f"{count(len(picks.positions), 'oriented pick')} of {picks.object_name} by {kind} {picks.user_id}")

        advance("segmentations")
        binary = run.new_segmentation(scene.mask_voxel_size, scene.segmentation, "1", False, by_user.user_id)
        binary.from_numpy(scene.mask)
        multilabel = run.new_segmentation(scene.mask_voxel_size, "all-objects", "1", True, by_user.user_id)
        multilabel.from_numpy(scene.labels)
        _say("", f"a binary segmentation of {scene.segmentation}, a multilabel one of all objects")

        advance("mesh")
        mesh = run.new_mesh(scene.segmentation, "1", by_user.user_id)
        mesh.mesh = trimesh.Trimesh(scene.vertices, scene.faces, process=False)
        mesh.store()
        _say("", f"a mesh of {scene.segmentation}, {len(scene.faces)} triangles")

        advance("density map")
        _object(root, scene.particle).from_numpy(scene.particle_map, scene.particle_map_voxel_size)
        _say("", f"a density map of {scene.particle}")


def _compare(root: Any, scene: Scene) -> None:
    """Reads the project back.

    Raises:
        RuntimeError: Something is not what was written.
    """
    run = root.get_run(scene.run)
    tomogram = run.get_voxel_spacing(scene.voxel_size).get_tomograms(TOMOGRAM)[0]
    same = np.array_equal(tomogram.numpy(), np.asarray(scene.density, dtype=np.float32))
    for picks in scene.picks:
        positions, transforms = run.get_picks(picks.object_name, picks.user_id, picks.session_id)[0].numpy()
        same = same and np.allclose(positions, picks.positions) and np.allclose(transforms, picks.transforms)
    binary, multilabel = (run.get_segmentations(is_multilabel=flag)[0].numpy() for flag in (False, True))
    same = same and np.array_equal(binary, scene.mask) and np.array_equal(multilabel, scene.labels)
    if not same:
        raise RuntimeError("what was read back is not what was written")
    _say("", "volumes, picks and labels read back as they were written")


def _review(root: Any, scene: Scene) -> None:
    """Corrects the tool's picks in a copy, and adds a set of the reviewer's own."""
    run = root.get_run(scene.run)
    by_tool = scene.picks[1]

    copy = run.new_picks(by_tool.object_name, by_tool.session_id, by_tool.user_id, exist_ok=True)
    positions, transforms = copy.numpy()
    scores = copy.scores()
    copy.from_numpy(positions[scene.kept], transforms[scene.kept], scores=scores[scene.kept])
    dropped = int((~scene.kept).sum())
    _say(
        f"{root.user_id}",
        f"copies the picks of {by_tool.user_id} into layer {copy.layer!r} and drops {dropped} of {len(positions)}",
    )

    added = scene.added
    own = run.new_picks(added.object_name, root.session_id)
    own.from_numpy(added.positions, added.transforms, scores=added.scores)
    new = count(len(added.positions), "pick")
    _say("", f"adds {new} of {added.object_name} as session {own.session_id}, in layer {own.layer!r}")


def _prove_refusal(root: Any, scene: Scene) -> None:
    """Tries to change the static side.

    Raises:
        RuntimeError: Nothing refused it.
    """
    run = root.get_run(scene.run)
    by_user = scene.picks[0]
    picks = next(p for p in run.get_picks(by_user.object_name, by_user.user_id) if p.read_only)
    try:
        picks.from_numpy(by_user.positions + 1.0)
    except ReadOnlyError as error:
        _say("refused", f"{type(error).__name__}: {error}")
        return
    raise RuntimeError(f"the read-only picks of {by_user.user_id} could be written")


def _draw(root: Any, scene: Scene, path: str) -> str:
    """Draws the project as it now is, from what is stored; returns the picture's path."""
    run = root.get_run(scene.run)
    tomogram = run.get_voxel_spacing(scene.voxel_size).get_tomograms(TOMOGRAM)[0]
    # A picture of some hundred pixels needs no finer level than that.
    level = next((name for name in tomogram.levels if max(tomogram.array(name).shape) <= 1024), tomogram.levels[-1])
    density = tomogram.numpy(level)
    voxel_size = scene.voxel_size * 2 ** tomogram.levels.index(level)

    current: dict[tuple[str, str, str], Any] = {}
    for picks in run.picks:  # The overlay's come last, and take the place of their originals.
        current[picks.pickable_object_name, picks.user_id, picks.session_id] = picks
    marks = []
    for definition in root.pickable_objects:
        sets = [picks for (name, _, _), picks in current.items() if name == definition.name]
        if sets:
            arrays = [picks.numpy() for picks in sets]
            marks.append(
                PickMarks(
                    definition.name,
                    definition.color,
                    np.concatenate([positions for positions, _ in arrays]),
                    np.concatenate([transforms for _, transforms in arrays]),
                    definition.radius or 4 * voxel_size,
                    tuple(f"{len(a[0])} by {p.user_id} ({p.layer})" for p, a in zip(sets, arrays, strict=True)),
                )
            )
    binary = run.get_segmentations(is_multilabel=False)[0]
    tint = Tint(binary.name, binary.color, binary.numpy() > 0, f"by {binary.user_id} ({binary.layer})")
    shape = " x ".join(str(n) for n in tomogram.array().shape)
    lines = [f"{shape} voxels of {scene.voxel_size / 10:g} nm"]
    draw(density, voxel_size, scene.title, lines, marks, [tint]).save(path, optimize=True)
    return path


def _picture_path(keep: str | None) -> str:
    """In the kept folder, else in the working folder, else (it may not be writable) in a new temporary one."""
    if keep:
        return os.path.join(os.path.abspath(keep), PICTURE)
    path = os.path.abspath(PICTURE)
    writable = os.access(path if os.path.exists(path) else os.getcwd(), os.W_OK)
    return path if writable else os.path.join(tempfile.mkdtemp(prefix="copick-demo-picture-"), PICTURE)


@contextmanager
def _folder(keep: str | None) -> Iterator[str]:
    """The new folder that is kept, or a temporary one that is deleted."""
    if keep:
        folder = os.path.abspath(keep)
        os.makedirs(folder, exist_ok=True)
        yield folder
        return
    folder = tempfile.mkdtemp(prefix="copick-demo-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _open(config: str) -> Any:
    import copick_core

    return copick_core.open(config)


def _object(root: Any, name: str) -> Any:
    found = root.get_object(name)
    if found is None:
        raise InvalidDataError(source="demo", reason=f"the config lists no object {name!r}")
    return found


def _gradient_magnitude(density: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    from copick_tools.demo.detect import gradient_magnitude

    return gradient_magnitude(np.asarray(density, dtype=np.float32))


def _level_shapes(tomogram: Any) -> str:
    return ", ".join(times(tomogram.array(level).shape) for level in tomogram.levels)


def _say(topic: str, text: str) -> None:
    """Prints a line; a topic stands before the first of its lines only."""
    print(f"{topic:<9} {text}")
    sys.stdout.flush()
