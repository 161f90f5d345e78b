"""Concat, add or FiLM? The article's question, over seeds, and what the gap is made of.

    python benchmarks/conditioning.py              # every run that has no record yet
    python benchmarks/conditioning.py film concat  # those of two arms
    python benchmarks/conditioning.py --again      # every run from scratch, in place of its record

Every arm has the article's size and training: 128 latent units, binary cross-entropy, Adam at a
constant 10⁻³, batches of 128. All get 10 epochs of the 55,000 training images, and are measured on
the 10,000 test images with float16 weights. Arms and seeds were written down before their first
run; every run is kept. One thread a run. Records: cvae_lib/records/conditioning.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import arms
import torch
from torch import Tensor, nn

from cvae_lib import metrics, models
from cvae_lib.data import ImageSet, fashion_mnist
from cvae_lib.evaluation import measure_garments
from cvae_lib.files import write_atomically
from cvae_lib.latent import encode_set
from cvae_lib.models import VAE
from cvae_lib.models.conditioning import Add, Embed, Sizes
from cvae_lib.train import TrainConfig

EXPERIMENT = "conditioning"
EPOCHS = 10
PROBE_IMAGES = 10_000  # training images whose latents the probes learn from
SMALL = 0.02  # standard deviation of a small embedding's initial values


class HiddenAdd(Add):
    """Adds the decoder's vector one layer later: to the 2048 features, not to z.

    The shift may then leave the column space of the decoder's first layer, as concat's may.
    """

    def __init__(self, embed: Embed, sizes: Sizes) -> None:
        super().__init__(embed, sizes._replace(latent=sizes.features), std=SMALL)

    def latent(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return z

    def maps(self, maps: Tensor, condition: Tensor | None, stage: int) -> Tensor:
        return maps + self.to_latent(condition).view_as(maps)


class HiddenVAE(VAE):
    """An additive CVAE with `HiddenAdd`."""

    conditioning = HiddenAdd


def additive(encoder_std: float, decoder_std: float) -> VAE:
    """The article's additive CVAE with these initial standard deviations of its embeddings."""
    model = models.AdditiveConditionalVAE()
    with torch.no_grad():
        model.get_parameter("condition.to_features.weight").mul_(encoder_std)
        model.get_parameter("condition.to_latent.weight").mul_(decoder_std)
    return model


def scaled(model: VAE, std: float) -> VAE:
    """``model`` with its label embeddings drawn anew with this standard deviation."""
    for layer in model.modules():
        if isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, std=std)
    return model


# The first five are the comparison, 5 seeds; the others take the gap apart, 3 seeds. The last two
# were added when the first seed was seen: they cross the kind of conditioning with the scale.
ARMS: dict[str, tuple[Callable[[], VAE], range]] = {
    "concat": (models.ConcatConditionalVAE, range(5)),
    "additive": (lambda: additive(1.0, 1.0), range(5)),
    "film": (models.FilmConditionalVAE, range(5)),
    "additive-small": (lambda: additive(SMALL, SMALL), range(5)),
    "vae": (models.VAE, range(5)),
    "additive-small-encoder": (lambda: additive(SMALL, 1.0), range(3)),
    "additive-small-decoder": (lambda: additive(1.0, SMALL), range(3)),
    "additive-hidden": (HiddenVAE, range(3)),
    "concat-small": (lambda: scaled(models.ConcatConditionalVAE(), SMALL), range(3)),
    "film-unit": (lambda: scaled(models.FilmConditionalVAE(), 1.0), range(3)),
}

EXPERIMENTS = {
    "conditioning": arms.Experiment(
        "How to tell a network the label",
        "A VAE that is told the label in one way or another, and one without; equal size of "
        "the code, equal training of 10 epochs of 55,000 pictures. Fréchet distance and class "
        "agreement with $z$ from $\\mathcal N(0, I)$; probes read the class from μ. "
        "Told in [Chapter 05](05_concat_or_add.ipynb).",
        {
            "−ELBO": "negative_elbo",
            "distortion": "nll",
            "rate": "kl",
            "SSE": "sse",
            "active units": "active_units",
            "Fréchet": "standard_prior.frechet",
            "agreement": "standard_prior.class_agreement",
            "kNN probe": "knn_probe",
            "linear probe": "linear_probe",
        },
        {
            "vae": "no label",
            "concat": "label embedding beside the encoder's features and beside $z$",
            "concat-small": "the same, embeddings starting with standard deviation 0.02",
            "additive": "label embeddings added to the encoder's features and to $z$, starting "
            "with standard deviation 1",
            "additive-small": "the same, starting with 0.02",
            "additive-small-encoder": "0.02 in the encoder, 1 in the decoder",
            "additive-small-decoder": "1 in the encoder, 0.02 in the decoder",
            "additive-hidden": "0.02, in the decoder added one layer after $z$",
            "film": "features scaled and shifted by the label, starting with no change",
            "film-unit": "the same, embeddings starting with standard deviation 1",
        },
    ),
}


def build(arm: str, seed: int) -> VAE:
    """The untrained model of a run."""
    torch.manual_seed(seed)
    return ARMS[arm][0]()


def run(
    arm: str, seed: int, train: ImageSet, valid: ImageSet, test: ImageSet, again: bool
) -> dict[str, Any]:
    """Train and measure one model; its weights go to runs/, what it measured is returned."""
    config = TrainConfig(EPOCHS, 128, 1e-3, "constant", seed=seed, precision="float32")
    model = build(arm, seed)
    history = arms.trained(EXPERIMENT, arm, model, (train, valid), config, again)
    content, sha256 = arms.halve(model)
    write_atomically(Path("runs") / EXPERIMENT / f"{arm}-{seed}-float16.safetensors", content)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "metrics": measure_garments(model, test, seed) | probes(model, train, test),
        "data": {"train_sha256": train.sha256(), "test_sha256": test.sha256()},
        "weights_sha256": sha256,
        **arms.provenance(config, history),
    }


def probes(model: VAE, train: ImageSet, test: ImageSet) -> dict[str, float]:
    """How well the class is read from μ: two probes taught on training, scored on test images."""
    known = train.first(PROBE_IMAGES)
    latents = [encode_set(model, data)[0] for data in (known, test)]
    pairs = latents[0], known.labels, latents[1], test.labels
    return {"knn_probe": metrics.knn_probe(*pairs), "linear_probe": metrics.linear_probe(*pairs)}


def main(names: list[str], again: bool = False) -> None:
    train, valid, test = (fashion_mnist(split) for split in ("train", "valid", "test"))
    jobs = arms.seed_by_seed(EXPERIMENT, {name: ARMS[name][1] for name in names})
    arms.run_missing(jobs, lambda arm, seed: run(arm, seed, train, valid, test, again), again)


if __name__ == "__main__":
    given = arms.parse(arms.parser(__doc__), ARMS)
    main(given.arms, given.again)
