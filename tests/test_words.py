"""The words of many texts: how they are kept, what a set of them hands out, how much they take."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from cvae_lib.checkpoint import CheckpointError
from cvae_lib.data import CaptionedSet, coco_captions, write_scenes
from cvae_lib.data.scenes import STYLES, joined, scenes
from cvae_lib.data.sets import about_encoder
from cvae_lib.data.words import Words
from cvae_lib.encoders import HashingTextEncoder, SemanticTextEncoder
from cvae_lib.models import TextConditionalVAE
from cvae_lib.pretrained import load
from cvae_lib.train import TrainConfig, fit

LENGTHS = [2, 0, 3, 1]
STARTS = np.cumsum([0, *LENGTHS])
VECTORS = np.arange(1, 13, dtype=np.float16).reshape(6, 2)


def by_table() -> Words:
    """Word i of all is row 5 - i of a table."""
    return Words(np.arange(6, dtype=np.uint16)[::-1], STARTS, VECTORS[::-1])


@pytest.mark.parametrize("make", [by_table, lambda: Words(VECTORS, STARTS)])
def test_texts_are_padded_to_the_longest_that_is_chosen(make) -> None:
    words = make()
    assert len(words) == 4
    for places in (np.array([3, 0, 3]), np.array([2, 1]), slice(0, 2), np.array([], int)):
        rows = words[places]
        chosen = np.arange(4)[places]
        longest = max((LENGTHS[i] for i in chosen), default=0)
        assert rows.dtype == np.float32 and rows.shape == (len(chosen), longest, 2)
        for row, i in zip(rows, chosen, strict=True):
            own = VECTORS[STARTS[i] : STARTS[i + 1]]
            assert np.array_equal(row[: len(own)], own) and not row[len(own) :].any()
    part = words.subset(np.array([2, 3]))
    assert np.array_equal(part[:], words[2:4]) and np.shares_memory(part.tokens, words.tokens)
    assert np.array_equal((words.subset(np.array([3])) + part)[:], words[np.array([3, 2, 3])])


def test_words_of_two_tables_do_not_join() -> None:
    with pytest.raises(ValueError, match="encode both sets with one encoder"):
        by_table() + Words(VECTORS, STARTS)
    other = dataclasses.replace(by_table(), table=VECTORS)
    with pytest.raises(ValueError, match="encode both sets with one encoder"):
        by_table() + other
    assert len(by_table() + by_table()) == 8


@pytest.fixture(scope="module")
def encoder() -> SemanticTextEncoder:
    return SemanticTextEncoder()


@pytest.fixture(scope="module")
def drawn(encoder: SemanticTextEncoder) -> CaptionedSet:
    return scenes("train", 12, 16, encoder=encoder, words=True)


def test_a_set_of_words_is_used_as_one_of_vectors(
    drawn: CaptionedSet, encoder: SemanticTextEncoder
) -> None:
    plain = scenes("train", 12, 16, encoder=encoder)
    assert (drawn.images == plain.images).all() and drawn.captions("told") == plain.captions("told")
    for style in (None, *STYLES):
        texts = drawn.captions(style)
        assert torch.equal(drawn.text_vectors(style), encoder.words(texts))
    part = drawn.subset(np.array([7, 2]))
    assert torch.equal(part.text_vectors("placed"), encoder.words(part.captions("placed")))
    assert torch.equal(drawn.first(3).text_vectors(), encoder.words(drawn.captions()[:3]))
    both = joined(drawn.first(2), scenes("unseen", 3, 16, encoder=encoder, words=True))
    assert torch.equal(both.text_vectors("told"), encoder.words(both.captions("told")))
    ((images, words),) = drawn.take([torch.tensor([5, 0])])
    assert torch.equal(images, torch.from_numpy(drawn.images[[5, 0]]))
    assert torch.equal(words, encoder.words([drawn.captions()[5], drawn.captions()[0]]))
    with pytest.raises(ValueError, match="60 texts have words of 4"):
        dataclasses.replace(drawn, vectors=by_table())


def test_hashes_of_a_set_see_words_and_table(drawn: CaptionedSet) -> None:
    words = drawn.vectors
    assert isinstance(words, Words) and words.table is not None
    tokens, table = words.tokens.copy(), words.table.copy()
    tokens[0] += 1
    table[0] += 1
    changes = [{}, {"tokens": tokens}, {"table": table}]
    others = [
        dataclasses.replace(drawn, vectors=dataclasses.replace(words, **change))
        for change in changes
    ]
    assert len({data.sha256() for data in others}) == 3
    assert len({data.fingerprint() for data in others}) == 3
    assert others[0].sha256() == drawn.sha256() and others[0].fingerprint() == drawn.fingerprint()


def styles_of(drawn: CaptionedSet, batches: list[torch.Tensor], seed: tuple[int, ...]) -> list[int]:
    """The one style that each batch has."""
    found = []
    for index, (_, words) in zip(batches, drawn.take(batches, seed), strict=True):
        of_style = [drawn.vectors[drawn.starts[index.numpy()] + k] for k in range(len(STYLES))]
        (style,) = [k for k, those in enumerate(of_style) if np.array_equal(those, words)]
        found.append(style)
    return found


def test_a_batch_of_words_has_one_style_and_an_epoch_goes_on_alike(drawn: CaptionedSet) -> None:
    batches = [*torch.arange(12).split(4)] * 20
    styles = styles_of(drawn, batches, (3, 1))
    assert styles != styles_of(drawn, batches, (3, 2))
    assert min(map(styles.count, range(len(STYLES)))) >= 4
    for done in (1, 17, 59):
        assert styles_of(drawn, batches[done:], (3, 1)) == styles[done:]
    halves = [batch[:2] for batch in batches]  # what another process has of each
    assert styles_of(drawn, halves, (3, 1)) == styles


def test_short_captions_make_short_batches(drawn: CaptionedSet) -> None:
    lengths = [drawn.text_vectors(style).shape[1] for style in STYLES]
    assert lengths[0] < lengths[3] < lengths[4]


@pytest.mark.parametrize("make", [HashingTextEncoder, SemanticTextEncoder])
def test_fifty_thousand_scenes_of_words_fit_into_300_mb(make) -> None:
    words = scenes("train", 200, 8, encoder=make(), words=True).vectors
    assert isinstance(words, Words) and words.table is not None
    each = (words.tokens.nbytes + words.starts.nbytes) / 200
    assert 50_000 * each + words.table.nbytes < 60e6


def test_a_folders_words_are_kept_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: SemanticTextEncoder
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("cvae_lib.data.coco.TEXTS", 7)
    write_scenes(tmp_path / "scenes", "valid", 6, 16)

    def read() -> CaptionedSet:
        return coco_captions("valid", 16, tmp_path / "scenes", encoder=encoder, words=True)

    first, expected = read(), scenes("valid", 6, 16, encoder=encoder, words=True)
    assert isinstance(first.vectors, Words) and isinstance(first.vectors.tokens, np.memmap)
    assert np.array_equal(first.vectors[:], expected.vectors[:])
    monkeypatch.setattr(encoder, "_tokens", lambda pieces: [] if not pieces else 1 / 0)
    again = read()
    assert again.sha256() == first.sha256() and again.fingerprint() == first.fingerprint()
    (kept,) = (tmp_path / "cache/cvae_lib/coco-arrays").glob("valid-words-*.raw")
    assert kept.stat().st_size == 2 * len(first.vectors.tokens)
    seen = [len(words[0]) for _, words in first.take([torch.tensor([i]) for i in range(6)], (1,))]
    assert seen != [len(first.vectors[np.array([i])][0]) for i in first.starts[:-1]]
    assert all(a < b for a, b in pairwise(first.starts))


def test_a_checkpoint_knows_its_semantic_encoder(
    tmp_path: Path, encoder: SemanticTextEncoder
) -> None:
    data, about = scenes("train", 20, 16, encoder=encoder), about_encoder(encoder)
    model = TextConditionalVAE(16, 4, encoder.dim, "film", width=4)
    for name in ("right", "wrong"):
        fit(model, data, data, TrainConfig(1), checkpoint=tmp_path / name, about=about)
        about = {"text_encoder": about["text_encoder"] | {"fingerprint": "0" * 64}}
    _, found, _ = load(str(tmp_path / "right"))
    assert found is not None and found.fingerprint == encoder.fingerprint
    with pytest.raises(CheckpointError, match="install that wordllama"):
        load(str(tmp_path / "wrong"))


def test_words_that_float16_cannot_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_scenes(tmp_path / "scenes", "valid", 2, 16)
    encoder = HashingTextEncoder(8)

    def ragged(texts: list[str]) -> Words:
        vectors = np.full((len(texts), 8), np.inf, np.float16)
        return Words(vectors, np.arange(len(texts) + 1))

    monkeypatch.setattr(encoder, "ragged", ragged)
    with pytest.raises(ValueError, match="words of hashing have values that float16 cannot hold"):
        coco_captions("valid", 16, tmp_path / "scenes", encoder=encoder, words=True)
