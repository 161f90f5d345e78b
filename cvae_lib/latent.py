"""What the latent space holds: codes of a data set, maps of them, walks, a prior fitted to them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cvae_lib.checks import evaluating, real_number, same_shape, whole_number
from cvae_lib.data.sets import CaptionedSet, ImageSet, to_unit
from cvae_lib.losses import reparameterize
from cvae_lib.models import BaseVAE, TextConditionalVAE


@torch.no_grad()
def encode_set(
    model: BaseVAE, data: ImageSet | CaptionedSet, batch_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return μ and log σ² of every image's posterior, each (N, latent_dim), on the CPU.

    Args:
        data: with a label for each image, or with captions, of which the first is taken.
        batch_size: images at once; None for 1000 with labels and 100, larger ones, with captions.
    """
    if not len(data):
        raise ValueError("there is nothing to encode: the set has no images")
    device = next(model.parameters()).device
    size = 1000 if isinstance(data, ImageSet) else 100
    if batch_size is not None:
        size = whole_number("batch_size", batch_size, at_least=1)
    with evaluating(model):
        pairs = [
            model.encode(to_unit(images), conditions)
            for images, conditions in data.to(device).batches(size)
        ]
    mu, logvar = (torch.cat(parts).cpu() for parts in zip(*pairs, strict=True))
    return mu, logvar


def tsne(codes: Tensor, perplexity: float = 30.0, seed: int = 0) -> Tensor:
    """Map codes (N, D) to the plane by t-SNE, started from their principal components: (N, 2).

    Raises:
        ValueError: unless 0 < perplexity < N.

    Source: van der Maaten & Hinton 2008.
    """
    if codes.ndim != 2:
        raise ValueError(f"codes must be (N, D), got {tuple(codes.shape)}")
    perplexity = real_number("perplexity", perplexity, above=0)
    if perplexity >= len(codes):
        raise ValueError(
            f"perplexity must be below the number of codes, {len(codes)}, got {perplexity}"
        )
    from sklearn.manifold import TSNE  # seconds to import: for this map alone

    method = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return torch.from_numpy(method.fit_transform(codes.detach().cpu().numpy()))


def traverse(z: Tensor, unit: int, values: Tensor | Sequence[float]) -> Tensor:
    """Copies of one code z (D,) with ``unit`` set to each of the values (S,): (S, D)."""
    values = torch.as_tensor(values).to(z)
    if z.ndim != 1 or values.ndim != 1:
        shapes = f"{tuple(z.shape)} and {tuple(values.shape)}"
        raise ValueError(f"z must be one code (D,) and values (S,), got {shapes}")
    unit = whole_number("unit", unit, at_least=0, at_most=len(z) - 1)
    copies = z.repeat(len(values), 1)
    copies[:, unit] = values
    return copies


def interpolate(start: Tensor, end: Tensor, steps: int, spherical: bool = False) -> Tensor:
    """Walk from ``start`` to ``end``, both (…, D), in equal steps: (steps, …, D), ends included.

    Args:
        spherical: turn by equal angles, the length changing evenly, where a straight line would
            pass closer to the origin than both ends do (Shoemake 1985, White 2016).

    Raises:
        ValueError: for fewer than 2 steps (its ends), codes of two shapes, or a spherical walk
            between opposite codes.
    """
    steps = whole_number("steps", steps, at_least=2)
    same_shape(start, end, ("start", "end"))
    shares = torch.linspace(0, 1, steps).to(start).view(-1, *[1] * start.ndim)
    if not spherical:
        return torch.lerp(start, end, shares)
    a, b = F.normalize(start, dim=-1), F.normalize(end, dim=-1)
    angle = 2 * torch.atan2((a - b).norm(dim=-1, keepdim=True), (a + b).norm(dim=-1, keepdim=True))
    if (angle > 3.14).any():
        raise ValueError("no arc is the shortest between opposite codes: interpolate in a line")
    toward_a, toward_b = (s * torch.sinc(s * angle / math.pi) for s in (1 - shares, shares))
    direction = F.normalize(toward_a * a + toward_b * b, dim=-1)
    lengths = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    return direction * torch.lerp(lengths[0], lengths[1], shares)


def fit_prior(
    model: BaseVAE, data: ImageSet | CaptionedSet, width: float = 1.0, seed: int = 0
) -> None:
    """Fit Gaussians with full covariances to the posteriors of each class; `sample` uses them.

    With one component a class (`prior_components` of the model) the Gaussian has the mean and
    covariance of the class's aggregated posterior: the covariance of the μ plus the mean of the
    σ². With more, a mixture is fitted by EM to one draw of z from each posterior. A model without
    labels (unconditional, or with texts) gets one fit for all images.

    Args:
        width: scales the standard deviations. The codes of a class are no Gaussians, so the tails
            of those fitted to them lie where no picture was ever encoded; below 1 leaves them out.
        seed: of the draws and of EM's start.

    Raises:
        ValueError: if a class has too few images to fit a covariance, or for a width ≤ 0.

    Source: Ghosh et al. 2020, section 4 (ex-post density estimation).
    """
    width = real_number("width", width, above=0)
    mu, logvar = encode_set(model, data)
    classes, components = model.prior.weight.shape
    labels = torch.zeros(len(data), dtype=torch.long)
    if classes > 1 and isinstance(data, ImageSet):
        labels = data.labels.cpu()
    fits = []
    for label in range(classes):
        of_class = mu[labels == label], logvar[labels == label]
        if components == 1:
            mean, covariance = aggregated_moments(*of_class)
            fits.append((mean[None], covariance[None], torch.ones(1)))
        else:
            fits.append(mixture(*of_class, components, seed))
    means, covariances, weights = (torch.stack(parts) for parts in zip(*fits, strict=True))
    model.prior.set(means, width**2 * covariances, weights)


@torch.no_grad()
def fit_text_prior(
    model: TextConditionalVAE,
    data: CaptionedSet,
    width: float = 1.0,
    ridge: float = 10.0,
    seed: int = 0,
) -> None:
    """Fit z ~ N(A·text + b, Σ) to the posteriors of captioned images; `sample` uses it.

    A and b are the ridge regression of the μ on the text vectors, with one caption of each image
    drawn at random; Σ is the covariance of what is left plus the mean of the σ².

    Args:
        width: scales the standard deviations, as in `fit_prior`.
        ridge: weight of the squares of A.
    """
    width = real_number("width", width, above=0)
    order = torch.arange(len(data)).split(100)
    device = next(model.parameters()).device
    parts = []
    with evaluating(model):
        for images, vectors in data.to(device).take(order, (seed,)):
            texts = model.prepare(vectors)
            parts.append((*model.encode(to_unit(images), vectors), texts))
    mu, logvar, text = (torch.cat(part).double().cpu() for part in zip(*parts, strict=True))
    mean, centre = mu.mean(0), text.mean(0)
    x, y = text - centre, mu - mean
    gram = x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(gram, x.T @ y).T
    left = y - x @ weight.T
    covariance = left.T @ left / len(left) + torch.diag(logvar.exp().mean(0))
    model.prior.set(
        (mean - weight @ centre).float()[None],
        (width**2 * covariance).float()[None],
        text=weight.float(),
    )


def mixture(
    mu: Tensor, logvar: Tensor, components: int, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Means (K, D), covariances (K, D, D) and weights (K,) of K Gaussians fitted by EM.

    Fitted to one draw from each N(μ_n, σ_n²), with 10⁻³ added to the variances.
    """
    if len(mu) < 2 * components:
        raise ValueError(
            f"need at least {2 * components} images of each class to fit {components} Gaussians, "
            f"got {len(mu)}"
        )
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture  # seconds to import: for this fit alone

    z = reparameterize(mu, logvar, torch.Generator().manual_seed(seed))
    fitted = GaussianMixture(
        components, reg_covar=1e-3, max_iter=30, init_params="k-means++", random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 30 rounds are enough to sample
        fitted.fit(z.numpy())
    parts = fitted.means_, fitted.covariances_, fitted.weights_
    means, covariances, weights = (torch.from_numpy(part).float() for part in parts)
    return means, covariances, weights


def aggregated_moments(mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of the mixture of N(μ_n, σ_n²), n = 1 … N."""
    if len(mu) < 2:
        raise ValueError(f"need at least 2 images of each class to fit a prior, got {len(mu)}")
    mean = mu.double().mean(0)
    covariance = torch.cov(mu.double().T) + torch.diag(logvar.double().exp().mean(0))
    return mean.float(), covariance.float()
