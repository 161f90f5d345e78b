"""Words as vectors: those of many texts, one after another."""

from dataclasses import dataclass

import numpy as np


def runs(starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of some runs of an array, run i being starts[i] … starts[i + 1] - 1.

    Returns the starts of the chosen ``rows`` once they lie one after another, and their places.
    """
    counts = starts[rows + 1] - starts[rows]
    fresh = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return fresh, np.arange(fresh[-1]) + np.repeat(starts[rows] - fresh[:-1], counts)


def piece(places: np.ndarray) -> slice | np.ndarray:
    """``places`` (N,) as a slice if they are consecutive, so that indexing makes a view."""
    consecutive = len(places) and (np.diff(places) == 1).all()
    return slice(places[0], places[-1] + 1) if consecutive else places


@dataclass(frozen=True)
class Words:
    """A vector for each word of M texts.

    ``words[places]`` pads: float32 (B, L, D), L the most words of a chosen text. Behind a text's
    own words stand rows of zeros, which no word's vector is: ``words[places].any(-1)`` is the mask.
    """

    tokens: np.ndarray  # rows of the table, integers (T,); without one vectors, float16 (T, D)
    starts: np.ndarray  # int64 (M + 1,): of text i are tokens[starts[i]] … up to starts[i + 1]
    table: np.ndarray | None = None  # float16 (V, D)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, places: slice | np.ndarray) -> np.ndarray:
        starts, rows = runs(self.starts, np.arange(len(self))[places])
        counts = np.diff(starts)
        spoken = np.arange(counts.max(initial=0)) < counts[:, None]
        vectors = self.tokens[rows] if self.table is None else self.table[self.tokens[rows]]
        padded = np.zeros((*spoken.shape, vectors.shape[1]), np.float32)
        padded[spoken] = vectors
        return padded

    def subset(self, places: np.ndarray) -> "Words":
        """The words of the texts at ``places`` (N,); one piece is not copied."""
        starts, rows = runs(self.starts, places)
        return Words(self.tokens[piece(rows)], starts, self.table)

    def __add__(self, other: "Words") -> "Words":
        """The texts of both, by the same table."""
        tables = [words.table for words in (self, other) if words.table is not None]
        if len(tables) == 1 or (tables and not np.array_equal(tables[0], tables[1])):
            raise ValueError("words of two tables do not join: encode both sets with one encoder")
        tokens = np.concatenate([self.tokens, other.tokens])
        return Words(tokens, np.append(self.starts, other.starts[1:] + self.starts[-1]), self.table)
