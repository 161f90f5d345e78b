"""Likelihoods, KL divergences, ELBO and IWAE bound: pure functions, per example, in nats.

The caller averages. A term is the sum over an example's pixels or latent dimensions, taken in
float32 at least: in half precision it would be off by whole nats.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cvae_lib.checks import check_unit, same_shape, whole_number
from cvae_lib.distributed import overall_mean

LIKELIHOODS = ("bernoulli", "binarised", "gaussian", "optimal-sigma")
LOG_2PI = math.log(2 * math.pi)
SMALLEST_VARIANCE = 1e-6  # of a Gaussian fitted to pixels in [0, 1]
UNIT_WEIGHT_LOGVAR = math.log(0.5)  # σ² = ½: the Gaussian nll is the squared error + a constant


def bernoulli_nll(x: Tensor, logits: Tensor) -> Tensor:
    """Binary cross-entropy −log p(x | logits) of pixels x in [0, 1]: (B, …) → (B,) nats.

    For greys this is the article's loss, but the likelihood of no distribution (Loaiza-Ganem &
    Cunningham 2019). Outside [0, 1] it has no lower bound: a ValueError (on the CPU).
    """
    same_shape(x, logits, ("x", "logits"))
    check_unit(x, "x")
    x, logits = _single(x), _single(logits)
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def gaussian_nll(x: Tensor, mean: Tensor, logvar: Tensor | float = UNIT_WEIGHT_LOGVAR) -> Tensor:
    """−log N(x; mean, exp(logvar)): (B, …) → (B,) nats; ``logvar`` broadcasts to (B, …)."""
    same_shape(x, mean, ("x", "mean"))
    x, mean = _single(x), _single(mean)
    logvar = _fitting("logvar", logvar, x)
    terms = (x - mean).square() * _exp(-logvar) + logvar + LOG_2PI
    return 0.5 * terms.flatten(1).sum(1)


def optimal_logvar(x: Tensor, mean: Tensor) -> Tensor:
    """The log σ² that maximises a batch's Gaussian likelihood: log of the mean squared error.

    No gradient flows through it: at the optimum that of σ is zero (Rybkin et al. 2021, eq. 6).
    """
    same_shape(x, mean, ("x", "mean"))
    error = (_single(x) - _single(mean)).detach().square()
    return overall_mean(error).clamp_min(SMALLEST_VARIANCE).log()


def gaussian_kl(
    mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor | float = 0.0, logvar_p: Tensor | float = 0.0
) -> Tensor:
    """KL(N(mu_q, exp(logvar_q)) ‖ N(mu_p, exp(logvar_p))), both diagonal: (B, D) → (B,) nats.

    ``mu_p`` and ``logvar_p`` broadcast to (B, D). Source: Kingma & Welling 2014, appendix B.
    """
    return gaussian_kl_per_unit(mu_q, logvar_q, mu_p, logvar_p).sum(1)


def gaussian_kl_per_unit(
    mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor | float = 0.0, logvar_p: Tensor | float = 0.0
) -> Tensor:
    """The KL divergence of `gaussian_kl` before its sum: (B, D) nats."""
    same_shape(mu_q, logvar_q, ("mu_q", "logvar_q"))
    mu_q, logvar_q = _single(mu_q), _single(logvar_q)
    mu_p, logvar_p = _fitting("mu_p", mu_p, mu_q), _fitting("logvar_p", logvar_p, mu_q)
    ratio = torch.exp(logvar_q - logvar_p)
    shift = (mu_q - mu_p).square() * _exp(-logvar_p)
    return 0.5 * (ratio + shift - 1 - logvar_q + logvar_p)


def gaussian_log_prob(z: Tensor, mu: Tensor | float = 0.0, logvar: Tensor | float = 0.0) -> Tensor:
    """log N(z; mu, exp(logvar)), summed over the last dimension: (…, D) → (…) nats."""
    return -0.5 * ((_single(z) - mu).square() * _exp(-logvar) + logvar + LOG_2PI).sum(-1)


def gaussian_kl_monte_carlo(
    mu_q: Tensor, logvar_q: Tensor, samples: int = 1, generator: Generator | None = None
) -> Tensor:
    """Estimate KL(q ‖ N(0, I)) as the mean of log q(z) − log p(z) over draws z ~ q: (B,) nats."""
    samples = whole_number("samples", samples, at_least=1)
    shape = samples, *mu_q.shape
    z = reparameterize(mu_q.expand(shape), logvar_q.expand(shape), generator)
    return (gaussian_log_prob(z, mu_q, logvar_q) - gaussian_log_prob(z)).mean(0)


def reparameterize(mu: Tensor, logvar: Tensor, generator: Generator | None = None) -> Tensor:
    """Draw z = μ + σ·ε with ε ~ N(0, I): differentiable in μ and log σ², of any one shape."""
    sigma = _exp(0.5 * _fitting("logvar", logvar, mu))
    noise = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
    return mu + sigma * noise


def binarise(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Draw each pixel as 0 or 1 with probability ``x``: one draw of dynamic binarisation."""
    return torch.bernoulli(check_unit(x, "x").clamp(0, 1), generator=generator)


class Elbo(NamedTuple):
    """The two terms of the bound for each example, in nats: −ELBO = ``nll`` + ``kl``."""

    nll: Tensor  # (B,) reconstruction term, −log p(x | z, c) at one draw of z
    kl: Tensor  # (B,) KL(q(z | x, c) ‖ N(0, I))
    logits: Tensor  # (B, C, H, W) the decoder's output at that draw

    @property
    def loss(self) -> Tensor:
        """−ELBO (B,) in nats."""
        return self.nll + self.kl


class Model(Protocol):
    """What the bounds ask of a model, such as those of `cvae_lib.models`."""

    likelihood: str

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]: ...
    def decode_logits(self, z: Tensor, condition: Tensor | None = None) -> Tensor: ...
    def nll(self, x: Tensor, logits: Tensor) -> Tensor: ...


def elbo(
    model: Model, x: Tensor, condition: Tensor | None = None, generator: Generator | None = None
) -> Elbo:
    """Both terms of the ELBO at one draw of z for each image (B, C, H, W) in [0, 1].

    Each is binarised afresh if the likelihood is "binarised"; its condition is a label or a text
    vector. Source: Kingma & Welling 2014, eq. 10; Sohn et al. 2015, eq. 5 with prior N(0, I).
    """
    if model.likelihood == "binarised":
        x = binarise(x, generator)
    mu, logvar = model.encode(x, condition)
    logits = model.decode_logits(reparameterize(mu, logvar, generator), condition)
    return Elbo(model.nll(x, logits), gaussian_kl(mu, logvar), logits)


def log_weights(
    model: Model,
    x: Tensor,
    condition: Tensor | None = None,
    samples: int = 50,
    generator: Generator | None = None,
) -> Tensor:
    """log p(x, z_k) − log q(z_k | x) for draws z_1 … z_K from q: (K, B) nats."""
    samples = whole_number("samples", samples, at_least=1)
    if model.likelihood == "binarised":
        x = binarise(x, generator)
    mu, logvar = model.encode(x, condition)
    rows = []
    for _ in range(samples):
        z = reparameterize(mu, logvar, generator)
        nll = model.nll(x, model.decode_logits(z, condition))
        rows.append(gaussian_log_prob(z) - gaussian_log_prob(z, mu, logvar) - nll)
    return torch.stack(rows)


def importance_weighted_bound(log_w: Tensor) -> Tensor:
    """log of the mean weight, (K, B) → (B,) nats: bounds log p(x) (Burda et al. 2016, eq. 8)."""
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


def active_units(mu: Tensor, threshold: float = 0.01) -> int:
    """Count dimensions whose mean varies, Var(μ_d) > threshold (Burda et al. 2016, section 5.2)."""
    mu = torch.as_tensor(mu)
    if mu.ndim != 2 or len(mu) < 2:
        raise ValueError(f"mu must be (N, D) of at least 2 examples, got {tuple(mu.shape)}")
    return int((mu.var(dim=0) > threshold).sum())


def _exp(value: Tensor | float) -> Tensor | float:
    return value.exp() if isinstance(value, Tensor) else math.exp(value)


def _single(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _fitting(name: str, value: Tensor | float, x: Tensor) -> Tensor | float:
    """``value`` in the type of ``x``, to whose shape it must broadcast, and not beyond it."""
    if not isinstance(value, Tensor):
        return value
    if torch.broadcast_shapes(value.shape, x.shape) != x.shape:
        raise ValueError(f"{name} must broadcast to {tuple(x.shape)}, got {tuple(value.shape)}")
    return value.to(x)
