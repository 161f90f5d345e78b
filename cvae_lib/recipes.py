"""How each shipped model is made (`recipes.json`), and what kinds of models are measured on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from cvae_lib import evaluation
from cvae_lib.checkpoint import read_tensors, write_tensors
from cvae_lib.config import TrainConfig
from cvae_lib.data.fashion import fashion_mnist
from cvae_lib.data.scenes import joined, scenes
from cvae_lib.data.sets import CaptionedSet, ImageSet, TextEncoder, about_encoder, to_unit
from cvae_lib.distributed import Processes
from cvae_lib.encoders import HashingTextEncoder
from cvae_lib.files import user_path
from cvae_lib.latent import fit_layout, fit_prior, fit_text_prior
from cvae_lib.losses import elbo
from cvae_lib.models.judges import judge_objective, scene_judge_objective, truth_set
from cvae_lib.models.latent_flow import latent_flow_matching
from cvae_lib.pretrained import build, load_pretrained, text_encoder
from cvae_lib.train import History, Objective, fit

SCENES = {"train": 50_000, "valid": 1_000, "test": 4_000}  # pictures behind the shipped models
CODED = 2_000  # pictures whose codes tell a flow their mean and spread
UNSEEN_SEED = {"train": 1, "valid": 2, "test": 0}


def scene_set(
    split: str,
    count: int | None = None,
    encoder: TextEncoder | None = None,
    size: int = 64,
    unseen: bool = False,
    words: bool = False,
) -> CaptionedSet:
    """Scenes; if ``unseen``, or to test on, half of combinations that no text model has met."""
    draw = partial(scenes, size=size, encoder=encoder or HashingTextEncoder(), words=words)
    count = count or SCENES[split]
    if not (unseen or split == "test"):
        return draw(split, count)
    others = draw("unseen", count - count // 2, seed=UNSEEN_SEED[split])
    return joined(draw(split, count // 2), others)


def judged_scenes(split: str, count: int | None = None) -> CaptionedSet:
    """Scenes with their truths for captions, unseen ones too: their judge must know those."""
    data = scene_set(split, count, unseen=True)
    return data if split == "test" else truth_set(data)


class Kind(NamedTuple):
    """What models of a class are trained and measured on, and how."""

    data: Callable[..., Any]  # (split, count) → images of "train", "valid" or "test"
    measure: Callable[[Any, Any], dict[str, Any]]  # (model, data) → the metrics of its record
    objective: Objective = elbo


def garments(split: str, count: int | None = None) -> ImageSet:
    """The first ``count`` garments of a split, all if None; errors are those of `fashion_mnist`."""
    return fashion_mnist(split).first(count)


GARMENTS = Kind(garments, evaluation.measure_garments)
KINDS = {
    "VAE": GARMENTS,
    "ConcatConditionalVAE": GARMENTS,
    "AdditiveConditionalVAE": GARMENTS,
    "FilmConditionalVAE": GARMENTS,
    "FashionJudge": Kind(garments, evaluation.measure_judge, judge_objective),
    "TextConditionalVAE": Kind(scene_set, evaluation.measure_scenes),
    "MapVAE": Kind(scene_set, evaluation.measure_map_vae),
    "LatentFlow": Kind(scene_set, evaluation.measure_flow, latent_flow_matching),
    "SceneJudge": Kind(judged_scenes, evaluation.measure_scene_judge, scene_judge_objective),
}


@dataclass(frozen=True)
class Recipe:
    """How a model is made."""

    about: str  # what it is for, a sentence
    architecture: dict[str, Any]  # its class and the arguments of that
    config: TrainConfig  # how it is trained
    encoder: str | None = None  # of its texts
    layout: TrainConfig | None = None  # how the layout is trained that it draws by in the end
    vae: str | None = None  # the shipped one over whose codes it is a flow
    prior_width: float | None = None  # of a prior fitted in the end: benchmarks/prior_width.py

    @property
    def kind(self) -> Kind:
        """What its class is trained and measured on."""
        return KINDS[self.architecture["class"]]

    def data(self, split: str, count: int | None = None) -> Any:
        """Its images of "train", "valid" or "test", their texts as its model takes them."""
        if self.encoder is None:
            return self.kind.data(split, count)
        words = self.vae is not None or self.architecture["conditioning"] == "attend"
        return self.kind.data(split, count, encoder=text_encoder(self.encoder), words=words)


def _recipe(told: dict[str, Any]) -> Recipe:
    for key in told.keys() & {"config", "layout"}:
        told[key] = TrainConfig(**told[key])
    return Recipe(**told)


_TOLD = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
RECIPES = {name: _recipe(told) for name, told in _TOLD.items()}


def recipe_of(name: str) -> Recipe:
    """Return the recipe called ``name``; ValueError lists the known ones."""
    if name not in RECIPES:
        raise ValueError(f"no model {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


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
        train_set, valid_set, config: as the recipe's ``data`` and ``config``; ValueError for fewer
            than 20 training images for each Gaussian of the prior.
        checkpoint: file to resume from and to write; in the end it holds the finished model, with
            its fitted prior, for `load_checkpoint`. Resuming a finished run changes nothing.
        about, options: passed on to `fit`: resume, progress, on_epoch.
    """
    recipe = recipe_of(name)
    config = config or recipe.config
    torch.manual_seed(config.seed)
    model = build(recipe.architecture).to(device)
    if recipe.vae:
        pixels = to_unit(torch.from_numpy(train_set.images[:CODED])).to(device)
        model.adopt(load_pretrained(recipe.vae, device), pixels)
    least = 20 * model.prior.weight.numel() if recipe.prior_width else 0
    if len(train_set) < least:
        wanted = f"{name} needs at least {least:,} training images"
        raise ValueError(f"{wanted}, to which its prior is fitted; got {len(train_set):,}")
    encoder = text_encoder(recipe.encoder) if recipe.encoder else None
    facts = about_encoder(encoder) if encoder else {}
    options |= {"checkpoint": checkpoint, "about": facts | (about or {})}
    history = fit(model, train_set, valid_set, config, objective=recipe.kind.objective, **options)
    if (recipe.prior_width or recipe.layout) and not model.prior.fitted:
        together = Processes(next(model.parameters()).device)
        if recipe.layout and encoder and together.main:
            history.layout |= fit_layout(model, train_set, encoder, recipe.layout)
        elif recipe.prior_width and together.main:
            (fit_text_prior if recipe.encoder else fit_prior)(model, train_set, recipe.prior_width)
        if together.main and checkpoint is not None:
            path = user_path(checkpoint)
            tensors, metadata = read_tensors(path)
            fitted = {f"model.prior.{k}": v for k, v in model.prior.state_dict().items()}
            write_tensors(path, tensors | fitted, metadata)
        together.equalise(model)
    return model, history
