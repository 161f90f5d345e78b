"""Training: `fit`, its history, and checkpoints from which a killed run goes on bit for bit."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from tqdm.auto import tqdm

from cvae_lib import losses, plots
from cvae_lib.checkpoint import CheckpointError, read_tensors, write_tensors
from cvae_lib.data.pixels import to_unit
from cvae_lib.data.sets import DataSet
from cvae_lib.files import user_path
from cvae_lib.processes import Processes

# objective(model, x, condition, generator, beta) → {"loss": (B,), any further terms: (B,)}
Objective = Callable[
    [nn.Module, Tensor, Tensor, torch.Generator | None, float | Tensor], dict[str, Tensor]
]
Weights = dict[str, Tensor]


class NonFiniteLossError(ArithmeticError):
    """A loss term became infinite or NaN; the message names step and term."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. None in a switch means: what measured fastest on the device."""

    epochs: int = 20  # passes over the training set
    batch_size: int = 128  # images a step, of all processes together
    lr: float = 1e-3  # Adam's step size at its highest
    schedule: Literal["cosine", "constant"] = "cosine"  # of the step size, down to 0
    beta: float = 1.0  # weight of the KL term
    beta_warmup: int = 0  # optimizer steps until the KL term has its full weight
    grad_clip: float | None = None  # largest norm of the gradient
    ema: float | None = None  # decay a step of the averaged weights that are kept in the end
    patience: int | None = None  # epochs without a better validation loss before the run stops
    seed: int = 0  # of shuffling, noise and dropout
    precision: Literal["float32", "bfloat16"] | None = None  # of the matrix products
    channels_last: bool | None = None  # memory format of the convolutions
    compile: str | None = None  # a backend of torch.compile, e.g. "inductor"
    cuda_graph: bool = False  # replay whole steps as one CUDA graph

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be positive and finite, got {self.lr}")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule must be 'cosine' or 'constant', got {self.schedule!r}")
        if self.precision not in (None, "float32", "bfloat16"):
            raise ValueError(f"precision must be 'float32' or 'bfloat16', got {self.precision!r}")
        if not 0 <= self.beta < math.inf:
            raise ValueError(f"beta must be at least 0 and finite, got {self.beta}")
        if self.beta_warmup < 0:
            raise ValueError(f"beta_warmup must be at least 0 steps, got {self.beta_warmup}")
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise ValueError(f"grad_clip must be positive, got {self.grad_clip}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must lie between 0 and 1, got {self.ema}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1 epoch, got {self.patience}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie between 0 and 2**32 - 1, got {self.seed}")

    def lr_at(self, step: int, total: int) -> float:
        """The step size at ``step`` of ``total``."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * step / total))


@dataclass
class History:
    """One row an epoch: means over the training and validation images, images/s, seconds."""

    rows: list[dict[str, float]] = field(default_factory=list)

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def last(self) -> dict[str, float]:
        """The last epoch's row."""
        return self.rows[-1]

    def plot(self) -> Figure:
        """Draw each term over the epochs, training beside validation."""
        return plots.plot_history(self.rows)


def elbo_objective(
    model: Any,
    x: Tensor,
    condition: Tensor,
    generator: torch.Generator | None = None,
    beta: float | Tensor = 1.0,
) -> dict[str, Tensor]:
    """nll + β·kl and both terms, per example in nats."""
    nll, kl = losses.elbo(model, x, condition, generator)
    return {"loss": nll + beta * kl, "nll": nll, "kl": kl}


def fit(
    model: nn.Module,
    train_set: DataSet,
    valid_set: DataSet,
    config: TrainConfig,
    *,
    objective: Objective = elbo_objective,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    about: dict[str, Any] | None = None,
) -> History:
    """Train ``model`` in place on the device it is on; leave it in eval mode.

    Under `accelerate launch` or torchrun the processes share the work: each calls ``fit`` with the
    same arguments, on its own GPU. The gradient is that of the whole batch, however many they are;
    noise, and on CPUs the batches of BatchNorm, are each process's own.

    Args:
        train_set, valid_set: an `ImageSet` is moved to the device whole, a `CaptionedSet` streamed.
            Of an image's captions each epoch draws one; validation takes the first.
        objective: per-example terms; the mean of its "loss" is minimised.
        checkpoint: file to write after each epoch and on Ctrl-C, through a temporary file.
        resume: go on from ``checkpoint`` if it exists; on CPUs, as many as before, the final
            weights are those of an undisturbed run, bit for bit.
        progress: show a progress bar with loss, images/s and time left.
        on_epoch: called with each finished row of the history, in the main process.
        about: more to keep in the checkpoint (JSON), and to agree with what it holds.

    Returns:
        The history, also of the epochs before a resumption.

    Raises:
        NonFiniteLossError: a term became NaN or infinite; the checkpoint is the last good one.
        CheckpointError: the checkpoint is damaged, or of another model, configuration or data.
        KeyboardInterrupt: on Ctrl-C, after the running step and the checkpoint.
    """
    with _own_randomness(config.seed):
        run = _Run(model, train_set, valid_set, config, objective, about or {})
        path = user_path(checkpoint) if checkpoint is not None else None
        if path and run.processes.from_main(lambda: resume and path.exists()):
            run.restore(path)
        _train(run, path, progress, on_epoch)
    run.finish()
    return run.history


def _train(
    run: _Run,
    path: Path | None,
    progress: bool,
    on_epoch: Callable[[dict[str, float]], None] | None,
) -> None:
    """Take the steps that are left; write a checkpoint after each epoch and on Ctrl-C."""
    together, shown = run.processes, progress and run.processes.main
    bar = tqdm(total=run.total_steps, initial=run.step, disable=not shown, unit="step")
    with bar, _interruptible() as interrupted:
        while run.step < run.total_steps and not run.stopped_early:
            with contextlib.closing(run.epoch_steps()) as steps:
                for _ in steps:
                    bar.update()
                    if not run.mid_epoch or run.step % together.every:
                        continue
                    if together.any(interrupted.is_set()):
                        break
            if not run.mid_epoch:
                row = run.finish_epoch()
                rate = f"{row['images_per_second']:,.0f}"
                bar.set_postfix({"loss": f"{row['valid_loss']:.2f}", "images/s": rate})
                if on_epoch and together.main:
                    on_epoch(row)
            if path:
                together.from_main(lambda: run.save(path))
            if together.any(interrupted.is_set()):
                raise KeyboardInterrupt


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: DataSet,
    objective: Objective = elbo_objective,
    *,
    beta: float = 1.0,
    batch_size: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Mean of each term of the objective over ``data``, in eval mode and float32.

    Args:
        batch_size: the default is 1000, or 2²³ numbers if that is less: 170 pictures of 128 pixels.

    Raises:
        ValueError: if ``data`` has no images.
    """
    if not len(data):
        raise ValueError("no images to evaluate")
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    sums: dict[str, float] = {}
    if batch_size is None:
        batch_size = min(1000, max(1, 2**23 // math.prod(data.images.shape[1:])))
    for images, condition in data.to(device).batches(batch_size):
        for name, term in objective(model, to_unit(images), condition, generator, beta).items():
            sums[name] = sums.get(name, 0.0) + float(term.double().sum())
    model.train(was_training)
    return {name: total / len(data) for name, total in sums.items()}


def fastest_settings(device: torch.device) -> tuple[torch.dtype, bool]:
    """(dtype of the matrix products, channels-last?) that measured fastest on such a device.

    bfloat16 where the processor has instructions for it; see ``benchmarks/train_speed.py``.
    """
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        # not every version of torch has it
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        fast = device.type == "cpu" and supported()
    return (torch.bfloat16 if fast else torch.float32), fast


class _Run:
    """The state of a run: what a checkpoint must hold, and the steps that change it."""

    def __init__(
        self,
        model: nn.Module,
        train_set: DataSet,
        valid_set: DataSet,
        config: TrainConfig,
        objective: Objective,
        about: dict[str, Any],
    ) -> None:
        if not len(train_set) or not len(valid_set):
            raise ValueError(
                f"need images to train and validate on, got {len(train_set)} and {len(valid_set)}"
            )
        self.model, self.config, self.objective, self.about = model, config, objective, about
        self.device = next(model.parameters()).device
        self.processes = Processes(self.device)
        self.processes.join_model(model)
        self.given = train_set, valid_set
        self.train_set, self.valid_set = train_set.to(self.device), valid_set.to(self.device)
        self.steps_per_epoch = math.ceil(len(train_set) / config.batch_size)
        self.total_steps = config.epochs * self.steps_per_epoch
        self.dtype, channels_last = fastest_settings(self.device)
        if config.precision is not None:
            self.dtype = getattr(torch, config.precision)
        if config.channels_last is not None:
            channels_last = config.channels_last
        if channels_last:
            model.to(memory_format=torch.channels_last)
        if config.cuda_graph and self.device.type != "cuda":
            raise ValueError(f"cuda_graph needs a CUDA device, the model is on {self.device}")
        if config.cuda_graph and self.processes.count > 1:
            raise ValueError(f"cuda_graph is for one process, there are {self.processes.count}")
        self.terms = (
            torch.compile(objective, backend=config.compile) if config.compile else objective
        )
        self.noise = torch.Generator(self.device).manual_seed(config.seed)
        self.lr = torch.tensor(config.lr, device=self.device)
        self.optimizer = torch.optim.Adam(
            model.parameters(),
            lr=self.lr,
            capturable=config.cuda_graph,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.beta = torch.tensor(config.beta, device=self.device)
        self.averaged = copy.deepcopy(model) if config.ema else None
        self.best: Weights = {}
        self.history = History()
        self.step = 0
        self.sums: Tensor | None = None  # of the terms over the images of the running epoch
        self.seconds = 0.0  # of the running epoch
        self.names: list[str] = []
        self.unchecked: list[Tensor] = []  # means of the terms at the last steps
        self.graphed = _GraphedStep(self) if config.cuda_graph else None

    # Steps and epochs.

    def epoch_steps(self) -> Generator[None]:
        """Take the remaining steps of the running epoch, one for each item yielded."""
        self.model.train()
        config, (epoch, done) = self.config, divmod(self.step, self.steps_per_epoch)
        batches = self._order(epoch).split(config.batch_size)[done:]
        shares, parts = zip(*map(self.processes.share, batches), strict=True)
        check_every = 1 if self.device.type == "cpu" else 50
        started = time.perf_counter()
        with contextlib.closing(self.train_set.take(shares, (config.seed, epoch))) as taken:
            for batch, part, (images, condition) in zip(batches, parts, taken, strict=True):
                self.processes.seed_step(self.noise, config.seed, self.step)
                self.lr.fill_(config.lr_at(self.step, self.total_steps))
                self.beta.fill_(losses.warmup(self.step, config.beta_warmup, config.beta))
                means = self._take(images, condition, part)
                weighted = means * len(batch)
                self.sums = weighted if self.sums is None else self.sums + weighted
                self.unchecked.append(means)
                self.step += 1
                if len(self.unchecked) == check_every or not self.mid_epoch:
                    self._check()
                self.seconds += time.perf_counter() - started
                yield
                started = time.perf_counter()

    def finish_epoch(self) -> dict[str, float]:
        """Validate, append a row to the history, and return it."""
        assert self.sums is not None
        row = {"epoch": float(self.step // self.steps_per_epoch)}
        for name, total in zip(self.names, self.sums.tolist(), strict=True):
            row[name] = total / len(self.train_set)
        kept = self.model if self.averaged is None else self.averaged
        config = self.config
        valid = self.processes.from_main(
            lambda: evaluate(
                kept, self.valid_set, self.objective, beta=config.beta, seed=config.seed
            )
        )
        row |= {f"valid_{name}": value for name, value in valid.items()}
        self._check_row(row)
        row["images_per_second"] = len(self.train_set) / max(self.seconds, 1e-9)
        row["seconds"] = self.seconds
        self.history.rows.append(row)
        self.sums, self.seconds = None, 0.0
        if config.patience is not None and self._epochs_since_best() == 0:
            self.best = {k: v.clone() for k, v in kept.state_dict().items()}
        return row

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

    def _epochs_since_best(self) -> int:
        valid = self.history["valid_loss"]
        return len(valid) - 1 - valid.index(min(valid))

    def finish(self) -> None:
        """Give the model the weights to keep."""
        if self.best:
            self.model.load_state_dict(self.best)
        elif self.averaged is not None:
            self.model.load_state_dict(self.averaged.state_dict())
        self.processes.join_model(self.model)
        self.model.eval()

    def _order(self, epoch: int) -> Tensor:
        """The shuffled positions of an epoch: a function of seed and epoch alone."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        return torch.randperm(len(self.train_set), generator=generator)

    def _take(self, images: Tensor, condition: Tensor, part: float) -> Tensor:
        if self.graphed is not None and len(images) == self.config.batch_size:
            means = self.graphed(images, condition)
        else:
            means = self._update(images, condition, part)
        if self.averaged is not None and self.config.ema is not None:
            pairs = zip(
                self.averaged.state_dict().values(), self.model.state_dict().values(), strict=True
            )
            for average, current in pairs:
                if average.is_floating_point():
                    average.lerp_(current, 1 - self.config.ema)
                else:
                    average.copy_(current)
        return means

    def _update(self, images: Tensor, condition: Tensor, part: float = 1.0) -> Tensor:
        """One optimizer step, these images being ``part`` of its batch; return each term's mean."""
        self.optimizer.zero_grad(set_to_none=True)
        enabled = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=enabled):
            terms = self.terms(self.model, to_unit(images), condition, self.noise, self.beta)
        terms["loss"].mean().backward()
        means = torch.stack([term.detach().mean() for term in terms.values()]).double()
        means = self.processes.average(self.model, means, part)
        if self.config.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self.optimizer.step()
        self.names = list(terms)
        return means

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

    def _check_row(self, row: dict[str, float]) -> None:
        """Raise NonFiniteLossError if an epoch's row holds a NaN or an infinite value."""
        if not all(map(math.isfinite, row.values())):
            raise self._non_finite(row, f"step {self.step}, the end of epoch {row['epoch']:.0f}")

    def _non_finite(self, terms: dict[str, float], when: str) -> NonFiniteLossError:
        """The error to raise; it names the term that spoilt the loss rather than the loss."""
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        name = next((name for name in bad if not name.endswith("loss")), bad[0])
        return NonFiniteLossError(
            f"{name} became {terms[name]} at {when}: try a smaller lr than {self.config.lr:g}, "
            "or grad_clip=1.0"
        )

    # Checkpoints.

    def save(self, path: Path) -> None:
        """Write everything a resumed run needs to ``path``."""
        self._check()
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        if self.averaged is not None:
            tensors |= {f"averaged.{k}": v for k, v in self.averaged.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        tensors["random.noise"] = self.noise.get_state()
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        if self.sums is not None:
            tensors["sums"] = self.sums
        position = {
            "step": self.step,
            "seconds": self.seconds,
            "names": self.names,
            "history": self.history.rows,
        }
        write_tensors(path, tensors, self.identity | position)

    def restore(self, path: Path) -> None:
        """Take up the run that wrote ``path``."""
        tensors, metadata = read_tensors(path)
        for key, ours in self.identity.items():
            if metadata.get(key) != ours:
                raise CheckpointError(
                    f"{path} is of another run: its {_difference(key, metadata.get(key), ours)}. "
                    "Choose another file, or delete it to start anew"
                )
        groups = _split(tensors)
        try:
            self.model.load_state_dict(groups["model"])
            if self.averaged is not None:
                self.averaged.load_state_dict(groups["averaged"])
            state: dict[int, Weights] = {}
            parameters = list(self.model.parameters())
            for name, tensor in groups["optimizer"].items():
                index, key = name.split(".")
                like = parameters[int(index)]
                if tensor.shape == like.shape:  # the fused optimizer wants the same memory format
                    tensor = torch.empty_like(like, requires_grad=False).copy_(tensor)
                state.setdefault(int(index), {})[key] = tensor
            param_groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": state, "param_groups": param_groups})
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr
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

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What must agree between a checkpoint and the run that takes it up."""
        return {
            "model": type(self.model).__name__,
            "architecture": getattr(self.model, "architecture", {}),
            "config": asdict(self.config),
            "training data": _fingerprint(self.given[0]),
            "validation data": _fingerprint(self.given[1]),
            **self.about,
        }


class _GraphedStep:
    """One full-size optimizer step, captured as a CUDA graph and replayed with other images.

    The first steps are taken outside the graph, on a side stream: kernels are chosen and the
    optimizer's state is made before the capture. Capturing takes no step.
    """

    WARMUP = 3  # steps

    def __init__(self, run: _Run) -> None:
        self.run, self.calls = run, 0

    def __call__(self, images: Tensor, condition: Tensor) -> Tensor:
        self.calls += 1
        with torch.cuda.device(self.run.device):
            if self.calls <= self.WARMUP:
                return self._outside(images, condition)
            if self.calls == self.WARMUP + 1:
                self._capture(images, condition)
            self.images.copy_(images)
            self.condition.copy_(condition)
            self.graph.replay()
            return self.means.clone()

    def _outside(self, images: Tensor, condition: Tensor) -> Tensor:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            means = self.run._update(images, condition)
        torch.cuda.current_stream().wait_stream(side)
        return means

    def _capture(self, images: Tensor, condition: Tensor) -> None:
        self.images, self.condition = images.clone(), condition.clone()
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.run.noise)
        self.run.optimizer.zero_grad(set_to_none=True)  # the graph makes gradients of its own
        # other threads may pin batches meanwhile
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.means = self.run._update(self.images, self.condition)


@contextlib.contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Seed the global random state, which dropout draws from; afterwards it is the caller's again.

    Not with the seed of the noise: equal seeds give equal numbers.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed + 2**32)
        yield


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event, so that a step is never torn; a second one acts."""
    interrupted = threading.Event()
    previous = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or previous in (signal.SIG_IGN, None):  # not ours to change
        yield interrupted
        return

    def note(signum: int, frame: Any) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)


def _fingerprint(data: DataSet) -> dict[str, Any]:
    """What tells two data sets apart."""
    return {"images": len(data), "sha256": data.sha256()}


def _difference(key: str, theirs: Any, ours: Any) -> str:
    """Name the first field in which a checkpoint and this run differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        fields = [k for k in theirs | ours if theirs.get(k, "absent") != ours.get(k, "absent")]
        key, theirs, ours = f"{key}'s {fields[0]}", theirs.get(fields[0]), ours.get(fields[0])
    return f"{key} is {theirs!r}, here it is {ours!r}"


def _split(tensors: Weights) -> dict[str, Weights]:
    """{"a.b": t} → {"a": {"b": t}}."""
    groups: dict[str, Weights] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    return groups
