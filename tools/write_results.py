"""Write book/results.md from the records: every shipped model, every experiment.

    python tools/write_results.py

An experiment is an entry of `EXPERIMENTS`; one whose records have no entry stops the script.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chapter_times
import set_repository

from cvae_lib import records
from cvae_lib.pretrained import RECIPES, record

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "book" / "results.md"

Columns = dict[str, str]  # a heading → where its number stands in a record, levels joined by "."


@dataclass(frozen=True)
class Experiment:
    """What the page says of an experiment beside its numbers."""

    title: str
    about: str
    script: str  # in benchmarks/; also the command that repeats it
    columns: Columns  # of "metrics" in a run of an arm, or of a row if the run has "rows"
    arms: dict[str, str] = field(default_factory=dict)  # what each is; rows come in this order


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

EXPERIMENTS = {
    "conditioning": Experiment(
        "How to tell a network the label",
        "A VAE that is told the label in one way or another, and one without; equal size of "
        "the code, equal training of 10 epochs of 55,000 pictures. Fréchet distance and class "
        "agreement with $z$ from $\\mathcal N(0, I)$; probes read the class from μ. "
        "Told in [Chapter 05](05_concat_or_add.ipynb).",
        "conditioning.py",
        {
            "−ELBO": "negative_elbo",
            "distortion": "nll",
            "rate": "kl",
            "SSE": "sse",
            "active units": "active_units",
            "Fréchet": "standard_prior.frechet",
            "agreement": "standard_prior.class_agreement",
            "kNN probe": "knn_probe",
            "linear probe": "linear_probe",
        },
        {
            "vae": "no label",
            "concat": "label embedding beside the encoder's features and beside $z$",
            "concat-small": "the same, embeddings starting with standard deviation 0.02",
            "additive": "label embeddings added to the encoder's features and to $z$, starting "
            "with standard deviation 1",
            "additive-small": "the same, starting with 0.02",
            "additive-small-encoder": "0.02 in the encoder, 1 in the decoder",
            "additive-small-decoder": "1 in the encoder, 0.02 in the decoder",
            "additive-hidden": "0.02, in the decoder added one layer after $z$",
            "film": "features scaled and shifted by the label, starting with no change",
            "film-unit": "the same, embeddings starting with standard deviation 1",
        },
    ),
    "rate-distortion": Experiment(
        "What a nat of code buys",
        "The article's VAE at several weights β of the KL term: 5 epochs of 20,000 pictures, "
        "measured on 2,000. "
        "Told in [Chapter 03](03_the_elbo.ipynb).",
        "rate_distortion.py",
        {
            "distortion": "nll",
            "rate": "kl",
            "SSE": "sse",
            "active units": "active_units",
            "Fréchet": "frechet",
        },
    ),
    "collapse": Experiment(
        "When the code is left empty",
        "Binarised pixels and a decoder that also reads the pixels before, so that it can do "
        "without the code; with remedies, and against a decoder that sees the code only. "
        "Told in [Chapter 03](03_the_elbo.ipynb).",
        "rate_distortion.py",
        {
            "distortion": "nll",
            "distortion with another picture's code": "swapped_nll",
            "rate": "kl",
            "active units": "active_units",
            "ELBO": "bounds.1",
            "importance-weighted bound, K = 64": "bounds.64",
        },
        {
            "none": "no remedy",
            "warm-up": "KL warm-up over 400 steps",
            "free-bits": "the first 8 nats cost nothing",
            "both": "warm-up and free bits",
            "code-only": "the article's decoder",
        },
    ),
    "scenes": Experiment(
        "Sentences to scenes",
        "A text-conditional VAE of half the article's width with hashed text vectors, 8 epochs of "
        "25,000 scenes of 64 pixels (the arms named by size: fewer). Fréchet distance, obedience "
        "to texts of one thing and the share of pictures in which all is right, with $z$ from the "
        "prior fitted to the posteriors given the text, unless it says $\\mathcal N(0, I)$. SSE "
        "is a pixel's, over three channels. Told in [Chapter 11](11_scaling.ipynb) and "
        "[Chapter 12](12_limits.ipynb).",
        "scenes.py",
        {
            "−ELBO": "negative_elbo",
            "rate": "kl",
            "SSE": "sse_per_pixel",
            "SSIM": "ssim",
            "Fréchet": "fitted_prior.frechet",
            "colour": "fitted_prior.one_colour",
            "shape": "fitted_prior.one_shape",
            "position": "fitted_prior.one_position",
            "position, N(0, I)": "standard_prior.one_position",
            "all, one thing": "fitted_prior.one_all",
            "all, one unseen": "fitted_prior.unseen_one_all",
        },
        {
            "film": "128 latent units; the text scales and shifts every scale of the decoder",
            "concat": "the same, the text appended to features and code",
            "add": "the same, the text added to features and code",
            "beta-3": "`film` with the KL term three times as heavy",
            "latent-64": "`film` with 64 latent units",
            "latent-1024": "with 1,024",
            "size-64": "`film` from 10,000 scenes",
            "size-128": "the same at 128 pixels",
            "size-256": "at 256 pixels, from 2,500 scenes",
        },
    ),
    "photos": Experiment(
        "Photos from captions",
        "The concat model of half the article's width and 512 latent units, 60 epochs of four "
        "fifths of 283 photos of COCO val2017 with hashed text vectors: reconstructions of photos "
        "that it knows and of the fifth that it does not. SSE is a pixel's, over three channels. "
        "Told in [Chapter 11](11_scaling.ipynb).",
        "photos.py",
        {
            "SSIM, known": "known.ssim",
            "SSE, known": "known.sse_per_pixel",
            "SSIM, new": "new.ssim",
            "SSE, new": "new.sse_per_pixel",
        },
        {
            "size-64": "64 pixels",
            "size-128": "128 pixels",
            "size-256": "256 pixels",
            "latent-64": "64 pixels, 64 latent units",
            "latent-128": "the same with 128",
            "latent-1024": "the same with 1,024",
            "none": "64 pixels, no text",
            "add": "64 pixels, the text added to features and code",
            "film": "64 pixels, the text scales and shifts every scale of the decoder",
        },
    ),
    "thumbnails": Experiment(
        "What a thumbnail reaches",
        "Photos of COCO shrunk to a few pixels and enlarged again, compared with themselves at "
        "three sizes: a yardstick for the experiment on photos. "
        "Told in [Chapter 11](11_scaling.ipynb).",
        "thumbnails.py",
        {
            "pixels": "size",
            "side of the thumbnail": "side",
            "SSIM": "ssim",
            "SSE": "sse_per_pixel",
        },
    ),
    "prior-width": Experiment(
        "How wide to draw",
        "The fitted prior of `fashion-concat-sigma` with its standard deviations multiplied by a "
        "width: 10,000 drawn pictures against 5,000 validation pictures. Told in "
        "[Chapter 08](08_words_to_pictures.ipynb).",
        "prior_width.py",
        {"width": "width", "Fréchet": "frechet", "agreement": "class_agreement"},
    ),
}


def page() -> str:
    """The whole page as Markdown.

    Raises:
        ValueError: for an experiment or an arm that `EXPERIMENTS` does not describe.
    """
    address = f"https://github.com/{set_repository.current(ROOT)}/blob/main"
    parts = [
        "# Results: every trained model and every experiment",
        "<!-- Written by tools/write_results.py (`make results`); do not edit. -->",
        "What the records of this book hold, with the command that makes each again. −ELBO, "
        "distortion and rate are in nats a picture, the squared error (SSE) is the sum over its "
        "pixels; the other measures are those of [Chapter 07](07_measuring_images.ipynb). A ± is a "
        "95 % confidence interval over seeds.",
        *models(address),
    ]
    for name in sorted(set(records.experiments()) - {chapter_times.EXPERIMENT}):
        parts += experiment(name, records.runs(name), address)
    if times := chapter_times.kept():
        parts += chapters(times, address)
    return "\n\n".join(parts) + "\n"


def models(address: str) -> list[str]:
    """The shipped models: what they are, how they were made, what they measure."""
    shipped = {name: record(name) for name in RECIPES}
    return [
        "## Shipped models",
        f"`python benchmarks/pretrain.py NAME` ([script]({address}/benchmarks/pretrain.py)) trains "
        "one again. Each has one seed: these numbers say how good *these* weights are, not which "
        "kind of model is better.",
        "\n".join(
            f"- [`{name}`]({address}/cvae_lib/pretrained/{name}.json): {run['about']}; trained on "
            f"{run['hardware']}."
            for name, run in shipped.items()
        ),
        table(
            {
                "model": f"`{name}`",
                "parameters": f"{run['parameters']:,}",
                "pictures": f"{run['data']['train_images']:,}",
                "epochs": run["config"]["epochs"],
                "seed": run["config"]["seed"],
                "time": chapter_times.clock(run["seconds"]),
            }
            for name, run in shipped.items()
        ),
        *garment_models(shipped),
        *scene_models(shipped),
    ]


def garment_models(shipped: dict[str, dict[str, Any]]) -> list[str]:
    """What the models of Fashion-MNIST measure."""
    judge = shipped["fashion-judge"]["metrics"]["accuracy"]
    drawing = {
        name: run["metrics"]
        for name, run in shipped.items()
        if name != "fashion-judge" and not RECIPES[name].scenes
    }
    return [
        f"The judge of garments sees the right class in {100 * judge:.1f} % of the 10,000 test "
        "pictures. The others, on the same pictures; `fashion-concat-sigma` has a density of "
        "greys, so its −ELBO and distortion can be compared with nobody else's:",
        table({"model": f"`{name}`", **cells([run], REBUILT)} for name, run in drawing.items()),
        "And 10,000 pictures drawn by each, with $z$ from $\\mathcal N(0, I)$ and, where there is "
        "one, from the fitted prior:",
        table({"model": f"`{name}`", **cells([run], DRAWN)} for name, run in drawing.items()),
    ]


def scene_models(shipped: dict[str, dict[str, Any]]) -> list[str]:
    """What the models of Scenes measure."""
    judge = shipped["scenes-judge"]["metrics"]["all"]
    count = shipped["scenes-judge"]["data"]["test_images"]
    name, run = "scenes-film", shipped["scenes-film"]["metrics"]
    priors = {"standard_prior": "$\\mathcal N(0, I)$", "fitted_prior": "fitted, given the text"}
    return [
        f"The judge of scenes reads {100 * judge:.1f} % of {count:,} painted scenes without a "
        "mistake, half of them of combinations that the models never see. "
        f"`{name}` rebuilds the other half (SSE of a pixel over its three channels):",
        table([{"model": f"`{name}`", **cells([run], SCENE_REBUILT)}]),
        f"And pictures that `{name}` draws from captions, as the judge reads them: the shares of "
        "asked colours, shapes and places that are there, of pictures with as many things as "
        "asked, and of those in which all of it is right:",
        table(
            {
                "$z$ from": title,
                "the text asks for": asked,
                **cells([run[prior]], {score: f"{group}_{score}" for score in SCORES}),
            }
            for prior, title in priors.items()
            for group, asked in ASKED.items()
        ),
    ]


def experiment(name: str, runs: list[dict[str, Any]], address: str) -> list[str]:
    """Title, text and table of one experiment."""
    if name not in EXPERIMENTS:
        raise ValueError(
            f"experiment {name!r} has records and no entry in EXPERIMENTS of {Path(__file__).name}"
        )
    entry = EXPERIMENTS[name]
    seconds = sum(run.get("seconds", 0) for run in runs)
    cost = f" {len(runs)} runs" if len(runs) > 1 else ""
    if seconds:
        where = " and ".join(sorted({run["hardware"] for run in runs}))
        time = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"
        cost += f" took {time} in all ({where})"
    rows: list[dict[str, Any]]
    if "rows" in runs[0]:
        rows = [cells([row], entry.columns) for run in runs for row in run["rows"]]
    else:
        rows = [
            {
                "arm": f"`{arm}`",
                "seeds": len(metrics),
                **cells(metrics, entry.columns),
            }
            for arm, metrics in by_arm(name, entry, runs).items()
        ]
    run_arms = {run.get("arm") for run in runs}
    described = [f"- `{arm}`: {what}" for arm, what in entry.arms.items() if arm in run_arms]
    again = "" if "rows" in runs[0] else " --again"  # without it, runs with a record are left out
    return [
        f"## {entry.title}",
        f"{entry.about}{cost}{'.' if cost else ''}",
        f"`python benchmarks/{entry.script}{again}` "
        f"([script]({address}/benchmarks/{entry.script}), "
        f"[records]({address.replace('/blob/', '/tree/')}/cvae_lib/records/{name}))",
        *(["\n".join(described)] if described else []),
        table(rows),
    ]


def by_arm(
    name: str, entry: Experiment, runs: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """The metrics of each arm's runs, arms in the entry's order, without one by their numbers."""
    arms: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        arms.setdefault(run["arm"], []).append(run["metrics"])
    if entry.arms and (unknown := arms.keys() - entry.arms.keys()):
        raise ValueError(f"arms of {name!r} that its entry does not describe: {sorted(unknown)}")
    order = list(entry.arms)
    return dict(
        sorted(arms.items(), key=lambda arm: order.index(arm[0]) if order else number(arm[0]))
    )


def number(arm: str) -> tuple[float, str]:
    """ "beta-0.3" → (0.3, "beta-0.3"), to sort by."""
    try:
        return float(arm.rpartition("-")[2]), arm
    except ValueError:
        return float("inf"), arm


def chapters(runs: list[dict[str, Any]], address: str) -> list[str]:
    """How long each chapter's code takes."""
    rows = [
        {
            "chapter": f"[]({run['chapter']}.ipynb)",
            "scale": f"`{run['scale']}`",
            "time": chapter_times.clock(run["seconds"]),
            "hardware": run["hardware"],
        }
        for run in runs
    ]
    return [
        "## How long the chapters run",
        f"`python benchmarks/chapters.py` ([script]({address}/benchmarks/chapters.py))",
        table(rows),
    ]


def cells(metrics: list[dict[str, Any]], columns: Columns) -> dict[str, str]:
    """The text of each column for one arm's runs: mean ± interval, or the one value; – if absent.

    Raises:
        ValueError: if some of the runs have a number and others do not.
    """
    row = {}
    for heading, path in columns.items():
        values = [value for one in metrics if (value := look_up(one, path)) is not None]
        if values and len(values) < len(metrics):
            raise ValueError(f"{path!r} stands in {len(values)} of {len(metrics)} runs of an arm")
        if not values:
            row[heading] = "–"
        elif len(values) == 1:
            row[heading] = f"{values[0]:.4g}".replace("-", "−")
        else:
            row[heading] = str(records.interval(values)).replace("-", "−")
    return row


def look_up(metrics: dict[str, Any], path: str) -> float | None:
    """The number under "a.b" in nested dicts."""
    found: Any = metrics
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def table(rows: Iterable[dict[str, Any]]) -> str:
    """A Markdown table of the columns in which any row has something to say.

    Raises:
        ValueError: if a column of numbers is empty everywhere, as a misspelt one would be.
    """
    rows = list(rows)
    heads = list(rows[0])
    if empty := [head for head in heads if all(row[head] == "–" for row in rows)]:
        raise ValueError(f"no record has the numbers of {', '.join(empty)}")
    left = {"model", "hardware", "arm", "chapter", "scale", "$z$ from", "the text asks for"}
    lines = [heads, [":---" if head in left else "---:" for head in heads]]
    lines += [[str(row[head]) for head in heads] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    try:
        text = page()
    except ValueError as error:
        raise SystemExit(f"write_results: {error}") from None
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        PAGE.write_text(text, encoding="utf-8")
        print(f"{PAGE.relative_to(ROOT)} was written anew.")


if __name__ == "__main__":
    main()
