"""Command `data`, and its own commands `coco` and `scenes`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cvae_lib.cli.common import examples, table

data = typer.Typer(
    epilog=examples("data coco --download val2017", "data scenes --out scenes --count 50000"),
    invoke_without_command=True,
    rich_markup_mode="rich",
)

Size = Annotated[int, typer.Option(help="Pixels along a side.")]


@data.callback()
def overview(context: typer.Context) -> None:
    """Prepare photos with captions, or draw scenes; Fashion-MNIST ships with the library."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)


@data.command(
    epilog=examples("data coco --download val2017", "data coco --root scenes --split train")
)
def coco(
    root: Annotated[
        Path | None, typer.Option(help="The COCO folder; $CVAE_COCO_ROOT does the same.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which captions_SPLIT.json and folder.")] = "val2017",
    size: Size = 64,
    download: Annotated[
        str | None,
        typer.Option(help="Only fetch this split: val2017, train2017, val2014 or train2014."),
    ] = None,
) -> None:
    """Prepare the photos of a COCO folder for training, once, and count what is in it."""
    from cvae_lib.data import coco_images, download_coco

    bar = sys.stderr.isatty()
    if download is not None:
        folder = download_coco(download, root, progress=bar)
        typer.echo(f"{download} is in {folder}: photos in {download}, captions in annotations.")
        return
    found = coco_images(split, size, root, progress=bar)
    report = asdict(found.report)
    odd = report.pop("odd")
    typer.echo(found.source)
    counts = [(name, f"{count:,}") for name, count in report.items()]
    table(f"{split} at {size} × {size}", ("", ""), counts)
    if odd:
        typer.echo(f"Left out are captions without a word, as those of {'; '.join(odd)}")


@data.command(epilog=examples("data scenes --out scenes --count 50000 --size 64"))
def scenes(
    out: Annotated[Path, typer.Option(help="The folder to write, in COCO's layout.")],
    count: Annotated[int, typer.Option(help="How many pictures.")] = 1000,
    size: Size = 64,
    split: Annotated[str, typer.Option(help="train, valid, test or unseen.")] = "train",
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.")] = 0,
) -> None:
    """Draw scenes of one to three shapes, with captions, as a COCO folder."""
    from tqdm import tqdm

    from cvae_lib.data import write_scenes

    with tqdm(total=count, unit=" scenes", disable=not sys.stderr.isatty()) as bar:
        path = write_scenes(out, split, count, size, seed, on_scene=bar.update)
    typer.echo(f"{count:,} scenes are in {out / split}, their captions in {path}")
