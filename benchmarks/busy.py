"""How far does a busy machine slow training down, and what helps?

    python benchmarks/busy.py            # prints a table
    python benchmarks/busy.py --record   # and keeps it in cvae_lib/records/busy

Images a second of `fit` on the concat model beside other programs that compute all the time. Each
setting is a process of its own, since OpenMP reads its variables when torch is loaded; the median
of 3, taken in turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import arms

from cvae_lib.data import fashion_mnist
from cvae_lib.models import ConcatConditionalVAE
from cvae_lib.train import TrainConfig, fit

LOADS = (0, 1, 2)  # other programs that compute
ARMS = {
    "two": {"OMP_NUM_THREADS": "2"},
    "two-passive": {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
    "one": {"OMP_NUM_THREADS": "1"},
}
EXPERIMENTS = {
    "busy": arms.Experiment(
        "Beside other programs",
        "Images a second with which `fit` trains the concat model beside none, one or two other "
        "programs that compute all the time: medians of 3 short runs.",
        {"alone": "beside_0", "beside one": "beside_1", "beside two": "beside_2"},
        {
            "two": "two threads, which spin while they wait for each other",
            "two-passive": "two threads, which wait asleep, as all commands of this book set it",
            "one": "one thread",
        },
        flags="--record",
    ),
}
LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
# torch before the library, which sets how threads wait
CHILD = "import torch, busy; print(*busy.speeds({}))"


def speeds(images: int, loads: tuple[int, ...] = LOADS) -> list[float]:
    """Images a second of the second of two epochs beside each of the loads."""
    train, valid = fashion_mnist("train").first(images), fashion_mnist("valid").first(128)
    measured = []
    for load in loads:
        others = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(load)]
        try:
            history = fit(ConcatConditionalVAE(), train, valid, TrainConfig(epochs=2))
        finally:
            for other in others:
                other.kill()
                other.wait()
        measured.append(history.last["images_per_second"])
    return measured


def in_child(arm: str, images: int) -> list[float]:
    """``speeds`` in a new process with an arm's variables."""
    unset = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", CHILD.format(images)]
    output = subprocess.check_output(command, env=unset | ARMS[arm], cwd=Path(__file__).parent)
    return list(map(float, output.split()))


def main(images: int, repeats: int, record: bool) -> None:
    started = time.perf_counter()
    turns = [{arm: in_child(arm, images) for arm in ARMS} for _ in range(repeats)]
    seconds = (time.perf_counter() - started) / len(ARMS)
    for arm in ARMS:
        metrics = {
            f"beside_{load}": statistics.median(turn[arm][place] for turn in turns)
            for place, load in enumerate(LOADS)
        }
        print(f"{arm:12}", *(f"{name} {value:7,.0f}" for name, value in metrics.items()))
        if record:
            told = {"arm": arm, "metrics": metrics, "seconds": seconds}
            arms.write_run("busy", arm, told | arms.origin())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="keep what was measured")
    main(2_560, 3, parser.parse_args().record)
