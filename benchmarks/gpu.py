"""The parts of gpu.sh, each a process: tests, the speed of training garments, and of the text
model, the chapters.

python benchmarks/gpu.py {tests,speed,text,chapters} OUT [--smoke]   # OUT/PART.json, as it goes

``SECONDS_LEFT`` is what the part may take.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import gpu_chapters
import numpy as np
import torch
from arms import origin, write_json
from article import LEARNING_RATE, ArticleConcat, article_epoch, article_loader, copy_by_shape

from cvae_lib.data import CaptionedSet, fashion_mnist
from cvae_lib.data.sets import DataSet
from cvae_lib.models import ConcatConditionalVAE, TextConditionalVAE
from cvae_lib.train import TrainConfig, evaluate, fit

ROOT = Path(__file__).resolve().parent.parent
TESTS = ["tests/test_cuda.py", "tests/test_train.py", "tests/test_sets.py"]
IMAGES = 53_248  # 13 batches of 4,096: every step has the same shape
SECONDS = float(os.environ.get("SECONDS_LEFT", 600))
MOST_EPOCHS = 10  # of the article's loop; its epochs are everybody's
ARTICLE_SHARE = 1 / 4  # of the seconds, that this loop may take
ARMS_SHARE = 2 / 3  # after which no further arm starts: the hundred epochs come after them
GRAPHS = {"compile": "reduce-overhead"}
# Most telling first, should time run out. Kernels are compiled once a batch size, not for each lr.
LARGE: list[dict[str, Any]] = [
    {"batch_size": 1024, "lr": 3e-3},
    {"batch_size": 2048, "lr": 4e-3, **GRAPHS},
    {"batch_size": 4096, "lr": 6e-3, **GRAPHS},
    {"batch_size": 1024, "lr": 3e-3, **GRAPHS},
    {"batch_size": 2048, "lr": 8e-3, **GRAPHS},
    {"batch_size": 1024, "lr": 5e-3, **GRAPHS},
    {"batch_size": 2048, "lr": 4e-3, **GRAPHS, "channels_last": False},
    {"batch_size": 2048, "lr": 4e-3, "compile": "default"},
    {"batch_size": 2048, "lr": 4e-3},
    {"batch_size": 2048, "lr": 4e-3, **GRAPHS, "precision": "float32"},
    {"batch_size": 2048, "lr": 4e-3, "compile": "max-autotune"},
]
ARMS: list[dict[str, Any]] = [{}, *({"schedule": "cosine", **arm} for arm in LARGE)]
TEXT = {64: (512, 2048, 128), 128: (256, 1024, 64), 256: (128, 512, 32)}  # pixels → images a step


def write(out: Path, part: str, told: dict[str, Any]) -> None:
    """OUT/PART.json: the machine and the commit, then what was measured."""
    about = origin() | {"cuda": torch.version.cuda}
    about["library_commit"] = os.environ.get("COMMIT") or about["library_commit"]
    write_json(out / f"{part}.json", about | told)


class Outcomes:
    """What pytest says of each test, written at once."""

    def __init__(self, out: Path) -> None:
        self.out, self.told = out, dict[str, Any]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or not report.passed:
            told = {"outcome": report.outcome, "seconds": report.duration}
            self.told[report.nodeid] = told | {"why": report.longreprtext}
            write(self.out, "tests", {"tests": self.told})


def tests(out: Path, device: torch.device) -> None:
    """The tests that want a GPU; the rehearsal only collects them."""
    import pytest  # a developer's

    write(out, "tests", {"tests": {}})
    options = ["-k", "cuda or captured", *["--collect-only"] * (device.type == "cpu")]
    sys.exit(pytest.main([*TESTS, *options], plugins=[Outcomes(out)]))


def trained(model: Any, train: DataSet, valid: DataSet, settings: dict[str, Any]) -> dict[str, Any]:
    """Train on ``model``'s device: images/s without the first epoch, which compiles; and more."""
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    history = fit(model, train, valid, TrainConfig(**settings))
    return {
        "settings": settings,
        "machine": history.settings,
        "images_per_second": statistics.median(history["images_per_second"][1:]),
        "valid_loss": history["valid_loss"],
        "seconds": time.perf_counter() - started,
        "seconds_of_training": history["seconds"],
        "peak_bytes": torch.cuda.max_memory_allocated(),
    }


def speed(out: Path, device: torch.device) -> None:
    """The concat model of garments: the article's loop, `fit`'s settings, then 100 epochs."""
    ends, smoke = time.monotonic() + ARMS_SHARE * SECONDS, device.type == "cpu"
    train = fashion_mnist("train").first(256 if smoke else IMAGES)
    valid = fashion_mnist("valid").first(100 if smoke else None)
    torch.manual_seed(0)
    article, judged = ArticleConcat().to(device), ConcatConditionalVAE().to(device)
    start = {name: weight.clone() for name, weight in article.state_dict().items()}
    optimizer = torch.optim.Adam(article.parameters(), lr=LEARNING_RATE)
    loader, took = article_loader(train), list[float]()
    while len(took) < (2 if smoke else MOST_EPOCHS) and sum(took) < ARTICLE_SHARE * SECONDS:
        started = time.perf_counter()
        article_epoch(article, loader, optimizer, device)
        took.append(time.perf_counter() - started)
    copy_by_shape(article.state_dict(), judged)
    pace, loss = len(train) / statistics.median(took), evaluate(judged, valid)["loss"]
    told: dict[str, Any] = {"images": len(train), "epochs": len(took), "arms": []}
    told["article"] = {"images_per_second": pace, "valid_loss": loss}

    def arm(epochs: int, settings: dict[str, Any]) -> dict[str, Any]:
        model = ConcatConditionalVAE().to(device)
        copy_by_shape(start, model)
        row = trained(model, train, valid, settings | {"epochs": epochs})
        row |= {"ratio": row["images_per_second"] / pace, "no_worse": row["valid_loss"][-1] <= loss}
        print(f"{settings}, {epochs} epochs: {row['seconds']:.1f} s, {row['ratio']:.1f} times the")
        print(f"  article's pace, loss {row['valid_loss'][-1]:.2f} (article's {loss:.2f})")
        return row

    for settings in [{}, {"compile": "eager"}] if smoke else ARMS:
        if time.monotonic() < ends:
            told["arms"].append(arm(len(took), settings))
            write(out, "speed", told)
    best = max(told["arms"], key=lambda row: (row["no_worse"], row["ratio"]))
    told["hundred"] = arm(3 if smoke else 100, best["settings"])
    write(out, "speed", told)


def text(out: Path, device: torch.device) -> None:
    """The article's concat model of pictures with texts: images/s by size, batch and compiler."""
    random, rows, smoke = np.random.default_rng(0), [], device.type == "cpu"
    for how in ({}, {"compile": "eager"} if smoke else GRAPHS):
        for size, batches in {16: (8, 4)}.items() if smoke else TEXT.items():
            count = 8 * max(batches)
            images = random.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
            vectors = random.normal(size=(count, 512)).astype(np.float16)
            noise = CaptionedSet(images, vectors, np.arange(count + 1), [""] * count)
            for batch in batches[:1] if how else batches:
                settings = {"epochs": 2, "batch_size": batch, "lr": 1e-4, **how}
                row: dict[str, Any] = {"settings": settings, "images_per_second": None}
                try:
                    model = TextConditionalVAE.article(size).to(device)
                    row |= trained(model, noise, noise.first(16), settings)
                except torch.OutOfMemoryError as error:
                    row["why"] = str(error)
                rows.append({"pixels": size, **row})
                write(out, "text", {"rows": rows})
                print(f"{size} pixels, {settings}: {row['images_per_second']} images/s")


def chapters(out: Path, device: torch.device) -> None:
    """The chapters at gpu scale, several at a time; the rehearsal runs some at smoke scale."""
    sound = gpu_chapters.run(device, SECONDS - 10, lambda told: write(out, "chapters", told))
    sys.exit(not sound)


if __name__ == "__main__":
    part, folder, *smoke = sys.argv[1:]
    run = {"tests": tests, "speed": speed, "text": text, "chapters": chapters}[part]
    run(Path(folder), torch.device("cpu" if smoke else "cuda"))
