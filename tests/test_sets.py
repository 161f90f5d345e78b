"""The two sets of bytes: batches, conversions, checksums, and what they refuse."""

import dataclasses

import numpy as np
import pytest
import torch

from cvae_lib.data import CaptionedSet, ImageSet, sets, to_unit

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


@pytest.mark.parametrize("size", [1, 7, 23, 100])
def test_batches_cover_everything_once(size: int, generator: torch.Generator) -> None:
    sizes, numbers = read(numbered().batches(size))
    assert numbers == list(range(23)) and sizes[:-1] == [min(size, 23)] * (len(sizes) - 1)
    shuffled = read(numbered().batches(size, generator))
    assert shuffled[0] == sizes and sorted(shuffled[1]) == numbers != shuffled[1]


def test_batches_obey_their_generator_and_each_epoch_is_shuffled_anew() -> None:
    data, generator = numbered(), torch.Generator().manual_seed(1)
    first, second = read(data.batches(5, generator)), read(data.batches(5, generator))
    again = read(data.batches(5, torch.Generator().manual_seed(1)))
    assert first == again and first != second


def test_wrong_batch_size() -> None:
    for data in (numbered(), captioned()):
        with pytest.raises(ValueError, match="batch size must be at least 1, got 0"):
            data.batches(0)


def test_every_grey_survives_the_round_trip() -> None:
    greys = torch.arange(256).to(torch.uint8)
    unit = to_unit(greys)
    assert unit.dtype == torch.float32 and unit[0] == 0 and unit[255] == 1
    assert torch.equal((unit * 255).round().to(torch.uint8), greys)
    assert greys.tolist() == list(range(256)), "to_unit must not touch its input"


def test_to_unit_is_for_bytes_and_leaves_them_alone() -> None:
    unit = to_unit(torch.tensor([0, 51]).byte())
    with pytest.raises(ValueError, match=r"must be uint8, got torch\.float32"):
        to_unit(unit)
    assert unit.tolist() == pytest.approx([0, 0.2])


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
    for data, count in ((numbered(), 23), (captioned(), 6)):
        assert len(data.first(4)) == 4 and data.first(None) is data
        assert len(data.first(99)) == count


@pytest.mark.parametrize("device", ["cpu", *["cuda"] * torch.cuda.is_available()])
def test_to_moves_both_and_keeps_the_rest(device: str) -> None:
    data = dataclasses.replace(numbered(), source="here")
    moved = data.to(device)
    assert moved.images.device.type == moved.labels.device.type == device
    assert moved.sha256() == data.sha256()
    assert read(moved.batches(5, torch.Generator(device).manual_seed(0)))[0] == [5, 5, 5, 5, 3]
    assert (moved.source, moved.classes) == ("here", CLASSES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(2, 1, 4, 4)}, r"uint8 \(N, C, H, W\), got torch.float32 \(2, 1, 4"),
        ({"images": torch.zeros(2, 4, 4).byte()}, r"got torch.uint8 \(2, 4, 4\)"),
        ({"labels": torch.tensor([0, 1, 2])}, r"shape \(2,\), got torch.int64 \(3,\)"),
        ({"labels": [True, False]}, r"whole numbers .* got torch.bool \(2,\)"),
        ({"labels": torch.tensor([0.0, 1.0])}, r"whole numbers .* got torch.float32 \(2,\)"),
        ({"labels": torch.tensor([[0], [1]])}, r"got torch.int64 \(2, 1\)"),
        ({"labels": torch.tensor([0, 3])}, "label 3 is out of range: known are 0 … 2"),
        ({"labels": torch.tensor([-1, 0])}, "label -1 is out of range: known are 0 … 2"),
    ],
)
def test_what_it_refuses(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(numbered(2), **change)


@pytest.mark.parametrize(("name", "value"), [("images", "cats"), ("labels", [[0], [1, 2]])])
def test_what_is_no_array_is_named_by_its_type(name: str, value) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a tensor.* got .*{type(value).__name__}"):
        dataclasses.replace(numbered(2), **{name: value})


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], np.array([0, 1, 2], np.uint8), torch.arange(3).int()]
)
def test_arrays_and_lists_become_tensors(labels) -> None:
    data = ImageSet(numbered(3).images.numpy(), labels, CLASSES)
    assert data.sha256() == numbered(3).sha256() == data.fingerprint()


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


@pytest.mark.parametrize(
    ("make", "names"),
    [(numbered, ("images", "labels")), (captioned, ("images", "vectors", "starts"))],
)
def test_sha256_sees_every_array_and_nothing_else(make, names: tuple[str, ...]) -> None:
    data = make()
    known = data.sha256()
    assert len(known) == 64 and make().sha256() == known
    assert dataclasses.replace(data, source="elsewhere").sha256() == known
    for name in names:
        changed = getattr(data, name) + 0
        changed[(1,) + (0,) * (changed.ndim - 1)] += 1
        assert dataclasses.replace(data, **{name: changed}).sha256() != known
    strided = torch.as_tensor(data.images).mT.contiguous().mT  # in another memory layout
    assert dataclasses.replace(data, images=strided).sha256() == known


def test_captioned_batches_take_the_first_captions_in_order() -> None:
    data = captioned()
    sizes = [len(images) for images, _ in data.batches(4)]
    assert sizes == [4, 2]
    assert told(data, *torch.arange(6).split(4)) == [(i, 0) for i in range(6)]
    assert told(data, torch.tensor([4, 1]), torch.tensor([5])) == [(4, 0), (1, 0), (5, 0)]


def test_both_sets_hand_images_back_in_the_order_asked_for() -> None:
    for data in (numbered(), captioned()):
        batches = data.take([torch.tensor([4, 1, 5, 0]), torch.tensor([2, 2])], (0,))
        assert [images[:, 0, 0, 0].tolist() for images, _ in batches] == [[4, 1, 5, 0], [2, 2]]


def test_a_caption_is_found_by_its_style() -> None:
    data = captioned()
    assert data.captions() == [f"image {i}, caption 0" for i in range(6)]
    assert data.text_vectors().tolist() == [[i, 0] for i in range(6)]
    with pytest.raises(ValueError, match=r"no style 'placed' .* none: these captions are of no"):
        data.text_vectors("placed")
    pairs = dataclasses.replace(data.subset(np.array([2, 5])), styles=("short", "long"))
    vectors = pairs.text_vectors("long")
    assert vectors.dtype == torch.float32 and vectors.tolist() == [[2, 1], [5, 1]]
    assert pairs.text_vectors("short").tolist() == [[2, 0], [5, 0]]
    with pytest.raises(ValueError, match=r"no style 'told' .* known are short, long"):
        pairs.text_vectors("told")
    with pytest.raises(ValueError, match="image 0 has 1 captions, want 2, one of each style"):
        dataclasses.replace(data, styles=("short", "long"))


def test_the_fingerprint_of_a_large_set_sees_all_captions_and_some_images(monkeypatch) -> None:
    monkeypatch.setattr(sets, "SAMPLED", 2)  # the first and the last image
    data = captioned()
    known = data.fingerprint()
    assert known == captioned().fingerprint() == data.to("cpu").fingerprint() != data.sha256()
    images, vectors = data.images.copy(), data.vectors.copy()
    images[5, 2, 3, 3] += 1
    vectors[13, 1] += 1
    texts = [*data.texts[:5], "another", *data.texts[6:]]
    starts = np.array([0, 1, 3, 6, 11, 12, 14])
    for change in ({"images": images}, {"vectors": vectors}, {"texts": texts}, {"starts": starts}):
        assert dataclasses.replace(data, **change).fingerprint() != known
    parts = (data.subset(slice(1, 4)), data.subset(np.arange(1, 4)), data.first(3))
    prints = [part.fingerprint() for part in parts]
    assert prints[0] == prints[1] and len({known, *prints}) == 3


def test_the_drawn_caption_depends_on_seed_and_image_alone() -> None:
    data = captioned()
    whole = told(data, torch.arange(6), seed=(1, 2))
    order = [5, 0, 3, 1, 4, 2]
    parts = told(data, *torch.tensor(order).split(2), seed=(1, 2))
    assert parts == [whole[i] for i in order]
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
        assert len(part) == 2 and part.starts.tolist() == [0, 3, 8]
        assert part.texts[2:4] == ["image 1, caption 2", "image 3, caption 0"]
        assert part.vectors[:, 0].tolist() == [1] * 3 + [3] * 5
        assert part.truths == [{"image": 1}, {"image": 3}]
    assert [row[0] for row in told(data.subset(np.array([4, 0])), torch.arange(2))] == [4, 0]
    assert len(data.subset(slice(0))) == 0


def test_tensors_and_lists_become_arrays() -> None:
    data = captioned()
    images, vectors = torch.from_numpy(data.images), torch.from_numpy(data.vectors)
    other = CaptionedSet(images, vectors, data.starts.tolist(), data.texts)
    assert other.sha256() == data.sha256() and told(other, torch.tensor([3])) == [(3, 0)]


def test_a_piece_of_a_captioned_set_is_no_copy() -> None:
    data = captioned()
    piece = data.subset(slice(1, 4))
    assert np.shares_memory(piece.images, data.images)
    assert np.shares_memory(piece.vectors, data.vectors)


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
        ({"vectors": np.zeros((14, 2))}, r"float16 or float32 \(14, D\).* got float64 \(14, 2\)"),
        ({"texts": ["one"]}, r"one for each text, must be .* \(1, D\), got float16 \(14, 2\)"),
        ({"starts": np.arange(6)}, r"starts must be int64 \(7,\), got int64 \(6,\)"),
        ({"starts": np.arange(7)}, r"starts must rise from 0 to 14, got \(0, 6\) at its ends"),
        ({"starts": np.array([0, 1, 1, 6, 11, 12, 14])}, "image 1 has 0 captions, want at least 1"),
        ({"truths": [{}]}, "6 images have 1 truths"),
    ],
)
def test_what_a_captioned_set_refuses(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(captioned(), **change)
