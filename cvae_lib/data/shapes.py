"""The shapes of Scenes: their words, what a scene is, and painting it at any size."""

import json
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np

Words = dict[str, list[str]]  # a name → the words for it, the plainest first

_TABLES = json.loads(Path(__file__).with_name("scenes.json").read_text("utf-8"))
SHAPES: Words = _TABLES["shapes"]
COLOURS: Words = _TABLES["colours"]
SIZES: Words = _TABLES["sizes"]
RELATIONS: Words = _TABLES["relations"]
PLACES: list[list[list[str]]] = _TABLES["places"]  # row by row, from the top
RGB: dict[str, list[int]] = _TABLES["rgb"]
BACKGROUNDS: dict[str, list[int]] = _TABLES["backgrounds"]  # their RGB
RADII: dict[str, float] = _TABLES["radii"]  # of the picture's width
CENTRES = (0.2, 0.5, 0.8)  # of rows and columns
JITTER = 0.035  # of a shape around its place, both ways
# Combinations that no training, validation or test scene holds; every scene of "unseen" has one.
UNSEEN_PAIRS = frozenset(map(tuple, _TABLES["unseen pairs"]))
# Here "below" and "right of" are "above" and "left of", seen from the other side.
UNSEEN_RELATIONS = frozenset(map(tuple, _TABLES["unseen relations"]))


@dataclass(frozen=True)
class Thing:
    """One shape of a scene, at a place of the 3 × 3 grid."""

    shape: str  # of `SHAPES`
    colour: str  # of `COLOURS`
    size: str  # of `SIZES`
    row: int  # 0 is the top
    column: int  # 0 is left
    x: float  # of the centre, in widths of the picture from its left edge
    y: float  # the same from its top edge


@dataclass(frozen=True)
class Scene:
    """One to three things of different colours, which do not touch, before a background."""

    things: tuple[Thing, ...]
    background: tuple[str, str]  # names of its colours at top and bottom; equal if it is plain

    def relations(self) -> list[tuple[int, str, int]]:
        """(i, "above" or "left of", j) for things that share a column or a row."""
        found = []
        for (i, a), (j, b) in permutations(enumerate(self.things), 2):
            if a.column == b.column and a.row < b.row:
                found.append((i, "above", j))
            if a.row == b.row and a.column < b.column:
                found.append((i, "left of", j))
        return found

    def unseen(self) -> list[str]:
        """What it holds that training scenes do not: "pair", "relation", both or neither."""
        pairs = {(thing.shape, thing.colour) for thing in self.things}
        names = [thing.shape for thing in self.things]
        related = {(names[i], relation, names[j]) for i, relation, j in self.relations()}
        found = {"pair": pairs & UNSEEN_PAIRS, "relation": related & UNSEEN_RELATIONS}
        return [kind for kind, those in found.items() if those]


def render(scene: Scene, size: int) -> np.ndarray:
    """Paint a scene: uint8 (3, size, size), edges smoothed over one pixel.

    ValueError for fewer than 8 pixels.
    """
    if size < 8:
        raise ValueError(f"size must be at least 8 pixels, got {size}")
    top, bottom = (np.array(BACKGROUNDS[name], np.float32) for name in scene.background)
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    column = top[:, None] + (bottom - top)[:, None] * at
    canvas = np.repeat(column[:, :, None], size, axis=2)
    for thing in scene.things:
        radius = RADII[thing.size]
        rows, columns = (  # that it can reach, with one to spare
            slice(max(0, int((centre - radius) * size - 1)), int((centre + radius) * size + 2))
            for centre in (thing.y, thing.x)
        )
        x = (at[columns][None, :] - thing.x) / radius
        y = (at[rows][:, None] - thing.y) / radius
        distance = _distance(thing.shape, x, y) * radius * size  # in pixels
        patch, cover = canvas[:, rows, columns], np.clip(0.5 - distance, 0, 1)
        patch += (np.array(RGB[thing.colour], np.float32)[:, None, None] - patch) * cover
    return np.rint(canvas).astype(np.uint8)


# The corners of shapes, x + i·y in radii from their centre; i turns a quarter clockwise.
_ARM = np.array([0.34 - 1j, 0.34 - 0.34j, 1 - 0.34j])
_CORNERS = {
    "square": np.array([-0.85 - 0.85j, 0.85 - 0.85j, 0.85 + 0.85j, -0.85 + 0.85j]),
    "triangle": np.array([-1j, 1 + 0.8j, -1 + 0.8j]),
    "star": np.tile([1.05, 0.45], 5) * np.exp(2j * np.pi * (np.arange(10) / 10)) * -1j,
    "cross": np.concatenate([_ARM, 1j * _ARM, -_ARM, -1j * _ARM]),
}


def _distance(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far points lie from the edge of a shape, in radii; negative inside."""
    if shape == "circle":
        return np.hypot(x, y) - 0.95
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.75) - 0.22
    a = _CORNERS[shape].astype(np.complex64)[:, None, None]
    edge = np.roll(a, -1, axis=0) - a
    ex, ey, px, py = edge.real, edge.imag, x - a.real, y - a.imag
    along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
    nearest = np.sqrt(((px - along * ex) ** 2 + (py - along * ey) ** 2).min(0))
    upwards = (a.imag > y) != (np.roll(a, -1, axis=0).imag > y)
    slope = np.divide(ex, ey, out=np.zeros_like(ex), where=ey != 0)
    crossings = (upwards & (px < py * slope)).sum(0)  # odd for a ray from inside
    return np.where(crossings % 2 == 1, -nearest, nearest)
