"""What must hold on a GPU too. Where there is none, the CPU stands in, so that these tests run."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import together
import torch
import torch.distributed as dist
from accelerate import Accelerator
from test_together import assert_equal, free_port
from torch import nn

from cvae_lib.data import ImageSet
from cvae_lib.distributed import Processes
from cvae_lib.models import AdditiveConditionalVAE, ConcatConditionalVAE
from cvae_lib.pretrained import load_pretrained
from cvae_lib.train import TrainConfig, evaluate, fit

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, by the first product
Sets = tuple[ImageSet, ImageSet]


@pytest.fixture
def exactly() -> Iterator[None]:
    """Only algorithms that give the same sums twice."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def new_plain() -> nn.Module:
    """`together.Plain`; on a GPU, where BatchNorm can see whole batches, with such a layer."""
    model = together.Plain(0)
    if CUDA:
        model.down = nn.Sequential(model.down, nn.BatchNorm2d(4))  # type: ignore[assignment]
    return model.to(DEVICE)


def train_plain() -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    model = new_plain()
    history = fit(model, *together.sets(), together.CONFIG, objective=together.plain_objective)
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    return together.timeless(history), weights


def test_the_curve_is_that_of_the_cpu() -> None:
    """Captions, order, streaming and the shares of an epoch are the device's in no way."""
    curves = []
    for device in (DEVICE, torch.device("cpu")):
        model = together.Plain(0).to(device)
        curves.append(
            fit(model, *together.sets(), together.CONFIG, objective=together.plain_objective)
        )
    for ours, theirs in zip(*map(together.timeless, curves), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3)


def test_bfloat16_learns_as_float32(tiny: Sets) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        model = ConcatConditionalVAE(16).to(DEVICE)
        config = TrainConfig(epochs=4, batch_size=64, precision=precision)  # type: ignore[arg-type]
        losses.append(fit(model, *tiny, config)["valid_loss"])
        assert next(model.parameters()).dtype == torch.float32
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


@pytest.mark.usefixtures("exactly")
def test_a_resumed_run_ends_bit_for_bit_alike(tiny: Sets, tmp_path: Path) -> None:
    config = TrainConfig(epochs=4, batch_size=72, seed=3, beta_warmup=10)
    path = tmp_path / "run.safetensors"

    def run(**options: Any) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = AdditiveConditionalVAE(16).to(DEVICE)
        fit(model, *tiny, config, **options)
        return model.state_dict()

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(checkpoint=path, on_epoch=stop)
    assert_equal(run(checkpoint=path), run())


def test_shipped_weights_give_the_numbers_of_the_cpu(fashion: dict[str, ImageSet]) -> None:
    some = fashion["test"].first(500)
    here, there = (
        evaluate(load_pretrained("fashion-concat", device), some) for device in (DEVICE, "cpu")
    )
    assert here["loss"] == pytest.approx(there["loss"], rel=2e-3)  # the noise is the device's own


def alone() -> dict[str, Any]:
    """In the one process of a launcher: a training, then gradients through what wraps a model."""
    told: dict[str, Any] = {"trained": train_plain()}
    processes = Processes(DEVICE)
    told["count"] = processes.count
    processes.accelerator, processes.count = Accelerator(cpu=not CUDA), 2
    bare, inner = new_plain(), new_plain()
    wrapped = processes.wrap(inner)
    told["layers"] = {type(layer).__name__ for layer in wrapped.modules()}
    x, text = torch.rand(6, 3, 16, 16, device=DEVICE), torch.rand(6, 12, device=DEVICE)
    for model in (bare, wrapped):
        model(x, text).square().sum().backward()
    pairs = zip(bare.parameters(), inner.parameters(), strict=True)
    told["gradients"] = [(p.grad.cpu(), q.grad.cpu()) for p, q in pairs]  # type: ignore[union-attr]
    return told


def half() -> dict[str, Any]:
    """As one of two that share the device; a GPU can be shared through gloo alone."""
    if CUDA:
        dist.init_process_group("gloo")
    return {"trained": train_plain()}


def take_part(job: Callable[[], Any], rank: int, count: int, port: int, folder: Path) -> None:
    local = 0 if CUDA else rank
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(local), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    torch.save(job(), folder / f"{rank}.pt")


def launch(job: Callable[[], Any], count: int, folder: Path) -> list[dict[str, Any]]:
    """What ``job`` returned in each of ``count`` processes."""
    context, port = multiprocessing.get_context("spawn"), free_port()
    processes = [
        context.Process(target=take_part, args=(job, rank, count, port, folder), daemon=True)
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * count
    return [torch.load(folder / f"{rank}.pt") for rank in range(count)]


def assert_trained_alike(told: Any, other: Any) -> None:
    (rows, weights), (other_rows, other_weights) = told, other
    for ours, theirs in zip(rows, other_rows, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3 if CUDA else 1e-5)
    for name, tensor in other_weights.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-2, atol=1e-3)


def test_a_launcher_of_one_process_changes_nothing(tmp_path: Path) -> None:
    told = launch(alone, 1, tmp_path)[0]
    assert told["count"] == 1
    assert_trained_alike(told["trained"], train_plain())
    for bare, wrapped in told["gradients"]:
        torch.testing.assert_close(wrapped, bare, rtol=1e-3, atol=1e-4)
    if CUDA:
        assert {"DistributedDataParallel", "SyncBatchNorm"} <= told["layers"]
        assert "BatchNorm2d" not in told["layers"]


def test_two_processes_have_the_curve_of_one_and_the_same_batch_norm(tmp_path: Path) -> None:
    told = launch(half, 2, tmp_path)
    for each in told:
        assert_trained_alike(each["trained"], train_plain())
    assert_equal(told[0]["trained"][1], told[1]["trained"][1])
