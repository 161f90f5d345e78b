"""How much SSIM and squared error does a thumbnail of a photo reach, enlarged to a model's size?

    python benchmarks/thumbnails.py --root DIR    # else the folder of $CVAE_COCO_ROOT

A yardstick for the experiment on photos: every photo of the folder, shrunk to a few pixels and
enlarged again, is compared with itself at 64, 128 and 256 pixels. Nothing is trained or drawn at
random. Record: cvae_lib/records/thumbnails.
"""

from __future__ import annotations

from pathlib import Path

import arms
import numpy as np
import torch
import torch.nn.functional as F

from cvae_lib.data import coco_images, to_unit

SIZES = (64, 128, 256)
SIDES = (1, 2, 4, 8, 16, 32)

EXPERIMENTS = {
    "thumbnails": arms.Experiment(
        "What a thumbnail reaches",
        "Photos of COCO shrunk to a few pixels and enlarged again, compared with themselves at "
        "three sizes: a yardstick for the experiment on photos. "
        "Told in [Chapter 11](11_scaling.ipynb).",
        {
            "pixels": "size",
            "side of the thumbnail": "side",
            "SSIM": "ssim",
            "SSE": "sse_per_pixel",
        },
        flags="",
    ),
}


def thumbnail(x: torch.Tensor, side: int) -> torch.Tensor:
    """Shrink pictures (B, C, S, S) to side × side pixels by averaging, and enlarge them again."""
    small = F.interpolate(x, (side, side), mode="area")
    return F.interpolate(small, x.shape[2:], mode="bilinear")


def main(root: Path | None, split: str) -> None:
    rows = []
    for size in SIZES:
        found = coco_images(split, size, root)
        starts = range(0, len(found.images), 50)
        for side in SIDES:
            batches = (
                to_unit(torch.from_numpy(np.array(found.images[i : i + 50]))) for i in starts
            )
            close = arms.closeness((x, thumbnail(x, side)) for x in batches)
            rows.append({"size": size, "side": side, **close})
            print(rows[-1], flush=True)
    result = {"source": f"{len(found.images)} photos of COCO {split}", "rows": rows}
    arms.write_run("thumbnails", split, result | arms.origin())


if __name__ == "__main__":
    main(*arms.parse_coco(__doc__))
