"""What the latent space holds: posterior means of a data set, and a prior fitted to them."""

from __future__ import annotations

import torch
from torch import Tensor

from cvae_lib.data.containers import ImageSet, to_unit
from cvae_lib.models import VAE


@torch.no_grad()
def encode_set(model: VAE, data: ImageSet, batch_size: int = 1000) -> tuple[Tensor, Tensor]:
    """Return μ and log σ² of every image's posterior, each (N, latent_dim), on the CPU."""
    model.eval()
    device = next(model.parameters()).device
    pairs = [
        model.encode(to_unit(images), labels)
        for images, labels in data.to(device).batches(batch_size)
    ]
    mu, logvar = (torch.cat(parts).cpu() for parts in zip(*pairs, strict=True))
    return mu, logvar


def fit_prior(model: VAE, data: ImageSet, width: float = 1.0) -> None:
    """Fit one full-covariance Gaussian per class to the posteriors of ``data``; `sample` uses it.

    The Gaussian has the mean and covariance of the class's aggregated posterior: the covariance
    of the μ plus the mean of the σ². An unconditional model gets one for all classes.

    Args:
        width: scales the standard deviations. The codes of a class are no Gaussian, so the tails
            of one fitted to them lie where no picture was ever encoded; below 1 leaves them out.

    Raises:
        ValueError: if a class has too few images to fit a covariance, or for a width ≤ 0.

    Source: Ghosh et al. 2020, section 4 (ex-post density estimation).
    """
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    mu, logvar = encode_set(model, data)
    labels = data.labels.cpu() if model.conditional else torch.zeros(len(data), dtype=torch.long)
    moments = [
        aggregated_moments(mu[labels == c], logvar[labels == c])
        for c in range(len(model.prior_mean))
    ]
    means, covariances = (torch.stack(parts) for parts in zip(*moments, strict=True))
    model.set_prior(means, width**2 * covariances)


def aggregated_moments(mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of the mixture of N(μ_n, σ_n²), n = 1 … N."""
    if len(mu) < 2:
        raise ValueError(f"need at least 2 images of each class to fit a prior, got {len(mu)}")
    mean = mu.double().mean(0)
    covariance = torch.cov(mu.double().T) + torch.diag(logvar.double().exp().mean(0))
    return mean.float(), covariance.float()
