"""Does a step along a direction of the code change what it should, and is the garment one still?

    python benchmarks/directions.py          # every run that has no record yet
    python benchmarks/directions.py --again  # every run from scratch, in place of its record

The sliders of the playground add a direction of `cvae_lib.models.attributes.directions` to every
code of `fashion-concat-sigma`. Here each picture is drawn again 1.5 spreads to either side. Right:
a picture that then measures more (less) than before. "sleeves" and "heel" were tried for the slider
that "shading" has: the code tells too little of them. No picture of the data is looked at. Records:
cvae_lib/records/directions.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import arms
import torch
from torch import Tensor

from cvae_lib.data import FASHION_CLASSES
from cvae_lib.models.attributes import GARMENT, Regression, attributes, directions, regress
from cvae_lib.pretrained import load_pretrained

MODEL = "fashion-concat-sigma"
COUNT = 500  # pictures of a class
STEP = 1.5  # spreads, to either side
SEEDS = range(1, 4)
ARMS = {
    "brightness": "the mean grey of the garment",
    "width": "its spread across against that down",
    "shading": "the grey of its upper half less that of its lower half",
    "sleeves": "tried: how full the outer sixths of the garment's box are; for five classes",
    "heel": "tried: how empty the middle of the box's lowest quarter is; for three classes",
}
FOR = {"sleeves": (0, 2, 3, 4, 6), "heel": (5, 7, 9)}  # labels; else all
EXPERIMENTS = {
    "directions": arms.Experiment(
        "Directions of the code",
        f"`{MODEL}`, one training, draws {COUNT} garments of each class, and draws them again "
        f"with {STEP} spreads along a direction added to the code, and taken from it. $R^2$: how "
        "much of the attribute a regression on $z$ tells. Right: the share of pictures that change "
        "as they should. Lost: by how much less often the judge agrees. Means over the classes, "
        "and the worst one; the seeds are of the noise. Told in [the playground](playground.md).",
        {
            "$R^2$": "r2",
            "right": "right",
            "right, worst class": "right_worst",
            "lost": "lost",
            "lost, worst class": "lost_worst",
        },
        ARMS,
    ),
}


def box(garment: Tensor) -> Tensor:
    """The part of a mask (H, W) from its first to its last row and column."""
    rows, columns = garment.any(1).nonzero()[:, 0], garment.any(0).nonzero()[:, 0]
    if not len(rows):
        return garment
    return garment[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def sleeves(garment: Tensor) -> Tensor:
    sixth = max(1, round(garment.shape[1] / 6))
    return torch.cat([garment[:, :sixth], garment[:, -sixth:]], 1).double().mean()


def heel(garment: Tensor) -> Tensor:
    height, width = garment.shape
    rows, side = max(1, round(height / 4)), round(0.3 * width)
    return 1 - garment[-rows:, side : max(side + 1, width - side)].double().mean()


TRIED: dict[str, Callable[[Tensor], Tensor]] = {"sleeves": sleeves, "heel": heel}


def measure(images: Tensor) -> dict[str, Tensor]:
    """`attributes` of garments, and what was tried beside them."""
    found = attributes(images)
    masks = [box(one) for one in images[:, 0] >= GARMENT]
    return found | {name: torch.stack([*map(of_box, masks)]) for name, of_box in TRIED.items()}


@functools.cache
def networks() -> tuple[Any, Any]:
    return load_pretrained(MODEL), load_pretrained("fashion-judge")


@functools.cache
def regression(label: int) -> Regression:
    """On z of what the class's pictures measure, every arm at once."""
    return regress(networks()[0], label, tuple(ARMS), measure)


@torch.no_grad()
def of_class(arm: str, label: int, seed: int) -> dict[str, float]:
    """R², the share that is right, and what agreement is lost, for one class."""
    model, judge = networks()
    fit, place = regression(label), list(ARMS).index(arm)
    way = directions(model, label, fit)[place].float()
    labels = torch.full((COUNT,), label)
    z = model.prior.sample(COUNT, labels, torch.Generator().manual_seed(seed))
    pictures = {side: model.decode(z + side * STEP * way, labels) for side in (-1, 0, 1)}
    values = {side: measure(x)[arm] for side, x in pictures.items()}
    agreed = {
        side: float((judge(x).argmax(1) == label).double().mean()) for side, x in pictures.items()
    }
    right = [(side * (values[side] - values[0]) > 0).double().mean() for side in (-1, 1)]
    variance = fit.measured[arm].double().var()
    return {
        "r2": 1 - float(fit.noise[place, place] / variance),
        "right": float(sum(right)) / 2,
        "lost": agreed[0] - min(agreed[-1], agreed[1]),
    }


def run(arm: str, seed: int) -> dict[str, Any]:
    """Every class that has what the arm measures."""
    start = time.perf_counter()
    labels = FOR.get(arm, range(len(FASHION_CLASSES)))
    found = {FASHION_CLASSES[label]: of_class(arm, label, seed) for label in labels}
    metrics: dict[str, Any] = {
        name: sum(one[name] for one in found.values()) / len(found)
        for name in ("r2", "right", "lost")
    }
    metrics["right_worst"] = min(one["right"] for one in found.values())
    metrics["lost_worst"] = max(one["lost"] for one in found.values())
    metrics["classes"] = found
    return {"metrics": metrics, "seconds": time.perf_counter() - start, **arms.origin()}


def main() -> None:
    given = arms.parse(arms.parser(__doc__), ARMS)
    jobs = arms.seed_by_seed("directions", {arm: SEEDS for arm in given.arms})
    arms.run_missing(jobs, run, given.again)


if __name__ == "__main__":
    main()
