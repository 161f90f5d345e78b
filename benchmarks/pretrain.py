"""Train the shipped models from scratch and write their weights and records.

    python benchmarks/pretrain.py                        # all of them, judges first
    python benchmarks/pretrain.py fashion-concat-sigma   # one
    python benchmarks/pretrain.py --layout scenes-attend # of a shipped one the layout alone

A run that is stopped goes on where it was; its checkpoints lie in runs/. Only committed code makes
weights to publish, and a checkpoint of another commit is not taken up.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import arms
import torch
from arms import Columns
from torch import nn

from cvae_lib.data.sets import about_encoder
from cvae_lib.files import write_atomically
from cvae_lib.latent import fit_layout
from cvae_lib.models.layout import Layout
from cvae_lib.pretrained import FOLDER, load_pretrained, record, text_encoder
from cvae_lib.recipes import RECIPES, Recipe, recipe_of, train_recipe
from cvae_lib.train import History

REBUILT: Columns = {
    "−ELBO": "negative_elbo",
    "distortion": "nll",
    "rate": "kl",
    "SSE": "sse",
    "SSIM": "ssim",
    "active units": "active_units",
}
DRAWN: Columns = {
    "Fréchet, N(0, I)": "standard_prior.frechet",
    "agreement, N(0, I)": "standard_prior.class_agreement",
    "Fréchet, fitted": "fitted_prior.frechet",
    "agreement, fitted": "fitted_prior.class_agreement",
}
SCENE_REBUILT: Columns = {
    "−ELBO": "negative_elbo",
    "distortion": "nll",
    "rate": "kl",
    "SSE a pixel": "sse_per_pixel",
    "SSIM": "ssim",
    "active units": "active_units",
}
ASKED = {
    "one": "one thing",
    "several": "two or three things",
    "unseen_one": "one thing, of a shape and colour never seen together",
    "unseen_several": "two or three, one in a colour or two in a place never seen so",
}
SCORES = ("colour", "shape", "position", "count", "all")
PRIORS = {
    "scenes-film": {
        "standard_prior": "$\\mathcal N(0, I)$",
        "fitted_prior": "fitted, given the text",
    },
    "scenes-attend": {
        "standard_prior": "its Gaussian",
        "fitted_prior": "the same, after its layout",
    },
    "scenes-map": {"rebuilt": "the picture itself"},
    "scenes-flow": {"drawn": "the flow"},
}

Metrics = dict[str, Any]
Table = tuple[str, list[tuple[dict[str, Any], Metrics]], Columns]


def tables(shipped: dict[str, Metrics], address: str) -> list[Table]:
    """What book/results.md says of the models: text, (first cells, metrics), columns."""
    about = [
        f"- [`{name}`]({address}/cvae_lib/pretrained/{name}.json): {run['about']}; trained on "
        f"{run['hardware']}."
        for name, run in shipped.items()
    ]
    training = {
        f"`{name}`": {
            "parameters": f"{run['parameters']:,}",
            "pictures": f"{run['data']['train_images']:,}",
            "epochs": run["config"]["epochs"],
            "seed": run["config"]["seed"],
            "time": run["seconds"],
        }
        for name, run in shipped.items()
    }
    measured = {name: run["metrics"] for name, run in shipped.items()}
    judges = {"fashion-judge", "scenes-judge"}
    named = [({"model": f"`{name}`"}, one) for name, one in measured.items() if name not in judges]
    garments = [row for row in named if "fashion" in row[0]["model"]]
    scenes = [row for row in named if "sse_per_pixel" in row[1]]
    asked = [
        (
            {"model": f"`{name}`", "$z$ from": title, "the text asks for": what},
            {score: measured[name][prior][f"{group}_{score}"] for score in SCORES},
        )
        for name, priors in PRIORS.items()
        for prior, title in priors.items()
        for group, what in ASKED.items()
    ]
    garments_right = 100 * measured["fashion-judge"]["accuracy"]
    scenes_right = 100 * measured["scenes-judge"]["all"]
    painted = shipped["scenes-judge"]["data"]["test_images"]
    return [
        (
            "## Shipped models\n\n"
            f"`python benchmarks/pretrain.py NAME` ([script]({address}/benchmarks/pretrain.py)) "
            "trains one again. Each has one seed: these numbers say how good *these* weights are, "
            "not which kind of model is better.\n\n" + "\n".join(about),
            [({"model": name} | told, {}) for name, told in training.items()],
            {},
        ),
        (
            f"The judge of garments sees the right class in {garments_right:.1f} % of the 10,000 "
            "test pictures. The others, on the same pictures; `fashion-concat-sigma` has a density "
            "of greys, so its −ELBO and distortion can be compared with nobody else's:",
            garments,
            REBUILT,
        ),
        (
            "And 10,000 pictures drawn by each, with $z$ from $\\mathcal N(0, I)$ and, where "
            "there is one, from the fitted prior:",
            garments,
            DRAWN,
        ),
        (
            f"The judge of scenes reads {scenes_right:.1f} % of {painted:,} painted scenes without "
            "a mistake, half of them of combinations that the models never see. These rebuild "
            "the other half (SSE of a pixel over its three channels):",
            scenes,
            SCENE_REBUILT,
        ),
        (
            "And pictures that they draw from captions, as the judge reads them: the "
            "shares of asked colours, shapes and places that are there, of pictures with as many "
            "things as asked, and of those in which all of it is right:",
            asked,
            {score: score for score in SCORES},
        ),
    ]


def check_commit(commit: str) -> None:
    """ValueError unless ``commit`` names a commit: nobody could train these weights again."""
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise ValueError(f"weights of {commit!r} are not published: commit first, then train")


def publish(
    name: str,
    model: nn.Module,
    history: History,
    data: tuple[Any, Any],
    commit: str,
    folder: Path = FOLDER,
) -> dict[str, Any]:
    """Write weights (float16) and record of ``name``; the metrics are those of the written file.

    Args:
        data: the training and the test set.
    """
    check_commit(commit)
    recipe, (train_set, test_set) = recipe_of(name), data
    content, sha256 = arms.halve(model)
    encoder = text_encoder(recipe.encoder) if recipe.encoder else None
    written = {
        "model": name,
        "about": recipe.about,
        "architecture": {"class": type(model).__name__, **getattr(model, "architecture", {})},
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights_sha256": sha256,
        **(about_encoder(encoder) if encoder else {}),
        "prior_width": recipe.prior_width,
        "data": {
            "train_images": len(train_set),
            "train_sha256": train_set.sha256(),
            "test_images": len(test_set),
            "test_sha256": test_set.sha256(),
        },
        "metrics": recipe.kind.measure(model, test_set),
        **arms.provenance(recipe.config, history),
        "library_commit": commit,
        **({"layout": laid_out(recipe, history.layout, commit)} if recipe.layout else {}),
    }
    return write(name, written, content, folder)


def laid_out(recipe: Recipe, told: dict[str, Any], commit: str) -> dict[str, Any]:
    """What a record says of the layout: as `fit_layout` told, with settings and origin."""
    assert recipe.layout is not None
    return {"config": asdict(recipe.layout), **told, **arms.origin(), "library_commit": commit}


def publish_layout(name: str, data: tuple[Any, Any], commit: str, folder: Path = FOLDER) -> Any:
    """Train the layout of a shipped model anew; all else of its record, but metrics, stays."""
    check_commit(commit)
    recipe, (train_set, test_set) = recipe_of(name), data
    if not (recipe.layout and recipe.encoder):
        raise ValueError(f"{name} has no layout: leave out --layout to train all of it")
    model, run = load_pretrained(name), record(name)
    torch.manual_seed(recipe.layout.seed)
    model.prior.layout = Layout(model.text_dim)
    told = fit_layout(model, train_set, text_encoder(recipe.encoder), recipe.layout)
    content, sha256 = arms.halve(model)
    changed = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights_sha256": sha256,
        "metrics": recipe.kind.measure(model, test_set),
        "layout": laid_out(recipe, told, commit),
    }
    return write(name, run | changed, content, folder)


def write(name: str, written: dict[str, Any], content: bytes, folder: Path) -> dict[str, Any]:
    """Write a model's weights and its record; returns the record."""
    write_atomically(folder / f"{name}.safetensors", content)
    arms.write_json(folder / f"{name}.json", written)
    return written


def main(names: list[str], layout: bool = False) -> None:
    commit = arms.library_commit()
    for name in names or [name for name, recipe in RECIPES.items() if recipe.layout or not layout]:
        recipe = recipe_of(name)
        train, valid, test = (recipe.data(split) for split in ("train", "valid", "test"))
        if layout:
            print(name, publish_layout(name, (train, test), commit)["layout"], flush=True)
            continue
        model, history = train_recipe(
            name,
            train,
            valid,
            checkpoint=Path("runs") / f"{name}.safetensors",
            about={"library_commit": commit},
            on_epoch=lambda row: print({k: round(v, 3) for k, v in row.items()}, flush=True),
        )
        print(name, publish(name, model, history, (train, test), commit)["metrics"], flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="of models; all of them if none")
    parser.add_argument("--layout", action="store_true", help="train only their layouts anew")
    given = parser.parse_args()
    main(given.names, given.layout)
