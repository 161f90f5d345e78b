"""The judge of scenes: its targets, its loss, and that it learns to read what was painted."""

import numpy as np
import pytest
import torch
from torch import Tensor

from cvae_lib.data import Scene, draw_scene, render
from cvae_lib.data.shapes import COLOURS, SHAPES, SIZES
from cvae_lib.evaluation import obedience
from cvae_lib.models.scene_judge import SceneJudge, judge_losses, judge_targets


def pictures(count: int, size: int = 64) -> tuple[Tensor, list[Scene]]:
    drawn = [draw_scene("train", index)[0] for index in range(count)]
    images = torch.from_numpy(np.stack([render(scene, size) for scene in drawn]))
    return images / 255, drawn


def test_targets_hold_the_truth() -> None:
    truths = pictures(20)[1]
    targets = judge_targets(truths).view(20, 8, 5)
    for truth, rows in zip(truths, targets, strict=True):
        assert rows[:, 0].sum() == len(truth.things)
        for thing in truth.things:
            row = rows[list(COLOURS).index(thing.colour)]
            assert list(SHAPES)[int(row[1])] == thing.shape
            assert list(SIZES)[int(row[2])] == thing.size
            assert row[3:].tolist() == pytest.approx([thing.x, thing.y])


def test_what_is_absent_costs_only_presence() -> None:
    torch.manual_seed(0)
    judge = SceneJudge(width=8).eval()
    reading = judge(pictures(2)[0])
    nothing = judge_losses(reading, torch.zeros(2, 40))
    assert nothing["presence"].gt(0).all()
    assert not any(nothing[name].any() for name in ("shape", "size", "place"))


@pytest.mark.parametrize("size", [32, 128])
def test_pictures_of_any_size_are_read(size: int) -> None:
    judge = SceneJudge(width=8).eval()
    images = pictures(3, size)[0]
    assert judge.features(images).shape == (3, 8)
    things = judge.things(images, batch_size=2)
    assert [len(row) for row in things] == [8, 8, 8]
    assert [t.presence for t in things[0]] == sorted((t.presence for t in things[0]), reverse=True)


def test_grey_pictures_are_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"pictures must be float \(B, 3, H, W\) in .* \(1, 1",
    ):
        SceneJudge()(torch.zeros(1, 1, 28, 28))


def test_it_learns_to_read() -> None:
    torch.manual_seed(0)
    images, truths = pictures(1000)
    judge, targets = SceneJudge(width=32), judge_targets(truths)
    optimizer = torch.optim.Adam(judge.parameters(), lr=4e-3)
    for _ in range(8):
        for batch in torch.randperm(1000).split(50):
            optimizer.zero_grad()
            terms = judge_losses(judge(images[batch]), targets[batch])
            sum(term.mean() for term in terms.values()).backward()
            optimizer.step()
    seen = judge.things(images)
    score = obedience(seen, [truth.things for truth in truths])
    assert score["colour"] > 0.9 and score["position"] > 0.9, score
