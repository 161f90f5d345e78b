"""From a text to pictures: a row for each mention, drawn by whatever model it is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cvae_lib.models import VAE, ConcatConditionalVAE, FashionJudge
from cvae_lib.text import text_to_images

TEXT = "two hoodies and a handbag"


class Painter:
    """Paints every picture in the grey of its label, and notes how it was asked."""

    conditional = True

    def sample(
        self, condition: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        self.asked = generator, temperature
        return (condition / 10).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)


@pytest.fixture(scope="module")
def model() -> ConcatConditionalVAE:
    torch.manual_seed(0)
    return ConcatConditionalVAE(16).eval()


def test_every_row_is_its_mention(generator: torch.Generator) -> None:
    painter = Painter()
    images, labels = text_to_images(painter, "a bag, boots and another bag", 3, generator, 0.5)
    assert labels == [8, 9, 8]
    assert images.shape == (3, 3, 1, 28, 28)
    for row, label in zip(images, labels, strict=True):
        assert torch.equal(row, torch.full_like(row, label / 10))
    assert painter.asked == (generator, 0.5)


def test_a_real_model_draws_grey_values(model: ConcatConditionalVAE) -> None:
    images, labels = text_to_images(model, TEXT)
    assert labels == [2, 8] and images.shape == (2, 4, 1, 28, 28)
    assert images.min() >= 0 and images.max() <= 1 and not images.requires_grad


def test_one_seed_one_picture(model: ConcatConditionalVAE) -> None:
    def draw(seed: int, temperature: float = 1.0) -> Tensor:
        return text_to_images(model, TEXT, 2, torch.Generator().manual_seed(seed), temperature)[0]

    first, cold = draw(1), draw(1, temperature=0)
    assert torch.equal(first, draw(1)) and not torch.equal(first, draw(2))
    assert not torch.equal(first[0, 0], first[0, 1])  # the pictures of a row differ
    torch.testing.assert_close(cold[:, 0], cold[:, 1], atol=1e-6, rtol=0)  # for want of noise


def test_n_is_a_whole_number_from_one(model: ConcatConditionalVAE) -> None:
    assert text_to_images(model, TEXT, np.int64(4))[0].shape[1] == 4
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
