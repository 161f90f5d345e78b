"""Training: `fit` and its history; a killed run goes on from its checkpoint, bit for bit."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from cvae_lib.checkpoint import CheckpointError
from cvae_lib.checks import evaluating
from cvae_lib.config import TrainConfig
from cvae_lib.data.sets import DataSet, to_unit
from cvae_lib.files import user_path
from cvae_lib.losses import elbo
from cvae_lib.run import History, NonFiniteLossError, Objective, Run

__all__ = ["History", "NonFiniteLossError", "Objective", "TrainConfig", "evaluate", "fit"]


def fit(
    model: nn.Module,
    train_set: DataSet,
    valid_set: DataSet,
    config: TrainConfig,
    *,
    objective: Objective = elbo,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    progress: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    about: dict[str, Any] | None = None,
) -> History:
    """Train ``model`` in place on the device it is on; leave it in eval mode; return the history.

    Several `Processes` share the work: the gradient is that of the whole batch.

    Args:
        train_set, valid_set: an `ImageSet` is moved to the device whole, a `CaptionedSet` streamed.
            Of an image's captions each epoch draws one; validation takes the first.
        objective: per-example terms; the mean of its "loss" is minimised.
        checkpoint: file to write after each epoch and on Ctrl-C, wholly or not at all. If it
            exists, ``resume`` goes on from it: on as many CPUs as before, bit for bit.
        progress: show a bar with loss, images/s and time left.
        on_epoch: is given each finished row of the history, in the main process.
        about: more to keep in the checkpoint (JSON), and to agree with what it holds.

    Raises:
        NonFiniteLossError: a term became NaN or infinite; the checkpoint is the last good one.
        CheckpointError: the checkpoint is damaged, or of another run, by data, settings or machine.
        KeyboardInterrupt: after the running step and the checkpoint.
    """
    path = None if checkpoint is None else user_path(checkpoint)
    if path and path.is_dir():
        raise CheckpointError(f"checkpoint {path} is a folder: name a file in it")
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # the caller's randomness
        run = Run(model, train_set, valid_set, config, objective, about or {})
        if path and run.processes.from_main(lambda: resume and path.exists()):
            run.restore(path)
        shown = progress and run.processes.main
        bar = tqdm(total=run.total_steps, initial=run.step, disable=not shown, unit="step")
        with bar, _interruptible(run.processes.count == 1) as interrupted:
            while run.step < run.total_steps:
                _train_epoch(run, bar, interrupted)
                _end_epoch(run, bar, path, on_epoch)
                if run.processes.any(interrupted.is_set()):
                    raise KeyboardInterrupt
    run.processes.equalise(run.model.eval())
    return run.history


def _train_epoch(run: Run, bar: tqdm, interrupted: threading.Event) -> None:
    """Take the steps that are left of the running epoch; after a Ctrl-C only the running one."""
    config, together = run.config, run.processes
    run.model.train()
    epoch, done = divmod(run.step, run.steps_per_epoch)
    batches = run.batches(epoch)[done:]
    started = time.perf_counter()
    own = [batch[together.rank :: together.count] for batch in batches]
    with contextlib.closing(run.train_set.take(own, (config.seed, epoch))) as taken:
        for batch, (images, condition) in zip(batches, taken, strict=True):
            run.begin_step()
            run.optimizer.zero_grad(set_to_none=True)
            with torch.autocast(run.device.type, torch.bfloat16, config.precision == "bfloat16"):
                terms = run.terms(to_unit(images), condition, run.generator, run.beta)
            # DistributedDataParallel averages the gradients of the processes
            (terms["loss"].sum() * (together.count / len(batch))).backward()
            if config.grad_clip is not None:
                nn.utils.clip_grad_norm_(run.model.parameters(), config.grad_clip)
            run.optimizer.step()
            run.note(terms)
            now = time.perf_counter()
            run.seconds, started = run.seconds + now - started, now
            bar.update()
            agreed = together.count == 1 or run.step % 10 == 0  # several ask each other
            if agreed and run.mid_epoch and together.any(interrupted.is_set()):
                break


def _end_epoch(run: Run, bar: tqdm, path: Path | None, on_epoch: Callable | None) -> None:
    """Validate after an epoch that was not interrupted, tell of it, and write a checkpoint."""
    if not run.mid_epoch:
        sets, how = (run.model, run.valid_set, run.objective), run.config
        row = run.finish_epoch(lambda: evaluate(*sets, beta=how.beta, seed=how.seed))
        rate = f"{row['images_per_second']:,.0f}"
        bar.set_postfix({"loss": f"{row['valid_loss']:.2f}", "images/s": rate})
        if on_epoch and run.processes.main:
            on_epoch(row)
    if path:
        run.processes.from_main(lambda: run.save(path))


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: DataSet,
    objective: Objective = elbo,
    *,
    beta: float = 1.0,
    batch_size: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Mean of each term of the objective over ``data``, in eval mode and float32.

    ``batch_size`` is 1000 if None, or 2²³ numbers if that is less: 170 pictures of 128 pixels.
    ValueError for a set without images.
    """
    if not len(data):
        raise ValueError("no images to evaluate")
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    sums: dict[str, float] = {}
    if batch_size is None:
        batch_size = min(1000, max(1, 2**23 // math.prod(data.images.shape[1:])))
    with evaluating(model):
        for images, condition in data.to(device).batches(batch_size):
            terms = objective(model, to_unit(images), condition, generator, beta)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.cpu().double().sum().item()
    return {name: total / len(data) for name, total in sums.items()}


@contextlib.contextmanager
def _interruptible(alone: bool) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event, so that a step is never torn; a second one acts.

    Of several processes none acts on it: a launcher passes on what a batch system has sent already.
    """
    interrupted, previous = threading.Event(), signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    ours = in_main_thread and previous not in (signal.SIG_IGN, None)  # else not ours to change

    def note(signum: int, frame: Any) -> None:
        interrupted.set()
        if alone:
            signal.signal(signal.SIGINT, previous)

    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        if ours:
            signal.signal(signal.SIGINT, previous)
