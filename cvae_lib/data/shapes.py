"""The shapes of Scenes: their words, what a scene is, and painting it at any size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

Words = dict[str, tuple[str, ...]]  # a name → the words for it, the name first

SHAPES: Words = {
    "circle": ("circle", "disc", "dot"), "square": ("square", "box"),
    "triangle": ("triangle", "three-sided shape"), "star": ("star", "five-pointed star"),
    "cross": ("cross", "plus sign"), "ring": ("ring", "hoop"),
}  # fmt: skip
COLOURS: Words = {
    "red": ("red", "scarlet", "crimson"), "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "golden"), "green": ("green", "emerald"), "blue": ("blue", "azure"),
    "purple": ("purple", "violet"), "pink": ("pink", "rose"), "black": ("black", "inky"),
}  # fmt: skip
SIZES: Words = {
    "small": ("small", "little", "tiny"), "medium": ("medium-sized", "middle-sized"),
    "large": ("large", "big", "huge"),
}  # fmt: skip
RELATIONS: Words = {
    "above": ("above", "over"), "below": ("below", "under", "beneath"),
    "left of": ("to the left of", "left of"), "right of": ("to the right of", "right of"),
}  # fmt: skip
PLACES = (  # row by row, from the top
    (("in the top left", "in the upper left corner"), ("at the top", "at the top in the centre"),
     ("in the top right", "in the upper right corner")),
    (("on the left", "at the left"), ("in the centre", "in the middle"),
     ("on the right", "at the right")),
    (("in the bottom left", "in the lower left corner"),
     ("at the bottom", "at the bottom in the centre"),
     ("in the bottom right", "in the lower right corner")),
)  # fmt: skip
RGB = {
    "red": (214, 40, 40), "orange": (245, 135, 25), "yellow": (243, 215, 30),
    "green": (35, 150, 65), "blue": (40, 85, 210), "purple": (125, 50, 165),
    "pink": (240, 115, 180), "black": (25, 25, 30),
}  # fmt: skip
BACKGROUNDS = {
    "white": (247, 247, 245), "grey": (186, 188, 192), "beige": (228, 214, 190),
    "pale blue": (198, 220, 240),
}  # fmt: skip
RADII = {"small": 0.085, "medium": 0.12, "large": 0.16}  # of the picture's width
CENTRES = (0.2, 0.5, 0.8)  # of rows and columns
JITTER = 0.035  # of a shape around its place, both ways

# Combinations that no training, validation or test scene holds; every scene of "unseen" has one.
UNSEEN_PAIRS = frozenset({
    ("circle", "purple"), ("square", "yellow"), ("triangle", "blue"), ("star", "green"),
    ("cross", "pink"), ("ring", "orange"),
})  # fmt: skip
UNSEEN_RELATIONS = frozenset({  # "below" and "right of" are these, seen from the other side
    ("star", "above", "square"), ("circle", "above", "ring"), ("cross", "left of", "star"),
    ("triangle", "left of", "circle"),
})  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """One shape of a scene, at a place of the 3 × 3 grid."""

    shape: str
    colour: str
    size: str
    row: int  # 0 is the top
    column: int  # 0 is left
    x: float  # of the centre, in widths of the picture from its left edge
    y: float  # the same from its top edge


@dataclass(frozen=True)
class Scene:
    """One to three things of different colours, which do not touch, before a background.

    Args:
        background: the names of its colours at the top and at the bottom; equal if it is plain.
    """

    things: tuple[Thing, ...]
    background: tuple[str, str]

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
        things = self.things
        pairs = {(thing.shape, thing.colour) for thing in things}
        related = {(things[i].shape, name, things[j].shape) for i, name, j in self.relations()}
        found = {"pair": pairs & UNSEEN_PAIRS, "relation": related & UNSEEN_RELATIONS}
        return [kind for kind, those in found.items() if those]

    def to_json(self) -> dict[str, Any]:
        """All of it, and what follows from it, for JSON."""
        return {
            "things": [vars(thing) for thing in self.things],
            "relations": [list(relation) for relation in self.relations()],
            "background": list(self.background),
            "unseen": self.unseen(),
        }

    @classmethod
    def from_json(cls, tree: Any) -> Scene:
        """Return the scene that `to_json` told; raise ValueError, saying why, if it is none."""
        try:
            things = tuple(Thing(**thing) for thing in tree["things"])
            top, bottom = tree["background"]
            known = {top, bottom} <= BACKGROUNDS.keys() and all(map(_known, things))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"tells no scene ({error!r})") from error
        if not known or not 1 <= len({thing.colour for thing in things}) == len(things):
            raise ValueError("tells no scene: want known words and places, and different colours")
        return cls(things, (top, bottom))


def _known(thing: Thing) -> bool:
    """Whether its words are those of this file, and its place in the picture."""
    words = thing.shape in SHAPES and thing.colour in COLOURS and thing.size in SIZES
    cell = all(type(place) is int and place in range(3) for place in (thing.row, thing.column))
    return words and cell and 0 <= thing.x <= 1 and 0 <= thing.y <= 1


def render(scene: Scene, size: int) -> np.ndarray:
    """Paint a scene: uint8 (3, size, size), edges smoothed over one pixel, at any size."""
    if size < 8:
        raise ValueError(f"size must be at least 8 pixels, got {size}")
    top, bottom = (np.array(BACKGROUNDS[name], np.float32) for name in scene.background)
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    column = top[:, None] + (bottom - top)[:, None] * at
    canvas = np.repeat(column[:, :, None], size, axis=2)
    for thing in scene.things:
        radius = RADII[thing.size]
        rows, columns = _pixels(thing.y, radius, size), _pixels(thing.x, radius, size)
        x = (at[columns][None, :] - thing.x) / radius
        y = (at[rows][:, None] - thing.y) / radius
        distance = _distance(thing.shape, x, y) * radius * size  # in pixels
        cover = np.clip(0.5 - distance, 0, 1)
        patch = canvas[:, rows, columns]
        patch += (np.array(RGB[thing.colour], np.float32)[:, None, None] - patch) * cover
    return np.rint(canvas).astype(np.uint8)


def _pixels(centre: float, radius: float, size: int) -> slice:
    """The pixels that a shape can reach, with one to spare."""
    first, last = (centre - radius) * size - 1, (centre + radius) * size + 2
    return slice(max(0, int(first)), min(size, int(last)))


# Shapes: signed distances from their edges, in radii, negative inside.


def _star() -> np.ndarray:
    turns = 2 * np.pi * (np.arange(10) / 10)
    length = np.where(np.arange(10) % 2, 0.45, 1.05)
    return np.stack([np.sin(turns), -np.cos(turns)], 1) * length[:, None]


def _cross(arm: float = 0.34) -> np.ndarray:
    quarter = np.array([(arm, -1), (arm, -arm), (1, -arm)])
    turn = np.array([(0, 1), (-1, 0)])  # (x, y) → (−y, x), a quarter clockwise
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])


_CORNERS = {
    "square": np.array([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]),
    "triangle": np.array([(0, -1), (1, 0.8), (-1, 0.8)]),
    "star": _star(),
    "cross": _cross(),
}


def _distance(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if shape == "circle":
        return np.hypot(x, y) - 0.95
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.75) - 0.22
    return _polygon_distance(_CORNERS[shape].astype(np.float32), x, y)


def _polygon_distance(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """To the nearest edge; inside where a ray crosses the outline an odd number of times."""
    ax, ay = corners.T[:, :, None, None]
    bx, by = np.roll(corners, -1, axis=0).T[:, :, None, None]
    ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
    along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
    nearest = np.sqrt(((px - along * ex) ** 2 + (py - along * ey) ** 2).min(0))
    upwards = (ay > y) != (by > y)
    slope = np.divide(ex, ey, out=np.zeros_like(ex), where=ey != 0)
    crossings = (upwards & (px < py * slope)).sum(0)
    return np.where(crossings % 2 == 1, -nearest, nearest)
