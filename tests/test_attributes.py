"""Attributes of pictures, and the prior that is conditioned on them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from cvae_lib.models import ConcatConditionalVAE
from cvae_lib.models.attributes import attributes, directions, regress
from cvae_lib.models.prior import Prior
from cvae_lib.pretrained import load_pretrained


def box(width: int, height: int, grey: float) -> Tensor:
    image = torch.zeros(1, 1, 28, 28)
    image[:, :, 3 : 3 + height, 5 : 5 + width] = grey
    return image


def test_a_box_has_its_grey_and_its_sides() -> None:
    boxes = torch.cat([box(4, 12, 0.5), box(12, 4, 1.0), box(9, 9, 0.2), torch.zeros(1, 1, 28, 28)])
    measured = attributes(boxes)
    expected = {
        "brightness": [0.5, 1, 0.2, 0],
        "width": [-math.log(3), math.log(3), 0, 0],
        "shading": [0, 1, 0.2, 0],
    }
    for name, values in expected.items():
        torch.testing.assert_close(measured[name], torch.tensor(values), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"images must be float \(B, 1, H, W\)"):
        attributes(torch.zeros(1, 3, 28, 28))


def mixed() -> Prior:
    """Two classes of two Gaussians in the plane."""
    prior = Prior(2, 2, 2)
    mean = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[-1.0, 0.0], [2.0, 1.0]]])
    covariance = torch.tensor([[1.0, 0.6], [0.6, 2.0]]).expand(2, 2, 2, 2)
    prior.set(mean, covariance, torch.tensor([[0.5, 0.5], [0.7, 0.3]]))
    return prior


def test_the_conditioned_mixture_is_bayes_rule() -> None:
    prior, weight = mixed(), torch.tensor([[1.0, -0.5]]).double()
    value, noise = torch.tensor([1.2]).double(), torch.tensor([[0.3]]).double()
    given = prior.given(1, weight, value, noise)

    def density(mixture: Prior, label: int, z: Tensor) -> Tensor:
        parts = MultivariateNormal(mixture.mean[label], scale_tril=mixture.scale[label])
        return (mixture.weight[label] * parts.log_prob(z[:, None]).exp()).sum(1)

    z = torch.tensor([[0.0, 0.0], [1.0, -1.0], [2.0, 1.0], [-1.0, 0.5]])
    likelihood = torch.exp(-((value - z.double() @ weight[0]) ** 2) / 0.6)
    ratio = density(prior, 1, z) * likelihood / density(given, 0, z)
    torch.testing.assert_close(ratio, ratio[:1].expand(4), atol=0, rtol=1e-4)


def test_two_conditions_without_noise_leave_a_point() -> None:
    weight, value = torch.eye(2).double(), torch.tensor([0.5, -1.0]).double()
    given = mixed().given(0, weight, value, 1e-9 * torch.eye(2).double())
    z = given.sample(50, None, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z, value.float().expand(50, 2), atol=1e-3, rtol=0)


@pytest.mark.parametrize("shares", [{"brightness": 0.1}, {"brightness": 0.9, "width": 0.1}])
def test_pictures_measure_as_asked(shares: dict[str, float]) -> None:
    model = load_pretrained("fashion-concat-sigma")
    usual = attributes(model.sample(torch.full((400,), 8), torch.Generator().manual_seed(1)))
    drawn = attributes(model.sample_given(8, shares, 100, torch.Generator().manual_seed(2)))
    for name, share in shares.items():
        low = drawn[name] < usual[name].median()
        assert (low if share < 0.5 else ~low).float().mean() > 0.9, name


def test_a_step_along_a_direction_changes_its_attribute() -> None:
    model, names = load_pretrained("fashion-concat-sigma"), ("width", "shading")
    ways = directions(model, 3, fit := regress(model, 3, names))
    spread = torch.stack([fit.measured[name].std() for name in names])
    told = (ways * fit.weight).sum(1)  # by how much the prediction grows
    assert (told < 1.02 * spread).all() and (told > 0.7 * spread).all()
    labels = torch.full((200,), 3)
    z = model.prior.sample(200, labels, torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = attributes(model.decode(z, labels))
        for name, way in zip(names, ways.float(), strict=True):
            after = attributes(model.decode(z + way, labels))[name]
            assert (after > before[name]).float().mean() > 0.95, name


def test_a_prior_that_was_not_fitted_is_conditioned_too() -> None:
    torch.manual_seed(0)
    model = ConcatConditionalVAE(4).eval()
    assert model.sample_given(3, {"brightness": 0.2}, 5).shape == (5, 1, 28, 28)
    with pytest.raises(ValueError, match="label 10 is out of range"):
        model.sample_given(10, {"brightness": 0.2}, 1)
    with pytest.raises(KeyError, match="smell"):
        model.sample_given(1, {"smell": 0.2}, 1)
