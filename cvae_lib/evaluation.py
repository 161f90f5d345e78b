"""Every metric of a model's record: of garments, of scenes, and of the judges of both."""

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvae_lib import losses, metrics, models
from cvae_lib.checks import evaluating
from cvae_lib.data import CaptionedSet, ImageSet, to_unit
from cvae_lib.data.shapes import Thing
from cvae_lib.models import (
    VAE,
    FashionJudge,
    LatentFlow,
    MapVAE,
    SceneJudge,
    TextConditionalVAE,
)
from cvae_lib.models.judges import Seen
from cvae_lib.pretrained import load_pretrained

SAMPLES = 10_000  # drawn garments behind class agreement and Fréchet distance
BATCH = 250  # scenes at once
PARTS = {  # of a thing
    "colour": attrgetter("colour"),
    "shape": attrgetter("shape"),
    "position": attrgetter("row", "column"),
    "all": attrgetter("colour", "shape", "row", "column"),
}


def measure_judge(judge: FashionJudge, data: ImageSet) -> dict[str, float]:
    """The accuracy of the judge of garments."""
    pixels = data.pixels().to(next(judge.parameters()).device)
    return {"accuracy": metrics.class_agreement(judge, pixels, data.labels)}


def measure_scene_judge(judge: SceneJudge, data: CaptionedSet) -> dict[str, float]:
    """How well the judge of scenes reads real ones: their `obedience` to their truths."""
    seen = judge.things(_pixels(data).to(next(judge.parameters()).device))
    return obedience(seen, [scene.things for scene in data.truths or ()])


def measure_garments(model: VAE, data: ImageSet, seed: int = 0) -> dict[str, Any]:
    """Every metric of a VAE of garments.

    The ELBO's terms at one draw of z (nats), reconstruction from the posterior mean (SSE, SSIM,
    PSNR), active units. Then, with z from N(0, I) and from the fitted prior if there is one, of
    `SAMPLES` pictures, as many of each label: Fréchet distance to the data on the judge's features,
    and the class agreement of a conditional model.
    """
    device = next(model.parameters()).device
    judge = load_pretrained("fashion-judge", device)
    result = _reconstruction(model, data, 1000, seed)
    real = metrics.judge_features(judge, data.pixels().to(device))
    labels = torch.arange(SAMPLES, device=device) % models.N_CLASSES
    for name, fitted in _priors(model).items():
        features = metrics.judge_features(judge, _draw(model, labels, 1000, seed, fitted))
        result[name] = {"frechet": metrics.frechet_distance(features, real)}
        if model.conditional:
            right = judge.head(features).argmax(1) == labels
            result[name]["class_agreement"] = float(right.float().mean())
    return result


def measure_scenes(model: TextConditionalVAE, data: CaptionedSet, seed: int = 0) -> dict[str, Any]:
    """Every metric of a text model, on scenes with their truths, seen and unseen.

    On those seen, with their plainest captions, as `measure_garments`; the SSE is a pixel's, over
    three channels. Then for each prior `draw_placed`: Fréchet distance (seen) and `obedience` to
    texts of "one" thing, of "several", and to those that ask for a combination never seen:
    "unseen_one" (a shape in a colour), "unseen_several" (that, or shapes above or beside others).
    """
    result, judge = _scene_reconstruction(model, data, seed), _scene_judge(model)
    for name, fitted in _priors(model).items():
        result[name] = _judged(judge, draw_placed(model, data, seed, fitted), data)
    return result


def measure_map_vae(model: MapVAE, data: CaptionedSet, seed: int = 0) -> dict[str, Any]:
    """What a `MapVAE` keeps of scenes: as `measure_scenes`, but "rebuilt" from their own codes."""
    result = _scene_reconstruction(model, data, seed)
    pieces = _pixels(data).to(next(model.parameters()).device).split(BATCH)
    rebuilt = torch.cat([model.reconstruct(piece) for piece in pieces])
    return result | {"rebuilt": _judged(_scene_judge(model), rebuilt, data)}


def measure_flow(model: LatentFlow, data: CaptionedSet, seed: int = 0) -> dict[str, Any]:
    """What a `LatentFlow` draws for the captions that place every thing, as `measure_scenes`."""
    generator = torch.Generator(device := next(model.parameters()).device).manual_seed(seed)
    texts = data.text_vectors("placed").split(BATCH)
    drawn = torch.cat([model.sample(text.to(device), generator) for text in texts])
    return {"drawn": _judged(_scene_judge(model), drawn, data)}


def draw_placed(
    model: TextConditionalVAE, data: CaptionedSet, seed: int = 0, fitted_prior: bool = True
) -> Tensor:
    """A picture (N, 3, S, S) for each scene, from the caption that names and places its things."""
    return _draw(model, data.text_vectors("placed"), BATCH, seed, fitted_prior)


def obedience(
    drawn: Sequence[Sequence[Seen]], asked: Sequence[Sequence[Thing]]
) -> dict[str, float]:
    """How far pictures show what their texts asked for, each a mean over the pictures.

    Of each picture ``drawn`` is what a judge sees, the surest first (`SceneJudge.things`), of which
    the first n are judged, ``asked`` the n things of its text. "colour", "shape", "position": the
    share of the n asked ones that are there; "count": whether exactly n things are present; "all":
    whether the count is right and every asked thing there, of its colour, shape and place at once.
    ValueError for no pictures, or not as many as texts.
    """
    if not drawn or len(drawn) != len(asked):
        raise ValueError(f"need as many pictures as texts, got {len(drawn)} and {len(asked)}")
    pictures = []
    for seen, wanted in zip(drawn, asked, strict=True):
        right = sum(thing.presence > 0.5 for thing in seen) == len(wanted)
        shares = {}
        for name, of_thing in PARTS.items():
            pairs = Counter(map(of_thing, wanted)) & Counter(map(of_thing, seen[: len(wanted)]))
            shares[name] = pairs.total() / len(wanted)
        pictures.append(shares | {"count": right, "all": right and shares["all"] == 1})
    names = ("colour", "shape", "position", "count", "all")
    return {name: sum(row[name] for row in pictures) / len(pictures) for name in names}


def _scene_judge(model: torch.nn.Module) -> SceneJudge:
    return load_pretrained("scenes-judge", next(model.parameters()).device)


def _seen(data: CaptionedSet) -> CaptionedSet:
    """Those scenes whose combinations a text model has met in training."""
    return data.subset(np.array([not scene.unseen() for scene in data.truths or ()], bool))


def _scene_reconstruction(model: Any, data: CaptionedSet, seed: int) -> dict[str, Any]:
    seen = _seen(data)
    result = _reconstruction(model, seen, BATCH, seed)
    result["sse_per_pixel"] = result.pop("sse") / seen.images[0, 0].size
    return result


def _judged(judge: SceneJudge, drawn: Tensor, data: CaptionedSet) -> dict[str, float]:
    """Fréchet distance of pictures drawn for ``data`` (those seen), and `obedience` by group."""
    groups, truths, seen = dict[str, list[int]](), data.truths or (), _seen(data)
    for row, scene in enumerate(truths):
        number = "one" if len(scene.things) == 1 else "several"
        groups.setdefault(f"unseen_{number}" if scene.unseen() else number, []).append(row)
    real = metrics.judge_features(judge, _pixels(seen).to(drawn), BATCH)
    fakes = metrics.judge_features(judge, drawn[: len(seen)], BATCH)
    result = {"frechet": metrics.frechet_distance(fakes, real)}
    things = judge.things(drawn)
    for group, rows in groups.items():
        score = obedience([things[i] for i in rows], [truths[i].things for i in rows])
        result |= {f"{group}_{key}": value for key, value in score.items()}
    return result


def _priors(model: Any) -> dict[str, bool]:
    """The priors to draw from, by their names in a record; whether each is the fitted one."""
    return {"standard_prior": False} | ({"fitted_prior": True} if model.prior.fitted else {})


def _draw(model: Any, conditions: Tensor, size: int, seed: int, fitted_prior: bool) -> Tensor:
    """A picture (N, C, H, W) for each condition, ``size`` at once."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    parts = (part if model.conditional else len(part) for part in conditions.split(size))
    return torch.cat([model.sample(c, generator, fitted_prior=fitted_prior) for c in parts])


def _pixels(data: CaptionedSet) -> Tensor:
    return to_unit(torch.from_numpy(np.array(data.images)))


@torch.no_grad()
def _reconstruction(model: Any, data: Any, size: int, seed: int) -> dict[str, Any]:
    """Means of the ELBO's terms and of the reconstructions' errors, and active units."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    parts, means = [], []
    with evaluating(model):
        for images, condition in data.to(device).batches(size):
            x = to_unit(images)
            mu, _ = model.encode(x, condition)
            means.append(mu)
            rebuilt = model.decode(mu, condition)
            terms = losses.elbo(model, x, condition, generator)
            scores = [terms["nll"], terms["kl"], terms["loss"]]
            scores += [score(x, rebuilt) for score in (metrics.sse, metrics.ssim, metrics.psnr)]
            parts.append(torch.stack(scores))
    names = ("nll", "kl", "negative_elbo", "sse", "ssim", "psnr")
    result = dict(zip(names, torch.cat(parts, 1).double().mean(1).tolist(), strict=True))
    return result | {"active_units": losses.active_units(torch.cat(means))}
