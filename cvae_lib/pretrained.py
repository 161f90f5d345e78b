"""The shipped models: how each was trained, its weights, and the record of its run."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvae_lib import models
from cvae_lib.checkpoint import CheckpointError, read_tensors, write_tensors
from cvae_lib.data import CaptionedSet, ImageSet, TextEncoder, fashion_mnist
from cvae_lib.data.scenes import joined, scenes
from cvae_lib.data.sets import about_encoder
from cvae_lib.encoders import HashingTextEncoder
from cvae_lib.files import user_path, write_atomically
from cvae_lib.latent import fit_prior, fit_text_prior
from cvae_lib.measure import measure, measure_scene_judge, measure_scenes
from cvae_lib.models import BaseVAE, FashionJudge, SceneJudge, TextConditionalVAE
from cvae_lib.models.scene_judge import judge_losses, truth_set
from cvae_lib.train import History, Objective, TrainConfig, elbo_objective, fit

FOLDER = Path(__file__).parent / "pretrained"
SCENES = {"train": 50_000, "valid": 1_000, "test": 4_000}  # pictures behind the shipped models


def judge_objective(
    model: Any,
    x: Tensor,
    labels: Tensor,
    generator: torch.Generator | None = None,
    beta: float | Tensor = 1.0,
) -> dict[str, Tensor]:
    """Cross-entropy (nats) and error (0 or 1) per example; training images are augmented."""
    if model.training:
        x = augment(x, generator)
    logits = model(x).float()
    smoothing = 0.1 if model.training else 0.0
    loss = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    return {"loss": loss, "error": (logits.argmax(1) != labels).float()}


def scene_judge_objective(
    model: Any,
    x: Tensor,
    targets: Tensor,
    generator: torch.Generator | None = None,
    beta: float | Tensor = 1.0,
) -> dict[str, Tensor]:
    """The sum of `judge_losses` and its terms per example; training pictures are blurred."""
    if model.training:
        x = blur(x, generator)
    terms = judge_losses(model(x), targets)
    return {"loss": torch.stack(list(terms.values())).sum(0), **terms}


def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Mirror half of the images (B, C, H, W) and blur each by a random share of σ = 1.5 pixels.

    A judge of drawn pictures should say what they show, not how sharp they are: trained on sharp
    pictures alone, it takes a blurred sandal for a sneaker.
    """
    mirrored, share = torch.rand(2, len(x), 1, 1, 1, generator=generator, device=x.device)
    return _blurred(torch.where(mirrored < 0.5, x.flip(3), x), share)


def blur(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Blur each image (B, C, H, W) by a random share of σ = 1.5 pixels."""
    return _blurred(x, torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device))


def _blurred(x: Tensor, share: Tensor) -> Tensor:
    from torchvision.transforms.functional import gaussian_blur  # seconds: for a judge's training

    return torch.lerp(x, gaussian_blur(x, [7, 7], [1.5, 1.5]), share)


@dataclass(frozen=True)
class Recipe:
    """How a shipped model is made."""

    about: str
    build: Callable[[], nn.Module]
    config: TrainConfig
    objective: Objective = elbo_objective
    prior_width: float | None = None  # of the prior fitted afterwards; None fits none
    scenes: bool = False  # trained on Scenes, else on Fashion-MNIST


RECIPES = {
    "fashion-judge": Recipe(
        "the classifier that judges drawn pictures",
        FashionJudge,
        TrainConfig(epochs=16, batch_size=128, lr=2e-3, seed=0, precision="float32"),
        judge_objective,
    ),
    "scenes-judge": Recipe(
        "the reader of scenes that judges drawn ones",
        SceneJudge,
        TrainConfig(epochs=4, batch_size=64, lr=2e-3, seed=0, precision="float32"),
        scene_judge_objective,
        scenes=True,
    ),
    "fashion-concat": Recipe(
        "the article's concat CVAE, binary cross-entropy",
        models.ConcatConditionalVAE,
        TrainConfig(epochs=40, seed=0, precision="float32"),
    ),
    "fashion-concat-sigma": Recipe(
        "the concat CVAE with the optimal σ and a prior fitted per class",
        lambda: models.ConcatConditionalVAE(likelihood="optimal-sigma", prior_components=5),
        TrainConfig(epochs=40, seed=0, precision="float32"),
        prior_width=0.8,  # chosen on the validation images: benchmarks/prior_width.py
    ),
    "fashion-additive": Recipe(
        "the article's additive CVAE, binary cross-entropy",
        models.AdditiveConditionalVAE,
        TrainConfig(epochs=40, seed=0, precision="float32"),
    ),
    "fashion-film": Recipe(
        "the FiLM CVAE of the conditioning experiment, seed 0: it hardly hears its label",
        models.FilmConditionalVAE,
        TrainConfig(epochs=10, schedule="constant", seed=0, precision="float32"),
    ),
    "fashion-vae": Recipe(
        "the same VAE without a label, binary cross-entropy",
        models.VAE,
        TrainConfig(epochs=40, seed=0, precision="float32"),
    ),
    "scenes-film": Recipe(
        "any sentence about shapes to a scene of 64 pixels, its text hashed, through FiLM",
        lambda: TextConditionalVAE(64, 64, 512, "film", width=16),
        TrainConfig(epochs=20, batch_size=64, lr=2e-3, beta=3.0, seed=0, precision="float32"),
        prior_width=1.0,
        scenes=True,
    ),
}


def text_encoder(name: str) -> TextEncoder:
    """The encoder whose vectors the shipped text model ``name`` was trained with."""
    if not isinstance(recipe_of(name).build(), TextConditionalVAE):
        raise ValueError(f"{name} takes no text vectors")
    return HashingTextEncoder()


def recipe_data(name: str, split: str, count: int | None = None) -> ImageSet | CaptionedSet:
    """The images that the model ``name`` is trained ("train", "valid") or measured ("test") on.

    The test scenes are half of combinations that a text model was trained on and half of others.
    The judge learns both halves, the unseen ones from scenes of another seed: it must know what
    the models may not.

    Args:
        count: so many images, the first of the split; None for as many as its record names.
    """
    if not recipe_of(name).scenes:
        return fashion_mnist(split).first(count)
    count = count or SCENES[split]
    draw = partial(scenes, encoder=HashingTextEncoder())
    if split == "test":
        return joined(draw(split, count // 2), draw("unseen", count // 2))
    if name != "scenes-judge":
        return draw(split, count)
    seed = 1 if split == "train" else 2
    return truth_set(joined(draw(split, count // 2), draw("unseen", count // 2, seed=seed)))


def measure_any(model: nn.Module, test: Any) -> dict[str, Any]:
    """The metrics of a record: those that `cvae_lib.measure` has for this kind of model."""
    if isinstance(model, SceneJudge):
        return measure_scene_judge(model, test)
    if isinstance(model, TextConditionalVAE):
        return measure_scenes(model, test, load_pretrained("scenes-judge"))
    judge = model if isinstance(model, FashionJudge) else load_pretrained("fashion-judge")
    return measure(model, test, judge)


def train_recipe(
    name: str,
    train_set: Any,
    valid_set: Any,
    *,
    config: TrainConfig | None = None,
    device: str | torch.device = "cpu",
    checkpoint: str | Path | None = None,
    **options: Any,
) -> tuple[nn.Module, History]:
    """Train the model ``name`` from scratch as its recipe says.

    Args:
        train_set, valid_set: what `recipe_data` gives, or others of that kind.
        config: replaces the recipe's.
        checkpoint: file to resume from and to write; in the end it holds the finished model, with
            its fitted prior, for `load_checkpoint`. Resuming a finished run changes nothing.
        options: passed on to `fit`: resume, progress, on_epoch, about.
    """
    recipe = recipe_of(name)
    config = config or recipe.config
    torch.manual_seed(config.seed)
    model = recipe.build().to(device)
    if isinstance(model, TextConditionalVAE):
        about = about_encoder(text_encoder(name)) | options.get("about", {})
        options = {**options, "about": about}
    history = fit(
        model,
        train_set,
        valid_set,
        config,
        objective=recipe.objective,
        checkpoint=checkpoint,
        **options,
    )
    width = recipe.prior_width
    if width is not None and isinstance(model, BaseVAE) and not model.prior_fitted:
        if isinstance(model, TextConditionalVAE):
            fit_text_prior(model, train_set, width)
        else:
            fit_prior(model, train_set, width)
        if checkpoint is not None:
            _store_prior(model, user_path(checkpoint))
    return model, history


def _store_prior(model: BaseVAE, path: Path) -> None:
    """Put the fitted prior of ``model`` into the checkpoint of its finished run."""
    tensors, metadata = read_tensors(path)
    for name in tensors:
        buffer = name.partition(".")[2]
        if buffer.startswith("prior_"):  # of model., averaged. and best.
            tensors[name] = getattr(model, buffer)
    write_tensors(path, tensors, metadata)


def recipe_of(name: str) -> Recipe:
    """Return the recipe called ``name``; ValueError lists the known ones."""
    if name not in RECIPES:
        raise ValueError(f"no model {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


def load_pretrained(name: str, device: str | torch.device = "cpu") -> Any:
    """Return a shipped model with its weights, in eval mode.

    Raises:
        ValueError: for an unknown name.
        CheckpointError: if the weights are not there or not those of the record (SHA-256).
    """
    recipe = recipe_of(name)
    path = FOLDER / f"{name}.safetensors"
    if not path.exists():
        raise CheckpointError(f"{path} is missing: re-install the package")
    content = path.read_bytes()
    expected, found = record(name)["weights_sha256"], hashlib.sha256(content).hexdigest()
    if found != expected:
        raise CheckpointError(
            f"{path} is not the file of its record: SHA-256 {found[:12]}…, expected "
            f"{expected[:12]}…. Re-install the package"
        )
    model = recipe.build()
    model.load_state_dict(safetensors.torch.load(content))
    return model.to(device).eval()


def record(name: str) -> dict[str, Any]:
    """Return the run record of a shipped model: data, configuration, hardware, metrics."""
    recipe_of(name)
    path = FOLDER / f"{name}.json"
    if not path.exists():
        raise CheckpointError(f"{path} is missing: re-install the package")
    return json.loads(path.read_text("utf-8"))


def publish(
    name: str,
    model: nn.Module,
    history: History,
    config: TrainConfig,
    train_set: ImageSet | CaptionedSet,
    test_set: ImageSet | CaptionedSet,
    commit: str,
    folder: Path = FOLDER,
) -> dict[str, Any]:
    """Write weights (float16) and record of ``name``; the metrics are those of the written file.

    Raises:
        ValueError: unless ``commit`` names a commit: nobody could train these weights again.
    """
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise ValueError(f"weights of {commit!r} are not published: commit first, then train")
    halves = {
        k: (v.half() if v.is_floating_point() else v).cpu().contiguous()
        for k, v in model.state_dict().items()
    }
    content = safetensors.torch.save(halves)
    model.load_state_dict(halves)
    written = {
        "model": name,
        "about": recipe_of(name).about,
        "architecture": {"class": type(model).__name__, **getattr(model, "architecture", {})},
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        **(about_encoder(text_encoder(name)) if isinstance(model, TextConditionalVAE) else {}),
        "config": asdict(config),
        "machine": history.settings,
        "prior_width": recipe_of(name).prior_width,
        "data": {
            "train_images": len(train_set),
            "train_sha256": train_set.sha256(),
            "test_images": len(test_set),
            "test_sha256": test_set.sha256(),
            "real": not recipe_of(name).scenes,
        },
        "metrics": measure_any(model, test_set),
        "history": history.rows,
        "seconds": sum(history["seconds"]),
        "library_commit": commit,
        "hardware": hardware(),
        "torch": torch.__version__,
    }
    write_atomically(folder / f"{name}.safetensors", content)
    text = json.dumps(written, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / f"{name}.json", text.encode())
    return written


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> Any:
    """Return the model that `fit` or `train_recipe` checkpointed at ``path``, in eval mode.

    Of a run that kept averaged weights or those of its best epoch, these.

    Raises:
        CheckpointError: if the file is damaged or of a model that this library does not know.
    """
    tensors, metadata = read_tensors(user_path(path))
    known = {
        cls.__name__: cls
        for cls in (
            models.VAE,
            models.ConcatConditionalVAE,
            models.AdditiveConditionalVAE,
            models.FilmConditionalVAE,
            TextConditionalVAE,
            FashionJudge,
            SceneJudge,
        )
    }
    if metadata.get("model") not in known:
        raise CheckpointError(
            f"{path} holds a {metadata.get('model')}: known are {', '.join(known)}"
        )
    groups = {name.partition(".")[0] for name in tensors}
    kept = next(name for name in ("best", "averaged", "model") if name in groups) + "."
    weights = {k.removeprefix(kept): v for k, v in tensors.items() if k.startswith(kept)}
    try:
        model = known[metadata["model"]](**metadata["architecture"])
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit a {metadata['model']}: {error}") from error
    return model.to(device).eval()


def provenance(config: TrainConfig, history: History) -> dict[str, Any]:
    """What every record of an experiment says of its run, beside what it measured."""
    return {
        "config": asdict(config),
        "machine": history.settings,
        "history": [
            {k: v for k, v in row.items() if k != "images_per_second"} for row in history.rows
        ],
        "seconds": sum(history["seconds"]),
        "library_commit": library_commit(),
        "hardware": hardware(),
        "torch": torch.__version__,
    }


def library_commit() -> str:
    """The commit this library was run from; "… with changes"; "unknown" outside a checkout."""

    def git(*words: str) -> str:
        found = subprocess.run(
            ["git", *words], cwd=FOLDER, capture_output=True, text=True, check=True
        )
        return found.stdout.strip()

    try:
        changes = git("status", "--porcelain", "--", "../*.py", "../../benchmarks/*.py")
        return git("rev-parse", "HEAD") + (" with changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def hardware() -> str:
    """Name of the processor or GPU, and the number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"
