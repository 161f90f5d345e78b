"""What must not change by accident: pixels, captions, vectors, trained weights, shipped metrics.

The values lie in goldens.json. A change that is meant writes them anew and says so in its message:

    python tests/test_goldens.py                    # all of them
    python tests/test_goldens.py "trained: concat"  # one
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cvae_lib import evaluation, models
from cvae_lib.data import fashion_mnist
from cvae_lib.data.scenes import SPLITS, draw_scene, render, scenes
from cvae_lib.encoders import HashingTextEncoder
from cvae_lib.losses import elbo
from cvae_lib.models.judges import judge_objective, scene_judge_objective, truth_set
from cvae_lib.pretrained import load_pretrained
from cvae_lib.recipes import RECIPES
from cvae_lib.train import TrainConfig, fit

FILE = Path(__file__).with_name("goldens.json")
IMAGES = 1_000  # to train on
PICTURES = 600  # to measure a shipped model on
SAMPLES = 1_000  # drawn garments
BATCH_NORM = torch.nn.BatchNorm1d | torch.nn.BatchNorm2d

TEXTS = [
    "a red circle",
    "a blue circle",
    "circle red a",
    "A RED CIRCLE!",
    "a red circle above a blue square",
    "a blue circle above a red square",
    "three shapes",
    "A dog. A cat.",
    "A dog runs. It is raining; the street is wet.",
    "Two people, one of them with a hat, look at the sea.",
    "Ein roter Kreis",
    "un cercle rouge à gauche",
    "красный круг",
    "红色圆圈",
    "a t-shirt and jeans",
    "3 stars in the top left",
    "Mr. Smith has a dog.",
    "It costs 3.50 dollars. That is cheap!",
    "The picture shows one shape. It is a large red circle in the centre.",
    "naïve café ﬁsh",
]


def drawn_scenes() -> dict[str, str]:
    """The SHA-256 of the pixels of five scenes of each split, and of their captions."""
    result = {}
    for split in SPLITS:
        drawn = [draw_scene(split, index) for index in range(5)]
        pixels = b"".join(render(scene, 64).tobytes() for scene, _ in drawn)
        texts = "\n".join(caption for _, captions in drawn for caption in captions)
        result[f"{split} pixels"] = hashlib.sha256(pixels).hexdigest()
        result[f"{split} captions"] = hashlib.sha256(texts.encode()).hexdigest()
    return result


def hashed_vectors() -> dict[str, list[float]]:
    """Of each text's vector: its sum, its norm, and its product with 1, 2, …, 512 over 512."""
    vectors = HashingTextEncoder()(TEXTS).double()
    ramp = torch.arange(1, vectors.shape[1] + 1) / vectors.shape[1]
    rows = torch.stack([vectors.sum(1), vectors.norm(dim=1), vectors @ ramp.double()], 1)
    return dict(zip(TEXTS, rows.tolist(), strict=True))


KINDS: dict[str, Any] = {
    "vae": (models.VAE, elbo),
    "concat": (models.ConcatConditionalVAE, elbo),
    "concat, optimal σ": (
        lambda: models.ConcatConditionalVAE(likelihood="optimal-sigma"),
        elbo,
    ),
    "concat, binarised": (
        lambda: models.ConcatConditionalVAE(likelihood="binarised"),
        elbo,
    ),
    "additive": (models.AdditiveConditionalVAE, elbo),
    "film": (models.FilmConditionalVAE, elbo),
    "judge": (lambda: models.FashionJudge(8), judge_objective),
    "scenes judge": (lambda: models.SceneJudge(16), scene_judge_objective),
    **{
        f"text, {how}": (
            lambda how=how: models.TextConditionalVAE(16, 8, 512, how, width=8),
            elbo,
        )
        for how in models.CONDITIONINGS
    },
}


def idle(model: torch.nn.Module) -> set[str]:
    """Biases that BatchNorm or a softmax takes out again: their gradient is rounding alone.

    Adam makes whole steps of it, other ones with other kernels.
    """
    names = {name for name, _ in model.named_parameters() if name.endswith("attention.key.bias")}
    for name, block in model.named_modules():
        if isinstance(block, torch.nn.Sequential):
            pairs = enumerate(itertools.pairwise(block))
            names |= {f"{name}.{i}.bias" for i, (_, b) in pairs if isinstance(b, BATCH_NORM)}
    return names


def trained(kind: str) -> dict[str, Any]:
    """The norms of parameters that learn, after two epochs, by shape, and the validation loss."""
    build, objective = KINDS[kind]
    if kind.startswith(("text", "scenes")):
        encoder = HashingTextEncoder()
        size = 16 if kind.startswith("text") else 64
        told = {"encoder": encoder, "words": kind == "text, attend"}
        train_set = scenes("train", IMAGES // 4, size, **told)
        valid_set = scenes("valid", 100, size, **told)
        if kind == "scenes judge":
            train_set, valid_set = truth_set(train_set), truth_set(valid_set)
    else:
        train_set, valid_set = (
            fashion_mnist("train").first(IMAGES),
            fashion_mnist("valid").first(200),
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(0)
        model = build()
        config = TrainConfig(2, 100, 1e-3, "cosine", precision="float32", channels_last=False)
        history = fit(model, train_set, valid_set, config, objective=objective)
    finally:
        torch.set_num_threads(threads)
    parameters = [p.detach() for name, p in model.named_parameters() if name not in idle(model)]
    norms = sorted((list(p.shape), float(p.double().norm())) for p in parameters)
    return {"valid_loss": history.last["valid_loss"], "norms": norms}


def measured(name: str) -> dict[str, Any]:
    """The metrics of a shipped model on the first test pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "SAMPLES", SAMPLES)
        recipe = RECIPES[name]
        return recipe.kind.measure(load_pretrained(name), recipe.data("test", PICTURES))


MADE: dict[str, Any] = {
    "scenes": drawn_scenes,
    "vectors": hashed_vectors,
    **{f"trained: {kind}": (lambda kind=kind: trained(kind)) for kind in KINDS},
    **{f"shipped: {name}": (lambda name=name: measured(name)) for name in RECIPES},
}


def differences(found: Any, golden: Any, path: str = "") -> list[str]:
    """Where two trees of values differ: numbers by more than 3 · 10⁻³, all else at all."""
    if isinstance(found, dict) and isinstance(golden, dict) and found.keys() == golden.keys():
        return [d for key in found for d in differences(found[key], golden[key], f"{path}/{key}")]
    if isinstance(found, list | tuple) and isinstance(golden, list) and len(found) == len(golden):
        pairs = enumerate(zip(found, golden, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{path}/{i}")]
    numbers = all(isinstance(x, int | float) for x in (found, golden))
    if found == golden or (numbers and found == pytest.approx(golden, rel=3e-3, abs=1e-4)):
        return []
    return [f"{path}: {found!r}, golden {golden!r}"]


@pytest.mark.parametrize("name", MADE)
def test_nothing_changed_by_accident(name: str) -> None:
    golden = json.loads(FILE.read_text("utf-8"))[name]
    assert not differences(MADE[name](), golden)


if __name__ == "__main__":
    content = json.loads(FILE.read_text("utf-8")) if sys.argv[1:] else {}
    content |= {name: MADE[name]() for name in sys.argv[1:] or MADE}
    FILE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
