"""Controls over pictures drawn beforehand: all choices are there, and a page can show them."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.display import HTML
from matplotlib.figure import Figure
from PIL import Image

from cvae_lib.frames import choice_of, frames
from cvae_lib.widgets import explore

NASTY = '</script><img src=x onerror="alert(1)">&amp;'


def draw(angle: float, kind: str, size: float = 2.0) -> Figure:
    """A picture that differs for each choice, and says which it is."""
    figure, axis = plt.subplots(figsize=(size, 1))
    plt.close(figure)
    axis.plot([0, 1], [0, angle], color="red" if kind == "a" else "blue")
    axis.set(xlim=(0, 1), ylim=(-9, 9))
    axis.set_title(f"{kind} at\n{angle:g}", parse_math=False)
    return figure


class Page(HTMLParser):
    """The tags of a page with their attributes, and its JSON."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and data.startswith("{"):
            self.data = json.loads(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def pixels(source: str | None) -> np.ndarray:
    assert source and source.startswith("data:image/webp;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    return np.asarray(picture.convert("RGBA"))


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    """A slider of three values and a menu of two, as a page shows them."""
    monkeypatch.setenv("CVAE_FRAMES", "99")
    shown = explore(
        draw,
        alt="A <line>.",
        page={"angle": [-5, 0, 5]},
        angle=ipywidgets.FloatSlider(0, min=-9, max=9),
        kind=ipywidgets.Dropdown(options=[("one", "a"), (NASTY, NASTY)], value="a"),
    )
    assert isinstance(shown, HTML)
    return Page(shown.data)


def test_each_combination_has_its_picture_and_words(page: Page) -> None:
    assert page.data["names"] == [["-5", "0", "5"], ["one", NASTY]]
    expected = [f"{kind} at {angle}" for angle in (-5, 0, 5) for kind in ("a", NASTY)]
    assert [words for _, words in page.data["frames"]] == expected
    assert len({source for source, _ in page.data["frames"]}) == 6


def test_a_frame_laid_over_the_first_picture_is_the_drawing(page: Page) -> None:
    (image,) = page.of("img")
    first = pixels(image["src"])
    assert first.shape == (int(image["height"] or 0), int(image["width"] or 0), 4)
    layers = [pixels(source) for source, _ in page.data["frames"]]
    assert {layer.shape for layer in layers} == {first.shape}, "the picture would jump"
    assert not layers[2][..., 3].any(), "0 and a: the first picture itself"
    draw(5, "a").savefig(png := io.BytesIO(), format="png")
    drawn = np.asarray(Image.open(png))
    layer, (height, width, _) = layers[4], drawn.shape
    laid = np.where(layer[..., 3:] > 0, layer, first)[:height, :width, :3]
    difference = np.abs(laid.astype(float) - drawn[..., :3]).mean()
    assert difference < 3 < np.abs(first[:height, :width, :3] - 1.0 * drawn[..., :3]).mean()
    assert 0.05 < (layer[..., 3] > 0).mean() < 0.9, "what does not change is not kept again"


def test_controls_have_labels_and_tell_their_values(page: Page) -> None:
    (slider,) = page.of("input")
    assert (slider["type"], slider["max"], slider["value"]) == ("range", "2", "1")
    assert slider["aria-valuetext"] == "0"
    assert ["selected" in option for option in page.of("option")] == [True, False]
    assert len(page.of("label")) == len(page.of("select")) + len(page.of("input")) == 2
    assert page.of("div")[1]["class"] == "controls" and "hidden" in page.of("div")[1]


def test_text_from_outside_stays_text(page: Page) -> None:
    assert len(page.of("script")) == len(page.of("img")) == 1
    assert page.of("img")[0]["alt"] == "A <line>."
    assert not any("onerror" in attributes for _, attributes in page.tags)


@pytest.mark.parametrize(
    ("control", "offered", "most", "names", "at"),
    [
        (ipywidgets.IntSlider(3, min=1, max=4), None, 99, ["1", "2", "3", "4"], 2),
        (ipywidgets.IntSlider(3, min=1, max=4), None, 2, ["1", "3"], 1),
        (ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.25), None, 3, ["0", "0.25", "0.5"], 2),
        (ipywidgets.IntSlider(3, max=9), {"three": 3, "nine": 9}, 99, ["three", "nine"], 0),
        (ipywidgets.Dropdown(options="xyz", value="y"), None, 99, ["x", "y", "z"], 1),
        (ipywidgets.Dropdown(options="xyz", value="y"), "yz", 99, ["y", "z"], 0),
        (ipywidgets.Dropdown(options="xyz", value="z"), None, 2, ["x", "z"], 1),
    ],
)
def test_a_page_offers_some_values_and_the_own_one(
    control: Any, offered: Any, most: int, names: list[str], at: int
) -> None:
    choice = choice_of(control, offered, most)
    assert (list(choice.values), choice.at) == (names, at)
    assert choice.menu == (isinstance(control, ipywidgets.Dropdown) or isinstance(offered, dict))


def test_what_a_page_cannot_show_is_refused() -> None:
    slider = ipywidgets.IntSlider(3, max=9)
    with pytest.raises(ValueError, match="begins with 3"):
        choice_of(slider, [1, 2])
    with pytest.raises(ValueError, match="nothing was drawn"):
        frames(lambda n: None, "nothing", {"n": choice_of(slider)})


def test_pictures_of_several_sizes_get_the_largest() -> None:
    choice = choice_of(ipywidgets.Dropdown(options=[1.0, 3.0], value=1.0))
    page = Page(frames(lambda size: draw(1, "a", size), "A line.", {"size": choice}))
    assert re.fullmatch("30[0-8]", page.of("img")[0]["width"] or "")
    assert (pixels(page.of("img")[0]["src"])[:, 110:, :3] > 250).all()


@pytest.mark.parametrize(("alt", "most"), [("A line.", ""), ("", "99")])
def test_elsewhere_nothing_is_drawn_beforehand(
    alt: str, most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVAE_FRAMES", most)
    seen = []

    def once(angle: float) -> Figure:
        seen.append(angle)
        return draw(angle, "a")

    slider = ipywidgets.FloatSlider(0, min=-9, max=9)
    shown = explore(once, alt=alt, page={"angle": [0, 1]}, angle=slider)
    assert isinstance(shown, ipywidgets.VBox) and seen == [0.0]
    assert slider.description == "angle"
