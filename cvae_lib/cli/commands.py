"""The commands: train, evaluate, sample, data and info."""

import io
import os
import sys
import textwrap
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from typer import Argument, Context, Exit, Option, Typer, echo

from cvae_lib import __version__
from cvae_lib.cli import app, complain, device_called, examples, table
from cvae_lib.files import user_path, write_atomically

HEADLINES = ("accuracy", "all", "sse", "ssim", "one_all")  # the first one stands for a model
CONFIG = ["epochs", "batch_size", "lr", "seed", "precision"]  # options that replace a recipe's
TEXT = "scenes", "coco", "split", "size", "latent", "conditioning", "likelihood", "width", "encoder"
SPEAKS = os.environ.get("RANK", "0") == "0"  # of the processes that a launcher started, the first
IMAGES = Option(None, min=1, help="Use the first so many images; the default is all.")
SEED = Option(0, min=0, max=2**32 - 1, help="Another seed draws other pictures.")
SIZE = Option(64, help="Pixels along a side.")
text_option = partial(Option, rich_help_panel="Only for train text")  # those in TEXT


@app.command(epilog=examples("train"))
def train(
    context: Context,
    name: str = Argument(
        help="text, or the recipe of a shipped model: fashion-judge, fashion-vae, fashion-concat, "
        "fashion-additive, fashion-film, fashion-concat-sigma, scenes-judge, scenes-film, "
        "scenes-attend, scenes-map or scenes-flow."
    ),
    out: Path | None = Option(None, help="Checkpoint; the default is runs/NAME.safetensors."),
    epochs: int | None = Option(None, help="Passes over the training images."),
    batch_size: int | None = Option(None, help="Images a step, of all processes together."),
    lr: float | None = Option(None, help="Adam's step size at its highest."),
    seed: int | None = Option(None, help="Of weights, shuffling and noise."),
    precision: str | None = Option(None, help="float32 or bfloat16; the default is the faster."),
    images: int | None = IMAGES,
    device: str | None = Option(None, help="cpu, cuda (the default if there) or mps (untested)."),
    resume: bool = Option(True, help="Go on from the checkpoint if it exists."),
    progress: bool | None = Option(None, help="Show a bar; the default: if stderr is a terminal."),
    scenes: int | None = text_option(None, min=1, help="Train on so many, validate on a tenth."),
    coco: str | None = text_option(None, help="A COCO folder; a tenth is kept to validate."),
    split: str = text_option("val2017", help="Which captions_SPLIT.json and folder of it."),
    size: int = text_option(64, help="Pixels along a side: 16, 32, 64, 128 or 256."),
    latent: int = text_option(128, help="Numbers in z."),
    conditioning: str = text_option("film", help="none, concat, add, film, concat-film or attend."),
    likelihood: str = text_option("bernoulli", help="bernoulli, gaussian or optimal-sigma."),
    width: int = text_option(32, help="Channels of the first stage; the others double them."),
    encoder: str = text_option("hashing", help="Of texts: hashing, semantic or clip."),
) -> None:
    """Train a model: one for any text, or a shipped one as its recipe says.

    A checkpoint is written after each epoch and on Ctrl-C; the same command goes on from it.
    For several GPUs write "accelerate launch -m cvae_lib" in place of "python -m cvae_lib"; the
    book's page "When one machine is not enough" has torchrun and SLURM, too.
    """
    for option in TEXT if name != "text" else ():
        if "COMMANDLINE" in str(context.get_parameter_source(option)):
            raise ValueError(f"--{option} is an option of train text, not of train {name}")
    run(name, context.params)


def run(name: str, given: dict[str, Any]) -> None:
    """Train ``name`` with the options ``given``, and tell of it."""
    from cvae_lib.recipes import recipe_of, train_recipe
    from cvae_lib.train import TrainConfig

    recipe = None if name == "text" else recipe_of(name)
    settings = {key: given[key] for key in CONFIG if given[key] is not None}
    config = replace(recipe.config if recipe else TrainConfig(), **settings)
    path = user_path(given["out"] or f"runs/{name}.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)  # whether it can be written shows now
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"cannot write {path}: --out must name a file in a folder of yours")
    bar = sys.stderr.isatty() if given["progress"] is None else given["progress"]
    how = {"config": config, "checkpoint": path, "resume": given["resume"], "progress": bar}
    if not bar:
        how["on_epoch"] = lambda row: echo(
            f"epoch {row['epoch']:.0f} of {config.epochs}: validation loss "
            f"{row['valid_loss']:.3f}, {row['images_per_second']:,.0f} images/s"
        )
    device = device_called(given["device"])
    if SPEAKS and "MASTER_ADDR" in os.environ:  # a launcher may have started fewer than meant
        count = int(os.environ.get("WORLD_SIZE", "1"))
        together = f"{count} processes, together" if count > 1 else "1 process,"
        echo(f"{device.type}: {together} {config.batch_size} images a step")
    try:
        if recipe:
            sets = recipe.data("train", given["images"]), recipe.data("valid")
            _, history = train_recipe(name, *sets, device=device, **how)
        else:
            history = train_text(given, device, how)
    except KeyboardInterrupt:
        left = f"; the same command goes on from {path}"
        left = left if path.exists() else " before there was anything to keep"
        raise Exit(complain(f"interrupted{left}", 130) if SPEAKS else 130) from None
    if SPEAKS:
        last = history.last
        terms = [column for column in last if f"valid_{column}" in last]
        rows = [(term, f"{last[term]:.4g}", f"{last[f'valid_{term}']:.4g}") for term in terms]
        table(f"{name} after {len(history)} epochs", ("mean of", "training", "validation"), rows)
        echo(f"The model is in {path}")


def train_text(given: dict[str, Any], device: Any, how: dict[str, Any]) -> Any:
    """The history of a text model trained on scenes or photos; ``how`` are options of `fit`."""
    import torch

    from cvae_lib import data, models
    from cvae_lib.pretrained import text_encoder
    from cvae_lib.train import fit

    count, size, images = given["scenes"], given["size"], given["images"]
    if (count is None) == (given["coco"] is None):
        raise ValueError("train text needs either --scenes COUNT or --coco FOLDER")
    encoder = text_encoder(given["encoder"], device=device)
    torch.manual_seed(how["config"].seed)
    layers = {key: given[key] for key in ("conditioning", "likelihood", "width")}
    words = given["conditioning"] == "attend"
    dim = encoder.word_dim if words else encoder.dim
    model = models.TextConditionalVAE(size, given["latent"], dim, **layers).to(device)
    if count is None:
        where = {"root": given["coco"], "progress": how["progress"], "words": words}
        whole = data.coco_captions(given["split"], size, encoder=encoder, **where).first(images)
        kept = len(whole) - max(1, len(whole) // 10)
        sets = whole.first(kept), whole.subset(slice(kept, None))
    else:
        draw = partial(data.scenes.scenes, size=size, encoder=encoder, words=words)
        sets = draw("train", count).first(images), draw("valid", max(1, count // 10))
    return fit(model, *sets, about=data.sets.about_encoder(encoder), **how)


@app.command(epilog=examples("evaluate"))
def evaluate(
    model: str = Argument(help="A shipped model or a checkpoint."), images: int | None = IMAGES
) -> None:
    """Measure a model on the test images; a shipped model is compared with its record."""
    from cvae_lib.pretrained import load
    from cvae_lib.recipes import KINDS

    network, encoder, record = load(model, device_called())
    kind = KINDS[type(network).__name__]
    texts = {"encoder": encoder, "size": network.image_shape[1]} if encoder else {}
    texts |= {"words": network.reads_words} if encoder else {}
    data = kind.data("test", images, **texts)
    recorded = flat(record["metrics"]) if record else {}
    rows = [(k, v, recorded.get(k, "")) for k, v in flat(kind.measure(network, data)).items()]
    columns = ("metric", "measured", *(["record"] if record else []))
    table(f"{model} on {len(data):,} test images", columns, rows)
    if record and data.sha256() != record["data"]["test_sha256"]:
        echo(f"These are other images than the {record['data']['test_images']:,} of the record.")


def flat(metrics: dict[str, Any]) -> dict[str, str]:
    """{"a": 1, "b_c": {"d": 2}} → {"a": "1.0000", "d, b c": "2.0000"}."""
    rows: dict[str, str] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            rows |= {f"{key}, {name.replace('_', ' ')}": text for key, text in flat(value).items()}
        else:
            rows[name] = f"{value:.4f}"
    return rows


@app.command(epilog=examples("sample"))
def sample(
    text: str = Argument(help="What to draw, in English."),
    out: Path = Option(help="The PNG file to write."),
    model: str = Option("fashion-concat-sigma", help="A shipped model or a checkpoint."),
    n: int = Option(4, min=1, max=100, help="Pictures where the text gives no number."),
    seed: int = SEED,
    temperature: float = Option(1.0, help="0: the most typical pictures; 1: the whole variety."),
) -> None:
    """Draw a text as a PNG: a row of pictures for each garment, or, by a text model, for all."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from cvae_lib import data
    from cvae_lib.pretrained import conditions, load
    from cvae_lib.text import ignored_words, text_to_images, unknown_words

    if out.suffix.lower() != ".png":
        raise ValueError(f"--out must be a file name that ends in .png, got {str(out)!r}")
    path, generator = user_path(out), torch.Generator().manual_seed(seed)
    network, encoder, record = load(model)
    if encoder is None:
        rows, garments = text_to_images(network, text, n, generator, temperature)
        images = pad_sequence(rows, batch_first=True, padding_value=1.0)  # white
        drawn = ", ".join(f"{len(row)} {one}" for row, one in zip(rows, garments, strict=True))
        if ignored := ignored_words(garments):
            complain(f"ignored {', '.join(ignored)}: these garments cannot be drawn so")
    else:
        told = conditions(network, encoder, [text]).repeat_interleave(n, 0)
        condition = told if network.conditional else n
        images, drawn = network.sample(condition, generator, temperature)[None], f"{n} pictures"
        if record and (unknown := unknown_words(text, data.scenes.scene_words())):
            words = textwrap.shorten(", ".join(unknown), 200, placeholder=" …")
            complain(f"{model} has never read {words}: it knows shapes, colours, sizes, places")
    write_atomically(path, png_grid(images))
    echo(f"“{textwrap.shorten(text, 60, placeholder=' …')}” → {drawn} in {path}")


def png_grid(images: Any) -> bytes:
    """Images (M, n, C, S, S) in [0, 1] → a PNG of M rows of n, in white frames, 128 pixels each."""
    from torchvision.utils import save_image

    larger = max(1, 128 // images.shape[-1])
    pixels = images.flatten(0, 1).repeat_interleave(larger, 2).repeat_interleave(larger, 3)
    how = {"nrow": images.shape[1], "padding": larger, "pad_value": 1}
    save_image(pixels, content := io.BytesIO(), format="PNG", **how)
    return content.getvalue()


about = "Prepare photos with captions, or draw scenes; Fashion-MNIST ships with the library."
about_data = Typer(help=about, epilog=examples("data"))
app.add_typer(about_data, name="data")


@about_data.command(epilog=examples("data coco"))
def coco(
    root: Path | None = Option(None, help="The COCO folder; $CVAE_COCO_ROOT does the same."),
    split: str = Option("val2017", help="Which captions_SPLIT.json and folder."),
    size: int = SIZE,
    download: str | None = Option(None, help="Fetch val2017, train2017, val2014 or train2014."),
) -> None:
    """Prepare the photos of a COCO folder for training, once, and count what is in it."""
    from cvae_lib.data import coco_images, download_coco

    if download is not None:
        folder = download_coco(download, root, progress=sys.stderr.isatty())
        echo(f"{download} is in {folder}: photos in {download}, captions in annotations.")
        return
    found = coco_images(split, size, root, progress=sys.stderr.isatty())
    echo(found.source)
    table(f"{split} at {size} × {size}", ("", ""), [(k, f"{n:,}") for k, n in found.report.items()])


@about_data.command(epilog=examples("data scenes"))
def scenes(
    out: Path = Option(help="The folder to write, in COCO's layout."),
    count: int = Option(1000, min=1, help="How many pictures."),
    size: int = SIZE,
    split: str = Option("train", help="train, valid, test or unseen."),
    seed: int = SEED,
) -> None:
    """Draw scenes of one to three shapes, with captions, as a COCO folder."""
    from cvae_lib.data import write_scenes

    path = write_scenes(out, split, count, size, seed, progress=sys.stderr.isatty())
    echo(f"{count:,} scenes are in {user_path(out) / split}, their captions in {path}")


@app.command(epilog=examples("info"))
def info() -> None:
    """Show versions, device, scale, data and the shipped models."""
    import torch

    from cvae_lib import config, pretrained, recipes, records, scale

    device = device_called()
    precision, channels_last = config.fastest_settings(device)
    rows = [
        ("cvae_lib", __version__),
        ("Python", sys.version.partition(" ")[0]),
        ("PyTorch", torch.__version__),
        ("device", f"{device.type}: {records.hardware()}"),
        ("scale", str(scale.choose_scale())),
        ("fastest here", precision + ", channels-last" * channels_last),
        ("Fashion-MNIST", "shipped"),
    ]
    table("This machine", ("", ""), rows)
    models = []
    for name, recipe in recipes.RECIPES.items():
        weights = pretrained.FOLDER / f"{name}.safetensors"
        size = f"{weights.stat().st_size / 1e6:.1f} MB" if weights.exists() else "missing"
        metrics = pretrained.record(name)["metrics"] if name in pretrained.shipped() else {}
        metrics = metrics.get("drawn", metrics)  # of a model that can only draw
        told = [f"{key} {metrics[key]:.4g}" for key in HEADLINES if key in metrics]
        models.append((name, recipe.about, size, *(told or ["no record"])))
    table("Shipped models", ("name", "what", "size", "on the test set"), models)
