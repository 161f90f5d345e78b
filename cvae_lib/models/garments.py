"""VAE and conditional VAEs for 28 × 28 garments: four ways for a label to enter, one of each."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from cvae_lib.models.base import BaseVAE, Likelihood, film

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


class VAE(BaseVAE):
    """Variational autoencoder for images (B, 1, 28, 28) in [0, 1].

    Args:
        latent_dim, likelihood, prior_components: as in `BaseVAE`.
        upsampling: "article" or "even" (no checkerboard).

    Sub-classes say how a label (B,) enters through `join_encoder` and `join_decoder`; here it
    does not.
    """

    encoder_width = 0  # what a label adds to the features that the heads read
    decoder_width = 0  # what a label adds to the z that the decoder reads

    def __init__(
        self,
        latent_dim: int = 128,
        likelihood: Likelihood = "bernoulli",
        upsampling: Upsampling = "article",
        prior_components: int = 1,
    ) -> None:
        classes = N_CLASSES if self.conditional else 1
        super().__init__((1, 28, 28), latent_dim, likelihood, classes, prior_components)
        self.upsampling = upsampling
        self.encoder = encoder_trunk()
        self.add_condition()
        self.mu_head = nn.Linear(FEATURES + self.encoder_width, latent_dim)
        self.logvar_head = nn.Linear(FEATURES + self.encoder_width, latent_dim)
        self.decoder_input = nn.Linear(latent_dim + self.decoder_width, FEATURES)
        self.decoder = decoder_trunk(upsampling)

    @property
    def architecture(self) -> dict[str, Any]:
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

    def generate(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return self.decoder(self.join_decoder(z, condition).view(-1, 128, 4, 4))

    def check_condition(self, condition: Tensor | None, batch: int) -> Tensor | None:
        """Return the labels if they fit the model and the batch, None for a VAE without labels.

        The values are checked on the CPU only: elsewhere the check would stop the device.
        """
        condition = super().check_condition(condition, batch)
        if condition is None:
            return None
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
