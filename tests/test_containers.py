"""The labelled set of bytes: batches, conversions, checksum, and what it refuses."""

import dataclasses

import pytest
import torch

from cvae_lib.data import ImageSet, check_labels, to_bytes, to_unit

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
        assert part.classes == CLASSES and part.source == "memory" and part.real


def test_first() -> None:
    data = numbered()
    assert len(data.first(4)) == 4 and data.first(None) is data and len(data.first(99)) == 23


@pytest.mark.parametrize("device", ["cpu", *["cuda"] * torch.cuda.is_available()])
def test_to_moves_both_and_keeps_the_rest(device: str) -> None:
    data = dataclasses.replace(numbered(), source="here", real=False)
    moved = data.to(device)
    assert moved.device.type == moved.labels.device.type == device
    assert moved.sha256() == data.sha256()
    assert read(moved.batches(5, torch.Generator(device).manual_seed(0)))[0] == [5, 5, 5, 5, 3]
    assert (moved.source, moved.real, moved.classes) == ("here", False, CLASSES)


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
