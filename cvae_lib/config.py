"""How to train: every setting with its unit, checked, and made definite for a device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch

from cvae_lib.checks import real_number, whole_number

COMPILERS = ("default", "reduce-overhead", "max-autotune", "eager")


@dataclass(frozen=True)
class TrainConfig:
    """How to train. None in ``precision`` and ``channels_last``: what is fastest on the device.

    Numbers may be NumPy's.

    Raises:
        ValueError, TypeError: for a setting out of range or of another kind, by its name.
    """

    epochs: int = 20  # passes over the training set
    batch_size: int = 128  # images a step, of all processes together
    lr: float = 1e-3  # Adam's step size at its highest
    schedule: Literal["cosine", "constant"] = "cosine"  # of the step size, down to 0
    beta: float = 1.0  # weight of the KL term
    beta_warmup: int = 0  # optimizer steps until the KL term has its full weight
    grad_clip: float | None = None  # largest norm of the gradient
    ema: float | None = None  # highest decay a step of the averaged weights, which are kept
    patience: int | None = None  # epochs without a better validation loss before the run stops
    seed: int = 0  # of shuffling, noise and dropout
    precision: Literal["float32", "bfloat16"] | None = None  # of the matrix products
    channels_last: bool | None = None  # memory format of the convolutions
    compile: str | None = None  # a mode of torch.compile; "reduce-overhead" has CUDA graphs

    def __post_init__(self) -> None:
        for name, least in {"epochs": 1, "batch_size": 1, "beta_warmup": 0, "patience": 1}.items():
            if getattr(self, name) is not None:
                self._set(name, whole_number(name, getattr(self, name), at_least=least))
        self._set("seed", whole_number("seed", self.seed, at_least=0, at_most=2**32 - 1))
        self._set("lr", real_number("lr", self.lr, above=0))
        self._set("beta", real_number("beta", self.beta, at_least=0))
        if self.grad_clip is not None:
            self._set("grad_clip", real_number("grad_clip", self.grad_clip, above=0))
        if self.ema is not None:
            self._set("ema", real_number("ema", self.ema, above=0))
            if self.ema >= 1:
                raise ValueError(f"ema must be below 1, got {self.ema}")
        choices = {
            "schedule": ("cosine", "constant"),
            "precision": (None, "float32", "bfloat16"),
            "channels_last": (None, False, True),
            "compile": (None, *COMPILERS),
        }
        for name, known in choices.items():
            if (value := getattr(self, name)) not in known:
                listed = ", ".join(map(repr, known))
                raise ValueError(f"{name} must be one of {listed}, got {value!r}")

    def _set(self, name: str, value: float) -> None:
        object.__setattr__(self, name, value)

    def resolved(self, device: torch.device) -> TrainConfig:
        """The same with a definite precision and memory format."""
        precision, channels_last = fastest_settings(device)
        return replace(
            self,
            precision=self.precision or precision,
            channels_last=channels_last if self.channels_last is None else self.channels_last,
        )

    def lr_at(self, step: int, total: int) -> float:
        """The step size at ``step`` of ``total``."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * step / total))

    def beta_at(self, step: int) -> float:
        """The weight of the KL term at ``step``: from 0 in a line, then constant."""
        return self.beta * min(1.0, step / self.beta_warmup) if self.beta_warmup else self.beta


def fastest_settings(device: torch.device) -> tuple[Literal["float32", "bfloat16"], bool]:
    """(precision of the matrix products, channels-last?) that measured fastest on such a device.

    bfloat16 where the processor has instructions for it; see ``benchmarks/train_speed.py``.
    """
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        # not every version of torch has it
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        fast = device.type == "cpu" and supported()
    return ("bfloat16" if fast else "float32"), fast
