"""The experiments on scenes and photos: what a run records, and that no run is repeated."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import photos
import pytest
import scenes as experiment
import semantic
import torch
import ways_in

from cvae_lib import records
from cvae_lib.data import draw_scene, write_scenes
from cvae_lib.models import TextConditionalVAE


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "FOLDER", tmp_path / "records")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_arms_cover_conditionings_codes_and_sizes() -> None:
    arms = experiment.ARMS
    assert {arm.conditioning for arm in arms.values()} == {"concat", "add", "film"}
    assert {arm.latent_dim for arm in arms.values()} >= {64, 128, 1024}
    assert {arm.image_size for arm in arms.values()} == {64, 128, 256}
    assert all(len(arm.seeds) >= 3 or arm.image_size == 256 for arm in arms.values())


def test_a_run_on_scenes_is_recorded_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = experiment.Arm(range(1), latent_dim=4, image_size=32, train_images=40, beta=2.0)
    monkeypatch.setattr(experiment, "ARMS", {"tiny": arm})
    for name, value in {"WIDTH": 4, "EPOCHS": 1, "VALID_IMAGES": 8}.items():
        monkeypatch.setattr(experiment, name, value)
    monkeypatch.setattr(experiment, "TEST_IMAGES", 12)
    monkeypatch.setattr(experiment, "UNSEEN_IMAGES", 10)
    experiment.main(["tiny"])
    (run,) = records.runs("scenes")
    assert run["arm"] == "tiny" and run["config"]["beta"] == 2.0
    assert run["metrics"].keys() >= {"ssim", "sse_per_pixel", "standard_prior", "fitted_prior"}
    assert run["data"]["train_images"] == 40 and len(run["history"]) == 1
    assert run["parameters"] == sum(
        p.numel() for p in TextConditionalVAE(**run["architecture"]).parameters()
    )
    before = (records.FOLDER / "scenes" / "tiny-0.json").stat().st_mtime_ns
    experiment.main(["tiny"])
    assert (records.FOLDER / "scenes" / "tiny-0.json").stat().st_mtime_ns == before


def test_photos_known_and_new_are_measured_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "folder", "valid", 15, 16)
    arm = photos.Arm(range(2), image_size=16, latent_dim=4, conditioning="add")
    for name, value in {"WIDTH": 4, "EPOCHS": 1, "ARMS": {"tiny": arm}}.items():
        monkeypatch.setattr(photos, name, value)
    photos.main(["tiny"], tmp_path / "folder", "valid")
    run, other = records.runs("photos")
    assert run["metrics"] != other["metrics"]
    assert run["architecture"]["conditioning"] == "add"
    assert (run["data"]["train_images"], run["data"]["new_images"]) == (12, 3)
    assert run["data"]["source"] == "15 photos of COCO valid"
    for part in run["metrics"].values():
        assert part.keys() == {"ssim", "sse_per_pixel"} and part["sse_per_pixel"] > 0
    assert str(tmp_path) not in (records.FOLDER / "photos" / "tiny-0.json").read_text()


def test_withheld_and_new_words_are_asked_for_and_never_told() -> None:
    drawn = [draw_scene("train", index) for index in range(400)]
    told = " ".join(semantic.known_words(text) for _, captions in drawn for text in captions)
    words = set(re.findall(r"[a-z]+", told))
    assert {"red", "blue", "circle", "square", "emerald"} < words and " an blue" not in told
    for table in (semantic.WITHHELD, semantic.NEW):
        assert not words & {word for those in table.values() for word in those}
    things = [scene.things[0] for scene, _ in drawn if len(scene.things) == 1]
    for group, parts in semantic.GROUPS.items():
        asked = semantic.questions(things, group)
        assert asked and (len(asked) == len(things)) == ("withheld" not in group)
        for row, text in asked.items():
            for part in ("colour", "shape"):
                name = getattr(things[row], part)
                options = parts[part][name] if part in parts else [name]
                assert any(f" {word} " in f" {text} " for word in options), (group, text)


def test_a_run_on_new_words_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRAIN_IMAGES", "TEST_IMAGES", "GALLERY"):
        monkeypatch.setattr(semantic, name, 120)
    for name, value in {"EPOCHS": 1, "WIDTH": 4, "TOWER_STEPS": 2, "SEEDS": range(1)}.items():
        monkeypatch.setattr(semantic, name, value)
    semantic.main(["semantic"])
    (run,) = records.runs("semantic")
    shares = run["metrics"]["known"] | run["metrics"]["towers"]["new_both"]
    assert run["metrics"].keys() > semantic.GROUPS.keys()
    assert all(0 <= share <= 1 for share in shares.values())


def test_each_way_in_is_recorded_and_leaves_out_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TRAIN_IMAGES", "VALID_IMAGES", "TEST_IMAGES", "UNSEEN_IMAGES"):
        monkeypatch.setattr(ways_in, name, 64)
    for name, value in {"EPOCHS": 1, "WIDTH": 4, "SEEDS": range(1)}.items():
        monkeypatch.setattr(ways_in, name, value)
    ways_in.main(list(ways_in.ARMS))
    runs = {run["arm"]: run for run in records.runs("ways-in")}
    assert runs.keys() == ways_in.ARMS.keys()
    assert all(run["metrics"].keys() > {"drawn", "rebuilt", "borrowed"} for run in runs.values())

    words = torch.zeros(1, 3, 8)
    words[:, 0] = 1
    other = words.clone()
    other[:, 1] = 1

    def first_word(change: Callable[[TextConditionalVAE], None]) -> list[torch.Tensor]:
        model = TextConditionalVAE(16, 2, 8, "attend", width=4, normalise_text=False)
        change(model)
        reader: Any = model.condition.reader
        return [reader(text).words[0, 0] for text in (words, other)]

    assert torch.equal(*first_word(ways_in.without_neighbours))
    assert not torch.equal(*first_word(ways_in.without_places))
