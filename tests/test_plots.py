"""Figures: the right number of pictures and titles, nothing cropped, nothing left open."""

import itertools
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from torch import Tensor

from cvae_lib.plots import plot_grid

LONG = "asked: a pair of black ankle boots"


@pytest.fixture(autouse=True)
def nothing_left_open():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


def pictures(count: int, channels: int = 1, height: int = 28, width: int = 28) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator)


def shown(figure: Figure) -> list[Axes]:
    """The axes with a picture."""
    return [axis for axis in figure.axes if axis.images]


def texts(figure: Figure) -> list[Text]:
    """Titles and labels: every text but numbers at ticks."""
    figure.draw_without_rendering()
    found = list(figure.texts)
    for axis in figure.axes:
        found += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
    return [text for text in found if text.get_text()]


def assert_readable(figure: Figure) -> None:
    """No text leaves the figure or lies on another text or on a picture."""
    found = enumerate(texts(figure))
    places = {f"{i} {text.get_text()}": text.get_window_extent() for i, text in found}
    page = figure.bbox.padded(1)
    for name, box in places.items():
        assert page.x0 <= box.x0 and box.x1 <= page.x1, f"{name!r} is cropped"
        assert page.y0 <= box.y0 and box.y1 <= page.y1, f"{name!r} is cropped"
    boxes = list(places.items()) + [("a picture", axis.bbox) for axis in shown(figure)]
    for (one, box), (other, second) in itertools.combinations(boxes, 2):
        common = Bbox.intersection(box.padded(-1), second.padded(-1))
        assert common is None, f"{one!r} lies on {other!r}"


# Grids


@pytest.mark.parametrize(
    ("count", "columns", "grid"),
    [(1, None, (1, 1)), (7, None, (1, 7)), (25, None, (3, 10)), (7, 3, (3, 3)), (3, 5, (1, 5))],
)
def test_grid_has_rows_and_columns(count: int, columns: int | None, grid: tuple[int, int]) -> None:
    figure = plot_grid(pictures(count), columns=columns)
    assert isinstance(figure, Figure)
    spec = figure.axes[0].get_subplotspec()
    assert spec is not None and spec.get_gridspec().get_geometry() == grid
    assert len(figure.axes) == grid[0] * grid[1] and len(shown(figure)) == count
    assert not any([*axis.get_xticks(), *axis.get_yticks()] for axis in figure.axes)


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 28, 28), (3, 28, 28), (1, 20, 40), (3, 40, 20)]
)
def test_grid_shows_the_pixels(channels: int, height: int, width: int) -> None:
    x = pictures(4, channels, height, width)
    figure = plot_grid(x, columns=2, scale=1.5)
    for axis, picture in zip(shown(figure), x, strict=True):
        (drawn,) = axis.images
        expected = picture.permute(1, 2, 0).squeeze(-1)
        assert torch.equal(torch.as_tensor(drawn.get_array()), expected)
        assert drawn.get_clim() == (0, 1)  # a dark picture is shown dark
        place = axis.get_position()
        inches = place.width * figure.get_figwidth(), place.height * figure.get_figheight()
        assert inches == pytest.approx((1.5, 1.5 * height / width))


def test_grid_takes_what_models_return() -> None:
    x = (pictures(2, channels=3) * 1.0001 - 0.00005).requires_grad_()  # a resize rounds
    (first, _) = shown(plot_grid(x))
    drawn = torch.as_tensor(first.images[0].get_array())
    assert drawn.min() >= 0 and drawn.max() <= 1  # clamped, or matplotlib warns
    plot_grid(pictures(2).bfloat16())
    (from_array,) = shown(plot_grid(pictures(1).numpy()))
    assert torch.equal(torch.as_tensor(from_array.images[0].get_array()), pictures(1)[0, 0])


def test_dollars_are_dollars() -> None:
    money = "$5_ and 6^$"
    grid = plot_grid(pictures(2), [money, r"\$x^2$"], columns=2, row_titles=[money], scale=0.5)
    assert_readable(grid)
    written = [text for text in texts(grid) if "$" in text.get_text()]
    assert len(written) >= 2 and not any(text.get_parse_math() for text in written)


def test_titles_one_for_each_image() -> None:
    names = [f"garment {i}" for i in range(12)]
    figure = plot_grid(pictures(12), names, columns=5)
    assert [axis.get_title() for axis in shown(figure)] == names
    assert_readable(figure)
    (axis,) = shown(plot_grid(pictures(1), [7]))  # type: ignore[list-item]
    assert axis.get_title() == "7"  # a label


def test_titles_one_for_each_column_and_for_each_row() -> None:
    names, row_titles = [f"column {i}" for i in range(6)], ["real", "rebuilt", "drawn, σ = ½"]
    figure = plot_grid(pictures(18), names, columns=6, row_titles=row_titles)
    assert [axis.get_title() for axis in figure.axes] == names + 12 * [""]
    assert [axis.get_ylabel() for axis in figure.axes[::6]] == row_titles
    assert_readable(figure)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.4])
@pytest.mark.parametrize("titles", [["T-shirt/top", LONG], ["two\nlines", "one"], [LONG, LONG]])
def test_no_title_is_cropped(scale: float, titles: list[str]) -> None:
    row_titles = ["one", "a row's title that is quite long"]
    for_each = plot_grid(pictures(4), titles * 2, columns=2, scale=scale, row_titles=row_titles)
    for_columns = plot_grid(pictures(4), titles, columns=2, scale=scale)
    for figure in (for_each, for_columns, plot_grid(pictures(2), titles, scale=scale)):
        assert_readable(figure)


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (0, 1, 28, 28), (1, 2, 28, 28)])
def test_grid_of_no_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"got .*\(" + str(shape)[1:-1]):
        plot_grid(torch.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 0}, "columns must be at least 1, got 0"),
        ({"columns": 2, "titles": ["a", "b", "c"]}, "3 titles for 4 images or 2 columns"),
        ({"columns": 2, "row_titles": ["a"]}, "1 row titles for 2 rows"),
    ],
)
def test_grid_that_does_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_grid(pictures(4), **options)
    with pytest.raises(ValueError, match=r"torch.uint8 .*: use to_unit\(images\)"):
        plot_grid((255 * pictures(4)).byte(), **options)
