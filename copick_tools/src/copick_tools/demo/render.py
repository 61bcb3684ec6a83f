"""One picture of a tomogram: its central slice, tints of segmentations, outlines of meshes, picks, and a scale bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from copick_core.cli.words import count
from copick_tools.demo.detect import low_pass

LONG_SIDE = 768  # pixels of the slice's longer side
PANEL_WIDTH = 312  # pixels of the column of text beside it
MARGIN = 24
OVERSAMPLING = 3  # circles and lines are drawn this much larger, then reduced, for smooth edges
SLAB = 50.0  # Å of depth that are averaged, which lowers the noise
LOW_PASS = 0.6  # voxels, standard deviation of the Gaussian that smoothes the slice
TINT = 0.32  # share of a segmentation's colour where it covers the density
GREY_STEP = 8  # grey values are rounded down to multiples of this: noise hides it, and the file is half as large
SMOOTH_SCALE = 10  # pixels per voxel from which on a slice is too smooth to hide steps of grey
DOT = 3.5  # pixels, radius of the dot at a pick's position
GRAZING = 0.9  # a sphere whose centre is further away than this, in radii, has little to show in the slice
BACKGROUND = (19, 22, 27)
TEXT = (238, 240, 243)
MUTED = (152, 160, 172)

Color = tuple[int, int, int, int]


@dataclass(frozen=True)
class PickMarks:
    """Picks of one object.

    Attributes:
        name: What the legend says.
        color: RGBA, 0 to 255.
        positions: (N, 3) as (x, y, z) in Ångström.
        transforms: (N, 4, 4) object-to-tomogram transforms; their Z axis is drawn.
        radius: The object's radius in Ångström; a pick is drawn where its sphere meets the slice.
        notes: Further lines of the legend.
    """

    name: str
    color: Color
    positions: NDArray[np.float64]
    transforms: NDArray[np.float64]
    radius: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tint:
    """A segmentation: bool (z, y, x) of the density's extent, at any voxel size, with a name and a colour for the legend."""

    name: str
    color: Color
    mask: NDArray[np.bool_]
    note: str = ""


@dataclass(frozen=True)
class Outline:
    """Where a mesh meets the slice.

    Attributes:
        name: What the legend says.
        color: RGBA, 0 to 255.
        segments: (N, 2, 3) ends of lines as (x, y, z) in Ångström.
        note: A further line of the legend.
    """

    name: str
    color: Color
    segments: NDArray[np.float64]
    note: str = ""


def visible(marks: PickMarks, depth: float) -> NDArray[np.bool_]:
    """Which picks' spheres are cut, and not only grazed, by the slice at a depth ``z`` in Ångström."""
    return np.asarray(np.abs(marks.positions[:, 2] - depth) < GRAZING * marks.radius)


def pixel_scale(shape: tuple[int, ...]) -> float:
    """Pixels per voxel for a volume (z, y, x)."""
    return LONG_SIDE / max(shape[1:])


def pixel_of(positions: NDArray[np.float64], voxel_size: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Where positions (x, y, z) in Ångström lie in the picture, as (column, row) in pixels."""
    return (positions[:, :2] / voxel_size + 0.5) * pixel_scale(shape)


def scale_bar_length(width: float) -> float:
    """The round length (1, 2 or 5 times a power of ten) that is nearest below a quarter of a width, in its unit."""
    power = 10.0 ** math.floor(math.log10(width / 4))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= width / 4)


def draw(
    density: Any,
    voxel_size: float,
    title: str,
    lines: Sequence[str] = (),
    picks: Sequence[PickMarks] = (),
    tints: Sequence[Tint] = (),
    outlines: Sequence[Outline] = (),
    caption: str = "Slice {number} of {count}",
) -> Image.Image:
    """Draws the picture.

    Args:
        density: The tomogram, (z, y, x); only the slices that are drawn are read.
        voxel_size: Ångström.
        title: Headline of the text column.
        lines: Small lines below it.
        picks: Picks by object.
        tints: Segmentations.
        outlines: Meshes.
        caption: What the slice is called.

    Returns:
        An RGB image: the slice on the left, title, legend and caption on the right.
    """
    middle = density.shape[0] // 2
    reach = min(round(SLAB / voxel_size / 2), middle, density.shape[0] - 1 - middle)
    slab = np.asarray(density[middle - reach : middle + reach + 1], dtype=np.float32).mean(axis=0)
    scale = pixel_scale(density.shape)
    size = (max(1, round(density.shape[2] * scale)), max(1, round(density.shape[1] * scale)))

    smooth = low_pass(slab[None], LOW_PASS)[0]
    grey = Image.fromarray(_stretch(smooth)).resize(size, Image.Resampling.BICUBIC)
    if scale < SMOOTH_SCALE:
        grey = grey.point(lambda value: value // GREY_STEP * GREY_STEP)
    picture = grey.convert("RGB")
    for tint in tints:
        mask = Image.fromarray(
            np.where(tint.mask[middle * tint.mask.shape[0] // density.shape[0]], np.uint8(255), np.uint8(0))
        )
        mask = mask.resize(size, Image.Resampling.BICUBIC).point(lambda value: round(value * TINT))
        picture.paste(Image.new("RGB", size, tint.color[:3]), mask=mask)
    _draw_outlines(picture, outlines, voxel_size, density.shape)
    _mark_picks(picture, picks, voxel_size, middle * voxel_size, density.shape)
    _draw_scale_bar(picture, density.shape[2] * voxel_size / 10, scale * 10 / voxel_size)

    depth = (2 * reach + 1) * voxel_size
    slices = caption.format(number=middle + 1, count=density.shape[0])
    notes = [
        *_lines_of(slices, f"mean of {2 * reach + 1} ({depth / 10:.1f} nm)"),
        "Circle: where the object's sphere meets",
        "the slice. Line: its Z axis.",
    ]
    shown = notes if picks else notes[:-2]
    column = partial(_write_column, size[0] + MARGIN, title, lines, picks, tints, outlines, middle * voxel_size, shown)
    width = size[0] + PANEL_WIDTH
    page = Image.new("RGB", (width, max(size[1], 360, column(Image.new("RGB", (width, 1))))), BACKGROUND)
    page.paste(picture, (0, 0))
    column(page)
    return page


def _lines_of(*parts: str) -> list[str]:
    """Parts of a caption, on one line if that fits beside the picture."""
    pen, line = ImageDraw.Draw(Image.new("RGB", (1, 1))), ", ".join(parts)
    fits = pen.textlength(line, font=ImageFont.load_default(15)) <= PANEL_WIDTH - 2 * MARGIN
    return [line] if fits else [*(f"{part}," for part in parts[:-1]), parts[-1]]


def _stretch(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey values between the 0.3 and the 99.7 percentile."""
    low, high = np.percentile(image, (0.3, 99.7))
    if high <= low:
        return np.full(image.shape, 128, dtype=np.uint8)
    return np.asarray(np.clip((image - low) / (high - low), 0, 1) * 255, dtype=np.uint8)


def _mark_picks(
    picture: Image.Image, picks: Sequence[PickMarks], voxel_size: float, depth: float, shape: tuple[int, ...]
) -> None:
    """Draws circles, Z axes and dots, enlarged, and lays the reduced drawing over the picture."""
    if not picks:
        return
    large = (picture.width * OVERSAMPLING, picture.height * OVERSAMPLING)
    scale = pixel_scale(shape) * OVERSAMPLING / voxel_size
    drawing = Image.new("RGBA", large, (0, 0, 0, 0))
    pen = ImageDraw.Draw(drawing)
    for marks in sorted(picks, key=lambda marks: -marks.radius):  # Small ones stay visible within large ones.
        color = marks.color[:3]
        shown = visible(marks, depth)
        centres = pixel_of(marks.positions[shown], voxel_size, shape) * OVERSAMPLING
        for centre, position, transform in zip(centres, marks.positions[shown], marks.transforms[shown], strict=True):
            section = math.sqrt(marks.radius**2 - (position[2] - depth) ** 2) * scale
            section = max(section, 2 * DOT * OVERSAMPLING)
            _circle(pen, centre, section, color)
            tip = centre + transform[:2, 2] * section
            pen.line([*centre, *tip], fill=(*color, 235), width=round(1.8 * OVERSAMPLING))
            dot = DOT * OVERSAMPLING
            box = [centre[0] - dot, centre[1] - dot, centre[0] + dot, centre[1] + dot]
            pen.ellipse(box, fill=(*color, 255))
    small = drawing.resize(picture.size, Image.Resampling.BOX)
    shadow = Image.new("RGB", picture.size, (0, 0, 0))
    picture.paste(shadow, (1, 1), small.getchannel("A").point(lambda value: value // 2))
    picture.paste(small.convert("RGB"), mask=small.getchannel("A"))


def _draw_outlines(picture: Image.Image, outlines: Sequence[Outline], voxel_size: float, shape: tuple[int, ...]) -> None:
    """Draws the lines of meshes, enlarged, and lays the reduced drawing over the picture."""
    if not outlines:
        return
    drawing = Image.new("RGBA", (picture.width * OVERSAMPLING, picture.height * OVERSAMPLING), (0, 0, 0, 0))
    pen = ImageDraw.Draw(drawing)
    for outline in outlines:
        for ends in outline.segments:
            line = pixel_of(ends, voxel_size, shape) * OVERSAMPLING
            pen.line(line.ravel().tolist(), fill=(*outline.color[:3], 235), width=round(2 * OVERSAMPLING))
    small = drawing.resize(picture.size, Image.Resampling.BOX)
    picture.paste(small.convert("RGB"), mask=small.getchannel("A"))


def _circle(pen: ImageDraw.ImageDraw, centre: NDArray[np.float64], radius: float, color: tuple[int, ...]) -> None:
    box = [centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]
    pen.ellipse(box, outline=(*color, 240), width=round(2.2 * OVERSAMPLING))


def _parts(pen: ImageDraw.ImageDraw, word: str, font: Any, width: float) -> list[str]:
    """A word in parts that are no wider than a width."""
    parts = [""]
    for letter in word:
        if parts[-1] and pen.textlength(parts[-1] + letter, font=font) > width:
            parts.append("")
        parts[-1] += letter
    return parts


def _draw_scale_bar(picture: Image.Image, width: float, pixels: float) -> None:
    """Draws a bar of a round length at the bottom left; ``width`` is in nm, ``pixels`` is how many make one."""
    length = scale_bar_length(width)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(19)
    label = f"{length:g} nm"
    left, bottom = MARGIN, picture.height - MARGIN
    right = left + round(length * pixels)
    text = pen.textlength(label, font=font)
    pen.rectangle([left, bottom - 6, right, bottom], fill=(255, 255, 255), outline=(0, 0, 0))
    at = (max(left, (left + right - text) / 2), bottom - 32)
    pen.text(at, label, font=font, fill=(255, 255, 255), stroke_width=2, stroke_fill=(0, 0, 0))


def _write_column(
    left: int,
    title: str,
    lines: Sequence[str],
    picks: Sequence[PickMarks],
    tints: Sequence[Tint],
    outlines: Sequence[Outline],
    depth: float,
    caption: Sequence[str],
    page: Image.Image,
) -> int:
    """Writes title and legend from the top and the caption to the bottom; gives the height that they need."""
    pen = ImageDraw.Draw(page)
    large, normal, small = (ImageFont.load_default(size) for size in (25, 18, 15))
    top = MARGIN
    for line in _wrap(pen, title, large, PANEL_WIDTH - 2 * MARGIN):
        pen.text((left, top), line, font=large, fill=TEXT)
        top += 32
    for line in lines:
        for part in _wrap(pen, line, small, PANEL_WIDTH - 2 * MARGIN):
            pen.text((left, top), part, font=small, fill=MUTED)
            top += 21
    top += 20
    for marks in picks:
        box = [left, top + 2, left + 18, top + 20]
        pen.ellipse(box, outline=marks.color[:3], width=3)
        pen.ellipse([left + 6, top + 8, left + 12, top + 14], fill=marks.color[:3])
        note = f"{count(len(marks.positions), 'pick')}, {int(visible(marks, depth).sum())} in this slice"
        top = _write_entry(pen, left, top, marks.name, [note, *marks.notes], normal, small)
    for tint in tints:
        pen.rectangle([left, top + 3, left + 18, top + 19], fill=tint.color[:3])
        top = _write_entry(pen, left, top, tint.name, [tint.note], normal, small)
    for outline in outlines:
        pen.line([left, top + 11, left + 18, top + 11], fill=outline.color[:3], width=3)
        top = _write_entry(pen, left, top, outline.name, [outline.note], normal, small)
    needed = top + 20 * len(caption) + MARGIN
    bottom = page.height - MARGIN - 20 * len(caption)
    for line in caption:
        pen.text((left, bottom), line, font=small, fill=MUTED)
        bottom += 20
    return needed


def _write_entry(
    pen: ImageDraw.ImageDraw, left: int, top: int, name: str, notes: Sequence[str], normal: Any, small: Any
) -> int:
    pen.text((left + 30, top), name, font=normal, fill=TEXT)
    top += 25
    for note in notes:
        for part in _wrap(pen, note, small, PANEL_WIDTH - 2 * MARGIN - 30):
            pen.text((left + 30, top), part, font=small, fill=MUTED)
            top += 20
    return top + 12


def _wrap(pen: ImageDraw.ImageDraw, text: str, font: Any, width: float) -> list[str]:
    """Breaks a text at its spaces into lines that are no wider than a width; longer words are broken anywhere."""
    result: list[str] = []
    for word in (part for long in text.split() for part in _parts(pen, long, font, width)):
        if result and pen.textlength(f"{result[-1]} {word}", font=font) <= width:
            result[-1] += f" {word}"
        else:
            result.append(word)
    return result
