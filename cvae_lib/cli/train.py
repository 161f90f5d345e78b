"""Commands `train` and `evaluate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cvae_lib.cli.common import (
    DataRoot,
    SomeImages,
    complain,
    device_called,
    flat,
    load,
    model_called,
    table,
    writable,
)


def train(
    name: Annotated[
        str,
        typer.Argument(
            help="fashion-judge, fashion-vae, fashion-concat, fashion-additive, fashion-film or "
            "fashion-concat-sigma."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint; the default is runs/NAME.safetensors.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Adam's step size at its highest.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, shuffling and noise.")] = None,
    images: SomeImages = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; the default is the GPU if there is one.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint if it exists.")] = True,
    progress: Annotated[
        bool | None, typer.Option(help="Show a bar; the default: if stderr is a terminal.")
    ] = None,
    data: DataRoot = None,
) -> None:
    """Train a model as its recipe says; options replace the recipe's settings.

    A checkpoint is written after each epoch and on Ctrl-C; the same command goes on from it.
    """
    from dataclasses import replace

    from cvae_lib.pretrained import recipe_of, train_recipe

    recipe = recipe_of(name)
    chosen: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
    config = replace(recipe.config, **{k: v for k, v in chosen.items() if v is not None})
    path = writable(out or Path("runs", f"{name}.safetensors"))
    train_set, valid_set = load("train", data, images), load("valid", data)
    bar = sys.stderr.isatty() if progress is None else progress

    def report(row: dict[str, float]) -> None:
        if not bar:
            typer.echo(
                f"epoch {row['epoch']:.0f} of {config.epochs}: validation loss "
                f"{row['valid_loss']:.3f}, {row['images_per_second']:,.0f} images/s"
            )

    try:
        _, history = train_recipe(
            name,
            train_set,
            valid_set,
            config=config,
            device=device_called(device),
            checkpoint=path,
            resume=resume,
            progress=bar,
            on_epoch=report,
        )
    except KeyboardInterrupt:
        complain(
            f"interrupted; the same command goes on from {path}"
            if path.exists()
            else "interrupted before there was anything to keep"
        )
        raise typer.Exit(130) from None
    last = history.last
    terms = [column for column in last if f"valid_{column}" in last]
    table(
        f"{name} after {len(history)} epochs",
        ("mean of", "training", "validation"),
        [(term, f"{last[term]:.4g}", f"{last[f'valid_{term}']:.4g}") for term in terms],
    )
    typer.echo(f"The model is in {path}")


def evaluate(
    model: Annotated[str, typer.Argument(help="A shipped model or a checkpoint.")],
    data: DataRoot = None,
    images: SomeImages = None,
) -> None:
    """Measure a model on the test images; a shipped model is compared with its record."""
    from cvae_lib.pretrained import RECIPES, load_pretrained, measure, record

    device = device_called(None)
    network = model_called(model, device)
    test_set = load("test", data, images)
    measured = flat(measure(network, test_set, load_pretrained("fashion-judge", device)))
    title = f"{model} on {len(test_set):,} test images"
    if model not in RECIPES:
        table(title, ("metric", "value"), [(k, f"{v:.4f}") for k, v in measured.items()])
        return
    run = record(model)
    recorded = flat(run["metrics"])
    rows = [
        (k, f"{v:.4f}", f"{recorded[k]:.4f}" if k in recorded else "") for k, v in measured.items()
    ]
    table(title, ("metric", "measured", "record"), rows)
    if test_set.sha256() != run["data"]["test_sha256"]:
        count = run["data"]["test_images"]
        typer.echo(f"These are other images than the {count:,} of the record.")
