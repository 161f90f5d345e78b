"""How each shipped model is made (`recipes.json`), and the pictures that models are made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cvae_lib.checkpoint import read_tensors, write_tensors
from cvae_lib.config import TrainConfig
from cvae_lib.data.fashion import fashion_mnist
from cvae_lib.data.scenes import joined, scenes
from cvae_lib.data.sets import TextEncoder, about_encoder
from cvae_lib.distributed import Processes
from cvae_lib.encoders import HashingTextEncoder
from cvae_lib.files import user_path
from cvae_lib.latent import fit_prior, fit_text_prior
from cvae_lib.models.judges import judge_objective
from cvae_lib.models.scene_judge import scene_judge_objective, truth_set
from cvae_lib.pretrained import build
from cvae_lib.train import History, elbo_objective, fit

SCENES = {"train": 50_000, "valid": 1_000, "test": 4_000}  # pictures behind the shipped models
TEXT_MODEL = "TextConditionalVAE"
UNSEEN_SEED = {"train": 1, "valid": 2, "test": 0}
OBJECTIVES = {"FashionJudge": judge_objective, "SceneJudge": scene_judge_objective}


@dataclass(frozen=True)
class Recipe:
    """How a model is made."""

    about: str
    architecture: dict[str, Any]  # its class and the arguments of that
    config: TrainConfig
    prior_width: float | None = None  # of a prior fitted in the end: benchmarks/prior_width.py

    def encoder(self) -> TextEncoder | None:
        """A new encoder of its texts."""
        return HashingTextEncoder() if self.architecture["class"] == TEXT_MODEL else None

    def data(self, split: str, count: int | None = None) -> Any:
        """The images it is trained ("train", "valid") and measured on ("test")."""
        return pictures(self.architecture["class"], split, count, self.encoder())


RECIPES = {
    name: Recipe(**{**recipe, "config": TrainConfig(**recipe["config"])})
    for name, recipe in json.loads(Path(__file__).with_suffix(".json").read_text("utf-8")).items()
}


def recipe_of(name: str) -> Recipe:
    """Return the recipe called ``name``; ValueError lists the known ones."""
    if name not in RECIPES:
        raise ValueError(f"no model {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


def pictures(
    kind: str, split: str, count: int | None, encoder: TextEncoder | None, size: int = 64
) -> Any:
    """The images that models of the class ``kind`` learn from, or are measured on.

    Garments, or scenes of ``size`` pixels: the second half of those to measure on are of
    combinations that no text model was trained on. Their judge must know what those may not.
    """
    if kind not in (TEXT_MODEL, "SceneJudge"):
        return fashion_mnist(split).first(count)
    count = count or SCENES[split]
    draw = partial(scenes, size=size, encoder=encoder or HashingTextEncoder())
    if kind == TEXT_MODEL and split != "test":
        return draw(split, count)
    unseen = draw("unseen", count - count // 2, seed=UNSEEN_SEED[split])
    data = joined(draw(split, count // 2), unseen)
    return data if split == "test" else truth_set(data)


def train_recipe(
    name: str,
    train_set: Any,
    valid_set: Any,
    *,
    config: TrainConfig | None = None,
    device: str | torch.device = "cpu",
    checkpoint: str | Path | None = None,
    about: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[nn.Module, History]:
    """Train the model ``name`` from scratch as its recipe says, and fit its prior.

    Args:
        train_set, valid_set: as the recipe's ``data``; ValueError for fewer than 20 training images
            for each Gaussian of the prior.
        config: replaces the recipe's.
        checkpoint: file to resume from and to write; in the end it holds the finished model, with
            its fitted prior, for `load_checkpoint`. Resuming a finished run changes nothing.
        about, options: passed on to `fit`: resume, progress, on_epoch.
    """
    recipe = recipe_of(name)
    config = config or recipe.config
    torch.manual_seed(config.seed)
    model = build(recipe.architecture).to(device)
    least = 20 * model.prior.weight.numel() if recipe.prior_width else 0
    if len(train_set) < least:
        raise ValueError(
            f"{name} needs at least {least:,} training images, to which its prior is fitted; "
            f"got {len(train_set):,}"
        )
    if encoder := recipe.encoder():
        about = about_encoder(encoder) | (about or {})
    options |= {"checkpoint": checkpoint, "about": about}
    objective = OBJECTIVES.get(recipe.architecture["class"], elbo_objective)
    history = fit(model, train_set, valid_set, config, objective=objective, **options)
    if recipe.prior_width and not model.prior.fitted:
        together = Processes(next(model.parameters()).device)
        if together.main:
            (fit_text_prior if encoder else fit_prior)(model, train_set, recipe.prior_width)
            if checkpoint is not None:
                path = user_path(checkpoint)
                tensors, metadata = read_tensors(path)
                fitted = {f"model.prior.{k}": v for k, v in model.prior.state_dict().items()}
                write_tensors(path, tensors | fitted, metadata)
        together.equalise(model)
    return model, history
