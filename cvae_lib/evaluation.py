"""Every metric of a model's record: of garments, of scenes, and of the judges of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvae_lib import losses, metrics, models
from cvae_lib.checks import evaluating
from cvae_lib.data import CaptionedSet, ImageSet, to_unit
from cvae_lib.data.shapes import Scene, Thing
from cvae_lib.models import VAE, FashionJudge, SceneJudge, TextConditionalVAE
from cvae_lib.models.judges import Seen

SAMPLES = 10_000  # drawn garments behind class agreement and Fréchet distance
BATCH = 250  # scenes at once


def measure_garments(
    model: VAE, data: ImageSet, judge: FashionJudge, seed: int = 0
) -> dict[str, Any]:
    """Every metric of a record of a VAE of garments, on ``data``.

    The ELBO's terms at one draw of z (nats), reconstruction from the posterior mean (SSE, SSIM,
    PSNR), active units, and for 10,000 samples, 1,000 of each label, with z from N(0, I) and from
    the fitted prior if there is one: class agreement (conditional models) and Fréchet distance to
    the data on the judge's features.
    """
    data = data.to(next(model.parameters()).device)
    batches = ((to_unit(images), labels) for images, labels in data.batches(1000))
    result = _reconstruction(model, batches, seed)
    real = metrics.judge_features(judge, data.pixels())
    for name, fitted in _priors(model).items():
        result[name] = measure_samples(model, judge, real, seed, fitted)
    return result


def measure_judge(judge: FashionJudge, data: ImageSet) -> dict[str, float]:
    """The accuracy of the judge of garments."""
    data = data.to(next(judge.parameters()).device)
    return {"accuracy": metrics.class_agreement(judge, data.pixels(), data.labels)}


@torch.no_grad()
def measure_samples(
    model: VAE, judge: FashionJudge, real: Tensor, seed: int, fitted_prior: bool
) -> dict[str, float]:
    """Class agreement and Fréchet distance of `SAMPLES` drawn pictures against real features."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    labels = torch.arange(SAMPLES, device=device) % models.N_CLASSES
    parts = []
    with evaluating(judge):
        for batch in labels.split(1000):
            condition = batch if model.conditional else len(batch)
            drawn = model.sample(condition, generator, fitted_prior=fitted_prior)
            parts.append(judge.features(drawn))
        features = torch.cat(parts)
        result = {"frechet": metrics.frechet_distance(features, real)}
        if model.conditional:
            seen = judge.head(features).argmax(1)
            result["class_agreement"] = float((seen == labels).float().mean())
    return result


def measure_scenes(
    model: TextConditionalVAE, data: CaptionedSet, judge: SceneJudge, seed: int = 0
) -> dict[str, Any]:
    """Every metric of a text model's record, on scenes with their truths, seen and unseen.

    On those seen the ELBO's terms at one draw of z (nats), reconstruction from the posterior mean
    (SSE per pixel over its three channels, SSIM, PSNR) and active units, each picture with its
    plainest caption. Then, with z from N(0, I) and from the fitted prior if there is one, a
    picture for each scene, asked for by the caption that names and places every thing: Fréchet
    distance (seen) on the judge's features, and `obedience` on texts of "one" thing and of
    "several", and on those of them that ask for a combination never seen: "unseen_one" (a shape in
    a colour) and "unseen_several" (that, or shapes above or beside each other).
    """
    truths = data.truths or ()
    seen = data.subset(np.array([not scene.unseen() for scene in truths], bool))
    vectors = seen.text_vectors("named")
    result = _reconstruction(model, _scene_batches(model, seen, vectors), seed)
    result["sse_per_pixel"] = result.pop("sse") / seen.images[0, 0].size
    pictures = torch.cat([x for x, _ in _scene_batches(judge, seen, vectors)])
    real = metrics.judge_features(judge, pictures, BATCH)
    for name, fitted in _priors(model).items():
        drawn = draw_placed(model, data, seed, fitted)
        fakes = metrics.judge_features(judge, drawn[: len(seen)], BATCH)
        result[name] = {"frechet": metrics.frechet_distance(fakes, real)}
        result[name] |= _obedience_by_group(judge.things(drawn), truths)
    return result


def measure_scene_judge(judge: SceneJudge, data: CaptionedSet) -> dict[str, float]:
    """How well the judge reads real scenes: `obedience` of the scenes to their truths."""
    empty = torch.empty(len(data), 0)
    seen = [row for x, _ in _scene_batches(judge, data, empty) for row in judge.things(x)]
    return obedience(seen, [scene.things for scene in data.truths or ()])


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


def obedience(
    drawn: Sequence[Sequence[Seen]], asked: Sequence[Sequence[Thing]], position: bool = True
) -> dict[str, float]:
    """How far pictures show what their texts asked for, each a mean over the pictures.

    A picture of n asked things is judged by its n surest things.

    Args:
        drawn: for each picture what a judge sees, the surest first (`SceneJudge.things`).
        asked: for each picture the n things of its text.
        position: whether the texts say where the things are.

    Returns:
        "colour", "shape", "position": the share of the n asked colours (shapes, places) that are
        there; "count": whether exactly n things are present; "all": whether the count is right and
        every asked thing is there, of its colour, shape and place at once.

    Raises:
        ValueError: for no pictures, or unequal numbers of pictures and texts.
    """
    if not drawn or len(drawn) != len(asked):
        raise ValueError(f"need as many pictures as texts, got {len(drawn)} and {len(asked)}")
    keys: dict[str, tuple[str, ...]] = {"colour": ("colour",), "shape": ("shape",)}
    if position:
        keys["position"] = ("row", "column")
    whole = sum(keys.values(), ())
    sums = dict.fromkeys([*keys, "count", "all"], 0.0)
    for seen, wanted in zip(drawn, asked, strict=True):
        surest = seen[: len(wanted)]
        for name, key in keys.items():
            sums[name] += _shared(surest, wanted, key) / len(wanted)
        count = sum(thing.presence > 0.5 for thing in seen) == len(wanted)
        sums["count"] += count
        sums["all"] += count and _shared(surest, wanted, whole) == len(wanted)
    return {name: total / len(drawn) for name, total in sums.items()}


def _shared(a: Sequence[Seen], b: Sequence[Thing], keys: tuple[str, ...]) -> int:
    """How many things seen and asked for pair up by their values of ``keys``."""
    counts = [Counter(tuple(getattr(t, k) for k in keys) for t in things) for things in (a, b)]
    return (counts[0] & counts[1]).total()


def _obedience_by_group(
    drawn: Sequence[Sequence[Seen]], truths: Sequence[Scene]
) -> dict[str, float]:
    def group(scene: Scene) -> str:
        number = "one" if len(scene.things) == 1 else "several"
        return f"unseen_{number}" if scene.unseen() else number

    groups = [group(scene) for scene in truths]
    result: dict[str, float] = {}
    for name in dict.fromkeys(groups):
        rows = [row for row, of in enumerate(groups) if of == name]
        score = obedience([drawn[i] for i in rows], [truths[i].things for i in rows])
        result |= {f"{name}_{key}": value for key, value in score.items()}
    return result


def _priors(model: Any) -> dict[str, bool]:
    """The priors to draw from, by their names in a record; whether each is the fitted one."""
    return {"standard_prior": False} | ({"fitted_prior": True} if model.prior.fitted else {})


def _scene_batches(
    model: nn.Module, data: CaptionedSet, conditions: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield pictures (B, 3, S, S) in [0, 1] and their rows of ``conditions`` on the device."""
    device = next(model.parameters()).device
    for start in range(0, len(data), BATCH):
        images = torch.from_numpy(np.array(data.images[start : start + BATCH]))
        yield to_unit(images.to(device)), conditions[start : start + BATCH].to(device)


@torch.no_grad()
def _reconstruction(
    model: Any, batches: Iterable[tuple[Tensor, Tensor]], seed: int
) -> dict[str, Any]:
    """Means of the ELBO's terms and of the reconstructions' errors, and active units."""
    generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    parts: list[dict[str, Tensor]] = []
    means = []
    with evaluating(model):
        for x, condition in batches:
            mu, _ = model.encode(x, condition)
            means.append(mu)
            rebuilt = model.decode(mu, condition)
            terms = losses.elbo(model, x, condition, generator)
            scores = {"nll": terms["nll"], "kl": terms["kl"], "negative_elbo": terms["loss"]}
            for score in (metrics.sse, metrics.ssim, metrics.psnr):
                scores[score.__name__] = score(x, rebuilt)
            parts.append(scores)
    result: dict[str, Any] = {
        name: float(torch.cat([part[name] for part in parts]).double().mean()) for name in parts[0]
    }
    result["active_units"] = losses.active_units(torch.cat(means))
    return result
