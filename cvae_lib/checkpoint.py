"""Tensors and JSON in one safetensors file: written atomically, verified on reading, no pickle."""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from cvae_lib.files import DataError, write_atomically

FORMAT = "cvae_lib checkpoint 2"


class CheckpointError(DataError):
    """A checkpoint cannot be written, is missing, cut off, altered, foreign, or of another run."""


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and metadata (JSON) to ``path``, or leave it as it was: CheckpointError."""
    on_cpu = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    text = json.dumps(metadata)
    header = {"format": FORMAT, "sha256": content_sha256(on_cpu, text), "metadata": text}
    try:
        write_atomically(path, safetensors.torch.save(on_cpu, header))
    except OSError as error:
        raise CheckpointError(str(error)) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and metadata of `write_tensors`, else CheckpointError."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except (SafetensorError, OSError) as error:
        wrong = f"{path} is no checkpoint of this library, or is damaged ({error})"
        raise CheckpointError(f"{wrong}: name another file") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} was not written by this library (format {FORMAT!r} missing)")
    if header.get("sha256") != content_sha256(tensors, header.get("metadata", "")):
        raise CheckpointError(f"{path} was altered after it was written: its SHA-256 differs")
    return tensors, json.loads(header["metadata"])


def content_sha256(tensors: dict[str, Tensor], text: str) -> str:
    """The SHA-256 of CPU tensors (any shape), as safetensors writes them, and of ``text``."""
    return hashlib.sha256(safetensors.torch.save(tensors) + text.encode()).hexdigest()
