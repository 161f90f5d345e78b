"""A chapter gets photographs with CLIP where both can be had, else scenes, and says which."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cvae_lib import corpus
from cvae_lib.corpus import load_corpus, load_garments
from cvae_lib.data import DataError, fashion_mnist
from cvae_lib.encoders import HashingTextEncoder
from cvae_lib.scale import SCALES


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is named, nothing is cached, nothing can be fetched."""

    def refuse(*_: object, **__: object) -> None:
        raise DataError("no route to the photos")

    monkeypatch.delenv("CVAE_COCO_ROOT", raising=False)
    monkeypatch.delenv("CVAE_CLIP_WEIGHTS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(corpus.data, "download_coco", refuse)


@pytest.fixture
def clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashed vectors pass for CLIP's."""
    monkeypatch.setattr(corpus, "ClipTextEncoder", lambda device: HashingTextEncoder(16))


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with twenty photos, named as a reader would name it."""
    folder = tmp_path / "coco"
    (folder / "val2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    images, annotations = [], []
    for index in range(20):
        name = f"{index:012d}.jpg"
        Image.new("RGB", (40, 30), (12 * index, 0, 0)).save(folder / "val2017" / name)
        images.append({"id": index, "file_name": name})
        annotations.append({"id": index, "image_id": index, "caption": f"a photo {index}"})
    content = {"images": images, "annotations": annotations}
    (folder / "annotations" / "captions_val2017.json").write_text(json.dumps(content))
    monkeypatch.setenv("CVAE_COCO_ROOT", str(folder))
    monkeypatch.setenv("CVAE_CLIP_WEIGHTS", "clip.pt")


def test_without_a_gpu_it_is_scenes(clip: None) -> None:
    found = load_corpus(SCALES["cpu"], 32, 6, 4)
    assert not found.photos
    assert (len(found.train), len(found.test)) == (6, 4)
    assert found.train.images.shape == (6, 3, 32, 32)
    assert "6 drawn scenes, 4 to measure on" in found.about and "scale cpu" in found.about
    assert not np.array_equal(found.train.images[:4], found.test.images)


def test_a_named_folder_with_named_weights_is_taken_at_every_scale(clip: None, coco: None) -> None:
    found = load_corpus(SCALES["smoke"], 16, 6, 4)
    assert found.photos
    assert (len(found.train), len(found.test)) == (18, 2)
    assert "18 photographs of COCO val2017, 2 to measure on" in found.about
    shown = {int(image[0].max()) for image in found.train.images}
    assert shown.isdisjoint(int(image[0].max()) for image in found.test.images)


def test_at_gpu_scale_what_cannot_be_had_is_said(
    clip: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(device: torch.device) -> None:
        raise FileNotFoundError("no CLIP")

    found = load_corpus(SCALES["gpu"], 16, 2, 1)
    assert not found.photos and "no route to the photos" in found.about
    monkeypatch.setattr(corpus, "ClipTextEncoder", absent)  # then no photo is fetched
    found = load_corpus(SCALES["gpu"], 16, 2, 1)
    assert not found.photos and "no CLIP" in found.about


def test_garments_come_as_the_scale_says() -> None:
    sets = load_garments(SCALES["smoke"])
    assert [len(data) for data in sets] == [1_000, 500, 500]
    assert sets[0].sha256() == fashion_mnist("train").first(1_000).sha256()
