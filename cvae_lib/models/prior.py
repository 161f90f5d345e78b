"""The prior that z is drawn from: N(0, I), or Gaussians fitted to the codes after training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Prior(nn.Module):
    """A mixture of Gaussians for each class; of a text, one Gaussian whose mean follows it.

    It is N(0, I) until it is `set`. Its numbers are buffers: kept with the weights, not trained.

    Args:
        latent_dim: size of z.
        classes: 1 for all images together.
        components: Gaussians a class.
        text_dim: size of the text vectors; 0 for none.

    Source: Ghosh et al. 2020, section 4 (ex-post density estimation).
    """

    weight: Tensor  # (classes, components)
    mean: Tensor  # (classes, components, latent_dim)
    scale: Tensor  # (classes, components, latent_dim, latent_dim): covariance = scale · scaleᵀ
    text: Tensor | None  # (latent_dim, text_dim): what a text adds to the mean

    def __init__(self, latent_dim: int, classes: int, components: int, text_dim: int = 0) -> None:
        super().__init__()
        shape = (classes, components)
        self.register_buffer("weight", torch.full(shape, 1 / components))
        self.register_buffer("mean", torch.zeros(*shape, latent_dim))
        self.register_buffer("scale", torch.eye(latent_dim).repeat(*shape, 1, 1))
        self.register_buffer("text", torch.zeros(latent_dim, text_dim) if text_dim else None)

    @property
    def fitted(self) -> bool:
        """Whether it is another one than N(0, I)."""
        identity = torch.eye(self.mean.shape[2]).to(self.scale)
        return bool(self.mean.any() or (self.scale != identity).any())

    def sample(
        self,
        count: int,
        condition: Tensor | None,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        fitted: bool = True,
    ) -> Tensor:
        """Draw z (count, latent_dim) for labels (count,), texts (count, text_dim), or None.

        Args:
            temperature: scales the noise around the means, ≥ 0.
            fitted: False draws from N(0, I).
        """
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature must be at least 0 and finite, got {temperature}")
        classes, components, dim = self.mean.shape
        noise = torch.randn(
            count, dim, generator=generator, device=self.mean.device, dtype=self.mean.dtype
        )
        noise = temperature * noise
        if not fitted:
            return noise
        which = torch.zeros(count, dtype=torch.long, device=noise.device)
        if classes > 1 and condition is not None:
            which = condition
        place = which * components
        if components > 1:
            place = place + torch.multinomial(self.weight[which], 1, generator=generator)[:, 0]
        scaled = torch.empty_like(noise)
        for index in place.unique():
            rows = place == index
            scaled[rows] = noise[rows] @ self.scale.flatten(0, 1)[index].T
        z = self.mean.flatten(0, 1)[place] + scaled
        return z if self.text is None or condition is None else z + condition @ self.text.T

    @torch.no_grad()
    def set(
        self,
        mean: Tensor,
        covariance: Tensor,
        weight: Tensor | None = None,
        text: Tensor | None = None,
    ) -> None:
        """Let class c be the mixture of N(mean[c, k], covariance[c, k]) with weight[c, k].

        Args:
            mean, covariance, weight: as the buffers, the covariances positive definite. With one
                component its dimension may be left out; equal weights if None.
            text: (latent_dim, text_dim): the mean for the text t is mean + text · t. None: 0.

        Raises:
            ValueError: for other shapes, values that are not finite, or other covariances.
        """
        if mean.ndim == 2:
            mean, covariance = mean.unsqueeze(1), covariance.unsqueeze(1)
        if weight is None:
            weight = torch.full_like(self.weight, 1 / self.weight.shape[1])
        given = [mean, covariance, weight] + ([] if text is None else [text])
        own = [self.mean, self.scale, self.weight] + ([] if text is None else [self.text])
        wanted = [None if tensor is None else tuple(tensor.shape) for tensor in own]
        if (shapes := [tuple(tensor.shape) for tensor in given]) != wanted:
            raise ValueError(
                f"mean, covariance, weight (and text) of a prior must be {wanted}, got {shapes}"
            )
        scale, failed = torch.linalg.cholesky_ex(covariance.float())
        if failed.any() or not all(tensor.isfinite().all() for tensor in given):
            raise ValueError("prior must have finite means and positive definite covariances")
        self.mean.copy_(mean)
        self.scale.copy_(scale)
        self.weight.copy_(weight)
        if self.text is not None:
            self.text.copy_(torch.zeros_like(self.text) if text is None else text)
