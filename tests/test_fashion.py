"""Fashion-MNIST as shipped: the published files, pixel for pixel, under their licence."""

import hashlib
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from cvae_lib.data import DataError, ImageSet, fashion, fashion_mnist
from cvae_lib.pretrained import record

ROOT = Path(__file__).resolve().parent.parent
NAMES = {"train": "train", "test": "t10k"}  # the published prefixes
MD5 = {  # of the published files, decompressed
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def idx_files(part: str) -> dict[str, bytes]:
    """The published files' content, from the mosaics alone."""
    text = (fashion.FOLDER / f"{part}-labels.txt").read_text(encoding="ascii")
    labels = np.array([int(digit) for line in text.split() for digit in line], np.uint8)
    pictures = []
    for number in range(len(labels) // 10_000):
        with Image.open(fashion.FOLDER / f"{part}-{number + 1}.png") as image:
            assert image.mode == "L"
            rows = np.split(np.asarray(image), 100)
        pictures += [picture for row in rows for picture in np.split(row, 100, axis=1)]
    images = struct.pack(">4I", 0x803, len(pictures), 28, 28) + np.stack(pictures).tobytes()
    return {
        f"{NAMES[part]}-images-idx3-ubyte": images,
        f"{NAMES[part]}-labels-idx1-ubyte": struct.pack(">2I", 0x801, len(labels))
        + labels.tobytes(),
    }


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the four IDX files as torchvision keeps them."""
    root = tmp_path_factory.mktemp("torchvision")
    (root / "FashionMNIST" / "raw").mkdir(parents=True)
    for part in NAMES:
        for name, content in idx_files(part).items():
            (root / "FashionMNIST" / "raw" / name).write_bytes(content)
    return root


def test_the_shipped_files_are_the_published_ones(raw: Path) -> None:
    found = {
        path.name: hashlib.md5(path.read_bytes()).hexdigest()
        for path in (raw / "FashionMNIST" / "raw").iterdir()
    }
    assert found == MD5


def test_we_read_what_torchvision_reads(raw: Path, fashion: dict[str, ImageSet]) -> None:
    theirs = datasets.FashionMNIST(str(raw), train=True, download=False)
    valid = torch.zeros(60_000, dtype=torch.bool)
    valid[11::12] = True
    test = datasets.FashionMNIST(str(raw), train=False, download=False)
    for split, images, labels in (
        ("train", theirs.data[~valid], theirs.targets[~valid]),
        ("valid", theirs.data[valid], theirs.targets[valid]),
        ("test", test.data, test.targets),
    ):
        assert torch.equal(fashion[split].images, images[:, None]), split
        assert torch.equal(fashion[split].labels, labels), split
        assert list(fashion[split].classes) == theirs.classes
        assert len(labels) == {"train": 55_000, "valid": 5_000, "test": 10_000}[split]
    for split in ("train", "test"):
        assert fashion[split].sha256() == record("fashion-vae")["data"][f"{split}_sha256"]


def test_a_set_is_a_copy_of_its_own() -> None:
    fashion_mnist("test").images.zero_()
    assert fashion_mnist("test").images.any()


def test_the_licence_ships_with_the_pictures() -> None:
    licence = (fashion.FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert "MIT License" in licence and "© 2017 Zalando SE" in licence
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    data = re.search(r"^\[tool\.setuptools\.package-data\]\n(.*?)\n\[", project, re.M | re.S)
    assert data and '"data/fashion-mnist/*"' in data[1]
    files = list(fashion.FOLDER.iterdir())
    assert len(files) == 11 and sum(file.stat().st_size for file in files) < 29e6


@pytest.mark.parametrize("split", ["Train", "validation", ""])
def test_an_unknown_split(split: str) -> None:
    with pytest.raises(ValueError, match=f"unknown split '{split}': choose one of train, valid"):
        fashion_mnist(split)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("test-1.png", lambda content: None),
        ("test-1.png", lambda content: content[:2_000_000]),
        ("test-1.png", lambda content: content[:-100_000] + bytes(100_000)),
        ("test-1.png", lambda content: b"version https://git-lfs.github.com/spec/v1\n"),
        ("test-labels.txt", lambda content: None),
        ("test-labels.txt", lambda content: content[:-2]),
    ],
)
def test_a_missing_or_damaged_file_is_named(
    name: str,
    spoil: Callable[[bytes], bytes | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = spoil((fashion.FOLDER / name).read_bytes())
    for file in fashion.FOLDER.iterdir():
        if file.name != name:
            (tmp_path / file.name).symlink_to(file)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(fashion, "FOLDER", tmp_path)
    monkeypatch.setattr(fashion, "_published", fashion._published.__wrapped__)
    with pytest.raises(DataError, match="reinstall cvae_lib") as error:
        fashion_mnist("test")
    assert f"{tmp_path / name[:5]}" in str(error.value)
