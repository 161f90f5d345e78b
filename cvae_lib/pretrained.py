"""The shipped models: their weights, the records of their runs; and the models of checkpoints."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from cvae_lib import models
from cvae_lib.checkpoint import CheckpointError, read_tensors
from cvae_lib.files import user_path

FOLDER = Path(__file__).parent / "pretrained"
MODELS: dict[str, type[nn.Module]] = {
    cls.__name__: cls
    for cls in (
        models.VAE,
        models.ConcatConditionalVAE,
        models.AdditiveConditionalVAE,
        models.FilmConditionalVAE,
        models.TextConditionalVAE,
        models.FashionJudge,
        models.SceneJudge,
    )
}


def shipped() -> list[str]:
    """The names of the shipped models."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def record(name: str) -> dict[str, Any]:
    """Return the run record of a shipped model: data, configuration, hardware, metrics.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    if name not in shipped():
        raise ValueError(f"no model {name!r}: choose one of {', '.join(shipped())}")
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def load_pretrained(name: str, device: str | torch.device = "cpu") -> Any:
    """Return a shipped model with its weights, in eval mode.

    Raises:
        ValueError: for an unknown name.
        CheckpointError: if the weights are not there or not those of the record (SHA-256).
    """
    run = record(name)
    path = FOLDER / f"{name}.safetensors"
    content = path.read_bytes() if path.exists() else b""
    if (found := hashlib.sha256(content).hexdigest()) != run["weights_sha256"]:
        raise CheckpointError(
            f"{path} is not the file of its record: SHA-256 {found[:12]}…, expected "
            f"{run['weights_sha256'][:12]}…. Re-install the package"
        )
    architecture = dict(run["architecture"])
    model = MODELS[architecture.pop("class")](**architecture)
    model.load_state_dict(safetensors.torch.load(content))
    return model.to(device).eval()


def load_checkpoint(
    path: str | Path, device: str | torch.device = "cpu", model: nn.Module | None = None
) -> Any:
    """Return the model that `fit` or `train_recipe` checkpointed at ``path``, in eval mode.

    Args:
        model: takes the weights; needed for a class that is not this library's.

    Raises:
        CheckpointError: if the file is damaged, or of a class that is neither ours nor given.
    """
    tensors, metadata = read_tensors(user_path(path))
    name = str(metadata.get("model"))
    if model is None and name not in MODELS:
        raise CheckpointError(
            f"{path} holds a {name}, which is not this library's: give load_checkpoint a new one "
            f"as model=; ours are {', '.join(MODELS)}"
        )
    prefix = "model."
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    try:
        model = model or MODELS[name](**metadata["architecture"])
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit a {name}: {error}") from error
    return model.to(device).eval()
