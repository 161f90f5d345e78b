"""Procedural garments: reproducible, ten classes that differ, images that look the part."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from cvae_lib.data.toy import draw_garments, toy_garments


@pytest.fixture(scope="module")
def drawn() -> tuple[Tensor, Tensor]:
    return toy_garments(1500, seed=1)


def test_shapes_and_dtypes(drawn: tuple[Tensor, Tensor]) -> None:
    images, labels = drawn
    assert images.shape == (1500, 1, 28, 28) and images.dtype == torch.uint8
    assert labels.shape == (1500,) and labels.dtype == torch.int64


def test_no_labels_no_images() -> None:
    assert draw_garments(torch.empty(0, dtype=torch.int64)).shape == (0, 1, 28, 28)


def test_same_seed_same_pixels(drawn: tuple[Tensor, Tensor]) -> None:
    images, labels = toy_garments(1500, seed=1)
    assert torch.equal(images, drawn[0]) and torch.equal(labels, drawn[1])


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    toy_garments(20)
    assert torch.equal(torch.rand(3), expected)


def test_another_seed_draws_other_garments() -> None:
    labels = torch.arange(10).repeat(5)
    a, b = draw_garments(labels, seed=0).float(), draw_garments(labels, seed=1).float()
    assert ((a - b).abs().mean((1, 2, 3)) > 2).all()


def test_garments_of_a_class_differ_in_shape() -> None:
    for label in range(10):
        masks = draw_garments(torch.full((50,), label)).gt(60).flatten(1).float()
        changing = masks.mean(0).mul(1 - masks.mean(0)).gt(0.05).sum()
        assert changing > 40, label  # pixels that are cloth in some images and black in others


def test_an_image_depends_on_its_own_label_and_place_only() -> None:
    labels = torch.randint(10, (1100,), generator=torch.Generator().manual_seed(0))
    images = draw_garments(labels, seed=3).int()
    assert (draw_garments(labels[:777], seed=3).int() - images[:777]).abs().max() <= 1
    others = labels.clone()
    others[1::2] = 4
    assert (draw_garments(others, seed=3).int() - images)[::2].abs().max() <= 1


@pytest.mark.parametrize("n", [1, 9, 10, 101])
def test_balanced(n: int) -> None:
    counts = toy_garments(n, seed=2)[1].bincount(minlength=10)
    assert counts.sum() == n and counts.max() - counts.min() <= 1


def test_shuffled_by_the_seed() -> None:
    a, b = toy_garments(100, seed=0)[1], toy_garments(100, seed=1)[1]
    assert not torch.equal(a, b) and not torch.equal(a, a.sort().values)


def test_garments_fill_the_frame_and_leave_black(drawn: tuple[Tensor, Tensor]) -> None:
    images, _ = drawn
    cloth = images[:, 0] > 20
    share = cloth.float().mean((1, 2))
    assert share.min() > 0.08 and share.max() < 0.8
    assert (images[:, 0, 0, 0] == 0).all() and (images[:, 0, 0, -1] == 0).all()
    tall, wide = cloth.any(2).sum(1), cloth.any(1).sum(1)
    assert (torch.maximum(tall, wide) >= 22).all()
    assert images.flatten(1).amax(1).min() > 60


def test_garments_are_centred(drawn: tuple[Tensor, Tensor]) -> None:
    cloth = (drawn[0][:, 0] > 20).float()
    columns = cloth.amax(1)
    left, right = columns.argmax(1), columns.flip(1).argmax(1)
    assert ((left - right).abs() <= 4).all()


def test_toes_point_left() -> None:
    for label in (5, 7, 9):
        cloth = draw_garments(torch.full((50,), label))[:, 0].gt(20).float()
        height = cloth.argmax(1).float()  # the topmost row of cloth in each column
        assert (height[:, 3:8].mean(1) > height[:, 19:25].mean(1)).all(), label


def test_classes_are_separable(drawn: tuple[Tensor, Tensor]) -> None:
    pixels, labels = drawn[0].flatten(1).float() / 255, drawn[1]
    train, test = slice(0, 1000), slice(1000, 1500)
    model = LogisticRegression(max_iter=200).fit(pixels[train].numpy(), labels[train].numpy())
    assert model.score(pixels[test].numpy(), labels[test].numpy()) > 0.95
    means = torch.stack([pixels[train][labels[train] == label].mean(0) for label in range(10)])
    nearest = torch.cdist(pixels[test], means).argmin(1)
    assert (nearest == labels[test]).float().mean() > 0.75


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 10]), "label 10 is out of range"),
        (torch.tensor([-1]), "label -1 is out of range"),
        (torch.tensor([1.0]), "torch.float32 of shape \\(1,\\); want torch.int64 \\(N,\\)"),
        (torch.tensor([[1]]), "torch.int64 of shape \\(1, 1\\); want"),
        (torch.tensor(1), "of shape \\(\\); want"),
    ],
)
def test_wrong_labels(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_garments(labels)


@pytest.mark.parametrize("n", [0, -3])
def test_wrong_n(n: int) -> None:
    with pytest.raises(ValueError, match=f"n is {n}; want at least 1"):
        toy_garments(n)
