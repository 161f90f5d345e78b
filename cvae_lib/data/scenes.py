"""Scenes: procedural pictures of one to three shapes with captions, whose truth is known.

Every scene is a function of (seed, split, index) alone: no matter how many are drawn, in which
order, or by how many processes.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cvae_lib.checkpoint import write_atomically
from cvae_lib.data.containers import CaptionedSet, TextEncoder

Words = dict[str, tuple[str, ...]]  # a name → the words for it, the name first

SHAPES: Words = {
    "circle": ("circle", "disc", "dot"),
    "square": ("square", "box"),
    "triangle": ("triangle", "three-sided shape"),
    "star": ("star", "five-pointed star"),
    "cross": ("cross", "plus sign"),
    "ring": ("ring", "hoop"),
}
COLOURS: Words = {
    "red": ("red", "scarlet", "crimson"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "golden"),
    "green": ("green", "emerald"),
    "blue": ("blue", "azure"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rose"),
    "black": ("black", "inky"),
}
SIZES: Words = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium-sized", "middle-sized"),
    "large": ("large", "big", "huge"),
}
RELATIONS: Words = {
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
}
PLACES = (  # row by row, from the top
    (
        ("in the top left", "in the upper left corner"),
        ("at the top", "at the top in the centre"),
        ("in the top right", "in the upper right corner"),
    ),
    (
        ("on the left", "at the left"),
        ("in the centre", "in the middle"),
        ("on the right", "at the right"),
    ),
    (
        ("in the bottom left", "in the lower left corner"),
        ("at the bottom", "at the bottom in the centre"),
        ("in the bottom right", "in the lower right corner"),
    ),
)
RGB = {
    "red": (214, 40, 40),
    "orange": (245, 135, 25),
    "yellow": (243, 215, 30),
    "green": (35, 150, 65),
    "blue": (40, 85, 210),
    "purple": (125, 50, 165),
    "pink": (240, 115, 180),
    "black": (25, 25, 30),
}
BACKGROUNDS = {
    "white": (247, 247, 245),
    "grey": (186, 188, 192),
    "beige": (228, 214, 190),
    "pale blue": (198, 220, 240),
}
RADII = {"small": 0.085, "medium": 0.12, "large": 0.16}  # of the picture's width
CENTRES = (0.2, 0.5, 0.8)  # of rows and columns
JITTER = 0.035  # of a shape around its place, both ways
NUMBERS = ("", "one shape", "two shapes", "three shapes")

# Combinations that no training, validation or test scene holds; every scene of "unseen" has one.
UNSEEN_PAIRS = frozenset(
    {
        ("circle", "purple"),
        ("square", "yellow"),
        ("triangle", "blue"),
        ("star", "green"),
        ("cross", "pink"),
        ("ring", "orange"),
    }
)
UNSEEN_RELATIONS = frozenset(  # "below" and "right of" are these, seen from the other side
    {
        ("star", "above", "square"),
        ("circle", "above", "ring"),
        ("cross", "left of", "star"),
        ("triangle", "left of", "circle"),
    }
)
SPLITS = ("train", "valid", "test", "unseen")


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
        for i, a in enumerate(self.things):
            for j, b in enumerate(self.things):
                if a.column == b.column and a.row < b.row:
                    found.append((i, "above", j))
                if a.row == b.row and a.column < b.column:
                    found.append((i, "left of", j))
        return found

    def unseen(self) -> list[str]:
        """What it holds that training scenes do not: "pair", "relation", both or neither."""
        things = self.things
        pair = any((thing.shape, thing.colour) in UNSEEN_PAIRS for thing in things)
        relation = any(
            (things[i].shape, name, things[j].shape) in UNSEEN_RELATIONS
            for i, name, j in self.relations()
        )
        return ["pair"] * pair + ["relation"] * relation

    def truth(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "things": [vars(thing) for thing in self.things],
            "relations": [list(relation) for relation in self.relations()],
            "background": list(self.background),
            "unseen": self.unseen(),
        }


@dataclass(frozen=True)
class Caption:
    """A text about a scene, and which attributes of its things the text tells.

    Every caption names colour and shape of all things; ``says`` may add "size", "position",
    "relation", "background".
    """

    text: str
    says: tuple[str, ...]


def draw_scene(split: str, index: int, seed: int = 0) -> tuple[Scene, list[Caption]]:
    """Scene ``index`` of a split, with its five captions, the plainest first."""
    if split not in SPLITS:
        raise ValueError(f"no split {split!r} of Scenes: choose one of {', '.join(SPLITS)}")
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    wanted = None if split != "unseen" else _pick(rng, ["pair", "relation"])
    while True:
        scene = _random_scene(rng, wanted)
        if scene.unseen() == ([] if wanted is None else [wanted]) and not _touching(scene):
            return scene, [_caption(scene, style, rng) for style in range(5)]


def scenes(
    split: str,
    count: int,
    size: int = 64,
    *,
    encoder: TextEncoder,
    seed: int = 0,
    workers: int = 1,
) -> CaptionedSet:
    """Draw ``count`` scenes of a split into memory: pictures (count, 3, size, size).

    Args:
        split: "train", "valid", "test", or "unseen": shapes in colours, or above or left of
            shapes, as they never are in the others.
        encoder: turns the captions into vectors.
        workers: processes that draw; their number changes nothing but the time.
    """
    images = np.empty((count, 3, size, size), np.uint8)
    captions: list[str] = []
    truths = []
    drawn = _in_parallel(partial(_draw_one, split, seed, size), count, workers)
    for row, (image, scene, said) in enumerate(drawn):
        images[row] = image
        captions += [caption.text for caption in said]
        truths.append(scene.truth())
    return CaptionedSet(
        images,
        encoder(captions).numpy().astype(np.float16),
        np.arange(count + 1, dtype=np.int64) * 5,
        captions,
        truths,
        source=f"Scenes, {split}, seed {seed}",
        real=False,
    )


def joined(*sets: CaptionedSet) -> CaptionedSet:
    """Several sets of scenes as one."""
    counts = np.concatenate([np.diff(data.first) for data in sets])
    return CaptionedSet(
        np.concatenate([data.images for data in sets]),
        np.concatenate([data.vectors for data in sets]),
        np.concatenate([[0], np.cumsum(counts)]),
        [caption for data in sets for caption in data.captions],
        [truth for data in sets for truth in data.truths or ()],
        source=" and ".join(data.source for data in sets),
        real=False,
    )


def write_scenes(
    folder: str | Path,
    split: str = "train",
    count: int = 1000,
    size: int = 64,
    seed: int = 0,
    workers: int | None = None,
    on_scene: Callable[[], Any] | None = None,
) -> Path:
    """Write scenes as a COCO folder: ``SPLIT/*.png`` and ``annotations/captions_SPLIT.json``.

    The truth of a picture stands in its entry of "images", what a caption says of it in its entry
    of "annotations".

    Args:
        workers: processes that draw; all cores if None.
        on_scene: called after each picture.

    Returns:
        The annotation file, which is written last: where it is, all pictures are.
    """
    folder = Path(folder)
    (folder / split).mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    drawn = _in_parallel(partial(_draw_png, split, seed, size), count, workers or os.cpu_count())
    for index, (png, scene, said) in enumerate(drawn):
        name = f"{index + 1:012d}.png"
        (folder / split / name).write_bytes(png)
        images.append(
            {
                "id": index + 1,
                "file_name": name,
                "width": size,
                "height": size,
                "truth": scene.truth(),
            }
        )
        annotations += [
            {
                "id": len(annotations) + k + 1,
                "image_id": index + 1,
                "caption": caption.text,
                "says": list(caption.says),
            }
            for k, caption in enumerate(said)
        ]
        if on_scene:
            on_scene()
    info = {
        "description": f"Scenes, {split}, seed {seed}",
        "procedural": True,
        "unseen_pairs": sorted(UNSEEN_PAIRS),
        "unseen_relations": sorted(UNSEEN_RELATIONS),
    }
    content = {"info": info, "licenses": [], "images": images, "annotations": annotations}
    path = folder / "annotations" / f"captions_{split}.json"
    write_atomically(path, json.dumps(content).encode())
    return path


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
        rows = slice(*_pixels(thing.y, radius, size))
        columns = slice(*_pixels(thing.x, radius, size))
        x = (at[columns][None, :] - thing.x) / radius
        y = (at[rows][:, None] - thing.y) / radius
        distance = _distance(thing.shape, x, y) * radius * size  # in pixels
        cover = np.clip(0.5 - distance, 0, 1)
        patch = canvas[:, rows, columns]
        patch += (np.array(RGB[thing.colour], np.float32)[:, None, None] - patch) * cover
    return np.rint(canvas).astype(np.uint8)


def _pixels(centre: float, radius: float, size: int) -> tuple[int, int]:
    """The range of pixels that a shape can reach, with one to spare."""
    first, last = (centre - radius) * size - 1, (centre + radius) * size + 2
    return max(0, int(first)), min(size, int(last))


# Shapes: signed distances from their edges, in radii, negative inside.


def _star() -> np.ndarray:
    turns = np.arange(10) / 10
    length = np.where(np.arange(10) % 2, 0.45, 1.05)
    return np.stack([np.sin(2 * np.pi * turns), -np.cos(2 * np.pi * turns)], 1) * length[:, None]


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


# Drawing at random.


def _pick(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _random_scene(rng: np.random.Generator, wanted: str | None) -> Scene:
    """Any scene; with ``wanted`` one that is likely to hold what training scenes do not."""
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    if wanted == "relation":
        count = max(count, 2)
    colours = list(rng.permutation(list(COLOURS)))
    shapes = [_pick(rng, list(SHAPES)) for _ in range(count)]
    places = [divmod(int(cell), 3) for cell in rng.permutation(9)[:count]]
    if wanted == "pair":
        shapes[0], colour = _pick(rng, sorted(UNSEEN_PAIRS))
        colours.remove(colour)
        colours.insert(0, colour)
    elif wanted == "relation":
        shapes[0], relation, shapes[1] = _pick(rng, sorted(UNSEEN_RELATIONS))
        near, far = sorted(rng.permutation(3)[:2].tolist())
        across = int(rng.integers(3))
        pair = ((near, across), (far, across))
        if relation == "left of":
            pair = ((across, near), (across, far))
        others = [place for place in places if place not in pair]
        places = [*pair, *others][:count]
    things = []
    for shape, colour, (row, column) in zip(shapes, colours, places, strict=False):
        dx, dy = rng.uniform(-JITTER, JITTER, 2)
        x, y = round(CENTRES[column] + float(dx), 4), round(CENTRES[row] + float(dy), 4)
        things.append(Thing(shape, str(colour), _pick(rng, list(SIZES)), row, column, x, y))
    first = _pick(rng, list(BACKGROUNDS))
    second = first if rng.random() < 0.5 else _pick(rng, list(BACKGROUNDS))
    return Scene(tuple(things), (first, second))


def _touching(scene: Scene) -> bool:
    return any(
        np.hypot(a.x - b.x, a.y - b.y) < RADII[a.size] + RADII[b.size] + 0.01
        for i, a in enumerate(scene.things)
        for b in scene.things[:i]
    )


# Captions.


def _caption(scene: Scene, style: int, rng: np.random.Generator) -> Caption:
    """A caption in one of five styles, from the names alone to several sentences."""
    return (_named, _placed, _related, _before_background, _told)[style](scene, rng)


def _word(words: Sequence[str], rng: np.random.Generator) -> str:
    """The first word in six cases of ten, else one of its synonyms."""
    return words[0] if len(words) == 1 or rng.random() < 0.6 else _pick(rng, words[1:])


def _noun(thing: Thing, rng: np.random.Generator, size: bool = False) -> str:
    words = [_word(SIZES[thing.size], rng)] if size else []
    words += [_word(COLOURS[thing.colour], rng), _word(SHAPES[thing.shape], rng)]
    article = "an" if words[0][0] in "aeio" else "a"
    return " ".join([article, *words])


def _place(thing: Thing, rng: np.random.Generator) -> str:
    return _word(PLACES[thing.row][thing.column], rng)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _backdrop(scene: Scene) -> str:
    top, bottom = scene.background
    if top == bottom:
        return f"{top} background"
    return f"background that turns from {top} to {bottom}"


def _named(scene: Scene, rng: np.random.Generator) -> Caption:
    return Caption(_listed([_noun(thing, rng) for thing in scene.things]), ())


def _placed(scene: Scene, rng: np.random.Generator) -> Caption:
    sized = rng.random() < 0.5
    parts = [f"{_noun(thing, rng, sized)} {_place(thing, rng)}" for thing in scene.things]
    return Caption(_listed(parts), ("size", "position") if sized else ("position",))


def _related(scene: Scene, rng: np.random.Generator) -> Caption:
    """Two things by their relation, a third by its place; without a relation, sizes."""
    relations = scene.relations()
    if not relations:
        parts = [_noun(thing, rng, size=True) for thing in scene.things]
        return Caption(_listed(parts), ("size",))
    a, relation, b = _pick(rng, relations)
    if rng.random() < 0.5:
        a, relation, b = b, {"above": "below", "left of": "right of"}[relation], a
    text = (
        f"{_noun(scene.things[a], rng)} {_word(RELATIONS[relation], rng)} "
        f"{_noun(scene.things[b], rng)}"
    )
    rest = [_noun(thing, rng) for i, thing in enumerate(scene.things) if i not in (a, b)]
    return Caption(_listed([text, *rest]), ("relation",))


def _before_background(scene: Scene, rng: np.random.Generator) -> Caption:
    nouns = _listed([_noun(thing, rng) for thing in scene.things])
    return Caption(f"{nouns} on a {_backdrop(scene)}", ("background",))


def _told(scene: Scene, rng: np.random.Generator) -> Caption:
    """Two or three sentences: how many shapes, what and where they are, the background."""
    sentences = [f"The picture shows {NUMBERS[len(scene.things)]}."]
    parts = [f"{_noun(thing, rng, size=True)} {_place(thing, rng)}" for thing in scene.things]
    sentences.append(f"{'It is' if len(parts) == 1 else 'They are'} {_listed(parts)}.")
    says: tuple[str, ...] = ("size", "position")
    if rng.random() < 0.7:
        top, bottom = scene.background
        shade = f"is {top}" if top == bottom else f"turns from {top} to {bottom}"
        sentences.append(f"The background {shade}.")
        says += ("background",)
    return Caption(" ".join(sentences), says)


# Many at once.


def _draw_one(
    split: str, seed: int, size: int, index: int
) -> tuple[np.ndarray, Scene, list[Caption]]:
    scene, captions = draw_scene(split, index, seed)
    return render(scene, size), scene, captions


def _draw_png(split: str, seed: int, size: int, index: int) -> tuple[bytes, Scene, list[Caption]]:
    image, scene, captions = _draw_one(split, seed, size, index)
    content = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(content, format="PNG", compress_level=1)
    return content.getvalue(), scene, captions


def _in_parallel(draw: Callable[[int], Any], count: int, workers: int | None) -> Iterator[Any]:
    """``draw(0) … draw(count − 1)``, in order."""
    if count < 1:
        raise ValueError(f"count must be at least 1 scene, got {count}")
    if not workers or workers < 2:
        yield from map(draw, range(count))
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(draw, range(count), chunksize=64)


def scene_words() -> set[str]:
    """Every word of a caption in lower case: what a model of scenes has read."""
    tables = [words for table in (SHAPES, COLOURS, SIZES, RELATIONS) for words in table.values()]
    phrases = [word for words in [*tables, *PLACES[0], *PLACES[1], *PLACES[2]] for word in words]
    said = "a an and it is they are the picture shows on background that turns from to"
    return set(" ".join([said, *phrases, *BACKGROUNDS, *NUMBERS]).replace("-", " ").split())
