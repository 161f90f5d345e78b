"""What the latent space holds: codes of a data set, walks between them, a prior fitted to them."""

import math
import time
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cvae_lib.checks import evaluating, real_number, same_shape, whole_number
from cvae_lib.config import TrainConfig
from cvae_lib.data.scenes import PHRASES, open_texts
from cvae_lib.data.sets import CaptionedSet, ImageSet, TextEncoder, to_unit
from cvae_lib.data.words import Words
from cvae_lib.losses import reparameterize
from cvae_lib.models import VAE, BaseVAE, TextConditionalVAE

RIDGE = 10.0  # weighs the squares of a text prior's regression


@torch.no_grad()
def encode_set(model: BaseVAE, data: ImageSet | CaptionedSet) -> tuple[Tensor, Tensor]:
    """μ and log σ² of every image's posterior, by its first caption: (N, latent_dim) on the CPU.

    ValueError for a set without images.
    """
    if not len(data):
        raise ValueError("there is nothing to encode: the set has no images")
    size = 1000 if isinstance(data, ImageSet) else 100
    batches = data.to(next(model.parameters()).device).batches(size)
    with evaluating(model):
        pairs = [model.encode(to_unit(images), conditions) for images, conditions in batches]
    mu, logvar = (torch.cat(parts).cpu() for parts in zip(*pairs, strict=True))
    return mu, logvar


def interpolate(start: Tensor, end: Tensor, steps: int, spherical: bool = False) -> Tensor:
    """Walk from ``start`` to ``end``, both (…, D), in equal steps: (steps, …, D), ends included.

    ``spherical`` turns by equal angles, the length changing evenly, where a straight line would
    pass closer to the origin than both ends do (Shoemake 1985, White 2016); a ValueError between
    opposite codes.

    >>> interpolate(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), steps=3)[1]
    tensor([0.5000, 0.5000])
    """
    steps = whole_number("steps", steps, at_least=2)
    same_shape(start, end, ("start", "end"))
    shares = torch.linspace(0, 1, steps).to(start).view(-1, *[1] * start.ndim)
    if not spherical:
        return torch.lerp(start, end, shares)
    a, b = F.normalize(start, dim=-1), F.normalize(end, dim=-1)
    angle = 2 * torch.atan2((a - b).norm(dim=-1, keepdim=True), (a + b).norm(dim=-1, keepdim=True))
    if (angle > 3.14).any():
        raise ValueError("no arc is the shortest between opposite codes: interpolate in a line")
    toward_a, toward_b = (s * torch.sinc(s * angle / math.pi) for s in (1 - shares, shares))
    direction = F.normalize(toward_a * a + toward_b * b, dim=-1)
    first, last = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    return direction * torch.lerp(first, last, shares)


def fit_prior(model: VAE, data: ImageSet, width: float = 1.0, seed: int = 0) -> None:
    """Fit a `mixture` of the model's ``prior_components`` to each class, for `BaseVAE.sample`.

    An unconditional model gets one for all images. ``width`` scales the standard deviations, above
    0; below 1 leaves out the tails (chapter 08). ``seed`` is of the mixtures. Source: Ghosh et al.
    2020, section 4 (ex-post density estimation).
    """
    width = real_number("width", width, above=0)
    mu, logvar = encode_set(model, data)
    classes, components = model.prior.weight.shape
    labels = data.labels.cpu() if classes > 1 else torch.zeros(len(data))
    own = [labels == label for label in range(classes)]
    fits = [mixture(mu[rows], logvar[rows], components, seed) for rows in own]
    means, covariances, weights = map(torch.stack, zip(*fits, strict=True))
    model.prior.set(means, width**2 * covariances, weights)


@torch.no_grad()
def fit_text_prior(
    model: TextConditionalVAE, data: CaptionedSet, width: float = 1.0, seed: int = 0
) -> None:
    """Fit z ~ N(A·text + b, Σ) to the posteriors of captioned images, for `BaseVAE.sample`.

    A and b are the ridge regression of the μ on the text vectors, with one caption of each image
    drawn at random; Σ is the covariance of what is left plus the mean of the σ². ``width`` scales
    its standard deviations.
    """
    width = real_number("width", width, above=0)
    order = torch.arange(len(data)).split(100)
    batches = data.to(next(model.parameters()).device).take(order, (seed,))
    with evaluating(model):
        parts = [
            (*model.encode(to_unit(images), vectors), model.prepare(vectors))
            for images, vectors in batches
        ]
    mu, logvar, text = (torch.cat(part).double().cpu() for part in zip(*parts, strict=True))
    mean, centre = mu.mean(0), text.mean(0)
    x, y = text - centre, mu - mean
    gram = x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(gram, x.T @ y).T
    left = y - x @ weight.T
    covariance = width**2 * (left.T @ left / len(left) + torch.diag(logvar.exp().mean(0)))
    at_no_text = mean - weight @ centre
    model.prior.set(at_no_text[None, None], covariance[None, None], text=weight)


def fit_layout(
    model: TextConditionalVAE, data: CaptionedSet, encoder: TextEncoder, config: TrainConfig
) -> dict[str, Any]:
    """Train the layout of a model that reads words, on captions of scenes, for its ``sample``.

    ``encoder`` reads the words; of ``config`` only epochs, batch_size, seed and the settings of the
    step size are used. Returns each epoch's mean "nll" of a text, in nats, how many "texts" and
    "seconds".
    """
    started, history = time.perf_counter(), list[float]()
    layout, texts = model.prior.layout, open_texts(data, config.seed)
    device, draw = layout.phrases.device, torch.Generator().manual_seed(config.seed)
    words = encoder.ragged([text for text, _ in texts])
    before = encoder.ragged([text[:end] for text, places in texts for end in places])
    rows = np.repeat(np.arange(len(texts)), [len(places) for _, places in texts])
    choices = np.zeros((len(words.tokens), 1), np.float16)
    choices[words.starts[rows] + np.diff(before.starts) - 1, 0] = [
        1 + place for _, places in texts for place in places.values()
    ]
    chosen = Words(choices, words.starts)
    phrases = encoder.words(PHRASES).to(device)
    layout.requires_grad_(True)
    optimizer = torch.optim.Adam(layout.parameters(), config.lr)
    batches, step = max(1, len(texts) // config.batch_size), 0
    for _ in range(config.epochs):
        total, order = 0.0, torch.randperm(len(texts), generator=draw).numpy()
        for batch in np.array_split(order, batches):
            for group in optimizer.param_groups:
                group["lr"] = config.lr_at(step, config.epochs * batches)
            given, wanted = (torch.from_numpy(part[batch]).to(device) for part in (words, chosen))
            nll = layout.loss(given, wanted[:, :, 0].long())
            optimizer.zero_grad()
            nll.mean().backward()
            optimizer.step()
            step, total = step + 1, total + float(nll.detach().sum())
        history.append(total / len(texts))
    layout.requires_grad_(False)
    layout.phrases[1:, : phrases.shape[1]] = phrases
    seconds = time.perf_counter() - started
    return {"nll": history, "texts": len(texts), "seconds": seconds}


def mixture(
    mu: Tensor, logvar: Tensor, components: int, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Means (K, D), covariances (K, D, D) and weights (K,) of K Gaussians fitted to N(μ_n, σ_n²).

    One Gaussian has the mean of all of them and their covariance: that of the μ plus the mean of
    the σ². More are fitted by EM to one draw from each, with 10⁻³ added to the variances.
    ``mu`` and ``logvar`` are (N, D); ValueError if N < 2 K.
    """
    if len(mu) < 2 * components:
        wanted = f"need at least {2 * components} images of each class"
        raise ValueError(f"{wanted} to fit {components} Gaussians, got {len(mu)}")
    if components == 1:
        mu, logvar = mu.double(), logvar.double()
        covariance = torch.cov(mu.T) + torch.diag(logvar.exp().mean(0))
        return mu.mean(0)[None].float(), covariance[None].float(), torch.ones(1)
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture  # seconds to import: for this fit alone

    z = reparameterize(mu, logvar, torch.Generator().manual_seed(seed))
    fitted = GaussianMixture(
        components, reg_covar=1e-3, max_iter=30, init_params="k-means++", random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 30 rounds are enough to sample
        fitted.fit(z.numpy())
    parts = fitted.means_, fitted.covariances_, fitted.weights_
    means, covariances, weights = (torch.from_numpy(part).float() for part in parts)
    return means, covariances, weights
