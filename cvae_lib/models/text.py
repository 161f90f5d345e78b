"""A conditional VAE for colour pictures and the vectors of texts."""

from functools import partial
from itertools import pairwise
from typing import Any

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cvae_lib.checks import check_texts, one_of, whole_number
from cvae_lib.losses import Likelihood
from cvae_lib.models.base import BaseVAE
from cvae_lib.models.conditioning import CONDITIONINGS, Attend, Sizes
from cvae_lib.models.prior import Prior, TextPrior
from cvae_lib.models.words import HEADS, Reading


class TextConditionalVAE(BaseVAE):
    """VAE for pictures (B, 3, S, S) in [0, 1], conditioned on text vectors (B, text_dim).

    Args:
        image_size: S, 4 · 2^k and at least 16: k stages halve it to 4 and double it back.
        latent_dim, likelihood, prior_components: as in `BaseVAE`; no "binarised": a colour channel
            is not 0 or 1.
        text_dim, conditioning: size of a text's vector, and how it enters, of `CONDITIONINGS`:
            "concat" appends it through a linear layer to the encoder's features, and as it is to z;
            "film" acts after every BatchNorm of the decoder, as a conditional BatchNorm does, on
            its first map and the encoder's last; "concat-film" is both; "attend" takes a vector for
            each word, (B, L, text_dim) padded with zeros, at which the maps look (`Attend`).
        width: channels of the first stage; each further stage doubles them. Even; for
            "attend" a multiple of 4.
        text_features: what "concat" appends to the encoder's features.
        normalise_text: give each text vector mean 0 and variance 1 over its coordinates. CLIP's
            have a length near 10 and hashed ones 1, hardly heard beside the coordinates of z.
    """

    def __init__(
        self,
        image_size: int = 64,
        latent_dim: int = 128,
        text_dim: int = 512,
        conditioning: str = "concat",
        likelihood: Likelihood = "bernoulli",
        width: int = 32,
        text_features: int = 1024,
        normalise_text: bool = True,
        prior_components: int = 1,
    ) -> None:
        size = whole_number("image_size", image_size)
        stages = max(size // 4, 1).bit_length() - 1
        if stages < 2 or size != 4 * 2**stages:
            raise ValueError(f"image_size must be 16, 32, 64, 128, 256 …, got {size}")
        if likelihood == "binarised":
            raise ValueError("'binarised' makes a colour channel 0 or 1: choose another likelihood")
        super().__init__((3, size, size), latent_dim, likelihood, prior_components)
        self.image_size = size
        self.text_dim = text_dim = whole_number("text_dim", text_dim, at_least=1)
        self.conditioning = one_of("conditioning", conditioning, CONDITIONINGS)
        self.conditional = conditioning != "none"
        self.width = whole_number("width", width, at_least=2)
        step = HEADS if conditioning == "attend" else 2
        if self.width % step:
            raise ValueError(f"width must be a multiple of {step} for {conditioning}, got {width}")
        self.text_features = whole_number("text_features", text_features, at_least=1)
        self.normalise_text = bool(normalise_text)

        channels = [self.width * 2**stage for stage in range(stages)]
        flat = channels[-1] * 4 * 4
        up = [*reversed(channels), self.width // 2]
        sizes = Sizes(flat, self.latent_dim, tuple(up), self.text_features, text_dim, text_dim)
        self.encoder = nn.Sequential(*(halving(*pair) for pair in pairwise([3, *channels])))
        self.encoder.append(nn.Flatten())
        self.condition = CONDITIONINGS[conditioning](partial(nn.Linear, self.text_dim), sizes)
        self.mu_head = nn.Linear(flat + self.condition.features_width, self.latent_dim)
        self.logvar_head = nn.Linear(flat + self.condition.features_width, self.latent_dim)
        self.decoder_input = nn.Linear(self.latent_dim + self.condition.latent_width, flat)
        self.decoder = nn.ModuleList(doubling(*pair) for pair in pairwise(up))
        self.to_rgb = nn.Conv2d(up[-1], 3, 3, padding=1)
        self.prior: Any = Prior(self.latent_dim, 1, self.prior_components, self.text_dim)
        if isinstance(self.condition, Attend):
            self.prior = TextPrior(self.latent_dim, self.condition.reader, text_dim)

    @property
    def reads_words(self) -> bool:
        """Whether its condition is a vector for each word, and not one for the text."""
        return isinstance(self.condition, Attend)

    @classmethod
    def article(cls, image_size: int = 128, latent_dim: int = 512) -> "TextConditionalVAE":
        """The article's model: concat, its widths, its order of layers, the text as it comes.

        13,721,123 parameters at 128 pixels with latent 128, 23,945,507 with 512.
        """
        return cls(image_size, latent_dim, normalise_text=False)

    def decode_logits(self, z: Tensor, condition: Any = None) -> Tensor:
        text = self.prepare(condition, len(z))
        h = self.decoder_input(self.condition.latent(self.check_latent(z), text))
        maps = self.condition.maps(h.unflatten(1, (-1, 4, 4)), text, stage=0)
        for number, stage in enumerate(self.decoder, 1):
            maps = F.relu(self.condition.maps(stage(maps), text, number))
        return self.to_rgb(maps).float()

    def prepare(self, condition: Any, batch: int | None = None) -> Tensor | None:
        """Text vectors as the layers get them, (B, text_dim); None for a model without text.

        A model that reads words gets them as (B, L, text_dim), padded with zeros; for it this is a
        `Reading`, which passes as it is.
        """
        if not self.conditional or isinstance(condition, Reading):
            return condition if self.conditional else None
        text = self._checked(condition, batch)
        text = F.layer_norm(text, (self.text_dim,)) if self.normalise_text else text
        return self.condition.reader(text) if isinstance(self.condition, Attend) else text

    def _checked(self, condition: Any, batch: int | None = None) -> Tensor:
        """Text vectors in the type of the weights; ValueError for what does not fit."""
        text = check_texts(condition, self.text_dim, self.reads_words, batch)
        return text.to(self.mu_head.weight)

    def given(self, condition: Any) -> tuple[Any, tuple[Tensor | float, Tensor | float]]:
        """The condition, its words read once for a whole step, and the prior's moments (B, D)."""
        if not isinstance(self.condition, Attend):
            return condition, (0.0, 0.0)
        reading = self.prepare(condition)
        return reading, self.prior.moments(reading)

    def sample(
        self,
        condition: Any,
        generator: Generator | None = None,
        temperature: float = 1.0,
        fitted_prior: bool = True,
    ) -> Tensor:
        """As `BaseVAE.sample`; of words, the prior's `Layout` first adds the places they lack."""
        if isinstance(self.prior, TextPrior) and self.prior.fitted and fitted_prior:
            condition = self.prior.layout.complete(self._checked(condition), generator, temperature)
        return super().sample(condition, generator, temperature, fitted_prior)


def halving(channels_in: int, channels_out: int) -> nn.Sequential:
    """A stage of an encoder: (B, C_in, S, S) → (B, C_out, S/2, S/2)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def doubling(channels_in: int, channels_out: int) -> nn.Sequential:
    """A stage of a decoder before its ReLU: (B, C_in, S, S) → (B, C_out, 2S, 2S)."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1),
        nn.BatchNorm2d(channels_out),
    )
