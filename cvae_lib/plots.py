"""Data → figure: every function returns a matplotlib Figure and shows nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from cvae_lib.checks import check_images, whole_number

# Okabe and Ito's palette: told apart with any colour vision.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
TITLE_SIZE, ROW_TITLE_SIZE = 8, 9  # points


def plot_grid(
    images: Tensor | np.ndarray,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    row_titles: Sequence[str] | None = None,
    scale: float = 1.0,
) -> Figure:
    """Draw images (N, C, H, W) in [0, 1] as a grid. Texts are shown as they are: no mathtext.

    Args:
        titles: one above each image; or one for each column, above the first row.
        columns: images a row; all of them in one row, up to 10, if None.
        row_titles: one at the left of each row.
        scale: inches an image is wide.
    """
    images = check_images(images.detach().cpu() if isinstance(images, Tensor) else images)
    if not len(images) or images.shape[1] not in (1, 3):
        raise ValueError(f"need pictures of 1 or 3 channels, got {tuple(images.shape)}")
    columns = whole_number("columns", min(len(images), 10) if columns is None else columns, 1)
    rows = -(-len(images) // columns)
    titles, row_titles = list(map(str, titles or [])), list(map(str, row_titles or []))
    if titles and len(titles) not in (len(images), columns):
        wanted = f"{len(images)} images or {columns} columns: give one for each"
        raise ValueError(f"{len(titles)} titles for {wanted}")
    if row_titles and len(row_titles) != rows:
        raise ValueError(f"{len(row_titles)} row titles for {rows} rows: give one for each row")

    # All in inches: texts keep their size, so the space around the images grows with them.
    height = scale * images.shape[2] / images.shape[3]
    widest, above = _text_size(titles, TITLE_SIZE)
    gap = max(0.04 * scale, widest + 0.08 - scale)
    row_gap = 0.04 * scale + (above if len(titles) > columns else 0.0)
    left = _text_size(row_titles, ROW_TITLE_SIZE)[0] + gap / 2
    width = left + columns * (scale + gap) - gap / 2
    total = above + rows * height + (rows - 1) * row_gap + 0.04
    figure, axes = plt.subplots(rows, columns, figsize=(width, total), squeeze=False)
    right, top = width - gap / 2, total - above - 0.02
    figure.subplots_adjust(
        left / width, 0.02 / total, right / width, top / total, gap / scale, row_gap / height
    )
    _fill(axes, images, titles, row_titles)
    return _finished(figure)


def _fill(axes: np.ndarray, images: Tensor, titles: list[str], row_titles: list[str]) -> None:
    for axis in axes.flat:
        axis.set_axis_off()
    pictures = images.float().clamp(0, 1).permute(0, 2, 3, 1).squeeze(-1).numpy()
    for axis, picture in zip(axes.flat, pictures, strict=False):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title, fontsize=TITLE_SIZE, pad=3, parse_math=False)
    for axis, title in zip(axes[:, 0], row_titles, strict=False):
        axis.annotate(
            title, (0, 0.5), (-5, 0), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="center", fontsize=ROW_TITLE_SIZE, parse_math=False,
        )  # fmt: skip


def plot_history(rows: Sequence[dict[str, float]]) -> Figure:
    """Draw each term of a training history over the epochs, training beside validation."""
    terms = [name for row in rows[:1] for name in row if f"valid_{name}" in row]
    if not terms:
        raise ValueError(f"no epoch has a term beside its validation, got {list(rows)}")
    size = 3.2 * len(terms), 2.6
    figure, axes = plt.subplots(1, len(terms), figsize=size, squeeze=False, layout="constrained")
    epochs = [row["epoch"] for row in rows]
    for axis, term in zip(axes.flat, terms, strict=True):
        for prefix, label, colour in (("", "training", 0), ("valid_", "validation", 1)):
            values = [row[prefix + term] for row in rows]
            axis.plot(epochs, values, marker=".", color=PALETTE[colour], label=label)
        axis.set(title=term, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.grid(alpha=0.3)
    axes.flat[0].set_ylabel("mean per image, nats")
    axes.flat[0].legend(frameon=False)
    return _finished(figure)


def plot_bars(
    values: dict[str, float], *, ylabel: str, errors: dict[str, float] | None = None
) -> Figure:
    """Draw one labelled bar for each value, with error bars if given."""
    if not values:
        raise ValueError("no values: give at least one bar")
    width = max(1.3, _text_size(values, 10)[0]) * len(values) + 1.3
    figure, axis = plt.subplots(figsize=(width, 3), layout="constrained")
    places, heights = range(len(values)), list(values.values())
    whiskers = [errors[name] for name in values] if errors else None
    bars = axis.bar(places, heights, yerr=whiskers, capsize=4, color=PALETTE)
    axis.set_xticks(places, list(values), parse_math=False)
    axis.bar_label(bars, fmt="%.4g", padding=3)
    axis.margins(y=0.15)
    axis.set_ylabel(ylabel, parse_math=False)
    axis.spines[["top", "right"]].set_visible(False)
    return _finished(figure)


def _text_size(texts: Iterable[str], size: float) -> tuple[float, float]:
    """Inches of the widest and of the highest of texts of ``size`` points; of none, zero."""
    width = height = 0.0
    for text in texts:
        lines = text.replace("$", r"\$").split("\n")  # else a TextPath takes them for mathtext
        ends = [TextPath((0, 0), line, size=size).get_extents().x1 for line in lines if line]
        width = max(width, 1.06 * max(ends, default=0.0) / 72 + 0.12)
        height = max(height, len(lines) * 1.25 * size / 72 + 0.05)
    return width, height


def _finished(figure: Figure) -> Figure:
    """Take the figure from pyplot's list: a notebook then shows it only where it is returned."""
    plt.close(figure)
    return figure
