"""Scenes: truth, pictures and captions agree; the unseen stays unseen; COCO's tools read them."""

import json
import os
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cvae_lib.data import DataError, coco_captions, coco_images, write_scenes
from cvae_lib.data.scenes import SPLITS, STYLES, draw_scene, scene_words, scenes
from cvae_lib.data.shapes import (
    COLOURS,
    PLACES,
    RADII,
    RELATIONS,
    RGB,
    SHAPES,
    SIZES,
    UNSEEN_PAIRS,
    UNSEEN_RELATIONS,
    Scene,
    Thing,
    render,
)


class CountingEncoder:
    """One number a text: its length."""

    name, dim, fingerprint = "length", 1, "0"

    def __call__(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([[float(len(text))] for text in texts])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def thing(shape: str = "circle", colour: str = "red", size: str = "large") -> Thing:
    return Thing(shape, colour, size, row=1, column=1, x=0.5, y=0.5)


def test_a_scene_depends_on_seed_split_and_index_alone() -> None:
    assert draw_scene("train", 7) == draw_scene("train", 7)
    others = [draw_scene("train", 8), draw_scene("valid", 7), draw_scene("train", 7, seed=1)]
    assert draw_scene("train", 7) not in others


@pytest.mark.parametrize("split", SPLITS)
def test_scenes_keep_apart_what_training_may_not_see(split: str) -> None:
    for index in range(400):
        scene, _ = draw_scene(split, index)
        pairs = {(t.shape, t.colour) for t in scene.things}
        relations = {
            (scene.things[i].shape, name, scene.things[j].shape) for i, name, j in scene.relations()
        }
        held_out = bool(pairs & UNSEEN_PAIRS) or bool(relations & UNSEEN_RELATIONS)
        assert held_out == (split == "unseen"), (split, index)


def test_both_kinds_of_the_unseen_are_drawn() -> None:
    kinds = [kind for i in range(200) for kind in draw_scene("unseen", i)[0].unseen()]
    assert min(kinds.count("pair"), kinds.count("relation")) > 60


def test_all_words_and_all_places_occur() -> None:
    said = " ".join(text for i in range(1500) for text in draw_scene("train", i)[1])
    groups = [group for table in (SHAPES, COLOURS, SIZES, RELATIONS) for group in table.values()]
    groups += [place for row in PLACES for place in row]
    words = [word for group in groups for word in group]
    assert not [word for word in words if word not in said]
    assert set(said.lower().replace(".", "").replace(",", "").replace("-", " ").split()) <= (
        scene_words()
    )


def test_captions_say_what_is_there() -> None:
    for index in range(300):
        scene, captions = draw_scene("train", index)
        assert len(captions) == 5
        for caption in captions:
            for t in scene.things:
                assert any(word in caption for word in COLOURS[t.colour]), caption
                assert any(word in caption for word in SHAPES[t.shape]), caption
        for t in scene.things:
            for caption in (captions[1], captions[4]):
                assert any(place in caption for place in PLACES[t.row][t.column]), caption
            assert any(word in captions[4] for word in SIZES[t.size]), captions[4]
        assert all(colour in captions[3] for colour in scene.background), captions[3]


def test_a_relation_is_told_the_right_way_round() -> None:
    told = set()
    for index in range(400):
        scene, captions = draw_scene("train", index)
        text = captions[2]
        if not scene.relations() or len(scene.things) != 2:
            continue
        first, second = sorted(
            scene.things, key=lambda t: min(text.find(w) % 1000 for w in COLOURS[t.colour])
        )
        (name,) = {name for name, words in RELATIONS.items() for word in words if word in text}
        right = {
            "above": first.y < second.y,
            "below": first.y > second.y,
            "left of": first.x < second.x,
            "right of": first.x > second.x,
        }
        assert right[name], text
        told.add(name)
    assert told == set(RELATIONS)


def test_articles_fit() -> None:
    texts = [text for i in range(300) for text in draw_scene("train", i)[1]]
    starts = {tuple(re.findall(r"\b(an?) (.)", text)) for text in texts}
    found = {(article, letter in "aeio") for pairs in starts for article, letter in pairs}
    assert found == {("a", False), ("an", True)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pixels", [16, 64, 128])
def test_a_shape_has_its_colour_inside_and_the_background_outside(shape: str, pixels: int) -> None:
    image = render(Scene((thing(shape),), ("white", "white")), pixels).transpose(1, 2, 0)
    middle = pixels // 2
    inside = middle - int(0.75 * RADII["large"] * pixels) if shape == "ring" else middle
    if pixels > 16 or shape != "ring":
        assert np.abs(image[inside, middle].astype(int) - RGB["red"]).max() <= 3
    assert np.abs(image[1, 1].astype(int) - (247, 247, 245)).max() <= 1


def test_edges_are_smooth_and_sizes_do_not_matter() -> None:
    scene, _ = draw_scene("train", 3)
    large = render(scene, 256).astype(float)
    shrunk = large.reshape(3, 64, 4, 64, 4).mean((2, 4))
    assert np.abs(shrunk - render(scene, 64)).mean() < 1


def test_a_background_may_turn_from_one_colour_to_another() -> None:
    image = render(Scene((thing(),), ("white", "pale blue")), 64)
    assert image[0, 0, 0] > 240 and image[0, -1, 0] < 205
    assert (np.diff(image[0, :, 0].astype(int)) <= 0).all()


def test_things_do_not_touch() -> None:
    for index in range(300):
        things = draw_scene("train", index)[0].things
        assert all(RADII[a.size] <= a.x <= 1 - RADII[a.size] for a in things)
        for a, b in combinations(things, 2):
            assert np.hypot(a.x - b.x, a.y - b.y) > RADII[a.size] + RADII[b.size]


def test_scenes_in_memory() -> None:
    data = scenes("train", 12, 32, encoder=CountingEncoder())
    assert data.images.shape == (12, 3, 32, 32) and data.styles == STYLES
    assert data.vectors.shape == (60, 1) and data.vectors.dtype == np.float16
    assert data.vectors[3, 0] == len(data.texts[3])
    assert data.truths is not None
    scene, captions = draw_scene("train", 5)
    assert data.truths[5] == scene
    assert list(data.texts[25:30]) == captions
    for style, caption in zip(STYLES, captions, strict=True):
        assert data.text_vectors(style)[5].item() == len(caption)
    assert all(text.startswith("The picture shows") for text in data.texts[4::5])
    assert (data.images[5] == render(scene, 32)).all()


def test_cocos_own_tools_open_what_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pycocotools.coco import COCO
    from torchvision.datasets import CocoCaptions

    path = write_scenes(tmp_path, "unseen", 6, 32, progress=True)
    assert "6/6" in capsys.readouterr().err
    coco = COCO(str(path))
    assert len(coco.getImgIds()) == 6 and len(coco.getAnnIds(imgIds=[1])) == 5
    picture, captions = CocoCaptions(str(tmp_path / "unseen"), str(path))[2]
    scene, expected = draw_scene("unseen", 2)
    assert captions == expected
    assert (np.asarray(picture) == render(scene, 32).transpose(1, 2, 0)).all()


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="unknown split of Scenes 'testing': choose one of train"):
        draw_scene("testing", 0)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        scenes("train", 0, encoder=CountingEncoder())
    with pytest.raises(ValueError, match="size must be at least 8 pixels, got 4"):
        render(draw_scene("train", 0)[0], 4)


def test_the_command_line_writes_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cvae_lib.cli import main

    asked = ["data", "scenes", "--out", str(tmp_path), "--count", "3", "--size", "32"]
    assert main([*asked, "--split", "unseen", "--seed", "5"]) == 0
    assert "3" in capsys.readouterr().out
    content = json.loads((tmp_path / "annotations" / "captions_unseen.json").read_text())
    said = [entry["caption"] for entry in content["annotations"]]
    assert said[5:10] == draw_scene("unseen", 1, seed=5)[1]
    assert main([*asked, "--split", "testing"]) == 2
    assert "unknown split of Scenes 'testing'" in capsys.readouterr().err


def test_the_loader_of_photos_reads_what_is_written(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", "valid", 8, 32)
    read = coco_captions("valid", 32, tmp_path / "scenes", encoder=CountingEncoder())
    drawn = scenes("valid", 8, 32, encoder=CountingEncoder())
    assert (np.asarray(read.images) == drawn.images).all()
    assert list(read.texts) == list(drawn.texts) and read.captions() == drawn.captions()
    assert (read.starts == drawn.starts).all() and (read.vectors == drawn.vectors).all()


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_ctrl_c_while_drawing_leaves_the_old_scenes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path, "train", 6, 16)
    (tmp_path / "train" / "mine.txt").write_text("not a scene")
    before, drawn, save = content(tmp_path), iter(range(4)), Image.Image.save

    def interrupt(*args: Any, **how: Any) -> None:
        if next(drawn) == 3:
            raise KeyboardInterrupt
        save(*args, **how)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Image.Image, "save", interrupt)
        write_scenes(tmp_path, "train", 6, 16, seed=1)
    assert content(tmp_path) == before
    write_scenes(tmp_path, "train", 3, 16, seed=1)
    found = coco_images("train", 16, tmp_path)
    assert len(found.images) == 3 and "seed 1" in found.source
    assert (tmp_path / "train" / "mine.txt").exists()


def test_ctrl_c_while_replacing_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path, "train", 6, 16)
    replace, moved = os.replace, iter(range(9))

    def interrupt(source: Path, target: Path) -> None:
        if next(moved) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", interrupt)
        write_scenes(tmp_path, "train", 6, 16, seed=1)
    with pytest.raises(DataError, match="does not exist"):
        coco_images("train", 16, tmp_path)
    assert not list(tmp_path.glob(".scenes-*"))
