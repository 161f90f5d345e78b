"""Figures: the right number of pictures and titles, nothing cropped, nothing left open."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from torch import Tensor

from cvae_lib.plots import PALETTE, plot_bars, plot_grid, plot_history

LONG = "asked: a pair of black ankle boots"


@pytest.fixture(autouse=True)
def nothing_left_open():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


def pictures(count: int, channels: int = 1, height: int = 28, width: int = 28) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator)


def axis_grid(figure: Figure) -> tuple[int, int]:
    places = [axis.get_subplotspec() for axis in figure.axes]
    assert places[0] is not None
    return places[0].get_gridspec().get_geometry()


def shown(figure: Figure) -> list[Axes]:
    """The axes with a picture."""
    return [axis for axis in figure.axes if axis.images]


def texts(figure: Figure) -> list[Text]:
    """Titles, labels, legends and remarks: every text but the numbers at the ticks."""
    figure.draw_without_rendering()
    found = list(figure.texts)
    for axis in figure.axes:
        found += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        legend = axis.get_legend()
        found += legend.get_texts() if legend else []
    return [text for text in found if text.get_text()]


def assert_readable(figure: Figure, *more: Text) -> None:
    """No text leaves the figure or lies on another text or on a picture."""
    found = [*texts(figure), *more]
    places = {f"{i} {text.get_text()}": text.get_window_extent() for i, text in enumerate(found)}
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
    assert axis_grid(figure) == grid
    assert len(figure.axes) == grid[0] * grid[1] and len(shown(figure)) == count
    assert not any(axis.axison for axis in figure.axes)


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


def test_grid_of_other_pixels() -> None:
    with pytest.raises(ValueError, match=r"torch.uint8 .*: use to_unit\(images\)"):
        plot_grid((255 * pictures(2)).byte())


MONEY = "$5_ and 6^$"


def test_dollars_are_dollars() -> None:
    figure = plot_grid(pictures(2), [MONEY, r"\$x^2$"], columns=2, row_titles=[MONEY], scale=0.5)
    assert_readable(figure)
    plain = plot_grid(pictures(2), ["a5_ and 6^a", "short"], columns=2, row_titles=["a5_ and 6^a"])
    wide = plot_grid(pictures(2), [MONEY, "short"], columns=2, row_titles=[MONEY])
    assert wide.get_figwidth() == pytest.approx(plain.get_figwidth(), rel=0.05)
    bars = plot_bars({MONEY: 1.0, "b": 2.0}, ylabel=MONEY)
    assert_readable(bars, *bars.axes[0].get_xticklabels())
    for drawn in (figure, bars):
        written = [*texts(drawn), *(t for axis in drawn.axes for t in axis.get_xticklabels())]
        assert not any(text.get_parse_math() for text in written if "$" in text.get_text())


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
    titles = [axis.get_title() for axis in shown(figure)]
    assert titles == names + 12 * [""]
    written = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert written == row_titles
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


def test_grid_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        plot_grid(pictures(4), columns=0)
    with pytest.raises(ValueError, match="3 titles for 4 images or 2 columns: give one for each"):
        plot_grid(pictures(4), ["a", "b", "c"], columns=2)
    with pytest.raises(ValueError, match="1 row titles for 2 rows"):
        plot_grid(pictures(4), columns=2, row_titles=["a"])


# Histories and bars


def history(epochs: int) -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            **{"loss": 300.0 - epoch, "nll": 290.0 - epoch, "kl": 10.0 + epoch, "seconds": 2.0},
            **{"valid_loss": 310.0, "valid_nll": 299.0, "valid_kl": 11.0},
        }
        for epoch in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("epochs", [1, 40])
def test_history_draws_training_beside_validation(epochs: int) -> None:
    figure = plot_history(history(epochs))
    assert [axis.get_title() for axis in figure.axes] == ["loss", "nll", "kl"]
    for axis in figure.axes:
        training, validation = axis.lines
        assert training.get_label() == "training" and validation.get_label() == "validation"
        assert np.asarray(training.get_xdata()).tolist() == list(range(1, epochs + 1))
        assert axis.get_xlabel() == "epoch"
        figure.draw_without_rendering()
        assert all(tick == round(tick) for tick in axis.get_xticks())
    loss, _ = figure.axes[0].lines
    assert np.asarray(loss.get_ydata()).tolist() == [
        300.0 - epoch for epoch in range(1, epochs + 1)
    ]
    assert "nats" in figure.axes[0].get_ylabel()
    assert_readable(figure)


@pytest.mark.parametrize("rows", [[], [{"epoch": 1, "loss": 2.0}]])
def test_no_history(rows: list[dict[str, float]]) -> None:
    with pytest.raises(ValueError, match="no epoch has a term beside its validation, got"):
        plot_history(rows)


def test_bars() -> None:
    values = {"concat": 237.53, "additive, std 1": 241.6, "additive, std 0.02": -3.0}
    errors = dict(zip(values, (0.5, 2.0, 1.0), strict=True))
    figure = plot_bars(values, ylabel="−ELBO, nats", errors=errors)
    (axis,) = figure.axes
    assert [bar.get_height() for bar in axis.patches if isinstance(bar, Rectangle)] == list(
        values.values()
    )
    assert [label.get_text() for label in axis.get_xticklabels()] == list(values)
    assert [text.get_text() for text in axis.texts] == ["237.5", "241.6", "-3"]
    assert axis.get_ylabel() == "−ELBO, nats"
    whiskers = next(c for c in axis.containers if isinstance(c, ErrorbarContainer))
    lengths = [top[1] - bottom[1] for bottom, top in whiskers.lines[2][0].get_segments()]
    assert lengths == pytest.approx([1.0, 4.0, 2.0])
    many = plot_bars({str(i): i for i in range(9)}, ylabel="y").axes[0].patches
    assert len({bar.get_facecolor() for bar in many}) == len(PALETTE)


@pytest.mark.parametrize("names", [["a"], ["a rather long name", "another long name", "short"]])
def test_no_word_of_the_bars_is_cropped(names: list[str]) -> None:
    figure = plot_bars(dict.fromkeys(names, 0.5), ylabel="share")
    assert_readable(figure, *figure.axes[0].get_xticklabels())
    with pytest.raises(ValueError, match="no values: give at least one bar"):
        plot_bars({}, ylabel="share")
