"""The table, and the box that draws what is typed into it."""

import html
import io
from html.parser import HTMLParser

import ipywidgets
import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from cvae_lib.models import ConcatConditionalVAE
from cvae_lib.widgets import MAX_ROWS, explore, prompt_box, table

PNG = b"\x89PNG\r\n\x1a\n"


class Box:
    """A prompt box and its four parts."""

    def __init__(self, **options: object) -> None:
        torch.manual_seed(0)
        model = ConcatConditionalVAE(latent_dim=4).eval()
        self.whole = prompt_box(model, **options)  # type: ignore[arg-type]
        self.field, self.slider, self.said, self.picture = self.whole.children

    @property
    def size(self) -> tuple[int, int]:
        rows, columns, _ = matplotlib.image.imread(io.BytesIO(bytes(self.picture.value))).shape
        return rows, columns


# --- the table -------------------------------------------------------------------------------


class Cells(HTMLParser):
    """The text of each cell, row by row."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.rows[-1][-1] += data


def test_a_table_rounds_and_keeps_the_order_of_columns() -> None:
    rows = [
        {"what": "a", "SSE": 12.345, "SSIM": 0.76543, "images": 55000},
        {"what": "b", "SSE": 9.8765, "SSIM": -0.5},
    ]
    assert Cells(table(rows).data).rows == [
        ["what", "SSE", "SSIM", "images"],
        ["a", "12.3", "0.765", "55,000"],
        ["b", "9.877", "-0.500", ""],
    ]


def test_numbers_of_numpy_are_numbers() -> None:
    source = table([{"n": np.int64(55000), "x": np.float32(1 / 3), "y": np.float64(12.345)}]).data
    assert Cells(source).rows[1] == ["55,000", "0.333", "12.3"]
    assert "left" not in source


def test_a_table_shows_markup_as_text() -> None:
    nasty = "<script>alert(1)</script>"
    source = table([{nasty: nasty}]).data
    assert "<script>" not in source
    assert html.escape(nasty) in source
    with pytest.raises(ValueError, match="no rows"):
        table([])


# --- the box ---------------------------------------------------------------------------------


def test_the_box_draws_its_first_text() -> None:
    box = Box(text="two hoodies and a handbag", n=3)
    assert isinstance(box.whole, ipywidgets.VBox)
    assert bytes(box.picture.value).startswith(PNG)
    assert box.said.value == "drawn: Pullover, Bag"
    two = box.size[0]
    box.field.value = "a boot, a bag, a dress, a shirt"
    assert box.size[0] > 1.8 * two  # a row each
    assert "no garment word in 'a fast car'" in Box(text="a fast car").said.value


def test_another_text_or_seed_draws_anew_and_the_old_ones_come_back() -> None:
    box = Box(text="a boot", n=2)
    first = box.picture.value
    box.field.value = "a bag"
    assert box.picture.value != first and box.said.value == "drawn: Bag"
    box.field.value = "a boot"
    assert box.picture.value == first
    box.slider.value = 1
    assert box.picture.value != first
    box.slider.value = 0
    assert box.picture.value == first


def test_the_seed_is_where_the_slider_starts() -> None:
    assert Box(seed=7).picture.value != Box(seed=8).picture.value
    assert Box(seed=1000).slider.value == 1000


@pytest.mark.parametrize(
    "text", ["a fast car", "", "   ", "一件衣服", "x" * 100_000, "<b>car</b>", "$x^2$"]
)
def test_a_text_that_cannot_be_drawn_gets_a_line_and_no_picture(text: str) -> None:
    box = Box(n=1)
    box.field.value = text
    assert box.picture.layout.display == "none"
    assert box.said.value and "\n" not in box.said.value and len(box.said.value) < 300
    assert type(box.said) is ipywidgets.Label, "a Label shows markup as text"
    box.field.value = "a bag"
    assert box.picture.layout.display is None and box.said.value == "drawn: Bag"


def test_many_garments_are_cut_to_what_fits() -> None:
    box = Box(text="boot " * 1000, n=1)
    assert f"the first {MAX_ROWS} of" in box.said.value
    assert box.size[0] < 800


def test_explore_draws_anew_when_a_control_changes() -> None:
    seen: list[dict[str, float]] = []

    def draw(**values: float) -> Figure:
        seen.append(values)
        figure, axis = plt.subplots()
        axis.plot([0, values["angle"]])
        plt.close(figure)
        return figure

    angle = ipywidgets.FloatSlider(value=1.0, max=9.0)
    box = explore(draw, angle=angle, count=ipywidgets.IntSlider(value=2))
    picture = box.children[-1]
    first = bytes(picture.value)
    assert first.startswith(b"\x89PNG") and not angle.continuous_update
    angle.value = 5.0
    assert seen == [{"angle": 1.0, "count": 2}, {"angle": 5.0, "count": 2}]
    assert bytes(picture.value) != first
    with pytest.raises(ValueError, match="at least one control"):
        explore(draw)
