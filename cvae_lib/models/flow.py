"""The prior of a model that reads words: a Gaussian trained with it, then a flow of many modes."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cvae_lib.checks import evaluating
from cvae_lib.losses import reparameterize
from cvae_lib.models.prior import scaled_noise
from cvae_lib.models.words import Attention, Reading, WordReader

STEPS = 16  # of Heun's method from noise to a code
DRAWS = 4  # times and noises for each code of a training batch
LARGEST_LOGVAR = 6.0  # of the Gaussian, both ways: a narrower one makes a KL that explodes
FREQUENCIES = 16  # sines and cosines that tell the time


class FlowPrior(nn.Module):
    """p(z | text), for a `Reading` of texts.

    A Gaussian whose moments a small network tells is trained with the VAE, as the prior of its KL
    term (Sohn et al. 2015). It has one mode, where "a red circle" has as many as there are places.
    So a flow, trained afterwards by `flow_matching`, carries N(0, I) to the codes as that Gaussian
    whitens them. Its velocity is 0 until then.

    Source: Lipman et al. 2023, arXiv 2210.02747.
    """

    def __init__(self, latent_dim: int, reader: WordReader, width: int = 256) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        last = nn.Linear(width, 2 * latent_dim)
        self.gaussian = nn.Sequential(nn.Linear(reader.pooled, width), nn.GELU(), last)
        self.velocity = Velocity(latent_dim, reader.pooled, reader.width, width)
        for layer in (last, self.velocity.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.velocity.requires_grad_(False)  # the VAE's training leaves it as it is

    @property
    def fitted(self) -> bool:
        """Whether the flow has been trained."""
        return bool(self.velocity.out.weight.any())

    def moments(self, condition: Reading) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the Gaussian, each (B, latent_dim)."""
        mean, logvar = self.gaussian(condition.pooled).float().chunk(2, dim=1)
        return mean, LARGEST_LOGVAR * torch.tanh(logvar / LARGEST_LOGVAR)

    def loss(self, z: Tensor, condition: Reading, generator: Generator | None = None) -> Tensor:
        """Squared error of the velocity on the way from noise to the codes z: (B, D) → (B,)."""
        with torch.no_grad():
            mean, logvar = self.moments(condition)
        end = ((z - mean) * torch.exp(-0.5 * logvar))[:, None]
        zeros = torch.zeros(len(z), DRAWS, z.shape[1] + 1, device=z.device)
        noise = reparameterize(zeros, zeros, generator)
        # more often in the middle of the way, where it is hard
        start, time = noise[..., :-1], torch.sigmoid(noise[..., -1])
        along = torch.lerp(start, end, time[:, :, None])
        error = self.velocity(along, time, condition) - (end - start)
        return error.square().mean((1, 2))

    def sample(
        self,
        count: int,
        condition: Reading,
        generator: Generator | None = None,
        temperature: float = 1.0,
        fitted: bool = True,
    ) -> Tensor:
        """Draw z (count, latent_dim); as in `Prior`, but ``fitted=False`` is the Gaussian."""
        weight = self.velocity.out.weight
        u = scaled_noise(count, self.latent_dim, weight, generator, temperature)
        for step in range(STEPS if fitted and self.fitted else 0):
            time = torch.full((count, 1), step / STEPS).to(u)
            first = self.velocity(u[:, None], time, condition)[:, 0]
            ahead = (u + first / STEPS)[:, None]
            second = self.velocity(ahead, time + 1 / STEPS, condition)[:, 0]
            u = u + (first + second) / (2 * STEPS)
        mean, logvar = self.moments(condition)
        return mean + torch.exp(0.5 * logvar) * u


class Velocity(nn.Module):
    """Where codes (B, N, D) at times (B, N) in [0, 1] are heading, given B texts: (B, N, D)."""

    def __init__(
        self, latent_dim: int, pooled: int, word_dim: int, width: int, blocks: int = 3
    ) -> None:
        super().__init__()
        self.code = nn.Linear(latent_dim, width)
        self.time = nn.Linear(2 * FREQUENCIES, width)
        self.text = nn.Linear(pooled, width)
        self.look = nn.ModuleList(Attention(width, word_dim) for _ in range(blocks))
        self.think = nn.ModuleList(_thinking(width) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.out = nn.Linear(width, latent_dim)

    def forward(self, code: Tensor, time: Tensor, condition: Reading) -> Tensor:
        frequencies = 2 ** torch.arange(FREQUENCIES, device=time.device) * (math.pi / 4)
        angles = time[:, :, None] * frequencies
        waves = torch.cat([angles.sin(), angles.cos()], 2)
        h = self.code(code) + self.time(waves) + self.text(condition.pooled)[:, None]
        for norm, look, think in zip(self.norms, self.look, self.think, strict=True):
            h = h + look(norm(h), condition.words, condition.padding)
            h = h + think(h)
        return self.out(F.silu(h))


def _thinking(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
    )


def flow_matching(
    model: Any,
    x: Tensor,
    condition: Tensor | None = None,
    generator: Generator | None = None,
    beta: float | Tensor = 1.0,
) -> dict[str, Tensor]:
    """The objective of a trained VAE's `FlowPrior`, for `fit`: only the velocity learns.

    The codes are draws from the posteriors of images (B, C, H, W) in [0, 1] and their texts, in
    eval mode. ``beta`` is not used.
    """
    with torch.no_grad(), evaluating(model):
        reading = model.prepare(condition)
        mu, logvar = model.encode(x, reading)
        z = reparameterize(mu, logvar, generator)
    return {"loss": model.prior.loss(z, reading, generator)}
