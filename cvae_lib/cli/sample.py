"""Command `sample`."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvae_lib.cli.common import encoder_of, model_called, writable

if TYPE_CHECKING:
    from torch import Tensor

MAX_PICTURES = 100  # of each garment, or of the text, in one file
ENLARGED_TO = 128  # pixels of the file for a picture's side, or what fits into that wholly


def sample(
    text: Annotated[str, typer.Argument(help="What to draw, in English.")],
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    model: Annotated[
        str, typer.Option(help="A shipped model or a checkpoint.")
    ] = "fashion-concat-sigma",
    n: Annotated[int, typer.Option("--n", help="Pictures of each garment, or of the text.")] = 4,
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.")] = 0,
    temperature: Annotated[
        float, typer.Option(help="0 draws only the most typical pictures, 1 the whole variety.")
    ] = 1.0,
) -> None:
    """Draw a text: a row of pictures for each garment it mentions, or, by a text model, for all.

    The result is one PNG.
    """
    import torch

    from cvae_lib.data import FASHION_CLASSES
    from cvae_lib.files import write_atomically
    from cvae_lib.models import TextConditionalVAE
    from cvae_lib.text import text_to_images

    if not 1 <= n <= MAX_PICTURES:
        raise ValueError(
            f"n is {n}; want at least 1 picture"
            if n < 1
            else f"n is {n}; want at most {MAX_PICTURES} pictures of each garment or text"
        )
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie between 0 and 2**32 - 1, got {seed}")
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out must be a file name that ends in .png, got {str(out)!r}")
    path = writable(out)
    generator = torch.Generator().manual_seed(seed)
    network = model_called(model)
    if isinstance(network, TextConditionalVAE):
        images = draw_text(network, model, text, n, generator, temperature)
        drawn = f"{n} pictures"
    else:
        images, labels = text_to_images(network, text, n, generator, temperature)
        drawn = ", ".join(FASHION_CLASSES[label] for label in labels) + f": {n} of each"
    write_atomically(path, png_grid(images))
    asked = textwrap.shorten(text, 60, placeholder=" …")
    typer.echo(f"“{asked}” → {drawn} in {path}")


def draw_text(
    network: Any, model: str, text: str, n: int, generator: Any, temperature: float
) -> Tensor:
    """A row of ``n`` pictures of one text: (1, n, 3, S, S)."""
    condition: Any = n
    if network.conditional:
        condition = encoder_of(model)([text]).expand(n, -1)
    drawn: Tensor = network.sample(condition, generator, temperature)
    return drawn[None]


def png_grid(images: Tensor) -> bytes:
    """Images (M, n, C, S, S) in [0, 1] → a PNG of M rows of n, enlarged, in white frames."""
    from PIL import Image
    from torch.nn.functional import pad

    from cvae_lib.data import to_bytes

    rows, columns, _, side, _ = images.shape
    framed = pad(to_bytes(images), (0, 1, 0, 1), value=255)
    grid = framed.permute(2, 0, 3, 1, 4).reshape(-1, rows * (side + 1), columns * (side + 1))
    grid = pad(grid, (1, 0, 1, 0), value=255)
    times = max(1, ENLARGED_TO // side)
    grid = grid.repeat_interleave(times, 1).repeat_interleave(times, 2)
    content = io.BytesIO()
    Image.fromarray(grid.permute(1, 2, 0).squeeze(2).numpy()).save(content, format="PNG")
    return content.getvalue()
