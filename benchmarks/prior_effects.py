"""What a prior does for the drawn garments: its shape and its width, each by itself.

    python benchmarks/prior_effects.py          # every run that has no record yet
    python benchmarks/prior_effects.py --again  # every run from scratch, in place of its record

Two shipped models, three priors, two widths: N(0, I), one Gaussian a class and five, with standard
deviations as fitted and multiplied by the width that `prior_width.py` chose on validation images.
10,000 drawn garments against the 10,000 test images, four seeds of the noise; nothing is chosen
here. The networks are one training each, so an interval is about the draw and not the training.
Records: cvae_lib/records/prior-effects.
"""

from __future__ import annotations

import functools
import time
from typing import Any

import arms
import torch
from torch import Tensor

from cvae_lib import metrics, models
from cvae_lib.data import fashion_mnist
from cvae_lib.evaluation import SAMPLES
from cvae_lib.latent import fit_prior
from cvae_lib.pretrained import load_pretrained

MODELS = ("fashion-concat", "fashion-concat-sigma")
COMPONENTS = {"standard": 0, "one": 1, "five": 5}  # Gaussians a class; 0: N(0, I)
WIDTHS = (1.0, 0.8)
SEEDS = range(1, 5)
ARMS = {
    f"{model}-{prior}-{width:g}": (model, prior, width)
    for model in MODELS
    for prior in COMPONENTS
    for width in WIDTHS
}
NAMES = {"standard": "$\\mathcal N(0, I)$", "one": "one Gaussian a class", "five": "five a class"}

EXPERIMENTS = {
    "prior-effects": arms.Experiment(
        "Where to draw z, and how wide",
        "Two shipped models, one training each, draw 10,000 garments from several priors, "
        "against 10,000 test pictures; the seeds are of the noise. Told in "
        "[Chapter 08](08_words_to_pictures.ipynb).",
        {"Fréchet": "frechet", "agreement": "class_agreement"},
        {
            arm: f"`{model}`, $z$ from {NAMES[prior]}, width {width:g}"
            for arm, (model, prior, width) in ARMS.items()
        },
    ),
}


@functools.cache
def fitted(name: str, components: int) -> models.VAE:
    """The shipped model, its prior so many Gaussians a class, as wide as fitted; 0 is one."""
    shipped = load_pretrained(name)
    about = {**shipped.architecture, "prior_components": components or 1}
    model = type(shipped)(**about)
    weights = shipped.state_dict()
    own = {key: value for key, value in weights.items() if not key.startswith("prior.")}
    model.load_state_dict(own, strict=False)
    if components:
        fit_prior(model, fashion_mnist("train"))
    return model.eval()


@functools.cache
def judged() -> tuple[Any, Tensor]:
    """The judge, and its features of the test images."""
    judge = load_pretrained("fashion-judge")
    return judge, metrics.judge_features(judge, fashion_mnist("test").pixels())


def run(arm: str, seed: int) -> dict[str, Any]:
    """Draw with this seed; a width is a temperature here, since both scale the same noise."""
    name, prior, width = ARMS[arm]
    start = time.perf_counter()
    model, (judge, real) = fitted(name, COMPONENTS[prior]), judged()
    labels = torch.arange(SAMPLES) % models.N_CLASSES
    noise = torch.Generator().manual_seed(seed)
    drawn = [model.sample(part, noise, temperature=width) for part in labels.split(1000)]
    features = metrics.judge_features(judge, torch.cat(drawn))
    right = judge.head(features).argmax(1) == labels
    measured = {
        "frechet": metrics.frechet_distance(features, real),
        "class_agreement": float(right.float().mean()),
    }
    return {"metrics": measured, "seconds": time.perf_counter() - start, **arms.origin()}


def main() -> None:
    given = arms.parse(arms.parser(__doc__), ARMS)
    seeds = dict.fromkeys(given.arms, SEEDS)
    arms.run_missing(arms.seed_by_seed("prior-effects", seeds), run, given.again)


if __name__ == "__main__":
    main()
