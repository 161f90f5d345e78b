"""The command line: train, sample, evaluate, data, info.

PyTorch is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cvae_lib import __version__

if TYPE_CHECKING:
    import torch

    from cvae_lib.data import ImageSet

UsageError: Any = typer.BadParameter.__base__  # click's; newer typer carries click inside
MAX_PICTURES = 100  # of each garment in one file
ENLARGED = 4  # pixels of the file for one of a picture, in both directions


def _examples(*lines: str) -> str:
    return "\n\n".join(["Examples:", *(f"python -m cvae_lib {line}" for line in lines)])


app = typer.Typer(
    help="Conditional variational autoencoders that draw garments from words.",
    epilog=_examples('sample "two hoodies and a handbag" --out picture.png', "sample --help"),
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

DataRoot = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of Fashion-MNIST; the default is wherever it is found."),
]
SomeImages = Annotated[
    int | None, typer.Option("--images", help="Use the first so many images; the default is all.")
]


@app.command(
    epilog=_examples(
        "train fashion-concat --epochs 5",
        "train fashion-concat-sigma --out runs/mine.safetensors --seed 1",
    )
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
    path = _writable(out or Path("runs", f"{name}.safetensors"))
    train_set, valid_set = _load("train", data, images), _load("valid", data)
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
            device=_device(device),
            checkpoint=path,
            resume=resume,
            progress=bar,
            on_epoch=report,
        )
    except KeyboardInterrupt:
        _complain(
            f"interrupted; the same command goes on from {path}"
            if path.exists()
            else "interrupted before there was anything to keep"
        )
        raise typer.Exit(130) from None
    last = history.last
    terms = [column for column in last if f"valid_{column}" in last]
    _table(
        f"{name} after {len(history)} epochs",
        ("mean of", "training", "validation"),
        [(term, f"{last[term]:.4g}", f"{last[f'valid_{term}']:.4g}") for term in terms],
    )
    typer.echo(f"The model is in {path}")


@app.command(
    epilog=_examples(
        'sample "two hoodies and a handbag" --out picture.png',
        'sample "a red dress" --out dress.png --n 8 --temperature 0.8',
        'sample "boots" --out boots.png --model runs/mine.safetensors',
    )
)
def sample(
    text: Annotated[str, typer.Argument(help="What to draw, in English.")],
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    model: Annotated[
        str, typer.Option(help="A shipped model or a checkpoint.")
    ] = "fashion-concat-sigma",
    n: Annotated[int, typer.Option("--n", help="Pictures of each garment.")] = 4,
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.")] = 0,
    temperature: Annotated[
        float, typer.Option(help="0 draws only the most typical garments, 1 the whole variety.")
    ] = 1.0,
) -> None:
    """Draw the garments that a text mentions: one PNG, a row of pictures for each."""
    import torch
    from PIL import Image
    from torch.nn.functional import pad

    from cvae_lib.checkpoint import write_atomically
    from cvae_lib.data import FASHION_CLASSES, to_bytes
    from cvae_lib.text import text_to_images

    if n > MAX_PICTURES:
        raise ValueError(f"n is {n}; want at most {MAX_PICTURES} pictures of each garment")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie between 0 and 2**32 - 1, got {seed}")
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out must be a file name that ends in .png, got {str(out)!r}")
    path = _writable(out)
    generator = torch.Generator().manual_seed(seed)
    images, labels = text_to_images(_model(model), text, n, generator, temperature)
    framed = pad(to_bytes(images[:, :, 0]), (0, 1, 0, 1), value=255)  # (M, n, 29, 29)
    rows = framed.transpose(1, 2).flatten(2).flatten(0, 1)  # (M · 29, n · 29)
    grid = pad(rows, (1, 0, 1, 0), value=255)
    grid = grid.repeat_interleave(ENLARGED, 0).repeat_interleave(ENLARGED, 1)
    content = io.BytesIO()
    Image.fromarray(grid.numpy()).save(content, format="PNG")
    write_atomically(path, content.getvalue())
    garments = ", ".join(FASHION_CLASSES[label] for label in labels)
    asked = textwrap.shorten(text, 60, placeholder=" …")
    typer.echo(f"“{asked}” → {garments}: {n} of each in {path}")


@app.command(
    epilog=_examples(
        "evaluate fashion-concat", "evaluate runs/fashion-concat.safetensors --images 1000"
    )
)
def evaluate(
    model: Annotated[str, typer.Argument(help="A shipped model or a checkpoint.")],
    data: DataRoot = None,
    images: SomeImages = None,
) -> None:
    """Measure a model on the test images; a shipped model is compared with its record."""
    from cvae_lib.pretrained import RECIPES, load_pretrained, measure, record

    device = _device(None)
    network = _model(model, device)
    test_set = _load("test", data, images)
    measured = _flat(measure(network, test_set, load_pretrained("fashion-judge", device)))
    title = f"{model} on {len(test_set):,} test images"
    if model not in RECIPES:
        _table(title, ("metric", "value"), [(k, f"{v:.4f}") for k, v in measured.items()])
        return
    run = record(model)
    recorded = _flat(run["metrics"])
    rows = [
        (k, f"{v:.4f}", f"{recorded[k]:.4f}" if k in recorded else "") for k, v in measured.items()
    ]
    _table(title, ("metric", "measured", "record"), rows)
    if test_set.sha256() != run["data"]["test_sha256"]:
        count = run["data"]["test_images"]
        typer.echo(f"These are other images than the {count:,} of the record.")


@app.command(epilog=_examples("data", "data --root ~/fashion-mnist"))
def data(
    root: Annotated[
        Path | None, typer.Option(help="Look here, and nowhere else; $CVAE_DATA does the same.")
    ] = None,
) -> None:
    """Find or download Fashion-MNIST, check its files, and say where it is."""
    from cvae_lib.data import DataError, fashion_mnist, find_fashion_mnist

    with contextlib.redirect_stdout(sys.stderr):  # a download's own messages
        folder = find_fashion_mnist(root, download=True)
    if folder is None:
        try:
            fashion_mnist("test", strict=True, download=False)
        except DataError as missing:
            typer.echo(f"{missing} Until then procedural garments stand in.")
        return
    counts = [f"{len(fashion_mnist(split, folder)):,}" for split in ("train", "valid", "test")]
    typer.echo(
        f"Fashion-MNIST is in {folder}, checked: {counts[0]} training, {counts[1]} validation "
        f"and {counts[2]} test images."
    )


@app.command(epilog=_examples("info"))
def info() -> None:
    """Show versions, device, scale, data and the shipped models."""
    import platform

    import torch

    from cvae_lib.checkpoint import CheckpointError
    from cvae_lib.data import DataError, find_fashion_mnist
    from cvae_lib.pretrained import FOLDER, RECIPES, hardware, record
    from cvae_lib.scale import choose_scale
    from cvae_lib.train import fastest_settings

    device = _device(None)
    dtype, channels_last = fastest_settings(device)
    try:
        place = str(find_fashion_mnist() or "not found: python -m cvae_lib data")
    except DataError as error:
        place = str(error)
    rows = [
        ("cvae_lib", __version__),
        ("Python", platform.python_version()),
        ("PyTorch", torch.__version__),
        ("device", f"{device.type}: {hardware()}"),
        ("scale", str(choose_scale())),
        (
            "fastest here",
            f"{str(dtype).removeprefix('torch.')}{', channels-last' if channels_last else ''}",
        ),
        ("Fashion-MNIST", place),
    ]
    _table("This machine", ("", ""), rows)
    models = []
    for name, recipe in RECIPES.items():
        weights = FOLDER / f"{name}.safetensors"
        try:
            metrics = record(name)["metrics"]
        except CheckpointError:
            metrics = {}
        metric = next((k for k in ("accuracy", "sse") if k in metrics), None)
        models.append(
            (
                name,
                recipe.about,
                f"{weights.stat().st_size / 1e6:.1f} MB" if weights.exists() else "missing",
                f"{metric} {metrics[metric]:.4g}" if metric else "no record",
            )
        )
    _table("Shipped models", ("name", "what", "size", "on the test set"), models)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: the training diverged. 2: bad input, with one line on stderr. 130: Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrow
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = app(arguments, standalone_mode=False)
        except UsageError as error:
            return _complain(
                f"{error.format_message().rstrip('.')}. See python -m cvae_lib --help.", 2
            )
        except (KeyboardInterrupt, typer.Abort):
            return 130
        except Exception as error:
            return _complain(str(error), _exit_code(error))
    return code if isinstance(code, int) else 0


def _exit_code(error: Exception) -> int:
    """The exit code for a user's mistake or a diverged training; anything else is raised."""
    from cvae_lib.checkpoint import CheckpointError
    from cvae_lib.data import DataError
    from cvae_lib.train import NonFiniteLossError

    if isinstance(error, NonFiniteLossError):
        return 1
    if isinstance(error, (ValueError, OSError, DataError, CheckpointError)):
        return 2
    raise error


def _complain(message: str, code: int = 0) -> int:
    """Say ``message`` in one line on stderr; return ``code``."""
    typer.echo(f"cvae: {' '.join(message.split())}", err=True)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """What `warnings.showwarning` does, in one line and without the place in the code."""
    _complain(str(message))


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(*columns, title=title, title_justify="left", show_header=any(columns))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # no markup: a path may hold brackets
    Console().print(table)


def _flat(metrics: dict[str, Any]) -> dict[str, float]:
    """{"a": 1, "b": {"c": 2}} → {"a": 1, "c, b": 2}."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            flat |= {f"{inner}, {name.replace('_', ' ')}": v for inner, v in value.items()}
        else:
            flat[name] = value
    return flat


def _load(split: str, root: Path | None, images: int | None = None) -> ImageSet:
    from cvae_lib.data import fashion_mnist

    if images is not None and images < 1:
        raise ValueError(f"--images must be at least 1, got {images}")
    return fashion_mnist(split, root).first(images)


def _model(name: str, device: str | torch.device = "cpu") -> Any:
    """A shipped model by its name, or the model of a checkpoint."""
    from cvae_lib.pretrained import RECIPES, load_checkpoint, load_pretrained

    if name in RECIPES:
        return load_pretrained(name, device)
    if not Path(name).is_file():
        known = ", ".join(RECIPES)
        raise ValueError(f"no model and no file {name!r}: choose one of {known}, or a checkpoint")
    return load_checkpoint(name, device)


def _device(name: str | None) -> torch.device:
    """The device called ``name``; without a name the GPU if there is one."""
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        first = str(error).partition("\n")[0]
        raise ValueError(f"no device {name!r} here ({first}): choose cpu or cuda") from error


def _writable(path: Path) -> Path:
    """Return ``path`` if a file can be written there: better known now than after an epoch."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"cannot write to {path.parent}: choose another place")
    return path
