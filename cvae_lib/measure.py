"""Every metric of a model's record: of garments by `measure`, of scenes by `measure_scenes`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvae_lib import losses, metrics, models
from cvae_lib.data.sets import CaptionedSet, ImageSet, to_unit
from cvae_lib.data.shapes import Scene
from cvae_lib.models import VAE, FashionJudge, SceneJudge, TextConditionalVAE

SAMPLES = 10_000  # drawn garments behind class agreement and Fréchet distance
BATCH = 250  # scenes at once


@torch.no_grad()
def measure(model: nn.Module, data: ImageSet, judge: FashionJudge, seed: int = 0) -> dict[str, Any]:
    """Every metric of a record, on ``data``.

    A judge gets its accuracy. A VAE gets the ELBO's terms at one draw of z (nats), reconstruction
    from the posterior mean (SSE, SSIM, PSNR), active units, and for 10,000 samples, 1,000 of each
    label, with z from N(0, I) and from the fitted prior if there is one: class agreement
    (conditional models) and Fréchet distance to the data on the judge's features.
    """
    model.eval()
    device = next(model.parameters()).device
    data = data.to(device)
    if isinstance(model, FashionJudge):
        return {"accuracy": metrics.class_agreement(model, data.pixels(), data.labels)}
    assert isinstance(model, VAE)
    batches = ((to_unit(images), labels) for images, labels in data.batches(1000))
    result = _reconstruction(model, batches, seed)
    real = metrics.judge_features(judge, data.pixels())
    result["standard_prior"] = measure_samples(model, judge, real, seed, fitted_prior=False)
    if model.prior_mean.any():
        result["fitted_prior"] = measure_samples(model, judge, real, seed, fitted_prior=True)
    return result


@torch.no_grad()
def measure_samples(
    model: VAE, judge: FashionJudge, real: Tensor, seed: int, fitted_prior: bool
) -> dict[str, float]:
    """Class agreement and Fréchet distance of `SAMPLES` drawn pictures against real features."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    labels = torch.arange(SAMPLES, device=device) % models.N_CLASSES
    parts = []
    for batch in labels.split(1000):
        condition = batch if model.conditional else len(batch)
        parts.append(judge.features(model.sample(condition, generator, fitted_prior=fitted_prior)))
    features = torch.cat(parts)
    result = {"frechet": metrics.frechet_distance(features, real)}
    if model.conditional:
        seen = judge.head(features).argmax(1)
        result["class_agreement"] = float((seen == labels).float().mean())
    return result


@torch.no_grad()
def measure_scenes(
    model: TextConditionalVAE, data: CaptionedSet, judge: SceneJudge, seed: int = 0
) -> dict[str, Any]:
    """Every metric of a text model's record, on scenes with their truths, seen and unseen.

    On those seen the ELBO's terms at one draw of z (nats), reconstruction from the posterior mean
    (SSE per pixel over its three channels, SSIM, PSNR) and active units, each picture with its
    plainest caption. Then, with z from N(0, I) and from the fitted prior if there is one, a
    picture for each scene, asked for by the caption that names and places every thing: Fréchet
    distance (seen) on the judge's features, and `metrics.obedience` on texts of "one" thing and of
    "several", and on those of them that ask for a combination never seen: "unseen_one" (a shape in
    a colour) and "unseen_several" (that, or shapes above or beside each other).
    """
    model.eval()
    truths = data.truths or ()
    seen = data.subset(np.array([not scene.unseen() for scene in truths]))
    conditions = seen.text_vectors()
    result = _reconstruction(model, _scene_batches(model, seen, conditions), seed)
    result["sse_per_pixel"] = result.pop("sse") / seen.images[0, 0].size
    real = torch.cat([judge.features(x) for x, _ in _scene_batches(judge, seen, conditions)])
    priors = {"standard_prior": False} | ({"fitted_prior": True} if model.prior_fitted else {})
    for name, fitted in priors.items():
        drawn = draw_placed(model, data, seed, fitted)
        fakes = torch.cat([judge.features(part) for part in drawn[: len(seen)].split(BATCH)])
        result[name] = {"frechet": metrics.frechet_distance(fakes, real)}
        result[name] |= _obedience_by_group(judge.read(drawn), truths)
    return result


def _obedience_by_group(
    drawn: Sequence[Sequence[dict[str, Any]]], truths: Sequence[Scene]
) -> dict[str, float]:
    def group(scene: Scene) -> str:
        number = "one" if len(scene.things) == 1 else "several"
        return f"unseen_{number}" if scene.unseen() else number

    groups = [group(scene) for scene in truths]
    result: dict[str, float] = {}
    for name in dict.fromkeys(groups):
        rows = [row for row, of in enumerate(groups) if of == name]
        score = metrics.obedience([drawn[i] for i in rows], [truths[i].things for i in rows])
        result |= {f"{name}_{key}": value for key, value in score.items()}
    return result


@torch.no_grad()
def draw_placed(
    model: TextConditionalVAE, data: CaptionedSet, seed: int = 0, fitted_prior: bool = True
) -> Tensor:
    """A picture (N, 3, S, S) for each scene, from the caption that names and places its things."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    return torch.cat(
        [
            model.sample(batch.to(device), generator, fitted_prior=fitted_prior)
            for batch in data.text_vectors("placed").split(BATCH)
        ]
    )


@torch.no_grad()
def measure_scene_judge(judge: SceneJudge, data: CaptionedSet) -> dict[str, float]:
    """How well the judge reads real scenes: `metrics.obedience` of the scenes to their truths."""
    assert data.truths is not None
    judge.eval()
    empty = torch.empty(len(data), 0)
    things = [judge.read(x) for x, _ in _scene_batches(judge, data, empty)]
    seen = [row for batch in things for row in batch]
    return metrics.obedience(seen, [scene.things for scene in data.truths])


def _scene_batches(
    model: nn.Module, data: CaptionedSet, conditions: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield pictures (B, 3, S, S) in [0, 1] and their rows of ``conditions`` on the device."""
    device = next(model.parameters()).device
    for start in range(0, len(data), BATCH):
        images = torch.from_numpy(np.array(data.images[start : start + BATCH]))
        yield to_unit(images.to(device)), conditions[start : start + BATCH].to(device)


def _reconstruction(
    model: Any, batches: Iterable[tuple[Tensor, Tensor]], seed: int
) -> dict[str, Any]:
    """Means of the ELBO's terms and of the reconstructions' errors, and active units."""
    generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    parts: list[dict[str, Tensor]] = []
    means = []
    for x, condition in batches:
        mu, _ = model.encode(x, condition)
        means.append(mu)
        rebuilt = model.decode(mu, condition)
        terms = losses.elbo(model, x, condition, generator)
        parts.append(
            {
                "nll": terms.nll,
                "kl": terms.kl,
                "negative_elbo": terms.loss,
                "sse": metrics.sse(x, rebuilt),
                "ssim": metrics.ssim(x, rebuilt),
                "psnr": metrics.psnr(x, rebuilt),
            }
        )
    result: dict[str, Any] = {
        name: float(torch.cat([part[name] for part in parts]).double().mean()) for name in parts[0]
    }
    result["active_units"] = losses.active_units(torch.cat(means))
    return result
