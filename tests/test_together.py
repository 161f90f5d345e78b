"""Several processes that train one model: the same curve, no deadlock, nothing lost when killed."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import together
import torch
from test_train import timeless

from cvae_lib import losses
from cvae_lib.checkpoint import read_tensors
from cvae_lib.distributed import Processes
from cvae_lib.pretrained import load_checkpoint
from cvae_lib.train import History

CONTEXT = multiprocessing.get_context("forkserver")  # which imports PyTorch once
CONTEXT.set_forkserver_preload(["together", "accelerate"])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def start(job: Callable[[int, Path], Any], folder: Path) -> list[BaseProcess]:
    port = free_port()
    arguments = [(job, rank, port, folder) for rank in (0, 1)]
    pair: list[BaseProcess] = [
        CONTEXT.Process(target=together.take_part, args=each, daemon=True) for each in arguments
    ]
    for process in pair:
        process.start()
    return pair


def finish(pair: list[BaseProcess]) -> None:
    for process in pair:
        process.join(120)
    assert [process.exitcode for process in pair] == [0, 0]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw."""
    folder = tmp_path_factory.mktemp("together")
    finish(start(together.all_that_can_happen, folder))
    return [torch.load(folder / f"all_that_can_happen {rank}.pt") for rank in (0, 1)]


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name


def test_two_processes_have_the_curve_of_one(told: list[dict[str, Any]]) -> None:
    """BatchNorm and noise apart, which `Plain` has none of, to the last digits of float32."""
    history, model = together.train_plain()
    for rank in (0, 1):
        rows, weights = told[rank]["plain"]
        for ours, theirs in zip(timeless(History(rows)), timeless(history), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5)
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-6)
    assert history["loss"][-1] < 0.8 * history["loss"][0]


def test_with_noise_the_curve_is_that_of_another_seed(told: list[dict[str, Any]]) -> None:
    """Noise and BatchNorm's batches are each process's own: within 1 %, as three seeds alone."""
    alone = [together.train_vae(seed).rows for seed in (2, 3, 4)]
    for column in ("loss", "nll", "valid_loss", "valid_nll"):
        for row, *others in zip(told[0]["vae"], *alone, strict=True):
            for other in others:
                assert row[column] == pytest.approx(other[column], rel=1e-2), column


def test_both_end_with_the_same_model(told: list[dict[str, Any]]) -> None:
    for name in ("plain", "undisturbed"):
        (rows, weights), (other_rows, other_weights) = told[0][name], told[1][name]
        assert timeless(History(rows)) == timeless(History(other_rows))
        assert_equal(weights, other_weights)


def test_a_loss_that_is_no_number_in_one_process_stops_both(told: list[dict[str, Any]]) -> None:
    assert told[0]["spoilt"].startswith("kl became nan at step 1, epoch 1")
    assert told[0]["spoilt"] == told[1]["spoilt"]


def test_ctrl_c_in_one_process_stops_both_and_the_run_goes_on(told: list[dict[str, Any]]) -> None:
    for rank in (0, 1):
        assert told[rank]["steps before the interrupt"] == 10 and told[rank]["written"]
        resumed, whole = (History(told[rank][name]) for name in ("resumed", "whole"))
        assert timeless(resumed) == timeless(whole)
        assert_equal(*told[rank]["weights"])


def test_a_model_on_another_device_than_the_launcher_gave_is_refused(
    told: list[dict[str, Any]],
) -> None:
    for rank in (0, 1):
        assert told[rank]["refused"].startswith(f"process {rank} of 2 must have its model on cpu")


def test_killed_and_resumed(told: list[dict[str, Any]], tmp_path: Path) -> None:
    pair = start(together.be_killed, tmp_path)
    deadline = time.monotonic() + 100
    while not (tmp_path / "epoch 2").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for process in pair:
        process.kill()
        process.join()
    assert (tmp_path / "killed.safetensors").exists()
    for epoch in tmp_path.glob("epoch *"):
        epoch.unlink()
    finish(start(together.be_killed, tmp_path))
    assert not (tmp_path / "epoch 1").exists() and (tmp_path / "epoch 4").exists()
    for rank in (0, 1):
        rows, weights = torch.load(tmp_path / f"be_killed {rank}.pt")
        expected, expected_weights = told[rank]["undisturbed"]
        assert timeless(History(rows)) == timeless(History(expected))
        assert_equal(weights, expected_weights)


def test_accelerate_launches_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 "
    launch += f"--mixed_precision no --dynamo_backend no --main_process_port {free_port()} "
    command = "-m cvae_lib train text --scenes 100 --size 16 --width 4 --latent 8 --epochs 2 "
    command += f"--batch-size 30 --device cpu --out {path}"
    process = subprocess.run(
        [sys.executable, *launch.split(), *command.split()],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("epoch 2 of 2: validation loss") == 1, process.stdout
    assert process.stdout.count("The model is in") == 1
    history = read_tensors(path)[1]["history"]
    assert history[1]["loss"] < history[0]["loss"]
    assert not load_checkpoint(path).training


@pytest.mark.parametrize("size", [7, 11, 20, 57])
def test_shares_cover_an_epoch_once_and_nobody_goes_without(size: int) -> None:
    order = torch.randperm(57)
    together = Processes(torch.device("cpu"))
    assert together.main and [len(b) for b in together.batches(order, 28)] == [28, 28, 1]
    for count in (2, 3, 5):
        together.count = count
        seen = []
        for batch in together.batches(order, size):
            shares = []
            for together.rank in range(count):
                shares.append(batch[together.rank :: together.count])
            assert all(map(len, shares))
            seen += torch.cat(shares).tolist()
        assert sorted(seen) == list(range(57))


def test_an_average_over_shares_is_that_of_the_batch(told: list[dict[str, Any]]) -> None:
    x, mean = together.pictures()
    whole = losses.optimal_logvar(x, mean)
    assert [each["logvar"] for each in told] == pytest.approx([float(whole)] * 2, rel=1e-6)


def test_a_loss_with_the_noise_of_the_whole_batch_has_the_curve_of_one(
    told: list[dict[str, Any]],
) -> None:
    history = together.train_sigma()
    for rank in (0, 1):
        for ours, theirs in zip(told[rank]["sigma"], timeless(history), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)
