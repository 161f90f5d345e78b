"""What chapters show beside figures: a table, sliders, a box that draws what you type."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import ipywidgets
import torch
from IPython.display import HTML
from matplotlib.figure import Figure

from cvae_lib.plots import plot_grid
from cvae_lib.text import SYNONYMS, text_to_images

MAX_ROWS = 6  # mentions that `prompt_box` draws at once


def table(rows: Iterable[Mapping[str, Any]]) -> HTML:
    """Show rows as a table; the first row's keys head it.

    Numbers: whole ones as they are, others with one decimal from 10 upwards and three below.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("the table has no rows")
    head = "".join(_cell("th", name, first) for name, first in rows[0].items())
    body = ""
    for row in rows:
        cells = (_cell("td", row.get(name, ""), first) for name, first in rows[0].items())
        body += f"<tr>{''.join(cells)}</tr>"
    return HTML(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def explore(draw: Callable[..., Figure], **controls: ipywidgets.Widget) -> ipywidgets.VBox:
    """Return controls over a figure: ``draw(**values)`` is shown anew whenever one changes.

    ``controls`` are ipywidgets with a ``value``, such as `ipywidgets.FloatSlider`; at least one.
    """
    if not controls:
        raise ValueError("explore needs at least one control, such as x=ipywidgets.FloatSlider()")
    parts = controls.values()
    return _over_picture(parts, lambda: draw(**{name: c.value for name, c in controls.items()}))


def prompt_box(
    model: Any, text: str = "a pair of black ankle boots", n: int = 6, seed: int = 0
) -> ipywidgets.VBox:
    """Return a text field that draws: ``n`` pictures for each garment it names, a row each.

    A text without a known garment word gets one line that says so. The same text and seed give
    the same pictures. ``model`` is a conditional one of `cvae_lib.models`.
    """
    layout = ipywidgets.Layout(width="100%", max_width="32rem")
    field = ipywidgets.Text(text, description="Text", layout=layout)
    slider = ipywidgets.IntSlider(seed, 0, max(99, seed), description="Seed")
    said = ipywidgets.Label()  # shows its value as text, whatever was typed

    def draw() -> Figure | None:
        generator = torch.Generator(next(model.parameters()).device).manual_seed(slider.value)
        try:
            images, labels = text_to_images(model, field.value, n, generator)
        except ValueError as error:
            said.value = str(error)
            return None
        names = [list(SYNONYMS)[label] for label in labels[:MAX_ROWS]]
        more = f" (the first {MAX_ROWS} of {len(labels)} garments)"
        said.value = f"drawn: {', '.join(names)}" + more * (len(labels) > MAX_ROWS)
        pictures = images[:MAX_ROWS].flatten(0, 1)
        return plot_grid(pictures, columns=n, row_titles=names, scale=0.9)

    return _over_picture([field, slider, said], draw)


def _over_picture(
    parts: Iterable[ipywidgets.Widget], draw: Callable[[], Figure | None]
) -> ipywidgets.VBox:
    """The parts over a picture, which is drawn now and whenever a control among them changes."""
    picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%"))

    def redraw(_change: object = None) -> None:
        figure, png = draw(), io.BytesIO()
        picture.layout.display = None if figure else "none"
        if figure:
            figure.savefig(png, format="png")
            picture.value = png.getvalue()

    for part in parts:
        if hasattr(part, "continuous_update"):
            part.continuous_update = False
        if not isinstance(part, ipywidgets.Label):
            part.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([*parts, picture])


def _cell(tag: str, value: Any, first: Any) -> str:
    """A cell of the column whose first value is ``first``: numbers stand at the right."""
    if isinstance(value, Integral):
        value = f"{int(value):,}"
    elif isinstance(value, Real):
        number = float(value)
        value = f"{number:,.1f}" if abs(number) >= 10 else f"{number:.3f}"
    side = "right" if isinstance(first, Real) else "left"
    style = f"text-align: {side}; padding: 0.2rem 0.9rem 0.2rem 0"
    return f'<{tag} style="{style}">{html.escape(str(value))}</{tag}>'
