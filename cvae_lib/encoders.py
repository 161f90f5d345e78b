"""Texts to vectors: frozen CLIP, and an encoder that needs no download.

An encoder has a ``name``, a ``dim``, a ``fingerprint`` and, called with N texts, gives float32
(N, dim) on the CPU. It is no Module, so it enters no model's state.
"""

import hashlib
import importlib
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
from cvae_lib.files import find_weights
from cvae_lib.text import has_word, split_sentences

WEIGHTS_VARIABLE = "CVAE_CLIP_WEIGHTS"
TOKENS, BATCH = 77, 256  # that CLIP has room for, two of them marks; pieces of text at once


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
        for groups in (sentences, cut):  # each the mean over a run of rows, summed by itself
            sizes = np.array([len(group) for group in groups])
            sums = np.add.reduceat(vectors, np.cumsum(sizes) - sizes)
            vectors = sums / sizes[:, None].astype(np.float32)
        return torch.from_numpy(vectors)

    def _sentences(self, text: str) -> list[list[Any]]:
        """The pieces of each sentence of a text, none empty."""
        if not isinstance(text, str):
            raise TypeError(f"a text is {type(text).__name__} {text!r:.60}; want a str")
        # CLIP's cleaning leaves nothing of "&nbsp;": then take the letters alone.
        letters = re.sub(r"[\W_]", " ", unicodedata.normalize("NFKD", text))
        for parts in (split_sentences(text), [letters]):
            if found := [pieces for part in parts if (pieces := self._pieces(part))]:
                return found
        raise ValueError(f"text {text[:60]!r} has no word; want words such as 'a red circle'")


class HashingTextEncoder(_Averaging):
    """Hashed counts of words and word pairs: no weights, no download, and no idea of synonyms.

    A word is a run of letters, digits and underscores, also of length one: "a" and "3" say how
    many. Case and accents make no difference. A sentence's counts have Euclidean length 1.

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

    def _pieces(self, sentence: str) -> list[str]:
        return [sentence] if has_word(sentence) else []

    def _encode(self, pieces: list[str]) -> np.ndarray:
        return self._vectorizer.transform(pieces).toarray()


class ClipTextEncoder(_Averaging):
    """The text half of CLIP ViT-B/32, frozen, in float32 on ``device``. It takes emoji for words.

    ``weights`` is OpenAI's file, or a state dict saved with ``torch.save``; if None, that of
    ``$CVAE_CLIP_WEIGHTS``, else ``~/.cache/clip/ViT-B-32.pt``, else OpenAI's download. Raises
    ImportError without openai-clip, FileNotFoundError if no weights are to be had, ValueError for a
    file without CLIP's.

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
        try:
            self._tower = _text_tower(content).to(device)
        except Exception as error:  # whatever a foreign file makes torch raise
            raise ValueError(
                f"{path} does not hold CLIP's weights ({error}): want OpenAI's file or a state dict"
            ) from error
        self.dim = self._tower.text_projection.shape[1]
        self._tokenizer = clip.simple_tokenizer.SimpleTokenizer()
        self._marks = [self._tokenizer.encoder[f"<|{mark}oftext|>"] for mark in ("start", "end")]

    def _pieces(self, sentence: str) -> list[list[int]]:
        return token_pieces(sentence, self._tokens, TOKENS - 2)

    def _tokens(self, text: str) -> list[int]:
        """All but marks that a text spells out: CLIP would read nothing behind an end."""
        return [token for token in self._tokenizer.encode(text) if token not in self._marks]

    @torch.inference_mode()
    def _encode(self, pieces: list[list[int]]) -> np.ndarray:
        """As `clip.model.CLIP.encode_text`, but a batch is as wide as its longest text.

        No token looks at a later one, so the vectors are those of 77 tokens, several times faster.
        """
        tower, (start, end) = self._tower, self._marks
        vectors = np.empty((len(pieces), self.dim), np.float32)
        order = np.argsort([len(piece) for piece in pieces], kind="stable")
        for batch in np.split(order, range(BATCH, len(order), BATCH)):
            rows = [torch.tensor([start, *pieces[index], end]) for index in batch]
            tokens = nn.utils.rnn.pad_sequence(rows).to(self.device)  # (L, B), as CLIP's blocks
            mask = torch.full(2 * [len(tokens)], -math.inf, device=self.device).triu(1)
            for block in tower.transformer.resblocks:
                block.attn_mask = mask
            places = tower.positional_embedding[: len(tokens), None]
            x = tower.transformer(tower.token_embedding(tokens) + places)
            ends = x[tokens.argmax(dim=0), torch.arange(len(batch))]  # the end is the highest token
            vectors[batch] = (tower.ln_final(ends) @ tower.text_projection).cpu().numpy()
        return vectors


def token_pieces(sentence: str, tokenize: Callable[[str], list[int]], room: int) -> list[list[int]]:
    """The tokens of a sentence, cut between words into as few pieces as fit, of similar length.

    A single word of more than ``room`` tokens is cut anywhere.
    """
    tokens = tokenize(sentence)
    words = [tokens] if len(tokens) <= room else map(tokenize, sentence.split(" "))
    units = [word[start : start + room] for word in words for start in range(0, len(word), room)]

    def filled(limit: int) -> list[list[int]]:
        pieces: list[list[int]] = []
        for unit in units:
            if pieces and len(pieces[-1]) + len(unit) <= limit:
                pieces[-1].extend(unit)
            else:
                pieces.append(list(unit))
        return pieces

    fewest = len(filled(room))
    return next(pieces for limit in range(room + 1) if len(pieces := filled(limit)) <= fewest)


def import_clip() -> Any:
    """The package openai-clip; ImportError if ``clip`` is missing, incomplete or another package.

    While it is imported it wants a name of ``pkg_resources``, which setuptools 81 dropped.
    """
    former = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = types.SimpleNamespace(packaging=packaging)  # type: ignore
    try:
        clip = importlib.import_module("clip")
        _ = clip.clip._MODELS, clip.model.CLIP
        return clip
    except Exception as error:  # whatever another `clip` does
        remedy = "pip install openai-clip, and rename a clip.py of yours"
        raise ImportError(f"`clip` is not openai-clip ({error}): {remedy}") from error
    finally:
        del sys.modules["pkg_resources"]
        if former:
            sys.modules["pkg_resources"] = former


def _text_tower(content: bytes) -> Any:
    """CLIP's text half, of a TorchScript archive (OpenAI's is one) or a state dict: no pickle."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # deprecated, but OpenAI's format
            weights = torch.jit.load(io.BytesIO(content), map_location="cpu").state_dict()
    except RuntimeError:
        weights = dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    width, dim = weights["text_projection"].shape
    layers = len({name.split(".")[2] for name in weights if name.startswith("transformer.")})
    image = 32, 0, 64, 32  # an image half of no layers
    with torch.device("meta"):  # without numbers; where weights are missing, `to` will say so
        tower = import_clip().model.CLIP(dim, *image, TOKENS, 49_408, width, width // 64, layers)
    del tower.visual, tower.logit_scale
    tower.load_state_dict(weights, strict=False, assign=True)
    return tower.float().eval().requires_grad_(False)
