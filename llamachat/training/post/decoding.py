"""Many replies at a time: K branches behind each of several prompts, one pass for all. Knows tensors, no messages.

The keys and values of a prompt are kept once, those of its branches apart, so a step's attention reads the prompt once
for all K, and its matrix products have one row for each branch. The arithmetic is that of model.py.
Letters as there; N branches of this pass, n those of one table, G = H / K query heads a key/value head, S prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from llamachat.model import Block, KVCache, Transformer, rotate

GROW = 128  # positions by which the branches' buffers grow


class Table:
    """One prompt and its branches: ``prefix`` (2, L, K, S, E), and ``tails`` (2, L, n, K, T, E), which grow."""

    def __init__(self, model: Transformer, prompt: Sequence[int], branches: int) -> None:
        """Read ``prompt``; ``first`` is the state (1, D) behind it."""
        weight, config = model.output.weight, model.config
        self.ids = list(prompt)
        cache = KVCache(config, len(prompt), device=weight.device, dtype=weight.dtype)
        self.first = model.hidden(torch.tensor([self.ids], device=weight.device), cache)[:, -1]
        self.prefix = torch.stack((cache.keys[:, 0], cache.values[:, 0]))
        shape = (2, config.n_layers, branches, config.n_kv_heads, GROW, config.width)
        self.tails = torch.zeros(shape, device=weight.device, dtype=weight.dtype)
        self.said: list[list[int]] = [[] for _ in range(branches)]
        """Ids of each branch whose keys and values are in ``tails``."""

    def room(self, length: int) -> None:
        """Make the tails at least ``length`` long."""
        if (short := length - self.tails.shape[4]) > 0:
            self.tails = F.pad(self.tails, (0, 0, 0, -(-short // GROW) * GROW))


@dataclass(slots=True)
class Feed:
    """New ids for one branch."""

    table: Table
    branch: int
    ids: list[int]


@dataclass(slots=True)
class _Part:
    """The rows ``span`` of a pass that belong to one table: where their ids go, and what they see of the tails."""

    table: Table
    span: slice
    branches: Tensor
    columns: Tensor  # (n, T)
    seen: Tensor  # (n, 1, 1, T, tail) bool
    end: int
    whole: bool
    """Whether all branches of the table are in it, in order."""


@torch.inference_mode()
def feed(model: Transformer, feeds: Sequence[Feed]) -> Tensor:
    """Read the ids of each branch behind what it holds; the states (N, D) of the last ones, in the order given.

    Branches of one table must stand together. Ids of different number are padded, and forgotten behind the end.
    """
    device = model.output.weight.device
    width = max(len(f.ids) for f in feeds)
    tokens = torch.tensor([f.ids + [0] * (width - len(f.ids)) for f in feeds], device=device)
    starts = torch.tensor([len(f.table.ids) + len(f.table.said[f.branch]) for f in feeds], device=device)
    positions = (starts[:, None] + torch.arange(width, device=device)).clamp(max=model.rope.shape[1] - 1)
    rope = torch.complex(*model.rope[:, positions])[:, None]  # (N, 1, T, E/2)
    parts = [_part(feeds[span], span, width, device) for span in _spans(feeds)]
    x = model.tok_embeddings(tokens)
    for number, layer in enumerate(model.layers):
        assert isinstance(layer, Block)
        attention = layer.attention
        h = layer.attention_norm(x)
        q, k, v = (
            w(h).unflatten(-1, (-1, attention.width)).transpose(1, 2)
            for w in (attention.wq, attention.wk, attention.wv)
        )
        q, k = rotate(q, rope), rotate(k, rope)
        y = torch.cat([_attend(part, number, q[part.span], k[part.span], v[part.span]) for part in parts])
        x = x + attention.wo(y.transpose(1, 2).flatten(2))
        x = x + layer.feed_forward(layer.ffn_norm(x))
    for f in feeds:
        f.table.said[f.branch] += f.ids
    last = torch.tensor([len(f.ids) - 1 for f in feeds], device=device)
    states: Tensor = model.norm(x[torch.arange(len(feeds), device=device), last])
    return states


def _spans(feeds: Sequence[Feed]) -> list[slice]:
    """The runs of feeds of one table."""
    cuts = [i for i in range(len(feeds)) if not i or feeds[i].table is not feeds[i - 1].table]
    return [slice(a, b) for a, b in zip(cuts, [*cuts[1:], len(feeds)], strict=True)]


def _part(feeds: Sequence[Feed], span: slice, width: int, device: torch.device) -> _Part:
    table = feeds[0].table
    starts = torch.tensor([len(table.said[f.branch]) for f in feeds], device=device)
    columns = starts[:, None] + torch.arange(width, device=device)
    end = int(columns.max()) + 1
    table.room(end)
    seen = torch.arange(end, device=device) <= columns[:, :, None]
    branches = torch.tensor([f.branch for f in feeds], device=device)
    whole = [f.branch for f in feeds] == list(range(len(table.said)))
    return _Part(table, span, branches, columns, seen[:, None, None], end, whole)


def _attend(part: _Part, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention (n, H, T, E) of one table's branches over its prompt and, each, over its own tail."""
    table, n, heads, width = part.table, len(q), q.shape[1], q.shape[3]
    keys, values = table.tails[:, layer]
    keys[part.branches[:, None], :, part.columns] = k.transpose(1, 2)
    values[part.branches[:, None], :, part.columns] = v.transpose(1, 2)
    tail_keys, tail_values = (
        (buffer if part.whole else buffer[part.branches])[:, :, : part.end] for buffer in (keys, values)
    )  # (n, K, tail, E)
    grouped = q.reshape(n, k.shape[1], -1, *q.shape[2:])  # (n, K, G, T, E)
    shape = grouped.shape
    together = grouped.permute(1, 0, 2, 3, 4).flatten(1, 3)  # (K, n · G · T, E)
    old = (together @ table.prefix[0, layer].transpose(1, 2)).view(shape[1], n, *shape[2:4], -1).transpose(0, 1)
    new = (grouped.flatten(2, 3) @ tail_keys.transpose(2, 3)).reshape(*shape[:4], -1)
    scores = torch.cat((old, new.masked_fill(~part.seen, -torch.inf)), dim=-1).float() * width**-0.5
    shares = scores.softmax(-1).to(q.dtype)
    size = old.shape[-1]
    from_prefix = shares[..., :size].permute(1, 0, 2, 3, 4).flatten(1, 3) @ table.prefix[1, layer]
    y = from_prefix.view(shape[1], n, *shape[2:]).transpose(0, 1)
    y = y + (shares[..., size:].flatten(2, 3) @ tail_values).reshape(shape)
    whole: Tensor = y.reshape(n, heads, shape[3], width)
    return whole
