"""What the scripts share: an experiment's description, command line, missing runs and records."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

import cvae_lib
from cvae_lib import metrics, records
from cvae_lib.data.sets import DataSet
from cvae_lib.files import write_atomically
from cvae_lib.train import History, TrainConfig, fit

Columns = dict[str, str]  # a heading → where its number stands in a record, levels joined by "."


@dataclass(frozen=True)
class Experiment:
    """What book/results.md says of an experiment beside its numbers."""

    title: str
    about: str
    columns: Columns  # of "metrics" in a run of an arm, or of a row if the run has "rows"
    arms: dict[str, str] = field(default_factory=dict)  # what each is; rows come in this order
    flags: str = "--again"  # of the command that repeats it; runs with a record are else left out


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Of a script whose docstring is ``doc``: some of its arms, and whether to run them again."""
    result = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    result.add_argument("arms", nargs="*", help="the runs of these arms; of all of them if none")
    result.add_argument("--again", action="store_true", help="also runs that have a record")
    return result


def parse_coco(doc: str | None) -> tuple[Path | None, str]:
    """Root and split of the COCO folder that the command line of a script names."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, help="a COCO folder; else that of $CVAE_COCO_ROOT")
    parser.add_argument("--split", default="val2017")
    given = parser.parse_args()
    return given.root, given.split


def parse(parser: argparse.ArgumentParser, known: Collection[str]) -> argparse.Namespace:
    """Read the command line and leave one thread to torch, as in every record."""
    given = parser.parse_args()
    if unknown := set(given.arms) - set(known):
        parser.error(f"unknown arm {', '.join(sorted(unknown))}: choose of {', '.join(known)}")
    given.arms = given.arms or list(known)
    torch.set_num_threads(1)
    return given


def run_missing(
    jobs: Iterable[tuple[str, str, int]], run: Callable[[str, int], dict[str, Any]], again: bool
) -> None:
    """Run each (experiment, arm, seed) that has no record, or each if ``again``; record it."""
    for experiment, arm, seed in jobs:
        name = f"{arm}-{seed}"
        if again or not (records.FOLDER / experiment / f"{name}.json").exists():
            result = {"arm": arm, "seed": seed, **run(arm, seed)}
            write_run(experiment, name, result)
            print(name, result["metrics"], flush=True)


def trained(
    experiment: str,
    arm: str,
    model: nn.Module,
    sets: tuple[DataSet, DataSet],
    config: TrainConfig,
    again: bool,
) -> History:
    """`fit` with a checkpoint in runs/, which the same code takes up unless ``again``."""
    checkpoint = Path("runs") / experiment / f"{arm}-{config.seed}.safetensors"
    about = {"library_commit": library_commit()}
    train, valid = sets
    return fit(model, train, valid, config, checkpoint=checkpoint, resume=not again, about=about)


def write_run(experiment: str, run: str, result: dict[str, Any]) -> None:
    """Keep what a run measured in ``cvae_lib/records``."""
    write_json(records.FOLDER / experiment / f"{run}.json", result)


def write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())


def origin() -> dict[str, str]:
    """What every record says of the code and the machine."""
    return {
        "library_commit": library_commit(),
        "hardware": records.hardware(),
        "torch": torch.__version__,
    }


def provenance(config: TrainConfig, history: History) -> dict[str, Any]:
    """What every record of a training says, beside what it measured."""
    rows = [{k: v for k, v in row.items() if k != "images_per_second"} for row in history.rows]
    return {
        "config": asdict(config),
        "machine": history.settings,
        "history": rows,
        "seconds": sum(history["seconds"]),
        **origin(),
    }


def library_commit() -> str:
    """The commit the library was run from; "… with changes"; "unknown" outside a checkout."""

    def git(*words: str) -> str:
        folder = Path(cvae_lib.__file__).parent
        found = subprocess.run(["git", *words], cwd=folder, capture_output=True, check=True)
        return found.stdout.decode().strip()

    try:
        changes = git("status", "--porcelain", "--", "*.py", "recipes.json", "../benchmarks/*.py")
        return git("rev-parse", "HEAD") + (" with changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def halve(model: nn.Module) -> tuple[bytes, str]:
    """Round the weights of ``model`` to float16; return them as a safetensors file, its SHA-256."""
    halves = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(halves)
    content = safetensors.torch.save(halves)
    return content, hashlib.sha256(content).hexdigest()


def closeness(pairs: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """SSIM and SSE per pixel, summed over the channels, of pictures (B, C, S, S) and their like."""
    parts = [
        torch.stack([metrics.ssim(x, y), metrics.sse(x, y) / x[0, 0].numel()]) for x, y in pairs
    ]
    ssim, sse = torch.cat(parts, 1).double().mean(1).tolist()
    return {"ssim": ssim, "sse_per_pixel": sse}


def seed_by_seed(experiment: str, seeds: dict[str, range]) -> Iterable[tuple[str, str, int]]:
    """The jobs of arms with their seeds: every arm's first seed before the second."""
    for seed in sorted({seed for of_arm in seeds.values() for seed in of_arm}):
        yield from ((experiment, arm, seed) for arm, of_arm in seeds.items() if seed in of_arm)
