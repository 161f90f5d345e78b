"""From here to large models: a VAE whose code is a map, and a flow over it that attends to words.

Both parts have a namesake in latent diffusion (Rombach et al. 2022): its autoencoder, and the
network that it trains over the codes (here by flow matching, Lipman et al. 2023).
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cvae_lib.checks import check_images, check_texts, evaluating, real_number, whole_number
from cvae_lib.losses import Likelihood, reparameterize
from cvae_lib.models.base import BaseVAE, Rebuildable
from cvae_lib.models.prior import Prior, scaled_noise
from cvae_lib.models.text import doubling, halving
from cvae_lib.models.words import Attention, Reading, WordReader, place_waves

DOWN = 8  # pixels of the picture to a cell of the code, along a side
FREQUENCIES = 6  # sines and cosines that tell the time


class MapVAE(BaseVAE):
    """VAE of pictures (B, 3, S, S) whose code is a map of S/8 × S/8 cells, given flat.

    Args:
        image_size: S, a multiple of 8.
        code_channels: numbers of a cell; ``latent_dim`` is that times the cells.
        width: channels of the first stage; the two further ones double them.
        likelihood: as in `BaseVAE`.
    """

    conditional = False

    def __init__(
        self,
        image_size: int = 64,
        code_channels: int = 4,
        width: int = 32,
        likelihood: Likelihood = "bernoulli",
    ) -> None:
        self.image_size, self.width = image_size, width
        self.code_channels = whole_number("code_channels", code_channels, at_least=1)
        self.side = whole_number("image_size", image_size, at_least=DOWN) // DOWN
        if self.side * DOWN != image_size:
            raise ValueError(f"image_size must be a multiple of {DOWN}, got {image_size}")
        super().__init__((3, image_size, image_size), code_channels * self.side**2, likelihood, 1)
        stages = [width, 2 * width, 4 * width]
        self.encoder = nn.Sequential(*(halving(*pair) for pair in pairwise([3, *stages])))
        self.to_moments = nn.Conv2d(stages[-1], 2 * code_channels, 3, padding=1)
        self.decoder_input: Any = nn.Conv2d(code_channels, stages[-1], 3, padding=1)
        up = [*reversed(stages), width // 2]
        self.decoder = nn.ModuleList(doubling(*pair) for pair in pairwise(up))
        self.to_rgb = nn.Conv2d(up[-1], 3, 3, padding=1)
        self.prior = Prior(self.latent_dim, 1, 1)

    def prepare(self, condition: Any, batch: int | None = None) -> None:
        """No condition enters."""

    def encode(self, x: Tensor, condition: Any = None) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of the posterior q(z | x), each (B, latent_dim)."""
        x = check_images(x, self.image_shape).to(self.to_rgb.weight)
        mu, logvar = self.to_moments(self.encoder(x)).float().chunk(2, dim=1)
        return mu.flatten(1), logvar.flatten(1)

    def decode_logits(self, z: Tensor, condition: Any = None) -> Tensor:
        """z (B, latent_dim) → logits (B, 3, S, S)."""
        cells = self.check_latent(z).unflatten(1, (self.code_channels, self.side, self.side))
        maps = F.relu(self.decoder_input(cells))
        for stage in self.decoder:
            maps = F.relu(stage(maps))
        return self.to_rgb(maps).float()


class Block(nn.Module):
    """Cells (B, N, C) look at each other, at the words, and think; the time scales and shifts.

    Source: Peebles & Xie 2023, arXiv 2212.09748, with attention to words as in Rombach et al.
    """

    def __init__(self, width: int, word_dim: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(3))
        self.told = nn.Linear(width, 6 * width)  # scale and shift before each of the three
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)
        self.cells = Attention(width, width)
        self.words = Attention(width, word_dim)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, h: Tensor, time: Tensor, reading: Reading) -> Tensor:
        """Cells (B, N, C), the time (B, C) as a vector, and a text's words → cells (B, N, C)."""
        told = self.told(time)[:, None].chunk(6, dim=2)
        nobody = torch.zeros(h.shape[:2], dtype=torch.bool, device=h.device)
        parts: tuple[Callable[[Tensor], Tensor], ...] = (
            lambda x: self.cells(x, x, nobody),
            lambda x: self.words(x, reading.words, reading.padding),
            self.think,
        )
        for norm, part, scale, shift in zip(self.norms, parts, told[:3], told[3:], strict=True):
            h = h + part(norm(h) * (1 + scale) + shift)
        return h


class LatentFlow(Rebuildable):
    """p(picture | text): a flow over the codes of a trained `MapVAE` that attends to words.

    Args:
        image_size, code_channels, vae_width: of the `MapVAE`, which is held still.
        word_dim: numbers of a word's vector.
        width, blocks: numbers of a cell in the flow's network, and how many times a `Block`.
    """

    centre: Tensor  # (code_channels, 1): mean and standard deviation of the codes
    spread: Tensor
    conditional = reads_words = True

    def __init__(
        self,
        image_size: int = 64,
        code_channels: int = 4,
        vae_width: int = 32,
        word_dim: int = 256,
        width: int = 128,
        blocks: int = 4,
    ) -> None:
        super().__init__()
        self.image_size, self.code_channels, self.vae_width = image_size, code_channels, vae_width
        self.image_shape = (3, image_size, image_size)
        self.word_dim, self.width, self.blocks = word_dim, width, blocks
        self.vae = MapVAE(image_size, code_channels, vae_width).requires_grad_(False)
        self.reader = WordReader(word_dim)
        self.cell = nn.Linear(code_channels, width)
        self.register_buffer("places", places := place_waves(self.vae.side), persistent=False)
        self.place = nn.Linear(places.shape[1], width)
        self.time = nn.Sequential(
            nn.Linear(2 * FREQUENCIES + self.reader.pooled, width), nn.SiLU(),
            nn.Linear(width, width), nn.SiLU(),
        )  # fmt: skip
        self.network = nn.ModuleList(Block(width, self.reader.width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, code_channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("centre", torch.zeros(code_channels, 1))
        self.register_buffer("spread", torch.ones(code_channels, 1))

    @torch.no_grad()
    def adopt(self, vae: MapVAE, x: Tensor) -> None:
        """Take a trained `MapVAE` over, and mean and spread of its codes of ``x`` (N, C, H, W)."""
        self.vae.load_state_dict(vae.state_dict())
        self.centre.zero_()
        self.spread.fill_(1)
        codes = torch.cat([self.codes(piece) for piece in x.split(250)])
        self.centre.copy_(codes.mean((0, 2))[:, None])
        self.spread.copy_(codes.std((0, 2))[:, None])

    def read(self, words: Tensor) -> Reading:
        """Word vectors (B, L, word_dim), padded with zeros, as the flow attends to them."""
        return self.reader(F.layer_norm(words, words.shape[2:]))

    def codes(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Draws from the posteriors of pictures, of mean 0 and variance 1 a channel: (B, C, N)."""
        with torch.no_grad(), evaluating(self.vae):
            z = reparameterize(*self.vae.encode(x), generator)
        return (z.unflatten(1, (self.code_channels, -1)) - self.centre) / self.spread

    def velocity(self, code: Tensor, time: Tensor, reading: Reading) -> Tensor:
        """Where codes (B, C, N) at times (B,) in [0, 1] are heading: (B, C, N)."""
        frequencies = 2 ** torch.arange(FREQUENCIES, device=time.device) * (math.pi / 4)
        angles = time[:, None] * frequencies
        told = self.time(torch.cat([angles.sin(), angles.cos(), reading.pooled], 1))
        h = self.cell(code.transpose(1, 2)) + self.place(self.places)
        for block in self.network:
            h = block(h, told, reading)
        return self.out(self.norm(h)).transpose(1, 2).float()

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,
        generator: Generator | None = None,
        temperature: float = 1.0,
        steps: int = 8,
        guidance: float = 2.0,
    ) -> Tensor:
        """Draw pictures (B, 3, S, S) in [0, 1] for word vectors (B, L, word_dim).

        ``steps`` of Heun's method lead from noise to codes; ``guidance`` g follows
        v(no text) + g (v(text) − v(no text)) (Ho & Salimans 2021). With 1, what was trained, the
        pictures are more like the data's; with 2 they do more often what the text says. ValueError
        for other vectors, fewer than one step or a negative weight.
        """
        steps, guidance = whole_number("steps", steps, 1), real_number("guidance", guidance, 0)
        words = check_texts(condition, self.word_dim, words=True).to(self.out.weight)
        with evaluating(self):
            texts = [self.read(words)]
            if guidance != 1:
                texts.append(self.read(torch.zeros_like(words)))

            def heading(code: Tensor, at: float) -> Tensor:
                time = torch.full((len(code),), at).to(code)
                told, *blind = (self.velocity(code, time, text) for text in texts)
                return blind[0] + guidance * (told - blind[0]) if blind else told

            size = self.code_channels * self.vae.side**2
            noise = scaled_noise(len(words), size, self.centre, generator, temperature)
            code = noise.unflatten(1, (self.code_channels, -1))
            for step in range(steps):
                first = heading(code, step / steps)
                second = heading(code + first / steps, (step + 1) / steps)
                code = code + (first + second) / (2 * steps)
            return self.vae.decode((code * self.spread + self.centre).flatten(1))


def latent_flow_matching(
    model: Any,
    x: Tensor,
    condition: Tensor,
    generator: Generator | None = None,
    beta: float | Tensor = 1.0,
    dropped: float = 0.1,
) -> dict[str, Tensor]:
    """The objective of a `LatentFlow`, for `fit`: mean squared error of the velocity, (B,).

    A text is left out with the chance ``dropped``, for guidance. ``beta`` is not used.
    """
    end = model.codes(x, generator)
    zeros = torch.zeros(len(end), end[0].numel() + 2, device=end.device)
    noise = reparameterize(zeros, zeros, generator)
    start, time = noise[:, :-2].view_as(end), torch.sigmoid(noise[:, -2])
    kept = noise[:, -1] < math.sqrt(2) * torch.erfinv(torch.tensor(1 - 2 * dropped))
    reading = model.read(condition * kept[:, None, None].to(condition))
    along = torch.lerp(start, end, time[:, None, None])
    error = model.velocity(along, time, reading) - (end - start)
    return {"loss": error.square().mean((1, 2))}
