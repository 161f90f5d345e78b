"""What every VAE here shares: the posterior, likelihoods, reconstruction, sampling."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvae_lib import losses
from cvae_lib.checks import as_tensor, check_images, evaluating, one_of, whole_number
from cvae_lib.models.conditioning import Unconditional
from cvae_lib.models.prior import Prior


class Rebuildable(nn.Module):
    """A network that keeps each argument of its constructor under the argument's name."""

    @property
    def architecture(self) -> dict[str, Any]:
        """The constructor's arguments, for checkpoints."""
        parameters = inspect.signature(type(self)).parameters.values()
        return {p.name: getattr(self, p.name) for p in parameters if p.kind is not p.VAR_KEYWORD}


class BaseVAE(Rebuildable):
    """A variational autoencoder without its layers.

    Args:
        image_shape, latent_dim: (C, H, W) of the images, size of z.
        likelihood: p(x | z): "bernoulli" (binary cross-entropy on greys, the article's),
            "binarised" (Bernoulli on binarised pixels), "gaussian" (σ² = ½, squared error) or
            "optimal-sigma" (one σ for all pixels, the best one: Rybkin et al. 2021). That σ is each
            batch's own in training and the last epoch's in evaluation.
        prior_components: Gaussians a class in the prior that may be fitted afterwards.

    A sub-class makes the layers below, and says what follows ``decoder_input`` and what a condition
    must look like.
    """

    conditional: bool  # whether it takes a condition
    encoder: nn.Module
    condition: Unconditional
    mu_head: nn.Linear
    logvar_head: nn.Linear
    decoder_input: nn.Linear
    prior: Prior
    observation_logvar: Tensor

    def __init__(
        self, image_shape: Sequence[int], latent_dim: int, likelihood: str, prior_components: int
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.latent_dim = whole_number("latent_dim", latent_dim, at_least=1)
        self.likelihood = one_of("likelihood", likelihood, losses.LIKELIHOODS)
        self.prior_components = whole_number("prior_components", prior_components, at_least=1)
        self.register_buffer("observation_logvar", torch.tensor(losses.UNIT_WEIGHT_LOGVAR))

    def prepare(self, condition: Any, batch: int | None = None) -> Tensor | None:
        """The condition as the layers get it, (B, …).

        TypeError for what is no tensor or array, ValueError unless it fits model and batch.
        """
        raise NotImplementedError

    def encode(self, x: Tensor, condition: Any = None) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of the posterior q(z | x, c), each (B, latent_dim)."""
        x = check_images(x, self.image_shape).to(self.mu_head.weight.dtype)
        h = self.condition.features(self.encoder(x), self.prepare(condition, len(x)))
        return self.mu_head(h).float(), self.logvar_head(h).float()

    def decode_logits(self, z: Tensor, condition: Any = None) -> Tensor:
        """z (B, latent_dim) → logits (B, C, H, W); the mean image is their sigmoid."""
        raise NotImplementedError

    def check_latent(self, z: Tensor) -> Tensor:
        """z in the type of the decoder's weights, if it is (B, latent_dim); else a ValueError."""
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
        """Return the image (B, C, H, W) decoded from one draw of z, and its μ and log σ² (B, D)."""
        mu, logvar = self.encode(x, condition)
        return self.decode(losses.reparameterize(mu, logvar, generator), condition), mu, logvar

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
        """Draw images (B, C, H, W) in [0, 1], in eval mode.

        Args:
            condition: labels (B,) or text vectors (B, text_dim); B for an unconditional model.
            temperature: scales the noise around the prior's means, ≥ 0; 0 draws only the means.
            fitted_prior: draw z from the prior that was fitted; N(0, I) without one or with False.
        """
        prepared, rows = self.prepare(condition), np.ndim(condition) > 0
        count = len(condition) if rows else whole_number("the number of images", condition, 0)
        z = self.prior.sample(count, prepared, generator, temperature, fitted_prior)
        with evaluating(self):
            return self.decode(z, condition)
