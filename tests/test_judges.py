"""The judges: shapes; of scenes the targets, the loss, and that it learns to read them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cvae_lib.data import CaptionedSet, Scene, draw_scene, render
from cvae_lib.data.shapes import COLOURS, SHAPES, SIZES
from cvae_lib.evaluation import obedience
from cvae_lib.models.judges import FashionJudge, SceneJudge, scene_judge_objective, truth_set


def pictures(count: int, size: int = 64) -> tuple[Tensor, list[Scene], Tensor]:
    """Scenes in [0, 1], their truths, and the judge's targets."""
    truths = [draw_scene("train", index)[0] for index in range(count)]
    images = np.stack([render(scene, size) for scene in truths])
    vectors, starts = np.zeros((count, 1), np.float32), np.arange(count + 1)
    data = CaptionedSet(images, vectors, starts, ["a scene"] * count, truths=truths)
    return torch.from_numpy(images) / 255, truths, truth_set(data).text_vectors()


def test_shapes_and_gradients(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    x, labels = torch.rand(4, 1, 28, 28, generator=generator), torch.tensor([0, 3, 9, 3])
    judge = FashionJudge(width=4).eval()
    features = judge.features(x)
    assert features.shape == (4, 64) and features.min() >= 0
    torch.testing.assert_close(judge(x), judge.head(features))
    assert judge(x).shape == (4, 10)
    for network in (judge, SceneJudge(8)):
        assert network.architecture == {"width": network.width}
    nn.functional.cross_entropy(judge.train()(x), labels).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in judge.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("build", [FashionJudge, SceneJudge])
def test_a_judge_of_another_precision_judges(build, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    judge = build(8).eval().to(dtype)
    pictures = torch.rand(2, 1, 28, 28) if build is FashionJudge else torch.rand(2, 3, 32, 32)
    assert judge.features(pictures).isfinite().all()


def test_targets_hold_the_truth() -> None:
    _, truths, targets = pictures(20)
    for truth, rows in zip(truths, targets.view(20, 8, 5), strict=True):
        assert rows[:, 0].sum() == len(truth.things)
        for thing in truth.things:
            row = rows[list(COLOURS).index(thing.colour)]
            assert list(SHAPES)[int(row[1])] == thing.shape
            assert list(SIZES)[int(row[2])] == thing.size
            assert row[3:].tolist() == pytest.approx([thing.x, thing.y])


def test_what_is_absent_costs_only_presence() -> None:
    torch.manual_seed(0)
    judge = SceneJudge(width=8).eval()
    terms = scene_judge_objective(judge, pictures(2)[0], torch.zeros(2, 40))
    assert terms["presence"].gt(0).all() and torch.equal(terms["loss"], terms["presence"])
    assert not any(terms[name].any() for name in ("shape", "size", "place"))


@pytest.mark.parametrize("size", [32, 128])
def test_pictures_of_any_size_are_read_and_grey_ones_refused(size: int) -> None:
    judge = SceneJudge(width=8).eval()
    images = pictures(3, size)[0]
    assert judge.features(images).shape == (3, 8)
    things = judge.things(images)
    assert [len(row) for row in things] == [8, 8, 8]
    assert [t.presence for t in things[0]] == sorted((t.presence for t in things[0]), reverse=True)
    with pytest.raises(ValueError, match=r"pictures must be float \(B, 3, H, W\) in .* \(3, 1"):
        judge(images[:, :1])


def test_it_learns_to_read() -> None:
    torch.manual_seed(0)
    images, truths, targets = pictures(1000)
    judge = SceneJudge(width=32).train()
    optimizer = torch.optim.Adam(judge.parameters(), lr=4e-3)
    for _ in range(8):
        for batch in torch.randperm(1000).split(50):
            optimizer.zero_grad()
            scene_judge_objective(judge, images[batch], targets[batch])["loss"].mean().backward()
            optimizer.step()
    score = obedience(judge.things(images), [truth.things for truth in truths])
    assert score["colour"] > 0.9 and score["position"] > 0.9, score


def test_pictures_without_truths_teach_no_judge() -> None:
    image = render(draw_scene("train", 0)[0], 16)[None]
    photos = CaptionedSet(image, np.zeros((1, 2), np.float16), np.arange(2), ["a dog"])
    with pytest.raises(ValueError, match="memory has no truths"):
        truth_set(photos)
