"""How a condition enters a VAE: one module for each way, with an encoder's and a decoder's half.

The condition is labels (B,) or text vectors (B, D). A new way is a class here and a row in
`CONDITIONINGS`; models of garments and of texts share it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Embed = Callable[..., nn.Module]  # embed(n, bias=True) → a layer: condition → (B, n)


class Sizes(NamedTuple):
    """What a condition may enter into."""

    features: int  # numbers that the encoder gives, flattened
    latent: int  # numbers in z
    maps: tuple[int, ...]  # channels of the decoder's maps; the first has the encoder's last ones
    appended: int  # numbers that "concat" appends to the features
    appended_latent: int | None = None  # as many coordinates of the condition, to z; None: the same


class Unconditional(nn.Module):
    """The condition does not enter. What the others change of that is all they are."""

    features_width = latent_width = 0  # what is appended to the features, and to z
    has_maps = False  # whether `maps` does anything

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

    Args:
        std: of the layers' initial weights; None leaves them as `embed` makes them.
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

    has_maps = True

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


CONDITIONINGS = {"none": Unconditional, "concat": Concat, "add": Add, "film": Film}


def film(features: Tensor, scale_and_shift: Tensor) -> Tensor:
    """(1 + γ)·h + β by channel: features (B, C, H, W), or flat (B, C·P); (B, 2·C), γ and then β."""
    gamma, beta = scale_and_shift[..., None, None].chunk(2, dim=1)
    maps = features if features.ndim == 4 else features.view(*gamma.shape[:2], -1, 1)
    return ((1 + gamma) * maps + beta).view_as(features)
