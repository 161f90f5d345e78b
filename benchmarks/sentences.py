"""How well do the shipped models of scenes do what a sentence asks for?

    python benchmarks/sentences.py          # every run that has no record yet
    python benchmarks/sentences.py --again  # every run from scratch, in place of its record

2,000 fresh scenes, half of them of combinations that no model has met, as texts of four kinds: with
every thing's place ("placed"), without ("plain"), two things by their relation ("related"), and, to
tell what goes wrong in a decoder that reads the text, "placed" with the code of the scene itself
("rebuilt") or of another one ("borrowed"). A judge reads what is drawn. It takes two things of
one colour for one, so of "plain" texts it is also counted what stands out from the background
("lone": all is there, and nothing else). By the judge's features drawings of 1,000 placed texts
have a Fréchet distance from their scenes. Three seeds of the noise; the
networks are one training each, so an interval is about the draw and not the training. Nothing is
chosen here.
Records: cvae_lib/records/sentences.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import arms
import numpy as np
import torch
from scipy.ndimage import label
from torch import Tensor

from cvae_lib.data.scenes import joined, scenes
from cvae_lib.data.sets import to_unit
from cvae_lib.data.shapes import RELATIONS, Scene
from cvae_lib.evaluation import obedience
from cvae_lib.metrics import frechet_distance, judge_features
from cvae_lib.models.judges import Seen
from cvae_lib.pretrained import conditions, load, load_pretrained

SEEDS = range(3)
SCENES = 1_000  # of combinations that were met in training, and as many of others
FRESH = {"test": 11, "unseen": 12}  # seeds of scenes that nothing else uses
BATCH = 250
ARMS: dict[str, tuple[str, dict[str, Any]]] = {  # the model, and how it draws
    "scenes-film": ("scenes-film", {}),
    "scenes-attend-gaussian": ("scenes-attend", {"fitted_prior": False}),
    "scenes-attend": ("scenes-attend", {}),
    "scenes-flow": ("scenes-flow", {"guidance": 1.0}),
    "scenes-flow-2": ("scenes-flow", {"guidance": 2.0}),
}
NUMBERS = ("one", "two", "three")
EXPERIMENTS = {
    "sentences": arms.Experiment(
        "Sentences that are obeyed",
        "Shares of pictures in which everything is as 2,000 fresh texts ask: their number of "
        "things, and every thing's colour, shape and place. “Plain” texts name no place; “lone”: "
        "of those, and no more regions stand out than things (true of all real scenes of one "
        "thing, of 96 % of those of two); “related” ones say where two things lie to each other; "
        "“rebuilt” pictures have their own codes, “borrowed code” is another picture's. One "
        "training each; the seeds are of the noise. Told in chapters "
        "[10](10_text_conditional_vae.ipynb) and [13](13_to_stable_diffusion.ipynb).",
        {
            "one": "placed.one_all",
            "two": "placed.two_all",
            "three": "placed.three_all",
            "one unseen": "placed.unseen_one_all",
            "two unseen": "placed.unseen_two_all",
            "plain, number": "plain.count",
            "plain, one": "plain.one",
            "plain, two": "plain.two",
            "lone, one": "lone.one",
            "lone, two": "lone.two",
            "related": "related",
            "two, rebuilt": "rebuilt.two_all",
            "two, borrowed code": "borrowed.two_all",
            "Fréchet": "frechet",
        },
        {
            "scenes-film": "hashed sentences through FiLM, $z$ from a Gaussian given the text",
            "scenes-attend-gaussian": "attention to words, $z$ from its Gaussian p(z | text)",
            "scenes-attend": "the same, the places that a text leaves open chosen first",
            "scenes-flow": "a flow over a map of codes, its network attends to words; guidance 1",
            "scenes-flow-2": "the same, guidance 2",
        },
    ),
}


@functools.cache
def fresh(name: str) -> Any:
    """The fresh scenes, their texts as the model takes them."""
    model, encoder, _ = load(name)
    how: dict[str, Any] = {"encoder": encoder, "words": model.reads_words}
    return joined(*(scenes(split, SCENES, seed=seed, **how) for split, seed in FRESH.items()))


def seen_in(pictures: Tensor) -> list[list[Seen]]:
    """What the judge sees in pictures (N, 3, S, S)."""
    judge = load_pretrained("scenes-judge")
    with torch.no_grad():
        return [things for piece in pictures.split(BATCH) for things in judge.things(piece)]


def regions(pictures: Tensor) -> np.ndarray:
    """How many regions of each picture (N, 3, S, S) stand out from the colour of their row: (N,).

    Of 6 pixels at least; that colour is the row's median, as grounds are plain or change downwards.
    """
    ground = pictures.median(3, keepdim=True).values
    masks = ((pictures - ground).abs().amax(1) > 0.2).numpy()
    sizes = [np.bincount(label(mask)[0].ravel())[1:] for mask in masks]
    return np.array([(size >= 6).sum() for size in sizes])


def grouped(seen: Sequence[Sequence[Seen]], truths: Sequence[Scene]) -> dict[str, float]:
    """`obedience` by the number of things asked for, of seen and unseen combinations."""
    groups: dict[str, list[int]] = {}
    for row, scene in enumerate(truths):
        name = "unseen_" * bool(scene.unseen()) + NUMBERS[len(scene.things) - 1]
        groups.setdefault(name, []).append(row)
    scores = {
        group: obedience([seen[i] for i in rows], [truths[i].things for i in rows])
        for group, rows in sorted(groups.items())
    }
    return {f"{group}_{name}": v for group, score in scores.items() for name, v in score.items()}


def named(things: Sequence[Any]) -> Counter[Any]:
    return Counter(map(attrgetter("colour", "shape"), things))


def plain(seen: Sequence[Sequence[Seen]], truths: Sequence[Scene]) -> dict[str, float]:
    """Shares of texts without places whose number is right, and all of whose things are there."""
    right: dict[str, list[bool]] = {"count": []}
    for there, scene in zip(seen, truths, strict=True):
        wanted = scene.things
        count = sum(thing.presence > 0.5 for thing in there) == len(wanted)
        right["count"].append(count)
        all_there = count and named(there[: len(wanted)]) == named(wanted)
        right.setdefault(NUMBERS[len(wanted) - 1], []).append(all_there)
    return {name: sum(rows) / len(rows) for name, rows in right.items()}


def lone(
    seen: Sequence[Sequence[Seen]], counts: np.ndarray, truths: Sequence[Scene]
) -> dict[str, float]:
    """Of texts without places, shares whose things are there and no other region: by number."""
    right: dict[str, list[bool]] = {}
    for there, count, scene in zip(seen, counts, truths, strict=True):
        wanted = scene.things
        alone = count == len(wanted) and named(there[: len(wanted)]) == named(wanted)
        right.setdefault(NUMBERS[len(wanted) - 1], []).append(bool(alone))
    return {name: sum(rows) / len(rows) for name, rows in right.items()}


def related(truths: Sequence[Scene]) -> tuple[list[str], list[tuple[Any, str, Any]]]:
    """A text that tells the relation of two things for each scene of two that has one."""
    texts, asked = [], []
    for scene in truths:
        if len(scene.things) == 2 and (found := scene.relations()):
            i, relation, j = found[0]
            first, second = scene.things[i], scene.things[j]
            nouns = [f"{thing.colour} {thing.shape}" for thing in (first, second)]
            one, other = (f"{'an' if noun[0] in 'aeio' else 'a'} {noun}" for noun in nouns)
            texts.append(f"{one} {RELATIONS[relation][0]} {other}")
            asked.append((first, relation, second))
    return texts, asked


def obeys(seen: Sequence[Seen], first: Any, relation: str, second: Any) -> bool:
    """Whether just these two things are there, the first above or left of the second."""
    there = {(thing.colour, thing.shape): thing for thing in seen if thing.presence > 0.5}
    a, b = (there.get((thing.colour, thing.shape)) for thing in (first, second))
    if len(there) != 2 or a is None or b is None:
        return False
    return a.row < b.row if relation == "above" else a.column < b.column


def with_codes(model: Any, data: Any, pixels: Tensor, generator: Any) -> dict[str, Any]:
    """How "placed" texts are drawn with the codes of their own scenes, and of others."""
    placed = data.text_vectors("placed")
    pieces = list(zip(pixels.split(BATCH), placed.split(BATCH), strict=True))
    with torch.no_grad():
        mu = torch.cat([model.encode(x, text)[0] for x, text in pieces])
        others = mu[torch.randperm(len(mu), generator=generator)]
        result = {}
        for name, codes in (("rebuilt", mu), ("borrowed", others)):
            pairs = zip(codes.split(BATCH), placed.split(BATCH), strict=True)
            drawn = torch.cat([model.decode(z, text) for z, text in pairs])
            result[name] = grouped(seen_in(drawn), data.truths)
    return result


def run(arm: str, seed: int) -> dict[str, Any]:
    """Draw every kind of text with this seed, and judge."""
    (name, how), started = ARMS[arm], time.perf_counter()
    model, encoder, _ = load(name)
    assert encoder is not None
    data, judge = fresh(name), load_pretrained("scenes-judge")
    pixels = to_unit(torch.from_numpy(data.images))
    generator = torch.Generator().manual_seed(seed)
    read = hasattr(model, "encode")  # else the decoder reads no text
    metrics = with_codes(model, data, pixels, generator) if read else {}

    def drawn(texts: Tensor) -> Tensor:
        return torch.cat([model.sample(t, generator, **how) for t in texts.split(BATCH)])

    texts, asked = related(data.truths)
    pairs = zip(seen_in(drawn(conditions(model, encoder, texts))), asked, strict=True)
    placed = drawn(data.text_vectors("placed"))
    met = [judge_features(judge, pictures[:SCENES], BATCH) for pictures in (placed, pixels)]
    open_ones = drawn(data.text_vectors("named"))
    metrics |= {
        "placed": grouped(seen_in(placed), data.truths),
        "plain": plain(seen_in(open_ones), data.truths),
        "lone": lone(seen_in(open_ones), regions(open_ones), data.truths),
        "related": sum(obeys(seen, *wanted) for seen, wanted in pairs) / len(asked),
        "frechet": frechet_distance(*met),
    }
    return {"metrics": metrics, "seconds": time.perf_counter() - started, **arms.origin()}


def main(names: list[str], again: bool = False) -> None:
    jobs = arms.seed_by_seed("sentences", {arm: SEEDS for arm in names})
    arms.run_missing(jobs, run, again)


if __name__ == "__main__":
    given = arms.parse(arms.parser(__doc__), ARMS)
    main(given.arms, given.again)
