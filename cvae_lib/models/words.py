"""Attention: a sentence's words, read with their neighbours, and looked at by a map's cells."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 4  # of every attention here
WAVES = 8  # sines and cosines that tell a cell's row, and as many its column


class Reading(NamedTuple):
    """What a `WordReader` makes of texts."""

    words: Tensor  # (B, L, D): each word in its context
    padding: Tensor  # (B, L) bool: where there is no word
    pooled: Tensor  # (B, P): the text as a whole


class Attention(nn.Module):
    """Queries (B, Q, C) take what they look for from words (B, L, D). Vaswani et al. 2017, 3.2."""

    def __init__(self, channels: int, word_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(word_dim, channels)
        self.value = nn.Linear(word_dim, channels)
        self.out = nn.Linear(channels, channels)
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)  # with smaller weights it starts slowly
            nn.init.zeros_(layer.bias)

    def weights(self, queries: Tensor, words: Tensor, padding: Tensor) -> Tensor:
        """How much each query heeds each word: (B, heads, Q, L), sums of 1 over the words."""
        q, k = _heads(self.query(queries)), _heads(self.key(words))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        return scores.masked_fill(padding[:, None, None], -1e4).softmax(3)

    def forward(self, queries: Tensor, words: Tensor, padding: Tensor) -> Tensor:
        """What each query takes: (B, Q, C); where ``padding`` (B, L) is true, no word is."""
        values = _heads(self.value(words))  # (B, heads, L, C / heads)
        taken = self.weights(queries, words, padding).to(values.dtype) @ values
        return self.out(taken.transpose(1, 2).flatten(2))


class WordReader(nn.Module):
    """Word vectors (B, L, word_dim), padded with zeros → a `Reading`.

    Convolutions let each word hear its three neighbours on both sides, three times: ``width``
    numbers; learned ``queries`` then pool the text to queries · width numbers, which still know
    which word belongs to which.
    """

    def __init__(self, word_dim: int, width: int = 96, queries: int = 4) -> None:
        super().__init__()
        self.width, self.pooled = width, queries * width
        self.embed = nn.Linear(word_dim, width)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, 7, padding=3) for _ in range(3))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.queries = nn.Parameter(0.02 * torch.randn(queries, width))
        self.pool = Attention(width, width)
        self.pooled_norm = nn.LayerNorm(self.pooled)

    def forward(self, vectors: Tensor) -> Reading:
        """Read word vectors (B, L, word_dim), rows of zeros behind a text's own."""
        words = vectors.any(2, keepdim=True)  # (B, L, 1)
        x = self.embed(vectors) * words
        for norm, convolution in zip(self.norms, self.convolutions, strict=False):
            near = convolution((norm(x) * words).transpose(1, 2)).transpose(1, 2)
            x = (x + F.gelu(near)) * words
        x, padding = self.norms[-1](x), ~words[..., 0]
        queries = self.queries.expand(len(x), -1, -1)
        return Reading(x, padding, self.pooled_norm(self.pool(queries, x, padding).flatten(1)))


class CrossAttention(nn.Module):
    """The cells of a map (B, C, side, side) look at a text's words and change by what they find.

    A cell's query holds its place as sines and cosines: without them not every training finds it.
    """

    places: Tensor  # (side · side, 4 · WAVES)

    def __init__(self, channels: int, side: int, word_dim: int) -> None:
        super().__init__()
        self.register_buffer("places", place_waves(side), persistent=False)
        self.to_query = nn.Linear(4 * WAVES, channels)
        self.attention = Attention(channels, word_dim)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.think = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def cells(self, maps: Tensor) -> Tensor:
        """The map's cells with their places: (B, side · side, C)."""
        return maps.flatten(2).transpose(1, 2) + self.to_query(self.places)

    def weights(self, maps: Tensor, reading: Reading) -> Tensor:
        """How much each cell heeds each word, the mean of the heads: (B, side, side, L)."""
        queries = self.norms[0](self.cells(maps))
        weights = self.attention.weights(queries, reading.words, reading.padding)
        return weights.mean(1).unflatten(1, maps.shape[2:])

    def forward(self, maps: Tensor, reading: Reading) -> Tensor:
        """The maps (B, C, side, side) after their cells have looked at the words, same shape."""
        cells = self.cells(maps)
        cells = cells + self.attention(self.norms[0](cells), reading.words, reading.padding)
        cells = cells + self.think(self.norms[1](cells))
        return cells.transpose(1, 2).unflatten(2, maps.shape[2:])


def _heads(x: Tensor) -> Tensor:
    """(B, N, C) → (B, heads, N, C / heads)."""
    return x.unflatten(2, (HEADS, -1)).transpose(1, 2)


def place_waves(side: int) -> Tensor:
    """Sines and cosines of columns and rows of a square map's cells: (side · side, 4 · WAVES)."""
    at = (torch.arange(side) + 0.5) / side
    rows, columns = torch.meshgrid(at, at, indexing="ij")
    frequencies = 2 ** torch.arange(WAVES) * (math.pi / 2)
    angles = [place.reshape(-1, 1) * frequencies for place in (columns, rows)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1)
