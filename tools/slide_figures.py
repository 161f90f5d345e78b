"""How large a figure of the book is on a slide, and where: beside the text or above its caption.

Jupyter's pictures have one pixel a pixel, and letters of 14. A slide shows them as large as it can,
up to LARGEST times their size; one that would have to shrink is cut between two of its panels, and
the halves stand side by side. A diagram has no panels and is never cut.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 1280, 720  # of a slide, in pixels
ACROSS = WIDTH - 2 * 48  # between the margins
DOWN = HEIGHT - 36 - 52  # from the heading's top to the footer
GAP = 36  # between a figure and the text beside it, or between two halves
COLUMN = 420  # at least, for text beside a figure
HEADING, TEXT, CAPTION = 34, 24, 20  # font sizes, as slides.css has them
LARGEST = 1.5
TALL = 1.15  # height by width, from which on a figure may be cut
BLANK = 250  # of 255: what counts as white
LETTERS = 30  # pixels: blank bands that lie closer have one line of letters between them
TICK = 5  # pixels at most between an axis and the numbers below it


class Fit(NamedTuple):
    """Where a figure stands and how large."""

    beside: bool  # with the text at its left; else above its caption
    scale: float


def lines(length: int, size: int, width: float, boldness: float = 0.52) -> int:
    """How many lines ``length`` letters of ``size`` need at most in ``width`` pixels."""
    return math.ceil(1.08 * length * size * boldness / width)  # lines do not end full


def height(heading: int, caption: int, width: float, text: int = 0) -> float:
    """Pixels that heading, caption and text of so many letters need below each other."""
    tall = 1.25 * HEADING * lines(heading, HEADING, width, 0.56) + 24
    tall += 1.35 * CAPTION * lines(caption, CAPTION, width) + 16
    return tall + (1.4 * TEXT * lines(text, TEXT, width) + 16 if text else 0)


def fit(size: tuple[int, int], heading: int, caption: int) -> Fit:
    """The larger of the two ways to show a figure of ``size`` pixels; above its caption if both
    are as large. ``heading`` and ``caption`` count letters."""
    wide, high = size
    above = min(ACROSS / wide, (DOWN - height(heading, caption, ACROSS)) / high, LARGEST)
    beside = min((ACROSS - GAP - COLUMN) / wide, DOWN / high, LARGEST)
    if height(heading, caption, ACROSS - GAP - beside * wide) > DOWN:
        beside = 0.0
    return Fit(True, beside) if beside > above else Fit(False, above)


def column(size: tuple[int, int], scale: float) -> float:
    """Pixels that the text beside a figure has for itself."""
    return ACROSS - GAP - scale * size[0]


def on_white(picture: Image.Image) -> Image.Image:
    """The picture without transparency."""
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def bands(picture: Image.Image) -> list[tuple[int, int]]:
    """Where the picture's rows are blank: first row and number of rows, without its margins."""
    blank = np.asarray(picture.convert("L")).min(axis=1) > BLANK
    edges = np.flatnonzero(np.diff(np.concatenate([[0], blank.astype(int), [0]])))
    found = [(int(a), int(b - a)) for a, b in edges.reshape(-1, 2)]
    return [(top, tall) for top, tall in found if top > 0 and top + tall < len(blank)]


def gaps(found: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The bands that stand between the same two panels, together: only letters part them."""
    groups: list[list[tuple[int, int]]] = []
    for band in found:
        if groups and band[0] - sum(groups[-1][-1]) < LETTERS:
            groups[-1].append(band)
        else:
            groups.append([band])
    return groups


def cut(picture: Image.Image) -> int:
    """The row between two panels that is nearest to the picture's middle; 0 if there is none
    in the middle half. What stands below a panel, numbers and a label, stays with it."""
    rows = []
    for gap in gaps(bands(picture)):
        below = min(2, len(gap) - 1) if gap[0][1] <= TICK else 0
        rows.append(gap[below][0] + gap[below][1] // 2)
    rows = [row for row in rows if 0.25 < row / picture.height < 0.75]
    return min(rows, key=lambda row: abs(row - picture.height / 2), default=0)


def halves(picture: Image.Image) -> list[Image.Image]:
    """The picture's upper and lower panels, without blank margins at the cut; itself alone if
    it cannot be cut."""
    if not (row := cut(picture)):
        return [picture]
    return [picture.crop((0, 0, picture.width, row)), picture.crop((0, row, *picture.size))]


def together(pictures: list[Image.Image]) -> tuple[int, int]:
    """Width and height of pictures side by side."""
    wide = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    return wide, max(picture.height for picture in pictures)


def arrange(
    picture: Image.Image, heading: int, caption: int, diagram: bool
) -> tuple[list[Image.Image], Fit]:
    """The picture, whole or in halves, and where it stands."""
    whole = fit(picture.size, heading, caption)
    if whole.scale >= 1 or diagram or picture.height < TALL * picture.width:
        return [picture], whole
    parts = halves(picture)
    apart = fit(together(parts), heading, caption)
    return (parts, apart) if apart.scale > whole.scale else ([picture], whole)
