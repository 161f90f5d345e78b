"""What every VAE here shares: the posterior, likelihoods, reconstruction, sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from cvae_lib import losses
from cvae_lib.checks import as_tensor, check_images, evaluating, whole_number
from cvae_lib.models.conditioning import Unconditional
from cvae_lib.models.prior import Prior

Likelihood = Literal["bernoulli", "binarised", "gaussian", "optimal-sigma"]


class BaseVAE(nn.Module):
    """A variational autoencoder without its layers.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: size of z.
        likelihood: p(x | z): "bernoulli" (binary cross-entropy on greys, the article's),
            "binarised" (Bernoulli on binarised pixels), "gaussian" (σ² = ½, squared error) or
            "optimal-sigma" (one σ for all pixels, the best one: Rybkin et al. 2021).

    A sub-class makes ``encoder``, ``condition``, the heads, ``decoder_input``, what follows it
    (`decode_logits`) and ``prior``, and says what a condition must look like (`prepare`). The
    observation log-variance is a buffer: fixed for "gaussian"; for "optimal-sigma" that of the last
    epoch's pixels, so that in evaluation no example depends on its batch. In training each batch
    has its own.
    """

    condition_name = "label"
    encoder: nn.Module
    condition: Unconditional
    mu_head: nn.Linear
    logvar_head: nn.Linear
    decoder_input: nn.Linear
    prior: Prior
    observation_logvar: Tensor

    def __init__(
        self, image_shape: tuple[int, int, int], latent_dim: int, likelihood: Likelihood
    ) -> None:
        super().__init__()
        if likelihood not in losses.LIKELIHOODS:
            known = ", ".join(losses.LIKELIHOODS)
            raise ValueError(f"unknown likelihood {likelihood!r}: choose one of {known}")
        self.image_shape = image_shape
        self.latent_dim = whole_number("latent_dim", latent_dim, at_least=1)
        self.likelihood: str = likelihood
        self.register_buffer("observation_logvar", torch.tensor(losses.UNIT_WEIGHT_LOGVAR))

    @property
    def conditional(self) -> bool:
        """Whether it takes a condition."""
        return type(self.condition) is not Unconditional

    @property
    def architecture(self) -> dict[str, Any]:
        """The constructor's arguments, for checkpoints."""
        raise NotImplementedError

    def prepare(self, condition: Any, batch: int | None = None) -> Tensor | None:
        """The condition as the layers get it; ValueError if it does not fit model and batch."""
        raise NotImplementedError

    def decode_logits(self, z: Tensor, condition: Any = None) -> Tensor:
        """z (B, latent_dim) → logits (B, C, H, W); the mean image is their sigmoid."""
        raise NotImplementedError

    def encode(self, x: Tensor, condition: Any = None) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of the posterior q(z | x, c), each (B, latent_dim)."""
        x = check_images(x, self.image_shape).to(self.mu_head.weight.dtype)
        h = self.condition.features(self.encoder(x), self.prepare(condition, len(x)))
        return self.mu_head(h).float(), self.logvar_head(h).float()

    def check_latent(self, z: Tensor) -> Tensor:
        """z in the type of the decoder's weights, if it is (B, latent_dim); else an error."""
        z = as_tensor(z, "z must be a tensor or an array")
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z must be (B, {self.latent_dim}), got {tuple(z.shape)}")
        return z.to(self.decoder_input.weight.dtype)

    def decode(self, z: Tensor, condition: Any = None) -> Tensor:
        """z (B, latent_dim) → mean image (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(self.decode_logits(z, condition))

    def forward(
        self, x: Tensor, condition: Any = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the image decoded from one draw of z, μ and log σ²."""
        mu, logvar = self.encode(x, condition)
        z = losses.reparameterize(mu, logvar, generator)
        return self.decode(z, condition), mu, logvar

    def nll(self, x: Tensor, logits: Tensor) -> Tensor:
        """−log p(x | z) under the model's likelihood: (B,) nats."""
        if self.likelihood in ("bernoulli", "binarised"):
            return losses.bernoulli_nll(x, logits)
        mean = torch.sigmoid(logits)
        own = self.likelihood == "optimal-sigma" and self.training
        logvar = losses.optimal_logvar(x, mean) if own else self.observation_logvar
        return losses.gaussian_nll(x, mean, logvar)

    def end_epoch(self, means: Mapping[str, float]) -> None:
        """Take the σ of "optimal-sigma" from an epoch's mean squared error, as `fit` tells it."""
        if "squared_error" in means:
            variance = max(means["squared_error"], losses.SMALLEST_VARIANCE)
            self.observation_logvar.fill_(math.log(variance))

    @torch.no_grad()
    def reconstruct(self, x: Tensor, condition: Any = None) -> Tensor:
        """Decode the posterior mean of ``x``, in eval mode: (B, C, H, W) in [0, 1]."""
        with evaluating(self):
            return self.decode(self.encode(x, condition)[0], condition)

    @torch.no_grad()
    def sample(
        self,
        condition: Any,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        fitted_prior: bool = True,
    ) -> Tensor:
        """Draw images, in eval mode.

        Args:
            condition: one for each image: labels (B,) or text vectors (B, text_dim); for an
                unconditional model the number of images.
            generator: source of the noise.
            temperature: scales the noise around the prior's means, ≥ 0; 0 draws only the means.
            fitted_prior: draw z from the prior that was fitted; N(0, I) without one or with False.

        Returns:
            (B, C, H, W) in [0, 1].
        """
        z, condition = self.sample_latent(condition, generator, temperature, fitted_prior)
        with evaluating(self):
            return self.decode(z, condition)

    def sample_latent(
        self,
        condition: Any,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        fitted_prior: bool = True,
    ) -> tuple[Tensor, Any]:
        """Draw z (B, latent_dim) from the prior as `sample` does; return it and the condition."""
        if np.ndim(condition) == 0:  # no rows: a number, or what is neither
            if self.conditional:
                raise ValueError(
                    f"{type(self).__name__} samples for {self.condition_name}s (one an image), "
                    f"got {condition!r}"
                )
            count, condition = whole_number("the number of images", condition, at_least=0), None
        else:
            count = len(condition)
        if isinstance(condition, Tensor):
            condition = condition.to(self.prior.mean.device)
        prepared = self.prepare(condition, count)
        z = self.prior.sample(count, prepared, generator, temperature, fitted_prior)
        return z, condition
