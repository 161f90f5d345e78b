"""Data → figure: every function returns a matplotlib Figure and shows nothing itself."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

# Okabe and Ito's palette: told apart with any colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")


def plot_grid(
    images: Tensor,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    row_titles: Sequence[str] | None = None,
    scale: float = 1.0,
) -> Figure:
    """Draw images (N, C, H, W) in [0, 1] as a grid.

    Args:
        titles: one above each image; or one for each column of the first row.
        columns: images a row; all of them in one row, up to 10, if None.
        row_titles: one at the left of each row.
        scale: inches an image.
    """
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images must be (N, C, H, W) with N > 0, got {tuple(images.shape)}")
    columns = columns or min(len(images), 10)
    rows = -(-len(images) // columns)
    extra = 0.25 * scale if titles and len(titles) > columns else 0.0
    left = 0.09 * max((len(t) for t in row_titles), default=0) if row_titles else 0.0
    top = 0.3 if titles else 0.05
    size = (columns * scale + left, rows * (scale + extra) + top)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    pictures = images.detach().cpu().float().clamp(0, 1)
    for place, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if place >= len(pictures):
            continue
        picture = pictures[place].permute(1, 2, 0).squeeze(-1)
        axis.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if titles and place < len(titles):
            axis.set_title(titles[place], fontsize=8, pad=2)
    if row_titles:
        for axis, title in zip(axes[:, 0], row_titles, strict=False):
            axis.text(-0.1, 0.5, title, ha="right", va="center", transform=axis.transAxes, size=9)
    figure.subplots_adjust(
        left=left / size[0],
        right=0.995,
        bottom=0.005,
        top=1 - top / size[1],
        wspace=0.04,
        hspace=0.04 + extra / scale * 1.1,
    )
    return _finished(figure)


def plot_history(rows: Sequence[dict[str, float]]) -> Figure:
    """Draw each term of a training history over the epochs, training beside validation."""
    if not rows:
        raise ValueError("the history is empty: train for at least one epoch")
    terms = [name for name in rows[0] if f"valid_{name}" in rows[0]]
    figure, axes = plt.subplots(
        1, len(terms), figsize=(3.2 * len(terms), 2.6), squeeze=False, layout="constrained"
    )
    epochs = [row["epoch"] for row in rows]
    for axis, term in zip(axes.flat, terms, strict=True):
        for prefix, label, colour in (("", "training", 0), ("valid_", "validation", 1)):
            values = [row[prefix + term] for row in rows]
            axis.plot(epochs, values, marker=".", color=COLOURS[colour], label=label)
        axis.set(title=term, xlabel="epoch")
        axis.grid(alpha=0.3)
    axes.flat[0].set_ylabel("mean per image, nats")
    axes.flat[0].legend(frameon=False)
    return _finished(figure)


def plot_bars(
    values: dict[str, float],
    *,
    ylabel: str,
    errors: dict[str, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one labelled bar for each value, with error bars if given."""
    figure, axis = plt.subplots(figsize=(1.3 * len(values) + 1.5, 3), layout="constrained")
    whiskers = [errors[name] for name in values] if errors else None
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(values))]
    bars = axis.bar(list(values), list(values.values()), yerr=whiskers, capsize=4, color=colours)
    axis.bar_label(bars, fmt="%.3g", padding=3)
    axis.margins(y=0.15)
    axis.set(ylabel=ylabel, title=title or "")
    axis.spines[["top", "right"]].set_visible(False)
    return _finished(figure)


def _finished(figure: Figure) -> Figure:
    """Take the figure out of pyplot's list, so that a notebook shows it only when it is returned."""
    plt.close(figure)
    return figure
