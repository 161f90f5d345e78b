"""Photos from captions at 64, 128 and 256 pixels: what a COCO folder, however small, teaches.

    python benchmarks/photos.py --root DIR    # every run that has no record yet
    python benchmarks/photos.py latent-64     # those of one arm, from the folder of $CVAE_COCO_ROOT
    python benchmarks/photos.py --again       # every run, in place of its record

The concat model with half the article's channels, hashed text vectors and binary cross-entropy,
trained on four photos of five and measured on the fifth as on those it knows: SSIM, SSE per pixel.
Arms and seeds were written down before the first run of each; 256 pixels run once, being heavy. The
arms "latent-…", "add", "film" and "none" were added when the sizes' first runs had been seen; later
all were run again in float32, since no first run had kept its precision, and "bfloat16" beside. One
thread a run. The records name how many photos there were. Records: cvae_lib/records/photos.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import arms
import numpy as np
import torch

from cvae_lib.data import CaptionedSet, coco_captions, to_unit
from cvae_lib.encoders import HashingTextEncoder
from cvae_lib.models import TextConditionalVAE
from cvae_lib.train import TrainConfig

EXPERIMENT = "photos"
WIDTH = 16  # channels of the first stage; the article has 32
EPOCHS, BATCH_SIZE = 60, 32


class Arm(NamedTuple):
    """One way to build; what is not said is as in "size-64"."""

    seeds: range = range(3)
    image_size: int = 64
    latent_dim: int = 512
    conditioning: Any = "concat"
    precision: Any = "float32"


ARMS = {
    "size-64": Arm(),
    "size-128": Arm(image_size=128),
    "latent-64": Arm(latent_dim=64),
    "latent-128": Arm(latent_dim=128),
    "latent-1024": Arm(latent_dim=1024),
    "add": Arm(conditioning="add"),
    "film": Arm(conditioning="film"),
    "none": Arm(conditioning="none"),
    "size-256": Arm(range(1), image_size=256),
    "bfloat16": Arm(precision="bfloat16"),
}

EXPERIMENTS = {
    "photos": arms.Experiment(
        "Photos from captions",
        "The concat model of half the article's width and 512 latent units, 60 epochs of four "
        "fifths of 283 photos of COCO val2017 with hashed text vectors: reconstructions of photos "
        "that it knows and of the fifth that it does not. SSE is a pixel's, over three channels. "
        "Told in [Chapter 11](11_scaling.ipynb).",
        {
            "SSIM, known": "known.ssim",
            "SSE, known": "known.sse_per_pixel",
            "SSIM, new": "new.ssim",
            "SSE, new": "new.sse_per_pixel",
        },
        {
            "size-64": "64 pixels",
            "size-128": "128 pixels",
            "size-256": "256 pixels",
            "latent-64": "64 pixels, 64 latent units",
            "latent-128": "the same with 128",
            "latent-1024": "the same with 1,024",
            "bfloat16": "the first again, its matrix products in bfloat16",
            "none": "64 pixels, no text",
            "add": "64 pixels, the text added to features and code",
            "film": "64 pixels, the text scales and shifts every scale of the decoder",
        },
    ),
}


def run(photos: CaptionedSet, split: str, name: str, seed: int, again: bool) -> dict[str, Any]:
    """Train on four fifths of the photos; measure on both parts."""
    arm = ARMS[name]
    fifth = np.arange(len(photos)) % 5 == 4
    known, new = photos.subset(~fifth), photos.subset(fifth)
    torch.manual_seed(seed)
    model = TextConditionalVAE(
        arm.image_size, arm.latent_dim, conditioning=arm.conditioning, width=WIDTH
    )
    config = TrainConfig(EPOCHS, BATCH_SIZE, 1e-3, "cosine", seed=seed, precision=arm.precision)
    history = arms.trained(EXPERIMENT, name, model, (known, new), config, again)
    return {
        "architecture": model.architecture,
        "metrics": {"known": rebuilt(model, known), "new": rebuilt(model, new)},
        "data": {
            "source": f"{len(photos)} photos of COCO {split}",
            "train_images": len(known),
            "new_images": len(new),
            "sha256": photos.sha256(),
        },
        **arms.provenance(config, history),
    }


@torch.no_grad()
def rebuilt(model: TextConditionalVAE, photos: CaptionedSet) -> dict[str, float]:
    """`arms.closeness` of reconstructions from μ."""
    batches = ((to_unit(images), vectors) for images, vectors in photos.batches(50))
    return arms.closeness((x, model.reconstruct(x, vectors)) for x, vectors in batches)


def main(names: list[str], root: Path | None, split: str, again: bool = False) -> None:
    encoder = HashingTextEncoder()
    sizes = {ARMS[name].image_size for name in names}
    photos = {size: coco_captions(split, size, root, encoder=encoder) for size in sizes}
    jobs = arms.seed_by_seed(EXPERIMENT, {name: ARMS[name].seeds for name in names})
    arms.run_missing(
        jobs,
        lambda name, seed: run(photos[ARMS[name].image_size], split, name, seed, again),
        again,
    )


if __name__ == "__main__":
    parser = arms.parser(__doc__)
    parser.add_argument("--root", type=Path, help="a COCO folder; else that of $CVAE_COCO_ROOT")
    parser.add_argument("--split", default="val2017")
    given = arms.parse(parser, ARMS)
    main(given.arms, given.root, given.split, given.again)
