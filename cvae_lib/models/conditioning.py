"""How a condition enters a VAE: one module for each way, with an encoder's and a decoder's half.

The condition is labels (B,), text vectors (B, D), or the `Reading` of words. A new way is a class
here and a row in `CONDITIONINGS`; models of garments and of texts share it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cvae_lib.models.words import CrossAttention, Reading, WordReader

Embed = Callable[..., nn.Module]  # embed(n, bias=True) → a layer: condition → (B, n)


class Sizes(NamedTuple):
    """What a condition may enter into."""

    features: int  # numbers that the encoder gives, flattened
    latent: int  # numbers in z
    maps: tuple[int, ...]  # channels of the decoder's maps; the first has the encoder's last ones
    appended: int  # numbers that "concat" appends to the features
    appended_latent: int | None = None  # as many coordinates of the condition, to z; None: the same
    word_dim: int = 0  # numbers of a word's vector, where words are read


class Unconditional(nn.Module):
    """The condition does not enter. The other ways in override what they do differently."""

    features_width = latent_width = 0  # what is appended to the features, and to z

    def __init__(self, embed: Embed | None = None, sizes: Sizes | None = None) -> None:
        super().__init__()

    def features(self, features: Tensor, condition: Tensor | None) -> Tensor:
        """The encoder's half: its features (B, F) → what the two heads read."""
        return features

    def latent(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """The decoder's half: z (B, D) → what its first layer reads."""
        return z

    def maps(self, maps: Tensor, condition: Tensor | None, stage: int) -> Tensor:
        """The decoder's half, further on: its feature map number ``stage``, (B, C, H, W)."""
        return maps


class Concat(Unconditional):
    """A vector of the condition is appended to the features, and to z."""

    def __init__(self, embed: Embed, sizes: Sizes) -> None:
        super().__init__()
        self.to_features = embed(sizes.appended)
        self.as_it_is = sizes.appended_latent is not None
        self.features_width = sizes.appended
        self.latent_width = sizes.appended_latent or sizes.appended

    def features(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return torch.cat([features, self.to_features(condition)], dim=1)

    def latent(self, z: Tensor, condition: Tensor | None) -> Tensor:
        appended: Any = condition if self.as_it_is else self.to_features(condition)
        return torch.cat([z, appended], dim=1)


class Add(Unconditional):
    """A vector of the condition is added to the features, and another one to z.

    ``std`` is of the layers' initial weights; None leaves them as ``embed`` makes them.
    """

    def __init__(self, embed: Embed, sizes: Sizes, std: float | None = None) -> None:
        super().__init__()
        self.to_features = embed(sizes.features)
        self.to_latent = embed(sizes.latent)
        if std is not None:
            for layer in (self.to_features, self.to_latent):
                nn.init.normal_(layer.get_parameter("weight"), std=std)

    def features(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return features + self.to_features(condition)

    def latent(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return z + self.to_latent(condition)


class Film(Unconditional):
    """The condition scales and shifts each channel: of the encoder's last map, of the decoder's.

    Its layers start at 0, without effect. Source: Perez et al. 2018.
    """

    def __init__(self, embed: Embed, sizes: Sizes) -> None:
        super().__init__()
        self.to_features = embed(2 * sizes.maps[0], bias=False)
        self.to_maps = nn.ModuleList(embed(2 * channels, bias=False) for channels in sizes.maps)
        for layer in (self.to_features, *self.to_maps):
            nn.init.zeros_(layer.get_parameter("weight"))

    def features(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return film(features, self.to_features(condition))

    def maps(self, maps: Tensor, condition: Tensor | None, stage: int) -> Tensor:
        return film(maps, self.to_maps[stage](condition))


class ConcatFilm(Film):
    """`Concat` and `Film` together: one for where things are, one for how they look."""

    def __init__(self, embed: Embed, sizes: Sizes) -> None:
        super().__init__(embed, sizes)
        self.concat = Concat(embed, sizes)
        self.features_width = self.concat.features_width
        self.latent_width = self.concat.latent_width

    def features(self, features: Tensor, condition: Tensor | None) -> Tensor:
        return self.concat.features(super().features(features, condition), condition)

    def latent(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return self.concat.latent(z, condition)


class Attend(Unconditional):
    """Cells of the encoder's last map and of the decoder's first two look at the text's words.

    A `WordReader` reads them; the pooled text is appended to the features, and to z.
    """

    def __init__(self, embed: Embed, sizes: Sizes) -> None:
        super().__init__()
        self.reader = WordReader(sizes.word_dim)
        self.features_width = self.latent_width = self.reader.pooled
        self.to_features = CrossAttention(sizes.maps[0], 4, self.reader.width)
        self.to_maps = nn.ModuleList(
            CrossAttention(channels, side, self.reader.width)
            for channels, side in zip(sizes.maps, (4, 8), strict=False)
        )

    def features(self, features: Tensor, condition: Any) -> Tensor:
        reading: Reading = condition
        maps = self.to_features(features.unflatten(1, (-1, 4, 4)), reading)
        return torch.cat([maps.flatten(1), reading.pooled], dim=1)

    def latent(self, z: Tensor, condition: Any) -> Tensor:
        return torch.cat([z, condition.pooled], dim=1)

    def maps(self, maps: Tensor, condition: Any, stage: int) -> Tensor:
        return self.to_maps[stage](maps, condition) if stage < len(self.to_maps) else maps


CONDITIONINGS = {
    "none": Unconditional,
    "concat": Concat,
    "add": Add,
    "film": Film,
    "concat-film": ConcatFilm,
    "attend": Attend,
}


def film(features: Tensor, scale_and_shift: Tensor) -> Tensor:
    """(1 + γ)·h + β by channel: features (B, C, H, W), or flat (B, C·P); (B, 2·C), γ and then β."""
    gamma, beta = scale_and_shift[..., None, None].chunk(2, dim=1)
    maps = features if features.ndim == 4 else features.view(*gamma.shape[:2], -1, 1)
    return ((1 + gamma) * maps + beta).view_as(features)
