"""How each shipped model is made and measured, and what else of the same kind is measured with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from cvae_lib import evaluation, models
from cvae_lib.checkpoint import CheckpointError, read_tensors, write_tensors
from cvae_lib.config import TrainConfig
from cvae_lib.data.fashion import fashion_mnist
from cvae_lib.data.scenes import joined, scenes
from cvae_lib.data.sets import CaptionedSet, ImageSet, TextEncoder, about_encoder
from cvae_lib.distributed import Processes
from cvae_lib.encoders import ClipTextEncoder, HashingTextEncoder
from cvae_lib.files import user_path
from cvae_lib.latent import fit_prior, fit_text_prior
from cvae_lib.losses import elbo
from cvae_lib.models.judges import judge_objective, scene_judge_objective, truth_set
from cvae_lib.pretrained import load_checkpoint, load_pretrained, record, shipped
from cvae_lib.run import History, Objective
from cvae_lib.train import fit

SCENES = {"train": 50_000, "valid": 1_000, "test": 4_000}  # pictures behind the shipped models


def garments(split: str, count: int | None = None) -> ImageSet:
    """The first ``count`` images of a split of Fashion-MNIST, or all of them."""
    return fashion_mnist(split).first(count)


def captioned_scenes(
    split: str,
    count: int | None = None,
    encoder: Callable[[], TextEncoder] = HashingTextEncoder,
    size: int = 64,
) -> CaptionedSet:
    """Scenes; of "test" half are of combinations that no model was trained on."""
    count = count or SCENES[split]
    draw = partial(scenes, size=size, encoder=encoder())
    if split != "test":
        return draw(split, count)
    return joined(draw(split, count // 2), draw("unseen", count - count // 2))


def judged_scenes(split: str, count: int | None = None) -> CaptionedSet:
    """Scenes with their truths, half of unseen combinations, of other seeds than the test's.

    A judge must know what the models may not.
    """
    if split == "test":
        return captioned_scenes(split, count)
    count = count or SCENES[split]
    draw = partial(scenes, encoder=HashingTextEncoder())
    unseen = draw("unseen", count - count // 2, seed=1 if split == "train" else 2)
    return truth_set(joined(draw(split, count // 2), unseen))


def measure_garments(model: Any, data: ImageSet) -> dict[str, Any]:
    judge = load_pretrained("fashion-judge", next(model.parameters()).device)
    return evaluation.measure_garments(model, data, judge)


def measure_scenes(model: Any, data: CaptionedSet) -> dict[str, Any]:
    judge = load_pretrained("scenes-judge", next(model.parameters()).device)
    return evaluation.measure_scenes(model, data, judge)


@dataclass(frozen=True)
class Recipe:
    """How a model is made, from what data, and how it is measured.

    Args:
        data: (split, count) → the images it is trained ("train", "valid") and measured on ("test").
        measure: (model, data) → the metrics of its record.
        headline: the metric that stands for it.
        encoder: makes the encoder of its texts.
        prior: (model, data, width) fits its prior after training, with ``prior_width``.
        least_images: so many training images that prior needs.
    """

    about: str
    build: Callable[[], nn.Module]
    config: TrainConfig
    objective: Objective = elbo
    data: Callable[..., Any] = garments
    measure: Callable[[Any, Any], dict[str, Any]] = measure_garments
    headline: str = "sse"
    encoder: Callable[[], TextEncoder] | None = None
    prior: Callable[[Any, Any, float], None] | None = None
    prior_width: float | None = None
    least_images: int = 1


LONG = TrainConfig(epochs=40, batch_size=128, seed=0, precision="float32")
RECIPES = {
    "fashion-judge": Recipe(
        "the classifier that judges drawn pictures",
        models.FashionJudge,
        replace(LONG, epochs=16, lr=2e-3),
        judge_objective,
        measure=evaluation.measure_judge,
        headline="accuracy",
    ),
    "scenes-judge": Recipe(
        "the reader of scenes that judges drawn ones",
        models.SceneJudge,
        replace(LONG, epochs=4, batch_size=64, lr=2e-3),
        scene_judge_objective,
        judged_scenes,
        evaluation.measure_scene_judge,
        headline="all",
    ),
    "fashion-concat": Recipe(
        "the article's concat CVAE, binary cross-entropy", models.ConcatConditionalVAE, LONG
    ),
    "fashion-concat-sigma": Recipe(
        "the concat CVAE with the optimal σ and a prior fitted per class",
        lambda: models.ConcatConditionalVAE(likelihood="optimal-sigma", prior_components=5),
        LONG,
        prior=fit_prior,
        prior_width=0.8,  # chosen on the validation images: benchmarks/prior_width.py
        least_images=1_000,
    ),
    "fashion-additive": Recipe(
        "the article's additive CVAE, binary cross-entropy", models.AdditiveConditionalVAE, LONG
    ),
    "fashion-film": Recipe(
        "the FiLM CVAE of the conditioning experiment, seed 0: it hardly hears its label",
        models.FilmConditionalVAE,
        replace(LONG, epochs=10, schedule="constant"),
    ),
    "fashion-vae": Recipe("the same VAE without a label, binary cross-entropy", models.VAE, LONG),
    "scenes-film": Recipe(
        "any sentence about shapes to a scene of 64 pixels, its text hashed, through FiLM",
        lambda: models.TextConditionalVAE(64, 64, 512, "film", width=16),
        replace(LONG, epochs=20, batch_size=64, lr=2e-3, beta=3.0),
        data=captioned_scenes,
        measure=measure_scenes,
        headline="ssim",
        encoder=HashingTextEncoder,
        prior=fit_text_prior,
        prior_width=1.0,
        least_images=2,
    ),
}
# a checkpoint of one of these classes is measured as that model is, any other as fashion-vae
LIKE = {
    "FashionJudge": "fashion-judge",
    "SceneJudge": "scenes-judge",
    "TextConditionalVAE": "scenes-film",
}


def recipe_of(name: str) -> Recipe:
    """Return the recipe called ``name``; ValueError lists the known ones."""
    if name not in RECIPES:
        raise ValueError(f"no model {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


class Loaded(NamedTuple):
    """A model with what is needed to use and to measure it."""

    model: Any
    recipe: Recipe  # its own, or the one of its kind
    encoder: TextEncoder | None  # of its texts
    record: dict[str, Any] | None  # of a shipped model


def load(name: str, device: str | torch.device = "cpu") -> Loaded:
    """A shipped model by its name, or the model of a checkpoint.

    Raises:
        ValueError: if there is neither a model nor a file of that name.
        CheckpointError: if the file is no checkpoint, or its text encoder is not to be had.
    """
    if name in shipped():
        run = record(name)
        return Loaded(load_pretrained(name, device), RECIPES[name], encoder_of(run, name), run)
    path = user_path(name)
    if not path.exists():
        known = ", ".join(RECIPES)
        raise ValueError(f"no model and no file {name!r}: choose one of {known}, or a checkpoint")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a checkpoint in it")
    model = load_checkpoint(path, device)
    encoder = encoder_of(read_tensors(path)[1], name)
    recipe = RECIPES[LIKE.get(type(model).__name__, "fashion-vae")]
    if recipe.encoder and encoder is None:
        raise CheckpointError(f"{path} does not say which text encoder it was trained with")
    if encoder is not None:
        size = model.image_shape[1]
        data = partial(captioned_scenes, encoder=lambda: encoder, size=size)
        recipe = replace(recipe, data=data, encoder=lambda: encoder)
    return Loaded(model, recipe, encoder, None)


def encoder_called(name: str, dim: int = 512, device: str | torch.device = "cpu") -> TextEncoder:
    """The text encoder "hashing", with vectors of ``dim`` numbers, or "clip", on ``device``."""
    if name == "hashing":
        return HashingTextEncoder(dim)
    if name == "clip":
        return ClipTextEncoder(device=device)
    raise ValueError(f"no text encoder {name!r}: choose hashing or clip")


def encoder_of(about: dict[str, Any], name: str) -> TextEncoder | None:
    """The encoder that a record or a checkpoint, called ``name``, says it was trained with."""
    if not (wanted := about.get("text_encoder")):
        return None
    encoder = encoder_called(wanted["name"], wanted["dim"])
    if encoder.fingerprint != wanted["fingerprint"]:
        raise CheckpointError(
            f"{name} was trained with the encoder {encoder.name} of SHA-256 "
            f"{wanted['fingerprint'][:12]}…, here it is {encoder.fingerprint[:12]}…: name CLIP's "
            "right weights in $CVAE_CLIP_WEIGHTS, or train the model anew"
        )
    return encoder


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
    """Train the model ``name`` from scratch as its recipe says.

    Args:
        train_set, valid_set: what the recipe's ``data`` gives, or others of that kind.
        config: replaces the recipe's.
        checkpoint: file to resume from and to write; in the end it holds the finished model, with
            its fitted prior, for `load_checkpoint`. Resuming a finished run changes nothing.
        about, options: passed on to `fit`: resume, progress, on_epoch.

    Raises:
        ValueError: for fewer training images than the model's prior can be fitted to.
    """
    recipe = recipe_of(name)
    config = config or recipe.config
    if len(train_set) < recipe.least_images:
        raise ValueError(
            f"{name} needs at least {recipe.least_images:,} training images, to which its prior is "
            f"fitted; got {len(train_set):,}"
        )
    torch.manual_seed(config.seed)
    model: Any = recipe.build().to(device)
    facts = about_encoder(recipe.encoder()) if recipe.encoder else {}
    history = fit(
        model,
        train_set,
        valid_set,
        config,
        objective=recipe.objective,
        checkpoint=checkpoint,
        about=facts | (about or {}),
        **options,
    )
    if recipe.prior and not model.prior.fitted:
        _fit_prior(recipe, model, train_set, checkpoint)
    return model, history


def _fit_prior(recipe: Recipe, model: Any, data: Any, checkpoint: str | Path | None) -> None:
    """Fit the prior in the main process, keep it, and give it to the others."""
    together = Processes(next(model.parameters()).device)
    if together.main and recipe.prior:
        recipe.prior(model, data, recipe.prior_width or 1.0)
        if checkpoint is not None:
            _store_prior(model, user_path(checkpoint))
    together.equalise(model)


def _store_prior(model: Any, path: Path) -> None:
    """Put the fitted prior of ``model`` into the checkpoint of its finished run."""
    tensors, metadata = read_tensors(path)
    tensors |= {f"model.prior.{k}": v for k, v in model.prior.state_dict().items()}
    write_tensors(path, tensors, metadata)
