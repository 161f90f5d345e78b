"""Texts to vectors: hashing, CLIP's real code on small random weights, and pieces."""

import copy
import hashlib
import importlib.util
import io
import json
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import HashingVectorizer
from torch import nn

from cvae_lib import encoders
from cvae_lib.clip import import_clip, token_pieces
from cvae_lib.encoders import (
    WEIGHTS_VARIABLE,
    ClipTextEncoder,
    HashingTextEncoder,
    SemanticTextEncoder,
)
from cvae_lib.text import has_word, split_sentences

TEXTS = [
    "a red circle",
    "A small blue square stands left of a green star. The background is grey.",
    "Mr. Smith, in the U.S. since 1990, owns 3.5 dogs... He says so! Does he?",
    "红圆。蓝方！",
    "🐕 & <b>dog</b> &amp; “cat”",
    " ".join(["a man, who rides a brown horse, waves and"] * 12) + " smiles.",
    "x",
]
LONG = TEXTS[5]
DIM = 48


@pytest.fixture(scope="session")
def clip() -> Any:
    return import_clip()


@pytest.fixture(scope="session")
def weights(clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random CLIP as a TorchScript archive of half-precision numbers, as OpenAI's is."""
    torch.manual_seed(0)
    model = clip.model.CLIP(
        embed_dim=DIM, image_resolution=32, vision_layers=1, vision_width=64, vision_patch_size=16,
        context_length=77, vocab_size=49408,
        transformer_width=128, transformer_heads=2, transformer_layers=2,
    )  # fmt: skip
    for parameter in (model.token_embedding.weight, model.positional_embedding):
        nn.init.normal_(parameter)  # of some size, so that words and places matter
    clip.model.convert_weights(model)
    path = tmp_path_factory.mktemp("clip") / "small.pt"
    example = torch.zeros(1, 3, 32, 32), clip.tokenize(["a"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and talkative
        torch.jit.trace(model.float().eval(), example, check_trace=False).save(str(path))
    return path


@pytest.fixture(scope="session")
def authors(clip: Any, weights: Path) -> Any:
    """CLIP as its authors run it: the whole model, all 77 tokens."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clip.load(str(weights), device="cpu")[0]


def clip_of(weights: Path, device: str | torch.device = "cpu") -> ClipTextEncoder:
    """CLIP with the weights of a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS_VARIABLE, str(weights))
        return ClipTextEncoder(device)


@pytest.fixture(scope="session")
def encoder(weights: Path) -> ClipTextEncoder:
    return clip_of(weights)


@pytest.fixture(scope="session")
def semantic() -> SemanticTextEncoder:
    return SemanticTextEncoder()


@pytest.fixture(params=["hashing", "semantic", "clip"])
def any_encoder(request: pytest.FixtureRequest) -> Any:
    if request.param == "hashing":
        return HashingTextEncoder()
    return request.getfixturevalue(request.param.replace("clip", "encoder"))


# All encoders


def test_vectors_are_float32_and_one_for_each_text(any_encoder: Any) -> None:
    vectors = any_encoder(TEXTS)
    assert vectors.dtype == torch.float32 and vectors.shape == (len(TEXTS), any_encoder.dim)
    assert vectors.isfinite().all() and (vectors.norm(dim=1) > 0).all()
    assert vectors.device.type == "cpu" and not vectors.requires_grad
    assert any_encoder([]).shape == (0, any_encoder.dim)


def test_a_text_has_the_same_vector_in_every_company(any_encoder: Any) -> None:
    together = any_encoder(TEXTS)
    alone = torch.cat([any_encoder([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-6, rtol=0)
    np.testing.assert_allclose(any_encoder(TEXTS[::-1]), together.flip(0), atol=1e-6, rtol=0)


def test_a_text_is_the_mean_of_its_sentences_read_to_their_ends(any_encoder: Any) -> None:
    parts = ["A red circle.", LONG, "The background is grey."]
    whole = any_encoder([" ".join(parts)])[0]
    np.testing.assert_allclose(whole, any_encoder(parts).mean(dim=0), atol=1e-6)
    red, blue = any_encoder([f"{LONG[:-1]} at a {colour} dog." for colour in ("red", "blue")])
    assert (red - blue).abs().max() > 1e-3


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "👍", "...", "\u200b"])
def test_a_text_without_a_word_is_named(any_encoder: Any, text: str) -> None:
    if any_encoder.name == "clip" and text in ("👍", "...", "\u200b"):
        assert any_encoder([text]).norm() > 0  # these are words to CLIP
        return
    with pytest.raises(ValueError, match=f"text {re.escape(repr(text))} has no word"):
        any_encoder(["a dog", text])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("a dog", "texts is a str: 'a dog'; want a list of str"),
        ((text for text in TEXTS), "texts is a generator: .*; want a list of str"),
        (None, "texts is a NoneType: None; want a list of str"),
        (["a dog", None], "a text is NoneType None; want a str"),
        ([b"a dog"], "a text is bytes b'a dog'; want a str"),
    ],
)
def test_texts_are_a_list_of_str(any_encoder: Any, wrong: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        any_encoder(wrong)
    some = np.array(TEXTS[:2])
    assert torch.equal(any_encoder(some), any_encoder(tuple(TEXTS[:2])))


HOSTILE = ["&nbsp;", "&amp;nbsp;", "\x1b[31m", "Â\xa0", "\ufeffÂ\xa0", "²", "\ud800 a", "🐕 <|b"]
SHORT = st.text(st.characters(), max_size=8)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.sampled_from(HOSTILE), SHORT, SHORT.map(lambda text: f"a {text} " * 100)))
def test_a_text_with_a_word_has_a_vector(
    encoder: ClipTextEncoder, semantic: SemanticTextEncoder, text: str
) -> None:
    assume(has_word(text))
    for encode in (encoder, semantic, HashingTextEncoder(1024)):  # 16 buckets can cancel
        assert encode([text]).isfinite().all() and encode([text]).norm() > 0
        words = encode.words([text])[0]
        assert words.isfinite().all() and words.any(-1).all() and len(words)


def test_nothing_is_in_a_models_state_and_a_copy_is_one(any_encoder: Any) -> None:
    model = nn.Linear(2, 2)
    model.encoder = any_encoder
    model.to(torch.float64).train()
    assert set(model.state_dict()) == set(dict(model.named_parameters())) == {"weight", "bias"}
    copied = copy.deepcopy(model).encoder
    assert torch.equal(copied(["a dog"]), any_encoder(["a dog"]))
    assert copied(["a dog"]).dtype == torch.float32
    assert json.dumps([any_encoder.name, any_encoder.dim, any_encoder.fingerprint])


# A vector for each word


def test_words_are_padded_with_zeros_and_the_mask_is_what_is_not_zero(any_encoder: Any) -> None:
    words = any_encoder.words(TEXTS)
    mask = words.any(-1)
    assert words.dtype == torch.float32 and words.shape == (*mask.shape, any_encoder.word_dim)
    counts = mask.sum(1)
    assert counts.max() == words.shape[1] and counts.min() > 0
    assert torch.equal(mask, torch.arange(words.shape[1]) < counts[:, None]), "a word was skipped"
    assert any_encoder.words([]).shape == (0, 0, any_encoder.word_dim)
    with pytest.raises(TypeError, match="want a list of str"):
        any_encoder.words("a dog")


def test_a_texts_words_are_the_same_in_every_company(any_encoder: Any) -> None:
    for text, row in zip(TEXTS, any_encoder.words(TEXTS), strict=True):
        (alone,) = any_encoder.words([text])
        assert not row[len(alone) :].any()
        np.testing.assert_allclose(row[: len(alone)], alone, atol=2e-3, rtol=2e-3)  # of float16


def test_words_keep_their_order_and_what_stands_behind_them_is_read_later(any_encoder: Any) -> None:
    pair = any_encoder.words(["a red circle above a blue square", "a blue square above a red ring"])
    assert not torch.equal(*pair)
    start, both = any_encoder.words(["a red circle", "a red circle above"])
    same = 3 if any_encoder.table is not None else 4  # with CLIP's mark, which comes first
    np.testing.assert_allclose(start[:same], both[:same], atol=2e-3)
    parts = ["A red circle.", LONG, "The background is grey."]
    whole = any_encoder.ragged([" ".join(parts)])
    assert np.array_equal(whole.tokens, any_encoder.ragged(parts).tokens)


def test_table_encoders_keep_a_number_for_each_word() -> None:
    for encoder in (HashingTextEncoder(), SemanticTextEncoder()):
        kept = encoder.ragged(["a red circle", "x"])
        assert kept.tokens.dtype == np.uint16 and kept.tokens.shape == (4,)
        assert kept.starts.tolist() == [0, 3, 4] and kept.table is encoder.table
        assert encoder.table.dtype == np.float16 and encoder.table.any(1).all()


# Hashing


def test_a_hashed_word_is_the_vector_of_the_word_alone() -> None:
    encode = HashingTextEncoder()
    alone = encode(["a", "red", "café", "3"])
    assert torch.equal(encode.words(["A red cafe, 3!"])[0], alone)


def test_hashing_is_the_librarys_own() -> None:
    vectorizer = HashingVectorizer(n_features=512, ngram_range=(1, 2), token_pattern=r"\w+")
    expected = vectorizer.transform(["a red circle"]).toarray()
    np.testing.assert_allclose(HashingTextEncoder()(["a red circle"]), expected, atol=1e-7)


def test_hashing_sees_one_letter_words_numbers_and_order_but_not_case_or_accents() -> None:
    encode = HashingTextEncoder()
    assert encode(["a red circle"]).norm().item() == pytest.approx(1, abs=1e-6)
    different = ["red circle", "a red circle", "3 red circle", "7 red circle", "circle a red"]
    assert len({tuple(vector) for vector in encode(different).tolist()}) == len(different)
    same = encode(["Café RED", "cafe red", "cafe\u0301 red", "ｃａｆｅ red"])
    assert (same == same[0]).all()


def test_hashing_fingerprint_is_of_its_settings() -> None:
    shipped = json.loads(files("cvae_lib").joinpath("pretrained/scenes-film.json").read_text())
    assert HashingTextEncoder().fingerprint == shipped["text_encoder"]["fingerprint"]
    assert HashingTextEncoder(64).fingerprint != HashingTextEncoder(512).fingerprint
    assert HashingTextEncoder(np.int64(64)).fingerprint == HashingTextEncoder(64).fingerprint
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        HashingTextEncoder(0)


# Semantic


def test_semantic_vectors_are_wordllamas_own(semantic: SemanticTextEncoder) -> None:
    texts = ["a red circle", "a maroon five-pointed star", "three tangerine hoops, naïve 🐕 红色"]
    found = run(f"""
import json, pathlib
from safetensors.numpy import load_file
from tokenizers import Tokenizer
import wordllama.inference as theirs
weights, tokens = [pathlib.Path(theirs.__file__).parent / n for n in {encoders.WORDLLAMA}]
table = load_file(weights)["embedding.weight"]
model = theirs.WordLlamaInference(table, Tokenizer.from_file(str(tokens)))
print(json.dumps(model.embed({texts!r}).tolist()))
""")
    np.testing.assert_allclose(semantic(texts), json.loads(found), atol=1e-5)
    means = [words[words.any(-1)].mean(0).numpy() for words in semantic.words(texts)]
    np.testing.assert_allclose(means, json.loads(found), atol=1e-5)
    assert (semantic.name, semantic.dim, semantic.word_dim) == ("semantic", 256, 256)
    assert torch.equal(*semantic(["A RED Circle", "a red circle"]))


def test_like_words_lie_near_each_other(semantic: SemanticTextEncoder) -> None:
    near = {"sphere": "circle", "cube": "square", "pyramid": "triangle", "ruby": "red"}
    for word, like in near.items():
        a, b, other = semantic([word, like, "background"])
        assert torch.cosine_similarity(a, b, dim=0) > torch.cosine_similarity(a, other, dim=0) + 0.1


def test_semantic_files_are_found_read_and_told_apart(
    semantic: SemanticTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Path(str(files("wordllama")))
    found = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: found)
    for name in encoders.WORDLLAMA:
        with pytest.raises(ImportError, match=f"wordllama .*{name}.*: pip install"):
            SemanticTextEncoder()
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes((installed / name).read_bytes())
    assert SemanticTextEncoder().fingerprint == semantic.fingerprint
    tokenizer = tmp_path / encoders.WORDLLAMA[1]
    tokenizer.write_text(tokenizer.read_text() + " ")
    assert SemanticTextEncoder().fingerprint != semantic.fingerprint
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"no word vectors of wordllama .*: pip install"):
        SemanticTextEncoder()


# CLIP


def test_clips_words_are_what_its_tower_gives_before_the_projection(
    encoder: ClipTextEncoder, clip: Any, authors: Any
) -> None:
    seen: list[Any] = []
    hook = authors.ln_final.register_forward_hook(lambda *given: seen.append(given[2]))
    with torch.inference_mode():
        pooled = authors.encode_text(clip.tokenize(["a red circle", "don't"]))
    hook.remove()
    (tower,) = seen
    words = encoder.words(["a red circle", "don't"])
    assert words.shape == (2, 5, 128) and encoder.word_dim == 128  # two of the five are marks
    np.testing.assert_allclose(words[0], tower[0, :5].float(), atol=2e-3)
    np.testing.assert_allclose(words[1, :4], tower[1, :4].float(), atol=2e-3)
    ends = words[0, -1] @ encoder._tower.text_projection
    np.testing.assert_allclose(ends, pooled[0].float(), atol=2e-2)
    assert encoder.words([LONG]).shape[1] == sum(len(p) + 2 for p in encoder._pieces(LONG)) > 77


def test_clip_is_the_authors(encoder: ClipTextEncoder, clip: Any, authors: Any) -> None:
    def encode(texts: list[str]) -> np.ndarray:
        with torch.inference_mode():
            return authors.encode_text(clip.tokenize(texts)).numpy()

    short = [TEXTS[0], TEXTS[6], "Two dogs; one cat!", "don't", "🐕 &amp; 犬"]
    np.testing.assert_allclose(encoder(short), encode(short), atol=2e-5)
    sentences = split_sentences(TEXTS[2])
    assert len(sentences) == 3
    expected = encode(sentences).mean(axis=0)
    np.testing.assert_allclose(encoder([TEXTS[2]])[0], expected, atol=2e-5)


def test_clip_is_its_files_text_half_frozen(encoder: ClipTextEncoder, weights: Path) -> None:
    assert (encoder.name, encoder.dim) == ("clip", DIM)
    assert encoder.fingerprint == hashlib.sha256(weights.read_bytes()).hexdigest()
    names = dict(encoder._tower.named_parameters())
    assert names and not [name for name in names if "visual" in name]
    assert not any(p.requires_grad for p in names.values()) and not encoder._tower.training


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_clip_batches(
    encoder: ClipTextEncoder, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, shapes = encoder(TEXTS), list[torch.Size]()
    monkeypatch.setattr(encoders, "BATCH", batch_size)
    embedding = encoder._tower.token_embedding
    hook = embedding.register_forward_hook(lambda *given: shapes.append(given[1][0].shape))
    np.testing.assert_allclose(encoder(TEXTS), expected, atol=1e-6, rtol=0)
    hook.remove()
    assert max(rows for _, rows in shapes) <= batch_size
    assert len(shapes) == -(-sum(rows for _, rows in shapes) // batch_size)
    assert max(length for length, _ in shapes) <= 77


def test_clip_runs_on_the_device_it_is_given(encoder: ClipTextEncoder, weights: Path) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    other = clip_of(weights, torch.device(device))
    assert {p.device.type for p in other._tower.parameters()} == {device}
    np.testing.assert_allclose(other(TEXTS), encoder(TEXTS), atol=1e-4)
    # "meta" computes nothing: getting as far as its missing numbers shows that it was used
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        clip_of(weights, "meta")(["a dog"])


def test_clip_reads_on_behind_an_end_mark(encoder: ClipTextEncoder) -> None:
    for mark in ("<|endoftext|>", "&lt;|endoftext|&gt;", "<|startoftext|>"):
        red, blue = encoder([f"a dog {mark} red", f"a dog {mark} blue"])
        assert (red - blue).abs().max() > 1e-3


def test_clip_reads_a_state_dict(encoder: ClipTextEncoder, authors: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({name: tensor.half() for name, tensor in authors.state_dict().items()}, path)
    other = clip_of(path)
    assert other.fingerprint != encoder.fingerprint
    np.testing.assert_allclose(other(TEXTS), encoder(TEXTS), atol=2e-2)


# Where CLIP's weights come from; `test_weights` has the rest


def test_the_hubs_cache_is_used_if_it_is_what_was_published(
    clip: Any, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise requests.ConnectionError("no route to host")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(requests, "get", refuse)
    cached = tmp_path / ".cache/clip/ViT-B-32.pt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(weights.read_bytes())
    with pytest.raises(FileNotFoundError, match=f"CLIP weights at {cached}.*no route to host"):
        ClipTextEncoder()
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    url = f"https://weights.example/{digest}/ViT-B-32.pt"
    monkeypatch.setitem(clip.clip._MODELS, "ViT-B/32", url)
    assert ClipTextEncoder().dim == DIM
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} is no file"):
        ClipTextEncoder()


class Harmful:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("harm-was-done"),)


OTHER_CONTENT: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "pickled code": lambda state: {**state, "positional_embedding": Harmful()},
    "another model": lambda state: nn.Linear(2, 2).state_dict(),
    "another vocabulary": lambda state: {**state, "token_embedding.weight": torch.zeros(10, 128)},
    "half a tower": lambda state: {name: state[name] for name in state if "ln_final" not in name},
    "no dictionary": lambda state: torch.zeros(3),
}


@pytest.mark.parametrize("kind", ["empty", "a web page", "cut off", *OTHER_CONTENT])
def test_unreadable_weights_are_named(
    kind: str, authors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "broken.pt"
    torch.save(OTHER_CONTENT.get(kind, dict)(authors.state_dict()), path)
    if kind not in OTHER_CONTENT:
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "a web page": b"<html>404"}.get(kind, whole[:-1000]))
    with pytest.raises(ValueError, match=r"broken\.pt does not hold CLIP's weights"):
        clip_of(path)
    assert not Path("harm-was-done").exists()


# `import clip` under any setuptools


def run(script: str) -> str:
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


@pytest.mark.parametrize("setuptools", [84, 80])
def test_clip_is_imported_under_any_setuptools(
    setuptools: int, weights: Path, tmp_path: Path
) -> None:
    old = "import packaging.version, warnings; warnings.warn('pkg_resources is deprecated')"
    (tmp_path / "pkg_resources.py").write_text(old)
    run(f"""
import os, sys
sys.path.insert(0, {str(tmp_path)!r})
if {setuptools} > 80:
    sys.modules["pkg_resources"] = None
import cvae_lib.encoders
early = {{"clip", "sklearn", "tokenizers", "wordllama"}} & sys.modules.keys()
assert not early, f"{{early}} imported too early"
os.environ[{WEIGHTS_VARIABLE!r}] = {str(weights)!r}
vectors = cvae_lib.encoders.ClipTextEncoder()(["a dog"])
assert vectors.shape == (1, {DIM})
assert not sys.modules.get("pkg_resources"), "a stand-in was left behind"
""")


def test_a_pkg_resources_in_use_stays_in_use(clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkg_resources", io)
    assert import_clip() is clip
    assert sys.modules["pkg_resources"] is io


OTHER_CLIPS = {
    "clip.py": "print = 3",
    "clip/__init__.py": "import nowhere_to_be_found",
    "ftfy.py": "raise ImportError('no ftfy here')",
}


@pytest.mark.parametrize("name", OTHER_CLIPS)
def test_another_clip_is_named_and_photographs_are_done_without(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(OTHER_CLIPS[name])
    said, about = run(f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from cvae_lib.corpus import load_corpus
from cvae_lib.encoders import ClipTextEncoder
from cvae_lib.scale import SCALES
try:
    ClipTextEncoder()
except ImportError as error:
    print(error)
print(load_corpus(SCALES["gpu"], 16, 2, 1).about)
""").splitlines()
    assert said.startswith("`clip` is not openai-clip (") and "pip install openai-clip" in said
    assert "clip" in name or "no ftfy here" in said
    assert "2 drawn scenes" in about and said in about


# Long sentences


def by_letters(text: str) -> list[int]:
    """One token a letter: a stand-in for CLIP's, whose cuts are easy to see."""
    return [ord(letter) for letter in text if not letter.isspace()]


def cut(sentence: str, room: int) -> list[str]:
    return ["".join(map(chr, piece)) for piece in token_pieces(sentence, by_letters, room)]


@pytest.mark.parametrize(
    ("sentence", "room", "pieces"),
    [
        ("", 5, []),
        ("one two", 6, ["onetwo"]),
        ("one two three", 10, ["onetwo", "three"]),
        ("one two six ten", 11, ["onetwo", "sixten"]),  # of similar length
        ("ab cd ef gh ij", 8, ["abcdef", "ghij"]),  # as few as fit
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("ab cdefghij", 4, ["ab", "cdef", "ghij"]),
    ],
)
def test_cuts(sentence: str, room: int, pieces: list[str]) -> None:
    assert cut(sentence, room) == pieces


@given(st.text(st.sampled_from("ab ,;–，。 and"), max_size=80), st.integers(1, 12))
def test_pieces_are_short_and_lose_nothing(sentence: str, room: int) -> None:
    pieces = cut(sentence, room)
    assert "".join(pieces) == "".join(sentence.split())
    assert all(0 < len(piece) <= room for piece in pieces)


words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=150)


@settings(max_examples=30, deadline=None)
@given(st.lists(words, min_size=1, max_size=60), st.sampled_from([" ", ", ", " and ", ""]))
def test_clip_reads_every_word_of_a_sentence(
    encoder: ClipTextEncoder, parts: list[str], joint: str
) -> None:
    sentence = joint.join(parts)
    pieces = encoder._pieces(sentence)
    read = "".join(encoder._tokenizer.decode(piece) for piece in pieces)
    assert "".join(read.split()) == "".join(sentence.lower().split())
    assert all(len(piece) <= 75 for piece in pieces)
