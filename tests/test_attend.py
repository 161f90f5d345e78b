"""Attention over words, and the prior that is learned with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from cvae_lib.data import CaptionedSet
from cvae_lib.data.words import Words
from cvae_lib.losses import elbo, log_weights
from cvae_lib.models import TextConditionalVAE
from cvae_lib.models.prior import TextPrior
from cvae_lib.models.words import Attention, CrossAttention, WordReader
from cvae_lib.pretrained import conditions
from cvae_lib.train import TrainConfig


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sentences(*lengths: int, dim: int = 5, longest: int | None = None) -> Tensor:
    """Texts of so many random words, padded with zeros."""
    padded = torch.zeros(len(lengths), longest or max(lengths), dim)
    for row, length in enumerate(lengths):
        padded[row, :length] = torch.randn(length, dim, generator=seeded(row))
    return padded


def make(**options) -> TextConditionalVAE:
    torch.manual_seed(0)
    options = {"latent_dim": 6, "text_dim": 5, "width": 4} | options
    return TextConditionalVAE(16, conditioning="attend", **options).eval()


@pytest.fixture
def model() -> TextConditionalVAE:
    return make()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=seeded())


# Attention


def test_attention_is_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(8, 5), nn.MultiheadAttention(8, 4, kdim=5, vdim=5, batch_first=True)
    with torch.no_grad():
        for name, layer in (("q", ours.query), ("k", ours.key), ("v", ours.value)):
            theirs.get_parameter(f"{name}_proj_weight").copy_(layer.weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    words, queries = sentences(3, 1), torch.randn(2, 7, 8, generator=seeded(9))
    padding = ~words.any(2)
    expected, weights = theirs(queries, words, words, padding, average_attn_weights=False)
    torch.testing.assert_close(ours(queries, words, padding), expected)
    torch.testing.assert_close(ours.weights(queries, words, padding), weights)


def test_cells_heed_no_padding_and_what_they_heed_sums_to_one() -> None:
    torch.manual_seed(0)
    reader, look = WordReader(5, width=8, queries=2), CrossAttention(4, 8, 8)
    reading = reader(sentences(3, 1))
    heeded = look.weights(torch.randn(2, 4, 8, 8), reading)
    assert heeded.shape == (2, 8, 8, 3)
    torch.testing.assert_close(heeded.sum(3), torch.ones(2, 8, 8))
    assert not heeded[1, ..., 1:].any() and (heeded[0] > 0).all()


def test_a_reading_does_not_depend_on_the_padding() -> None:
    torch.manual_seed(0)
    reader = WordReader(5, width=8, queries=2)
    alone, padded = reader(sentences(3)), reader(sentences(3, 7))
    torch.testing.assert_close(padded.words[:1, :3], alone.words)
    torch.testing.assert_close(padded.pooled[:1], alone.pooled)
    assert padded.padding.tolist() == [3 * [False] + 4 * [True], 7 * [False]]


def test_a_reading_hears_the_order_of_words() -> None:
    torch.manual_seed(0)
    reader, words = WordReader(5, width=8, queries=2), sentences(4)
    there, back = reader(words), reader(words.flip(1))
    assert (there.words - back.words.flip(1)).abs().max() > 0.01
    assert (there.pooled - back.pooled).abs().max() > 0.01


def test_cells_know_where_they_are() -> None:
    torch.manual_seed(0)
    look, reading = CrossAttention(4, 4, 8), WordReader(5, width=8, queries=2)(sentences(3))
    changed = look(torch.zeros(1, 4, 4, 4), reading)
    assert torch.unique(changed.flatten(2).round(decimals=4), dim=2).shape[2] == 16


# The model


def test_its_kl_is_from_the_learned_gaussian(model: TextConditionalVAE, x: Tensor) -> None:
    nn.init.normal_(model.prior.gaussian[-1].weight)
    words = sentences(3, 1, 2, 3)
    (mu, logvar), prior = model.encode(x, words), model.prior.moments(model.prepare(words))
    q, p = (Normal(mean, (0.5 * log).exp()) for mean, log in ((mu, logvar), prior))
    terms = elbo(model, x, words, seeded())
    torch.testing.assert_close(terms["kl"], kl_divergence(q, p).sum(1))
    z = mu + (0.5 * logvar).exp() * torch.randn(mu.shape, generator=seeded())
    expected = (p.log_prob(z) - q.log_prob(z)).sum(1) - terms["nll"]
    torch.testing.assert_close(log_weights(model, x, words, 1, seeded())[0], expected)


def test_a_step_reads_the_words_once(model: TextConditionalVAE, x: Tensor) -> None:
    read: list[int] = []
    model.condition.reader.register_forward_hook(lambda *_: read.append(1))
    elbo(model, x, sentences(3, 1, 2, 3))
    assert len(read) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (torch.zeros(4, 5), r"text vectors must be float \(4, L, 5\), got torch.float32 \(4, 5\)"),
        (torch.zeros(4, 2, 6), r"must be float \(4, L, 5\), got .* \(4, 2, 6\): use the text"),
        (torch.zeros(3, 2, 5), r"must be float \(4, L, 5\), got"),
        (torch.zeros(4, 2, 5, dtype=torch.int64), "must be float"),
        (torch.full((4, 2, 5), float("nan")), "number of a text vector"),
    ],
)
def test_wrong_words(model: TextConditionalVAE, x: Tensor, words: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.encode(x, words)


def test_an_encoders_texts_come_as_the_model_takes_them(model: TextConditionalVAE) -> None:
    class Encoder:
        def words(self, texts: list[str]) -> Tensor:
            return sentences(*map(len, texts))

        def __call__(self, texts: list[str]) -> Tensor:
            return torch.zeros(len(texts), 5)

    assert conditions(model, Encoder(), ["abc", "d"]).shape == (2, 3, 5)  # type: ignore[arg-type]
    other = TextConditionalVAE(16, 6, 5, width=4)
    assert conditions(other, Encoder(), ["abc", "d"]).shape == (2, 5)  # type: ignore[arg-type]


# The prior


def test_the_gaussian_draws_what_its_moments_say() -> None:
    torch.manual_seed(0)
    reader = WordReader(5, width=8, queries=2)
    prior, reading = TextPrior(6, reader, 5, width=16), reader(sentences(3).expand(20_000, -1, -1))
    nn.init.normal_(prior.gaussian[-1].bias)
    assert not prior.fitted
    mean, logvar = prior.moments(reading)
    z = prior.sample(20_000, reading, seeded())
    torch.testing.assert_close(z.mean(0), mean[0], atol=0.05, rtol=0)
    torch.testing.assert_close(z.var(0), logvar[0].exp(), atol=0.1, rtol=0.05)
    torch.testing.assert_close(prior.sample(20_000, reading, temperature=0), mean)
    with pytest.raises(ValueError, match="temperature must be at least 0 and finite, got -1"):
        prior.sample(20_000, reading, temperature=-1)


def test_its_gaussian_never_gets_so_narrow_that_the_kl_explodes() -> None:
    reader = WordReader(5, width=8, queries=2)
    prior = TextPrior(6, reader, 5, width=16)
    nn.init.constant_(prior.gaussian[-1].bias, -1000.0)
    assert prior.moments(reader(sentences(3)))[1].min() >= -6


def captioned(count: int, styles: int = 2) -> CaptionedSet:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)
    table = rng.normal(size=(9, 5)).astype(np.float16)
    lengths = rng.integers(1, 4, count * styles)
    words = Words(
        rng.integers(0, 9, lengths.sum()), np.append(0, lengths.cumsum()).astype(np.int64), table
    )
    starts = np.arange(count + 1, dtype=np.int64) * styles
    texts = ["a text"] * (count * styles)
    return CaptionedSet(images, words, starts, texts, styles=("plain", "long"))


def test_gradients_are_clipped(model: TextConditionalVAE) -> None:
    from cvae_lib.train import fit

    config = TrainConfig(epochs=1, batch_size=16, grad_clip=0.5)
    fit(model, captioned(16), captioned(8), config)
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(0.5, rel=1e-3)
    fit(model, captioned(16), captioned(8), replace(config, grad_clip=None))
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    assert float(norm) > 1
