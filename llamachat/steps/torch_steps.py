"""A Transformer on the CPU where there is no compiler: by torch alone, but in fewer and larger operations.

Matrices that share an input are one; in bfloat16 they are kept in oneDNN's own layout, which it multiplies 1.6 times as
fast with a single id. The model's own layers are used up: what it computed, this computes.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llamachat.model import Block, Branches, KVCache, ModelConfig, RMSNorm, Transformer, rotate, suffix_mask
from llamachat.products import product, product_dtype
from llamachat.quantise import Quantised, QuantisedLinear

Product = Callable[[Tensor], Tensor]


class TorchSteps:
    """Steps of ``model``."""

    def __init__(self, model: Transformer) -> None:
        self.config: ModelConfig = model.config
        self._model = model
        with torch.no_grad():
            self._layers = [_Layer(block, model.config) for block in model.layers if isinstance(block, Block)]
            self.output: Product = joined([model.output])

    def hidden(self, tokens: Tensor, cache: KVCache | None = None, branches: Branches | None = None) -> Tensor:
        """As Transformer.hidden; there must be a cache."""
        assert cache
        model, start, new = self._model, cache.length, tokens.shape[1]
        where: Tensor | slice = branches.positions if branches else slice(start, start + new)
        rope, mask = torch.complex(*model.rope[:, where]), branches.mask if branches else None
        if start and new > 1 and not branches:
            mask = suffix_mask(new, start + new, tokens.device)
        x: Tensor = model.tok_embeddings(tokens)
        for i, layer in enumerate(self._layers):
            x = layer(x, rope, cache, i, mask)
        cache.length += new
        return normed(x, model.norm)


class _Layer:
    """A block."""

    def __init__(self, block: Block, config: ModelConfig) -> None:
        attention, feed_forward = block.attention, block.feed_forward
        self.attention_norm, self.ffn_norm, self.width = block.attention_norm, block.ffn_norm, config.width
        self.queries, self.keys = config.n_heads, config.n_kv_heads
        self.qkv = joined([attention.wq, attention.wk, attention.wv])
        self.out = joined([attention.wo])
        self.gate_up = joined([feed_forward.w1, feed_forward.w3])
        self.down = joined([feed_forward.w2])

    def __call__(self, x: Tensor, rope: Tensor, cache: KVCache, index: int, mask: Tensor | None) -> Tensor:
        """As the block's ``forward``."""
        heads = self.qkv(normed(x, self.attention_norm)).view(*x.shape[:2], -1, self.width).transpose(1, 2)
        q, k = torch.split(rotate(heads[:, : -self.keys], rope), [self.queries, self.keys], 1)
        k, v = cache.put(index, k, heads[:, -self.keys :])
        causal = mask is None and q.shape[2] > 1
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        gate, up = self.gate_up(normed(x, self.ffn_norm)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def normed(x: Tensor, norm: RMSNorm) -> Tensor:
    """RMSNorm in one operation."""
    return F.rms_norm(x, x.shape[-1:], norm.weight, norm.eps)


def joined(modules: Sequence[nn.Module]) -> Product:
    """The product with the rows of all, one below the other. Their memory goes over to it: each module keeps a few of
    its numbers, by which a cache on the disk knows the model."""
    names = ("data", "scale") if isinstance(modules[0], QuantisedLinear) else ("weight",)
    whole = [torch.cat([getattr(module, name).detach() for module in modules]) for name in names]
    for module in modules:
        for name in names:
            few = getattr(module, name).detach().flatten()[:: max(1, getattr(module, name).numel() // 64)].clone()
            setattr(module, name, few if len(names) == 2 else nn.Parameter(few, requires_grad=False))
    if isinstance(modules[0], QuantisedLinear):
        return QuantisedLinear(Quantised(modules[0].kind, *whole))
    if whole[0].dtype != torch.bfloat16 or product_dtype(whole[0].device) != torch.bfloat16:
        return partial(product, weight=whole[0])
    packed = torch.ops.mkldnn._reorder_linear_weight(whole[0], 1)
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
