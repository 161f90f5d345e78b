"""Posteriors of a whole set and the prior fitted to them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cvae_lib.data import FASHION_CLASSES, ImageSet
from cvae_lib.latent import (
    encode_set,
    fit_prior,
    interpolate,
    mixture,
)
from cvae_lib.models import VAE, ConcatConditionalVAE


def moments(mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the one Gaussian that stands for all of them."""
    means, covariances, weights = mixture(mu, logvar, 1)
    assert weights.tolist() == [1]
    return means[0], covariances[0]


@pytest.fixture
def images(tiny) -> ImageSet:
    return tiny[0]


@pytest.mark.parametrize("cls", [VAE, ConcatConditionalVAE])
def test_encode_set_is_encode_in_order(cls, images: ImageSet) -> None:
    torch.manual_seed(0)
    model = cls(8).train()
    mu, logvar = encode_set(model, images)
    expected = model.encode(images.pixels(), images.labels)
    assert model.training and not mu.requires_grad
    with pytest.raises(ValueError, match="nothing to encode: the set has no images"):
        encode_set(model, images.first(0))
    torch.testing.assert_close(mu, expected[0].detach())
    torch.testing.assert_close(logvar, expected[1].detach())


def test_moments_by_hand() -> None:
    mu = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    logvar = torch.tensor([[1.0, 4.0], [3.0, 6.0]]).log()
    mean, covariance = moments(mu, logvar)
    assert mean.tolist() == [1, 2]
    np.testing.assert_allclose(covariance, [[2 + 2, 2], [2, 2 + 5]], rtol=1e-6)


def test_fit_prior_gives_each_class_its_own_gaussian(images: ImageSet) -> None:
    torch.manual_seed(0)
    model = ConcatConditionalVAE(4)
    fit_prior(model, images)
    mu, logvar = encode_set(model, images)
    for label in range(10):
        of_class = images.labels == label
        mean, covariance = moments(mu[of_class], logvar[of_class])
        torch.testing.assert_close(model.prior.mean[label, 0], mean)
        scale = model.prior.scale[label, 0]
        torch.testing.assert_close(scale @ scale.T, covariance)
        asked = torch.full((20_000,), label)
        z = model.prior.sample(20_000, asked, torch.Generator().manual_seed(0))
        torch.testing.assert_close(z.mean(0), mean, rtol=0, atol=0.05)
        torch.testing.assert_close(torch.cov(z.T), covariance, rtol=0, atol=0.05)


def test_fit_prior_of_an_unconditional_model_pools_all_classes(images: ImageSet) -> None:
    torch.manual_seed(0)
    model = VAE(4)
    fit_prior(model, images)
    mean, covariance = moments(*encode_set(model, images))
    torch.testing.assert_close(model.prior.mean, mean[None, None])
    scale = model.prior.scale[0, 0]
    torch.testing.assert_close(scale @ scale.T, covariance)


@pytest.mark.parametrize("count", [0, 1])
def test_a_class_with_too_few_images(count: int, images: ImageSet) -> None:
    others = images.labels != 7
    ones = (~others).nonzero()[:count, 0]
    few = images.subset(torch.cat([others.nonzero()[:, 0], ones]))
    model = ConcatConditionalVAE(4)
    with pytest.raises(ValueError, match=f"at least 2 images of each class .* got {count}"):
        fit_prior(model, few)
    assert not model.prior.mean.any()


def test_width_scales_the_deviations_and_leaves_the_means(images: ImageSet) -> None:
    torch.manual_seed(0)
    model = ConcatConditionalVAE(4)
    fit_prior(model, images)
    mean, scale = model.prior.mean.clone(), model.prior.scale.clone()
    fit_prior(model, images, width=0.5)
    torch.testing.assert_close(model.prior.mean, mean)
    torch.testing.assert_close(model.prior.scale, 0.5 * scale)
    for width in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"width must be finite and above 0, got {width}"):
            fit_prior(model, images, width)


def test_equal_images_still_give_a_prior_with_the_posteriors_width() -> None:
    torch.manual_seed(0)
    blank = torch.zeros(20, 1, 28, 28, dtype=torch.uint8)
    model, data = ConcatConditionalVAE(4), ImageSet(blank, torch.arange(20) % 10, FASHION_CLASSES)
    fit_prior(model, data)
    _, logvar = encode_set(model, data)
    deviations = model.prior.scale[:, 0].diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(deviations, (0.5 * logvar[:10]).exp())


def test_a_mixture_finds_the_clusters_it_was_drawn_from() -> None:
    centres = torch.tensor([[-5.0, 0.0], [5.0, 1.0]])
    which = (torch.arange(4000) % 4 == 0).long()  # one in four from the second
    mu, logvar = centres[which], torch.full((4000, 2), 0.25).log()
    means, covariances, weights = mixture(mu, logvar, 2)
    order = means[:, 0].argsort()
    torch.testing.assert_close(means[order], centres, rtol=0, atol=0.1)
    torch.testing.assert_close(weights[order], torch.tensor([0.75, 0.25]), rtol=0, atol=0.01)
    for covariance in covariances:
        torch.testing.assert_close(covariance, 0.25 * torch.eye(2), rtol=0, atol=0.05)
    with pytest.raises(ValueError, match=r"at least 6 images of each class to fit 3 .* got 5"):
        mixture(mu[:5], logvar[:5], 3)


def test_fit_prior_fits_a_mixture_to_each_class(images: ImageSet) -> None:
    torch.manual_seed(0)
    model = ConcatConditionalVAE(4, prior_components=3)
    fit_prior(model, images)
    torch.testing.assert_close(model.prior.weight.sum(1), torch.ones(10))
    mu, logvar = encode_set(model, images)
    for label in (0, 9):
        of_class = images.labels == label
        mean, covariance = moments(mu[of_class], logvar[of_class])
        asked = torch.full((20_000,), label)
        z = model.prior.sample(20_000, asked, torch.Generator().manual_seed(0))
        # The mixture keeps the moments of the draws it was fitted to.
        torch.testing.assert_close(z.mean(0), mean, rtol=0, atol=0.6)
        torch.testing.assert_close(z.var(0), covariance.diagonal(), rtol=0.5, atol=0.1)


def test_numbers_of_numpy_do(generator: torch.Generator) -> None:
    codes = torch.randn(12, 3, generator=generator)
    walk = interpolate(codes[0], codes[1], np.int64(3))
    assert torch.equal(walk, interpolate(codes[0], codes[1], 3))


@pytest.mark.parametrize("spherical", [False, True])
def test_a_walk_ends_where_it_should_and_is_itself_backwards(
    spherical: bool, generator: torch.Generator
) -> None:
    start, end = torch.randn(2, 3, 6, generator=generator)
    walk = interpolate(start, end, 5, spherical)
    assert walk.shape == (5, 3, 6)
    torch.testing.assert_close(walk[0], start)
    torch.testing.assert_close(walk[-1], end)
    torch.testing.assert_close(walk.flip(0), interpolate(end, start, 5, spherical))


def test_a_line_has_equal_steps_and_an_arc_equal_angles() -> None:
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    line, arc = (interpolate(start, end, 3, spherical=s) for s in (False, True))
    torch.testing.assert_close(line[1], torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(arc[1], 3 * torch.tensor([0.5, 0.5]).sqrt())
    arc = interpolate(start, 2 * start, 4, spherical=True)  # of one direction: a line
    torch.testing.assert_close(arc, interpolate(start, 2 * start, 4))


def test_wrong_walks() -> None:
    z = torch.tensor([1.0, -2.0])
    with pytest.raises(ValueError, match="steps must be at least 2, got 1"):
        interpolate(z, z, 1)
    with pytest.raises(ValueError, match=r"start and end must have one shape, got \(2,\) and \(1,"):
        interpolate(z, z[:1], 3)
    with pytest.raises(ValueError, match="opposite codes"):
        interpolate(z, -z, 3, spherical=True)
