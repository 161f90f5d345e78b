"""Command `data`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer


def data(
    root: Annotated[
        Path | None, typer.Option(help="Look here, and nowhere else; $CVAE_DATA does the same.")
    ] = None,
) -> None:
    """Find or download Fashion-MNIST, check its files, and say where it is."""
    from cvae_lib.data import DataError, fashion_mnist, find_fashion_mnist

    with contextlib.redirect_stdout(sys.stderr):  # a download's own messages
        folder = find_fashion_mnist(root, download=True)
    if folder is None:
        try:
            fashion_mnist("test", strict=True, download=False)
        except DataError as missing:
            typer.echo(f"{missing} Until then procedural garments stand in.")
        return
    counts = [f"{len(fashion_mnist(split, folder)):,}" for split in ("train", "valid", "test")]
    typer.echo(
        f"Fashion-MNIST is in {folder}, checked: {counts[0]} training, {counts[1]} validation "
        f"and {counts[2]} test images."
    )
