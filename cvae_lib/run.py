"""The state of a training run: its history, what a checkpoint holds, its steps' bookkeeping."""

import functools
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cvae_lib.checkpoint import CheckpointError, read_tensors, write_tensors
from cvae_lib.config import TrainConfig
from cvae_lib.data.sets import DataSet
from cvae_lib.distributed import Processes

# objective(model, x, condition, generator, beta) → {"loss": (B,), any further terms: (B,)}
Objective = Callable[
    [nn.Module, Tensor, Tensor, torch.Generator | None, float | Tensor], dict[str, Tensor]
]
CHECK_EVERY = 50  # steps on a GPU, which a look at the loss would stop


class NonFiniteLossError(FloatingPointError):
    """A loss term became infinite or NaN; the message names step and term."""


@dataclass
class History:
    """One row an epoch: means over the training and validation images, images/s, seconds.

    ``settings`` has what decides about speed and the last bits of the numbers: "precision",
    "channels_last", "threads" (None on a GPU) and "device"; ``layout`` what `fit_layout` returned.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    layout: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def last(self) -> dict[str, float]:
        """The last epoch's row."""
        return self.rows[-1]


class Terms(nn.Module):
    """The objective as a module, for what wraps modules: several processes, and torch.compile."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, *arguments: Any) -> Any:
        """The objective's terms of the model for these arguments, by name: (B,) each."""
        return self.objective(self.model, *arguments)


class Run:
    """What a checkpoint must hold of a run, and the bookkeeping of steps and epochs."""

    def __init__(
        self,
        model: nn.Module,
        train_set: DataSet,
        valid_set: DataSet,
        config: TrainConfig,
        objective: Objective,
        about: dict[str, Any],
    ) -> None:
        from accelerate.utils import extract_model_from_parallel  # a second to import

        if not len(train_set) or not len(valid_set):
            counts = f"{len(train_set)} and {len(valid_set)}"
            raise ValueError(f"need images to train and validate on, got {counts}")
        if any(parameter.dtype == torch.float16 for parameter in model.parameters()):
            wrong = "the model has float16 weights, too coarse for an optimizer's steps"
            raise ValueError(f'{wrong}: train model.float(), with precision="bfloat16" for speed')
        self.device = next(model.parameters()).device
        self.config = config = config.resolved(self.device)
        self.model: nn.Module = extract_model_from_parallel(model, keep_torch_compile=False)
        self.objective, self.about = objective, about
        self.train_set, self.valid_set = train_set.to(self.device), valid_set.to(self.device)
        self.processes = Processes(self.device)
        if config.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.terms: Any = self.processes.wrap(Terms(model, objective))
        if config.compile == "eager":
            self.terms = torch.compile(self.terms, backend="eager")
        elif config.compile:
            self.terms = torch.compile(self.terms, mode=config.compile, dynamic=False)
        threads = torch.get_num_threads() if self.device.type == "cpu" else None
        machine = {"device": self.device.type, "threads": threads}
        machine |= {"precision": config.precision, "channels_last": config.channels_last}
        self.history = History(settings=machine)
        self.steps_per_epoch = len(self.batches(0))
        self.total_steps = config.epochs * self.steps_per_epoch
        # a generator of its own would cut a compiled step into pieces
        own = not (config.compile and self.device.type == "cuda")
        self.generator = torch.Generator(self.device) if own else None
        self.lr = torch.tensor(config.lr, device=self.device)
        self.beta = torch.tensor(config.beta, device=self.device)
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.lr, fused=fused)
        self.step = 0
        self.seconds = 0.0  # of the running epoch
        self.names: list[str] = []  # of the terms
        self.sums = torch.zeros(())  # of the terms, over the images of the running epoch

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What must agree between a checkpoint and the run that takes it up."""
        sets = {"training data": self.train_set, "validation data": self.valid_set}
        return {
            "model": type(self.model).__name__,
            "architecture": getattr(self.model, "architecture", {}),
            "objective": getattr(self.objective, "__qualname__", type(self.objective).__qualname__),
            "config": asdict(self.config),
            "machine": self.history.settings,
            **{k: {"images": len(v), "fingerprint": v.fingerprint()} for k, v in sets.items()},
            **self.about,
        }

    @property
    def mid_epoch(self) -> bool:
        """Whether the running epoch has steps left."""
        return self.step % self.steps_per_epoch != 0

    def batches(self, epoch: int) -> list[Tensor]:
        """The shuffled positions of an epoch, by batch (B,): a function of seed and epoch alone."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.train_set), generator=generator)
        return self.processes.batches(order, self.config.batch_size)

    def begin_step(self) -> None:
        """Set what depends on the step; its randomness depends on seed, step and process alone."""
        config, together = self.config, self.processes
        seed = 2 * ((config.seed * 1_000_003 + self.step) * together.count + together.rank)
        torch.manual_seed(seed % 2**63)  # of dropout
        if self.generator is not None:
            self.generator.manual_seed((seed + 1) % 2**63)  # equal seeds would give equal numbers
        self.lr.fill_(config.lr_at(self.step, self.total_steps))
        self.beta.fill_(config.beta_at(self.step))

    def note(self, terms: dict[str, Tensor]) -> None:
        """Count a step that was taken, with the terms (B,) of this process's share of a batch."""
        precise = torch.float32 if self.device.type == "mps" else torch.float64
        sums = torch.stack([term.detach().sum(dtype=precise) for term in terms.values()])
        self.sums = self.sums.to(self.device) + self.processes.total(sums)
        self.names, self.step = list(terms), self.step + 1
        if self.device.type == "cpu" or self.step % CHECK_EVERY == 0 or not self.mid_epoch:
            self.means()

    def means(self) -> dict[str, float]:
        """The terms' means over the images of the epoch; NonFiniteLossError if one is no number."""
        count, epoch = len(self.train_set), 1 + (self.step - 1) // self.steps_per_epoch
        pairs = zip(self.names, self.sums.tolist(), strict=True)
        means = {name: total / count for name, total in pairs}
        return self._finite(means, f"step {self.step}, epoch {epoch}")

    def finish_epoch(self, validate: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Let the main process validate, append a row to the history, and return it."""
        row = {"epoch": float(self.step // self.steps_per_epoch)} | self.means()
        if end_epoch := getattr(self.model, "end_epoch", None):
            end_epoch(row)
        valid = self.processes.from_main(validate)
        row |= {f"valid_{name}": value for name, value in valid.items()}
        self._finite(row, f"step {self.step}, the end of epoch {row['epoch']:.0f}")
        row |= {"images_per_second": len(self.train_set) / max(self.seconds, 1e-9)}
        row |= {"seconds": self.seconds}
        self.history.rows.append(row)
        self.sums, self.seconds = torch.zeros(()), 0.0
        return row

    def save(self, path: Path) -> None:
        """Write everything a resumed run needs to ``path``."""
        if self.mid_epoch:
            self.means()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for number, parameter in enumerate(self.model.parameters()):
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{number}.{key}"] = value
        tensors["sums"] = self.sums
        position = {"step": self.step, "seconds": self.seconds, "names": self.names}
        write_tensors(path, tensors, self.identity | position | {"history": self.history.rows})

    def restore(self, path: Path) -> None:
        """Take up the run that wrote ``path``; CheckpointError if it is another one, or broken."""
        tensors, metadata = read_tensors(path)
        for key, ours in self.identity.items():
            if (theirs := metadata.get(key)) != ours:
                what = f"{path} is of another run: its {_difference(key, theirs, ours)}"
                raise CheckpointError(f"{what}. Choose another file, or delete it to start anew")

        def group(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        try:
            self.model.load_state_dict(group("model."))
            for number, parameter in enumerate(self.model.parameters()):
                for key, value in group(f"optimizer.{number}.").items():
                    # the fused optimizer wants the weights' memory format
                    like = parameter if value.shape == parameter.shape else value
                    kept = torch.empty_like(like, device=self.device, requires_grad=False)
                    self.optimizer.state[parameter][key] = kept.copy_(value)
        except RuntimeError as error:
            raise CheckpointError(f"{path} does not fit this model: {error}") from error
        self.sums, self.names = tensors["sums"], metadata["names"]
        self.step, self.seconds = metadata["step"], metadata["seconds"]
        self.history.rows = metadata["history"]

    def _finite(self, terms: dict[str, float], when: str) -> dict[str, float]:
        """``terms``, if all are numbers; the error names what spoilt the loss before the loss."""
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad:
            name = next((name for name in bad if not name.endswith("loss")), bad[0])
            remedy = f"try a smaller lr than {self.config.lr:g}"
            raise NonFiniteLossError(f"{name} became {terms[name]} at {when}: {remedy}")
        return terms


def _difference(key: str, theirs: Any, ours: Any) -> str:
    """Name the first field in which what a checkpoint says and what is here differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        fields = [k for k in theirs | ours if theirs.get(k, "absent") != ours.get(k, "absent")]
        key, theirs, ours = f"{key}'s {fields[0]}", theirs.get(fields[0]), ours.get(fields[0])
    return f"{key} is {theirs!r}, here it is {ours!r}"
