"""Trainings for test_together.py, which one process takes alone or two take together."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvae_lib import losses
from cvae_lib.data import CaptionedSet
from cvae_lib.distributed import Processes
from cvae_lib.losses import elbo
from cvae_lib.models import TextConditionalVAE
from cvae_lib.train import History, TrainConfig, fit

# 58 images: 9 steps an epoch, of 4 + 3 images each, the last of 1 + 1.
CONFIG = TrainConfig(4, 7, lr=0.01, seed=2, precision="float32", channels_last=False)
EVERYTHING = TrainConfig(epochs=4, batch_size=7, seed=2, beta_warmup=20)


def blobs(count: int, seed: int = 0, size: int = 16) -> CaptionedSet:
    """Coloured squares; one to three captions each, whose vectors tell the colour with noise."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, 3, size, size), dtype=np.uint8)
    colours = rng.integers(0, 196, (count, 3), dtype=np.uint8)
    images[:, :, 4:12, 4:12] += colours[:, :, None, None]
    captions = rng.integers(1, 4, count)
    vectors = rng.normal(0, 0.3, (captions.sum(), 12))
    vectors[:, :3] += np.repeat(colours / 98 - 1, captions, axis=0)
    return CaptionedSet(
        images,
        vectors.astype(np.float16),
        np.concatenate([[0], np.cumsum(captions)]),
        [f"caption {i}" for i in range(captions.sum())],
    )


class Plain(nn.Module):
    """An autoencoder that draws nothing at random and has no BatchNorm."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.down = nn.Conv2d(3, 4, 4, stride=4)
        self.mix = nn.Linear(64 + 12, 8)
        self.up = nn.Linear(8 + 12, 3 * 16 * 16)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        code = self.mix(torch.cat([self.down(x).flatten(1), text], 1)).tanh()
        return self.up(torch.cat([code, text], 1)).sigmoid().view_as(x)


def plain_objective(model: nn.Module, x: Tensor, text: Tensor, *_: Any) -> dict[str, Tensor]:
    """Squared error and a term that tells which captions were drawn."""
    error = (model(x, text) - x).square().flatten(1).sum(1)
    return {"loss": error, "text": text.square().sum(1)}


def new_vae() -> TextConditionalVAE:
    torch.manual_seed(4)
    return TextConditionalVAE(16, 8, 12, "film", "gaussian", width=4)


def sets() -> tuple[CaptionedSet, CaptionedSet]:
    return blobs(58), blobs(30, seed=1)


def train_plain(seed: int = 0) -> tuple[History, nn.Module]:
    model = Plain(seed)
    return fit(model, *sets(), CONFIG, objective=plain_objective), model


def sigma_objective(model: nn.Module, x: Tensor, text: Tensor, *_: Any) -> dict[str, Tensor]:
    """As the models do it: a σ for each batch in training, a fixed one in validation."""
    mean = model(x, text)
    logvar = losses.optimal_logvar(x, mean) if model.training else -1.0
    return {"loss": losses.gaussian_nll(x, mean, logvar)}


def train_sigma() -> History:
    return fit(Plain(0), *sets(), CONFIG, objective=sigma_objective)


def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(7, 3, 4, 4, generator=generator), torch.rand(7, 3, 4, 4, generator=generator)


def train_vae(seed: int = 2) -> History:
    config = TrainConfig(6, 32, 3e-3, "cosine", seed=seed)
    return fit(new_vae(), blobs(256), blobs(64, seed=1), config)


def all_that_can_happen(rank: int, folder: Path) -> dict[str, Any]:
    """What process ``rank`` of two saw."""
    told: dict[str, Any] = {}
    history, model = train_plain(seed=rank)  # the weights to start from are those of process 0
    told["plain"] = history.rows, model.state_dict()
    told["vae"] = train_vae().rows
    told["sigma"] = timeless(train_sigma())
    x, mean = pictures()
    own = [slice(0, 4), slice(4, 7)][rank]
    told["logvar"] = float(losses.optimal_logvar(x[own], mean[own]))

    undisturbed = new_vae()
    told["undisturbed"] = fit(undisturbed, *sets(), EVERYTHING).rows, undisturbed.state_dict()

    def spoil(model: nn.Module, *arguments: Any) -> dict[str, Tensor]:
        terms = elbo(model, *arguments)
        if model.training and rank == 1:
            terms["kl"] = terms["kl"] * float("nan")
        return terms

    try:
        fit(new_vae(), *sets(), EVERYTHING, objective=spoil)
    except ArithmeticError as error:
        told["spoilt"] = str(error)

    steps = 0

    def interrupt(model: nn.Module, *arguments: Any) -> dict[str, Tensor]:
        nonlocal steps
        steps += model.training
        if model.training and steps in (5, 6) and rank == 1:  # a batch system's, then torchrun's
            signal.raise_signal(signal.SIGINT)
        return elbo(model, *arguments)

    interrupt.__qualname__ = elbo.__qualname__
    path = folder / "interrupted.safetensors"
    config = TrainConfig(epochs=3, batch_size=2, seed=2)  # 29 steps an epoch
    try:
        fit(new_vae(), *sets(), config, objective=interrupt, checkpoint=path)
    except KeyboardInterrupt:
        told["steps before the interrupt"], told["written"] = steps, path.exists()
    resumed, whole = new_vae(), new_vae()
    told["resumed"] = fit(resumed, *sets(), config, checkpoint=path).rows
    told["whole"] = fit(whole, *sets(), config).rows
    told["weights"] = resumed.state_dict(), whole.state_dict()

    try:
        Processes(torch.device("meta"))
    except ValueError as error:
        told["refused"] = str(error)
    return told


def timeless(history: History) -> list[dict[str, float]]:
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")}
        for row in history.rows
    ]


def be_killed(rank: int, folder: Path) -> tuple[Any, Any]:
    """The undisturbed training of `all_that_can_happen`, slowly enough to be killed in it."""

    def report(row: dict[str, float]) -> None:
        (folder / f"epoch {row['epoch']:.0f}").touch()
        time.sleep(0.05)

    model = new_vae()
    path = folder / "killed.safetensors"
    history = fit(model, *sets(), EVERYTHING, checkpoint=path, on_epoch=report)
    return history.rows, model.state_dict()


def take_part(job: Callable[[int, Path], Any], rank: int, port: int, folder: Path) -> None:
    """Do ``job`` as process ``rank`` of two; what it returns goes to a file."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    os.environ |= {"LOCAL_WORLD_SIZE": "2"}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    torch.save(job(rank, folder), folder / f"{job.__name__} {rank}.pt")
