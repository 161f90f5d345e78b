"""The experiments on scenes and photos: what a run records, and that no run is repeated."""

from __future__ import annotations

from pathlib import Path

import photos
import pytest
import scenes as experiment

from cvae_lib import records
from cvae_lib.data import write_scenes
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
