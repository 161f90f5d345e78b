"""Texts to vectors: frozen CLIP, and two encoders that need no download.

Each is a `TextEncoder` and no Module, so it enters no model's state.
"""

import hashlib
import importlib.util
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cvae_lib.checks import whole_number
from cvae_lib.clip import TOKENS, import_clip, text_tower, token_pieces
from cvae_lib.data.words import Words
from cvae_lib.files import find_weights
from cvae_lib.text import has_word, split_sentences

WEIGHTS_VARIABLE = "CVAE_CLIP_WEIGHTS"
WORDLLAMA = (  # files of that package
    "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json",
)  # fmt: skip
BATCH = 256  # pieces of text that CLIP reads at once


class _Averaging:
    """A text's vector is the mean over its sentences, a long one's the mean over pieces of it.

    It does not depend on the other texts of a call, but for the last bits of CLIP's floats.
    """

    dim: int
    word_dim: int
    table: np.ndarray | None = None  # float16 (V, word_dim), of an encoder whose words are its rows
    _pieces: Callable[[str], list[Any]]  # of a sentence
    _encode: Callable[[list[Any]], np.ndarray]
    _tokens: Callable[[list[Any]], list[np.ndarray]]  # of each piece, as those of `Words`

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Raises TypeError for anything but a list of str; ValueError for a text without a word."""
        if not (cut := self._cut(texts)):
            return torch.empty(0, self.dim)
        sentences = [*chain.from_iterable(cut)]
        vectors = self._encode([*chain.from_iterable(sentences)])  # of all texts at once
        for groups in (sentences, cut):  # each the mean over a run of rows, summed by itself
            sizes = np.array([len(group) for group in groups])
            sums = np.add.reduceat(vectors, np.cumsum(sizes) - sizes)
            vectors = sums / sizes[:, None].astype(np.float32)
        return torch.from_numpy(vectors)

    def words(self, texts: Sequence[str]) -> Tensor:
        """A vector for each word in its order: float32 (N, L, word_dim), padded as `Words` are.

        Numbers are those of float16, as a training reads them.
        """
        return torch.from_numpy(self.ragged(texts)[:])

    def ragged(self, texts: Sequence[str]) -> Words:
        """The same, not padded: as sets keep the words of many texts."""
        pieces = [[*chain.from_iterable(sentences)] for sentences in self._cut(texts)]
        tokens = self._tokens([*chain.from_iterable(pieces)]) if pieces else []
        starts = np.cumsum([0, *map(len, tokens)])[np.cumsum([0, *map(len, pieces)])]
        if (table := self.table) is None:
            none = np.empty((0, self.word_dim), np.float16)
        else:
            none = np.empty(0, np.min_scalar_type(len(table)))
        whole = np.concatenate([none, *(part.astype(none.dtype) for part in tokens)])
        return Words(whole, starts, table)

    def _cut(self, texts: Sequence[str]) -> list[list[list[Any]]]:
        """The pieces of each sentence of each text."""
        if isinstance(texts, str) or not isinstance(texts, Sequence | np.ndarray):
            raise TypeError(f"texts is a {type(texts).__name__}: {texts!r:.60}; want a list of str")
        return [self._sentences(text) for text in texts]

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
    many. Case and accents make no difference. A sentence's counts have Euclidean length 1; a word
    alone is 1 or -1 at one place. Source: Weinberger et al. 2009, arXiv 0902.2206; scikit-learn.
    """

    name = "hashing"
    table: np.ndarray

    def __init__(self, dim: int = 512) -> None:
        from sklearn.feature_extraction import FeatureHasher, text  # a second to import

        self.dim = self.word_dim = whole_number("dim", dim, at_least=1)
        settings = {
            "n_features": self.dim, "ngram_range": (1, 2), "token_pattern": r"\w+",
            "lowercase": True, "strip_accents": "unicode", "norm": "l2", "alternate_sign": True,
        }  # fmt: skip
        self.fingerprint = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        self._vectorizer = text.HashingVectorizer(dtype=np.float32, **settings)
        self._words = text.HashingVectorizer(**settings | {"ngram_range": (1, 1)}).build_analyzer()
        self._hasher = FeatureHasher(self.dim, input_type="string")
        places = np.eye(self.dim, dtype=np.float16)
        self.table = np.concatenate([places, -places])

    def _pieces(self, sentence: str) -> list[str]:
        return [sentence] if has_word(sentence) else []

    def _encode(self, pieces: list[str]) -> np.ndarray:
        return self._vectorizer.transform(pieces).toarray()

    def _tokens(self, pieces: list[str]) -> list[np.ndarray]:
        words = [self._words(piece) for piece in pieces]
        hashed = self._hasher.transform([[word] for word in chain.from_iterable(words)])
        ids = hashed.indices + self.dim * (hashed.data < 0)
        return np.split(ids, np.cumsum([*map(len, words)])[:-1])


class SemanticTextEncoder(_Averaging):
    """Word vectors in which like words lie near each other: no download, and no idea of order.

    They are 32,000 rows of 256 numbers from PyPI's ``wordllama``: the input layers of language
    models, made smaller by training on pairs of like sentences. A word is a token of its tokenizer,
    a rare word several. Case makes no difference. A sentence's vector is their mean. Raises
    ImportError without that package (https://github.com/dleemiller/WordLlama, MIT), whose files
    are read and whose code is not.
    """

    name = "semantic"
    table: np.ndarray

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        found = importlib.util.find_spec("wordllama")
        folder = Path(found.origin).parent if found and found.origin else Path("wordllama")
        try:
            weights, tokens = [(folder / name).read_bytes() for name in WORDLLAMA]
        except OSError as error:
            remedy = "pip install --force-reinstall 'wordllama>=0.4'"
            raise ImportError(f"no word vectors of wordllama ({error}): {remedy}") from error
        self.fingerprint = hashlib.sha256(weights + tokens).hexdigest()
        self.table = safetensors.numpy.load(weights)["embedding.weight"]
        self.dim = self.word_dim = self.table.shape[1]
        self._tokenizer = Tokenizer.from_str(tokens.decode())

    @property
    def rows(self) -> dict[str, int]:
        """By token its row in the table; a token that begins a word starts with "▁"."""
        return self._tokenizer.get_vocab()

    def _pieces(self, sentence: str) -> list[list[int]]:
        if not has_word(sentence):
            return []
        plain = sentence.lower().encode("utf-8", "replace").decode()  # no lone surrogates
        return [self._tokenizer.encode(plain, add_special_tokens=False).ids]

    def _encode(self, pieces: list[list[int]]) -> np.ndarray:
        tokens = torch.tensor([*chain.from_iterable(pieces)])
        starts = torch.tensor([0, *map(len, pieces[:-1])]).cumsum(0)
        table = torch.from_numpy(self.table.astype(np.float32))
        return F.embedding_bag(tokens, table, starts, mode="mean").numpy()

    def _tokens(self, pieces: list[list[int]]) -> list[np.ndarray]:
        return [np.array(piece) for piece in pieces]


class ClipTextEncoder(_Averaging):
    """The text half of CLIP ViT-B/32, frozen, in float32 on ``device``. It takes emoji for words.

    A word is a token, or the mark before or behind them; its vector, which knows all words before
    it, is what the tower gives before the projection. The end's, projected, is a piece's.

    The weights are those of ``$CVAE_CLIP_WEIGHTS`` (OpenAI's file, or a state dict saved with
    ``torch.save``), else ``~/.cache/clip/ViT-B-32.pt``, else OpenAI's download. Raises ImportError
    without openai-clip, FileNotFoundError if no weights are to be had, ValueError for a file
    without CLIP's. Source: Radford et al. 2021, arXiv 2103.00020.
    """

    name = "clip"

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device, clip = torch.device(device), import_clip()
        *_, sha256, file = (url := clip.clip._MODELS["ViT-B/32"]).split("/")
        cache = f"~/.cache/clip/{file}"
        path = find_weights("CLIP", WEIGHTS_VARIABLE, cache, url, sha256, "350 MB")
        content = path.read_bytes()
        self.fingerprint = hashlib.sha256(content).hexdigest()
        try:
            self._tower = text_tower(content).to(device)
        except Exception as error:  # whatever a foreign file makes torch raise
            wrong = f"{path} does not hold CLIP's weights ({error})"
            raise ValueError(f"{wrong}: want OpenAI's file or a state dict") from error
        self.word_dim, self.dim = self._tower.text_projection.shape
        self._tokenizer = clip.simple_tokenizer.SimpleTokenizer()
        self._marks = [self._tokenizer.encoder[f"<|{mark}oftext|>"] for mark in ("start", "end")]

    def _pieces(self, sentence: str) -> list[list[int]]:
        return token_pieces(sentence, self._ids, TOKENS - 2)

    def _ids(self, text: str) -> list[int]:
        """All but marks that a text spells out: CLIP would read nothing behind an end."""
        return [token for token in self._tokenizer.encode(text) if token not in self._marks]

    def _encode(self, pieces: list[list[int]]) -> np.ndarray:
        vectors = np.empty((len(pieces), self.dim), np.float32)
        for batch, lengths, x in self._read(pieces):
            ends = x[lengths - 1, torch.arange(len(batch))]
            vectors[batch] = (ends @ self._tower.text_projection).cpu().numpy()
        return vectors

    def _tokens(self, pieces: list[list[int]]) -> list[np.ndarray]:
        words = [np.empty(0)] * len(pieces)
        for batch, lengths, x in self._read(pieces):
            halves = x.transpose(0, 1).half().cpu().numpy()
            for index, length, half in zip(batch, lengths, halves, strict=True):
                words[index] = half[:length]
        return words

    @torch.inference_mode()
    def _read(self, pieces: list[list[int]]) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """Of batches their pieces' numbers (B,), words (B,), and the words' vectors (L, B, W).

        As `clip.model.CLIP.encode_text`, but a batch is as wide as its longest text: no token looks
        at a later one, so the vectors are those of 77 tokens, several times faster.
        """
        tower, (start, end) = self._tower, self._marks
        order = np.argsort([len(piece) for piece in pieces], kind="stable")
        for batch in np.split(order, range(BATCH, len(order), BATCH)):
            rows = [torch.tensor([start, *pieces[index], end]) for index in batch]
            tokens = nn.utils.rnn.pad_sequence(rows).to(self.device)  # (L, B), as CLIP's blocks
            mask = torch.full(2 * [len(tokens)], -math.inf, device=self.device).triu(1)
            for block in tower.transformer.resblocks:
                block.attn_mask = mask
            places = tower.positional_embedding[: len(tokens), None]
            x = tower.ln_final(tower.transformer(tower.token_embedding(tokens) + places))
            yield batch, torch.tensor([len(row) for row in rows]), x
