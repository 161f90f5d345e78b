"""The prior that z is drawn from: N(0, I), or Gaussians fitted to the codes after training."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.distributions import MultivariateNormal

from cvae_lib.models.layout import Layout
from cvae_lib.models.words import Reading, WordReader

LARGEST_LOGVAR = 6.0  # of a text's Gaussian, both ways: a narrower one makes a KL that explodes


def scaled_noise(
    count: int, dim: int, like: Tensor, generator: Generator | None, temperature: float
) -> Tensor:
    """``temperature`` · ε, ε ~ N(0, I): (count, dim), of the type and on the device of ``like``.

    ValueError for a temperature below 0 or not finite.
    """
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be at least 0 and finite, got {temperature}")
    noise = torch.randn(count, dim, generator=generator, device=like.device, dtype=like.dtype)
    return temperature * noise


class Prior(nn.Module):
    """A mixture of Gaussians for each class; of a text, one Gaussian whose mean follows it.

    It is N(0, I) until it is `set`. Its numbers are buffers: kept with the weights, not trained.
    ``classes`` is 1 for all images together, ``text_dim`` 0 without texts. Source: Ghosh et al.
    2020, section 4 (ex-post density estimation).
    """

    weight: Tensor  # (classes, components)
    mean: Tensor  # (classes, components, latent_dim)
    scale: Tensor  # (classes, components, latent_dim, latent_dim): covariance = scale · scaleᵀ
    text: Tensor  # (latent_dim, text_dim): what a text adds to the mean

    def __init__(self, latent_dim: int, classes: int, components: int, text_dim: int = 0) -> None:
        super().__init__()
        shape = (classes, components)
        self.register_buffer("weight", torch.full(shape, 1 / components))
        self.register_buffer("mean", torch.zeros(*shape, latent_dim))
        self.register_buffer("scale", torch.eye(latent_dim).repeat(*shape, 1, 1))
        self.register_buffer("text", torch.zeros(latent_dim, text_dim), persistent=text_dim > 0)

    @property
    def fitted(self) -> bool:
        """Whether it is another one than N(0, I)."""
        identity = torch.eye(self.mean.shape[2]).to(self.scale)
        return bool(self.mean.any() or (self.scale != identity).any())

    def sample(
        self,
        count: int,
        condition: Tensor | None,
        generator: Generator | None = None,
        temperature: float = 1.0,
        fitted: bool = True,
    ) -> Tensor:
        """Draw z (count, latent_dim) for labels (count,), texts (count, text_dim), or None.

        ``temperature`` scales the noise around the means; ``fitted=False`` draws from N(0, I).
        """
        classes, components, dim = self.mean.shape
        noise = scaled_noise(count, dim, self.mean, generator, temperature)
        if not fitted:
            return noise
        which = torch.zeros(count, dtype=torch.long, device=noise.device)
        if classes > 1 and condition is not None:
            which = condition
        place = which * components
        if components > 1:
            place = place + torch.multinomial(self.weight[which], 1, generator=generator)[:, 0]
        z = self.mean.flatten(0, 1)[place]
        for index in place.unique():
            rows = place == index
            z[rows] += noise[rows] @ self.scale.flatten(0, 1)[index].T
        return z if classes > 1 or condition is None else z + condition @ self.text.T

    @torch.no_grad()
    def given(self, label: int, weight: Tensor, value: Tensor, noise: Tensor) -> "Prior":
        """The prior of one class where weight · z + ε = value, with ε ~ N(0, noise).

        Each N(m, S) becomes N(m + G (value − weight m), S − G weight S), with the gain
        G = S weightᵀ (weight S weightᵀ + noise)⁻¹, and counts as much as its density at the value.
        All in float64, (P, latent_dim), (P,) and (P, P). Source: Bishop 2006, section 2.3.
        """
        parts = (part[label].cpu().double() for part in (self.weight, self.mean, self.scale))
        share, mean, scale = parts
        covariance = scale @ scale.mT
        cross = weight @ covariance  # (components, P, latent_dim)
        own = cross @ weight.T + noise
        gap = value - mean @ weight.T
        gain = torch.linalg.solve(own, cross).mT
        density = MultivariateNormal(torch.zeros_like(gap), own).log_prob(gap)
        result = Prior(mean.shape[1], 1, len(mean))
        result.set(
            (mean + (gain @ gap[:, :, None])[:, :, 0])[None],
            (covariance - gain @ cross)[None],
            torch.softmax(share.log() + density, 0)[None],
        )
        return result.to(self.mean)

    @torch.no_grad()
    def set(
        self,
        mean: Tensor,
        covariance: Tensor,
        weight: Tensor | None = None,
        text: Tensor | None = None,
    ) -> None:
        """Let class c be the mixture of N(mean[c, k], covariance[c, k]) with weight[c, k].

        Args:
            mean, covariance, weight: of the buffers' shapes, the covariances positive definite;
                equal weights if None.
            text: (latent_dim, text_dim): the mean for the text t is mean + text · t. None: 0.

        ValueError for other shapes, values that are not finite, or covariances that are not
        positive definite; only their lower triangles are read.
        """
        values = {"mean": mean, "scale": covariance, "weight": weight, "text": text}
        given = {name: value for name, value in values.items() if value is not None}
        for name, value in given.items():
            if value.shape != (wanted := self.get_buffer(name).shape):
                shapes = f"{tuple(wanted)}, got {tuple(value.shape)}"
                raise ValueError(f"the {name} of this prior must be {shapes}")
        given["scale"], failed = torch.linalg.cholesky_ex(covariance.float())
        if failed.any() or not all(value.isfinite().all() for value in given.values()):
            raise ValueError("prior must have finite means and positive definite covariances")
        self.weight.fill_(1 / self.weight.shape[1])
        self.text.zero_()
        for name, value in given.items():
            self.get_buffer(name).copy_(value)


class TextPrior(nn.Module):
    """p(z | text) for a `Reading` of texts: a Gaussian whose moments a network tells.

    It is trained with the VAE, as the prior of its KL term (Sohn et al. 2015). It has one mode,
    where "a red circle" has as many as there are places: so its `Layout`, trained afterwards, first
    puts the places that a text leaves open into the text.
    """

    def __init__(
        self, latent_dim: int, reader: WordReader, word_dim: int, width: int = 256
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        last = nn.Linear(width, 2 * latent_dim)
        self.gaussian = nn.Sequential(nn.Linear(reader.pooled, width), nn.GELU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layout = Layout(word_dim)

    @property
    def fitted(self) -> bool:
        """Whether the layout has been trained."""
        return self.layout.fitted

    def moments(self, condition: Reading) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the Gaussian, each (B, latent_dim)."""
        mean, logvar = self.gaussian(condition.pooled).float().chunk(2, dim=1)
        return mean, LARGEST_LOGVAR * torch.tanh(logvar / LARGEST_LOGVAR)

    def sample(
        self,
        count: int,
        condition: Reading,
        generator: Generator | None = None,
        temperature: float = 1.0,
        fitted: bool = True,
    ) -> Tensor:
        """Draw z (count, latent_dim); as in `Prior`, but always from the Gaussian."""
        mean, logvar = self.moments(condition)
        noise = scaled_noise(count, self.latent_dim, mean, generator, temperature)
        return mean + torch.exp(0.5 * logvar) * noise
