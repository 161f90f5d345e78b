"""The shipped models: how each was trained, its weights, and the record of its run."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvae_lib import losses, metrics, models
from cvae_lib.checkpoint import CheckpointError, read_tensors, write_atomically, write_tensors
from cvae_lib.data.containers import ImageSet, to_unit
from cvae_lib.latent import fit_prior
from cvae_lib.models import VAE, FashionJudge
from cvae_lib.train import History, Objective, TrainConfig, elbo_objective, fit

FOLDER = Path(__file__).parent / "pretrained"
SAMPLES = 10_000  # drawn pictures behind class agreement and Fréchet distance


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


def augment(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Mirror half of the images (B, C, H, W) and blur each by a random share of σ = 1.5 pixels.

    A judge of drawn pictures should say what they show, not how sharp they are: trained on sharp
    pictures alone, it takes a blurred sandal for a sneaker.
    """
    from torchvision.transforms.functional import gaussian_blur  # seconds: for the judge's training

    mirrored, share = torch.rand(2, len(x), 1, 1, 1, generator=generator, device=x.device)
    x = torch.where(mirrored < 0.5, x.flip(3), x)
    return torch.lerp(x, gaussian_blur(x, [7, 7], [1.5, 1.5]), share)


@dataclass(frozen=True)
class Recipe:
    """How a shipped model is made."""

    about: str
    build: Callable[[], nn.Module]
    config: TrainConfig
    objective: Objective = elbo_objective
    prior_width: float | None = None  # of the Gaussians fitted per class; None fits none


RECIPES = {
    "fashion-judge": Recipe(
        "the classifier that judges drawn pictures",
        FashionJudge,
        TrainConfig(epochs=16, batch_size=128, lr=2e-3, seed=0),
        judge_objective,
    ),
    "fashion-concat": Recipe(
        "the article's concat CVAE, binary cross-entropy",
        models.ConcatConditionalVAE,
        TrainConfig(epochs=40, seed=0),
    ),
    "fashion-concat-sigma": Recipe(
        "the concat CVAE with the optimal σ and a prior fitted per class",
        lambda: models.ConcatConditionalVAE(likelihood="optimal-sigma", prior_components=5),
        TrainConfig(epochs=40, seed=0),
        prior_width=0.8,  # chosen on the validation images: benchmarks/prior_width.py
    ),
    "fashion-additive": Recipe(
        "the article's additive CVAE, binary cross-entropy",
        models.AdditiveConditionalVAE,
        TrainConfig(epochs=40, seed=0),
    ),
    "fashion-film": Recipe(
        "the FiLM CVAE of the conditioning experiment, seed 0: it hardly hears its label",
        models.FilmConditionalVAE,
        TrainConfig(epochs=10, schedule="constant", seed=0),
    ),
    "fashion-vae": Recipe(
        "the same VAE without a label, binary cross-entropy",
        models.VAE,
        TrainConfig(epochs=40, seed=0),
    ),
}


def train_recipe(
    name: str,
    train_set: ImageSet,
    valid_set: ImageSet,
    *,
    config: TrainConfig | None = None,
    device: str | torch.device = "cpu",
    checkpoint: str | Path | None = None,
    **options: Any,
) -> tuple[nn.Module, History]:
    """Train the model ``name`` from scratch as its recipe says.

    Args:
        config: replaces the recipe's.
        checkpoint: file to resume from and to write; in the end it holds the finished model, with
            its fitted prior, for `load_checkpoint`. Resuming a finished run changes nothing.
        options: passed on to `fit`: resume, progress, on_epoch.
    """
    recipe = recipe_of(name)
    config = config or recipe.config
    torch.manual_seed(config.seed)
    model = recipe.build().to(device)
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
    if width is not None and isinstance(model, VAE) and not model.prior_mean.any():
        fit_prior(model, train_set, width)
        if checkpoint is not None:
            _store_prior(model, Path(checkpoint))
    return model, history


def _store_prior(model: VAE, path: Path) -> None:
    """Put the fitted prior of ``model`` into the checkpoint of its finished run."""
    tensors, metadata = read_tensors(path)
    for name in tensors:
        buffer = name.partition(".")[2]
        if buffer in (
            "prior_mean",
            "prior_scale",
            "prior_weight",
        ):  # of model., averaged. and best.
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
    train_set: ImageSet,
    test_set: ImageSet,
    commit: str,
    folder: Path = FOLDER,
) -> dict[str, Any]:
    """Write weights (float16) and record of ``name``; the metrics are those of the written file."""
    halves = {
        k: (v.half() if v.is_floating_point() else v).cpu().contiguous()
        for k, v in model.state_dict().items()
    }
    content = safetensors.torch.save(halves)
    model.load_state_dict(halves)
    judge = model if isinstance(model, FashionJudge) else load_pretrained("fashion-judge")
    written = {
        "model": name,
        "about": recipe_of(name).about,
        "architecture": {"class": type(model).__name__, **getattr(model, "architecture", {})},
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "config": asdict(config),
        "prior_width": recipe_of(name).prior_width,
        "data": {
            "train_images": len(train_set),
            "train_sha256": train_set.sha256(),
            "test_images": len(test_set),
            "test_sha256": test_set.sha256(),
            "real": train_set.real and test_set.real,
        },
        "metrics": measure(model, test_set, judge),
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


@torch.no_grad()
def measure(model: nn.Module, data: ImageSet, judge: FashionJudge, seed: int = 0) -> dict[str, Any]:
    """Every metric of a record, on ``data``.

    A judge gets its accuracy. A VAE gets the ELBO's terms at one draw of z (nats), reconstruction
    from the posterior mean (SSE, SSIM, PSNR), active units, and for 10,000 samples, 1,000 of each
    label, with z from N(0, I) and from the fitted prior if there is one: class agreement
    (conditional models) and Fréchet distance to the data on the judge's features.
    """
    model.eval()
    device = next(model.parameters()).device
    data = data.to(device)
    if isinstance(model, FashionJudge):
        return {"accuracy": metrics.class_agreement(model, data.pixels(), data.labels)}
    assert isinstance(model, VAE)
    generator = torch.Generator(device).manual_seed(seed)
    parts: list[dict[str, Tensor]] = []
    means = []
    for images, labels in data.batches(1000):
        x = to_unit(images)
        mu, _ = model.encode(x, labels)
        means.append(mu)
        rebuilt = model.decode(mu, labels)
        terms = losses.elbo(model, x, labels, generator)
        parts.append(
            {
                "nll": terms.nll,
                "kl": terms.kl,
                "negative_elbo": terms.loss,
                "sse": metrics.sse(x, rebuilt),
                "ssim": metrics.ssim(x, rebuilt),
                "psnr": metrics.psnr(x, rebuilt),
            }
        )
    result: dict[str, Any] = {
        name: float(torch.cat([part[name] for part in parts]).double().mean()) for name in parts[0]
    }
    result["active_units"] = losses.active_units(torch.cat(means))
    real = metrics.judge_features(judge, data.pixels())
    result["standard_prior"] = measure_samples(model, judge, real, seed, fitted_prior=False)
    if model.prior_mean.any():
        result["fitted_prior"] = measure_samples(model, judge, real, seed, fitted_prior=True)
    return result


@torch.no_grad()
def measure_samples(
    model: VAE, judge: FashionJudge, real: Tensor, seed: int, fitted_prior: bool
) -> dict[str, float]:
    """Class agreement and Fréchet distance of `SAMPLES` drawn pictures against real features."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    labels = torch.arange(SAMPLES, device=device) % models.N_CLASSES
    parts = []
    for batch in labels.split(1000):
        condition = batch if model.conditional else len(batch)
        parts.append(judge.features(model.sample(condition, generator, fitted_prior=fitted_prior)))
    features = torch.cat(parts)
    result = {"frechet": metrics.frechet_distance(features, real)}
    if model.conditional:
        seen = judge.head(features).argmax(1)
        result["class_agreement"] = float((seen == labels).float().mean())
    return result


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> Any:
    """Return the model that `fit` or `train_recipe` checkpointed at ``path``, in eval mode.

    Of a run that kept averaged weights or those of its best epoch, these.

    Raises:
        CheckpointError: if the file is damaged or of a model that this library does not know.
    """
    tensors, metadata = read_tensors(Path(path))
    known = {
        cls.__name__: cls
        for cls in (
            models.VAE,
            models.ConcatConditionalVAE,
            models.AdditiveConditionalVAE,
            models.FilmConditionalVAE,
            FashionJudge,
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


def library_commit() -> str:
    """The commit this library was run from; "unknown" outside a git checkout."""
    try:
        return subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
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
