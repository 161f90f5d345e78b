"""Command `sample`."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from cvae_lib.cli.common import model_called, writable

MAX_PICTURES = 100  # of each garment in one file
ENLARGED = 4  # pixels of the file for one of a picture, in both directions


def sample(
    text: Annotated[str, typer.Argument(help="What to draw, in English.")],
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    model: Annotated[
        str, typer.Option(help="A shipped model or a checkpoint.")
    ] = "fashion-concat-sigma",
    n: Annotated[int, typer.Option("--n", help="Pictures of each garment.")] = 4,
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.")] = 0,
    temperature: Annotated[
        float, typer.Option(help="0 draws only the most typical garments, 1 the whole variety.")
    ] = 1.0,
) -> None:
    """Draw the garments that a text mentions: one PNG, a row of pictures for each."""
    import torch
    from PIL import Image
    from torch.nn.functional import pad

    from cvae_lib.checkpoint import write_atomically
    from cvae_lib.data import FASHION_CLASSES, to_bytes
    from cvae_lib.text import text_to_images

    if n > MAX_PICTURES:
        raise ValueError(f"n is {n}; want at most {MAX_PICTURES} pictures of each garment")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie between 0 and 2**32 - 1, got {seed}")
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out must be a file name that ends in .png, got {str(out)!r}")
    path = writable(out)
    generator = torch.Generator().manual_seed(seed)
    images, labels = text_to_images(model_called(model), text, n, generator, temperature)
    framed = pad(to_bytes(images[:, :, 0]), (0, 1, 0, 1), value=255)  # (M, n, 29, 29)
    rows = framed.transpose(1, 2).flatten(2).flatten(0, 1)  # (M · 29, n · 29)
    grid = pad(rows, (1, 0, 1, 0), value=255)
    grid = grid.repeat_interleave(ENLARGED, 0).repeat_interleave(ENLARGED, 1)
    content = io.BytesIO()
    Image.fromarray(grid.numpy()).save(content, format="PNG")
    write_atomically(path, content.getvalue())
    garments = ", ".join(FASHION_CLASSES[label] for label in labels)
    asked = textwrap.shorten(text, 60, placeholder=" …")
    typer.echo(f"“{asked}” → {garments}: {n} of each in {path}")
