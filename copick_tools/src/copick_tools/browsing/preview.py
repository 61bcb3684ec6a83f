"""A picture in a terminal: each character shows two pixels, one above the other, in its two colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.color import Color
from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from PIL.Image import Image

_UPPER_HALF = "▀"


def as_text(image: Image, columns: int) -> Text:
    """Draw a picture in characters.

    Args:
        image: The picture, RGB.
        columns: Width in characters; the height follows from the picture.

    Returns:
        Lines of ``columns`` characters.
    """
    rows = max(1, round(image.height / image.width * columns / 2)) * 2
    pixels = np.asarray(image.convert("RGB").resize((columns, rows)))
    text = Text(no_wrap=True)
    for above, below in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        for top, bottom in zip(above, below, strict=True):
            text.append(_UPPER_HALF, Style(color=Color.from_rgb(*top), bgcolor=Color.from_rgb(*bottom)))
        text.append("\n")
    return text
