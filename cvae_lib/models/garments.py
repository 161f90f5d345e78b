"""VAE and conditional VAEs for 28 × 28 garments: the article's two, one with FiLM, one without."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor, nn

from cvae_lib.checks import check_labels, evaluating, one_of
from cvae_lib.losses import Likelihood
from cvae_lib.models.attributes import regress
from cvae_lib.models.base import BaseVAE
from cvae_lib.models.conditioning import Add, Concat, Film, Sizes, Unconditional
from cvae_lib.models.prior import Prior

Upsampling = Literal["article", "even"]

FEATURES = 128 * 4 * 4  # the encoder's output, flattened
N_CLASSES = 10


class VAE(BaseVAE):
    """Variational autoencoder for images (B, 1, 28, 28) in [0, 1].

    Args:
        latent_dim, likelihood, prior_components: as in `BaseVAE`.
        upsampling: "article" or "even" (no checkerboard).
        options: of ``conditioning``, which says how a label (B,) enters; here it does not.
    """

    conditioning: type[Unconditional] = Unconditional

    def __init__(
        self,
        latent_dim: int = 128,
        likelihood: Likelihood = "bernoulli",
        upsampling: Upsampling = "article",
        prior_components: int = 1,
        **options: Any,
    ) -> None:
        super().__init__((1, 28, 28), latent_dim, likelihood, prior_components)
        self.upsampling = upsampling
        self.conditional = self.conditioning is not Unconditional
        self.encoder = encoder_trunk()
        sizes = Sizes(FEATURES, self.latent_dim, maps=(128,), appended=32)
        self.condition = self.conditioning(embed_label, sizes, **options)
        width = FEATURES + self.condition.features_width
        self.mu_head = nn.Linear(width, self.latent_dim)
        self.logvar_head = nn.Linear(width, self.latent_dim)
        self.decoder_input = nn.Linear(self.latent_dim + self.condition.latent_width, FEATURES)
        self.decoder = decoder_trunk(upsampling)
        classes = N_CLASSES if self.conditional else 1
        self.prior = Prior(self.latent_dim, classes, self.prior_components)

    def decode_logits(self, z: Tensor, condition: Any = None) -> Tensor:
        labels = self.prepare(condition, len(z))
        h = self.decoder_input(self.condition.latent(self.check_latent(z), labels))
        maps = self.condition.maps(h.view(-1, 128, 4, 4), labels, stage=0)
        return self.decoder(maps).float()

    def prepare(self, condition: Any, batch: int | None = None) -> Tensor | None:
        """The labels as int64 (B,); None for a VAE without labels."""
        if not self.conditional:
            return None
        return check_labels(condition, N_CLASSES, batch).to(self.mu_head.weight.device)

    @torch.no_grad()
    def sample_given(
        self,
        label: int,
        shares: Mapping[str, float],
        count: int,
        generator: Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw ``count`` pictures of a class that measure as asked, else as `sample`.

        For models that are told a label. ``shares``: attribute, of "brightness", "width" and
        "shading", one at least → the share of the class's pictures that should measure less:
        {"brightness": 0.1} asks for those at the border of the darkest tenth. z is drawn from the
        class's prior given the attributes (`Prior.given`), which are regressed on it.
        """
        labels = check_labels([label] * count, N_CLASSES)
        fit = regress(self, label, tuple(shares))
        goal = torch.stack([fit.measured[name].quantile(share) for name, share in shares.items()])
        prior = self.prior.given(label, fit.weight, goal - fit.offset, fit.noise)
        z = prior.sample(count, None, generator, temperature)
        with evaluating(self):
            return self.decode(z, labels)


class ConcatConditionalVAE(VAE):
    """The article's concat CVAE: one label embedding (32), appended to the features and to z."""

    conditioning = Concat


class AdditiveConditionalVAE(VAE):
    """The article's additive CVAE: a label embedding added to the features, another one to z.

    Args:
        embedding_std: standard deviation of the embeddings' initial values; the article leaves
            `nn.Embedding`'s 1, far longer than the features they are added to (chapter 05).
    """

    conditioning = Add

    def __init__(
        self,
        latent_dim: int = 128,
        likelihood: Likelihood = "bernoulli",
        upsampling: Upsampling = "article",
        prior_components: int = 1,
        embedding_std: float = 1.0,
    ) -> None:
        super().__init__(latent_dim, likelihood, upsampling, prior_components, std=embedding_std)
        self.embedding_std = embedding_std


class FilmConditionalVAE(VAE):
    """A label scales and shifts the channels of the encoder's last and the decoder's first map."""

    conditioning = Film


def embed_label(width: int, bias: bool = True) -> nn.Embedding:
    """Labels (B,) → (B, width)."""
    return nn.Embedding(N_CLASSES, width)


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
    if one_of("upsampling", upsampling, get_args(Upsampling)) == "article":
        first = nn.ConvTranspose2d(128, 64, 2, stride=2, padding=1, output_padding=1)
        second = nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1)
        third = nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1)
    else:
        first = nn.ConvTranspose2d(128, 64, 4, stride=1, padding=0)
        second = nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)
        third = nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
