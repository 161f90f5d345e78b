"""Words never seen in training: what vectors buy in which like words lie near each other.

    python benchmarks/semantic.py             # every run that has no record yet
    python benchmarks/semantic.py semantic    # those of one arm
    python benchmarks/semantic.py --again     # every run, in place of its record

Arms, seeds and all words were written down before the first run; every run is kept. The same FiLM
model, of the shipped one's code and weight of the KL term but pictures of 32 pixels, reads hashed
or semantic sentence vectors. In its captions red and blue, circle and square, the words of chapter
09's first sentence, are never said by a synonym. Scenes of one thing are then asked for in known
words, by the synonyms withheld, and by words that no caption has. Two towers, as chapter 09 builds
them, are trained on the same captions of one thing; the first of 1,000 test pictures that a text
finds is looked at. One thread a run. Records: cvae_lib/records/semantic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import arms
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvae_lib.data import CaptionedSet, to_unit
from cvae_lib.data.scenes import scenes
from cvae_lib.data.sets import TextEncoder
from cvae_lib.data.shapes import COLOURS, PLACES, SHAPES, Thing
from cvae_lib.encoders import HashingTextEncoder, SemanticTextEncoder
from cvae_lib.evaluation import obedience
from cvae_lib.latent import fit_text_prior
from cvae_lib.models import TextConditionalVAE
from cvae_lib.pretrained import load_pretrained
from cvae_lib.train import TrainConfig, evaluate

EXPERIMENT = "semantic"
SIZE, WIDTH, LATENT = 32, 32, 64  # pixels, channels of the first stage, numbers in z
TRAIN_IMAGES, VALID_IMAGES, TEST_IMAGES = 20_000, 500, 4_000
EPOCHS, BATCH_SIZE, LR, BETA = 8, 64, 2e-3, 3.0
TOWER_STEPS, PAIRS, GALLERY = 2_000, 128, 1_000  # of the towers; pictures that a text may find
SEEDS = range(3)
ARMS: dict[str, Any] = {"hashing": HashingTextEncoder, "semantic": SemanticTextEncoder}

WITHHELD = {
    name: words[1:] for name, words in (COLOURS | SHAPES).items()
    if name in ("red", "blue", "circle", "square")
}  # fmt: skip
NEW = {
    "red": ["ruby", "cherry"], "orange": ["amber", "apricot"], "yellow": ["gold", "lemon"],
    "green": ["jade", "lime"], "blue": ["cobalt", "navy"], "purple": ["lilac", "plum"],
    "pink": ["salmon", "blush"], "black": ["jet", "ebony"],
    "circle": ["sphere", "ball"], "square": ["cube", "tile"], "triangle": ["pyramid", "wedge"],
    "star": ["asterisk", "pentagram"], "cross": ["crucifix", "cruciform"],
    "ring": ["doughnut", "loop"],
}  # fmt: skip
GROUPS: dict[str, dict[str, dict[str, list[str]]]] = {  # of texts: other words for colour and shape
    "known": {},
    "withheld_colour": {"colour": WITHHELD},
    "withheld_shape": {"shape": WITHHELD},
    "new_colour": {"colour": NEW},
    "new_shape": {"shape": NEW},
    "new_both": {"colour": NEW, "shape": NEW},
}

EXPERIMENTS = {
    EXPERIMENT: arms.Experiment(
        "Words never seen in training",
        "A FiLM model of scenes of 32 pixels, 8 epochs of 20,000, whose captions never say "
        "*scarlet*, *crimson*, *azure*, *disc*, *dot* or *box*; then the share of pictures of the "
        "right colour or shape, for known words, for those withheld, and for words of no caption "
        "(*ruby*, *cobalt*, *sphere*, *cube* …), $z$ from the prior fitted given the text. "
        "*Towers*: of two towers trained on the same captions, the share of texts whose nearest "
        "picture of 1,000 has the right colour or shape. Told in "
        "[Chapter 09](09_sentences_as_vectors.ipynb) and "
        "[Chapter 10](10_text_conditional_vae.ipynb).",
        {
            "−ELBO": "negative_elbo",
            "colour, known": "known.colour",
            "colour, withheld": "withheld_colour.colour",
            "colour, new": "new_colour.colour",
            "shape, known": "known.shape",
            "shape, withheld": "withheld_shape.shape",
            "shape, new": "new_shape.shape",
            "position, known": "known.position",
            "all, known": "known.all",
            "all, both new": "new_both.all",
            "towers: colour, known": "towers.known.colour",
            "towers: colour, withheld": "towers.withheld_colour.colour",
            "towers: colour, new": "towers.new_colour.colour",
            "towers: shape, known": "towers.known.shape",
            "towers: shape, withheld": "towers.withheld_shape.shape",
            "towers: shape, new": "towers.new_shape.shape",
        },
        {
            "hashing": "512 hashed counts of words and pairs",
            "semantic": "the mean of `wordllama`'s 256 numbers a word",
        },
    ),
}


def known_words(text: str) -> str:
    """The caption with the plain word for each that is withheld."""
    for name, words in WITHHELD.items():
        for word in words:
            text = re.sub(rf"\b(a|an) {word}\b", f"a {name}", text)
            text = re.sub(rf"\b{word}\b", name, text)
    return text


def told(data: CaptionedSet, encoder: TextEncoder) -> CaptionedSet:
    """The set with captions that withhold words, read by ``encoder``."""
    texts = [known_words(text) for text in data.texts]
    return replace(data, texts=texts, vectors=encoder(texts).numpy().astype(np.float16))


def questions(things: Sequence[Thing], group: str) -> dict[int, str]:
    """By its number a text for each thing that the ``group`` has words for."""
    rng, found = np.random.default_rng(0), {}
    for row, thing in enumerate(things):
        said = {"colour": thing.colour, "shape": thing.shape}
        for part, words in GROUPS[group].items():
            options = words.get(said[part], [""])
            said[part] = options[int(rng.integers(len(options)))]
        if all(said.values()):
            article = "an" if said["colour"][0] in "aeio" else "a"
            place = PLACES[thing.row][thing.column][0]
            found[row] = f"{article} {said['colour']} {said['shape']} {place}"
    return found


@torch.no_grad()
def drawn_as_asked(
    model: TextConditionalVAE, encoder: TextEncoder, things: Sequence[Thing], seed: int
) -> dict[str, Any]:
    """The `obedience` to the texts of each group."""
    judge, result = load_pretrained("scenes-judge"), {}
    for group in GROUPS:
        asked = questions(things, group)
        generator = torch.Generator().manual_seed(seed)
        parts = encoder(list(asked.values())).split(250)
        drawn = torch.cat([model.sample(part, generator) for part in parts])
        result[group] = obedience(judge.things(drawn), [[things[row]] for row in asked])
    return result


class Towers(nn.Module):
    """Chapter 09's: pictures (B, 3, 32, 32) and text vectors (B, D) → 64 numbers each."""

    def __init__(self, text_dim: int, dim: int = 64) -> None:
        super().__init__()
        self.image = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 8 * 8, dim),
        )  # fmt: skip
        self.text = nn.Sequential(nn.LayerNorm(text_dim, elementwise_affine=False))
        self.text.append(nn.Linear(text_dim, dim))
        self.log_tau = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, pictures: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        return F.normalize(self.image(pictures - 0.7)), F.normalize(self.text(vectors))


def found_as_asked(
    train: CaptionedSet, test: CaptionedSet, encoder: TextEncoder, seed: int
) -> dict[str, Any]:
    """Of two towers, the share of each group's texts whose nearest picture is as asked."""
    torch.manual_seed(seed)
    towers, draw = Towers(encoder.dim), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(towers.parameters(), 1e-3)
    for step in range(TOWER_STEPS):
        chosen = torch.randint(len(train), (PAIRS,), generator=draw)
        ((images, vectors),) = train.take([chosen], (seed, step))
        u, v = towers(to_unit(images), vectors)
        scores, right = towers.log_tau.exp() * u @ v.T, torch.arange(PAIRS)
        loss = (F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    things, result = [scene.things[0] for scene in test.truths or ()], {}
    with torch.no_grad():
        for group in GROUPS:
            asked = questions(things, group)
            images = to_unit(torch.from_numpy(np.array(test.images)))
            u, v = towers(images, encoder(list(asked.values())))
            found = zip(asked, (v @ u.T).argmax(1).tolist(), strict=True)
            pairs = [(things[i], things[j]) for i, j in found]
            result[group] = {
                part: sum(getattr(a, part) == getattr(b, part) for a, b in pairs) / len(pairs)
                for part in ("colour", "shape", "row", "column")
            }
    return result


def one_thing(data: CaptionedSet) -> CaptionedSet:
    return data.subset(np.array([len(scene.things) == 1 for scene in data.truths or ()]))


def run(name: str, seed: int, again: bool) -> dict[str, Any]:
    """Train and measure one model, and two towers."""
    encoder: TextEncoder = ARMS[name]()
    counts = {"train": TRAIN_IMAGES, "valid": VALID_IMAGES, "test": TEST_IMAGES}
    plain = HashingTextEncoder(8)
    train, valid, test = (
        told(scenes(split, count, SIZE, encoder=plain), encoder) for split, count in counts.items()
    )
    torch.manual_seed(seed)
    model = TextConditionalVAE(SIZE, LATENT, encoder.dim, "film", width=WIDTH)
    config = TrainConfig(
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        lr=LR,
        schedule="cosine",
        beta=BETA,
        seed=seed,
        precision="float32",
    )
    history = arms.trained(EXPERIMENT, name, model, (train, valid), config, again)
    fit_text_prior(model, train, seed=seed)
    bound, alone = evaluate(model, test), one_thing(test)
    asked = [scene.things[0] for scene in alone.truths or ()]
    towers = found_as_asked(one_thing(train), alone.first(GALLERY), encoder, seed)
    return {
        "architecture": model.architecture,
        "parameters": sum(p.numel() for p in model.parameters()),
        "metrics": {
            "negative_elbo": bound["loss"],
            "kl": bound["kl"],
            **drawn_as_asked(model, encoder, asked, seed),
            "towers": towers,
        },
        "data": {"train_images": len(train), "asked": len(asked), "train_sha256": train.sha256()},
        **arms.provenance(config, history),
    }


def main(names: list[str], again: bool = False) -> None:
    jobs = arms.seed_by_seed(EXPERIMENT, {name: SEEDS for name in names})
    arms.run_missing(jobs, lambda name, seed: run(name, seed, again), again)


if __name__ == "__main__":
    given = arms.parse(arms.parser(__doc__), ARMS)
    main(given.arms, given.again)
