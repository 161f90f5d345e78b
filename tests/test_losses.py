"""Likelihoods, KL and bounds against torch.distributions and a model whose log p(x) is known."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from cvae_lib import losses
from cvae_lib.models import VAE, ConcatConditionalVAE


def doubles(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class LinearGaussianModel:
    """z ~ N(0, I), x | z ~ N(Wz + b, ½ I): log p(x) is known; q is a poor Gaussian on purpose.

    Images are (B, 1, 1, 4), z has two dimensions. The exact posterior is N(mean, cov), and the
    encoder's is shifted from its mean and twice as wide.
    """

    likelihood = "gaussian"
    weight = torch.tensor([[1.0, 0.5], [-0.5, 1.0], [0.8, 0.0], [0.0, -1.2]], dtype=torch.float64)
    bias = torch.tensor([0.1, -0.2, 0.3, 0.0], dtype=torch.float64)
    variance = 0.5
    shift, widening = 0.3, 4

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        identity = torch.eye(self.weight.shape[1]).double()
        covariance = (identity + self.weight.T @ self.weight / self.variance).inverse()
        mean = (x.flatten(1) - self.bias) @ self.weight @ covariance / self.variance
        return mean + self.shift, (self.widening * covariance.diagonal()).log().expand_as(mean)

    def decode_logits(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return (z @ self.weight.T + self.bias).view(-1, 1, 1, 4)

    def nll(self, x: Tensor, logits: Tensor) -> Tensor:
        return losses.gaussian_nll(x, logits, math.log(self.variance))

    def log_likelihood(self, x: Tensor) -> Tensor:
        covariance = self.weight @ self.weight.T + self.variance * torch.eye(4).double()
        return MultivariateNormal(self.bias, covariance).log_prob(x.flatten(1))


class ExactModel(LinearGaussianModel):
    """The same with one latent dimension and the true posterior: the bound is tight."""

    weight = torch.tensor([[1.0], [-0.5], [0.8], [0.2]], dtype=torch.float64)
    shift, widening = 0, 1


# Likelihoods


def test_bernoulli_nll_is_that_of_torch() -> None:
    logits = 3 * doubles(5, 1, 4, 4)
    x = (doubles(5, 1, 4, 4, seed=1) > 0).double()
    expected = -Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(losses.bernoulli_nll(x, logits), expected)
    p, grey = logits.sigmoid(), doubles(5, 1, 4, 4, seed=1).sigmoid()
    expected = -(grey * p.log() + (1 - grey) * (1 - p).log()).sum((1, 2, 3))
    torch.testing.assert_close(losses.bernoulli_nll(grey, logits), expected)
    huge = torch.tensor([[1e4, -1e4]])
    assert losses.bernoulli_nll(torch.zeros(1, 2), huge).tolist() == [1e4]  # finite


def test_gaussian_nll_is_that_of_torch() -> None:
    x, mean, logvar = (doubles(5, 1, 4, 4, seed=seed) for seed in range(3))
    expected = -Normal(mean, (0.5 * logvar).exp()).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(losses.gaussian_nll(x, mean, logvar), expected)
    sse = (x - mean).square().sum((1, 2, 3))  # and a constant, for the default
    torch.testing.assert_close(losses.gaussian_nll(x, mean), sse + 8 * math.log(math.pi))


def test_optimal_logvar_is_the_minimum() -> None:
    x, mean = doubles(6, 1, 4, 4), doubles(6, 1, 4, 4, seed=1)
    best = losses.optimal_logvar(x, mean)

    def nll_at(shift: float) -> float:
        return float(losses.gaussian_nll(x, mean, best + shift).mean())

    assert all(nll_at(0) < nll_at(shift) for shift in (-1.0, -0.01, 0.01, 1.0))
    free = best.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(losses.gaussian_nll(x, mean, free).mean(), free)
    assert abs(float(gradient)) < 1e-12
    assert losses.optimal_logvar(x, x).item() == pytest.approx(math.log(1e-6))  # finite
    mean.requires_grad_()  # detached, it leaves the gradient by the mean
    logvar, attached = losses.optimal_logvar(x, mean), (x - mean).square().mean().log()
    assert not logvar.requires_grad
    gradients = [
        torch.autograd.grad(losses.gaussian_nll(x, mean, value).mean(), mean)[0]
        for value in (logvar, attached)
    ]
    torch.testing.assert_close(*gradients)


# KL divergence


def test_gaussian_kl_is_that_of_torch() -> None:
    mu, logvar = doubles(7, 3), doubles(7, 3, seed=1)
    standard = Normal(torch.zeros(3).double(), 1.0)
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), standard)
    torch.testing.assert_close(losses.gaussian_kl(mu, logvar, per_unit=True), expected)
    torch.testing.assert_close(losses.gaussian_kl(mu, logvar), expected.sum(1))


def test_closed_kl_lies_within_the_error_of_monte_carlo(generator: torch.Generator) -> None:
    mu, logvar = (doubles(4, 3, seed=seed).expand(4000, 4, 3) for seed in (0, 1))
    z = losses.reparameterize(mu, logvar, generator)
    draws = losses.gaussian_log_prob(z, mu, logvar) - losses.gaussian_log_prob(z)
    error = draws.std(0) / math.sqrt(len(draws))
    distance = (draws.mean(0) - losses.gaussian_kl(mu[0], logvar[0])).abs() / error
    assert (distance < 4).all() and (draws.std(0) > 0.1).all()


def test_gaussian_log_prob_is_that_of_torch() -> None:
    z, mu, logvar = (doubles(2, 5, 3, seed=seed) for seed in range(3))
    expected = Normal(mu, (0.5 * logvar).exp()).log_prob(z).sum(-1)
    torch.testing.assert_close(losses.gaussian_log_prob(z, mu, logvar), expected)
    standard = Normal(torch.zeros(()).double(), 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(losses.gaussian_log_prob(z), standard)


@pytest.mark.parametrize(
    "function",
    [
        losses.gaussian_kl,
        partial(losses.gaussian_nll, torch.zeros(3, 2).double()),
        lambda mu, logvar: losses.reparameterize(mu, logvar, torch.Generator().manual_seed(0)),
        lambda mu, logvar: losses.gaussian_log_prob(torch.ones(2).double(), mu, logvar),
    ],
    ids=["kl", "nll", "reparameterize", "log_prob"],
)
def test_gradcheck(function) -> None:
    mu, logvar = doubles(3, 2).requires_grad_(), doubles(3, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(function, (mu, logvar))


# The reparameterization trick


def test_reparameterize_has_the_moments_and_obeys_its_generator(generator) -> None:
    mu, logvar = torch.tensor([1.0, -2.0]), torch.tensor([0.0, math.log(4.0)])
    codes = mu.expand(100_000, 2), logvar.expand(100_000, 2)
    z = losses.reparameterize(*codes, generator)
    torch.testing.assert_close(z.mean(0), mu, rtol=0, atol=0.03)
    torch.testing.assert_close(z.var(0), logvar.exp(), rtol=0.02, atol=0)
    assert not torch.equal(z, losses.reparameterize(*codes, generator))
    assert torch.equal(z, losses.reparameterize(*codes, generator.manual_seed(0)))


def test_binarise_draws_zeros_and_ones_with_the_pixels_chance(generator: torch.Generator) -> None:
    x = torch.tensor([0.0, 0.25, 1.0]).expand(20_000, 3)
    drawn = losses.binarise(x, generator)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(0), x[0], rtol=0, atol=0.02)
    assert losses.binarise(x + 5e-5, generator).max() == 1  # a resize rounds


# Bounds


@pytest.mark.parametrize("likelihood", losses.LIKELIHOODS)
def test_the_reconstruction_term_alone_trains_the_encoder(likelihood) -> None:
    torch.manual_seed(0)
    model = ConcatConditionalVAE(8, likelihood)
    losses.elbo(model, torch.rand(4, 1, 28, 28), torch.arange(4))["nll"].mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_elbo_has_the_closed_kl_and_adds_up(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    model, x = VAE(8), torch.rand(4, 1, 28, 28)
    terms = losses.elbo(model, x, generator=generator, beta=0.3)
    mu, logvar = model.encode(x)
    torch.testing.assert_close(terms["kl"], losses.gaussian_kl(mu, logvar))
    torch.testing.assert_close(terms["loss"], terms["nll"] + 0.3 * terms["kl"])
    image = model.decode(losses.reparameterize(mu, logvar, generator.manual_seed(0)))
    cross_entropy = -(x * image.log() + (1 - x) * (1 - image).log()).sum((1, 2, 3))
    torch.testing.assert_close(terms["nll"], cross_entropy)


def test_the_squared_error_is_told_while_a_sigma_is_trained(generator: torch.Generator) -> None:
    model, x = VAE(8, "optimal-sigma"), torch.rand(4, 1, 28, 28)
    error = losses.elbo(model, x, generator=generator)["squared_error"]
    z = losses.reparameterize(*model.encode(x), generator.manual_seed(0))
    torch.testing.assert_close(error, (x - model.decode(z)).square().mean((1, 2, 3)).detach())
    for other in (model.eval(), VAE(8, "gaussian")):
        assert set(losses.elbo(other, x)) == {"loss", "nll", "kl"}


def test_elbo_of_the_true_posterior_is_the_log_likelihood(generator: torch.Generator) -> None:
    model, x = ExactModel(), doubles(3, 1, 1, 4)
    log_w = losses.log_weights(model, x, samples=5, generator=generator)
    torch.testing.assert_close(log_w, model.log_likelihood(x).expand(5, 3))  # no spread at all


def test_bounds_rise_to_the_log_likelihood_when_q_is_wrong(generator: torch.Generator) -> None:
    model, x = LinearGaussianModel(), doubles(3, 1, 1, 4)
    truth = model.log_likelihood(x)
    many = x.repeat(4000, 1, 1, 1)
    elbo = -losses.elbo(model, many, generator=generator)["loss"].view(4000, 3).mean(0)
    log_w = losses.log_weights(model, many, samples=5, generator=generator)
    iwae_5 = losses.importance_weighted_bound(log_w).view(4000, 3).mean(0)
    log_w = losses.log_weights(model, many[:300], samples=500, generator=generator)
    iwae_500 = losses.importance_weighted_bound(log_w).view(100, 3).mean(0)
    assert (elbo + 0.3 < iwae_5).all()
    assert (iwae_5 + 0.05 < iwae_500).all()
    assert (iwae_500 <= truth + 0.01).all()
    torch.testing.assert_close(iwae_500, truth, rtol=0, atol=0.02)


def test_one_importance_sample_is_a_draw_of_the_elbo(generator: torch.Generator) -> None:
    model, x = LinearGaussianModel(), doubles(1, 1, 1, 4).expand(40_000, 1, 1, 4)
    log_w = losses.log_weights(model, x, samples=1, generator=generator)
    one = losses.importance_weighted_bound(log_w)
    torch.testing.assert_close(one, log_w[0])
    elbo = -losses.elbo(model, x, generator=generator)["loss"]
    error = math.hypot(one.std() / 200, elbo.std() / 200)
    assert abs(float(one.mean() - elbo.mean())) < 4 * error
    tiny = losses.importance_weighted_bound(torch.tensor([[-5000.0], [-5001.0]]))
    assert tiny.item() == pytest.approx(-5000 + math.log((1 + math.exp(-1)) / 2))


class Recorder(LinearGaussianModel):
    """Binarised likelihood; remembers the images its `nll` was asked about."""

    likelihood = "binarised"

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def nll(self, x: Tensor, logits: Tensor) -> Tensor:
        self.seen.append(x)
        return losses.bernoulli_nll(x, logits)


@pytest.mark.parametrize("bound", [losses.elbo, partial(losses.log_weights, samples=3)])
def test_a_binarised_likelihood_sees_zeros_and_ones(bound) -> None:
    model, x = Recorder(), torch.full((50, 1, 1, 4), 0.5, dtype=torch.float64)
    bound(model, x, generator=torch.Generator().manual_seed(0))
    first = model.seen[0]
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert all(torch.equal(first, x) for x in model.seen)  # one picture for all K samples
    bound(model, x)
    assert not torch.equal(first, model.seen[-1])  # binarised afresh


def test_log_weights_pass_the_condition_on() -> None:
    torch.manual_seed(0)
    model, x = ConcatConditionalVAE(8), torch.rand(2, 1, 28, 28)
    weights = [
        losses.log_weights(model, x, label, 3, torch.Generator().manual_seed(0))
        for label in (torch.tensor([0, 1]), torch.tensor([0, 2]))
    ]
    assert weights[0].shape == (3, 2)
    assert torch.equal(weights[0][:, 0], weights[1][:, 0])
    assert not torch.equal(weights[0][:, 1], weights[1][:, 1])


# Small helpers


def test_active_units_count_dimensions_that_vary(generator: torch.Generator) -> None:
    mu = torch.randn(500, 5, generator=generator) * torch.tensor([1.0, 0.5, 0.2, 0.05, 0.0])
    assert losses.active_units(mu) == 3  # variances 1, 0.25, 0.04 | 0.0025, 0
    assert losses.active_units(mu + 7) == 3
    assert losses.active_units(mu, threshold=0.1) == 2
    with pytest.raises(ValueError, match=r"at least 2 examples, got \(1, 5\)"):
        losses.active_units(mu[:1])


# What may be handed in


@pytest.mark.parametrize("shape", [(8,), (1, 8), (8, 2)])
def test_what_is_compared_does_not_broadcast(shape: tuple[int, ...]) -> None:
    x, other = doubles(8, 1).sigmoid(), doubles(*shape)
    for loss in (losses.bernoulli_nll, losses.gaussian_nll, losses.optimal_logvar):
        with pytest.raises(ValueError, match=r"must have one shape, got \(8, 1\) and \("):
            loss(x, other)
    with pytest.raises(ValueError, match="mu and logvar must have one shape"):
        losses.gaussian_kl(x, other)


def test_a_variance_broadcasts_to_the_data_and_not_beyond() -> None:
    x, mean = doubles(8, 1), doubles(8, 1, seed=1)
    assert losses.gaussian_nll(x, mean, doubles(1)).shape == (8,)
    for shape in ((8,), (3,), (2, 1), (1, 8, 1)):
        with pytest.raises(
            ValueError, match=rf"logvar must broadcast to \(8, 1\), got \({shape[0]},"
        ):
            losses.gaussian_nll(x, mean, doubles(*shape))
    with pytest.raises(ValueError, match="mu and logvar must have one shape"):
        losses.reparameterize(mean, doubles(8))


def test_pixels_outside_the_unit_interval_have_no_cross_entropy() -> None:
    x, logits = torch.rand(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"x must be float \(B, …\) in .*: \(x \+ 1\) / 2 brings"):
        losses.bernoulli_nll(2 * x - 1, logits)
    with pytest.raises(ValueError, match=r"got torch.uint8 .*: use to_unit\(images\)"):
        losses.bernoulli_nll((255 * x).byte(), logits)
    with pytest.raises(ValueError, match=r"got torch.float32 .*: divide by 255"):
        losses.binarise(255 * x)


@pytest.mark.parametrize("loss", [losses.bernoulli_nll, losses.gaussian_nll])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("both", [True, False])
def test_half_precision_is_summed_in_single(loss, dtype: torch.dtype, both: bool) -> None:
    x, mean = torch.rand(4, 1, 28, 28).to(dtype), torch.randn(4, 1, 28, 28)
    mean = mean.to(dtype) if both else mean
    nll = loss(x, mean)
    assert nll.dtype == torch.float32
    assert torch.equal(nll, loss(x.float(), mean.float()))
    mu, logvar = torch.randn(2, 4, 300).to(dtype)
    for term in (losses.gaussian_kl, losses.gaussian_log_prob):
        assert torch.equal(term(mu, logvar), term(mu.float(), logvar.float()))


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="at least 1, got -2"):
        losses.log_weights(LinearGaussianModel(), doubles(2, 1, 1, 4), samples=-2)
