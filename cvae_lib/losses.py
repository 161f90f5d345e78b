"""Likelihoods, KL divergences, ELBO and IWAE bound: pure functions, per example, in nats.

The caller averages. A term is the sum over an example's pixels or latent dimensions, taken in
float32 at least: in half precision it would be off by whole nats.
"""

import math
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cvae_lib.checks import check_images, same_shape, whole_number
from cvae_lib.distributed import overall_mean

Likelihood = Literal["bernoulli", "binarised", "gaussian", "optimal-sigma"]
LIKELIHOODS = get_args(Likelihood)
LOG_2PI = math.log(2 * math.pi)
SMALLEST_VARIANCE = 1e-6  # of a Gaussian fitted to pixels in [0, 1]
UNIT_WEIGHT_LOGVAR = math.log(0.5)  # σ² = ½: the Gaussian nll is the squared error + a constant


def bernoulli_nll(x: Tensor, logits: Tensor) -> Tensor:
    """Binary cross-entropy −log p(x | logits) of pixels x in [0, 1]: (B, …) → (B,) nats.

    For greys this is the article's loss, but the likelihood of no distribution (Loaiza-Ganem &
    Cunningham 2019). Outside [0, 1] it has no lower bound: a ValueError (on the CPU).
    """
    same_shape(x, logits, ("x", "logits"))
    x, logits = _single(check_images(x, (), "x")), _single(logits)
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def gaussian_nll(x: Tensor, mean: Tensor, logvar: Tensor | float = UNIT_WEIGHT_LOGVAR) -> Tensor:
    """−log N(x; mean, exp(logvar)): (B, …) → (B,) nats.

    ``logvar`` broadcasts to (B, …), else a ValueError.
    """
    same_shape(x, mean, ("x", "mean"))
    x, mean = _single(x), _single(mean)
    logvar = torch.as_tensor(logvar, dtype=x.dtype)
    try:
        logvar.expand(x.shape)  # copies nothing: a look whether it fits
    except RuntimeError as error:
        shapes = f"{tuple(x.shape)}, got {tuple(logvar.shape)}"
        raise ValueError(f"logvar must broadcast to {shapes}") from error
    terms = (x - mean).square() * torch.exp(-logvar) + logvar + LOG_2PI
    return 0.5 * terms.flatten(1).sum(1)


def optimal_logvar(x: Tensor, mean: Tensor) -> Tensor:
    """The log σ² that maximises a batch's Gaussian likelihood: log of the mean squared error.

    No gradient flows through it: at the optimum that of σ is zero (Rybkin et al. 2021, eq. 6).
    """
    same_shape(x, mean, ("x", "mean"))
    error = (_single(x) - _single(mean)).detach().square()
    return overall_mean(error).clamp_min(SMALLEST_VARIANCE).log()


def gaussian_kl(
    mu: Tensor,
    logvar: Tensor,
    prior_mu: Tensor | float = 0.0,
    prior_logvar: Tensor | float = 0.0,
    per_unit: bool = False,
) -> Tensor:
    """KL(N(μ, σ²) ‖ prior): (B, D) → (B,) nats, or before the sum over units (B, D).

    The prior is N(0, I) or another Gaussian, of ``prior_mu`` and ``prior_logvar``. Source: Kingma &
    Welling 2014, appendix B.

    >>> gaussian_kl(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))
    tensor([2.5000])
    """
    same_shape(mu, logvar, ("mu", "logvar"))
    distance, narrower = _single(mu) - prior_mu, _single(logvar) - prior_logvar
    precision = torch.exp(-torch.as_tensor(prior_logvar, device=mu.device))
    kl = 0.5 * (narrower.exp() + distance.square() * precision - 1 - narrower)
    return kl if per_unit else kl.sum(1)


def gaussian_log_prob(z: Tensor, mu: Tensor | float = 0.0, logvar: Tensor | float = 0.0) -> Tensor:
    """log N(z; mu, exp(logvar)), summed over the last dimension: (…, D) → (…) nats."""
    z = _single(z)
    logvar = torch.as_tensor(logvar, dtype=z.dtype)
    return -0.5 * ((z - mu).square() * torch.exp(-logvar) + logvar + LOG_2PI).sum(-1)


def reparameterize(mu: Tensor, logvar: Tensor, generator: Generator | None = None) -> Tensor:
    """Draw z = μ + σ·ε with ε ~ N(0, I): differentiable in μ and log σ², of any one shape."""
    same_shape(mu, logvar, ("mu", "logvar"))
    noise = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
    return mu + torch.exp(0.5 * logvar) * noise


def binarise(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Draw each pixel as 0 or 1 with probability ``x`` (…), in its shape: dynamic binarisation."""
    return torch.bernoulli(check_images(x, (), "x").clamp(0, 1), generator=generator)


def elbo(
    model: Any,
    x: Tensor,
    condition: Tensor | None = None,
    generator: Generator | None = None,
    beta: float | Tensor = 1.0,
) -> dict[str, Tensor]:
    """The objective of a VAE at one draw of z for each image (B, C, H, W) in [0, 1]: (B,) nats.

    "loss" = nll + β·kl, which is −ELBO for β = 1; "nll", −log p(x | z, c); "kl", of q(z | x, c)
    from the prior; while an "optimal-sigma" model trains also its pixels' mean "squared_error".
    ``condition`` has labels or text vectors, if the model takes them; for "binarised" the images
    are binarised afresh. Source: Kingma & Welling 2014, eq. 10; Sohn et al. 2015, eq. 5.
    """
    if model.likelihood == "binarised":
        x = binarise(x, generator)
    condition, prior = _given(model, condition)
    mu, logvar = model.encode(x, condition)
    logits = model.decode_logits(reparameterize(mu, logvar, generator), condition)
    nll, kl = model.nll(x, logits), gaussian_kl(mu, logvar, *prior)
    terms = {"loss": nll + beta * kl, "nll": nll, "kl": kl}
    if model.likelihood == "optimal-sigma" and model.training:
        terms["squared_error"] = (x - torch.sigmoid(logits)).square().flatten(1).mean(1).detach()
    return terms


def log_weights(
    model: Any,
    x: Tensor,
    condition: Tensor | None = None,
    samples: int = 50,
    generator: Generator | None = None,
) -> Tensor:
    """log p(x, z_k) − log q(z_k | x) for draws z_1 … z_K from q: (K, B) nats.

    The arguments are those of `elbo`; ValueError for fewer than one of ``samples``.
    """
    samples = whole_number("samples", samples, at_least=1)
    if model.likelihood == "binarised":
        x = binarise(x, generator)
    condition, prior = _given(model, condition)
    mu, logvar = model.encode(x, condition)
    rows = []
    for _ in range(samples):
        z = reparameterize(mu, logvar, generator)
        nll = model.nll(x, model.decode_logits(z, condition))
        rows.append(gaussian_log_prob(z, *prior) - gaussian_log_prob(z, mu, logvar) - nll)
    return torch.stack(rows)


def importance_weighted_bound(log_w: Tensor) -> Tensor:
    """log of the mean weight, (K, B) → (B,) nats: bounds log p(x) (Burda et al. 2016, eq. 8)."""
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


def active_units(mu: Tensor, threshold: float = 0.01) -> int:
    """Count dimensions whose mean varies, Var(μ_d) > threshold (Burda et al. 2016, section 5.2).

    ``mu`` is (N, D), N ≥ 2; else a ValueError.
    """
    mu = torch.as_tensor(mu)
    if mu.ndim != 2 or len(mu) < 2:
        raise ValueError(f"mu must be (N, D) of at least 2 examples, got {tuple(mu.shape)}")
    return int((mu.var(dim=0) > threshold).sum())


def _given(model: Any, condition: Any) -> tuple[Any, tuple[Tensor | float, Tensor | float]]:
    """The condition as encoder and decoder take it, and the prior's mean and log variance for it.

    Only a model that reads words tells both, by ``given``; else z ~ N(0, I).
    """
    given = getattr(model, "given", None)
    return given(condition) if given else (condition, (0.0, 0.0))


def _single(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
