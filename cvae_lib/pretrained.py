"""Models with their weights: the shipped ones and their run records, and those of checkpoints."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from cvae_lib import models
from cvae_lib.checkpoint import CheckpointError, read_tensors
from cvae_lib.checks import one_of
from cvae_lib.data.sets import TextEncoder
from cvae_lib.encoders import ClipTextEncoder, HashingTextEncoder, SemanticTextEncoder
from cvae_lib.files import user_path

FOLDER = Path(__file__).parent / "pretrained"


def shipped() -> list[str]:
    """The names of the shipped models."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def record(name: str) -> dict[str, Any]:
    """Return a shipped model's run record: data, settings, metrics; ValueError lists the names."""
    if name not in shipped():
        raise ValueError(f"no model {name!r}: choose one of {', '.join(shipped())}")
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def build(architecture: dict[str, Any]) -> Any:
    """A new model, from the name of its class and the arguments of that; ValueError for others."""
    arguments = dict(architecture)
    found = vars(models).get(name := arguments.pop("class"))
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(f"{name!r} is no model of this library")
    return found(**arguments)


def load_pretrained(name: str, device: str | torch.device = "cpu") -> Any:
    """Return a shipped model in eval mode; CheckpointError if its weights are not the record's."""
    run = record(name)
    path = FOLDER / f"{name}.safetensors"
    content = path.read_bytes() if path.exists() else b""
    if (found := hashlib.sha256(content).hexdigest()) != run["weights_sha256"]:
        wrong = f"{path} is not the file of its record: SHA-256 {found[:12]}…, expected"
        raise CheckpointError(f"{wrong} {run['weights_sha256'][:12]}…. Re-install the package")
    model = build(run["architecture"])
    model.load_state_dict(safetensors.torch.load(content))
    return model.to(device).eval()


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> Any:
    """Return the model that `fit` or `train_recipe` checkpointed at ``path``, in eval mode.

    CheckpointError if the file is damaged or the model's class is not this library's.
    """
    tensors, metadata = read_tensors(user_path(path))
    weights = {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith("model.")}
    try:
        model = build({"class": metadata["model"], **metadata["architecture"]})
        model.load_state_dict(weights)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold a model of this library: {error}") from error
    return model.to(device).eval()


def load(
    name: str, device: str | torch.device = "cpu"
) -> tuple[Any, TextEncoder | None, dict[str, Any] | None]:
    """Return a model, shipped or of a checkpoint, its texts' encoder, and a shipped one's record.

    ValueError if there is no such model or file, CheckpointError for another file or encoder.
    """
    if name in shipped():
        run = record(name)
        return load_pretrained(name, device), _encoder_of(name, run), run
    if not (path := user_path(name)).is_file():
        known = ", ".join(shipped())
        raise ValueError(f"no model and no file {name!r}: choose one of {known}, or a checkpoint")
    model, encoder = load_checkpoint(path, device), _encoder_of(name, read_tensors(path)[1])
    if encoder is None and isinstance(model, models.TextConditionalVAE | models.LatentFlow):
        raise CheckpointError(f"{name} does not say which text encoder it was trained with")
    return model, encoder, None


def conditions(model: Any, encoder: TextEncoder, texts: Sequence[str]) -> torch.Tensor:
    """What a text model takes for texts: a vector of each (N, D), or of each word (N, L, D)."""
    return encoder.words(texts) if model.reads_words else encoder(texts)


def text_encoder(name: str, dim: int = 512, device: str | torch.device = "cpu") -> TextEncoder:
    """The text encoder "hashing", of ``dim`` numbers, "semantic", or "clip", on ``device``."""
    one_of("text encoder", name, ("hashing", "semantic", "clip"))
    if name == "hashing":
        return HashingTextEncoder(dim)
    return SemanticTextEncoder() if name == "semantic" else ClipTextEncoder(device=device)


def _encoder_of(name: str, about: dict[str, Any]) -> TextEncoder | None:
    """The encoder that a record or a checkpoint of the model ``name`` says it was trained with."""
    if not (wanted := about.get("text_encoder")):
        return None
    encoder = text_encoder(wanted["name"], wanted["dim"])
    if encoder.fingerprint != wanted["fingerprint"]:
        raise CheckpointError(
            f"{name} was trained with the encoder {encoder.name} of SHA-256 "
            f"{wanted['fingerprint'][:12]}…, here it is {encoder.fingerprint[:12]}…: name CLIP's "
            "right weights in $CVAE_CLIP_WEIGHTS, install that wordllama, or train the model anew"
        )
    return encoder
