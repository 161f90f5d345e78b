"""The page on several machines: its commands run, on CPUs, and its numbers are its formulas'."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from test_together import assert_equal, free_port

from cvae_lib.checkpoint import read_tensors
from cvae_lib.data import shipped_photos
from cvae_lib.data.coco import annotation_file
from cvae_lib.pretrained import load_checkpoint
from cvae_lib.train import TrainConfig

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "book" / "many_machines.md").read_text("utf-8")
LAUNCH = ROOT / "book" / "launch"
PREPARE, ACCELERATE, TORCHRUN, MACHINES, SUBMIT, REHEARSE, WARM = re.findall(
    r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
)
STAND_INS = {  # what SLURM's commands do for the script; nodes are processes of this machine
    "sbatch": r"""
        nodes=2
        while [[ $1 == --* ]]; do [[ $1 == --nodes=* ]] && nodes=${1#*=}; shift; done
        export SLURM_JOB_ID=$$ SLURM_JOB_NODELIST="127.0.0.[1-$nodes]"
        export SLURM_JOB_NUM_NODES=$nodes SLURM_CPUS_PER_TASK=${PROCESSES:-1}
        echo $$ >job; exec bash "$@" """,
    "srun": r"""
        while [[ $1 == --* ]]; do shift; done
        for ((node = 0; node < SLURM_JOB_NUM_NODES; node++)); do "$@" & done
        jobs -p >steps
        for step in $(<steps); do wait "$step" || status=$?; done
        exit $status""",
    "scancel": '[ "$*" = "--signal=INT $(<job)" ] && kill -INT $(<steps)',
    "scontrol": r"""case "$*" in
        "show hostnames 127.0.0.["*) echo 127.0.0.1; echo 127.0.0.2 ;;
        "requeue $(<job)") touch requeued ;;
        *) exit 1 ;; esac""",
}

Weights = dict[str, torch.Tensor]
launches = pytest.mark.skipif(sys.platform != "linux", reason="SLURM, and its pages, are Linux's")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose home has 30 of the photographs that ship, prepared as the page says."""
    home = tmp_path_factory.mktemp("home")
    coco, commands = home / "coco", home / "bin"
    (coco / "annotations").mkdir(parents=True)
    (coco / "train2017").symlink_to(shipped_photos() / "val2017")
    captions = json.loads(annotation_file("val2017", shipped_photos()).read_text("utf-8"))
    few = json.dumps(captions | {"images": captions["images"][:30]})
    (coco / "annotations" / "captions_train2017.json").write_text(few)
    commands.mkdir()
    for name, script in STAND_INS.items():
        (commands / name).write_text(f"#!/bin/bash\n{script}\n")
        (commands / name).chmod(0o755)
    own = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "SLURM_", "CVAE_"))}
    path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    own |= {"HOME": str(home), "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-ec", PREPARE + WARM], env=own, capture_output=True, text=True)
    assert done.returncode == 0 and "30" in done.stdout, done.stderr
    return own


def start(command: str, folder: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start a command of the page in ``folder``, which has the files to download."""
    shutil.copytree(LAUNCH, folder, dirs_exist_ok=True)
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(["bash", "-ec", command], cwd=folder, env=env, **how)


def finish(*processes: subprocess.Popen[str], told: str = "") -> str:
    """Wait for all to end well; return what they said, without the launchers' warnings."""
    for process in processes:
        said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
        told += said
    lines = told.splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith(("cpu", "epoch", "cvae", "The ")))


def weights(folder: Path, name: str = "photos") -> Weights:
    tensors, _ = read_tensors(folder / "runs" / f"{name}.safetensors")
    return {name: tensor for name, tensor in tensors.items() if name.startswith("model.")}


@pytest.fixture(scope="module")
def expected(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """What two processes of torchrun train."""
    folder = tmp_path_factory.mktemp("torchrun")
    said = finish(start(TORCHRUN, folder, env))
    assert said.startswith("cpu: 2 processes, together 1024 images a step\nepoch 1 of 10: ")
    assert said.endswith("The model is in runs/photos.safetensors\n")
    assert said.count("\n") == 12, said
    model = load_checkpoint(folder / "runs" / "photos.safetensors")
    assert f"$P$ = {sum(p.numel() for p in model.parameters()):,}" in PAGE
    return weights(folder)


@launches
def test_accelerate_with_its_file(env: dict[str, str], expected: Weights, tmp_path: Path) -> None:
    finish(start(ACCELERATE, tmp_path, env))
    assert_equal(weights(tmp_path), expected)


@launches
def test_two_machines(env: dict[str, str], expected: Weights, tmp_path: Path) -> None:
    assert MACHINES.count("first:29400") == 1
    command = MACHINES.replace("first:29400", f"127.0.0.1:{free_port()}")
    said = finish(start(command, tmp_path, env), start(command, tmp_path, env))
    assert said.count("cpu: 2 processes") == said.count("The model is in") == 1
    assert_equal(weights(tmp_path), expected)


@launches
def test_slurm_on_two_nodes(env: dict[str, str], expected: Weights, tmp_path: Path) -> None:
    said = finish(start(SUBMIT, tmp_path, env))
    assert said.count("cpu: 2 processes") == said.count("The model is in") == 1
    assert_equal(weights(tmp_path), expected)
    assert not (tmp_path / "requeued").exists()


@launches
def test_slurm_s_time_is_up(env: dict[str, str], expected: Weights, tmp_path: Path) -> None:
    job = start(REHEARSE, tmp_path, env)
    assert job.stdout
    for line in job.stdout:
        if line.startswith("epoch 1 of 10"):
            os.kill(int((tmp_path / "job").read_text()), signal.SIGUSR1)
            break
    said, _ = job.communicate(timeout=200)
    assert job.returncode != 0 and (tmp_path / "requeued").exists(), said
    assert said.count("interrupted; the same command goes on from runs/try.safetensors") == 1
    (tmp_path / "requeued").unlink()
    said = finish(start(REHEARSE, tmp_path, env))
    assert "epoch 1 of 10" not in said and "epoch 10 of 10" in said
    assert_equal(weights(tmp_path, "try"), expected)
    assert not (tmp_path / "requeued").exists()


@launches
def test_slurm_repeats_no_failure_for_ever(env: dict[str, str], tmp_path: Path) -> None:
    path, requeued = tmp_path / "torchrun", tmp_path / "requeued"
    env = env | {"PATH": f"{tmp_path}:{env['PATH']}"}
    path.write_text("#!/bin/bash\nexit 3\n")
    path.chmod(0o755)
    assert start(REHEARSE, tmp_path, env).wait(60) == 3 and not requeued.exists()
    path.write_text("#!/bin/bash\nkill -USR1 $(<job); sleep 1; exit 4\n")  # whenever it is late
    for restarts, again in ("20", False), ("19", True):
        job = start(REHEARSE, tmp_path, env | {"SLURM_RESTART_COUNT": restarts})
        assert job.wait(60) != 0 and requeued.exists() == again


def test_the_page_shows_and_offers_its_files() -> None:
    for path in LAUNCH.iterdir():
        assert max(map(len, path.read_text("utf-8").splitlines())) <= 76, "wider than the page"
        assert f"{{download}}`{path.name} <launch/{path.name}>`" in PAGE
        assert f"{{literalinclude}} launch/{path.name}" in PAGE
    subprocess.run(["bash", "-n", LAUNCH / "train.slurm"], check=True)
    assert yaml.safe_load((LAUNCH / "accelerate.yaml").read_text())["num_processes"] == 2


# The arithmetic.


def rows(heading: str) -> list[list[str]]:
    """The cells of the rows of the first table after ``heading``."""
    table = re.search(r"(?:^\|.*\n)+", PAGE.partition(heading)[2], re.MULTILINE)
    assert table
    return [re.findall(r"[^|\s][^|]*[^|\s]|\d", row) for row in table[0].splitlines()[2:]]


def shown(value: float) -> str:
    """Three digits that count."""
    return f"{float(f'{value:.3g}'):,.0f}"


def test_images_per_second_are_what_the_formula_says() -> None:
    match = re.search(r"\$P\$ = ([\d,]+), so ([\d.]+) MB of gradients, and \$B\$ = (\d+)", PAGE)
    pace = re.search(r"\$a\$ = ([\d,]+)", PAGE)
    assert match and pace
    gradients = 4 * int(match[1].replace(",", ""))
    batch, alone = int(match[3]), int(pace[1].replace(",", ""))
    assert match[2] == f"{gradients / 1e6:.1f}"
    assert f"--batch-size {batch} " in TORCHRUN
    pcie = 16 * 16e9 * 128 / 130 / 8
    assert f"{pcie / 1e9:.1f} GB/s" == "31.5 GB/s"
    expected = []
    for gpus in (1, 2, 4, 8, 16):
        row = [str(gpus)]
        for bandwidth in (900e9 / 2, pcie, 100e9 / 8, 10e9 / 8):
            exchange = 2 * (gpus - 1) / gpus * gradients / bandwidth
            row.append(shown(batch / (batch / (gpus * alone) + exchange)))
        expected.append(row)
    assert rows("## Images per second") == expected
    # an epoch trains on nine tenths; process 0 alone validates on one
    shares = [0.1 / 3 / (0.1 / 3 + 0.9 / gpus) for gpus in (1, 16)]
    assert "{:.0%} of an epoch's time with one GPU, and up to {:.0%} with".format(*shares).replace(
        "%", " %"
    ) in " ".join(PAGE.split())
    usual = TrainConfig()
    lr = usual.lr * (batch / usual.batch_size) ** 0.5
    assert f"its default, {usual.lr}, is for the default batch of {usual.batch_size}" in PAGE
    assert f"From {usual.batch_size} to {batch} images that is {lr:.4f}." in PAGE


def test_bytes_and_seconds_of_the_photographs() -> None:
    photographs = 118_287
    sizes = {size: 3 * size**2 for size in (64, 128, 256)}
    expected = [
        [str(size), f"{each:,}", f"{each * photographs / 1e9:.3g} GB"]
        for size, each in sizes.items()
    ]
    assert rows("## The photographs stay") == expected
    text = " ".join(PAGE.split())
    assert f"add {591_753 * 512 * 2 / 1e9:.2f} GB (512 numbers of 2 bytes)" in text
    seek, ssd, pace = 0.01, 1e-4, 150e6
    assert f"{1 / seek:.0f} photographs a second, {photographs * seek / 60:.0f} minutes" in text
    assert f"about 0.1 ms, {photographs * ssd:.0f} seconds an epoch" in text
    assert f"64-pixel file in {sizes[64] * photographs / pace:.0f} seconds" in text
