"""What a nat of code buys, and when the code is left empty: two experiments for chapter 03.

    python benchmarks/rate_distortion.py                  # every run that has no record yet
    python benchmarks/rate_distortion.py beta-1 warm-up   # those of two arms
    python benchmarks/rate_distortion.py --again          # every run, in place of its record

"rate-distortion": the article's VAE (128 latent units, binary cross-entropy) at seven weights β of
the KL term. "collapse": binarised pixels and a decoder that also reads the pixels drawn before, row
by row, so that it can do without the code; alone, with KL warm-up, with free bits, with both, and,
to compare, the article's decoder, which sees the code only. Arms and seeds were written down before
the first run; every run is kept. 5 epochs of 20,000 training images, measured on the first 2,000
test images. One thread a run. Records: cvae_lib/records/rate-distortion and /collapse.
"""

from __future__ import annotations

from typing import Any

import arms
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvae_lib import losses, metrics
from cvae_lib.data import ImageSet, fashion_mnist
from cvae_lib.models import VAE
from cvae_lib.pretrained import load_pretrained
from cvae_lib.train import History, Objective, TrainConfig, fit

EPOCHS = 5
TRAIN_IMAGES, VALID_IMAGES, TEST_IMAGES = 20_000, 500, 2_000
BOUND_IMAGES = 500  # test images whose importance-weighted bound is taken
BOUND_SAMPLES = (1, 8, 64)
BETAS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SEEDS = range(3)

LATENT = 32  # of the collapse experiment
FREE_NATS = 8.0  # of code that the loss does not charge for, averaged over the batch
WARMUP = 400  # steps, of 785
# (warm-up steps, free nats); None has the decoder that sees the code only
COLLAPSE: dict[str, tuple[int, float] | None] = {
    "none": (0, 0.0),
    "warm-up": (WARMUP, 0.0),
    "free-bits": (0, FREE_NATS),
    "both": (WARMUP, FREE_NATS),
    "code-only": None,
}
ARMS = [f"beta-{beta:g}" for beta in BETAS] + list(COLLAPSE)

EXPERIMENTS = {
    "rate-distortion": arms.Experiment(
        "What a nat of code buys",
        "The article's VAE at several weights β of the KL term: 5 epochs of 20,000 pictures, "
        "measured on 2,000. "
        "Told in [Chapter 03](03_the_elbo.ipynb).",
        {
            "distortion": "nll",
            "rate": "kl",
            "SSE": "sse",
            "active units": "active_units",
            "Fréchet": "frechet",
        },
    ),
    "collapse": arms.Experiment(
        "When the code is left empty",
        "Binarised pixels and a decoder that also reads the pixels before, so that it can do "
        "without the code; with remedies, and against a decoder that sees the code only. "
        "Told in [Chapter 03](03_the_elbo.ipynb).",
        {
            "distortion": "nll",
            "distortion with another picture's code": "swapped_nll",
            "rate": "kl",
            "active units": "active_units",
            "ELBO": "bounds.1",
            "importance-weighted bound, K = 64": "bounds.64",
        },
        {
            "none": "no remedy",
            "warm-up": "KL warm-up over 400 steps",
            "free-bits": "the first 8 nats cost nothing",
            "both": "warm-up and free bits",
            "code-only": "the article's decoder",
        },
    ),
}


class CausalConv(nn.Conv2d):
    """A convolution of one channel that sees only the pixels above, and those left in its row.

    Source: van den Oord et al. 2016, "Pixel Recurrent Neural Networks", mask A.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(1, channels, size, padding=size // 2)
        self.mask: Tensor
        before = torch.arange(size * size) < size * size // 2
        self.register_buffer("mask", before.float().view(1, 1, size, size))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class RowVAE(VAE):
    """A VAE whose decoder writes the picture row by row, as a language model writes words.

    The code only starts the recurrent network that carries what it read from row to row (Bowman
    et al. 2016); within the row and just above it, a causal convolution sees the pixels.
    """

    def __init__(self, latent_dim: int = LATENT, channels: int = 16, hidden: int = 256) -> None:
        super().__init__(latent_dim, likelihood="binarised")
        del self.decoder_input, self.decoder
        self.start = nn.Linear(latent_dim, hidden)
        self.rows = nn.GRU(28, hidden, batch_first=True)
        self.spread = nn.Linear(hidden, 28 * channels)
        self.near = CausalConv(channels, 7)
        self.out = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, 1, 1)
        )

    def logits(self, z: Tensor, x: Tensor) -> Tensor:
        """z (B, D), x (B, 1, 28, 28) of 0 and 1 → logits of each pixel given those before it."""
        above = F.pad(x[:, 0, :-1], (0, 0, 1, 0))  # row r reads the rows up to r - 1
        states, _ = self.rows(above, torch.tanh(self.start(z))[None])
        far = self.spread(states).view(len(x), 28, 28, -1).permute(0, 3, 1, 2)
        return self.out(far + self.near(x)).float()


def pixel_logits(model: VAE, z: Tensor, x: Tensor) -> Tensor:
    """The logits with which ``model`` scores the binary picture ``x`` given its code ``z``."""
    return model.logits(z, x) if isinstance(model, RowVAE) else model.decode_logits(z)


def free_objective(free_nats: float) -> Objective:
    """nll + β·max(KL, free_nats), the KL averaged over the batch: its first nats are free.

    Source: Kingma et al. 2016, appendix C.8, with the whole code as one group.
    """

    def objective(
        model: Any,
        x: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
        beta: float | Tensor = 1.0,
    ) -> dict[str, Tensor]:
        x = losses.binarise(x, generator)
        mu, logvar = model.encode(x)
        z = losses.reparameterize(mu, logvar, generator)
        nll = losses.bernoulli_nll(x, pixel_logits(model, z, x))
        kl = losses.gaussian_kl(mu, logvar)
        charged = kl.mean().clamp_min(free_nats)
        return {"loss": nll + beta * charged, "nll": nll, "kl": kl}

    return objective


def run_beta(beta: float, seed: int, data: tuple[ImageSet, ...]) -> dict[str, Any]:
    """Train the article's VAE at one β and measure it."""
    torch.manual_seed(seed)
    model = VAE()
    config = TrainConfig(epochs=EPOCHS, beta=beta, seed=seed, precision="float32")
    history = fit(model, data[0], data[1], config)
    return {"beta": beta, **describe(config, data, history, measure_beta(model, data[2]))}


@torch.no_grad()
def measure_beta(model: VAE, test: ImageSet) -> dict[str, float]:
    """Rate, distortion, active units, error of reconstructions, Fréchet distance of samples."""
    x, generator = test.pixels(), torch.Generator().manual_seed(0)
    mu, _ = model.encode(x)
    terms = losses.elbo(model, x, generator=generator)
    judge = load_pretrained("fashion-judge")
    drawn = model.sample(len(x), generator)
    features = [metrics.judge_features(judge, images) for images in (drawn, x)]
    return {
        "nll": float(terms["nll"].mean()),
        "kl": float(terms["kl"].mean()),
        "sse": float(metrics.sse(x, model.decode(mu)).mean()),
        "active_units": losses.active_units(mu),
        "frechet": metrics.frechet_distance(features[0], features[1]),
    }


def run_collapse(arm: str, seed: int, data: tuple[ImageSet, ...]) -> dict[str, Any]:
    """Train one model of the collapse experiment and measure it."""
    settings = COLLAPSE[arm]
    warmup, free_nats = settings or (0, 0.0)
    torch.manual_seed(seed)
    model = RowVAE() if settings else VAE(LATENT, "binarised")
    config = TrainConfig(epochs=EPOCHS, beta_warmup=warmup, seed=seed, precision="float32")
    history = fit(model, data[0], data[1], config, objective=free_objective(free_nats))
    measured = measure_collapse(model, data[2])
    return {"free_nats": free_nats, **describe(config, data, history, measured)}


@torch.no_grad()
def measure_collapse(model: VAE, test: ImageSet) -> dict[str, Any]:
    """The bound's terms, tighter bounds, active units, and what the code is worth to the decoder.

    "swapped_nll" is the nll when each picture gets the code of another one: a decoder that does
    not read the code does not notice.
    """
    generator = torch.Generator().manual_seed(0)
    x = losses.binarise(test.pixels(), generator)
    mu, logvar = model.encode(x)
    z = losses.reparameterize(mu, logvar, generator)
    kl = losses.gaussian_kl(mu, logvar)
    nll, swapped = (
        torch.cat(
            [
                losses.bernoulli_nll(part, pixel_logits(model, code, part))
                for part, code in zip(x.split(500), codes.split(500), strict=True)
            ]
        )
        for codes in (z, z.roll(1, 0))
    )
    few, mu_few, logvar_few = (t[:BOUND_IMAGES] for t in (x, mu, logvar))
    log_w = []
    for _ in range(max(BOUND_SAMPLES)):
        draw = losses.reparameterize(mu_few, logvar_few, generator)
        ratio = losses.gaussian_log_prob(draw) - losses.gaussian_log_prob(draw, mu_few, logvar_few)
        log_w.append(ratio - losses.bernoulli_nll(few, pixel_logits(model, draw, few)))
    weights = torch.stack(log_w)
    bounds = {
        k: [float(losses.importance_weighted_bound(part).mean()) for part in weights.split(k)]
        for k in BOUND_SAMPLES
    }
    return {
        "nll": float(nll.mean()),
        "kl": float(kl.mean()),
        "swapped_nll": float(swapped.mean()),
        "unit_kl": losses.gaussian_kl(mu, logvar, per_unit=True).mean(0).tolist(),
        "active_units": losses.active_units(mu),
        "bounds": {str(k): sum(values) / len(values) for k, values in bounds.items()},
    }


def describe(
    config: TrainConfig, data: tuple[ImageSet, ...], history: History, measured: dict[str, Any]
) -> dict[str, Any]:
    """The record of a run."""
    return {
        "metrics": measured,
        "data": {"train_sha256": data[0].sha256(), "test_sha256": data[2].sha256()},
        **arms.provenance(config, history),
    }


def main(names: list[str], again: bool = False) -> None:
    counts = {"train": TRAIN_IMAGES, "valid": VALID_IMAGES, "test": TEST_IMAGES}
    data = tuple(fashion_mnist(name).first(n) for name, n in counts.items())
    betas = {f"beta-{beta:g}": beta for beta in BETAS}

    def run(arm: str, seed: int) -> dict[str, Any]:
        return run_beta(betas[arm], seed, data) if arm in betas else run_collapse(arm, seed, data)

    jobs = [
        ("rate-distortion" if name in betas else "collapse", name, seed)
        for seed in SEEDS
        for name in names
    ]
    arms.run_missing(jobs, run, again)


if __name__ == "__main__":
    given = arms.parse(arms.parser(__doc__), ARMS)
    main(given.arms, given.again)
