"""The table, and the box that draws what is typed into it."""

import html
import io
import re

import ipywidgets
import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from cvae_lib.models import ConcatConditionalVAE
from cvae_lib.widgets import MAX_ROWS, explore, prompt_box, table


def box_of(text: str) -> tuple[ipywidgets.Widget, ...]:
    """A prompt box's field, slider, line and picture."""
    torch.manual_seed(0)
    return prompt_box(ConcatConditionalVAE(latent_dim=4).eval(), text).children


def height_of(picture: ipywidgets.Image) -> int:
    return matplotlib.image.imread(io.BytesIO(bytes(picture.value))).shape[0]


def cells(source: str) -> list[list[str]]:
    """The text of each cell, row by row."""
    rows = re.findall("<tr>(.*?)</tr>", source)
    return [re.findall("<t[hd].*?>(.*?)</t[hd]>", row) for row in rows]


def test_a_table_rounds_and_keeps_the_order_of_columns() -> None:
    rows = [
        {"what": "a", "SSE": 12.345, "SSIM": 0.76543, "images": 55000},
        {"what": "b", "SSE": 9.8765, "SSIM": -0.5},
    ]
    assert cells(table(rows).data) == [
        ["what", "SSE", "SSIM", "images"],
        ["a", "12.3", "0.765", "55,000"],
        ["b", "9.877", "-0.500", ""],
    ]


def test_numbers_of_numpy_are_numbers() -> None:
    source = table([{"n": np.int64(55000), "x": np.float32(1 / 3), "y": np.float64(12.345)}]).data
    assert cells(source)[1] == ["55,000", "0.333", "12.3"]
    assert "left" not in source


def test_a_table_shows_markup_as_text() -> None:
    nasty = "<script>alert(1)</script>"
    source = table([{nasty: nasty}]).data
    assert "<script>" not in source
    assert html.escape(nasty) in source
    with pytest.raises(ValueError, match="no rows"):
        table([])


def test_the_box_draws_its_text_a_row_for_each_garment() -> None:
    field, _, said, picture = box_of("two hoodies and a handbag")
    assert bytes(picture.value).startswith(b"\x89PNG") and said.value == "drawn: 2 Pullover, 1 Bag"
    two = height_of(picture)
    field.value = "a boot, a bag, a dress, a shirt"
    assert height_of(picture) > 1.8 * two
    field.value = "boot " * 50
    assert f"the first {MAX_ROWS} of 50" in said.value
    assert height_of(picture) < 3.5 * two
    field.value = "dark red hoodies, a big, blue bag"
    assert said.value == "drawn: 6 dark Pullover, 1 Bag; ignored: red, big, blue"


def test_another_text_or_seed_draws_anew_and_the_old_ones_come_back() -> None:
    field, slider, said, picture = box_of("a boot")
    first = picture.value
    field.value = "a bag"
    assert picture.value != first and said.value == "drawn: 1 Bag"
    field.value = "a boot"
    assert picture.value == first
    slider.value = 1
    assert picture.value != first
    slider.value = 0
    assert picture.value == first


@pytest.mark.parametrize(
    "text", ["a fast car", "", "   ", "一件衣服", "x" * 100_000, "<b>car</b>", "$x^2$"]
)
def test_a_text_that_cannot_be_drawn_gets_a_line_and_no_picture(text: str) -> None:
    field, _, said, picture = box_of(text)
    assert picture.layout.display == "none"
    assert "\n" not in said.value and 10 < len(said.value) < 300
    assert type(said) is ipywidgets.Label, "a Label shows markup as text"
    field.value = "a bag"
    assert picture.layout.display is None and said.value == "drawn: 1 Bag"


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
    assert not angle.continuous_update
    angle.value = 5.0
    assert seen == [{"angle": 1.0, "count": 2}, {"angle": 5.0, "count": 2}]
    assert bytes(picture.value) != first
