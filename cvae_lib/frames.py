"""Controls over pictures drawn beforehand: what a page, which has no kernel, shows of a widget."""

import base64
import html
import io
import json
import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

QUALITY = 60  # WebP's, up to 100
BLOCK = 8  # pixels: a picture is kept in such squares, where it differs from the first
FRAMES = """<div class="frames" data-first="{first}">
<div class="controls" hidden>{fields}</div>
<img src="{source}" alt="{alt}" width="{width}" height="{height}">
<p class="words" role="status">{words}</p>
<script type="application/json">{data}</script>
</div>"""
MENU = "<label><span>{label}</span> <select>{options}</select></label>"
SLIDER = (
    '<label><span>{label}</span> <input type="range" min="0" max="{last}" value="{at}" '
    'aria-valuetext="{name}"> <output aria-live="off">{name}</output></label>'
)


class Choice(NamedTuple):
    """What a page offers of a control."""

    label: str
    values: dict[str, Any]  # by name
    at: int  # the place of the one that it begins with
    menu: bool  # else a slider


def choice_of(control: Any, offered: Any = None, most: int = 99) -> Choice:
    """What a page offers of an ipywidget: ``most`` values, the widget's own among them.

    ``offered`` are its values, if not all; {name: value} makes a menu of a slider. ValueError if
    they lack the widget's own value.
    """
    options = getattr(control, "options", None)
    if options is not None:
        pairs = [pair if isinstance(pair, tuple) else (pair, pair) for pair in options]
        pairs = [pair for pair in pairs if offered is None or pair[1] in offered]
    elif isinstance(offered, Mapping):
        pairs = list(offered.items())
    else:
        if offered is None:
            steps = np.arange(control.min, control.max + control.step / 2, control.step)
            offered = steps.round(6).tolist()
        pairs = [(f"{value:g}", value) for value in offered]
    own = [pair for pair in pairs if pair[1] == control.value]
    if not own:
        raise ValueError(f"a page begins with {control.value!r}, and is to offer only {pairs}")
    others = [pair for pair in pairs if pair not in own][: most - 1]
    pairs = [pair for pair in pairs if pair in others or pair in own]
    menu = options is not None or isinstance(offered, Mapping)
    values = {str(name): value for name, value in pairs}
    return Choice(control.description, values, pairs.index(own[0]), menu)


def _field(choice: Choice) -> str:
    names = [html.escape(name) for name in choice.values]
    label = html.escape(choice.label)
    if choice.menu:
        options = "".join(
            f"<option{' selected' * (k == choice.at)}>{name}</option>"
            for k, name in enumerate(names)
        )
        return MENU.format(label=label, options=options)
    return SLIDER.format(label=label, last=len(names) - 1, at=choice.at, name=names[choice.at])


def _drawn(figure: Figure | None) -> tuple[np.ndarray, str]:
    """A figure's pixels (H, W, 3), and the words in it."""
    if figure is None:
        raise ValueError("on a page every choice needs a picture, and for one nothing was drawn")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for axis in figure.axes for text in (axis.title, *axis.texts)]
    words = "; ".join(filter(None, (" ".join(text.get_text().split()) for text in texts)))
    return np.array(canvas.buffer_rgba())[..., :3], words


def _same_size(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures (N, H, W, 3) in whole blocks, with white at the right and below smaller ones."""
    sides = zip(*(picture.shape[:2] for picture in pictures), strict=True)
    height, width = (math.ceil(max(side) / BLOCK) * BLOCK for side in sides)
    pages = np.full((len(pictures), height, width, 3), 255, np.uint8)
    for page, picture in zip(pages, pictures, strict=True):
        page[: picture.shape[0], : picture.shape[1]] = picture
    return pages


def _changes(picture: np.ndarray, first: np.ndarray) -> np.ndarray:
    """A picture (H, W, 4), transparent in blocks where it is as the first."""
    height, width = picture.shape[0] // BLOCK, picture.shape[1] // BLOCK
    differ = (picture != first).reshape(height, BLOCK, width, BLOCK, 3).any((1, 3, 4))
    alpha = 255 * differ.repeat(BLOCK, 0).repeat(BLOCK, 1).astype(np.uint8)
    return np.dstack([picture, alpha])


def _source(pixels: np.ndarray) -> str:
    """A picture as an address that holds it."""
    Image.fromarray(pixels).save(webp := io.BytesIO(), "WebP", quality=QUALITY, method=2)
    return "data:image/webp;base64," + base64.b64encode(webp.getvalue()).decode()


def frames(draw: Callable[..., Figure | None], alt: str, choices: Mapping[str, Choice]) -> str:
    """Return HTML with a control for each choice over ``draw(**values)`` of all combinations.

    ``alt`` tells what the picture shows. The JSON has the names of each control's values and, for
    each combination (the last control changes fastest), what to lay over the first picture, and
    the words in it; book/_static/controls.js does that.
    """
    combinations = product(*(choice.values.values() for choice in choices.values()))
    drawn = [_drawn(draw(**dict(zip(choices, c, strict=True)))) for c in combinations]
    pictures, words = _same_size([pixels for pixels, _ in drawn]), [words for _, words in drawn]
    shape = [len(choice.values) for choice in choices.values()]
    first = int(np.ravel_multi_index([choice.at for choice in choices.values()], shape))
    layers = [_source(_changes(picture, pictures[first])) for picture in pictures]
    names = [list(choice.values) for choice in choices.values()]
    data = {"names": names, "frames": list(zip(layers, words, strict=True))}
    return FRAMES.format(
        first=first,
        fields="".join(map(_field, choices.values())),
        source=_source(pictures[first]),
        alt=html.escape(alt),
        width=pictures.shape[2],
        height=pictures.shape[1],
        words=html.escape(words[first]),
        data=json.dumps(data).replace("<", r"\u003c"),
    )
