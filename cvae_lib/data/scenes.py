"""Scenes: procedural pictures of one to three shapes with captions, whose truth is known.

Every scene is a function of (seed, split, index) alone: no matter how many are drawn, in which
order, or by how many processes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cvae_lib.checks import whole_number
from cvae_lib.data.sets import CaptionedSet, TextEncoder
from cvae_lib.data.shapes import (
    BACKGROUNDS,
    CENTRES,
    COLOURS,
    JITTER,
    PLACES,
    RADII,
    RELATIONS,
    SHAPES,
    SIZES,
    UNSEEN_PAIRS,
    UNSEEN_RELATIONS,
    Scene,
    Thing,
    render,
)
from cvae_lib.files import user_path, write_atomically

SPLITS = ("train", "valid", "test", "unseen")
NUMBERS = ("", "one shape", "two shapes", "three shapes")
CHUNK = 64  # scenes that a process draws at a time


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
            return scene, [tell(scene, rng) for tell in _STYLES.values()]


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

    Those of "unseen" hold shapes in colours, or above or left of shapes, as "train", "valid" and
    "test" never do. The number of ``workers``, processes, changes nothing but the time.
    """
    count = whole_number("count", count, at_least=1)
    images, truths, texts = np.empty((count, 3, size, size), np.uint8), list[Scene](), list[str]()
    drawn = _in_parallel(partial(_draw, split, seed, size), count, workers)
    for row, (image, scene, said) in enumerate(drawn):
        images[row] = image
        truths.append(scene)
        texts += [caption.text for caption in said]
    vectors = encoder(texts).numpy().astype(np.float16)
    return _as_set(images, vectors, texts, truths, f"Scenes, {split}, seed {seed}")


def joined(*sets: CaptionedSet) -> CaptionedSet:
    """Several sets of scenes as one."""
    return _as_set(
        np.concatenate([data.images for data in sets]),
        np.concatenate([data.vectors for data in sets]),
        [text for data in sets for text in data.texts],
        [truth for data in sets for truth in data.truths or ()],
        " and ".join(data.source for data in sets),
    )


def _as_set(
    images: np.ndarray, vectors: np.ndarray, texts: list[str], truths: list[Scene], source: str
) -> CaptionedSet:
    starts = np.arange(len(images) + 1, dtype=np.int64) * len(STYLES)
    return CaptionedSet(images, vectors, starts, texts, truths, source, real=False, styles=STYLES)


def write_scenes(
    folder: str | Path,
    split: str = "train",
    count: int = 1000,
    size: int = 64,
    seed: int = 0,
    on_scene: Callable[[], Any] = lambda: None,
) -> Path:
    """Write scenes as a COCO folder: ``SPLIT/*.png`` and ``annotations/captions_SPLIT.json``.

    The truth of a picture stands in its entry of "images", what a caption says of it in its entry
    of "annotations". While scenes are drawn, with all cores, those of an earlier call stay.
    ``on_scene`` is called after each. Returns the annotation file, which is written last.
    """
    folder, images, annotations = user_path(folder), [], list[dict[str, Any]]()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "annotations" / f"captions_{split}.json"
    with tempfile.TemporaryDirectory(prefix=".scenes-", dir=folder) as fresh:
        drawn = _in_parallel(partial(_draw, split, seed, size), count, os.cpu_count() or 1)
        for number, (image, scene, said) in enumerate(drawn, 1):
            name = f"{number:012d}.png"
            Image.fromarray(image.transpose(1, 2, 0)).save(Path(fresh, name), compress_level=1)
            about = {"id": number, "file_name": name, "width": size, "height": size}
            images.append({**about, "truth": scene.to_json()})
            for caption in said:
                about = {"id": len(annotations) + 1, "image_id": number}
                annotations.append({**about, "caption": caption.text, "says": caption.says})
            on_scene()
        path.unlink(missing_ok=True)  # from here on there are no scenes, until all are there
        (folder / split).mkdir(exist_ok=True)
        for name in os.listdir(fresh):
            os.replace(Path(fresh, name), folder / split / name)
    info = {"description": f"Scenes, {split}, seed {seed}", "procedural": True}
    info |= {"unseen_pairs": sorted(UNSEEN_PAIRS), "unseen_relations": sorted(UNSEEN_RELATIONS)}
    content = {"info": info, "licenses": [], "images": images, "annotations": annotations}
    write_atomically(path, json.dumps(content).encode())
    return path


def _in_parallel(draw: Callable[[int], Any], count: int, workers: int) -> Iterator[Any]:
    """``draw(0) … draw(count − 1)``, in order."""
    count = whole_number("count", count, at_least=1)
    if workers < 2 or count <= CHUNK:
        yield from map(draw, range(count))
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(draw, range(count), chunksize=CHUNK)


def _draw(split: str, seed: int, size: int, index: int) -> tuple[np.ndarray, Scene, list[Caption]]:
    scene, captions = draw_scene(split, index, seed)
    return render(scene, size), scene, captions


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


def _named(scene: Scene, rng: np.random.Generator) -> Caption:
    return Caption(_listed([_noun(thing, rng) for thing in scene.things]), ())


def _placed(scene: Scene, rng: np.random.Generator) -> Caption:
    sized = rng.random() < 0.5
    parts = [f"{_noun(thing, rng, sized)} {_place(thing, rng)}" for thing in scene.things]
    return Caption(_listed(parts), ("size", "position") if sized else ("position",))


def _related(scene: Scene, rng: np.random.Generator) -> Caption:
    """Two things by their relation, and a third; without a relation, sizes."""
    things, relations = scene.things, scene.relations()
    if not relations:
        return Caption(_listed([_noun(thing, rng, size=True) for thing in things]), ("size",))
    a, relation, b = _pick(rng, relations)
    if rng.random() < 0.5:
        a, relation, b = b, {"above": "below", "left of": "right of"}[relation], a
    first, how = _noun(things[a], rng), _word(RELATIONS[relation], rng)
    pair = f"{first} {how} {_noun(things[b], rng)}"
    rest = [_noun(thing, rng) for i, thing in enumerate(things) if i not in (a, b)]
    return Caption(_listed([pair, *rest]), ("relation",))


def _before_background(scene: Scene, rng: np.random.Generator) -> Caption:
    top, bottom = scene.background
    plain, turning = f"{top} background", f"background that turns from {top} to {bottom}"
    text = f"{_named(scene, rng).text} on a {plain if top == bottom else turning}"
    return Caption(text, ("background",))


def _told(scene: Scene, rng: np.random.Generator) -> Caption:
    """Two or three sentences: how many shapes, what and where they are, the background."""
    sentences = [f"The picture shows {NUMBERS[len(scene.things)]}."]
    parts = [f"{_noun(thing, rng, size=True)} {_place(thing, rng)}" for thing in scene.things]
    sentences.append(f"{'It is' if len(parts) == 1 else 'They are'} {_listed(parts)}.")
    if rng.random() >= 0.7:
        return Caption(" ".join(sentences), ("size", "position"))
    top, bottom = scene.background
    shade = f"is {top}" if top == bottom else f"turns from {top} to {bottom}"
    sentences.append(f"The background {shade}.")
    return Caption(" ".join(sentences), ("size", "position", "background"))


_STYLES = {
    "named": _named,
    "placed": _placed,
    "related": _related,
    "background": _before_background,
    "told": _told,
}
STYLES = tuple(_STYLES)  # of a scene's captions, from the names alone to several sentences


def scene_words() -> set[str]:
    """Every word of a caption in lower case: what a model of scenes has read."""
    tables = [words for table in (SHAPES, COLOURS, SIZES, RELATIONS) for words in table.values()]
    phrases = [word for words in [*tables, *PLACES[0], *PLACES[1], *PLACES[2]] for word in words]
    said = "a an and it is they are the picture shows on background that turns from to"
    return set(" ".join([said, *phrases, *BACKGROUNDS, *NUMBERS]).replace("-", " ").split())
