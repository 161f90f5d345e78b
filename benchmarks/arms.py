"""What every experiment's script shares: its description, its command line, its missing runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cvae_lib import metrics, records
from cvae_lib.records import library_commit

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
            result = run(arm, seed)
            records.write_run(experiment, name, result)
            print(name, result["metrics"], flush=True)


def closeness(pairs: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """SSIM and SSE per pixel, summed over the channels, of pictures (B, C, S, S) and their like."""
    parts = [
        torch.stack([metrics.ssim(x, y), metrics.sse(x, y) / x[0, 0].numel()]) for x, y in pairs
    ]
    ssim, sse = torch.cat(parts, 1).double().mean(1).tolist()
    return {"ssim": ssim, "sse_per_pixel": sse}


def commit() -> dict[str, str]:
    """What a checkpoint must say to be taken up: that it is of this code."""
    return {"library_commit": library_commit()}


def seed_by_seed(experiment: str, seeds: dict[str, range]) -> Iterable[tuple[str, str, int]]:
    """The jobs of arms with their seeds: every arm's first seed before the second."""
    for seed in sorted({seed for of_arm in seeds.values() for seed in of_arm}):
        yield from ((experiment, arm, seed) for arm, of_arm in seeds.items() if seed in of_arm)
