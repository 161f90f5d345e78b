"""A conditional VAE for colour pictures and the vectors of texts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvae_lib.checks import check_finite
from cvae_lib.models.base import BaseVAE, Likelihood, film

Conditioning = Literal["none", "concat", "add", "film"]
CONDITIONINGS = ("none", "concat", "add", "film")


class TextConditionalVAE(BaseVAE):
    """VAE for pictures (B, 3, S, S) in [0, 1], conditioned on text vectors (B, text_dim).

    Args:
        image_size: S, 4 · 2^k and at least 16: k stages halve it to 4 and double it back.
        latent_dim, likelihood, prior_components: as in `BaseVAE`; there is one prior for all
            texts, and no "binarised": a colour channel is not 0 or 1.
        text_dim: size of a text's vector.
        conditioning: how the text enters. "concat": through a linear layer appended to the
            encoder's features, and as it is to z. "add": through a linear layer each added to the
            features and to z. "film": a linear layer for each place scales and shifts the channels
            of the encoder's last feature map, of the decoder's first, and after every BatchNorm of
            the decoder. "none": not at all.
        width: channels of the first stage; each further stage doubles them. Even.
        text_features: what "concat" appends to the encoder's features.
        normalise_text: give each text vector mean 0 and variance 1 over its coordinates. CLIP's
            have a length near 10 and hashed ones 1; the first layer hardly hears coordinates of
            1 / √512 beside those of z.

    "concat" and "add" tell the decoder of the text once, at 4 × 4; what survives the next stages
    must be carried through all of them. FiLM tells every scale, for few weights, as a
    conditional BatchNorm does (Perez et al. 2018). Its layers start at 0, without effect.
    """

    condition_name = "text vector"

    def __init__(
        self,
        image_size: int = 64,
        latent_dim: int = 128,
        text_dim: int = 512,
        conditioning: Conditioning = "concat",
        likelihood: Likelihood = "bernoulli",
        width: int = 32,
        text_features: int = 1024,
        normalise_text: bool = True,
        prior_components: int = 1,
    ) -> None:
        stages = max(image_size // 4, 1).bit_length() - 1
        if stages < 2 or image_size != 4 * 2**stages:
            raise ValueError(f"image_size must be 16, 32, 64, 128, 256 …, got {image_size}")
        if conditioning not in CONDITIONINGS:
            known = ", ".join(CONDITIONINGS)
            raise ValueError(f"unknown conditioning {conditioning!r}: choose one of {known}")
        if width < 2 or width % 2:
            raise ValueError(f"width must be even and at least 2, got {width}")
        if text_dim < 1 or text_features < 1:
            raise ValueError(
                f"text_dim and text_features must be at least 1, got {text_dim} and {text_features}"
            )
        if likelihood == "binarised":
            raise ValueError(
                "'binarised' draws every colour channel as 0 or 1: choose 'bernoulli', 'gaussian' "
                "or 'optimal-sigma'"
            )
        super().__init__((3, image_size, image_size), latent_dim, likelihood, 1, prior_components)
        self.text_dim = text_dim
        self.conditioning: str = conditioning
        self.width = width
        self.text_features = text_features
        self.normalise_text = normalise_text
        self.conditional = conditioning != "none"

        channels = [width * 2**stage for stage in range(stages)]
        self.encoder = nn.Sequential(
            *(_down(*pair) for pair in pairwise([3, *channels])), nn.Flatten()
        )
        flat = channels[-1] * 4 * 4
        heads, entrance = flat, latent_dim
        if conditioning == "concat":
            self.encoder_text = nn.Linear(text_dim, text_features)
            heads, entrance = flat + text_features, latent_dim + text_dim
        elif conditioning == "add":
            self.encoder_text = nn.Linear(text_dim, flat)
            self.decoder_text = nn.Linear(text_dim, latent_dim)
        elif conditioning == "film":
            self.encoder_text = _film_layer(text_dim, channels[-1])
        self.mu_head = nn.Linear(heads, latent_dim)
        self.logvar_head = nn.Linear(heads, latent_dim)
        self.decoder_input = nn.Linear(entrance, flat)
        channels = [*reversed(channels), width // 2]
        self.decoder = nn.ModuleList(_up(*pair) for pair in pairwise(channels))
        self.to_rgb = nn.Conv2d(width // 2, 3, 3, padding=1)
        if conditioning == "film":
            self.decoder_films = nn.ModuleList(_film_layer(text_dim, c) for c in channels)
        self.prior_text: Tensor
        self.register_buffer("prior_text", torch.zeros(latent_dim, text_dim))

    @classmethod
    def article(cls, image_size: int = 128, latent_dim: int = 512) -> TextConditionalVAE:
        """The article's model: concat, its widths, its order of layers, the text as it comes.

        13,721,123 parameters at 128 pixels with latent 128, 23,945,507 with 512.
        """
        return cls(image_size, latent_dim, normalise_text=False)

    @property
    def architecture(self) -> dict[str, Any]:
        return {
            "image_size": self.image_shape[1],
            "latent_dim": self.latent_dim,
            "text_dim": self.text_dim,
            "conditioning": self.conditioning,
            "likelihood": self.likelihood,
            "width": self.width,
            "text_features": self.text_features,
            "normalise_text": self.normalise_text,
            "prior_components": self.prior_weight.shape[1],
        }

    def join_encoder(self, features: Tensor, condition: Tensor | None) -> Tensor:
        if condition is None:
            return features
        text = self.encoder_text(self.read(condition))
        if self.conditioning == "concat":
            return torch.cat([features, text], dim=1)
        return features + text if self.conditioning == "add" else film(features, text)

    def generate(self, z: Tensor, condition: Tensor | None) -> Tensor:
        text = None if condition is None else self.read(condition)
        if text is not None and self.conditioning == "concat":
            z = torch.cat([z, text], dim=1)
        elif text is not None and self.conditioning == "add":
            z = z + self.decoder_text(text)
        modulations: list[Tensor | None] = [None] * (len(self.decoder) + 1)
        if self.conditioning == "film":
            modulations = [layer(text) for layer in self.decoder_films]
        maps = self.decoder_input(z).unflatten(1, (-1, 4, 4))
        if modulations[0] is not None:
            maps = film(maps, modulations[0])
        for stage, modulation in zip(self.decoder, modulations[1:], strict=True):
            maps = stage(maps)
            maps = F.relu(maps if modulation is None else film(maps, modulation))
        return self.to_rgb(maps)

    def sample_latent(
        self,
        condition: Tensor | int,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        fitted_prior: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """As in `BaseVAE`; the text moves the mean of a prior that `set_text_prior` was given."""
        z, text = super().sample_latent(condition, generator, temperature, fitted_prior)
        if fitted_prior and text is not None:
            z = z + self.read(text) @ self.prior_text.T
        return z, text

    def set_prior(self, mean: Tensor, covariance: Tensor, weight: Tensor | None = None) -> None:
        """As in `BaseVAE`: one prior for all texts."""
        super().set_prior(mean, covariance, weight)
        self.prior_text.zero_()

    @torch.no_grad()
    def set_text_prior(self, weight: Tensor, mean: Tensor, covariance: Tensor) -> None:
        """Let `sample` draw z for a text t from N(weight · t + mean, covariance).

        Args:
            weight: (latent_dim, text_dim), for texts as `read` gives them.
            mean, covariance: (latent_dim,) and (latent_dim, latent_dim), positive definite.
        """
        if weight.shape != self.prior_text.shape or not weight.isfinite().all():
            raise ValueError(
                f"weight must be finite and {tuple(self.prior_text.shape)}, got "
                f"{tuple(weight.shape)}"
            )
        if self.prior_weight.numel() > 1:
            raise ValueError("a prior that follows the text has one component")
        self.set_prior(mean[None], covariance[None])
        self.prior_text.copy_(weight)

    def read(self, text: Tensor) -> Tensor:
        """Text vectors (B, text_dim) as the layers get them."""
        return F.layer_norm(text, (self.text_dim,)) if self.normalise_text else text

    def check_condition(self, condition: Tensor | None, batch: int) -> Tensor | None:
        """Return the text vectors as float32 if they fit the model and the batch."""
        condition = super().check_condition(condition, batch)
        if condition is None:
            return None
        if condition.shape != (batch, self.text_dim) or not condition.is_floating_point():
            raise ValueError(
                f"text vectors must be float ({batch}, {self.text_dim}), got {condition.dtype} "
                f"{tuple(condition.shape)}: use the text encoder that the model was trained with"
            )
        check_finite(condition, "number of a text vector")
        return condition.float()


def _down(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def _up(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1),
        nn.BatchNorm2d(channels_out),
    )


def _film_layer(text_dim: int, channels: int) -> nn.Linear:
    """Text → γ and β of each channel, 0 at first; what it modulates has biases of its own."""
    layer = nn.Linear(text_dim, 2 * channels, bias=False)
    nn.init.zeros_(layer.weight)
    return layer
