"""What chapters show beside figures: a table, sliders, a box that draws what you type."""

import html
import io
import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import ipywidgets
import torch
from IPython.display import HTML
from matplotlib.figure import Figure
from torch.nn.utils.rnn import pad_sequence

from cvae_lib.frames import choice_of, frames
from cvae_lib.plots import plot_grid
from cvae_lib.text import ignored_words, text_to_images

MAX_ROWS = COLUMNS = 6  # garments that `prompt_box` draws at once, pictures where no number is told


def table(rows: Iterable[Mapping[str, Any]]) -> HTML:
    """Show rows as a table, headed by the keys of the first; numbers as 12, 12.3 and 0.123.

    ValueError for no rows.
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


def explore(
    draw: Callable[..., Figure | None],
    *,
    alt: str = "",
    page: Mapping[str, Any] | None = None,
    **controls: ipywidgets.Widget,
) -> ipywidgets.VBox | HTML:
    """Return controls over a figure: ``draw(**values)`` is shown anew whenever one changes.

    ``controls`` are ipywidgets with a ``value``. Where it draws None, nothing shows.

    Where a page is made, and no kernel will be, ``$CVAE_FRAMES`` is the most values of a control
    there. What has an ``alt`` text then becomes HTML: controls over pictures drawn beforehand, of
    the values that ``page`` names for a control (as in `frames.choice_of`), else of all.
    """
    for name, control in controls.items():
        control.description = control.description or name
    most = int(os.environ.get("CVAE_FRAMES") or 0)
    if not (alt and most):
        return _live(draw, controls)
    offered = page or {}
    choices = {name: choice_of(c, offered.get(name), most) for name, c in controls.items()}
    return HTML(frames(draw, alt, choices))


def _live(draw: Callable[..., Figure | None], controls: Mapping[str, Any]) -> ipywidgets.VBox:
    picture = ipywidgets.Image(format="png", layout={"max_width": "100%"})

    def redraw(_change: object = None) -> None:
        figure = draw(**{name: control.value for name, control in controls.items()})
        picture.layout.display = None if figure else "none"
        if figure:
            figure.savefig(png := io.BytesIO(), format="png")
            picture.value = png.getvalue()

    for control in controls.values():
        control.continuous_update = False
        control.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([*controls.values(), picture])


def prompt_box(model: Any, text: str = "black ankle boots and a wide bag") -> ipywidgets.VBox:
    """Return a text field that draws a row of each garment it names, or says that it knows none.

    A line says what was drawn, and which words were ignored. The same text and seed give the same
    pictures, by a conditional ``model``.
    """
    wide = {"width": "100%", "max_width": "32rem"}
    field = ipywidgets.Text(text, description="Text", layout=wide)
    slider = ipywidgets.IntSlider(max=99, description="Seed")
    said = ipywidgets.Label()  # shows its value as text, whatever was typed

    def draw(text: str, seed: int) -> Figure | None:
        generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
        try:
            rows, garments = text_to_images(model, text, COLUMNS, generator)
        except ValueError as error:
            said.value = str(error)
            return None
        kinds = [str(garment) for garment in garments[:MAX_ROWS]]
        drawn = ", ".join(f"{len(row)} {kind}" for row, kind in zip(rows, kinds, strict=False))
        more = f" (the first {MAX_ROWS} of {len(rows)} garments)" * (len(rows) > MAX_ROWS)
        ignored = ", ".join(ignored_words(garments))
        said.value = f"drawn: {drawn}{more}" + f"; ignored: {ignored}" * bool(ignored)
        images = pad_sequence(rows[:MAX_ROWS], batch_first=True, padding_value=1.0)  # white
        columns = images.shape[1]
        return plot_grid(images.flatten(0, 1), columns=columns, row_titles=kinds, scale=0.9)

    box = _live(draw, {"text": field, "seed": slider})
    box.children = [field, slider, said, box.children[-1]]
    return box
