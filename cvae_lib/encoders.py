"""Texts to vectors: frozen CLIP; an encoder that needs no download; a cache on disk for both.

An encoder has a ``name``, a ``dim``, a ``fingerprint`` and, called with N texts, gives float32
(N, dim) on the CPU. None of them is a Module, so none enters a model's state.

A text's vector is the mean over its sentences (`cvae_lib.text.split_sentences`), so CLIP's limit of
77 tokens limits no text. A sentence too long for CLIP is cut into pieces, which are averaged within
the sentence first: a sentence weighs the same however long it is, with every encoder. A vector
does not depend on the other texts of a call, but for the last bits of CLIP's floats.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import math
import os
import re
import sqlite3
import sys
import tempfile
import types
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import packaging.version
import torch
from torch import Tensor, nn

from cvae_lib.text import split_sentences

WEIGHTS_VARIABLE = "CVAE_CLIP_WEIGHTS"
CLIP_MODEL = "ViT-B/32"
VOCABULARY = 49_408  # tokens of every CLIP by OpenAI

# Where a sentence too long for CLIP is cut: between clauses; where that is not enough, words.
_CLAUSES = re.compile(
    r"(?<=[,;:–—]) |(?<=[，、；：])| (?=(?:and|or|but|nor|so|yet|while|because|although|when|where"
    r"|which|who|that)\b)",
    re.IGNORECASE,
)
_WORDS = re.compile(" ")
_Piece = TypeVar("_Piece")


class HashingTextEncoder:
    """Hashed counts of words and word pairs: no weights, no download, and no idea of synonyms.

    A word is a run of letters, digits and underscores, also of length one: "a", "two" and "3" say
    how many, and the T of "T-shirt" is a word, which scikit-learn's default pattern would drop.
    Case and accents make no difference. A sentence's counts have length 1 (Euclidean).

    Args:
        dim: length of a vector, at least 1; fewer make more words collide.

    Raises:
        ValueError: for a ``dim`` below 1; when called, for a text without a word.
        TypeError: when called, for anything but a list of str.

    Source: Weinberger et al. 2009, arXiv 0902.2206; scikit-learn's HashingVectorizer.
    """

    name = "hashing"

    def __init__(self, dim: int = 512) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer  # a second to import

        if dim < 1:
            raise ValueError(f"dim is {dim}; want at least 1")
        settings = {
            "n_features": dim,
            "ngram_range": (1, 2),
            "token_pattern": r"\w+",
            "lowercase": True,
            "strip_accents": "unicode",
            "norm": "l2",
            "alternate_sign": True,
        }
        self.dim = dim
        self.fingerprint = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        self._vectorizer = HashingVectorizer(dtype=np.float32, **settings)
        self._words = self._vectorizer.build_analyzer()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        return _average(texts, self.dim, self._pieces, self._encode)

    def _pieces(self, sentence: str) -> list[str]:
        return [sentence] if self._words(sentence) else []

    def _encode(self, pieces: list[str]) -> np.ndarray:
        vectors: np.ndarray = self._vectorizer.transform(pieces).toarray()
        return vectors


class ClipTextEncoder:
    """The text half of CLIP ViT-B/32, frozen, in float32 on every device; its image half is left.

    Weights are looked for in this order: ``weights``, ``$CVAE_CLIP_WEIGHTS`` (and nowhere else if
    one is given), ``~/.cache/clip/ViT-B-32.pt``, OpenAI's download; the last two must have the
    published SHA-256. ``fingerprint`` is the SHA-256 of the file.

    Args:
        weights: a file with CLIP's weights: OpenAI's, or a state dict saved with ``torch.save``.
        device: where it computes; the vectors come back to the CPU.
        batch_size: pieces of text at a time.

    Raises:
        FileNotFoundError: if there are no weights and none can be downloaded.
        ValueError: if the file holds no weights of CLIP, for a ``batch_size`` below 1; when called,
            for a text that is empty.
        TypeError: when called, for anything but a list of str.

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
        path = _find_weights(weights)
        content = path.read_bytes()
        self.fingerprint = hashlib.sha256(content).hexdigest()
        self.device = torch.device(device)
        self.batch_size = batch_size
        self._tower = _read_tower(path, content).to(self.device)
        context, self.dim = self._tower.context_length, self._tower.dim
        self._room = context - 2  # for tokens between the start's and the end's
        self._tokenizer = clip.simple_tokenizer.SimpleTokenizer()
        marks = ("<|startoftext|>", "<|endoftext|>")
        self._start, self._end = (self._tokenizer.encoder[mark] for mark in marks)
        # CLIP reads nothing behind an end mark: one that a text writes out stays plain letters.
        self._spelled = {
            self._tokenizer.encoder[mark]: self._tokenizer.encode(f"< {mark[1:-1]} >")
            for mark in marks
        }

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


class CachedEncoder:
    """An encoder that keeps its vectors in one file of ``folder``, for later calls and processes.

    A vector is found again by the encoder's name and fingerprint and by the text; one that was
    altered on the disk is encoded anew. Several processes may use the file at once, and a killed
    one loses at most its last ``STEP`` texts. Whoever deletes the file loses nothing but time.

    Args:
        encoder: a text encoder, such as `ClipTextEncoder`.
        folder: is made if it is missing.

    Raises:
        OSError: when called, if the file is damaged or cannot be written.
    """

    STEP = 4096
    # A part of every key. Change it when sentences are split, cut or averaged in another way.
    FORMAT = "cvae_lib text vectors 1"

    def __init__(self, encoder: Any, folder: str | Path) -> None:
        self.name: str = encoder.name
        self.dim: int = encoder.dim
        self.fingerprint: str = encoder.fingerprint
        self.path = Path(folder).expanduser() / "text-vectors.sqlite"
        self._encoder = encoder

    def __call__(self, texts: Sequence[str]) -> Tensor:
        row = {text: index for index, text in enumerate(dict.fromkeys(_checked(texts)))}
        vectors = np.empty((len(row), self.dim), np.float32)
        distinct = list(row)
        for start in range(0, len(distinct), self.STEP):
            step = distinct[start : start + self.STEP]
            known = self._read(step)
            if missing := [text for text in step if text not in known]:
                known.update(zip(missing, self._encoder(missing).numpy(), strict=True))
                self._write({text: known[text] for text in missing})
            vectors[start : start + len(step)] = [known[text] for text in step]
        return torch.from_numpy(vectors[[row[text] for text in texts]])

    def _key(self, text: str) -> bytes:
        whole = json.dumps([self.FORMAT, self.name, self.fingerprint, text])
        return hashlib.sha256(whole.encode()).digest()

    def _read(self, texts: list[str]) -> dict[str, np.ndarray]:
        known = {}
        with self._open() as database:
            for text in texts:
                query = "SELECT vector FROM vectors WHERE key = ? AND length(vector) = ?"
                found = database.execute(query, (self._key(text), 4 * self.dim + 4)).fetchone()
                if found and zlib.crc32(found[0][4:]).to_bytes(4, "little") == found[0][:4]:
                    known[text] = np.frombuffer(found[0], "<f4", offset=4)
        return known

    def _write(self, vectors: dict[str, np.ndarray]) -> None:
        rows = []
        for text, vector in vectors.items():
            content = vector.astype("<f4").tobytes()
            rows.append((self._key(text), zlib.crc32(content).to_bytes(4, "little") + content))
        with self._open() as database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file within one transaction; SQLite lets several processes take turns."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as database, database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)"
                )
                yield database
        except sqlite3.Error as error:
            raise OSError(
                f"the cache {self.path} cannot be used ({error}): delete this file, or choose "
                "another folder"
            ) from error


def token_pieces(sentence: str, tokenize: Callable[[str], list[int]], room: int) -> list[list[int]]:
    """The tokens of a sentence, cut into pieces of at most ``room``, none lost.

    A sentence that fits is one piece. Else pieces of similar length end between clauses; within a
    clause that does not fit, between words; within such a word, anywhere. Without tokens: no piece.
    """
    units = _units(sentence, tokenize, room, (_CLAUSES, _WORDS))
    total = sum(map(len, units))
    target = total / max(1, math.ceil(total / room))
    pieces: list[list[int]] = []
    for unit in units:
        size = len(pieces[-1]) if pieces else room
        nearer = size + len(unit) / 2 <= target  # to the target with the unit than without
        if nearer and size + len(unit) <= room:
            pieces[-1].extend(unit)
        else:
            pieces.append(unit)
    return pieces


def _units(
    text: str, tokenize: Callable[[str], list[int]], room: int, cuts: tuple[re.Pattern[str], ...]
) -> list[list[int]]:
    """Tokens between the first of ``cuts`` that leave at most ``room`` between them."""
    tokens = tokenize(text)
    if len(tokens) <= room:
        return [tokens] if tokens else []
    if not cuts:
        return [tokens[start : start + room] for start in range(0, len(tokens), room)]
    parts = cuts[0].split(text)
    return [unit for part in parts for unit in _units(part, tokenize, room, cuts[1:])]


def _checked(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str):
        raise TypeError(f"texts is the str {texts[:60]!r}; want a list of str")
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"a text is {type(text).__name__} {str(text)[:60]!r}; want a str")
    return texts


def _average(
    texts: Sequence[str],
    dim: int,
    pieces_of: Callable[[str], list[_Piece]],
    encode: Callable[[list[_Piece]], np.ndarray],
) -> Tensor:
    """Encode the pieces of all texts at once; float32 (N, dim), means over pieces and sentences."""
    pieces = []  # of each sentence of each text
    for text in _checked(texts):
        pieces.append([found for part in split_sentences(text) if (found := pieces_of(part))])
        if not pieces[-1]:
            raise ValueError(f"text {text[:60]!r} has no word; want words such as 'a red circle'")
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
        self.token_embedding = nn.Embedding(VOCABULARY, width)
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
        vectors: Tensor = self.ln_final(ends) @ self.text_projection
        return vectors


def import_clip() -> Any:
    """CLIP's package, which wants one name of ``pkg_resources`` while it is imported.

    Setuptools 81 dropped that module, and older ones warn about it: a stand-in serves them all.
    """
    stand_in: Any = types.ModuleType("pkg_resources")
    stand_in.packaging = packaging
    former = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = stand_in
    try:
        return importlib.import_module("clip")
    finally:
        del sys.modules["pkg_resources"]
        if former is not None:
            sys.modules["pkg_resources"] = former


def _find_weights(weights: str | Path | None) -> Path:
    if chosen := weights or os.environ.get(WEIGHTS_VARIABLE):
        path = Path(chosen).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is no file: weights= or ${WEIGHTS_VARIABLE} must name CLIP's weights"
            )
        return path
    clip = import_clip().clip
    url = clip._MODELS[CLIP_MODEL]
    path = Path("~/.cache/clip").expanduser() / url.split("/")[-1]
    published = url.split("/")[-2]
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == published:
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            os.replace(clip._download(url, folder), path)  # checks the SHA-256
    except Exception as error:
        raise FileNotFoundError(
            f"no sound CLIP weights at {path}, and no download ({error}). Get {url} "
            f"(about 350 MB) on another machine and put it there, or name it in ${WEIGHTS_VARIABLE}"
        ) from error
    return path


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
            f"{path} does not hold CLIP's weights ({error}): want OpenAI's ViT-B-32.pt, or a state "
            "dict of such a model"
        ) from error
