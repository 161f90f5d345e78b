"""A prior that follows the text: fitted to posteriors, used by `sample`, kept in the weights."""

from typing import Any

import numpy as np
import pytest
import torch

from cvae_lib import latent
from cvae_lib.data import CaptionedSet
from cvae_lib.latent import fit_text_prior
from cvae_lib.models import TextConditionalVAE


def tiny_model(**options: object) -> TextConditionalVAE:
    torch.manual_seed(0)
    return TextConditionalVAE(16, 4, 6, "film", width=4, **options).eval()  # type: ignore[arg-type]


def codes(model: TextConditionalVAE, text: torch.Tensor, **options: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return model.prior.sample(len(text), model.prepare(text), generator, **options)


def captioned(count: int = 200) -> CaptionedSet:
    """Pictures of one brightness each, which the text tells, with two captions of one vector."""
    rng = np.random.default_rng(0)
    shade = rng.uniform(0, 1, count)
    images = np.broadcast_to((255 * shade)[:, None, None, None], (count, 3, 16, 16))
    vectors = rng.normal(size=(count, 6)) * 0.1
    vectors[:, 0] += 3 * shade
    vectors[:, 1] -= 3 * shade
    return CaptionedSet(
        images.astype(np.uint8),
        np.repeat(vectors.astype(np.float32), 2, axis=0),
        np.arange(count + 1, dtype=np.int64) * 2,
        ["a shade"] * (2 * count),
    )


def test_the_fitted_prior_follows_the_text_as_the_posteriors_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latent, "RIDGE", 1e-3)
    model, data = tiny_model(normalise_text=False), captioned()
    text = torch.from_numpy(data.vectors[::2])
    mu, _ = model.encode(torch.from_numpy(data.images) / 255, text)
    assert not model.prior.fitted
    fit_text_prior(model, data)
    assert model.prior.fitted
    expected = codes(model, text, temperature=0)
    left, whole = (mu - expected).square().mean(), mu.var(0).mean()
    assert left < 0.4 * whole
    assert torch.allclose(expected.mean(0), mu.mean(0), atol=1e-4)
    standard = codes(model, text, temperature=0, fitted=False)
    assert not standard.any()


def test_the_noise_has_the_covariance_of_what_the_text_leaves_open() -> None:
    model, data = tiny_model(), captioned()
    fit_text_prior(model, data)
    one = torch.from_numpy(data.vectors[:1]).repeat(20_000, 1)
    z = codes(model, one)
    scale = model.prior.scale[0, 0]
    assert torch.allclose(
        torch.cov(z.T), scale @ scale.T, atol=0.05 * float((scale @ scale.T).max())
    )


def test_width_scales_the_spread_only() -> None:
    wide, narrow, data = tiny_model(), tiny_model(), captioned()
    fit_text_prior(wide, data)
    fit_text_prior(narrow, data, width=0.5)
    assert torch.equal(wide.prior.text, narrow.prior.text)
    assert torch.allclose(wide.prior.scale, 2 * narrow.prior.scale, rtol=1e-4)


def test_one_prior_for_all_texts_replaces_one_that_follows_the_text() -> None:
    model, data = tiny_model(), captioned()
    fit_text_prior(model, data)
    model.prior.set(torch.full((1, 1, 4), 2.0), torch.eye(4)[None, None])
    z = codes(model, torch.from_numpy(data.vectors[:3]), temperature=0)
    assert torch.equal(z, torch.full((3, 4), 2.0))


def test_a_fitted_prior_may_have_no_mean() -> None:
    model = tiny_model()
    model.prior.set(torch.zeros(1, 1, 4), 2 * torch.eye(4)[None, None])
    assert model.prior.fitted


def test_wrong_priors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mean of this prior must be \(1, 2, 4\), got"):
        fit_text_prior(tiny_model(prior_components=2), captioned())
    with pytest.raises(ValueError, match="width must be finite and above 0"):
        fit_text_prior(tiny_model(), captioned(), width=0)
