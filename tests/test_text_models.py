"""The VAE for pictures and texts: the article's sizes, shapes, conditioning, bad input."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cvae_lib.data import CaptionedSet
from cvae_lib.latent import encode_set
from cvae_lib.losses import elbo
from cvae_lib.models import TextConditionalVAE

WITH_TEXT = ("concat", "add", "film")
LIKELIHOODS = ("bernoulli", "gaussian", "optimal-sigma")


def make(conditioning="concat", image_size: int = 16, **options) -> TextConditionalVAE:
    torch.manual_seed(0)
    options = {"latent_dim": 6, "text_dim": 5, "width": 4, "text_features": 7} | options
    return TextConditionalVAE(image_size, conditioning=conditioning, **options).eval()


def heard(model: TextConditionalVAE) -> TextConditionalVAE:
    """FiLM starts without effect: give its texts one."""
    for name, parameter in model.named_parameters():
        if model.conditioning == "film" and name.startswith("condition."):
            nn.init.normal_(parameter)
    return model


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x(generator: torch.Generator) -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=generator)


@pytest.fixture
def text(generator: torch.Generator) -> Tensor:
    return torch.randn(4, 5, generator=generator)


# Sizes and shapes


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("latent_dim", "parameters"), [(128, 13_721_123), (512, 23_945_507)])
def test_the_articles_parameter_counts(latent_dim: int, parameters: int) -> None:
    assert count(TextConditionalVAE.article(latent_dim=latent_dim)) == parameters


def article_layers(stages: int, latent: int) -> list[tuple[int, ...]]:
    """The shapes of the article's parameters in its order, written out from its table."""
    widths = [3, 32, 64, 128, 256, 512, 1024][: stages + 1]
    top = widths[-1] * 16
    shapes: list[tuple[int, ...]] = []
    for i, o in pairwise(widths):
        shapes += [(o, i, 4, 4), (o,), (o,), (o,)]  # convolution, its bias, BatchNorm
    shapes += [(1024, 512), (1024,)]
    shapes += [(latent, top + 1024), (latent,)] * 2
    shapes += [(top, latent + 512), (top,)]
    up = [*widths[:0:-1], 16]
    for i, o in pairwise(up):
        shapes += [(i, o, 4, 4), (o,), (o,), (o,)]
    return [*shapes, (3, 16, 3, 3), (3,)]


@pytest.mark.parametrize(("image_size", "stages"), [(64, 4), (128, 5), (256, 6)])
def test_the_articles_layers_in_its_order(image_size: int, stages: int) -> None:
    model = TextConditionalVAE.article(image_size, latent_dim=128)
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes == article_layers(stages, 128)
    assert count(model) == sum(int(np.prod(shape)) for shape in shapes)
    assert not model.normalise_text and model.conditioning == "concat"


# Training


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("conditioning", WITH_TEXT)
def test_bfloat16_with_channels_last_stays_near_float32(
    conditioning, likelihood, x: Tensor, text: Tensor
) -> None:
    model = heard(make(conditioning, likelihood=likelihood, image_size=64)).train()
    x = torch.rand(4, 3, 64, 64, generator=seeded())
    exact = elbo(model, x, text, seeded(1))
    model.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        terms = elbo(model, x, text.half(), seeded(1))
        logits = model.decode_logits(torch.zeros(4, 6), text)
    assert logits.dtype == terms["nll"].dtype == terms["kl"].dtype == torch.float32
    torch.testing.assert_close(terms["nll"], exact["nll"], rtol=0.02, atol=0)
    torch.testing.assert_close(terms["kl"], exact["kl"], rtol=0.1, atol=0.1)
    terms["loss"].mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def lit_quarters(count: int) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, 16, 16) with one quarter lit, red or blue, and what says so (N, 6)."""
    quarter = torch.randint(4, (count,), generator=seeded(1))
    colour = torch.randint(2, (count,), generator=seeded(2))
    pictures = torch.full((count, 3, 16, 16), 0.1)
    for row, (q, c) in enumerate(zip(quarter.tolist(), colour.tolist(), strict=True)):
        top, left = 8 * (q // 2), 8 * (q % 2)
        pictures[row, 2 * c, top : top + 8, left : left + 8] = 0.9
    words = torch.cat([torch.eye(4)[quarter], torch.eye(2)[colour]], 1)
    return pictures, words


@pytest.mark.parametrize("conditioning", WITH_TEXT)
def test_text_reaches_the_picture(conditioning: str) -> None:
    pictures, words = lit_quarters(32)
    model = make(conditioning, text_dim=6, width=8).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    noise = seeded()
    for _ in range(100):
        optimizer.zero_grad()
        terms = elbo(model, pictures, words, noise, beta=20)  # z is dear: let the text say it
        terms["loss"].mean().backward()
        optimizer.step()
    model.eval()
    asked = torch.cat([torch.eye(4).repeat_interleave(2, 0), torch.eye(2).repeat(4, 1)], 1)
    drawn = model.decode(torch.randn(1, 6, generator=noise).expand(8, 6), asked).detach()
    for row, picture in enumerate(drawn):
        quarters = picture.unflatten(2, (2, 8)).unflatten(1, (2, 8)).mean((2, 4)).flatten(1)
        lit = torch.zeros(3, 4, dtype=torch.bool)
        lit[2 * (row % 2), row // 2] = True
        assert quarters[lit] > 0.55 and (quarters[~lit] < 0.35).all(), quarters


# How a text enters


def test_film_acts_on_every_scale() -> None:
    model = make("film", image_size=64, width=8)
    assert [m.out_features // 2 for m in model.condition.to_maps] == [64, 32, 16, 8, 4]


@pytest.mark.parametrize("conditioning", WITH_TEXT)
def test_normalised_texts_have_no_length_and_no_precision(
    conditioning: str, x: Tensor, text: Tensor
) -> None:
    model = heard(make(conditioning))
    z = torch.zeros(4, 6)
    image, mu = model.decode(z, text), model.encode(x, text)[0]
    torch.testing.assert_close(model.decode(z, 10 * text), image, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(model.encode(x, 10 * text)[0], mu, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(model.decode(z, text.half()), image, rtol=1e-2, atol=1e-2)
    model.normalise_text = False
    assert (model.decode(z, 10 * text) - image).abs().max() > 1e-3


def test_encode_set_takes_each_images_first_caption() -> None:
    random, first = np.random.default_rng(0), np.cumsum([0, *(1 + np.arange(250) % 2)])
    images = random.integers(0, 256, (250, 3, 16, 16), dtype=np.uint8)
    vectors = random.normal(size=(first[-1], 5)).astype(np.float16)
    data = CaptionedSet(images, vectors, first, ["a caption"] * first[-1])
    model = heard(make("film"))
    mu, logvar = encode_set(model, data)
    expected = model.encode(torch.from_numpy(images) / 255, data.text_vectors())
    torch.testing.assert_close((mu, logvar), tuple(part.detach() for part in expected))


# Bad input


@pytest.mark.parametrize("size", [0, -4, 4, 8, 28, 48, 65])
def test_wrong_image_size(size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size must be 16, 32, 64, .* got {size}"):
        TextConditionalVAE(size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conditioning": "cross"}, "unknown conditioning 'cross': choose one of none, concat"),
        ({"likelihood": "binarised"}, "'binarised' makes a colour channel 0 or 1: choose"),
        ({"likelihood": "poisson"}, "unknown likelihood 'poisson'"),
        ({"width": 5}, "width must be a multiple of 2 for [a-z]+, got 5"),
        ({"width": 0}, "width must be at least 2, got 0"),
        ({"text_dim": 0}, "text_dim must be at least 1, got 0"),
        ({"text_features": 0}, "text_features must be at least 1, got 0"),
        ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
    ],
)
def test_wrong_constructor_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("conditioning", WITH_TEXT)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "text vectors must be a tensor or an array, got NoneType None"),
        (torch.zeros(4, 6), r"float \(4, 5\), got torch.float32 \(4, 6\): use the text encoder"),
        (torch.zeros(3, 5), r"float \(4, 5\), got torch.float32 \(3, 5\)"),
        (torch.zeros(4, dtype=torch.long), r"got torch.int64 \(4,\)"),
        (torch.full((4, 5), torch.inf), "example 0 has the value inf: every number of a text"),
    ],
)
def test_wrong_texts(conditioning: str, text: Tensor | None, message: str, x: Tensor) -> None:
    model = make(conditioning)
    with pytest.raises((TypeError, ValueError), match=message):
        model.encode(x, text)
    with pytest.raises((TypeError, ValueError), match=message):
        model.decode(torch.zeros(4, 6), text)
    with pytest.raises(ValueError, match=r"float \(B, 5\), got torch.int64 \(\): use the text enc"):
        model.sample(5)
