"""Photos from captions at 64, 128 and 256 pixels: what a COCO folder, however small, teaches.

    python benchmarks/photos.py --root DIR    # every run that has no record yet
    python benchmarks/photos.py --again       # every run, from the folder of $CVAE_COCO_ROOT

The concat model with half the article's channels, hashed text vectors and binary cross-entropy,
trained on four photos of five and measured on the fifth as on those it knows: SSIM, SSE per pixel.
Arms and seeds were written down before the first run; 256 pixels run once, being heavy. One thread
a run. The records name how many photos there were. Records: cvae_lib/records/photos.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cvae_lib import metrics, records
from cvae_lib.data import CaptionedSet, coco_captions, to_unit
from cvae_lib.encoders import HashingTextEncoder
from cvae_lib.models import TextConditionalVAE
from cvae_lib.pretrained import provenance
from cvae_lib.train import TrainConfig, fit

EXPERIMENT = "photos"
WIDTH, LATENT = 16, 512  # the article has 32 channels in its first stage
EPOCHS, BATCH_SIZE = 60, 32
SEEDS = {64: range(3), 128: range(3), 256: range(1)}


def run(photos: CaptionedSet, split: str, size: int, seed: int) -> dict[str, Any]:
    """Train on four fifths of the photos; measure on both parts."""
    fifth = np.arange(len(photos)) % 5 == 4
    known, new = photos.subset(~fifth), photos.subset(fifth)
    torch.manual_seed(seed)
    model = TextConditionalVAE(size, LATENT, width=WIDTH)
    config = TrainConfig(epochs=EPOCHS, batch_size=BATCH_SIZE, seed=seed)
    checkpoint = Path("runs") / EXPERIMENT / f"{size}-{seed}.safetensors"
    history = fit(model, known, new, config, checkpoint=checkpoint)
    return {
        "arm": f"size-{size}",
        "seed": seed,
        "architecture": model.architecture,
        "metrics": {"known": rebuilt(model, known), "new": rebuilt(model, new)},
        "data": {
            "source": f"{len(photos)} photos of COCO {split}",
            "train_images": len(known),
            "new_images": len(new),
            "sha256": photos.sha256(),
        },
        **provenance(config, history),
    }


@torch.no_grad()
def rebuilt(model: TextConditionalVAE, photos: CaptionedSet) -> dict[str, float]:
    """SSIM and SSE per pixel, summed over the channels, of reconstructions from μ."""
    parts = []
    for images, vectors in photos.batches(50):
        x = to_unit(images)
        y = model.reconstruct(x, vectors)
        parts.append(torch.stack([metrics.ssim(x, y), metrics.sse(x, y) / x[0, 0].numel()]))
    ssim, sse = torch.cat(parts, 1).double().mean(1).tolist()
    return {"ssim": ssim, "sse_per_pixel": sse}


def main(root: Path | None, split: str, again: bool) -> None:
    for size, seeds in SEEDS.items():
        photos = coco_captions(split, size, root, encoder=HashingTextEncoder())
        for seed in seeds:
            name = f"size-{size}-{seed}"
            if again or not (records.FOLDER / EXPERIMENT / f"{name}.json").exists():
                result = run(photos, split, size, seed)
                records.write_run(EXPERIMENT, name, result)
                print(name, result["metrics"], flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, help="a COCO folder; else that of $CVAE_COCO_ROOT")
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--again", action="store_true", help="also runs that have a record")
    given = parser.parse_args()
    torch.set_num_threads(1)
    main(given.root, given.split, given.again)
