"""How to train: every setting with its unit, checked, and made definite for a device."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch

from cvae_lib.checks import real_number, whole_number

COMPILERS = ("default", "reduce-overhead", "max-autotune", "eager")
CHOICES = {
    "schedule": ("cosine", "constant"),
    "precision": (None, "float32", "bfloat16"),
    "channels_last": (None, False, True),
    "compile": (None, *COMPILERS),
}


@dataclass(frozen=True)
class TrainConfig:
    """How to train. None in ``precision`` and ``channels_last``: what is fastest on the device.

    Numbers may be NumPy's. ValueError or TypeError, by its name, for a setting out of range or of
    another kind.
    """

    epochs: int = 20  # passes over the training set
    batch_size: int = 192  # images a step, of all processes together
    lr: float = 2e-3  # Adam's step size at its highest
    schedule: Literal["cosine", "constant"] = "constant"  # of the step size; "cosine" ends at 0
    lr_warmup: int = 0  # optimizer steps until the step size is what the schedule says, in a line
    grad_clip: float | None = None  # largest norm of the gradient of all weights together
    beta: float = 1.0  # weight of the KL term
    beta_start: float = 0.0  # its weight at the first step, if there is a warm-up
    beta_warmup: int = 0  # optimizer steps until it is ``beta``, in a line
    seed: int = 0  # of shuffling, noise and dropout
    precision: Literal["float32", "bfloat16"] | None = None  # of the matrix products
    channels_last: bool | None = None  # memory format of the convolutions
    compile: str | None = None  # a mode of torch.compile; "reduce-overhead" has CUDA graphs

    def __post_init__(self) -> None:
        vars(self).update(  # frozen, but for this
            epochs=whole_number("epochs", self.epochs, at_least=1),
            batch_size=whole_number("batch_size", self.batch_size, at_least=1),
            lr_warmup=whole_number("lr_warmup", self.lr_warmup, at_least=0),
            beta_warmup=whole_number("beta_warmup", self.beta_warmup, at_least=0),
            seed=whole_number("seed", self.seed, at_least=0, at_most=2**32 - 1),
            lr=real_number("lr", self.lr, above=0),
            beta=real_number("beta", self.beta, at_least=0),
            beta_start=real_number("beta_start", self.beta_start, at_least=0),
        )
        if self.grad_clip is not None:
            vars(self)["grad_clip"] = real_number("grad_clip", self.grad_clip, above=0)
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                listed = ", ".join(map(repr, known))
                raise ValueError(f"{name} must be one of {listed}, got {value!r}")

    def resolved(self, device: torch.device) -> "TrainConfig":
        """The same with a definite precision and memory format."""
        precision, channels_last = fastest_settings(device)
        if self.channels_last is not None:
            channels_last = self.channels_last
        return replace(self, precision=self.precision or precision, channels_last=channels_last)

    def lr_at(self, step: int, total: int) -> float:
        """The step size at ``step`` of ``total``."""
        lr = self.lr * min(1.0, (step + 1) / self.lr_warmup) if self.lr_warmup else self.lr
        if self.schedule == "constant":
            return lr
        return lr * 0.5 * (1 + math.cos(math.pi * step / total))

    def beta_at(self, step: int) -> float:
        """The weight of the KL term at ``step``: from ``beta_start`` in a line, then constant."""
        if not self.beta_warmup:
            return self.beta
        share = min(1.0, step / self.beta_warmup)
        return self.beta_start * (1 - share) + self.beta * share


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
