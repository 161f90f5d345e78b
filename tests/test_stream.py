"""Streaming: batches made ahead of time, and trainings on sets that are not held in memory."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamed_run
import together
import torch
from test_train import AtStep, assert_same, ctrl_c, ctrl_c_works, timeless
from torch import Tensor, nn

from cvae_lib.checkpoint import CheckpointError
from cvae_lib.data import CaptionedSet
from cvae_lib.data.sets import prefetched
from cvae_lib.losses import elbo
from cvae_lib.train import TrainConfig, evaluate, fit

__all__ = ["ctrl_c_works"]  # a fixture, used by all
CONFIG = TrainConfig(epochs=3, batch_size=16, seed=1)  # 58 images: 4 steps an epoch


@pytest.fixture(autouse=True)
def _threads_end() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        assert not thread.name.startswith("prefetch"), "a thread was left behind"


# Batches made ahead.


def test_all_come_in_their_order() -> None:
    def make(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(prefetched(make, range(20))) == [n * n for n in range(20)]
    assert list(prefetched(make, [])) == []


def test_it_is_ahead_and_not_too_far() -> None:
    made: list[int] = []
    batches = prefetched(made.append, range(100), ahead=3)
    next(batches)
    time.sleep(0.05)
    assert sorted(made) == [0, 1, 2, 3]
    next(batches)
    time.sleep(0.05)
    assert sorted(made) == [0, 1, 2, 3, 4]
    batches.close()
    assert len(made) == 5


def test_an_error_arrives_in_its_turn() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise OSError("the disk is gone")
        return number

    batches = prefetched(make, range(9))
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


# Trainings.


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaptionedSet, CaptionedSet]:
    """The sets of together.py as memory maps."""
    folder = tmp_path_factory.mktemp("mapped")
    sets = []
    for number, data in enumerate(together.sets()):
        arrays = {}
        for name in ("images", "vectors"):
            np.save(folder / f"{number}-{name}.npy", getattr(data, name))
            arrays[name] = np.load(folder / f"{number}-{name}.npy", mmap_mode="r")
        sets.append(replace(data, **arrays))
    return sets[0], sets[1]


Sets = tuple[CaptionedSet, CaptionedSet]


def test_a_memory_map_trains_like_memory(mapped: Sets) -> None:
    there, here = together.new_vae(), together.new_vae()
    history = fit(there, *mapped, CONFIG)
    assert timeless(history) == timeless(fit(here, *together.sets(), CONFIG))
    assert_same(there, here)
    assert history["valid_loss"][-1] < history["valid_loss"][0]


@pytest.mark.parametrize("step", [3, 4, 9])
def test_ctrl_c_and_on(step: int, mapped: Sets, tmp_path: Path) -> None:
    whole, resumed = together.new_vae(), together.new_vae()
    expected = fit(whole, *mapped, CONFIG)
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(together.new_vae(), *mapped, CONFIG, checkpoint=path, objective=AtStep(step, ctrl_c))
    assert timeless(fit(resumed, *mapped, CONFIG, checkpoint=path)) == timeless(expected)
    assert_same(resumed, whole)


def test_a_second_ctrl_c_leaves_no_thread(mapped: Sets) -> None:
    def twice() -> None:
        ctrl_c()
        ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        fit(together.new_vae(), *mapped, CONFIG, objective=AtStep(2, twice))


def test_an_error_while_reading_ends_the_training(mapped: Sets) -> None:
    class Torn(np.ndarray):
        def __getitem__(self, index: Any) -> Any:
            if isinstance(index, np.ndarray) and 7 in index:
                raise OSError("bus error")
            return super().__getitem__(index)

    torn = replace(mapped[0], images=np.asarray(mapped[0].images).view(Torn))
    with pytest.raises(OSError, match="bus error"):
        fit(together.new_vae(), torn, mapped[1], CONFIG)


def test_each_epoch_draws_captions_and_validation_does_not(mapped: Sets) -> None:
    seen: dict[bool, list[Tensor]] = {True: [], False: []}

    def objective(model: nn.Module, x: Tensor, text: Tensor, *rest: Any) -> dict[str, Tensor]:
        seen[model.training].append(text)
        return elbo(model, x, text, *rest)

    fit(together.new_vae(), *mapped, CONFIG, objective=objective)
    epochs = [{tuple(row.tolist()) for row in torch.cat(seen[True][i : i + 4])} for i in (0, 4, 8)]
    assert len(epochs[0]) == 58 and epochs[0] != epochs[1] != epochs[2]
    first = mapped[1].text_vectors()
    assert all(torch.equal(text, first) for text in seen[False])


def test_large_pictures_are_evaluated_in_smaller_batches() -> None:
    sizes: list[int] = []

    def objective(model: nn.Module, x: Tensor, *_: Any) -> dict[str, Tensor]:
        sizes.append(len(x))
        return {"loss": x.flatten(1).mean(1)}

    images = np.zeros((200, 3, 128, 128), np.uint8)
    data = CaptionedSet(images, np.zeros((200, 2), np.float16), np.arange(201), ["one"] * 200)
    evaluate(streamed_run.Grey(), data, objective)
    assert sizes == [170, 30]


def test_what_a_run_is_about_is_kept_and_must_agree(mapped: Sets, tmp_path: Path) -> None:
    path, config = tmp_path / "run.safetensors", replace(CONFIG, epochs=1)
    about = {"text_encoder": {"name": "hashing", "dim": 12}}
    fit(together.new_vae(), *mapped, config, checkpoint=path, about=about)
    fit(together.new_vae(), *mapped, config, checkpoint=path, about=about)
    about = {"text_encoder": {"name": "clip", "dim": 12}}
    with pytest.raises(
        CheckpointError, match="text_encoder's name is 'hashing', here it is 'clip'"
    ):
        fit(together.new_vae(), *mapped, config, checkpoint=path, about=about)
    with pytest.raises(CheckpointError, match="validation data's images"):
        fit(together.new_vae(), mapped[0], mapped[0], config, checkpoint=path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits private memory")
def test_data_larger_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (8000, 3, 128, 128))  # 375 MiB
    images[::1000] = 255
    images.flush()
    run = [sys.executable, streamed_run.__file__, str(path), "100"]
    process = subprocess.run(run, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == ["too large for memory", "mean 0.001000"]
