"""VAE and conditional VAEs for 28 × 28 garments: four ways for a label to enter, one of each."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cvae_lib import losses

Likelihood = Literal["bernoulli", "binarised", "gaussian", "optimal-sigma"]
Upsampling = Literal["article", "even"]

FEATURES = 128 * 4 * 4  # the encoder's output, flattened
N_CLASSES = 10


def encoder_trunk() -> nn.Sequential:
    """(B, 1, 28, 28) → (B, 2048): three convolutions 3×3, stride 2 (28 → 14 → 7 → 4)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 128, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
    )


def decoder_trunk(upsampling: Upsampling) -> nn.Sequential:
    """(B, 128, 4, 4) → (B, 1, 28, 28) logits: three transposed convolutions.

    "article" has the article's kernels: 2×2/2 throws 15 of 64 outputs away, 3×3/2 overlaps
    unevenly, which shows as a checkerboard. "even" overlaps evenly: kernel sizes are multiples of
    the stride (Odena et al. 2016).
    """
    if upsampling == "article":
        first = nn.ConvTranspose2d(128, 64, 2, stride=2, padding=1, output_padding=1)
        second = nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1)
        third = nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1)
    elif upsampling == "even":
        first = nn.ConvTranspose2d(128, 64, 4, stride=1, padding=0)
        second = nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)
        third = nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1)
    else:
        raise ValueError(f"unknown upsampling {upsampling!r}: choose 'article' or 'even'")
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)


class VAE(nn.Module):
    """Variational autoencoder for images (B, 1, 28, 28) in [0, 1].

    Args:
        latent_dim: size of z.
        likelihood: p(x | z): "bernoulli" (binary cross-entropy on greys, the article's),
            "binarised" (Bernoulli on binarised pixels), "gaussian" (σ² = ½, squared error) or
            "optimal-sigma" (one σ for all pixels, the best one: Rybkin et al. 2021).
        upsampling: "article" or "even" (no checkerboard).
        prior_components: Gaussians a class in the prior that `set_prior` takes.

    Sub-classes say how a label (B,) enters through `join_encoder` and `join_decoder`; here it
    does not. The observation log-variance is a buffer: fixed for "gaussian", followed during
    training for "optimal-sigma", so that in evaluation no example depends on its batch.
    """

    conditional = False
    encoder_width = 0  # what a label adds to the features that the heads read
    decoder_width = 0  # what a label adds to the z that the decoder reads

    def __init__(
        self,
        latent_dim: int = 128,
        likelihood: Likelihood = "bernoulli",
        upsampling: Upsampling = "article",
        prior_components: int = 1,
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
        self.latent_dim = latent_dim
        self.likelihood: str = likelihood
        self.upsampling = upsampling
        self.encoder = encoder_trunk()
        self.add_condition()
        self.mu_head = nn.Linear(FEATURES + self.encoder_width, latent_dim)
        self.logvar_head = nn.Linear(FEATURES + self.encoder_width, latent_dim)
        self.decoder_input = nn.Linear(latent_dim + self.decoder_width, FEATURES)
        self.decoder = decoder_trunk(upsampling)
        self.observation_logvar: Tensor
        self.register_buffer("observation_logvar", torch.tensor(losses.UNIT_WEIGHT_LOGVAR))
        classes = N_CLASSES if self.conditional else 1
        shape = (classes, prior_components)
        self.prior_weight: Tensor
        self.prior_mean: Tensor
        self.prior_scale: Tensor
        self.register_buffer("prior_weight", torch.full(shape, 1 / prior_components))
        self.register_buffer("prior_mean", torch.zeros(*shape, latent_dim))
        self.register_buffer("prior_scale", torch.eye(latent_dim).repeat(*shape, 1, 1))

    @property
    def architecture(self) -> dict[str, Any]:
        """The constructor's arguments, for checkpoints."""
        return {
            "latent_dim": self.latent_dim,
            "likelihood": self.likelihood,
            "upsampling": self.upsampling,
            "prior_components": self.prior_weight.shape[1],
        }

    # How a label enters: the only thing the conditional models change.

    def add_condition(self) -> None:
        """Create the layers that turn a label into a vector."""

    def join_encoder(self, features: Tensor, condition: Tensor | None) -> Tensor:
        """features (B, 2048), labels (B,) → what the two heads read."""
        return features

    def join_decoder(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """z (B, latent_dim), labels (B,) → (B, 2048), the decoder's first feature map, flat."""
        return self.decoder_input(z)

    # The model.

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of the posterior q(z | x, c), each (B, latent_dim)."""
        if x.ndim != 4 or x.shape[1:] != (1, 28, 28) or not x.is_floating_point():
            raise ValueError(f"images must be float (B, 1, 28, 28), got {x.dtype} {tuple(x.shape)}")
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
        """z (B, latent_dim) → logits (B, 1, 28, 28); the mean image is their sigmoid."""
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z must be (B, {self.latent_dim}), got {tuple(z.shape)}")
        condition = self.check_condition(condition, len(z))
        features = self.join_decoder(z, condition)
        return self.decoder(features.view(-1, 128, 4, 4)).float()

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """z (B, latent_dim) → mean image (B, 1, 28, 28) in [0, 1]."""
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
        logvar = losses.optimal_logvar(x, mean)
        self.observation_logvar.lerp_(logvar, 0.01)
        return losses.gaussian_nll(x, mean, logvar)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Decode the posterior mean of ``x``: (B, 1, 28, 28) in [0, 1]."""
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
            condition: labels (B,); for an unconditional model the number of images.
            generator: source of the noise.
            temperature: scales the noise around the prior's means, ≥ 0; 0 draws only the means.
            fitted_prior: draw z from the Gaussians that `set_prior` gave the class; that is
                N(0, I) until then, and with False.

        Returns:
            (B, 1, 28, 28) in [0, 1].
        """
        z, labels = self.sample_latent(condition, generator, temperature, fitted_prior)
        return self.decode(z, labels)

    def sample_latent(
        self,
        condition: Tensor | int,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        fitted_prior: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Draw z (B, latent_dim) from the prior, as `sample` does; return it with the labels."""
        if not 0 <= temperature < math.inf:
            raise ValueError(f"temperature must be at least 0 and finite, got {temperature}")
        device = self.prior_mean.device
        if isinstance(condition, int):
            if self.conditional:
                raise ValueError(
                    f"{type(self).__name__} samples for labels (B,), got the number {condition}"
                )
            count, labels = condition, None
        else:
            count = len(condition)
            labels = self.check_condition(condition, count)
            labels = None if labels is None else labels.to(device)
        noise = temperature * torch.randn(
            count, self.latent_dim, generator=generator, device=device
        )
        if not fitted_prior:
            return noise, labels
        which = torch.zeros(count, dtype=torch.long, device=device) if labels is None else labels
        components = self.prior_weight.shape[1]
        place = which * components
        if components > 1:
            chosen = torch.multinomial(self.prior_weight[which], 1, generator=generator)
            place = place + chosen.squeeze(1)
        scale = self.prior_scale.flatten(0, 1)
        scaled = torch.empty_like(noise)
        for index in place.unique():
            rows = place == index
            scaled[rows] = noise[rows] @ scale[index].T
        return self.prior_mean.flatten(0, 1)[place] + scaled, labels

    @torch.no_grad()
    def set_prior(self, mean: Tensor, covariance: Tensor, weight: Tensor | None = None) -> None:
        """Let `sample` draw z for class c from the mixture of N(mean[c, k], covariance[c, k]).

        Args:
            mean: (classes, components, latent_dim), one class for an unconditional model; with one
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

    def check_condition(self, condition: Tensor | None, batch: int) -> Tensor | None:
        """Return the labels if they fit the model and the batch, None for a VAE without labels.

        The values are checked on the CPU only: elsewhere the check would stop the device.
        """
        if not self.conditional:
            return None
        if condition is None:
            raise ValueError(f"{type(self).__name__} needs a label for each of {batch} examples")
        if condition.shape != (batch,) or condition.dtype != torch.int64:
            raise ValueError(
                f"labels must be int64 ({batch},), got {condition.dtype} {tuple(condition.shape)}"
            )
        if condition.device.type == "cpu" and not torch.compiler.is_compiling():
            wrong = condition[(condition < 0) | (condition >= N_CLASSES)]
            if len(wrong):
                raise ValueError(
                    f"label {int(wrong[0])} is out of range: known are 0 … {N_CLASSES - 1}"
                )
        return condition


class ConcatConditionalVAE(VAE):
    """The article's concat CVAE: one label embedding, appended to the features and to z."""

    conditional = True
    encoder_width = decoder_width = 32

    def add_condition(self) -> None:
        self.embedding = nn.Embedding(N_CLASSES, 32)

    def join_encoder(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return torch.cat([features, self.embedding(condition)], dim=1)

    def join_decoder(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return self.decoder_input(torch.cat([z, self.embedding(condition)], dim=1))


class AdditiveConditionalVAE(VAE):
    """The article's additive CVAE: a label embedding added to the features, another one to z.

    Args:
        embedding_std: standard deviation of the embeddings' initial values; the article leaves
            `nn.Embedding`'s 1, far longer than the features they are added to (chapter 05).
    """

    conditional = True

    def __init__(
        self,
        latent_dim: int = 128,
        likelihood: Likelihood = "bernoulli",
        upsampling: Upsampling = "article",
        prior_components: int = 1,
        embedding_std: float = 1.0,
    ) -> None:
        self.embedding_std = embedding_std
        super().__init__(latent_dim, likelihood, upsampling, prior_components)

    @property
    def architecture(self) -> dict[str, Any]:
        return {**super().architecture, "embedding_std": self.embedding_std}

    def add_condition(self) -> None:
        self.encoder_embedding = nn.Embedding(N_CLASSES, FEATURES)
        self.decoder_embedding = nn.Embedding(N_CLASSES, self.latent_dim)
        for embedding in (self.encoder_embedding, self.decoder_embedding):
            nn.init.normal_(embedding.weight, std=self.embedding_std)

    def join_encoder(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return features + self.encoder_embedding(condition)

    def join_decoder(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return self.decoder_input(z + self.decoder_embedding(condition))


class FilmConditionalVAE(VAE):
    """Feature-wise modulation: a label scales and shifts each channel (Perez et al. 2018).

    It acts on the encoder's last and on the decoder's first feature map, both (B, 128, 4, 4).
    """

    conditional = True

    def add_condition(self) -> None:
        self.encoder_film = nn.Embedding(N_CLASSES, 2 * 128)
        self.decoder_film = nn.Embedding(N_CLASSES, 2 * 128)
        for embedding in (self.encoder_film, self.decoder_film):
            nn.init.zeros_(embedding.weight)

    def join_encoder(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return film(features, self.encoder_film(condition))

    def join_decoder(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return film(self.decoder_input(z), self.decoder_film(condition))


def film(features: Tensor, scale_and_shift: Tensor) -> Tensor:
    """(1 + γ)·h + β by channel: features (B, C·P), scale_and_shift (B, 2·C) → (B, C·P)."""
    gamma, beta = scale_and_shift.unsqueeze(2).chunk(2, dim=1)
    maps = features.view(len(features), gamma.shape[1], -1)
    return ((1 + gamma) * maps + beta).flatten(1)


class FashionJudge(nn.Module):
    """A small residual classifier of garments: the judge of drawn pictures.

    `features` (B, 64) feed the Fréchet distance, `forward` gives logits (B, 10).
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.trunk = nn.Sequential(
            _convolution(1, width),
            _convolution(width, width),
            nn.MaxPool2d(2),
            _convolution(width, 2 * width),
            _convolution(2 * width, 2 * width),
            nn.MaxPool2d(2),
            _convolution(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4 * width, 64),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(64, N_CLASSES)

    @property
    def architecture(self) -> dict[str, Any]:
        """The constructor's arguments, for checkpoints."""
        return {"width": self.width}

    def features(self, x: Tensor) -> Tensor:
        """x (B, 1, 28, 28) in [0, 1] → (B, 64), non-negative."""
        return self.trunk(x)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, 1, 28, 28) in [0, 1] → class logits (B, 10)."""
        return self.head(self.dropout(self.features(x)))


def _convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def check_finite(x: Tensor) -> None:
    """Raise ValueError, naming the first bad example, unless every value is finite.

    On the CPU only: elsewhere the check would stop the device (and `fit` watches the loss).
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return
    bad = ~torch.isfinite(x).flatten(1).all(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        value = float(x[row][~x[row].isfinite()][0])
        raise ValueError(f"example {row} has the value {value}: every pixel must be finite")
