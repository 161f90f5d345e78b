"""Fashion-MNIST: where it is found, how files are checked, what stands in when there is none."""

import gzip
import hashlib
import itertools
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cvae_lib.data import (
    FASHION_CLASSES,
    DataError,
    ImageSet,
    ToyDataWarning,
    fashion_mnist,
    find_fashion_mnist,
    toy_garments,
)
from cvae_lib.data import fashion as module
from cvae_lib.data.fashion import read_idx

IMAGES, LABELS = 0x0803, 0x0801
SHAPE = (3, 4, 5)
PIXELS = np.arange(60, dtype=np.uint8).reshape(SHAPE)
NAMES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def idx(array: np.ndarray, magic: int) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def four_files(folder: Path, content: bytes = b"", suffix: str = ".gz") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (folder / f"{name}-ubyte{suffix}").write_bytes(content)
    return folder


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data or network: an empty cache, no Debian package, no $CVAE_DATA."""
    monkeypatch.delenv("CVAE_DATA", raising=False)
    monkeypatch.setattr(module, "cache_root", lambda: tmp_path / "cache")
    monkeypatch.setattr(module, "DEBIAN_ROOT", tmp_path / "debian")
    monkeypatch.setattr(module, "_download", lambda: None)
    return tmp_path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 60,000 and 10,000 be 24 and 10, and the content be anything."""
    monkeypatch.setattr(module, "_SIZES", {"train": 24, "t10k": 10})
    monkeypatch.setattr(module, "_MD5", dict.fromkeys(module._MD5, ""))


def small_set(folder: Path, suffix: str = ".gz") -> Path:
    """A data set of 24 + 10 images: image i has the byte i and the label i mod 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", 24), ("t10k", 10)):
        numbers = np.arange(count, dtype=np.uint8)
        arrays = {
            f"{prefix}-images-idx3-ubyte": idx(
                np.broadcast_to(numbers[:, None, None], (count, 28, 28)), IMAGES
            ),
            f"{prefix}-labels-idx1-ubyte": idx(numbers % 10, LABELS),
        }
        for name, content in arrays.items():
            packed = gzip.compress(content) if suffix == ".gz" else content
            (folder / f"{name}{suffix}").write_bytes(packed)
    return folder


# Files


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_read_idx(tmp_path: Path, suffix: str) -> None:
    content = idx(PIXELS, IMAGES)
    path = tmp_path / f"some-images{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    tensor = read_idx(path, IMAGES, SHAPE)
    assert tensor.dtype == torch.uint8 and np.array_equal(tensor.numpy(), PIXELS)
    tensor[0, 0, 0] = 7  # its own memory: nothing read-only


GOOD = idx(PIXELS, IMAGES)
BAD_FILES = {
    "cut plain": ("a", GOOD[:-7], "has 69 bytes where 76 were announced: delete it and get it"),
    "cut in its header": ("a", GOOD[:9], "is not the IDX file its name says"),
    "empty": ("a", b"", "is not the IDX file its name says"),
    "extra bytes": ("a", GOOD + b"xy", "has 78 bytes where 76 were announced"),
    "cut gzip": ("a.gz", gzip.compress(GOOD)[:-20], "cannot be read .* delete it and get it"),
    "empty gzip": ("a.gz", b"", "is not the IDX file its name says"),
    "altered gzip": (
        "a.gz",
        gzip.compress(GOOD)[:20] + b"\0\0\0" + gzip.compress(GOOD)[23:],
        "cannot be read .* delete it and get it again",
    ),
    "gzip with a broken stream": (
        "a.gz",
        gzip.compress(GOOD)[:10] + b"\xff" * 40,
        "cannot be read .* delete it and get it again",
    ),
    "not gzip": ("a.gz", GOOD, "cannot be read .* delete it and get it again"),
    "a web page": ("a", b"<html>404</html>" * 9, "starts with '3c68746d', expected 00000803"),
    "labels for images": ("a", idx(PIXELS[0, 0], LABELS), "'00000801', expected 00000803"),
    "another shape": (
        "a",
        idx(PIXELS.reshape(4, 3, 5), IMAGES),
        r"shape \(4, 3, 5\), expected \(3, 4, 5\): a foreign file",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_named_with_the_remedy(tmp_path: Path, case: str) -> None:
    name, content, message = BAD_FILES[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(path, IMAGES, SHAPE)
    assert str(path) in str(error.value)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path / "none.gz", IMAGES, SHAPE)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_right_shape_with_another_content_is_refused(tmp_path: Path, suffix: str) -> None:
    content = idx(np.zeros(10_000, dtype=np.uint8), LABELS)
    path = tmp_path / f"t10k-labels-idx1-ubyte{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DataError, match="published 15d484375f8d13e6eb1aabb0c3f46965") as error:
        read_idx(path, LABELS, (10_000,))
    assert str(path) in str(error.value)


def test_images_and_labels_swapped(tmp_path: Path, small: None) -> None:
    folder = small_set(tmp_path)
    one, two = (folder / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz is not the IDX file"):
        fashion_mnist("train", root=folder)


def test_training_labels_that_are_the_test_labels(tmp_path: Path, small: None) -> None:
    folder = small_set(tmp_path)
    (folder / "t10k-labels-idx1-ubyte.gz").replace(folder / "train-labels-idx1-ubyte.gz")
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"train-labels.* shape \(10,\), expected \(24,\)"):
        fashion_mnist("train", root=folder)


# Splits


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_splits_of_a_folder(tmp_path: Path, small: None, suffix: str) -> None:
    folder = small_set(tmp_path / "data", suffix)
    numbers = {}
    for split in ("train", "valid", "test"):
        data = fashion_mnist(split, root=folder)
        assert data.images.shape[1:] == (1, 28, 28) and data.classes == FASHION_CLASSES
        assert data.real and data.source == str(folder)
        numbers[split] = data.images[:, 0, 9, 9].tolist()
        assert [n % 10 for n in numbers[split]] == data.labels.tolist()
    assert numbers["valid"] == [11, 23]
    assert numbers["train"] == [n for n in range(24) if n not in (11, 23)]
    assert numbers["test"] == list(range(10))


@pytest.mark.parametrize("split", ["Train", "validation", ""])
def test_an_unknown_split(split: str) -> None:
    with pytest.raises(ValueError, match=f"unknown split '{split}': choose one of train, valid"):
        fashion_mnist(split)


def test_real_sizes_and_balance(fashion: dict[str, ImageSet]) -> None:
    sizes = {split: len(data) for split, data in fashion.items()}
    assert sizes == {"train": 55_000, "valid": 5_000, "test": 10_000}
    for split, data in fashion.items():
        assert data.images.shape[1:] == (1, 28, 28) and data.real
        counts = data.labels.bincount(minlength=10)
        expected = len(data) / 10
        assert (counts - expected).abs().max() < 0.12 * expected, split
    assert (fashion["test"].labels.bincount() == 1000).all()
    both = fashion["train"].labels.bincount() + fashion["valid"].labels.bincount()
    assert (both == 6000).all()


def test_real_first_pictures(fashion: dict[str, ImageSet]) -> None:
    assert FASHION_CLASSES[fashion["test"].labels[0]] == "Ankle boot"
    assert fashion["train"].labels[:5].tolist() == [9, 0, 0, 3, 0]


def test_real_train_and_valid_are_disjoint_and_complete(fashion: dict[str, ImageSet]) -> None:
    """Every twelfth image of the training file is a validation image, all others are not."""
    folder = Path(fashion["train"].source)
    path = module._find(folder, "train-images-idx3-ubyte")
    everything = read_idx(path, IMAGES, (60_000, 28, 28))
    valid = torch.arange(11, 60_000, 12)
    assert torch.equal(fashion["valid"].images[:, 0], everything[valid])
    rest = torch.ones(60_000, dtype=torch.bool)
    rest[valid] = False
    assert torch.equal(fashion["train"].images[:, 0], everything[rest])

    def hashes(data: ImageSet) -> set[str]:
        return {hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in data.images}

    assert len(hashes(fashion["valid"]) & hashes(fashion["test"])) < 5


# Where it is looked for


def nothing(root: Path) -> Path:
    return root


def empty_folder(root: Path) -> Path:
    root.mkdir()
    return root


def three_of_four(root: Path) -> Path:
    four_files(root)
    (root / "train-labels-idx1-ubyte.gz").unlink()
    return root


@pytest.mark.parametrize("prepare", [nothing, empty_folder, three_of_four])
@pytest.mark.parametrize("named", ["root", "$CVAE_DATA"])
def test_a_named_folder_without_the_files_is_an_error_and_nothing_else_is_tried(
    bare: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Path], Path], named: str
) -> None:
    four_files(bare / "debian")
    folder = prepare(bare / "mine")
    root = folder if named == "root" else None
    if named == "$CVAE_DATA":
        monkeypatch.setenv("CVAE_DATA", str(folder))
    with pytest.raises(DataError, match="does not hold the four Fashion-MNIST files") as error:
        fashion_mnist("test", root=root)
    assert str(folder) in str(error.value) and "CVAE_DATA" in str(error.value)


def test_the_order_of_the_search(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place is found once all places before it are empty."""
    downloaded = bare / "downloaded"
    monkeypatch.setattr(module, "_download", lambda: downloaded)
    assert find_fashion_mnist() is None
    assert find_fashion_mnist(download=True) == downloaded
    for folder in (bare / "debian", bare / "cache" / "FashionMNIST" / "raw", bare / "cache"):
        four_files(folder)
        assert find_fashion_mnist(download=True) == folder
    monkeypatch.setenv("CVAE_DATA", str(four_files(bare / "named")))
    assert find_fashion_mnist(download=True) == bare / "named"
    assert find_fashion_mnist(four_files(bare / "root")) == bare / "root"
    assert find_fashion_mnist(str(bare / "root")) == bare / "root"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_torchvisions_layout_below_a_root(bare: Path, suffix: str) -> None:
    folder = four_files(bare / "data" / "FashionMNIST" / "raw", suffix=suffix)
    assert find_fashion_mnist(bare / "data") == folder


def test_a_home_folder_may_be_a_tilde(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(bare))
    four_files(bare / "data")
    assert find_fashion_mnist("~/data") == bare / "data"


# Download


@pytest.fixture
def torchvision_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Replace torchvision's data set; `_download` then writes below an empty cache."""
    monkeypatch.setattr(module, "cache_root", lambda: tmp_path / "cache")

    def replace_by(action: Callable[[Path], object]) -> None:
        def fake(root: str, train: bool, download: bool) -> object:
            assert download
            return action(Path(root))

        monkeypatch.setattr("torchvision.datasets.FashionMNIST", fake)

    return replace_by


def test_download_returns_the_folder_torchvision_fills(torchvision_download, tmp_path) -> None:
    torchvision_download(lambda root: four_files(root / "FashionMNIST" / "raw", suffix=""))
    assert module._download() == tmp_path / "cache" / "FashionMNIST" / "raw"


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("all mirrors failed")])
def test_a_download_that_fails_finds_nothing(torchvision_download, error: Exception) -> None:
    def fail(root: Path) -> None:
        raise error

    torchvision_download(fail)
    assert module._download() is None


def test_a_download_that_leaves_files_out_finds_nothing(torchvision_download) -> None:
    torchvision_download(lambda root: root.mkdir())
    assert module._download() is None


# Nothing anywhere


def test_strict_names_the_three_ways(bare: Path) -> None:
    with pytest.raises(DataError, match="no Fashion-MNIST on this machine") as error:
        fashion_mnist("train", strict=True)
    for way in ("python -m cvae_lib data", "dataset-fashion-mnist", "$CVAE_DATA"):
        assert way in str(error.value)


def test_procedural_garments_stand_in_with_a_warning(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def few(n: int, seed: int = 0):
        asked.append(n)
        return toy_garments(50, seed)

    monkeypatch.setattr(module, "toy_garments", few)
    sets = []
    for split in ("train", "valid", "test"):
        with pytest.warns(ToyDataWarning, match="procedural garments stand in") as caught:
            sets.append(fashion_mnist(split))
        assert caught[0].filename == __file__, "the warning points at its caller"
    assert asked == [55_000, 5_000, 10_000]
    for data in sets:
        assert not data.real and data.source == "procedural garments"
        assert data.classes == FASHION_CLASSES and data.images.shape == (50, 1, 28, 28)
        images, labels = next(data.batches(8))
        assert len(images) == len(labels) == 8
    for one, two in itertools.combinations(sets, 2):
        assert not torch.equal(one.images, two.images)
