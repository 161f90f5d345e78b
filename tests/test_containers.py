"""The two sets of bytes: batches, conversions, checksums, and what they refuse."""

import dataclasses

import numpy as np
import pytest
import torch

from cvae_lib.data import CaptionedSet, ImageSet, check_labels, to_bytes, to_unit

CLASSES = ("cat", "dog", "bird")


def numbered(count: int = 23) -> ImageSet:
    """Image i is filled with the byte i and has the label i mod 3."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 4, 4)
    return ImageSet(images, torch.arange(count) % 3, CLASSES)


def read(batches) -> tuple[list[int], list[int]]:
    """Sizes of the batches and the numbers of their images."""
    sizes, numbers = [], []
    for images, labels in batches:
        found = images[:, 0, 0, 0].tolist()
        assert [n % 3 for n in found] == labels.tolist(), "a label left its image"
        sizes.append(len(images))
        numbers += found
    return sizes, numbers


def test_batches_keep_the_order_without_a_generator() -> None:
    sizes, numbers = read(numbered().batches(10))
    assert sizes == [10, 10, 3] and numbers == list(range(23))


@pytest.mark.parametrize("size", [1, 7, 23, 100])
def test_shuffled_batches_cover_everything_once(size: int, generator: torch.Generator) -> None:
    sizes, numbers = read(numbered().batches(size, generator))
    assert sorted(numbers) == list(range(23)) and numbers != list(range(23))
    assert sizes[:-1] == [min(size, 23)] * (len(sizes) - 1)


def test_batches_obey_their_generator_and_each_epoch_is_shuffled_anew() -> None:
    data, generator = numbered(), torch.Generator().manual_seed(1)
    first, second = read(data.batches(5, generator)), read(data.batches(5, generator))
    again = read(data.batches(5, torch.Generator().manual_seed(1)))
    assert first == again and first != second


@pytest.mark.parametrize("size", [0, -1])
def test_wrong_batch_size(size: int) -> None:
    with pytest.raises(ValueError, match=f"batch size must be at least 1, got {size}"):
        next(numbered().batches(size))


def test_every_grey_survives_the_round_trip() -> None:
    greys = torch.arange(256).to(torch.uint8)
    unit = to_unit(greys)
    assert unit.dtype == torch.float32 and unit[0] == 0 and unit[255] == 1
    assert torch.equal(to_bytes(unit), greys)
    assert greys.tolist() == list(range(256)), "to_unit must not touch its input"


def test_to_bytes_rounds_and_clamps() -> None:
    assert to_bytes(torch.tensor([-0.3, 1.4, 0.4999 / 255, 0.5001 / 255])).tolist() == [
        0,
        255,
        0,
        1,
    ]


def test_pixels_are_the_chosen_images_in_the_unit_interval() -> None:
    data = numbered()
    assert data.pixels().shape == (23, 1, 4, 4)
    for index in (slice(3, 5), torch.tensor([3, 4])):
        chosen = data.pixels(index)
        assert chosen.dtype == torch.float32
        torch.testing.assert_close(chosen[:, 0, 0, 0], torch.tensor([3 / 255, 4 / 255]))


def test_subset_by_slice_mask_and_positions() -> None:
    data = numbered()
    positions = torch.tensor([2, 5, 8])
    mask = torch.zeros(23, dtype=torch.bool)
    mask[positions] = True
    for part in (data.subset(slice(2, 9, 3)), data.subset(mask), data.subset(positions)):
        assert part.images[:, 0, 0, 0].tolist() == [2, 5, 8] and part.labels.tolist() == [2, 2, 2]
        assert part.classes == CLASSES and part.source == "memory"


def test_first() -> None:
    data = numbered()
    assert len(data.first(4)) == 4 and data.first(None) is data and len(data.first(99)) == 23


@pytest.mark.parametrize("device", ["cpu", *["cuda"] * torch.cuda.is_available()])
def test_to_moves_both_and_keeps_the_rest(device: str) -> None:
    data = dataclasses.replace(numbered(), source="here")
    moved = data.to(device)
    assert moved.device.type == moved.labels.device.type == device
    assert moved.sha256() == data.sha256()
    assert read(moved.batches(5, torch.Generator(device).manual_seed(0)))[0] == [5, 5, 5, 5, 3]
    assert (moved.source, moved.classes) == ("here", CLASSES)


def test_sha256_sees_a_pixel_a_label_and_nothing_else() -> None:
    data = numbered()
    known = data.sha256()
    assert len(known) == 64 and numbered().sha256() == known
    assert dataclasses.replace(data, source="elsewhere").sha256() == known
    images, labels = data.images.clone(), data.labels.clone()
    images[22, 0, 3, 3] += 1
    labels[22] = 0
    assert dataclasses.replace(data, images=images).sha256() != known
    assert dataclasses.replace(data, labels=labels).sha256() != known
    strided = data.images.mT.contiguous().mT  # the same numbers in another memory layout
    assert dataclasses.replace(data, images=strided).sha256() == known


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(2, 1, 4, 4)}, r"uint8 \(N, C, H, W\), got torch.float32 \(2, 1, 4"),
        ({"images": torch.zeros(2, 4, 4).byte()}, r"got torch.uint8 \(2, 4, 4\)"),
        ({"labels": torch.tensor([0, 1, 2])}, r"int64 \(2,\), .* got torch.int64 \(3,\)"),
        ({"labels": torch.tensor([0.0, 1.0])}, r"int64 \(2,\), .* got torch.float32 \(2,\)"),
        ({"labels": torch.tensor([[0], [1]])}, r"got torch.int64 \(2, 1\)"),
        ({"labels": torch.tensor([0, 3])}, "label 3 is out of range: known are 0 … 2"),
        ({"labels": torch.tensor([-1, 0])}, "label -1 is out of range: known are 0 … 2"),
    ],
)
def test_what_it_refuses(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(numbered(2), **change)


def test_check_labels_names_the_first_offender() -> None:
    check_labels(torch.arange(10), 10)
    check_labels(torch.empty(0, dtype=torch.long), 10)
    with pytest.raises(ValueError, match="label 10 is out of range: known are 0 … 9"):
        check_labels(torch.tensor([0, 10, -4]), 10)


# Images with captions.


COUNTS = [1, 3, 2, 5, 1, 2]


def captioned() -> CaptionedSet:
    """Image i is filled with the byte i; the vectors and texts of its captions tell i and j."""
    pairs = [(i, j) for i, count in enumerate(COUNTS) for j in range(count)]
    images = np.repeat(np.arange(len(COUNTS), dtype=np.uint8), 3 * 4 * 4).reshape(-1, 3, 4, 4)
    return CaptionedSet(
        images,
        np.array(pairs, np.float16),
        np.cumsum([0, *COUNTS]),
        [f"image {i}, caption {j}" for i, j in pairs],
        truths=[{"image": i} for i in range(len(COUNTS))],
    )


def told(data: CaptionedSet, *batches: torch.Tensor, seed=None) -> list[tuple[int, int]]:
    """Image and caption of each row that `take` yields."""
    rows = []
    for images, vectors in data.take(batches, seed):
        assert images.dtype == torch.uint8 and vectors.dtype == torch.float32
        assert images[:, 0, 0, 0].tolist() == vectors[:, 0].tolist(), "a caption left its image"
        rows += [(int(i), int(j)) for i, j in vectors]
    return rows


def test_captioned_batches_take_the_first_captions_in_order() -> None:
    data = captioned()
    sizes = [len(images) for images, _ in data.batches(4)]
    assert sizes == [4, 2]
    assert told(data, *torch.arange(6).split(4)) == [(i, 0) for i in range(6)]
    assert told(data, torch.tensor([4, 1]), torch.tensor([5])) == [(1, 0), (4, 0), (5, 0)]
    with pytest.raises(ValueError, match="batch size must be at least 1, got 0"):
        data.batches(0)


def test_the_drawn_caption_depends_on_seed_and_image_alone() -> None:
    data = captioned()
    whole = told(data, torch.arange(6), seed=(1, 2))
    parts = told(data, *torch.tensor([5, 0, 3, 1, 4, 2]).split(2), seed=(1, 2))
    assert sorted(parts) == whole
    assert len({tuple(told(data, torch.arange(6), seed=(1, epoch))) for epoch in range(9)}) > 5


def test_each_caption_is_drawn_equally_often() -> None:
    data = captioned()
    drawn = [row for epoch in range(1000) for row in told(data, torch.tensor([3]), seed=(epoch,))]
    for caption in range(5):
        assert drawn.count((3, caption)) == pytest.approx(200, abs=50), caption


def test_a_captioned_subset_keeps_captions_and_truths() -> None:
    data = captioned()
    mask = np.array([False, True, False, True, False, False])
    for part in (data.subset(mask), data.subset(np.array([1, 3])), data.subset(slice(1, 4, 2))):
        assert len(part) == 2 and part.first.tolist() == [0, 3, 8]
        assert part.captions[2:4] == ["image 1, caption 2", "image 3, caption 0"]
        assert part.vectors[:, 0].tolist() == [1] * 3 + [3] * 5
        assert part.truths == [{"image": 1}, {"image": 3}]
    assert [row[0] for row in told(data.subset(np.array([4, 0])), torch.arange(2))] == [4, 0]
    assert len(data.subset(slice(0))) == 0


def test_a_piece_of_a_captioned_set_is_no_copy() -> None:
    data = captioned()
    piece = data.subset(slice(1, 4))
    assert np.shares_memory(piece.images, data.images)
    assert np.shares_memory(piece.vectors, data.vectors)
    assert len(data.head(2)) == 2 and data.head(None) is data and len(data.head(99)) == 6


def test_the_sha256_of_a_captioned_set_sees_images_vectors_and_which_is_whose() -> None:
    data = captioned()
    known = data.sha256()
    assert len(known) == 64 and captioned().sha256() == known
    images, vectors, first = data.images.copy(), data.vectors.copy(), data.first.copy()
    images[5, 2, 3, 3] += 1
    vectors[13, 1] += 1
    first[1] += 1
    for change in ({"images": images}, {"vectors": vectors}, {"first": first}):
        assert dataclasses.replace(data, **change).sha256() != known
    assert dataclasses.replace(data, images=data.images.mT.copy().mT).sha256() == known


@pytest.mark.parametrize("device", ["cpu", *["cuda"] * torch.cuda.is_available()])
def test_captioned_batches_come_to_the_device(device: str) -> None:
    data = captioned().to(device)
    assert isinstance(data.images, np.ndarray) and data.sha256() == captioned().sha256()
    for images, vectors in data.batches(4):
        assert images.device.type == vectors.device.type == device


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((6, 4, 4), np.uint8)}, r"uint8 \(N, C, H, W\), got uint8 \(6, 4, 4\)"),
        ({"vectors": np.zeros((14, 2))}, r"float16 or float32 \(M, D\), got float64 \(14, 2\)"),
        ({"captions": ["one"]}, "1 captions have 14 vectors"),
        ({"first": np.arange(6)}, r"first must be int64 \(7,\), got int64 \(6,\)"),
        ({"first": np.arange(7)}, "first must rise from 0 to 14, got 0 and 6 at its ends"),
        ({"first": np.array([0, 1, 1, 6, 11, 12, 14])}, "image 1 has no caption"),
        ({"truths": [{}]}, "6 images have 1 truths"),
    ],
)
def test_what_a_captioned_set_refuses(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(captioned(), **change)
