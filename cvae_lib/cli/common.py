"""What the commands share: options, tables, models and devices by name, one-line complaints."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import torch

    from cvae_lib.data import CaptionedSet, ImageSet, TextEncoder

SomeImages = Annotated[
    int | None, typer.Option("--images", help="Use the first so many images; the default is all.")
]


def examples(*lines: str) -> str:
    return "\n\n".join(["Examples:", *(f"python -m cvae_lib {line}" for line in lines)])


def complain(message: str, code: int = 0) -> int:
    """Say ``message`` in one line on stderr; return ``code``."""
    typer.echo(f"cvae: {' '.join(message.split())}", err=True)
    return code


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(*columns, title=title, title_justify="left", show_header=any(columns))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # no markup: a path may hold brackets
    Console().print(table)


def flat(metrics: dict[str, Any]) -> dict[str, float]:
    """{"a": 1, "b": {"c": 2}} → {"a": 1, "c, b": 2}."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            flat |= {f"{inner}, {name.replace('_', ' ')}": v for inner, v in value.items()}
        else:
            flat[name] = value
    return flat


def check_images(images: int | None) -> None:
    if images is not None and images < 1:
        raise ValueError(f"--images must be at least 1, got {images}")


def load(name: str, split: str, images: int | None = None) -> ImageSet | CaptionedSet:
    """A split of the images that the model ``name`` is trained on; Fashion-MNIST if in doubt."""
    from cvae_lib.data import fashion_mnist
    from cvae_lib.pretrained import RECIPES, recipe_data

    check_images(images)
    if name in RECIPES and RECIPES[name].scenes:
        return recipe_data(name, split, images)
    return fashion_mnist(split).first(images)


def model_called(name: str, device: str | torch.device = "cpu") -> Any:
    """A shipped model by its name, or the model of a checkpoint."""
    from cvae_lib.pretrained import RECIPES, load_checkpoint, load_pretrained

    if name in RECIPES:
        return load_pretrained(name, device)
    if not Path(name).is_file():
        known = ", ".join(RECIPES)
        raise ValueError(f"no model and no file {name!r}: choose one of {known}, or a checkpoint")
    return load_checkpoint(name, device)


def encoder_called(name: str, dim: int = 512, device: str | torch.device = "cpu") -> TextEncoder:
    """The text encoder "hashing", with vectors of ``dim`` numbers, or "clip", on ``device``."""
    from cvae_lib.encoders import ClipTextEncoder, HashingTextEncoder

    if name == "hashing":
        return HashingTextEncoder(dim)
    if name == "clip":
        return ClipTextEncoder(device=device)
    raise ValueError(f"no text encoder {name!r}: choose hashing or clip")


def encoder_of(name: str) -> TextEncoder:
    """The encoder that a shipped text model, or the one of a checkpoint, was trained with."""
    from cvae_lib.checkpoint import CheckpointError, read_tensors
    from cvae_lib.pretrained import RECIPES, text_encoder

    if name in RECIPES:
        return text_encoder(name)
    wanted = read_tensors(Path(name))[1].get("text_encoder")
    if not wanted:
        raise CheckpointError(f"{name} does not say which text encoder it was trained with")
    encoder = encoder_called(wanted["name"], wanted["dim"])
    if encoder.fingerprint != wanted["fingerprint"]:
        raise CheckpointError(
            f"{name} was trained with the encoder {encoder.name} of SHA-256 "
            f"{wanted['fingerprint'][:12]}…, here it is {encoder.fingerprint[:12]}…: name CLIP's "
            "right weights in $CVAE_CLIP_WEIGHTS, or train the model anew"
        )
    return encoder


def first_process() -> bool:
    """Whether this process, of those that a launcher started, is the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


def device_called(name: str | None) -> torch.device:
    """The device called ``name``; without a name the GPU if there is one, of several its own."""
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        first = str(error).partition("\n")[0]
        raise ValueError(f"no device {name!r} here ({first}): choose cpu or cuda") from error


def writable(path: Path) -> Path:
    """Return ``path`` if a file can be written there: better known now than after an epoch."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"cannot write to {path.parent}: choose another place")
    return path
