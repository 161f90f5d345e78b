"""Commands `train` and `evaluate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cvae_lib.cli import text
from cvae_lib.cli.common import (
    SomeImages,
    complain,
    device_called,
    first_process,
    flat,
    load,
    model_called,
    table,
    writable,
)


def train(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="text, or the recipe of a shipped model: fashion-judge, fashion-vae, "
            "fashion-concat, fashion-additive, fashion-film, fashion-concat-sigma, scenes-judge "
            "or scenes-film."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint; the default is runs/NAME.safetensors.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images a step, of all processes together.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Adam's step size at its highest.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, shuffling and noise.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32 or bfloat16; the default is the faster one on the device."),
    ] = None,
    images: SomeImages = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; the default is the GPU if there is one.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint if it exists.")] = True,
    progress: Annotated[
        bool | None, typer.Option(help="Show a bar; the default: if stderr is a terminal.")
    ] = None,
    scenes: text.Scenes = None,
    coco: text.Coco = None,
    split: text.Split = "val2017",
    size: text.Size = 64,
    latent: text.Latent = 128,
    conditioning: text.Conditioning = "film",
    likelihood: text.Likelihood = "bernoulli",
    width: text.Width = 32,
    encoder: text.Encoder = "hashing",
) -> None:
    """Train a model: one for any text, or a shipped one as its recipe says.

    A checkpoint is written after each epoch and on Ctrl-C; the same command goes on from it.
    Options replace a recipe's settings. For several GPUs or machines write "accelerate launch -m
    cvae_lib" in place of "python -m cvae_lib".
    """
    from dataclasses import replace

    from cvae_lib.pretrained import recipe_of, train_recipe
    from cvae_lib.train import TrainConfig

    chosen: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
    chosen = {k: v for k, v in (chosen | {"precision": precision}).items() if v is not None}
    path = writable(out or Path("runs", f"{name}.safetensors"))
    place = device_called(device)
    bar = sys.stderr.isatty() if progress is None else progress

    def report(row: dict[str, float]) -> None:
        if not bar:
            typer.echo(
                f"epoch {row['epoch']:.0f} of {config.epochs}: validation loss "
                f"{row['valid_loss']:.3f}, {row['images_per_second']:,.0f} images/s"
            )

    options: dict[str, Any] = {
        "checkpoint": path,
        "resume": resume,
        "progress": bar,
        "on_epoch": report,
    }
    try:
        if name == "text":
            config = TrainConfig(**chosen)
            training = text.TextTraining(
                scenes, coco, split, size, latent, conditioning, likelihood, width, encoder
            )
            history = training.run(config, place, images, **options)
        else:
            text.refuse_options(context, name)
            config = replace(recipe_of(name).config, **chosen)
            sets = load(name, "train", images), load(name, "valid")
            _, history = train_recipe(name, *sets, config=config, device=place, **options)
    except KeyboardInterrupt:
        if first_process():
            complain(
                f"interrupted; the same command goes on from {path}"
                if path.exists()
                else "interrupted before there was anything to keep"
            )
        raise typer.Exit(130) from None
    if not first_process():
        return
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
    images: SomeImages = None,
) -> None:
    """Measure a model on the test images; a shipped model is compared with its record."""
    from cvae_lib.models import TextConditionalVAE
    from cvae_lib.pretrained import RECIPES, measure_any, record

    network = model_called(model, device_called(None))
    if isinstance(network, TextConditionalVAE) and model not in RECIPES:
        raise ValueError(f"{model} draws from text: evaluate measures models of garments")
    test_set = load(model, "test", images)
    measured = flat(measure_any(network, test_set))
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
