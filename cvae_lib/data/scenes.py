"""Scenes: procedural pictures of one to three shapes with captions, whose truth is known.

Every scene is a function of (seed, split, index) alone: no matter how many are drawn, in which
order, or by how many processes.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

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
STYLES = ("named", "placed", "related", "background", "told")  # of a scene's captions, in order
NUMBERS = ("", "one shape", "two shapes", "three shapes")
CHUNK = 64  # scenes that a process draws at a time


def draw_scene(split: str, index: int, seed: int = 0) -> tuple[Scene, list[str]]:
    """Scene ``index`` of a split, with a caption of each of the `STYLES`, the plainest first."""
    if split not in SPLITS:
        raise ValueError(f"no split {split!r} of Scenes: choose one of {', '.join(SPLITS)}")
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    wanted = None if split != "unseen" else _pick(rng, ["pair", "relation"])
    while True:
        scene = _random_scene(rng, wanted)
        if scene.unseen() == ([] if wanted is None else [wanted]) and not _touching(scene):
            return scene, list(_captions(scene, rng))


def scenes(
    split: str, count: int, size: int = 64, *, encoder: TextEncoder, seed: int = 0, workers: int = 1
) -> CaptionedSet:
    """Draw ``count`` scenes of a split into memory: pictures (count, 3, size, size).

    Those of "unseen" hold shapes in colours, or above or left of shapes, as "train", "valid" and
    "test" never do. The number of ``workers``, processes, changes nothing but the time.
    """
    count = whole_number("count", count, at_least=1)
    images, truths, texts = np.empty((count, 3, size, size), np.uint8), list[Scene](), list[str]()
    for row, (image, scene, captions) in enumerate(_drawn(split, count, size, seed, workers)):
        images[row] = image
        truths.append(scene)
        texts += captions
    vectors, source = encoder(texts).numpy().astype(np.float16), f"Scenes, {split}, seed {seed}"
    starts = np.arange(count + 1, dtype=np.int64) * len(STYLES)
    return CaptionedSet(images, vectors, starts, texts, truths, source, styles=STYLES)


def joined(*sets: CaptionedSet) -> CaptionedSet:
    """Several sets of scenes as one."""
    return CaptionedSet(
        np.concatenate([data.images for data in sets]),
        np.concatenate([data.vectors for data in sets]),
        np.arange(sum(map(len, sets)) + 1, dtype=np.int64) * len(STYLES),
        [text for data in sets for text in data.texts],
        [truth for data in sets for truth in data.truths or ()],
        " and ".join(data.source for data in sets),
        styles=STYLES,
    )


def write_scenes(
    folder: str | Path,
    split: str = "train",
    count: int = 1000,
    size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> Path:
    """Write scenes as a COCO folder: ``SPLIT/*.png`` and ``annotations/captions_SPLIT.json``.

    While they are drawn, with all cores, those of an earlier call stay. Returns the annotation
    file, which is written last.
    """
    folder, images, annotations = user_path(folder), list[Any](), list[Any]()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "annotations" / f"captions_{split}.json"
    with tempfile.TemporaryDirectory(prefix=".scenes-", dir=folder) as fresh:
        drawn = _drawn(split, count, size, seed, os.cpu_count() or 1)
        bar = tqdm(drawn, total=count, unit=" scenes", disable=not progress)
        for number, (image, _, captions) in enumerate(bar, 1):
            name = f"{number:012d}.png"
            Image.fromarray(image.transpose(1, 2, 0)).save(Path(fresh, name), compress_level=1)
            images.append({"id": number, "file_name": name, "width": size, "height": size})
            for text in captions:
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number, "caption": text}
                )
        path.unlink(missing_ok=True)  # from here on there are no scenes, until all are there
        (folder / split).mkdir(exist_ok=True)
        for name in os.listdir(fresh):
            os.replace(Path(fresh, name), folder / split / name)
    info = {"description": f"Scenes, {split}, seed {seed}"}
    content = {"info": info, "licenses": [], "images": images, "annotations": annotations}
    write_atomically(path, json.dumps(content).encode())
    return path


Drawn = tuple[np.ndarray, Scene, list[str]]


def _drawn(split: str, count: int, size: int, seed: int, workers: int) -> Iterator[Drawn]:
    """The first ``count`` scenes of a split, in order, with their pictures."""
    count, draw = whole_number("count", count, at_least=1), partial(_draw, split, seed, size)
    if workers < 2 or count <= CHUNK:
        yield from map(draw, range(count))
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(draw, range(count), chunksize=CHUNK)


def _draw(split: str, seed: int, size: int, index: int) -> Drawn:
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
    colours = rng.permutation(list(COLOURS)).tolist()
    shapes = [_pick(rng, list(SHAPES)) for _ in range(count)]
    places = [divmod(int(cell), 3) for cell in rng.permutation(9)[:count]]
    if wanted == "pair":
        shapes[0], colour = _pick(rng, sorted(UNSEEN_PAIRS))
        colours = [colour, *(other for other in colours if other != colour)]
    elif wanted == "relation":
        shapes[0], relation, shapes[1] = _pick(rng, sorted(UNSEEN_RELATIONS))
        near, far = sorted(rng.permutation(3)[:2].tolist())
        across = int(rng.integers(3))
        pair = [(near, across), (far, across)]
        if relation == "left of":
            pair = [(across, near), (across, far)]
        places = [*pair, *(place for place in places if place not in pair)]
    things = []
    for shape, colour, (row, column) in zip(shapes, colours, places, strict=False):
        dx, dy = rng.uniform(-JITTER, JITTER, 2).tolist()
        x, y = round(CENTRES[column] + dx, 4), round(CENTRES[row] + dy, 4)
        things.append(Thing(shape, colour, _pick(rng, list(SIZES)), row, column, x, y))
    first = _pick(rng, list(BACKGROUNDS))
    second = first if rng.random() < 0.5 else _pick(rng, list(BACKGROUNDS))
    return Scene(tuple(things), (first, second))


def _touching(scene: Scene) -> bool:
    return any(
        np.hypot(a.x - b.x, a.y - b.y) < RADII[a.size] + RADII[b.size] + 0.01
        for a, b in combinations(scene.things, 2)
    )


def _captions(scene: Scene, rng: np.random.Generator) -> Iterator[str]:
    """A caption of each of the `STYLES`, from the names alone to several sentences."""
    things, relations, (top, bottom) = scene.things, scene.relations(), scene.background
    plain = top == bottom

    def word(words: Sequence[str]) -> str:
        """The first word in six cases of ten, else one of its synonyms."""
        return words[0] if len(words) == 1 or rng.random() < 0.6 else _pick(rng, words[1:])

    def noun(thing: Thing, size: bool = False, place: bool = False) -> str:
        words = [word(SIZES[thing.size])] if size else []
        words += [word(COLOURS[thing.colour]), word(SHAPES[thing.shape])]
        words += [word(PLACES[thing.row][thing.column])] if place else []
        return " ".join(["an" if words[0][0] in "aeio" else "a", *words])

    def listed(parts: list[str]) -> str:
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)

    def nouns(**tells: bool) -> str:
        return listed([noun(thing, **tells) for thing in things])

    yield nouns()
    yield nouns(size=rng.random() < 0.5, place=True)
    if relations:  # two things by their relation, and a third
        i, relation, j = _pick(rng, relations)
        if rng.random() < 0.5:
            i, relation, j = j, {"above": "below", "left of": "right of"}[relation], i
        pair = f"{noun(things[i])} {word(RELATIONS[relation])} {noun(things[j])}"
        rest = [noun(thing) for k, thing in enumerate(things) if k not in (i, j)]
        yield listed([pair, *rest])
    else:
        yield nouns(size=True)
    ground = f"{top} background" if plain else f"background that turns from {top} to {bottom}"
    yield f"{nouns()} on a {ground}"
    text = f"The picture shows {NUMBERS[len(things)]}. {'They are' if things[1:] else 'It is'} "
    text += f"{nouns(size=True, place=True)}."
    if rng.random() < 0.7:
        text += f" The background {f'is {top}' if plain else f'turns from {top} to {bottom}'}."
    yield text


def scene_words() -> set[str]:
    """Every word of a caption in lower case: what a model of scenes has read."""
    tables = [words for table in (SHAPES, COLOURS, SIZES, RELATIONS) for words in table.values()]
    phrases = [word for words in [*tables, *PLACES[0], *PLACES[1], *PLACES[2]] for word in words]
    said = "a an and it is they are the picture shows on background that turns from to"
    return set(" ".join([said, *phrases, *BACKGROUNDS, *NUMBERS]).replace("-", " ").split())
