"""Pack Fashion-MNIST's four published IDX files into the pictures that the library ships.

    python benchmarks/pack_fashion.py FOLDER

FOLDER holds the files as published, such as train-images-idx3-ubyte.gz. Ten thousand pictures make
one PNG of 100 × 100 of them, row by row; their labels are the digits at the same places of a text.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).resolve().parent.parent / "cvae_lib" / "data" / "fashion-mnist"
SIDE = 100  # pictures along a side of a mosaic


def pack(folder: Path, prefix: str, name: str) -> None:
    """Write ``name``-labels.txt and ``name``-1.png, ``name``-2.png, … as many as it takes."""
    pixels = gzip.decompress((folder / f"{prefix}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())[8:]
    rows = np.frombuffer(labels, np.uint8).reshape(-1, SIDE)
    text = "".join("".join(map(str, row)) + "\n" for row in rows)
    (OUT / f"{name}-labels.txt").write_text(text, encoding="ascii", newline="\n")
    mosaics = np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE, 28, 28).swapaxes(2, 3)
    for number, mosaic in enumerate(mosaics.reshape(-1, SIDE * 28, SIDE * 28), 1):
        Image.fromarray(mosaic).save(OUT / f"{name}-{number}.png", compress_level=9)


if __name__ == "__main__":
    for prefix, name in (("train", "train"), ("t10k", "test")):
        pack(Path(sys.argv[1]), prefix, name)
