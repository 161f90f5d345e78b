"""Where things lie, for a text that does not say: chosen first, as words, before the picture."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cvae_lib.models.words import Reading, WordReader

LONGEST = 6  # words of a phrase


class Layout(nn.Module):
    """p(places | text): behind every word either nothing or one of a few phrases, "at the top".

    A GRU walks along the words in their context and remembers what it has chosen, so that the
    second place fits the first. Until it is `fitted` it has no phrases. Sources: Cho et al. 2014
    (the GRU), Hong et al. 2018, arXiv 1801.05091 (a layout between a text and its picture).
    ``width`` numbers tell a word in its context, and the memory.
    """

    phrases: Tensor  # (1 + phrases, LONGEST, word_dim), padded with zeros; the first is nothing

    def __init__(self, word_dim: int, phrases: int = 9, width: int = 64) -> None:
        super().__init__()
        self.reader = WordReader(word_dim, width, queries=2)
        self.taken = nn.Linear(phrases, width, bias=False)
        self.start = nn.Linear(self.reader.pooled, width)
        self.walk = nn.GRU(2 * width, width, batch_first=True)
        self.out = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1 + phrases))
        self.register_buffer("phrases", torch.zeros(1 + phrases, LONGEST, word_dim))
        self.requires_grad_(False)  # the VAE's training leaves it as it is

    @property
    def fitted(self) -> bool:
        """Whether it has phrases to choose from."""
        return bool(self.phrases.any())

    def read(self, words: Tensor) -> Reading:
        """The words (B, L, D) in their context, each vector given mean 0 and variance 1."""
        return self.reader(F.layer_norm(words, words.shape[2:]))

    def loss(self, words: Tensor, choices: Tensor) -> Tensor:
        """−log p(choices | text): word vectors (B, L, D), int64 (B, L) → (B,) nats."""
        reading = self.read(words)
        taken = F.one_hot(choices, len(self.phrases))[:, :, 1:].cumsum(1)
        before = F.pad(taken, (0, 0, 1, 0))[:, :-1].to(words)
        steps = torch.cat([reading.words, self.taken(before)], 2)
        states, _ = self.walk(steps, self.start(reading.pooled)[None])
        nll = F.cross_entropy(self.out(states).transpose(1, 2), choices, reduction="none")
        return (nll * ~reading.padding).sum(1)

    @torch.no_grad()
    def choose(
        self, words: Tensor, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw what stands behind each word, (B, L, D) → (B, L), no phrase twice in a text."""
        reading = self.read(words)
        state = self.start(reading.pooled)[None]
        taken = torch.zeros(len(words), len(self.phrases)).to(words)
        choices = []
        for word in reading.words.unbind(1):
            step = torch.cat([word, self.taken(taken[:, 1:])], 1)
            out, state = self.walk(step[:, None], state)
            logits = self.out(out[:, 0]).masked_fill(taken > 0, -torch.inf)
            if temperature:
                odds = torch.softmax(logits / temperature, 1)
                choice = torch.multinomial(odds, 1, generator=generator)[:, 0]
            else:
                choice = logits.argmax(1)
            taken += F.one_hot(choice, len(self.phrases))
            taken[:, 0] = 0  # nothing can be chosen again
            choices.append(choice)
        return torch.stack(choices, 1).masked_fill(reading.padding, 0)

    def complete(
        self, words: Tensor, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Word vectors (B, L, D) → those with the phrases that were drawn behind them."""
        return self.tell(words, self.choose(words, generator, temperature))

    def tell(self, words: Tensor, choices: Tensor) -> Tensor:
        """The words (B, L, D) with the phrases chosen (B, L) behind them, padded again."""
        both = torch.cat([words[:, :, None], self.phrases[choices].to(words)], 2).flatten(1, 2)
        spoken = both.any(2)
        order = (~spoken).to(torch.uint8).argsort(dim=1, stable=True)
        order = order[:, : int(spoken.sum(1).max())]
        return both.gather(1, order[:, :, None].expand(-1, -1, both.shape[2]))
