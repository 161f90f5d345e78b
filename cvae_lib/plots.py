"""Pictures → figure. It is closed, so that a notebook shows it only where it is returned."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from cvae_lib.checks import check_images, whole_number

# Okabe and Ito's palette: told apart with any colour vision.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")


def plot_grid(
    images: Tensor | np.ndarray,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    row_titles: Sequence[str] | None = None,
    scale: float = 1.0,
) -> Figure:
    """Draw images (N, C, H, W) in [0, 1] as a grid, each ``scale`` inches wide; no mathtext.

    ``titles`` are one above each image, or one for each column, above the first row; ``row_titles``
    stand at the left. ``columns`` are images a row: all of them, up to 10, if None. ValueError for
    no images, other than 1 or 3 channels, or titles that are neither as many as images nor columns.
    """
    images = check_images(images.detach().cpu() if isinstance(images, Tensor) else images)
    if not len(images) or images.shape[1] not in (1, 3):
        raise ValueError(f"need pictures of 1 or 3 channels, got {tuple(images.shape)}")
    columns = whole_number("columns", min(len(images), 10) if columns is None else columns, 1)
    rows = -(-len(images) // columns)
    titles, row_titles = list(map(str, titles or [])), list(map(str, row_titles or []))
    if len(titles) not in (0, len(images), columns):
        raise ValueError(f"{len(titles)} titles for {len(images)} images or {columns} columns")
    if len(row_titles) not in (0, rows):
        raise ValueError(f"{len(row_titles)} row titles for {rows} rows")

    bare = {"xticks": [], "yticks": [], "frame_on": False}
    figure, axes = plt.subplots(rows, columns, squeeze=False, subplot_kw=bare)
    plt.close(figure)
    pictures = images.float().clamp(0, 1).permute(0, 2, 3, 1).squeeze(-1).numpy()
    for axis, picture in zip(axes.flat, pictures, strict=False):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title, fontsize=8, pad=3, parse_math=False)
    for axis, title in zip(axes[:, 0], row_titles, strict=False):
        axis.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9, parse_math=False)

    # Texts keep their size: the space between the images grows with them, and then the page.
    sizes = [axis.title.get_window_extent().size / figure.dpi for axis in axes.flat]  # inches
    (widest, highest), height = np.max(sizes, axis=0), scale * images.shape[2] / images.shape[3]
    gap = max(0.04 * scale, widest + 0.08 - scale)
    row_gap = 0.04 * scale + (highest + 0.08 if len(titles) > columns else 0)
    inner = np.array([columns * (scale + gap) - gap, rows * (height + row_gap) - row_gap])
    figure.set_size_inches(*inner)
    figure.subplots_adjust(0, 0, 1, 1, gap / scale, row_gap / height)
    page = figure.get_tightbbox().padded(0.04)
    start, size = np.array(page.p0), np.array(page.size)
    figure.set_size_inches(*size)
    figure.subplots_adjust(*(-start / size), *((inner - start) / size))
    return figure
