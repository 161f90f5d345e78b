"""Training: what it promises about seeds, resumption, interrupts, damage and its settings."""

from __future__ import annotations

import math
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import killed_run
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cvae_lib.checkpoint import CheckpointError, read_tensors
from cvae_lib.config import fastest_settings
from cvae_lib.data import ImageSet
from cvae_lib.losses import elbo
from cvae_lib.models import AdditiveConditionalVAE, ConcatConditionalVAE, FashionJudge
from cvae_lib.models.judges import judge_objective
from cvae_lib.pretrained import FOLDER, load_checkpoint
from cvae_lib.train import (
    History,
    NonFiniteLossError,
    Objective,
    TrainConfig,
    evaluate,
    fit,
)

Sets = tuple[ImageSet, ImageSet]
# 256 images: 4 steps an epoch, the last of 40
CONFIG = TrainConfig(3, 72, 1e-3, "cosine", seed=1)


@pytest.fixture(autouse=True)
def ctrl_c_works() -> Iterator[None]:
    """A process that was started in the background ignores SIGINT: these tests press it."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "fit left its handler"
    signal.signal(signal.SIGINT, previous)


def new_model() -> ConcatConditionalVAE:
    torch.manual_seed(0)
    return ConcatConditionalVAE(16)


def new_judge() -> FashionJudge:
    torch.manual_seed(0)
    return FashionJudge(width=4)


def assert_same(a: nn.Module, b: nn.Module) -> None:
    """Equal bit for bit."""
    theirs = b.state_dict()
    for name, tensor in a.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name


def differ(a: nn.Module, b: nn.Module) -> bool:
    theirs = b.state_dict()
    return any(not torch.equal(tensor, theirs[name]) for name, tensor in a.state_dict().items())


def timeless(history: History) -> list[dict[str, float]]:
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")}
        for row in history.rows
    ]


class AtStep:
    """An objective that does something at one of its training steps, counted from 1."""

    def __init__(self, step: int, action: Callable[[], None], objective: Objective = elbo) -> None:
        self.left, self.action, self.objective = step, action, objective
        self.__qualname__ = objective.__qualname__  # a run that goes on with it alone is the same

    def __call__(self, model: nn.Module, *arguments: Any) -> dict[str, Tensor]:
        self.left -= model.training
        if self.left == 0 and model.training:
            self.action()
        return self.objective(model, *arguments)


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the optimizer saw at each step: lr and norm of the gradient."""
    seen: list[dict[str, Any]] = []
    original = torch.optim.Adam.step

    def step(self: torch.optim.Adam, *arguments: Any, **options: Any) -> Any:
        group = self.param_groups[0]
        grads = [p.grad for p in group["params"]]
        seen.append({"lr": float(group["lr"]), "norm": float(nn.utils.get_total_norm(grads))})
        return original(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    return seen


# What training does.


def test_the_loss_falls(tiny: Sets) -> None:
    model = new_model()
    history = fit(model, *tiny, replace(CONFIG, epochs=8))
    for column in ("loss", "valid_loss", "nll"):
        assert history[column][-1] < 0.8 * history[column][0], column
    assert history["epoch"] == [1, 2, 3, 4, 5, 6, 7, 8] and len(history) == 8
    row = history.last
    assert row["loss"] == pytest.approx(row["nll"] + row["kl"])
    assert row["valid_loss"] == pytest.approx(row["valid_nll"] + row["valid_kl"])
    assert row["images_per_second"] == pytest.approx(256 / row["seconds"])
    assert not model.training


def test_fit_is_a_plain_loop(tiny: Sets) -> None:
    """Of the same batches, noise and steps, as chapter 04 writes it out; bit for bit."""
    config = TrainConfig(2, 72, 1e-3, beta=0.5, seed=1, precision="float32", channels_last=False)
    ours, plain = new_model(), new_model()
    history = fit(ours, *tiny, config)
    images, labels = tiny[0].images, tiny[0].labels
    optimizer = torch.optim.Adam(plain.parameters(), lr=torch.tensor(config.lr), fused=True)
    noise, first = torch.Generator(), config.seed * 1_000_003
    losses: list[list[float]] = []
    for epoch in range(config.epochs):
        shuffle = torch.Generator().manual_seed(first + epoch)
        for batch in torch.randperm(len(images), generator=shuffle).split(config.batch_size):
            x = images[batch] / 255
            noise.manual_seed(2 * (first + len(losses)) + 1)
            mu, logvar = plain.encode(x, labels[batch])
            z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=noise)
            logits = plain.decode_logits(z, labels[batch])
            bce = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
            kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)
            loss = bce.flatten(1).sum(1) + config.beta * kl
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            losses.append(loss.tolist())
    assert_same(ours, plain)
    means = [sum(map(sum, losses[:4])) / len(images), sum(map(sum, losses[4:])) / len(images)]
    assert history["loss"] == pytest.approx(means)


@pytest.mark.parametrize(("build", "objective"), [(new_model, elbo), (new_judge, judge_objective)])
def test_one_seed_one_run(build: Callable[[], nn.Module], objective: Objective, tiny: Sets) -> None:
    models, histories = [], []
    for seed in (1, 1, 2):
        model = build()
        torch.manual_seed(len(models))  # what the caller draws elsewhere must not matter
        before = torch.get_rng_state()
        histories.append(fit(model, *tiny, replace(CONFIG, seed=seed), objective=objective))
        models.append(model)
        assert torch.equal(torch.get_rng_state(), before), "fit spent the caller's randomness"
    assert_same(models[0], models[1])
    assert timeless(histories[0]) == timeless(histories[1])
    assert differ(models[0], models[2])


def test_every_image_once_an_epoch_in_another_order(tiny: Sets) -> None:
    seen: list[Tensor] = []

    def objective(model: nn.Module, x: Tensor, *rest: Any) -> dict[str, Tensor]:
        if model.training:
            seen.append(x.flatten(1))
        return elbo(model, x, *rest)

    fit(new_model(), *tiny, replace(CONFIG, epochs=2), objective=objective)
    assert [len(batch) for batch in seen] == [72, 72, 72, 40] * 2
    first, second = torch.cat(seen[:4]), torch.cat(seen[4:])
    assert not torch.equal(first, second)
    sums = [x.double().sum(1).sort().values for x in (first, second, tiny[0].pixels().flatten(1))]
    assert torch.allclose(sums[0], sums[2]) and torch.allclose(sums[1], sums[2])


class Level(nn.Module):
    """One number."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.25))


def level_objective(model: Any, x: Tensor, *_: Any) -> dict[str, Tensor]:
    """Squared distance of each image's mean to the number: no noise."""
    return {"loss": (x.flatten(1).mean(1) - model.level).square()}


def test_the_loss_is_a_mean_whatever_the_batch_size(tiny: Sets) -> None:
    model = new_model().eval()
    small, large = (evaluate(model, tiny[1], batch_size=size) for size in (7, 100))
    assert small.keys() == {"loss", "nll", "kl"}
    assert small == pytest.approx(large, rel=1e-5)
    config = TrainConfig(epochs=1, lr=1e-30, precision="float32")
    rows = [
        fit(Level(), *tiny, replace(config, batch_size=size), objective=level_objective).last
        for size in (7, 100, 256)
    ]
    expected = float(level_objective(Level(), tiny[0].pixels())["loss"].detach().mean())
    assert [row["loss"] for row in rows] == pytest.approx([expected] * 3)


def test_a_step_does_not_grow_with_the_batch(
    tiny: Sets, steps: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = tiny[0].subset(torch.arange(256).repeat(2))
    config = TrainConfig(epochs=1, batch_size=512, precision="float32")
    fit(Level(), tiny[0], tiny[1], config, objective=level_objective)
    fit(Level(), twice, tiny[1], config, objective=level_objective)
    assert steps[0]["norm"] == pytest.approx(steps[1]["norm"])


def test_evaluation_leaves_the_model_as_it_was(tiny: Sets) -> None:
    judge = new_judge().train()
    before = {k: v.clone() for k, v in judge.state_dict().items()}
    first, second = (evaluate(judge, tiny[1], judge_objective) for _ in range(2))
    assert first == second and judge.training
    assert all(torch.equal(v, before[k]) for k, v in judge.state_dict().items())
    with pytest.raises(ValueError, match="no images"):
        evaluate(judge, tiny[1].first(0), judge_objective)


# Settings.


def test_schedules(tiny: Sets, steps: list[dict[str, Any]]) -> None:
    config = TrainConfig(lr=0.4, schedule="cosine")
    assert [config.lr_at(step, 8) for step in (0, 2, 4, 6, 8)] == pytest.approx(
        [0.4, 0.2 * (1 + math.sqrt(0.5)), 0.2, 0.2 * (1 - math.sqrt(0.5)), 0.0]
    )
    assert replace(config, schedule="constant").lr_at(7, 8) == 0.4
    warm = replace(config, schedule="constant", lr_warmup=4)
    assert [warm.lr_at(step, 8) for step in range(6)] == pytest.approx([0.1, 0.2, 0.3, *3 * [0.4]])
    fit(new_model(), *tiny, CONFIG)
    assert [row["lr"] for row in steps] == pytest.approx(
        [CONFIG.lr * 0.5 * (1 + math.cos(math.pi * step / 12)) for step in range(12)]
    )
    steps.clear()
    fit(new_model(), *tiny, replace(CONFIG, epochs=1, schedule="constant", lr=2e-3))
    assert [row["lr"] for row in steps] == pytest.approx([2e-3] * 4)


def test_beta_and_its_warm_up_reach_the_objective(tiny: Sets) -> None:
    betas: dict[bool, list[float]] = {True: [], False: []}

    def objective(model: nn.Module, x: Tensor, labels: Tensor, g: Any, beta: Any) -> Any:
        betas[model.training].append(float(beta))
        return elbo(model, x, labels, g, beta)

    config = replace(CONFIG, epochs=2, beta=2.0, beta_warmup=4)
    history = fit(new_model(), *tiny, config, objective=objective)
    assert betas[True] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0]
    assert betas[False] == [2.0, 2.0]  # validation losses of all epochs are comparable
    row = history.last
    assert row["valid_loss"] == pytest.approx(row["valid_nll"] + 2 * row["valid_kl"])
    dear = replace(config, beta_start=10.0)
    assert [dear.beta_at(step) for step in range(6)] == [10.0, 8.0, 6.0, 4.0, 2.0, 2.0]


def test_compiling_changes_nothing(tiny: Sets) -> None:
    plain, compiled = new_model(), new_model()
    config = replace(CONFIG, epochs=1)
    fit(plain, *tiny, config)
    fit(compiled, *tiny, replace(config, compile="eager"))
    assert_same(plain, compiled)


def test_precision_and_memory_format_are_switches(tiny: Sets) -> None:
    seen: list[tuple[str, bool]] = []

    def objective(model: Any, *arguments: Any) -> dict[str, Tensor]:
        if model.training:
            weight = model.encoder[2].weight
            last = weight.is_contiguous(memory_format=torch.channels_last)
            product = nn.functional.linear(torch.ones(1, 1), torch.ones(1, 1))
            seen.append((str(product.dtype).removeprefix("torch."), last))
        return elbo(model, *arguments)

    config = replace(CONFIG, epochs=1)
    for precision in ("float32", "bfloat16"):
        for last in (False, True):
            chosen = replace(config, precision=precision, channels_last=last)
            fit(new_model(), *tiny, chosen, objective=objective)
            assert set(seen) == {(precision, last)}
            seen.clear()
    fit(new_model(), *tiny, config, objective=objective)
    assert set(seen) == {fastest_settings(torch.device("cpu"))}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need an NVIDIA GPU")
@pytest.mark.parametrize("likelihood", ["bernoulli", "optimal-sigma"])
def test_a_captured_step_learns_as_an_eager_one(tiny: Sets, likelihood: Any) -> None:
    losses = []
    for compile in (None, "reduce-overhead"):
        torch.manual_seed(0)
        model = ConcatConditionalVAE(16, likelihood).cuda()
        config = replace(CONFIG, epochs=6, precision="float32", compile=compile)
        losses.append(fit(model, *tiny, config)["valid_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.03)


def test_settings_are_definite_and_kept(tiny: Sets, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    history = fit(new_model(), *tiny, replace(CONFIG, epochs=1), checkpoint=path)
    precision, channels_last = fastest_settings(torch.device("cpu"))
    threads = torch.get_num_threads()
    expected = {"precision": precision, "channels_last": channels_last, "threads": threads}
    assert history.settings == expected | {"device": "cpu"}
    kept = read_tensors(path)[1]
    assert kept["machine"] == history.settings and kept["config"]["precision"] == precision
    assert kept["objective"] == "elbo"


def test_a_wrapped_model_leaves_what_can_be_loaded(tiny: Sets, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    model = new_model()
    fit(torch.compile(model, backend="eager"), *tiny, CONFIG, checkpoint=path)
    assert_same(load_checkpoint(path), model)


def test_the_observation_noise_is_that_of_the_epoch_that_ended(tiny: Sets) -> None:
    """However short the run, and read off as often as one likes."""
    errors: list[Tensor] = []

    def objective(model: Any, x: Tensor, *rest: Any) -> dict[str, Tensor]:
        terms = elbo(model, x, *rest)
        if model.training:
            errors.append(terms["squared_error"])
        return terms

    torch.manual_seed(0)
    model = ConcatConditionalVAE(16, "optimal-sigma")
    fit(model, *tiny, CONFIG, objective=objective)
    variance = torch.cat(errors[-4:]).mean()
    assert torch.allclose(model.observation_logvar.exp(), variance)
    before = model.observation_logvar.clone()
    x, labels = tiny[0].pixels(slice(50)), tiny[0].labels[:50]
    model.train()
    elbo(model, x, labels)
    assert torch.equal(model.observation_logvar, before)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("lr", 0.0),
        ("lr", math.nan),
        ("lr", math.inf),
        ("schedule", "linear"),
        ("beta", -1.0),
        ("beta", math.nan),
        ("beta_warmup", -1),
        ("beta_start", -1.0),
        ("lr_warmup", -1),
        ("grad_clip", 0.0),
        ("seed", -1),
        ("seed", 2**32),
        ("precision", "float16"),
        ("compile", "fast"),
        ("epochs", 2.5),
        ("epochs", True),
        ("seed", 1.0),
        ("lr", "0.1"),
    ],
)
def test_settings_out_of_range_are_named(field: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{field} .*got '?{value}"):
        TrainConfig(**{field: value})


def test_numbers_of_numpy_are_numbers(tiny: Sets, tmp_path: Path) -> None:
    given = {"epochs": np.int64(1), "seed": np.int64(3), "lr": np.float32(1e-3)}
    config = TrainConfig(batch_size=72, **given)
    assert type(config.epochs) is int and type(config.seed) is int and type(config.lr) is float
    fit(new_model(), *tiny, config, checkpoint=tmp_path / "run.safetensors")


def test_weights_of_half_precision_are_not_trained(tiny: Sets) -> None:
    with pytest.raises(ValueError, match=r"the model has float16 weights, .*model\.float\(\)"):
        fit(new_model().half(), *tiny, CONFIG)


def test_no_images_no_training(tiny: Sets) -> None:
    with pytest.raises(ValueError, match="got 0 and 128"):
        fit(new_model(), tiny[0].first(0), tiny[1], CONFIG)
    with pytest.raises(ValueError, match="got 256 and 0"):
        fit(new_model(), tiny[0], tiny[1].first(0), CONFIG)


# What the caller sees.


def test_the_bar_is_shown_on_request_only(tiny: Sets, capsys: pytest.CaptureFixture[str]) -> None:
    fit(new_model(), *tiny, replace(CONFIG, epochs=1))
    assert capsys.readouterr() == ("", "")
    fit(new_model(), *tiny, replace(CONFIG, epochs=1), progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "loss=" in err and "images/s=" in err and "4/4" in err


def test_each_finished_epoch_is_called_back(tiny: Sets, tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    history = fit(new_model(), *tiny, CONFIG, on_epoch=rows.append, checkpoint=tmp_path / "run")
    assert rows == history.rows
    rows.clear()
    again = fit(new_model(), *tiny, CONFIG, on_epoch=rows.append, checkpoint=tmp_path / "run")
    assert rows == [] and again == history  # the run was finished


def test_training_in_another_thread(tiny: Sets) -> None:
    here, there = new_model(), new_model()
    fit(here, *tiny, CONFIG)
    thread = threading.Thread(target=fit, args=(there, *tiny, CONFIG))
    thread.start()
    thread.join()
    assert_same(here, there)


# Interrupted and taken up again.


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "float32": {"precision": "float32", "channels_last": False},
    "bfloat16": {"precision": "bfloat16", "channels_last": True},
    "channels-last": {"precision": "float32", "channels_last": True},
    "warm-up": {"beta_warmup": 9},
}


@pytest.mark.parametrize(
    ("variant", "step"),  # 4 steps an epoch, 12 in all
    [("plain", step) for step in (1, 4, 7, 12)]
    + [(variant, 7) for variant in VARIANTS if variant != "plain"],
)
def test_ctrl_c_at_a_step_and_on(
    variant: str, step: int, tiny: Sets, tmp_path: Path, undisturbed: Any
) -> None:
    config = replace(CONFIG, **VARIANTS[variant])
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(new_model(), *tiny, config, checkpoint=path, objective=AtStep(step, ctrl_c))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = new_model()
    history = fit(resumed, *tiny, config, checkpoint=path)
    model, expected = undisturbed(config)
    assert_same(resumed, model)
    assert timeless(history) == timeless(expected)


@pytest.fixture(scope="module")
def undisturbed(tiny: Sets) -> Any:
    """Model and history of an undisturbed run; each configuration is run once."""
    runs: dict[TrainConfig, tuple[nn.Module, History]] = {}

    def run(config: TrainConfig) -> tuple[nn.Module, History]:
        if config not in runs:
            model = new_model()
            runs[config] = model, fit(model, *tiny, config)
        return runs[config]

    return run


@pytest.mark.parametrize("step", [3, 4])
def test_dropout_batch_statistics_and_augmentation_go_on(
    step: int, tiny: Sets, tmp_path: Path
) -> None:
    undisturbed, resumed = new_judge(), new_judge()
    expected = fit(undisturbed, *tiny, CONFIG, objective=judge_objective)
    path = tmp_path / "judge.safetensors"
    with pytest.raises(KeyboardInterrupt):
        objective = AtStep(step, ctrl_c, judge_objective)
        fit(new_judge(), *tiny, CONFIG, checkpoint=path, objective=objective)
    torch.manual_seed(99)
    history = fit(resumed, *tiny, CONFIG, checkpoint=path, objective=judge_objective)
    assert_same(resumed, undisturbed)
    assert timeless(history) == timeless(expected)


def test_a_second_ctrl_c_acts_at_once(tiny: Sets, tmp_path: Path) -> None:
    def twice() -> None:
        ctrl_c()
        ctrl_c()

    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(new_model(), *tiny, CONFIG, checkpoint=path, objective=AtStep(2, twice))
    assert list(tmp_path.iterdir()) == []


def test_an_ignored_ctrl_c_stays_ignored(tiny: Sets) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        history = fit(new_model(), *tiny, CONFIG, objective=AtStep(2, ctrl_c))
        assert len(history) == 3 and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_folder_is_no_checkpoint_and_a_home_is_found(
    tiny: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match=r"checkpoint .* is a folder: name a file in it"):
        fit(new_model(), *tiny, CONFIG, checkpoint=tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    fit(new_model(), *tiny, replace(CONFIG, epochs=1), checkpoint="~/runs/mine.safetensors")
    assert (tmp_path / "runs" / "mine.safetensors").is_file()


def test_without_resume_the_run_starts_anew(tiny: Sets, tmp_path: Path, undisturbed: Any) -> None:
    path = tmp_path / "run.safetensors"
    fit(new_model(), *tiny, replace(CONFIG, seed=9), checkpoint=path)
    model = new_model()
    history = fit(model, *tiny, CONFIG, checkpoint=path, resume=False)
    assert_same(model, undisturbed(CONFIG)[0])
    assert len(history) == 3
    assert timeless(fit(new_model(), *tiny, CONFIG, checkpoint=path)) == timeless(history)


def child(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, killed_run.__file__, str(path), str(torch.get_num_threads())]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_and_interrupted_processes_lose_nothing(tiny: Sets, tmp_path: Path) -> None:
    undisturbed, resumed = killed_run.new_model(), killed_run.new_model()
    expected = fit(undisturbed, *tiny, killed_run.CONFIG)
    path = tmp_path / "run.safetensors"
    moments = random.Random()  # arbitrary is what is promised
    for wanted in (signal.SIGKILL, signal.SIGINT):
        process = child(path)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("epoch")
        while not path.exists():
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.2))
        process.send_signal(wanted)
        _, err = process.communicate(timeout=300)
        if wanted == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL, err
        else:
            assert process.returncode != 0 and err.rstrip().endswith("KeyboardInterrupt"), err
    epochs: list[float] = []
    history = fit(
        resumed,
        *tiny,
        killed_run.CONFIG,
        checkpoint=path,
        on_epoch=lambda row: epochs.append(row["epoch"]),
    )
    assert len(epochs) < len(history) == 10, "nothing was taken up"
    assert_same(resumed, undisturbed)
    assert timeless(history) == timeless(expected)


# Checkpoints that do not fit.


@pytest.fixture(scope="module")
def finished(tiny: Sets, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("finished") / "run.safetensors"
    fit(new_model(), *tiny, replace(CONFIG, epochs=1), checkpoint=path)
    return path.read_bytes()


def other_precision() -> str:
    fastest, _ = fastest_settings(torch.device("cpu"))
    return "float32" if fastest == "bfloat16" else "bfloat16"


def nll_objective(model: Any, *arguments: Any) -> dict[str, Tensor]:
    return {"loss": elbo(model, *arguments)["nll"]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"model": lambda: AdditiveConditionalVAE(16)},
            "its model is 'ConcatConditionalVAE', here it is 'AdditiveConditionalVAE'",
        ),
        (
            {"model": lambda: ConcatConditionalVAE(8)},
            "its architecture's latent_dim is 16, here it is 8",
        ),
        ({"config": {"lr": 2e-3}}, "its config's lr is 0.001, here it is 0.002"),
        ({"config": {"epochs": 2}}, "its config's epochs is 1, here it is 2"),
        ({"config": {"precision": other_precision()}}, "its config's precision is '"),
        ({"objective": nll_objective}, "its objective is 'elbo', here it is 'nll_obj"),
        ({"threads": 1 + torch.get_num_threads()}, "its machine's threads is "),
        (
            {"train": lambda data: data.first(200)},
            "its training data's images is 256, here it is 200",
        ),
        (
            {"train": lambda data: data.subset(torch.arange(255, -1, -1))},
            "training data's fingerprint",
        ),
        ({"valid": lambda data: data.first(64)}, "validation data's images is 128, here it is 64"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    change: dict[str, Any],
    reason: str,
    finished: bytes,
    tiny: Sets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "threads" in change:
        monkeypatch.setattr(torch, "get_num_threads", lambda: change["threads"])
    path = tmp_path / "run.safetensors"
    path.write_bytes(finished)
    model = change.get("model", new_model)()
    train_set, valid_set = (
        change.get(name, lambda data: data)(data)
        for name, data in zip(("train", "valid"), tiny, strict=True)
    )
    config = replace(CONFIG, epochs=1)
    config = replace(config, **change.get("config", {}))
    objective = change.get("objective", elbo)
    with pytest.raises(CheckpointError) as caught:
        fit(model, train_set, valid_set, config, objective=objective, checkpoint=path)
    assert str(path) in str(caught.value) and reason in str(caught.value)
    assert "delete it" in str(caught.value)
    assert path.read_bytes() == finished


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content[: len(content) // 2], "damaged"),
        (lambda content: content[:5], "damaged"),
        (lambda content: b"", "damaged"),
        (lambda content: b"once upon a time, " * 99, "damaged"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "altered"),
        (lambda content: content.replace(rb"step\": 4", rb"step\": 2"), "altered"),
        (lambda content: (FOLDER / "fashion-judge.safetensors").read_bytes(), "not written by"),
    ],
    ids=["half", "five bytes", "empty", "foreign", "one bit", "other step", "no checkpoint"],
)
def test_a_damaged_checkpoint_is_refused(
    spoil: Callable[[bytes], bytes], reason: str, finished: bytes, tiny: Sets, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    path.write_bytes(spoil(finished))
    assert path.read_bytes() != finished
    with pytest.raises(CheckpointError, match=rf"run\.safetensors .*{reason}"):
        fit(new_model(), *tiny, replace(CONFIG, epochs=1), checkpoint=path)


class Bare(Level):
    """A model that says nothing of its architecture."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.more = nn.Linear(size, size)


def test_other_shapes_are_refused_even_if_the_model_does_not_describe_them(
    tiny: Sets, tmp_path: Path
) -> None:
    def objective(model: Any, x: Tensor, *_: Any) -> dict[str, Tensor]:
        return {"loss": level_objective(model, x)["loss"] + model.more.weight.square().sum()}

    path = tmp_path / "run.safetensors"
    fit(Bare(2), *tiny, CONFIG, objective=objective, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"does not fit this model: [^$]*size mismatch"):
        fit(Bare(3), *tiny, CONFIG, objective=objective, checkpoint=path)


def test_a_full_disk_leaves_the_last_checkpoint(
    tiny: Sets, tmp_path: Path, undisturbed: Any
) -> None:
    path = tmp_path / "run.safetensors"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_disk(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))

    try:
        with pytest.raises(CheckpointError, match=r"cannot write .*run\.safetensors.*make room"):
            fit(new_model(), *tiny, CONFIG, checkpoint=path, on_epoch=fill_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [path]
    epochs: list[float] = []
    model = new_model()
    fit(model, *tiny, CONFIG, checkpoint=path, on_epoch=lambda row: epochs.append(row["epoch"]))
    assert epochs == [2, 3]
    assert_same(model, undisturbed(CONFIG)[0])


# Losses that are no numbers.


class Spoiled:
    """The ELBO, whose KL term becomes `value` at one training step; the loss with it."""

    def __init__(self, step: int, value: float) -> None:
        self.left, self.value = step, value
        self.__qualname__ = elbo.__qualname__

    def __call__(self, model: nn.Module, *arguments: Any) -> dict[str, Tensor]:
        terms = elbo(model, *arguments)
        self.left -= model.training
        if self.left == 0 and model.training:
            terms["kl"] = terms["kl"] * self.value
            terms["loss"] = terms["nll"] + terms["kl"]
        return terms


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_with_step_and_term(
    value: float, tiny: Sets, tmp_path: Path, undisturbed: Any
) -> None:
    path = tmp_path / "run.safetensors"
    with pytest.raises(NonFiniteLossError, match=rf"^kl became {value} at step 6, epoch 2: try"):
        fit(new_model(), *tiny, CONFIG, checkpoint=path, objective=Spoiled(6, value))
    resumed = new_model()
    history = fit(resumed, *tiny, CONFIG, checkpoint=path)
    model, expected = undisturbed(CONFIG)
    assert_same(resumed, model)
    assert timeless(history) == timeless(expected)


def test_weights_spoiled_by_the_last_step_of_an_epoch_are_not_kept(
    tiny: Sets, tmp_path: Path, undisturbed: Any
) -> None:
    calls = 0

    def objective(model: Any, *arguments: Any) -> dict[str, Tensor]:
        nonlocal calls
        terms = elbo(model, *arguments)
        calls += model.training
        if model.training and calls == 8:  # the value is 0, the gradient NaN
            terms["loss"] = terms["loss"] + (0 * model.mu_head.weight.sum()).sqrt()
        return terms

    objective.__qualname__ = elbo.__qualname__
    path = tmp_path / "run.safetensors"
    with pytest.raises(NonFiniteLossError, match=r"^valid_nll became nan at step 8, the end of"):
        fit(new_model(), *tiny, CONFIG, checkpoint=path, objective=objective)
    resumed = new_model()
    fit(resumed, *tiny, CONFIG, checkpoint=path)
    assert_same(resumed, undisturbed(CONFIG)[0])
