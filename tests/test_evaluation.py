"""What measures a text model on scenes: groups, names and priors."""

from typing import Any

import pytest
import torch

from cvae_lib.data import CaptionedSet, Thing
from cvae_lib.data.scenes import joined, scenes
from cvae_lib.encoders import HashingTextEncoder, SemanticTextEncoder
from cvae_lib.evaluation import (
    BATCH,
    draw_placed,
    measure_flow,
    measure_map_vae,
    measure_scene_judge,
    measure_scenes,
    obedience,
)
from cvae_lib.latent import fit_text_prior
from cvae_lib.models import LatentFlow, MapVAE, SceneJudge, TextConditionalVAE
from cvae_lib.models.judges import Seen
from cvae_lib.train import evaluate


def scene_set(size: int = 32) -> CaptionedSet:
    encoder = HashingTextEncoder(16)
    return joined(
        scenes("test", 30, size, encoder=encoder), scenes("unseen", 20, size, encoder=encoder)
    )


def model() -> TextConditionalVAE:
    torch.manual_seed(0)
    return TextConditionalVAE(32, 4, 16, "film", width=4).eval()


def test_joined_sets_are_one_after_the_other() -> None:
    encoder = HashingTextEncoder(16)
    parts = [scenes("test", 3, 16, encoder=encoder), scenes("unseen", 2, 16, encoder=encoder)]
    whole = joined(*parts)
    assert len(whole) == 5 and whole.starts.tolist() == [0, 5, 10, 15, 20, 25]
    assert (whole.images[3:] == parts[1].images).all()
    assert list(whole.texts[15:]) == list(parts[1].texts)
    assert whole.truths is not None and parts[1].truths is not None
    assert whole.truths[3] == parts[1].truths[0]


def test_a_record_has_every_group_and_prior() -> None:
    network, data = model(), scene_set()
    measured = measure_scenes(network, data)
    assert measured.keys() == {
        "nll", "kl", "negative_elbo", "sse_per_pixel", "ssim", "psnr", "active_units",
        "standard_prior",
    }  # fmt: skip
    groups = {"one", "several", "unseen_one", "unseen_several"}
    scores = {"colour", "shape", "position", "count", "all"}
    names = {f"{group}_{score}" for group in groups for score in scores} | {"frechet"}
    assert measured["standard_prior"].keys() == names
    seen = data.subset(slice(30))  # the others hold combinations that no model was trained on
    x, texts = torch.from_numpy(seen.images) / 255, seen.text_vectors()
    of_channels = (x - network.reconstruct(x, texts)).square().sum(1).mean()
    assert measured["sse_per_pixel"] == pytest.approx(float(of_channels), abs=1e-5)
    terms = evaluate(network, seen, batch_size=BATCH)
    assert measured["nll"] == pytest.approx(terms["nll"])
    assert measured["negative_elbo"] == pytest.approx(terms["loss"])
    fit_text_prior(network, data)
    again = measure_scenes(network, data)
    assert again["fitted_prior"].keys() == names
    assert again | {"fitted_prior": None} == measured | {"fitted_prior": None}


def test_a_map_vae_and_a_flow_are_judged_like_text_models(monkeypatch: Any) -> None:
    data, scores = scene_set(), measure_scenes(model(), scene_set())["standard_prior"].keys()
    vae = MapVAE(32, width=4).eval()
    measured = measure_map_vae(vae, data)
    assert measured["rebuilt"].keys() == scores and "nll" in measured
    encoder = SemanticTextEncoder()
    words = scenes("test", 30, 32, encoder=encoder, words=True)
    flow = LatentFlow(32, vae_width=4, width=16, blocks=1).eval()
    asked = []
    monkeypatch.setattr(
        flow, "sample", lambda text, generator: (asked.append(text), torch.rand(30, 3, 32, 32))[1]
    )
    drawn = measure_flow(flow, words)["drawn"]
    assert {"frechet", "one_all", "several_all"} <= drawn.keys() <= scores
    assert torch.equal(torch.cat(asked), words.text_vectors("placed"))


def test_pictures_are_asked_for_by_the_caption_that_places(monkeypatch: Any) -> None:
    network, data = model(), scene_set()
    asked = []
    sample = network.sample
    monkeypatch.setattr(
        network, "sample", lambda text, *a, **k: (asked.append(text), sample(text, *a, **k))[1]
    )
    assert draw_placed(network, data).shape == (50, 3, 32, 32)
    assert torch.equal(torch.cat(asked), torch.from_numpy(data.vectors[1::5]).float())


def test_a_judge_is_measured_on_real_scenes() -> None:
    scores = measure_scene_judge(SceneJudge(width=8), scene_set())
    assert scores.keys() == {"colour", "shape", "position", "count", "all"}


# Obedience: what a judge of scenes sees against what a text asked for.


def thing(colour: str, shape: str, row: int = 0, column: int = 0, presence: float = 0.9) -> Seen:
    return Seen(presence, colour, shape, "small", row, column)


def asked(colour: str, shape: str, row: int = 0, column: int = 0) -> Thing:
    return Thing(shape, colour, "small", row, column, 0.5, 0.5)


RED_CIRCLE = thing("red", "circle")


@pytest.mark.parametrize(
    ("drawn", "colour", "shape", "position", "count", "whole"),
    [
        ([RED_CIRCLE], 1, 1, 1, 1, 1),
        ([thing("blue", "circle")], 0, 1, 1, 1, 0),
        ([thing("red", "star")], 1, 0, 1, 1, 0),
        ([thing("red", "circle", 2)], 1, 1, 0, 1, 0),
        ([RED_CIRCLE, thing("blue", "star", presence=0.8)], 1, 1, 1, 0, 0),
        ([thing("red", "circle", presence=0.4)], 1, 1, 1, 0, 0),
    ],
)
def test_obedience_to_a_text_of_one_thing(
    drawn: list[Seen], colour: int, shape: int, position: int, count: int, whole: int
) -> None:
    expected = {"colour": colour, "shape": shape, "position": position, "count": count}
    assert obedience([drawn], [[asked("red", "circle")]]) == expected | {"all": whole}


def test_obedience_sees_that_colours_are_swapped() -> None:
    wanted = [asked("red", "circle"), asked("blue", "star", 1)]
    swapped = [thing("blue", "circle"), thing("red", "star", 1)]
    score = obedience([swapped], [wanted])
    assert score == {"colour": 1, "shape": 1, "position": 1, "count": 1, "all": 0}
    half = obedience([[thing("red", "circle"), thing("green", "star")]], [wanted])
    assert half["colour"] == 0.5 and half["position"] == 0.5


def test_obedience_is_a_mean_over_pictures() -> None:
    score = obedience([[RED_CIRCLE], [thing("red", "ring", 1)]], [[asked("red", "circle")]] * 2)
    assert score == {"colour": 1, "shape": 0.5, "position": 0.5, "count": 1, "all": 0.5}


def test_obedience_needs_a_text_for_each_picture() -> None:
    with pytest.raises(ValueError, match="as many pictures as texts, got 1 and 2"):
        obedience([[]], [[], []])
