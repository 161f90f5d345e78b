"""Training speed of the article's concat CVAE: the article's way against `cvae_lib.train.fit`.

    python benchmarks/train_speed.py
    python benchmarks/train_speed.py --batch-size 1024 --compile reduce-overhead

One process, one data set, the same initial weights, and turns: an epoch through `fit`, then an
epoch the article's way, so that other load on the machine falls on both. The first round warms up
and is not counted. Measured is the training time of an epoch: shuffling into batches, moving to
the device, forward, backward, optimizer; validation is left out. The article's epoch is timed
around its loop, ours is the `images_per_second` of `fit`'s history. `fit` runs with the defaults
of `TrainConfig` unless an option says otherwise; the article's way always with batch 128, float32,
Adam at a constant 1e-3.

After equal epochs both models are evaluated alike: −ELBO in nats over the validation images in
float32, the article's weights copied into our class. The last line of a device is the median of
the rounds' ratios, ours to the article's; the CPU is measured always, CUDA after it where there is
a device.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from arms import origin, write_json
from article import (
    LEARNING_RATE,
    ArticleConcat,
    article_epoch,
    article_loader,
    copy_by_shape,
)

from cvae_lib.config import COMPILERS
from cvae_lib.data import ImageSet, fashion_mnist
from cvae_lib.models import ConcatConditionalVAE
from cvae_lib.train import TrainConfig, evaluate, fit


def measure(
    device: torch.device, train: ImageSet, valid: ImageSet, config: TrainConfig
) -> dict[str, Any]:
    """Train both in turns for ``config.epochs`` epochs; print and return what was measured."""
    torch.manual_seed(config.seed)
    article = ArticleConcat().to(device)
    ours = ConcatConditionalVAE().to(device)
    copy_by_shape(article.state_dict(), ours)
    optimizer = torch.optim.Adam(article.parameters(), lr=LEARNING_RATE)
    loader = article_loader(train)
    rounds: list[dict[str, float]] = []

    def article_turn(row: dict[str, float]) -> None:
        started = time.perf_counter()
        article_epoch(article, loader, optimizer, device)
        theirs = len(train) / (time.perf_counter() - started)
        speed = row["images_per_second"]
        rounds.append({"article": theirs, "fit": speed, "ratio": speed / theirs})
        name = f"round {len(rounds) - 1}" if len(rounds) > 1 else "warm-up"
        print(
            f"{name:8}  article {theirs:9,.0f} images/s"
            f"  fit {speed:11,.0f} images/s  ratio {speed / theirs:.2f}",
            flush=True,
        )

    config = config.resolved(device)
    describe(device, train, config)
    history = fit(ours, train, valid, config, on_epoch=article_turn)
    theirs = ConcatConditionalVAE().to(device)
    copy_by_shape(article.state_dict(), theirs)
    losses = {"article": evaluate(theirs, valid)["loss"], "fit": history.last["valid_loss"]}
    ratio = statistics.median(counted["ratio"] for counted in rounds[1:])
    print(
        f"validation −ELBO after {config.epochs} epochs: "
        f"article {losses['article']:.2f} nats, fit {losses['fit']:.2f} nats"
    )
    print(f"ratio: {ratio:.2f}", flush=True)
    return {
        "ratio": ratio,
        "valid_loss": losses,
        "rounds": rounds[1:],
        "images": len(train),
        "config": asdict(config),
        "machine": history.settings,
    }


def describe(device: torch.device, train: ImageSet, config: TrainConfig) -> None:
    if device.type == "cuda":
        machine = torch.cuda.get_device_name(device)
    else:
        machine = f"CPU, {torch.get_num_threads()} threads"
    switches = [
        f"batch {config.batch_size}",
        f"lr {config.lr:g} {config.schedule}",
        str(config.precision),
        "channels last" if config.channels_last else "channels first",
        *([f"compiled: {config.compile}"] if config.compile else []),
    ]
    print(f"{machine}: {len(train):,} images an epoch from {train.source}")
    print(f"fit with {', '.join(switches)}", flush=True)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train the article's concat CVAE its way and through fit, in turns."
    )
    parser.add_argument("--images", type=int, default=55_000, help="training images an epoch")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, after the warm-up")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="only this one")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the numbers here")
    ours = parser.add_argument_group("settings of fit; the article's way is fixed")
    ours.add_argument("--batch-size", type=int, help="images a step")
    ours.add_argument("--lr", type=float, help="Adam's highest step size")
    ours.add_argument("--schedule", choices=("constant", "cosine"))
    ours.add_argument("--precision", choices=("float32", "bfloat16"))
    ours.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=None)
    ours.add_argument("--compile", choices=COMPILERS, help="a mode of torch.compile")
    chosen = parser.parse_args(arguments)
    if chosen.images < 1 or chosen.rounds < 1:
        parser.error("--images and --rounds must be at least 1")
    if chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here: leave --device away or say --device cpu")
    return chosen


def main() -> None:
    chosen = parse()
    train = fashion_mnist("train").first(chosen.images)
    valid = fashion_mnist("valid")
    names = ("batch_size", "lr", "schedule", "precision", "channels_last", "compile")
    settings = {name: getattr(chosen, name) for name in names if getattr(chosen, name) is not None}
    config = TrainConfig(epochs=1 + chosen.rounds, **settings)
    available = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    measured = {
        name: measure(torch.device(name), train, valid, config)
        for name in ([chosen.device] if chosen.device else available)
    }
    if chosen.json:
        write_json(chosen.json, origin() | {"devices": measured})


if __name__ == "__main__":
    main()
