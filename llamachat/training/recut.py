"""Embeddings for another vocabulary, out of those learned for this one. Knows tokens and rows, no training."""

import torch
from torch import Tensor

from llamachat.tokenizer import Tokenizer


def recut(rows: Tensor, old: Tokenizer, new: Tokenizer, *, output: bool = False) -> Tensor:
    """``rows`` (old words, D) float32 for the words of ``new``: (new words, D).

    A token of both keeps its row, as do the control tokens. For another, the model read several, of which the rows
    are averaged, and so is what it read for the same letters with or without a space before them; in the ``output``
    layer it began with the first of them, whose row it gets.
    """
    special = rows[old.n_base :]
    return torch.cat([torch.stack([_row(rows, old, new.token_bytes(i), output) for i in range(new.n_base)]), special])


def _row(rows: Tensor, old: Tokenizer, token: bytes, output: bool) -> Tensor:
    if (same := old.id_of(token)) is not None:
        return rows[same]
    pieces = rows[_ids(old, token)]
    if output:
        return pieces[0]
    twin = old.id_of(token.removeprefix(b" ") if token.startswith(b" ") else b" " + token)
    mean = pieces.mean(0) if twin is None else (pieces.mean(0) + rows[twin]) / 2
    scale: Tensor = pieces.norm(dim=1).mean() / mean.norm()  # an average of k is shorter than they are
    return mean * scale


def _ids(old: Tokenizer, token: bytes) -> list[int]:
    try:
        return old.encode(token.decode())
    except UnicodeDecodeError:  # a part of a character
        return [found for byte in token if (found := old.id_of(bytes([byte]))) is not None]
