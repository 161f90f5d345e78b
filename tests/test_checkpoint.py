"""Checkpoint files: what is written is read, what is damaged is refused, the disk may fill up."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from cvae_lib.checkpoint import (
    CheckpointError,
    content_sha256,
    read_tensors,
    write_tensors,
)

METADATA = {"epoch": 3, "seed": None, "name": "ärmel", "rows": [{"loss": 0.1}, {"loss": 1e-300}]}


def some_tensors() -> dict[str, Tensor]:
    return {
        "weight": torch.arange(12.0).view(3, 4),
        "turned": torch.arange(6.0).view(2, 3).T,  # not contiguous
        "half": torch.tensor([0.1, -0.0]).half(),
        "brain": torch.tensor([1.5]).bfloat16(),
        "state": torch.Generator().manual_seed(1).get_state(),
        "step": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "empty": torch.empty(0, 3),
    }


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "run.safetensors"
    write_tensors(path, some_tensors(), METADATA)
    return path


def assert_intact(path: Path) -> None:
    tensors, metadata = read_tensors(path)
    assert metadata == METADATA
    assert tensors.keys() == some_tensors().keys()
    for name, expected in some_tensors().items():
        assert tensors[name].dtype == expected.dtype and torch.equal(tensors[name], expected), name
    assert os.listdir(path.parent) == [path.name], "a temporary file was left"


# Round trip


def test_round_trip(written: Path) -> None:
    assert_intact(written)


def test_a_second_write_replaces_the_first(written: Path) -> None:
    write_tensors(written, {"a": torch.ones(2)}, {})
    tensors, metadata = read_tensors(written)
    assert list(tensors) == ["a"] and metadata == {}
    assert os.listdir(written.parent) == [written.name]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "today" / "a.safetensors"
    write_tensors(path, some_tensors(), METADATA)
    assert_intact(path)


def test_later_changes_of_the_tensors_do_not_matter(tmp_path: Path) -> None:
    weight = torch.ones(2)
    write_tensors(tmp_path / "a", {"one": weight, "same": weight}, {})  # shared memory is fine
    weight.zero_()
    tensors, _ = read_tensors(tmp_path / "a")
    assert tensors["one"].tolist() == tensors["same"].tolist() == [1, 1]


def test_parameters_are_written_without_their_gradients(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a", {"p": torch.nn.Parameter(torch.ones(2))}, {})
    assert not read_tensors(tmp_path / "a")[0]["p"].requires_grad


def test_sha256_sees_names_types_shapes_and_values() -> None:
    tensors = {"a": torch.zeros(2, 3), "b": torch.ones(2)}
    known = content_sha256(tensors, "text")
    assert content_sha256(dict(reversed(tensors.items())), "text") == known  # not the order
    for changed in (
        {"c": tensors["a"], "b": tensors["b"]},
        {"a": torch.zeros(3, 2), "b": tensors["b"]},
        {"a": torch.zeros(2, 3, dtype=torch.int32), "b": tensors["b"]},
        {"a": tensors["a"], "b": torch.tensor([1.0, 1.0000001])},
        {"a": tensors["a"]},
    ):
        assert content_sha256(changed, "text") != known
    assert content_sha256(tensors, "other metadata") != known


# Damaged and foreign files


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_a_file_cut_off(written: Path, share: float) -> None:
    content = written.read_bytes()
    written.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="no checkpoint of this library") as error:
        read_tensors(written)
    assert str(written) in str(error.value)


def test_a_file_that_goes_on(written: Path) -> None:
    written.write_bytes(written.read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match="no checkpoint of this library"):
        read_tensors(written)


@pytest.mark.parametrize("bit", [1, 4, 128])
def test_any_flipped_bit_is_noticed(tmp_path: Path, bit: int) -> None:
    """In the length, the names, the types, the metadata or the numbers: no altered file is read."""
    path = tmp_path / "small.safetensors"
    write_tensors(path, {"b": torch.ones(1, 2), "a": torch.zeros(3).half()}, METADATA)
    content = path.read_bytes()
    for place in range(len(content)):
        altered = bytearray(content)
        altered[place] ^= bit
        path.write_bytes(altered)
        with pytest.raises(CheckpointError) as error:
            read_tensors(path)
        assert str(path) in str(error.value), place


def test_a_changed_weight_is_called_altered(written: Path) -> None:
    content = bytearray(written.read_bytes())
    content[-1] ^= 128
    written.write_bytes(content)
    with pytest.raises(CheckpointError, match="was altered after it was written: its SHA-256"):
        read_tensors(written)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_foreign_safetensors(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file(some_tensors_contiguous(), path, metadata)
    with pytest.raises(CheckpointError, match="was not written by this library"):
        read_tensors(path)


def some_tensors_contiguous() -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in some_tensors().items()}


class Bomb:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(CheckpointError, match="no checkpoint of this library"):
        read_tensors(path)
    torch.save({"model": Bomb(trace)}, path)
    with pytest.raises(CheckpointError, match="no checkpoint of this library"):
        read_tensors(path)
    assert not trace.exists()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        read_tensors(tmp_path / "nowhere.safetensors")


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint of this library"):
        read_tensors(tmp_path)


# A disk that refuses

FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
from cvae_lib.checkpoint import CheckpointError, write_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_tensors(Path(sys.argv[1]), {"weight": torch.zeros(100_000)}, {})
except CheckpointError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(written: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(written)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"cannot write {written} (File too large): make room or choose" in done.stderr
    assert "Traceback" not in done.stderr
    assert_intact(written)


def test_a_failing_fsync_leaves_the_old_file(written: Path, monkeypatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointError, match=r"\(No space left on device\): make room or choose"):
        write_tensors(written, {"weight": torch.zeros(3)}, {})
    assert_intact(written)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"cannot write .* choose another place"):
        write_tensors(tmp_path / "file" / "run.safetensors", some_tensors(), METADATA)
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(CheckpointError, match="cannot write"):
        write_tensors(tmp_path / "run", some_tensors(), METADATA)
    assert os.listdir(tmp_path) == ["run"]
