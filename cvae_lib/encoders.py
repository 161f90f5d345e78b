"""Texts to vectors: frozen CLIP, and an encoder that needs no download.

An encoder has a ``name``, a ``dim``, a ``fingerprint`` and, called with N texts, gives float32
(N, dim) on the CPU. It is no Module, so it enters no model's state.

A text's vector is the mean over its sentences (`cvae_lib.text.split_sentences`), so CLIP's limit of
77 tokens limits no text. A sentence too long for CLIP is cut into pieces, averaged within it first:
a sentence weighs the same however long it is. A vector does not depend on the other texts of a
call, but for the last bits of CLIP's floats.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import io
import json
import math
import operator
import re
import sys
import types
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import packaging.version
import torch
from torch import Tensor, nn

from cvae_lib.text import split_sentences
from cvae_lib.weights import Published, find_weights

WEIGHTS_VARIABLE = "CVAE_CLIP_WEIGHTS"

# Where a sentence too long for CLIP is cut: between clauses; where that is not enough, words.
_CUTS = (
    r"(?<=[,;:–—]) |(?<=[，、；：])| (?=(?:and|or|but|nor|so|yet|while|because|although|when|where"
    r"|which|who|that)\b)",
    " ",
)
_Piece = TypeVar("_Piece")


class HashingTextEncoder:
    """Hashed counts of words and word pairs: no weights, no download, and no idea of synonyms.

    A word is a run of letters, digits and underscores, also of length one: "a", "two" and "3" say
    how many, and the T of "T-shirt" is a word, which scikit-learn's default pattern would drop.
    Case and accents make no difference. A sentence's counts have length 1 (Euclidean).

    Args:
        dim: length of a vector, at least 1; fewer make more words collide.

    Raises ValueError for a ``dim`` below 1; when called, ValueError for a text without a word and
    TypeError for anything but a list of str.

    Source: Weinberger et al. 2009, arXiv 0902.2206; scikit-learn's HashingVectorizer.
    """

    name = "hashing"

    def __init__(self, dim: int = 512) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer  # a second to import

        if (dim := operator.index(dim)) < 1:  # NumPy's whole numbers too
            raise ValueError(f"dim is {dim}; want at least 1")
        settings = {
            "n_features": dim, "ngram_range": (1, 2), "token_pattern": r"\w+", "lowercase": True,
            "strip_accents": "unicode", "norm": "l2", "alternate_sign": True,
        }  # fmt: skip
        self.dim = dim
        self.fingerprint = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        self._vectorizer = HashingVectorizer(dtype=np.float32, **settings)
        self._words = self._vectorizer.build_analyzer()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        return _average(
            texts,
            self.dim,
            lambda sentence: [sentence] if self._words(sentence) else [],
            lambda sentences: self._vectorizer.transform(sentences).toarray(),
        )


class ClipTextEncoder:
    """The text half of CLIP ViT-B/32, frozen, in float32 on every device; its image half is left.

    ``fingerprint`` is the SHA-256 of the file with its weights.

    Args:
        weights: such a file: OpenAI's, or a state dict saved with ``torch.save``. If None, that of
            ``$CVAE_CLIP_WEIGHTS``, else ``~/.cache/clip/ViT-B-32.pt``, else OpenAI's download.
        device: where it computes; the vectors come back to the CPU.
        batch_size: pieces of text at a time.

    Raises ImportError without openai-clip, or if another ``clip`` hides it; FileNotFoundError if
    there are no weights and none can be downloaded; ValueError for a file without CLIP's weights
    and a ``batch_size`` below 1. When called, ValueError for a text that CLIP takes for empty (it
    sees emoji and stops, but no control characters), TypeError for anything but a list of str.

    Source: Radford et al. 2021, arXiv 2103.00020.
    """

    name = "clip"

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str | torch.device = "cpu",
        batch_size: int = 256,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; want at least 1")
        clip = import_clip()
        path = find_weights(_published(clip), weights)
        content = path.read_bytes()
        self.fingerprint = hashlib.sha256(content).hexdigest()
        self.device, self.batch_size = torch.device(device), batch_size
        self._tower = _read_tower(path, content).to(self.device)
        context, self.dim = self._tower.context_length, self._tower.dim
        self._room = context - 2  # for tokens between the start's and the end's
        self._tokenizer = clip.simple_tokenizer.SimpleTokenizer()
        marks = ("<|startoftext|>", "<|endoftext|>")
        self._start, self._end = (self._tokenizer.encoder[mark] for mark in marks)
        # CLIP reads nothing behind an end mark: one that a text writes out stays plain letters.
        spelled = [self._tokenizer.encode(f"< {mark[1:-1]} >") for mark in marks]
        self._spelled = {self._start: spelled[0], self._end: spelled[1]}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        return _average(texts, self.dim, self._pieces, self._encode)

    def _pieces(self, sentence: str) -> list[list[int]]:
        return token_pieces(sentence, self._tokens, self._room)

    def _tokens(self, text: str) -> list[int]:
        tokens = self._tokenizer.encode(text)
        return [plain for token in tokens for plain in self._spelled.get(token, (token,))]

    @torch.inference_mode()
    def _encode(self, pieces: list[list[int]]) -> np.ndarray:
        vectors = np.empty((len(pieces), self.dim), np.float32)
        by_length = sorted(range(len(pieces)), key=lambda index: len(pieces[index]))
        for start in range(0, len(pieces), self.batch_size):
            batch = by_length[start : start + self.batch_size]
            rows = [torch.tensor([self._start, *pieces[index], self._end]) for index in batch]
            tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.device)
            vectors[batch] = self._tower(tokens).cpu().numpy()
        return vectors


def token_pieces(sentence: str, tokenize: Callable[[str], list[int]], room: int) -> list[list[int]]:
    """The tokens of a sentence, cut into pieces of at most ``room``, none lost.

    A sentence that fits is one piece. Else pieces of similar length end between clauses; within a
    clause that does not fit, between words; within such a word, anywhere. Without tokens: no piece.
    """
    units = _units(sentence, tokenize, room, _CUTS)
    total = sum(map(len, units))
    target = total / max(1, math.ceil(total / room))
    pieces: list[list[int]] = []
    for unit in units:
        size = len(pieces[-1]) if pieces else room
        if size + len(unit) / 2 <= target and size + len(unit) <= room:  # nearer to it with unit
            pieces[-1].extend(unit)
        else:
            pieces.append(unit)
    return pieces


def _units(
    text: str, tokenize: Callable[[str], list[int]], room: int, cuts: tuple[str, ...]
) -> list[list[int]]:
    """Tokens between the first of ``cuts`` that leave at most ``room`` between them."""
    tokens = tokenize(text)
    if len(tokens) <= room:
        return [tokens] if tokens else []
    if not cuts:
        return [tokens[start : start + room] for start in range(0, len(tokens), room)]
    parts = re.split(cuts[0], text, flags=re.IGNORECASE)
    return [unit for part in parts for unit in _units(part, tokenize, room, cuts[1:])]


def _pieces(text: str, pieces_of: Callable[[str], list[_Piece]]) -> list[list[_Piece]]:
    """The pieces of each sentence of a text, none empty."""
    if not isinstance(text, str):
        raise TypeError(f"a text is {type(text).__name__} {text!r:.60}; want a str")
    sentences = [found for part in split_sentences(text) if (found := pieces_of(part))]
    if not sentences:  # CLIP's cleaning leaves nothing of "&nbsp;": take its letters alone
        letters = re.sub(r"[\W_]", " ", unicodedata.normalize("NFKD", text))
        sentences = [found] if (found := pieces_of(letters)) else []
    if not sentences:
        raise ValueError(f"text {text[:60]!r} has no word; want words such as 'a red circle'")
    return sentences


def _average(
    texts: Sequence[str],
    dim: int,
    pieces_of: Callable[[str], list[_Piece]],
    encode: Callable[[list[_Piece]], np.ndarray],
) -> Tensor:
    """Encode the pieces of all texts at once; float32 (N, dim), means over pieces and sentences."""
    if isinstance(texts, str) or not isinstance(texts, (Sequence, np.ndarray)):
        raise TypeError(f"texts is a {type(texts).__name__}: {texts!r:.60}; want a list of str")
    pieces = [_pieces(text, pieces_of) for text in texts]
    if not pieces:
        return torch.empty(0, dim)
    sentences = [sentence for text in pieces for sentence in text]
    vectors = encode([piece for sentence in sentences for piece in sentence])
    return torch.from_numpy(_means(_means(vectors, sentences), pieces))


def _means(vectors: np.ndarray, groups: Sequence[Sequence[Any]]) -> np.ndarray:
    """The mean over each run of rows, as long as its group; each run summed by itself."""
    sizes = np.array([len(group) for group in groups])
    sums = np.add.reduceat(vectors, np.cumsum(sizes) - sizes)
    return sums / sizes[:, None].astype(np.float32)


class _TextTower(nn.Module):
    """CLIP's text half, from its own parts; weights named as in `clip.model.CLIP`.

    No token looks at a later one, so padding behind the end mark changes nothing, and a batch needs
    to be no wider than its longest text: several times faster than the full 77 tokens.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        parts = import_clip().model
        self.context_length, width = weights["positional_embedding"].shape
        self.dim = weights["text_projection"].shape[1]
        layers = len({name.split(".")[2] for name in weights if name.startswith("transformer.")})
        self.token_embedding = nn.Embedding(49_408, width)  # OpenAI's vocabulary
        self.positional_embedding = nn.Parameter(torch.empty(self.context_length, width))
        self.transformer = parts.Transformer(width, layers, heads=width // 64)
        self.ln_final = parts.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, self.dim))
        self.load_state_dict(weights)
        self.eval().requires_grad_(False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, L), each row padded with 0 behind its end mark → (B, dim)."""
        length = tokens.shape[1]
        mask = torch.full((length, length), -math.inf, device=tokens.device).triu(1)
        for block in self.transformer.resblocks:
            block.attn_mask = mask
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        x = self.transformer(x.transpose(0, 1)).transpose(0, 1)  # CLIP's blocks want (L, B, width)
        ends = x[torch.arange(len(x)), tokens.argmax(dim=1)]  # the end mark is the highest token
        return self.ln_final(ends) @ self.text_projection


def import_clip() -> Any:
    """The package openai-clip, which wants one name of ``pkg_resources`` while it is imported.

    Setuptools 81 dropped that module, and older ones warn about it: a stand-in serves them all.
    Raises ImportError if ``clip`` is another package, a file beside the notebook, or incomplete.
    """
    stand_in: Any = types.ModuleType("pkg_resources")
    stand_in.packaging = packaging
    former = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = stand_in
    try:
        clip = importlib.import_module("clip")
        _ = clip.clip._MODELS, clip.model.Transformer, clip.simple_tokenizer.SimpleTokenizer
        return clip
    except Exception as error:  # whatever another `clip` does
        spec = importlib.machinery.PathFinder.find_spec("clip")
        raise ImportError(
            f"`clip` is not openai-clip: {error} ({spec and spec.origin}); rename that file if it "
            "is yours, and pip install openai-clip"
        ) from error
    finally:
        del sys.modules["pkg_resources"]
        if former is not None:
            sys.modules["pkg_resources"] = former


def _published(clip: Any) -> Published:
    url = clip.clip._MODELS["ViT-B/32"]
    *_, sha256, file = url.split("/")
    return Published("CLIP", url, "350 MB", sha256, f"~/.cache/clip/{file}", WEIGHTS_VARIABLE)


def _read_tower(path: Path, content: bytes) -> _TextTower:
    """The text tower out of a TorchScript archive (OpenAI's is one) or a state dict: no pickle."""
    try:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # deprecated, but OpenAI's format
                weights = torch.jit.load(io.BytesIO(content), map_location="cpu").state_dict()
        except RuntimeError:
            weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        text = re.compile(r"(token_embedding|transformer|ln_final)\.|positional_emb|text_proj")
        return _TextTower({name: weights[name].float() for name in weights if text.match(name)})
    except Exception as error:  # whatever a foreign file makes torch raise
        raise ValueError(
            f"{path} does not hold CLIP's weights ({error}): want OpenAI's file, or a state dict"
        ) from error
