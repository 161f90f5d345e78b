"""Scenes: procedural pictures of one to three shapes with captions, whose truth is known.

Every scene is a function of (seed, split, index) alone: no matter how many are drawn.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import chain, combinations
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from cvae_lib.checks import one_of, whole_number
from cvae_lib.data import shapes
from cvae_lib.data.sets import CaptionedSet, TextEncoder
from cvae_lib.data.shapes import Scene, Thing, render
from cvae_lib.data.words import Words
from cvae_lib.files import user_path, write_atomically

SPLITS = ("train", "valid", "test", "unseen")
STYLES = ("named", "placed", "related", "background", "told")  # of a scene's captions, in order
NUMBERS = ("", "one shape", "two shapes", "three shapes")


def draw_scene(split: str, index: int, seed: int = 0) -> tuple[Scene, list[str]]:
    """Scene ``index`` of a split, with a caption of each of the `STYLES`, the plainest first."""
    one_of("split of Scenes", split, SPLITS)
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    wanted = None if split != "unseen" else _pick(rng, ["pair", "relation"])
    while True:
        scene = _random_scene(rng, wanted)
        if scene.unseen() == ([] if wanted is None else [wanted]) and not _touching(scene):
            return scene, list(_captions(scene, rng))


def scenes(
    split: str,
    count: int,
    size: int = 64,
    *,
    encoder: TextEncoder,
    seed: int = 0,
    words: bool = False,
) -> CaptionedSet:
    """Draw ``count`` scenes of a split into memory: pictures (count, 3, size, size).

    Those of "unseen" hold shapes in colours, or above or left of shapes, as "train", "valid" and
    "test" never do. With ``words``, a caption is a vector for each word, not one for all.
    """
    count = whole_number("count", count, at_least=1)
    images, truths, texts = np.empty((count, 3, size, size), np.uint8), list[Scene](), list[str]()
    for index in range(count):
        scene, captions = draw_scene(split, index, seed)
        images[index] = render(scene, size)
        truths.append(scene)
        texts += captions
    vectors = encoder.ragged(texts) if words else encoder(texts).numpy().astype(np.float16)
    source = f"Scenes, {split}, seed {seed}"
    starts = np.arange(count + 1, dtype=np.int64) * len(STYLES)
    return CaptionedSet(images, vectors, starts, texts, truths, source, styles=STYLES)


def joined(*sets: CaptionedSet) -> CaptionedSet:
    """Several sets of scenes as one."""
    vectors: list[Any] = [data.vectors for data in sets]
    return CaptionedSet(
        np.concatenate([data.images for data in sets]),
        reduce(add, vectors) if isinstance(vectors[0], Words) else np.concatenate(vectors),
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

    While they are drawn, those of an earlier call stay. Returns the annotations, written last.
    """
    count = whole_number("count", count, at_least=1)
    folder, images, annotations = user_path(folder), list[Any](), list[Any]()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "annotations" / f"captions_{split}.json"
    with tempfile.TemporaryDirectory(prefix=".scenes-", dir=folder) as fresh:
        for index in tqdm(range(count), unit=" scenes", disable=not progress):
            scene, captions = draw_scene(split, index, seed)
            number, name = index + 1, f"{index + 1:012d}.png"
            picture = Image.fromarray(render(scene, size).transpose(1, 2, 0))
            picture.save(Path(fresh, name), compress_level=1)
            images.append({"id": number, "file_name": name, "width": size, "height": size})
            for text in captions:
                about = {"id": len(annotations) + 1, "image_id": number}
                annotations.append(about | {"caption": text})
        path.unlink(missing_ok=True)  # from here on there are no scenes, until all are there
        (folder / split).mkdir(exist_ok=True)
        for name in os.listdir(fresh):
            os.replace(Path(fresh, name), folder / split / name)
    info = {"description": f"Scenes, {split}, seed {seed}"}
    content = {"info": info, "licenses": [], "images": images, "annotations": annotations}
    write_atomically(path, json.dumps(content).encode())
    return path


OPEN = ("named", "related", "background")  # styles whose captions name no place
PHRASES = [cell[0] for row in shapes.PLACES for cell in row]  # one for each place


def open_texts(data: CaptionedSet, seed: int = 0) -> list[tuple[str, dict[int, int]]]:
    """Captions of scenes that leave places open, and which: end of a thing's words → its place.

    A place is a number from 0 to 8, row by row. A scene of several things gives four texts, two of
    them in the style "related", which tells a relation where there is one; a scene of one thing
    gives one. Half of the texts tell each place with a chance of one half. ValueError for captions
    of other pictures.
    """
    if not data.truths:
        raise ValueError(f"a layout is learnt from scenes, whose truth is known, not {data.source}")
    rng, found = np.random.default_rng(seed), []
    for row, scene in enumerate(data.truths):
        several = (*OPEN, "related")
        for style in several if scene.things[1:] else [_pick(rng, OPEN)]:
            text = data.texts[data.starts[row] + STYLES.index(style)]
            all_open = rng.random() < 0.5
            left, told = dict[int, int](), 0  # ends of things, characters put in before them
            for end, thing in sorted((_end(text, thing), thing) for thing in scene.things):
                if all_open or rng.random() < 0.5:
                    left[end + told] = 3 * thing.row + thing.column
                else:
                    phrase = f" {_pick(rng, shapes.PLACES[thing.row][thing.column])}"
                    text = text[: end + told] + phrase + text[end + told :]
                    told += len(phrase)
            found.append((text, left))
    return found


def _end(text: str, thing: Thing) -> int:
    """Where a caption's words for a thing end; no two things of a scene have one colour."""
    colours, names = (
        "|".join(words) for words in (shapes.COLOURS[thing.colour], shapes.SHAPES[thing.shape])
    )
    found = re.search(rf"\b({colours}) ({names})\b", text)
    if found is None:
        raise ValueError(f"{text!r} has no {thing.colour} {thing.shape}")
    return found.end()


# Drawing at random.


def _pick(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _random_scene(rng: np.random.Generator, wanted: str | None) -> Scene:
    """Any scene; with ``wanted`` one that is likely to hold what training scenes do not."""
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))
    if wanted == "relation":
        count = max(count, 2)
    colours = rng.permutation(list(shapes.COLOURS)).tolist()
    names = [_pick(rng, list(shapes.SHAPES)) for _ in range(count)]
    places = [divmod(int(cell), 3) for cell in rng.permutation(9)[:count]]
    if wanted == "pair":
        names[0], colour = _pick(rng, sorted(shapes.UNSEEN_PAIRS))
        colours = [colour, *(other for other in colours if other != colour)]
    elif wanted == "relation":
        names[0], relation, names[1] = _pick(rng, sorted(shapes.UNSEEN_RELATIONS))
        near, far = sorted(rng.permutation(3)[:2].tolist())
        across = int(rng.integers(3))
        pair = [(near, across), (far, across)]
        if relation == "left of":
            pair = [(across, near), (across, far)]
        places = [*pair, *(place for place in places if place not in pair)]
    things = []
    for shape, colour, (row, column) in zip(names, colours, places, strict=False):
        dx, dy = rng.uniform(-shapes.JITTER, shapes.JITTER, 2).tolist()
        x, y = round(shapes.CENTRES[column] + dx, 4), round(shapes.CENTRES[row] + dy, 4)
        things.append(Thing(shape, colour, _pick(rng, list(shapes.SIZES)), row, column, x, y))
    first = _pick(rng, list(shapes.BACKGROUNDS))
    second = first if rng.random() < 0.5 else _pick(rng, list(shapes.BACKGROUNDS))
    return Scene(tuple(things), (first, second))


def _touching(scene: Scene) -> bool:
    return any(
        np.hypot(a.x - b.x, a.y - b.y) < shapes.RADII[a.size] + shapes.RADII[b.size] + 0.01
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
        words = [word(shapes.SIZES[thing.size])] if size else []
        words += [word(shapes.COLOURS[thing.colour]), word(shapes.SHAPES[thing.shape])]
        words += [word(shapes.PLACES[thing.row][thing.column])] if place else []
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
        pair = f"{noun(things[i])} {word(shapes.RELATIONS[relation])} {noun(things[j])}"
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
    tables = shapes.SHAPES, shapes.COLOURS, shapes.SIZES, shapes.RELATIONS
    cells = [words for row in shapes.PLACES for words in row]
    phrases = chain(*cells, *chain(*(table.values() for table in tables)))
    said = "a an and it is they are the picture shows on background that turns from to"
    return set(" ".join([said, *phrases, *shapes.BACKGROUNDS, *NUMBERS]).replace("-", " ").split())
