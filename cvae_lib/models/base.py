"""What every VAE here shares: the posterior's and the prior's draws, likelihoods, sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cvae_lib import losses
from cvae_lib.checks import check_finite

Likelihood = Literal["bernoulli", "binarised", "gaussian", "optimal-sigma"]


class BaseVAE(nn.Module):
    """A variational autoencoder without its layers.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: size of z.
        likelihood: p(x | z): "bernoulli" (binary cross-entropy on greys, the article's),
            "binarised" (Bernoulli on binarised pixels), "gaussian" (σ² = ½, squared error) or
            "optimal-sigma" (one σ for all pixels, the best one: Rybkin et al. 2021).
        classes: priors that `set_prior` takes, one for each label; 1 for all images together.
        prior_components: Gaussians a class in that prior.

    A sub-class creates ``encoder``, ``mu_head`` and ``logvar_head``, says how a condition joins
    what they read (`join_encoder`), how a picture comes of z and condition (`generate`), and what
    a condition must look like (`check_condition`). The observation log-variance is a buffer: fixed
    for "gaussian"; for "optimal-sigma" that of the last epoch's pixels, so that in evaluation no
    example depends on its batch. In training each batch has its own.
    """

    conditional: bool = False
    condition_name = "label"
    encoder: nn.Module
    mu_head: nn.Linear
    logvar_head: nn.Linear
    observation_logvar: Tensor
    prior_weight: Tensor
    prior_mean: Tensor
    prior_scale: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        likelihood: Likelihood,
        classes: int,
        prior_components: int,
    ) -> None:
        super().__init__()
        if latent_dim < 1 or prior_components < 1:
            raise ValueError(
                f"latent_dim and prior_components must be at least 1, got {latent_dim} and "
                f"{prior_components}"
            )
        if likelihood not in losses.LIKELIHOODS:
            known = ", ".join(losses.LIKELIHOODS)
            raise ValueError(f"unknown likelihood {likelihood!r}: choose one of {known}")
        self.image_shape = image_shape
        self.latent_dim = latent_dim
        self.likelihood: str = likelihood
        self.register_buffer("observation_logvar", torch.tensor(losses.UNIT_WEIGHT_LOGVAR))
        shape = (classes, prior_components)
        self.register_buffer("prior_weight", torch.full(shape, 1 / prior_components))
        self.register_buffer("prior_mean", torch.zeros(*shape, latent_dim))
        self.register_buffer("prior_scale", torch.eye(latent_dim).repeat(*shape, 1, 1))

    # What a sub-class says.

    @property
    def architecture(self) -> dict[str, Any]:
        """The constructor's arguments, for checkpoints."""
        raise NotImplementedError

    def join_encoder(self, features: Tensor, condition: Tensor | None) -> Tensor:
        """The encoder's output (B, F) and the condition → what the two heads read."""
        raise NotImplementedError

    def generate(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """z (B, latent_dim) and the condition → logits (B, C, H, W)."""
        raise NotImplementedError

    def check_condition(self, condition: Tensor | None, batch: int) -> Tensor | None:
        """Return the condition if it fits the model and the batch, None if the model has none."""
        if self.conditional and condition is None:
            raise ValueError(
                f"{type(self).__name__} needs a {self.condition_name} for each of {batch} examples"
            )
        return condition if self.conditional else None

    # The model.

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of the posterior q(z | x, c), each (B, latent_dim)."""
        if x.ndim != 4 or x.shape[1:] != self.image_shape or not x.is_floating_point():
            expected = ", ".join(map(str, self.image_shape))
            raise ValueError(
                f"images must be float (B, {expected}), got {x.dtype} {tuple(x.shape)}"
            )
        check_finite(x)
        condition = self.check_condition(condition, len(x))
        joined = self.join_encoder(self.encoder(x), condition)
        return self.mu_head(joined).float(), self.logvar_head(joined).float()

    def reparameterize(
        self, mu: Tensor, logvar: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw z ~ N(μ, σ²), differentiable in both."""
        return losses.reparameterize(mu, logvar, generator)

    def decode_logits(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """z (B, latent_dim) → logits (B, C, H, W); the mean image is their sigmoid."""
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z must be (B, {self.latent_dim}), got {tuple(z.shape)}")
        return self.generate(z, self.check_condition(condition, len(z))).float()

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """z (B, latent_dim) → mean image (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(self.decode_logits(z, condition))

    def forward(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the image decoded from one draw of z, μ and log σ²."""
        mu, logvar = self.encode(x, condition)
        return self.decode(self.reparameterize(mu, logvar, generator), condition), mu, logvar

    def nll(self, x: Tensor, logits: Tensor) -> Tensor:
        """−log p(x | z) under the model's likelihood: (B,) nats."""
        if self.likelihood in ("bernoulli", "binarised"):
            return losses.bernoulli_nll(x, logits)
        mean = torch.sigmoid(logits)
        if self.likelihood == "gaussian" or not self.training:
            return losses.gaussian_nll(x, mean, self.observation_logvar)
        return losses.gaussian_nll(x, mean, losses.optimal_logvar(x, mean))

    def end_epoch(self, means: Mapping[str, float]) -> None:
        """Take the σ of "optimal-sigma" from an epoch's mean squared error, as `fit` tells it."""
        if "squared_error" in means:
            variance = max(means["squared_error"], losses.SMALLEST_VARIANCE)
            self.observation_logvar.fill_(math.log(variance))

    @torch.no_grad()
    def reconstruct(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Decode the posterior mean of ``x``: (B, C, H, W) in [0, 1]."""
        return self.decode(self.encode(x, condition)[0], condition)

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor | int,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        fitted_prior: bool = True,
    ) -> Tensor:
        """Draw images.

        Args:
            condition: one for each image: labels (B,) or text vectors (B, text_dim); for an
                unconditional model the number of images.
            generator: source of the noise.
            temperature: scales the noise around the prior's means, ≥ 0; 0 draws only the means.
            fitted_prior: draw z from the Gaussians that `set_prior` gave the class; that is
                N(0, I) until then, and with False.

        Returns:
            (B, C, H, W) in [0, 1].
        """
        z, checked = self.sample_latent(condition, generator, temperature, fitted_prior)
        return self.decode(z, checked)

    @property
    def prior_fitted(self) -> bool:
        """Whether the prior is another one than N(0, I)."""
        standard = torch.eye(self.latent_dim).to(self.prior_scale)
        return bool(self.prior_mean.any() or (self.prior_scale != standard).any())

    def sample_latent(
        self,
        condition: Tensor | int,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        fitted_prior: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Draw z (B, latent_dim) from the prior as `sample` does; return it and the condition."""
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature must be at least 0 and finite, got {temperature}")
        device = self.prior_mean.device
        if isinstance(condition, int):
            if self.conditional:
                raise ValueError(
                    f"{type(self).__name__} samples for {self.condition_name}s (one an image), "
                    f"got the number {condition}"
                )
            count, checked = condition, None
        else:
            count = len(condition)
            checked = self.check_condition(condition, count)
            checked = None if checked is None else checked.to(device)
        noise = temperature * torch.randn(
            count, self.latent_dim, generator=generator, device=device
        )
        if not fitted_prior:
            return noise, checked
        classes, components = self.prior_weight.shape
        which = torch.zeros(count, dtype=torch.long, device=device)
        if classes > 1 and checked is not None:
            which = checked
        place = which * components
        if components > 1:
            chosen = torch.multinomial(self.prior_weight[which], 1, generator=generator)
            place = place + chosen.squeeze(1)
        scale = self.prior_scale.flatten(0, 1)
        scaled = torch.empty_like(noise)
        for index in place.unique():
            rows = place == index
            scaled[rows] = noise[rows] @ scale[index].T
        return self.prior_mean.flatten(0, 1)[place] + scaled, checked

    @torch.no_grad()
    def set_prior(self, mean: Tensor, covariance: Tensor, weight: Tensor | None = None) -> None:
        """Let `sample` draw z for class c from the mixture of N(mean[c, k], covariance[c, k]).

        Args:
            mean: (classes, components, latent_dim), one class for a model without labels; with one
                component that dimension may be left out, here and below.
            covariance: (classes, components, latent_dim, latent_dim), positive definite.
            weight: (classes, components), the components' probabilities; equal if None.
        """
        if mean.ndim == 2:
            mean, covariance = mean.unsqueeze(1), covariance.unsqueeze(1)
        if weight is None:
            weight = torch.full_like(self.prior_weight, 1 / self.prior_weight.shape[1])
        shapes = (mean.shape, covariance.shape, weight.shape)
        expected = (self.prior_mean.shape, self.prior_scale.shape, self.prior_weight.shape)
        if shapes != expected:
            raise ValueError(
                "prior must be mean {}, covariance {} and weight {}".format(*map(tuple, expected))
                + ", got {}, {} and {}".format(*map(tuple, shapes))
            )
        scale, failed = torch.linalg.cholesky_ex(covariance)
        if failed.any() or not mean.isfinite().all():
            raise ValueError("prior must have finite means and positive definite covariances")
        self.prior_mean.copy_(mean)
        self.prior_scale.copy_(scale)
        self.prior_weight.copy_(weight)


def film(features: Tensor, scale_and_shift: Tensor) -> Tensor:
    """(1 + γ)·h + β by channel (Perez et al. 2018).

    Args:
        features: (B, C, H, W), or flat (B, C·P).
        scale_and_shift: (B, 2·C), γ and then β.
    """
    gamma, beta = scale_and_shift[..., None, None].chunk(2, dim=1)
    maps = features if features.ndim == 4 else features.view(*gamma.shape[:2], -1, 1)
    return ((1 + gamma) * maps + beta).view_as(features)
