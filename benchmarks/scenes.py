"""Sentences to scenes: how a text should enter, how large the code and the picture should be.

    python benchmarks/scenes.py                  # every run that has no record yet
    python benchmarks/scenes.py concat film      # those of two arms
    python benchmarks/scenes.py --again          # every run, in place of its record

Arms and seeds were written down before the first run of each; every run is kept. "concat", "add"
and "film" differ in how the text enters; "latent-64" to "latent-1024" are the FiLM arm with other
codes, "beta-3" with a heavier KL term; "size-64" to "size-256" draw it larger, from fewer images:
256 pixels once and from a quarter of those, being heavy. To save time that quarter was settled, and
codes of 256 and 512 units were left out, before they ran but after others had been seen. All have
half the article's channels, hashed text vectors and binary cross-entropy, and are measured on
scenes that no arm was chosen by. One thread a run. Records: cvae_lib/records/scenes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import arms
import torch

from cvae_lib.data.scenes import joined, scenes
from cvae_lib.encoders import HashingTextEncoder
from cvae_lib.evaluation import measure_scenes
from cvae_lib.latent import fit_text_prior
from cvae_lib.models import TextConditionalVAE
from cvae_lib.train import TrainConfig

EXPERIMENT = "scenes"
WIDTH = 16  # channels of the first stage; the article has 32
EPOCHS, BATCH_SIZE, LR = 8, 64, 2e-3
VALID_IMAGES, TEST_IMAGES, UNSEEN_IMAGES = 500, 2_000, 1_000


class Arm(NamedTuple):
    """One way to build and train; what is not said is as in "film"."""

    seeds: range = range(3)
    conditioning: Any = "film"
    latent_dim: int = 128
    image_size: int = 64
    train_images: int = 25_000
    beta: float = 1.0


ARMS = {
    "film": Arm(),
    "concat": Arm(conditioning="concat"),
    "add": Arm(conditioning="add"),
    "beta-3": Arm(beta=3.0),
    "size-64": Arm(train_images=10_000),
    "size-128": Arm(image_size=128, train_images=10_000),
    "latent-64": Arm(latent_dim=64),
    "latent-1024": Arm(latent_dim=1024),
    "size-256": Arm(range(1), image_size=256, train_images=2_500),
}

EXPERIMENTS = {
    "scenes": arms.Experiment(
        "Sentences to scenes",
        "A text-conditional VAE of half the article's width with hashed text vectors, 8 epochs of "
        "25,000 scenes of 64 pixels (the arms named by size: fewer). Fréchet distance, obedience "
        "to texts of one thing and the share of pictures in which all is right, with $z$ from the "
        "prior fitted to the posteriors given the text, unless it says $\\mathcal N(0, I)$. SSE "
        "is a pixel's, over three channels. Told in [Chapter 11](11_scaling.ipynb) and "
        "[Chapter 12](12_limits.ipynb).",
        {
            "−ELBO": "negative_elbo",
            "rate": "kl",
            "SSE": "sse_per_pixel",
            "SSIM": "ssim",
            "Fréchet": "fitted_prior.frechet",
            "colour": "fitted_prior.one_colour",
            "shape": "fitted_prior.one_shape",
            "position": "fitted_prior.one_position",
            "position, N(0, I)": "standard_prior.one_position",
            "all, one thing": "fitted_prior.one_all",
            "all, one unseen": "fitted_prior.unseen_one_all",
        },
        {
            "film": "128 latent units; the text scales and shifts every scale of the decoder",
            "concat": "the same, the text appended to features and code",
            "add": "the same, the text added to features and code",
            "beta-3": "`film` with the KL term three times as heavy",
            "latent-64": "`film` with 64 latent units",
            "latent-1024": "with 1,024",
            "size-64": "`film` from 10,000 scenes",
            "size-128": "the same at 128 pixels",
            "size-256": "at 256 pixels, from 2,500 scenes",
        },
    ),
}


def run(name: str, seed: int, again: bool) -> dict[str, Any]:
    """Train and measure one model."""
    arm, size = ARMS[name], ARMS[name].image_size
    encoder = HashingTextEncoder()
    train = scenes("train", arm.train_images, size, encoder=encoder)
    valid = scenes("valid", VALID_IMAGES, size, encoder=encoder)
    torch.manual_seed(seed)
    model = TextConditionalVAE(size, arm.latent_dim, encoder.dim, arm.conditioning, width=WIDTH)
    config = TrainConfig(
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        lr=LR,
        schedule="cosine",
        beta=arm.beta,
        seed=seed,
        precision="float32",
    )
    history = arms.trained(EXPERIMENT, name, model, (train, valid), config, again)
    fit_text_prior(model, train, seed=seed)
    test = joined(
        scenes("test", TEST_IMAGES, size, encoder=encoder),
        scenes("unseen", UNSEEN_IMAGES, size, encoder=encoder),
    )
    return {
        "architecture": model.architecture,
        "parameters": sum(p.numel() for p in model.parameters()),
        "metrics": measure_scenes(model, test, seed),
        "data": {
            "train_images": len(train),
            "train_sha256": train.sha256(),
            "test_sha256": test.sha256(),
        },
        **arms.provenance(config, history),
    }


def main(names: list[str], again: bool = False) -> None:
    jobs = arms.seed_by_seed(EXPERIMENT, {name: ARMS[name].seeds for name in names})
    arms.run_missing(jobs, lambda name, seed: run(name, seed, again), again)


if __name__ == "__main__":
    given = arms.parse(arms.parser(__doc__), ARMS)
    main(given.arms, given.again)
