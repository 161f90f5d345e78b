"""How should a text enter, and what makes attention to its words work?

    python benchmarks/ways_in.py             # every run that has no record yet
    python benchmarks/ways_in.py attend      # those of one arm
    python benchmarks/ways_in.py --again     # every run, in place of its record

Arms, seeds and measures were written down before the first run; every run is kept. All see 100,000
scenes of 64 pixels with the KL term ten times as heavy: the code must be dear, or the places go
into it. FiLM and concat read hashed sentences, as in the shipped `scenes-film`, attention reads
semantic words. The last three arms each leave out what is said to make attention work. Scenes that
no arm was chosen by are asked for with every thing's place; z comes from the Gaussian given the
text, fitted afterwards or, for attention, trained along. One thread a run.
Records: cvae_lib/records/ways-in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import arms
import sentences
import torch
from torch import nn

from cvae_lib.data.scenes import joined, scenes
from cvae_lib.data.sets import CaptionedSet, to_unit
from cvae_lib.latent import fit_text_prior
from cvae_lib.models import TextConditionalVAE
from cvae_lib.models.words import CrossAttention
from cvae_lib.pretrained import text_encoder
from cvae_lib.train import TrainConfig, evaluate

EXPERIMENT = "ways-in"
WIDTH, LATENT = 16, 32
TRAIN_IMAGES, VALID_IMAGES, TEST_IMAGES, UNSEEN_IMAGES = 50_000, 500, 2_000, 1_000
EPOCHS, BATCH_SIZE, LR, BETA = 2, 64, 1.5e-3, 10.0
SEEDS = range(3)


def without_neighbours(model: TextConditionalVAE) -> None:
    """Let each word be read alone, by convolutions over one word in place of seven."""
    reader: Any = model.condition.reader
    reader.convolutions = nn.ModuleList(
        nn.Conv1d(reader.width, reader.width, 1) for _ in reader.convolutions
    )


def without_places(model: TextConditionalVAE) -> None:
    """Let no cell know its place."""
    for module in model.modules():
        if isinstance(module, CrossAttention):
            module.places.zero_()


class Arm(NamedTuple):
    """One way in; ``change`` is made to the model before it is trained."""

    conditioning: str
    encoder: str
    beta: float = BETA
    change: Callable[[TextConditionalVAE], None] = lambda model: None


ARMS = {
    "film": Arm("film", "hashing"),
    "concat-film": Arm("concat-film", "hashing"),
    "attend": Arm("attend", "semantic"),
    "no-neighbours": Arm("attend", "semantic", change=without_neighbours),
    "no-places": Arm("attend", "semantic", change=without_places),
    "cheap-code": Arm("attend", "semantic", beta=2.0),
}

EXPERIMENTS = {
    EXPERIMENT: arms.Experiment(
        "Ways in, and what makes attention work",
        "A text-conditional VAE of half the article's width, 32 latent units, 2 epochs of 50,000 "
        "scenes of 64 pixels, KL term × 10. Of pictures drawn from texts that place every thing: "
        "the share of things at their place, and of pictures in which all is right. *Rebuilt*: "
        "from each picture's own code; *borrowed*: from another picture's. Told in "
        "[Chapter 10](10_text_conditional_vae.ipynb).",
        {
            "rate": "kl",
            "place, one": "drawn.one_position",
            "place, two": "drawn.two_position",
            "place, three": "drawn.three_position",
            "colour, two": "drawn.two_colour",
            "shape, two": "drawn.two_shape",
            "all, one": "drawn.one_all",
            "all, two": "drawn.two_all",
            "all, three": "drawn.three_all",
            "all, one unseen": "drawn.unseen_one_all",
            "place, two, rebuilt": "rebuilt.two_position",
            "place, two, borrowed": "borrowed.two_position",
        },
        {
            "film": "hashed sentences scale and shift every map",
            "concat-film": "the same, and appended to features and code",
            "attend": "maps look at words, read with their neighbours",
            "no-neighbours": "`attend` with each word read alone",
            "no-places": "`attend` with cells that do not know their place",
            "cheap-code": "`attend` with the KL term × 2",
        },
    ),
}


@functools.cache
def pictures(split: str, count: int, encoder: str, words: bool) -> CaptionedSet:
    """Scenes, drawn once for all runs that read them in one way."""
    return scenes(split, count, encoder=text_encoder(encoder), words=words)


def measure(model: TextConditionalVAE, data: Any, seed: int) -> dict[str, Any]:
    """Obedience to texts with places: z from the prior, from the picture, from another one."""
    generator = torch.Generator().manual_seed(seed)
    pixels = to_unit(torch.from_numpy(data.images))
    result = sentences.with_codes(model, data, pixels, generator)
    pieces = data.text_vectors("placed").split(sentences.BATCH)
    drawn = torch.cat([model.sample(text, generator) for text in pieces])
    return result | {"drawn": sentences.grouped(sentences.seen_in(drawn), data.truths)}


def run(name: str, seed: int, again: bool) -> dict[str, Any]:
    """Train and measure one model."""
    arm = ARMS[name]
    how = arm.encoder, arm.conditioning == "attend"
    train, valid = pictures("train", TRAIN_IMAGES, *how), pictures("valid", VALID_IMAGES, *how)
    torch.manual_seed(seed)
    dim = text_encoder(arm.encoder).dim
    model = TextConditionalVAE(64, LATENT, dim, arm.conditioning, width=WIDTH)
    arm.change(model)
    config = TrainConfig(
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        lr=LR,
        schedule="cosine",
        lr_warmup=300,
        grad_clip=1000.0,
        beta=arm.beta,
        seed=seed,
        precision="bfloat16",
        channels_last=False,
    )
    history = arms.trained(EXPERIMENT, name, model, (train, valid), config, again)
    if not model.reads_words:
        fit_text_prior(model, train, seed=seed)
    seen = pictures("test", TEST_IMAGES, *how)
    bound = evaluate(model, seen)
    test = joined(seen, pictures("unseen", UNSEEN_IMAGES, *how))
    return {
        "architecture": model.architecture,
        "parameters": sum(p.numel() for p in model.parameters()),
        "metrics": {
            "nll": bound["nll"],
            "kl": bound["kl"],
            **measure(model, test, seed),
        },
        "data": {"train_images": len(train), "train_sha256": train.sha256()},
        **arms.provenance(config, history),
    }


def main(names: list[str], again: bool = False) -> None:
    jobs = arms.seed_by_seed(EXPERIMENT, {name: SEEDS for name in names})
    arms.run_missing(jobs, lambda name, seed: run(name, seed, again), again)


if __name__ == "__main__":
    given = arms.parse(arms.parser(__doc__), ARMS)
    main(given.arms, given.again)
