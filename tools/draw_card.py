"""Draw the picture that a shared link to the book shows: three texts, and what its models make of
each. Seeded and from shipped weights; the file is committed and changes when they do.

    python tools/draw_card.py book/_static/social-card.png
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cvae_lib.files import write_atomically
from cvae_lib.pretrained import conditions, load
from cvae_lib.text import text_to_images

SIZE = (1200, 630)  # pixels, as previews want
SIDE, GAP, EDGE = 142, 8, 44  # of a picture, between two, around all
TOP = 36  # pixels of a row's text
COLUMNS = 4
BLUE, WHITE, PALE, YELLOW = "#16395a", "#ffffff", "#c9dbea", "#ffc857"  # as the favicon's
ROWS = [  # a model, a text, a seed with which it obeys
    ("fashion-concat-sigma", "tall ankle boots", 3),
    ("fashion-concat-sigma", "dark hoodies", 0),
    ("scenes-flow", "a red circle above a blue square", 9),
]
CLAIM = "Build the network\nthat draws what\na sentence says,\nand measure\nhow well it does."
SMALL = "From nothing, in PyTorch.\nA book with a tested library."


def draw(name: str, text: str, seed: int) -> Tensor:
    """COLUMNS pictures of a text by a shipped model, (COLUMNS, C, S, S) in [0, 1]."""
    model, encoder, _ = load(name)
    generator = torch.Generator().manual_seed(seed)
    if encoder is None:
        return text_to_images(model, text, COLUMNS, generator)[0][0]
    told = conditions(model, encoder, [text]).repeat_interleave(COLUMNS, 0)
    drawn: Tensor = model.sample(told, generator)
    return drawn


def tile(picture: Tensor) -> Image.Image:
    """A picture of one or three channels as a square of SIDE pixels; garments keep theirs sharp."""
    pixels = (picture.expand(3, -1, -1).permute(1, 2, 0) * 255).round().byte().numpy()
    how = Image.Resampling.NEAREST if picture.shape[0] == 1 else Image.Resampling.LANCZOS
    return Image.fromarray(pixels).resize((SIDE, SIDE), how)


def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font that comes with Matplotlib, so that every machine draws the same letters."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


def card(rows: list[tuple[str, Tensor]]) -> Image.Image:
    """The card with the given texts and their pictures."""
    image = Image.new("RGB", SIZE, BLUE)
    pen = ImageDraw.Draw(image)
    pen.text((EDGE, 54), "Words to", WHITE, font("DejaVuSans-Bold.ttf", 72))
    pen.text((EDGE, 136), "Pictures", YELLOW, font("DejaVuSans-Bold.ttf", 72))
    pen.multiline_text((EDGE, 254), CLAIM, WHITE, font("DejaVuSans.ttf", 34), spacing=10)
    pen.multiline_text((EDGE, 526), SMALL, PALE, font("DejaVuSans.ttf", 22), spacing=8)
    left = SIZE[0] - EDGE - COLUMNS * SIDE - (COLUMNS - 1) * GAP
    y = (SIZE[1] - len(rows) * (SIDE + TOP) - (len(rows) - 1) * GAP) // 2
    for text, pictures in rows:
        pen.text((left, y), f"“{text}”", PALE, font("DejaVuSans-Oblique.ttf", 23))
        for k, picture in enumerate(pictures):
            image.paste(tile(picture), (left + k * (SIDE + GAP), y + TOP))
        y += SIDE + TOP + GAP
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("out", type=Path, help="the PNG file to write")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    image = card([(text, draw(name, text, seed)) for name, text, seed in ROWS])
    image.save(file := BytesIO(), "PNG", optimize=True)
    write_atomically(out, file.getvalue())


if __name__ == "__main__":
    main()
