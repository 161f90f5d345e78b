"""The state of a training run: what a checkpoint must hold, and the bookkeeping of its steps."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from cvae_lib.checkpoint import (
    CheckpointError,
    difference,
    groups_of,
    read_tensors,
    write_tensors,
)
from cvae_lib.config import TrainConfig
from cvae_lib.data.sets import DataSet
from cvae_lib.distributed import Processes
from cvae_lib.history import History

# objective(model, x, condition, generator, beta) → {"loss": (B,), any further terms: (B,)}
Objective = Callable[
    [nn.Module, Tensor, Tensor, torch.Generator | None, float | Tensor], dict[str, Tensor]
]
CHECK_EVERY = 50  # steps on a GPU, which a look at the loss would stop


class NonFiniteLossError(ArithmeticError):
    """A loss term became infinite or NaN; the message names step and term."""


class Terms(nn.Module):
    """The objective as a module, for what wraps modules: several processes, and torch.compile."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, x: Tensor, condition: Tensor, generator: Any, beta: Tensor) -> Any:
        return self.objective(self.model, x, condition, generator, beta)


class Run:
    """The state of a run: what a checkpoint must hold, and the bookkeeping of steps and epochs."""

    def __init__(
        self,
        model: nn.Module,
        train_set: DataSet,
        valid_set: DataSet,
        config: TrainConfig,
        objective: Objective,
        about: dict[str, Any],
    ) -> None:
        _check_inputs(model, train_set, valid_set)
        self.device = next(model.parameters()).device
        self.model = unwrapped(model)
        self.config = config = config.resolved(self.device)
        self.objective = objective
        self.processes = Processes(self.device)
        if config.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.terms: Any = self.processes.wrap(Terms(model, objective))
        if config.compile == "eager":
            self.terms = torch.compile(self.terms, backend="eager")
        elif config.compile:
            self.terms = torch.compile(self.terms, mode=config.compile, dynamic=False)
        self.history = History(
            settings={
                "precision": config.precision,
                "channels_last": config.channels_last,
                "threads": torch.get_num_threads() if self.device.type == "cpu" else None,
                "device": self.device.type,
            }
        )
        self.about, self.given = about, (train_set, valid_set)
        self.train_set, self.valid_set = train_set.to(self.device), valid_set.to(self.device)
        self.steps_per_epoch = len(self.batches(0))
        self.total_steps = config.epochs * self.steps_per_epoch
        self.noise = torch.Generator(self.device).manual_seed(config.seed)
        # a generator of its own would cut a compiled step into pieces
        self.generator = None if config.compile and self.device.type == "cuda" else self.noise
        self.lr = torch.tensor(config.lr, device=self.device)
        self.beta = torch.tensor(config.beta, device=self.device)
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.lr, fused=fused)
        self.averaged = AveragedModel(self.model, avg_fn=self._average) if config.ema else None
        self.best: dict[str, Tensor] = {}
        self.step = 0
        self.sums: Tensor | None = None  # of the terms over the images of the running epoch
        self.seconds = 0.0  # of the running epoch
        self.names: list[str] = []  # of the terms
        self.unchecked: list[Tensor] = []  # sums of the terms at the last steps

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What must agree between a checkpoint and the run that takes it up."""
        known = [{"images": len(data), "fingerprint": data.fingerprint()} for data in self.given]
        return {
            "model": type(self.model).__name__,
            "architecture": getattr(self.model, "architecture", {}),
            "objective": getattr(self.objective, "__qualname__", type(self.objective).__qualname__),
            "config": asdict(self.config),
            "machine": self.history.settings,
            "training data": known[0],
            "validation data": known[1],
            **self.about,
        }

    @property
    def kept(self) -> Any:
        """The model whose weights are validated and kept."""
        return self.model if self.averaged is None else self.averaged.module

    @property
    def mid_epoch(self) -> bool:
        """Whether the running epoch has steps left."""
        return self.step % self.steps_per_epoch != 0

    @property
    def stopped_early(self) -> bool:
        """Whether the validation loss has not improved for `patience` epochs."""
        if self.config.patience is None or not len(self.history) or self.mid_epoch:
            return False
        return self._epochs_since_best() >= self.config.patience

    def batches(self, epoch: int) -> list[Tensor]:
        """The shuffled positions of an epoch, by batch: a function of seed and epoch alone."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.train_set), generator=generator)
        return self.processes.batches(order, self.config.batch_size)

    def note(self, terms: dict[str, Tensor]) -> None:
        """Count a step that was taken, with the terms of this process's share of its images."""
        precise = torch.float32 if self.device.type == "mps" else torch.float64
        sums = torch.stack([term.detach().sum(dtype=precise) for term in terms.values()])
        sums = self.processes.total(sums)
        self.sums = sums if self.sums is None else self.sums + sums
        self.names = list(terms)
        self.unchecked.append(sums)
        self.step += 1
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        every = 1 if self.device.type == "cpu" else CHECK_EVERY
        if len(self.unchecked) >= every or not self.mid_epoch:
            self._check()

    def finish_epoch(self, validate: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Let the main process validate, append a row to the history, and return it."""
        assert self.sums is not None
        row = {"epoch": float(self.step // self.steps_per_epoch)}
        for name, total in zip(self.names, self.sums.tolist(), strict=True):
            row[name] = total / len(self.train_set)
        for model in (self.model, self.kept):
            if end_epoch := getattr(model, "end_epoch", None):
                end_epoch(row)
        valid = self.processes.from_main(validate)
        row |= {f"valid_{name}": value for name, value in valid.items()}
        if not all(map(math.isfinite, row.values())):
            raise self._non_finite(row, f"step {self.step}, the end of epoch {row['epoch']:.0f}")
        row |= {"images_per_second": len(self.train_set) / max(self.seconds, 1e-9)}
        row |= {"seconds": self.seconds}
        self.history.rows.append(row)
        self.sums, self.seconds = None, 0.0
        if self.config.patience is not None and self._epochs_since_best() == 0:
            self.best = {k: v.clone() for k, v in self.kept.state_dict().items()}
        return row

    def finish(self) -> None:
        """Give the model the weights to keep, the same in every process."""
        self.model.load_state_dict(self.best or self.kept.state_dict())
        self.processes.equalise(self.model)
        self.model.eval()

    def save(self, path: Path) -> None:
        """Write everything a resumed run needs to ``path``."""
        self._check()
        groups: dict[str, dict[str, Tensor]] = {"model": self.model.state_dict(), "best": self.best}
        if self.averaged is not None:
            groups["averaged"] = self.averaged.module.state_dict()
        for index, state in self.optimizer.state_dict()["state"].items():
            groups[f"optimizer.{index}"] = state
        groups["random"] = {"noise": self.noise.get_state(), "cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            groups["random"]["cuda"] = torch.cuda.get_rng_state(self.device)
        tensors = {f"{group}.{k}": v for group, some in groups.items() for k, v in some.items()}
        if self.sums is not None:
            tensors["sums"] = self.sums
        position = {"step": self.step, "seconds": self.seconds, "names": self.names}
        write_tensors(path, tensors, self.identity | position | {"history": self.history.rows})

    def restore(self, path: Path) -> None:
        """Take up the run that wrote ``path``."""
        tensors, metadata = read_tensors(path)
        for key, ours in self.identity.items():
            if metadata.get(key) != ours:
                raise CheckpointError(
                    f"{path} is of another run: its {difference(key, metadata.get(key), ours)}. "
                    "Choose another file, or delete it to start anew"
                )
        groups = groups_of(tensors)
        try:
            self.model.load_state_dict(groups["model"])
            if self.averaged is not None:
                self.averaged.module.load_state_dict(groups["averaged"])
                self.averaged.n_averaged.fill_(metadata["step"])
            self._restore_optimizer(groups["optimizer"])
            self.noise.set_state(groups["random"]["noise"])
            torch.set_rng_state(groups["random"]["cpu"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(groups["random"]["cuda"], self.device)
        except (KeyError, IndexError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} does not fit this model: {error}") from error
        self.best = groups.get("best", {})
        self.sums = tensors["sums"].to(self.device) if "sums" in tensors else None
        self.step, self.seconds = metadata["step"], metadata["seconds"]
        self.names, self.history.rows = metadata["names"], metadata["history"]

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        parameters = list(self.model.parameters())
        for name, tensor in tensors.items():
            index, key = name.split(".")
            like = parameters[int(index)]
            if tensor.shape == like.shape:  # the fused optimizer wants the same memory format
                tensor = torch.empty_like(like, requires_grad=False).copy_(tensor)
            state.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr

    def _average(self, average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        """Averaged weights after ``steps`` steps: a decay that rises, so that the start fades."""
        decay = min(self.config.ema or 0.0, (1 + float(steps)) / (10 + float(steps)))
        return torch.lerp(current, average, decay)

    def _epochs_since_best(self) -> int:
        valid = self.history["valid_loss"]
        return len(valid) - 1 - valid.index(min(valid))

    def _check(self) -> None:
        """Raise NonFiniteLossError if a term of the last steps is NaN or infinite."""
        recent, self.unchecked = self.unchecked, []
        if not recent or (finite := torch.stack(recent).isfinite()).all():
            return
        row = int((~finite).any(1).nonzero()[0])
        step = self.step - len(recent) + row + 1
        terms = dict(zip(self.names, recent[row].tolist(), strict=True))
        raise self._non_finite(
            terms, f"step {step}, epoch {1 + (step - 1) // self.steps_per_epoch}"
        )

    def _non_finite(self, terms: dict[str, float], when: str) -> NonFiniteLossError:
        """The error to raise; it names the term that spoilt the loss rather than the loss."""
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        name = next((name for name in bad if not name.endswith("loss")), bad[0])
        return NonFiniteLossError(
            f"{name} became {terms[name]} at {when}: try a smaller lr than {self.config.lr:g}, "
            "or grad_clip=1.0"
        )


def _check_inputs(model: nn.Module, train_set: DataSet, valid_set: DataSet) -> None:
    if not len(train_set) or not len(valid_set):
        raise ValueError(
            f"need images to train and validate on, got {len(train_set)} and {len(valid_set)}"
        )
    if any(parameter.dtype == torch.float16 for parameter in model.parameters()):
        raise ValueError(
            "the model has float16 weights, too coarse for an optimizer's steps: train "
            'model.float(), with precision="bfloat16" for speed'
        )


def unwrapped(model: nn.Module) -> nn.Module:
    """The network itself, without what `torch.compile` or several GPUs put around it."""
    from accelerate.utils import extract_model_from_parallel  # a second to import

    network: nn.Module = extract_model_from_parallel(model, keep_torch_compile=False)
    return network
