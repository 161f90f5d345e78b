"""Measures of images and latents: per example where one picture has a score, else over a set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cvae_lib.checks import (
    check_finite,
    check_images,
    check_labels,
    evaluating,
    same_shape,
    whole_number,
)

SSIM_SIGMA = 1.5  # pixels
SSIM_WINDOW = 11  # pixels: the Gaussian is cut at 3.5 σ, as scikit-image does


class Judge(Protocol):
    """A classifier whose penultimate layer serves as features."""

    def features(self, x: Tensor) -> Tensor: ...
    def __call__(self, x: Tensor) -> Tensor: ...


def _pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x, y = check_images(x, name="x"), check_images(y, name="y")
    same_shape(x, y, ("x", "y"))
    return x, y


def sse(x: Tensor, y: Tensor) -> Tensor:
    """Sum of squared errors of each image pair: (B, C, H, W) in [0, 1] → (B,)."""
    x, y = _pair(x, y)
    return (x - y).square().flatten(1).sum(1)


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error over the pixels of each image pair: (B, C, H, W) in [0, 1] → (B,)."""
    x, y = _pair(x, y)
    return (x - y).square().flatten(1).mean(1)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB for a peak of 1: (B, C, H, W) → (B,); ∞ if equal."""
    return -10 * torch.log10(mse(x, y))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of each image pair: (B, C, H, W) in [0, 1] → (B,) in [−1, 1].

    A mean over the channels and places of a Gaussian window (11 × 11 pixels, σ = 1.5) that lies
    wholly inside: scikit-image's ``structural_similarity(gaussian_weights=True,
    use_sample_covariance=False)`` for data range 1. Source: Wang et al. 2004, eq. 13.
    """
    x, y = _pair(x, y)
    if min(x.shape[2:]) < SSIM_WINDOW:
        raise ValueError(f"images must be at least 11 × 11, got {tuple(x.shape)}")
    dtype, x, y = x.dtype, x.double(), y.double()  # E[x²] − E[x]² of dark areas cancels digits
    stacked = torch.cat([x, y, x * x, y * y, x * y])
    mean_x, mean_y, xx, yy, xy = _gaussian_blur(stacked).chunk(5)
    variance_x, variance_y = xx - mean_x**2, yy - mean_y**2
    covariance = xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).flatten(1).mean(1).to(dtype)


def _gaussian_blur(images: Tensor) -> Tensor:
    """Filter (B, C, H, W) with the SSIM window, keeping the positions it covers wholly."""
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    window = torch.exp(-0.5 * (offsets / SSIM_SIGMA).square())
    for axis in (2, 3):  # sums of shifted pictures: a convolution in float64 is far slower
        length = images.shape[axis] - SSIM_WINDOW + 1
        blurred = torch.zeros_like(images.narrow(axis, 0, length))
        for offset, weight in enumerate((window / window.sum()).tolist()):
            blurred.add_(images.narrow(axis, offset, length), alpha=weight)
        images = blurred
    return images


def thumbnail(x: Tensor, side: int) -> Tensor:
    """Shrink pictures (B, C, S, S) to side × side pixels by averaging, and enlarge them again."""
    x = check_images(x)
    side = whole_number("side", side, at_least=1, at_most=x.shape[-1])
    small = F.interpolate(x, (side, side), mode="area")
    return F.interpolate(small, x.shape[2:], mode="bilinear")


def frechet_distance(features_a: Tensor, features_b: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features (N, D), (M, D).

    ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), in float64 (Heusel et al. 2017, eq. 6). It is
    biased upwards for few samples: compare only values taken with the same N and M.
    """
    a, b = torch.as_tensor(features_a).double(), torch.as_tensor(features_b).double()
    for name, features in (("features_a", a), ("features_b", b)):
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"{name} must be (N, D) with N ≥ 2, got {tuple(features.shape)}")
        check_finite(features.cpu(), f"value of {name}")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"sets need one number of features, got {a.shape[1]} and {b.shape[1]}")
    shift = (a.mean(0) - b.mean(0)).square().sum()
    cov_a, cov_b = (torch.cov(f.T).view(2 * f.shape[1:]) for f in (a, b))  # D = 1 gives a number
    # The eigenvalues of Σ_a Σ_b are those of the symmetric Σ_a^½ Σ_b Σ_a^½, and not negative.
    values, vectors = torch.linalg.eigh(cov_a)
    root_a = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    overlap = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp_min(0).sqrt().sum()
    return float((shift + cov_a.trace() + cov_b.trace() - 2 * overlap).clamp_min(0))


@torch.no_grad()
def judge_features(judge: Judge, images: Tensor, batch_size: int = 1000) -> Tensor:
    """The judge's features of images (N, C, H, W) in [0, 1]: (N, D)."""
    return _by_batch(judge, judge.features, images, batch_size)


@torch.no_grad()
def class_agreement(judge: Judge, images: Tensor, labels: Tensor, batch_size: int = 1000) -> float:
    """The share of images (N, C, H, W) in which the judge sees the label asked for (N,)."""
    logits = _by_batch(judge, judge, images, batch_size)
    labels = check_labels(labels, logits.shape[1], len(logits)).to(logits.device)
    return float((logits.argmax(1) == labels).float().mean())


def _by_batch(
    judge: Judge, look: Callable[[Tensor], Tensor], images: Tensor, batch_size: int
) -> Tensor:
    """What the judge makes of each image, in evaluation mode whatever mode it is in."""
    batches = check_images(images).split(whole_number("batch_size", batch_size, at_least=1))
    if not len(images):
        raise ValueError("there are no images to judge")
    with evaluating(judge):
        return torch.cat([look(batch) for batch in batches])


def diversity(x: Tensor, labels: Tensor) -> float:
    """The mean squared distance (of images: `sse`) of two different examples (N, …) of one label.

    Every label counts by its share of the examples, and must have two (else ValueError). Computed
    as twice the variance, summed over dimensions.
    """
    x = torch.as_tensor(x)
    labels = check_labels(labels, None, len(x)).to(x.device)
    total = 0.0
    for label in labels.unique():
        group = x[labels == label].flatten(1).double()
        if len(group) < 2:
            raise ValueError(f"label {int(label)} has a single example: diversity needs two of it")
        total += 2 * len(group) * float(group.var(0).sum())
    return total / len(x)


def bits_per_dim(nats: float, dims: int, levels: int = 1) -> float:
    """−log p of ``nats`` over ``dims`` dimensions, in bits per dimension.

    For a density give the ``levels`` of grey in [0, 1]: each is 1 / levels wide, which adds log₂.
    """
    if dims < 1 or levels < 1:
        raise ValueError(f"dims and levels must be at least 1, got {dims} and {levels}")
    return nats / (dims * math.log(2)) + math.log2(levels)


def knn_probe(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, neighbours: int = 10
) -> float:
    """Accuracy of a k-nearest-neighbour classifier that reads the class from latents (N, D)."""
    from sklearn.neighbors import KNeighborsClassifier

    return _probe(KNeighborsClassifier(neighbours), train, train_labels, test, test_labels)


def linear_probe(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Accuracy of a logistic regression that reads the class from latents (N, D)."""
    from sklearn.linear_model import LogisticRegression

    return _probe(LogisticRegression(max_iter=1000), train, train_labels, test, test_labels)


def _probe(
    classifier: Any, train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor
) -> float:
    """Accuracy of a classifier that reads standardised latents."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler  # seconds to import: for probes alone

    known = torch.as_tensor(train).cpu(), check_labels(train_labels, None, len(train)).cpu()
    unseen = torch.as_tensor(test).cpu(), check_labels(test_labels, None, len(test)).cpu()
    return float(make_pipeline(StandardScaler(), classifier).fit(*known).score(*unseen))
