"""From a text to pictures: as many and as dark as it says, by whatever model it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cvae_lib.models import VAE, ConcatConditionalVAE, FashionJudge
from cvae_lib.text import ignored_words, text_to_images

TEXT = "two dark hoodies and handbags"


class Painter:
    """Paints every picture in the grey of its label, and notes how it was asked."""

    conditional = True

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def sample(
        self, condition: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        self.asked.append((generator, temperature))
        return (condition / 10).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)

    def sample_given(
        self, label: int, shares: dict[str, float], count: int, **noise: Any
    ) -> Tensor:
        self.asked.append(set(shares))
        return self.sample(torch.full((count,), label), **noise)


@pytest.fixture(scope="module")
def model() -> ConcatConditionalVAE:
    torch.manual_seed(0)
    return ConcatConditionalVAE(16).eval()


def test_every_row_is_its_garment(generator: torch.Generator) -> None:
    painter = Painter()
    text = "a bag, boots and two dark, wide red bags"
    images, garments = text_to_images(painter, text, 3, generator, 0.5)
    assert [(str(g), g.count) for g in garments] == [
        ("Bag", 1), ("Ankle boot", None), ("dark wide Bag", 2)
    ]  # fmt: skip
    assert [len(row) for row in images] == [1, 3, 2]
    for row, garment in zip(images, garments, strict=True):
        assert torch.equal(row, torch.full((len(row), 1, 28, 28), garment.label / 10))
    how = (generator, 0.5)
    assert painter.asked == [how, how, {"brightness", "width"}, how]
    assert ignored_words(garments) == ["red"]


def test_a_real_model_draws_grey_values(model: ConcatConditionalVAE) -> None:
    images, _ = text_to_images(model, "dark hoodies and a handbag")
    assert [row.shape for row in images] == [(4, 1, 28, 28), (1, 1, 28, 28)]
    for row in images:
        assert row.min() >= 0 and row.max() <= 1 and not row.requires_grad


def test_one_seed_one_picture(model: ConcatConditionalVAE) -> None:
    def draw(seed: int, temperature: float = 1.0) -> Tensor:
        noise = torch.Generator().manual_seed(seed)
        return torch.cat(text_to_images(model, TEXT, 2, noise, temperature)[0])

    first, cold = draw(1), draw(1, temperature=0)
    assert torch.equal(first, draw(1)) and not torch.equal(first, draw(2))
    assert not torch.equal(first[0], first[1])  # the pictures of a row differ
    torch.testing.assert_close(cold[0], cold[1], atol=1e-6, rtol=0)  # for want of noise


def test_n_is_a_whole_number_from_one(model: ConcatConditionalVAE) -> None:
    assert len(text_to_images(model, TEXT, np.int64(4))[0][1]) == 4
    with pytest.raises(TypeError, match=r"n must be a whole number, got 2\.5"):
        text_to_images(model, TEXT, 2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        text_to_images(model, TEXT, 0)


def test_a_model_without_labels_is_refused() -> None:
    for name, model in {"VAE": VAE(4), "FashionJudge": FashionJudge(4)}.items():
        with pytest.raises(ValueError, match=f"{name} takes no label.*fashion-concat"):
            text_to_images(model, TEXT)


def test_other_mistakes_come_through(model: ConcatConditionalVAE) -> None:
    with pytest.raises(ValueError, match="no garment word in 'a fast car'"):
        text_to_images(model, "a fast car")
    with pytest.raises(TypeError, match="want a str"):
        text_to_images(model, 7)  # type: ignore[arg-type]
    for temperature in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="temperature must be at least 0"):
            text_to_images(model, TEXT, temperature=temperature)
