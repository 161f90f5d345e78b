"""The layout: places that a text leaves open, put into it before the picture is drawn."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from cvae_lib.data.scenes import open_texts, scenes
from cvae_lib.data.shapes import PLACES, SHAPES
from cvae_lib.encoders import HashingTextEncoder, SemanticTextEncoder
from cvae_lib.latent import fit_layout
from cvae_lib.models import TextConditionalVAE
from cvae_lib.models.layout import Layout
from cvae_lib.train import TrainConfig


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sentences(*lengths: int) -> torch.Tensor:
    """Texts of so many random words of 5 numbers, padded with zeros."""
    padded = torch.zeros(len(lengths), max(lengths), 5)
    for row, length in enumerate(lengths):
        padded[row, :length] = torch.randn(length, 5, generator=seeded(row))
    return padded


def test_phrases_stand_behind_the_words_they_are_chosen_for() -> None:
    layout = Layout(3, phrases=2)
    layout.phrases[1, :2], layout.phrases[2, :1] = 10.0, 20.0
    words = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]])[:, :, None].expand(-1, -1, 3)
    told = layout.tell(words, torch.tensor([[1, 0, 2], [0, 0, 0]]))[:, :, 0]
    assert told.tolist() == [[1, 10, 10, 2, 3, 20], [4, 0, 0, 0, 0, 0]]
    assert torch.equal(layout.tell(words, torch.zeros(2, 3, dtype=torch.long)), words)


def test_no_phrase_is_chosen_twice_nor_behind_a_text() -> None:
    torch.manual_seed(0)
    layout = Layout(5, phrases=3)
    choices = layout.choose(sentences(6, 2).repeat(200, 1, 1), seeded(), temperature=10.0)
    assert not choices[1::2, 2:].any() and choices[1::2].any()
    assert all((choices == phrase).sum(1).max() == 1 for phrase in (1, 2, 3))
    coldest = layout.choose(sentences(6, 2).repeat(20, 1, 1), temperature=0)
    assert torch.equal(coldest, coldest[:2].repeat(20, 1))


def test_the_nll_of_all_choices_is_that_of_a_distribution() -> None:
    torch.manual_seed(0)
    layout, words = Layout(5, phrases=1), sentences(2)
    every = torch.tensor([[i, j] for i in (0, 1) for j in (0, 1)])
    nll = layout.loss(words.expand(4, -1, -1), every)
    assert float(torch.exp(-nll).sum()) == pytest.approx(1)
    padded = torch.cat([words, torch.zeros(1, 3, 5)], 1).expand(4, -1, -1)
    choices = torch.cat([every, torch.zeros(4, 3, dtype=torch.long)], 1)
    torch.testing.assert_close(layout.loss(padded, choices), nll)


def test_open_texts_say_what_is_open() -> None:
    data = scenes("train", 60, 16, encoder=HashingTextEncoder(8))
    with pytest.raises(ValueError, match="learnt from scenes, whose truth is known, not Scenes"):
        open_texts(replace(data, truths=None))
    found = open_texts(data)
    assert found == open_texts(data) != open_texts(data, seed=1)
    several = sum(len(scene.things) > 1 for scene in data.truths or ())
    assert len(found) == 60 + 3 * several
    names = {word for words in SHAPES.values() for word in words}
    spoken = [phrase for row in PLACES for cell in row for phrase in cell]
    for text, places in found:
        for end, place in places.items():
            assert text[:end].endswith(tuple(names)) and 0 <= place < 9
            assert not text[end:].startswith(tuple(f" {phrase}" for phrase in spoken))
        held = sum(text.count(f" {name}") for name in names if f" {name}" in text)
        assert held >= len(places)
    assert {len(places) for _, places in found} == {0, 1, 2, 3}


def test_a_fitted_layout_puts_places_into_what_is_drawn() -> None:
    encoder = SemanticTextEncoder()
    torch.manual_seed(0)
    model = TextConditionalVAE(16, 4, 256, "attend", width=4)
    data = scenes("train", 200, 16, encoder=encoder, words=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = TrainConfig(epochs=12, batch_size=32, lr=5e-3)
    told = fit_layout(model, data, encoder, config)
    assert told["nll"][-1] < 0.5 * told["nll"][0] and len(told["nll"]) == 12
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(name.startswith("prior.layout.") for name in changed)
    assert model.prior.fitted and not any(p.requires_grad for p in model.prior.layout.parameters())
    words = encoder.words(["a red circle"] * 50)
    choices = model.prior.layout.choose(words, seeded())
    assert (choices[:, 2] > 0).float().mean() > 0.8 > 0.2 > (choices[:, :2] > 0).float().mean()
    drawn = model.sample(words, seeded())
    told_first = model.prior.layout.complete(words, seeded())
    assert not torch.equal(drawn, model.sample(words, seeded(), fitted_prior=False))
    assert told_first.shape[1] > words.shape[1]
    again = fit_layout(copy.deepcopy(model), data, encoder, replace(config, epochs=1))
    assert again["nll"][0] < told["nll"][0] and again["texts"] == told["texts"]
