"""The questions to the models of scenes: what counts as obeyed, and that every run is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import sentences
import torch

from cvae_lib import records
from cvae_lib.data.shapes import Scene, Thing, render
from cvae_lib.models.judges import Seen

CIRCLE = Thing("circle", "red", "small", 0, 1, 0.5, 0.2)
SQUARE = Thing("square", "blue", "large", 2, 1, 0.5, 0.8)
PLAIN = ("white", "white")


def sees(*things: Thing, presence: float = 1.0) -> list[Seen]:
    return [Seen(presence, t.colour, t.shape, t.size, t.row, t.column) for t in things]


def test_a_relation_is_told_with_the_plainest_words() -> None:
    apart = Thing("star", "orange", "small", 1, 2, 0.8, 0.5)
    scenes = [
        Scene((CIRCLE, SQUARE), PLAIN),
        Scene((CIRCLE, apart), PLAIN),
        Scene((CIRCLE,), PLAIN),
    ]
    texts, asked = sentences.related(scenes)
    assert texts == ["a red circle above a blue square"]
    assert asked == [(CIRCLE, "above", SQUARE)]


@pytest.mark.parametrize(
    ("seen", "right"),
    [
        (sees(CIRCLE, SQUARE), True),
        (sees(SQUARE, CIRCLE), True),  # the judge tells the surest first
        (sees(CIRCLE), False),
        (sees(CIRCLE, SQUARE, Thing("star", "green", "small", 1, 1, 0.5, 0.5)), False),
        (sees(CIRCLE) + sees(SQUARE, presence=0.4), False),
    ],
)
def test_a_relation_is_obeyed_by_these_two_things_alone(seen: list[Seen], right: bool) -> None:
    assert sentences.obeys(seen, CIRCLE, "above", SQUARE) is right
    assert not sentences.obeys(seen, SQUARE, "above", CIRCLE)


def test_a_plain_text_asks_for_things_at_any_place() -> None:
    moved = Thing("circle", "red", "large", 2, 2, 0.8, 0.8)
    swapped = Thing("circle", "blue", "large", 2, 2, 0.8, 0.8)
    asked = [Scene((CIRCLE,), PLAIN), Scene((CIRCLE,), PLAIN), Scene((CIRCLE, SQUARE), PLAIN)]
    seen = [sees(moved), sees(swapped), sees(CIRCLE)]
    found = sentences.plain(seen, asked)
    assert found == {"count": pytest.approx(2 / 3), "one": 0.5, "two": 0.0}


def test_two_things_of_one_colour_are_two_regions() -> None:
    twin = Thing("circle", "red", "small", 2, 2, 0.8, 0.8)
    drawn = [(CIRCLE,), (CIRCLE, twin), (CIRCLE, SQUARE), ()]
    scenes = [Scene(things, ("white", "beige")) for things in drawn]
    pictures = torch.stack([torch.from_numpy(render(scene, 64)) / 255 for scene in scenes])
    counts = sentences.regions(pictures)
    assert counts.tolist() == [1, 2, 2, 0]
    asked = [scenes[0], scenes[0], scenes[2]]
    found = sentences.lone([sees(CIRCLE), sees(CIRCLE), sees(CIRCLE, SQUARE)], counts[:3], asked)
    assert found == {"one": 0.5, "two": 1.0}


def test_a_run_tells_of_every_kind_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "SCENES", 12)
    monkeypatch.setattr(sentences, "BATCH", 10)
    sentences.fresh.cache_clear()
    metrics = sentences.run("scenes-attend", 0)["metrics"]
    sentences.fresh.cache_clear()
    assert metrics.keys() == {
        "placed",
        "plain",
        "related",
        "rebuilt",
        "borrowed",
        "frechet",
        "lone",
    }
    assert metrics["frechet"] > 0
    assert {"one_all", "two_all"} <= metrics["placed"].keys()
    shares = [*metrics["placed"].values(), *metrics["plain"].values(), metrics["related"]]
    assert all(0 <= share <= 1 for share in shares)


def test_every_declared_run_is_kept_and_no_other() -> None:
    kept = {run["run"] for run in records.runs("sentences")}
    assert kept == {f"{arm}-{seed}" for arm in sentences.ARMS for seed in sentences.SEEDS}


def test_a_run_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    monkeypatch.setattr(sentences, "run", lambda arm, seed: {"metrics": {"related": 0.5}})
    sentences.main(["scenes-film"])
    assert [run["seed"] for run in records.runs("sentences")] == [*sentences.SEEDS]
