"""A piece of a word and the same piece behind a space: two ids, one meaning. Knows rows of embeddings, no training."""

import torch
from torch import Tensor

from llamachat.tokenizer import Tokenizer


def twins(tokenizer: Tokenizer) -> Tensor:
    """The ids of pieces that there are with a space before them and without: (pairs, 2) int64, without first."""
    ids = {tokenizer.token_bytes(i): i for i in range(tokenizer.n_base)}
    spaced = [token for token in ids if token[:1] == b" " and token[1:2] != b" "]
    pairs = [(ids[token[1:]], ids[token]) for token in spaced if token[1:] in ids]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)


@torch.no_grad()
def draw_together(rows: Tensor, pairs: Tensor, share: float) -> None:
    """Take ``share`` of what parts the two of a pair, beyond what parts all pairs alike (the space), out of ``rows``.

    With D = rows[second] - rows[first] and M its mean over pairs, D <- M + (1 - share) (D - M), and both move alike:
    a gradient step on share/4 |D - M|^2. It is meant to let one id profit by what is learned of the other, where only
    one was ever copied in training. ``rows`` (words, D) float32, changed in place.
    """
    first, second = pairs.unbind(1)
    apart = rows[second] - rows[first]
    step = share / 2 * (apart - apart.mean(0))
    rows[first] += step
    rows[second] -= step
