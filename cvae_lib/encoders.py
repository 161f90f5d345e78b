"""Texts to vectors: frozen CLIP, and an encoder that needs no download.

An encoder has a ``name``, a ``dim``, a ``fingerprint`` and, called with N texts, gives float32
(N, dim) on the CPU. It is no Module, so it enters no model's state.
"""

import hashlib
import importlib.machinery
import io
import json
import math
import re
import sys
import types
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import packaging.version
import torch
from torch import Tensor, nn

from cvae_lib.checks import whole_number
from cvae_lib.text import split_sentences
from cvae_lib.weights import find_weights

WEIGHTS_VARIABLE = "CVAE_CLIP_WEIGHTS"
BATCH = 256  # pieces of text that CLIP takes at once

# Where a sentence too long for CLIP is cut: between clauses; where that is not enough, words.
_CUTS = (
    r"(?<=[,;:–—]) |(?<=[，、；：])| (?=(?:and|or|but|nor|so|yet|while|because|although|when|where"
    r"|which|who|that)\b)",
    " ",
)


class _Averaging:
    """A text's vector is the mean over its sentences, a long one's the mean over pieces of it.

    It does not depend on the other texts of a call, but for the last bits of CLIP's floats.
    """

    dim: int
    _pieces: Callable[[str], list[Any]]  # of a sentence
    _encode: Callable[[list[Any]], np.ndarray]

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Raises TypeError for anything but a list of str; ValueError for a text without a word."""
        if isinstance(texts, str) or not isinstance(texts, Sequence | np.ndarray):
            raise TypeError(f"texts is a {type(texts).__name__}: {texts!r:.60}; want a list of str")
        if not (cut := [self._sentences(text) for text in texts]):
            return torch.empty(0, self.dim)
        sentences = [*chain.from_iterable(cut)]
        vectors = self._encode([*chain.from_iterable(sentences)])  # of all texts at once
        return torch.from_numpy(_means(_means(vectors, sentences), cut))

    def _sentences(self, text: str) -> list[list[Any]]:
        """The pieces of each sentence of a text, none empty."""
        if not isinstance(text, str):
            raise TypeError(f"a text is {type(text).__name__} {text!r:.60}; want a str")
        found = [pieces for part in split_sentences(text) if (pieces := self._pieces(part))]
        if not found:  # CLIP's cleaning leaves nothing of "&nbsp;": take its letters alone
            letters = re.sub(r"[\W_]", " ", unicodedata.normalize("NFKD", text))
            found = [pieces] if (pieces := self._pieces(letters)) else []
        if not found:
            raise ValueError(f"text {text[:60]!r} has no word; want words such as 'a red circle'")
        return found


def _means(vectors: np.ndarray, groups: Sequence[Sequence[Any]]) -> np.ndarray:
    """The mean over each run of rows, as long as its group; each run summed by itself."""
    sizes = np.array([len(group) for group in groups])
    sums = np.add.reduceat(vectors, np.cumsum(sizes) - sizes)
    return sums / sizes[:, None].astype(np.float32)


class HashingTextEncoder(_Averaging):
    """Hashed counts of words and word pairs: no weights, no download, and no idea of synonyms.

    A word is a run of letters, digits and underscores, also of length one: "a" and "3" say how
    many. Case and accents make no difference. A sentence's counts have length 1 (Euclidean). The
    smaller ``dim`` is (at least 1), the more words collide.

    Source: Weinberger et al. 2009, arXiv 0902.2206; scikit-learn's HashingVectorizer.
    """

    name = "hashing"

    def __init__(self, dim: int = 512) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer  # a second to import

        self.dim = whole_number("dim", dim, at_least=1)
        settings = {
            "n_features": self.dim, "ngram_range": (1, 2), "token_pattern": r"\w+",
            "lowercase": True, "strip_accents": "unicode", "norm": "l2", "alternate_sign": True,
        }  # fmt: skip
        self.fingerprint = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        self._vectorizer = HashingVectorizer(dtype=np.float32, **settings)
        self._words = self._vectorizer.build_analyzer()

    def _pieces(self, sentence: str) -> list[str]:
        return [sentence] if self._words(sentence) else []

    def _encode(self, pieces: list[str]) -> np.ndarray:
        return self._vectorizer.transform(pieces).toarray()


class ClipTextEncoder(_Averaging):
    """The text half of CLIP ViT-B/32, frozen, in float32 on every device.

    ``weights`` is OpenAI's file, or a state dict saved with ``torch.save``; if None, that of
    ``$CVAE_CLIP_WEIGHTS``, else ``~/.cache/clip/ViT-B-32.pt``, else OpenAI's download.
    ``fingerprint`` is its SHA-256. ``device`` is where it computes. It takes emoji for words.

    Raises ImportError without openai-clip, or if another ``clip`` hides it; FileNotFoundError if
    there are no weights and none can be downloaded; ValueError for a file without CLIP's.

    Source: Radford et al. 2021, arXiv 2103.00020.
    """

    name = "clip"

    def __init__(
        self, weights: str | Path | None = None, device: str | torch.device = "cpu"
    ) -> None:
        self.device, clip = torch.device(device), import_clip()
        *_, sha256, file = (url := clip.clip._MODELS["ViT-B/32"]).split("/")
        cache, size = f"~/.cache/clip/{file}", "350 MB"
        path = find_weights("CLIP", weights, WEIGHTS_VARIABLE, cache, url, sha256, size)
        content = path.read_bytes()
        self.fingerprint = hashlib.sha256(content).hexdigest()
        self._tower = _read_tower(path, content).to(self.device)
        self._room = len(self._tower.positional_embedding) - 2  # for tokens between two marks
        self.dim = self._tower.dim
        self._tokenizer = clip.simple_tokenizer.SimpleTokenizer()
        # CLIP reads nothing behind an end mark: one that a text writes out stays plain letters.
        self._spelled = {  # by the tokens of start and end
            self._tokenizer.encoder[f"<{mark}>"]: self._tokenizer.encode(f"< {mark} >")
            for mark in ("|startoftext|", "|endoftext|")
        }

    def _pieces(self, sentence: str) -> list[list[int]]:
        return token_pieces(sentence, self._tokens, self._room)

    def _tokens(self, text: str) -> list[int]:
        tokens = self._tokenizer.encode(text)
        return [plain for token in tokens for plain in self._spelled.get(token, (token,))]

    @torch.inference_mode()
    def _encode(self, pieces: list[list[int]]) -> np.ndarray:
        vectors = np.empty((len(pieces), self.dim), np.float32)
        start, end = self._spelled
        order = np.argsort([len(piece) for piece in pieces], kind="stable")
        for batch in np.split(order, range(BATCH, len(order), BATCH)):
            rows = [torch.tensor([start, *pieces[index], end]) for index in batch]
            tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.device)
            vectors[batch] = self._tower(tokens).cpu().numpy()
        return vectors


def token_pieces(sentence: str, tokenize: Callable[[str], list[int]], room: int) -> list[list[int]]:
    """The tokens of a sentence, cut into pieces of at most ``room``, none lost.

    Pieces are of similar length and end between clauses; within a clause that does not fit, between
    words; within such a word, anywhere.
    """

    def units(text: str, cuts: tuple[str, ...]) -> list[list[int]]:
        """Tokens between the first of ``cuts`` that leave at most ``room`` between them."""
        tokens = tokenize(text)
        if len(tokens) <= room:
            return [tokens] if tokens else []
        if not cuts:
            return [tokens[start : start + room] for start in range(0, len(tokens), room)]
        parts = re.split(cuts[0], text, flags=re.IGNORECASE)
        return [unit for part in parts for unit in units(part, cuts[1:])]

    found = units(sentence, _CUTS)
    total = sum(map(len, found))
    target = total / max(1, math.ceil(total / room))
    pieces: list[list[int]] = []
    for unit in found:
        size = len(pieces[-1]) if pieces else room
        if size + len(unit) / 2 <= target and size + len(unit) <= room:  # nearer to it with unit
            pieces[-1].extend(unit)
        else:
            pieces.append(unit)
    return pieces


class _TextTower(nn.Module):
    """CLIP's text half, from its own parts; weights named as in `clip.model.CLIP`.

    No token looks at a later one: a batch as wide as its longest text is faster than 77 tokens.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        parts = import_clip().model
        width, self.dim = weights["text_projection"].shape
        layers = len({name.split(".")[2] for name in weights if name.startswith("transformer.")})
        self.token_embedding = nn.Embedding(49_408, width)  # OpenAI's vocabulary
        self.positional_embedding = nn.Parameter(weights["positional_embedding"])
        self.transformer = parts.Transformer(width, layers, heads=width // 64)
        self.ln_final = parts.LayerNorm(width)
        self.text_projection = nn.Parameter(weights["text_projection"])
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

    Setuptools 81 dropped that module, older ones warn about it. Raises ImportError if ``clip`` is
    another package, a file beside the notebook, or incomplete.
    """
    modules: dict[str, Any] = sys.modules
    former = modules.get("pkg_resources")
    modules["pkg_resources"] = types.SimpleNamespace(packaging=packaging)
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
        del modules["pkg_resources"]
        if former is not None:
            modules["pkg_resources"] = former


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
