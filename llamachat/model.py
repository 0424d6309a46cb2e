"""The Llama 3 Transformer and its KV cache, one page. Knows tensors; no files, no meaning of tokens, no sampling.

Parameter names and the interleaved rotary layout are Meta's (llama_models/llama3/model.py).
Letters: B batch, T new positions, S all positions, D model width, H query heads, K key/value heads, E head width,
V vocabulary, L layers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llamachat.products import Linear


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Llama 3.1's stretching of long wavelengths (factor 8 in 3.1 and 3.3, 32 in 3.2)."""

    factor: float = 8.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Shape of a Llama 3 model; ``context`` is the longest sequence it was trained for, in tokens."""

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    ffn_dim: int
    vocab_size: int
    context: int = 8192
    head_dim: int = 0
    """0 means dim / n_heads."""
    norm_eps: float = 1e-5
    rope_theta: float = 500_000.0
    rope_scaling: RopeScaling | None = None
    tied: bool = False
    """The output layer is the embedding table (3.2 1B and 3B)."""

    @property
    def width(self) -> int:
        """E, the width of one head."""
        return self.head_dim or self.dim // self.n_heads


class KVCache:
    """Keys and values of one sequence in a static buffer per kind, (L, 1, K, S, E); ``length`` positions are valid."""

    def __init__(self, config: ModelConfig, size: int, *, device: torch.device | str, dtype: torch.dtype) -> None:
        shape = (config.n_layers, 1, config.n_kv_heads, size, config.width)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.size = size
        self.length = 0

    def put(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write (1, K, T, E) behind the valid positions; return all, (1, K, length + T, E), in their dtype. The model
        moves on."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end].to(keys.dtype), self.values[layer, :, :, :end].to(keys.dtype)

    def copy(self, start: int, end: int) -> Tensor:
        """Keys and values of positions ``start`` to ``end``, (2, L, K, T, E), on the CPU: pinned if they come from
        a GPU, which doubles the speed of both ways."""
        size, gpu = (2, *self.keys[:, 0, :, start:end].shape), self.keys.is_cuda
        copied = torch.empty(size, dtype=self.keys.dtype, pin_memory=gpu)
        for kind, source in zip(copied, (self.keys, self.values), strict=True):
            kind.copy_(source[:, 0, :, start:end])
        return copied

    def write(self, start: int, copied: Tensor) -> None:
        """Put such a copy at ``start``; whoever calls says what is valid by setting ``length``."""
        for kind, source in zip((self.keys, self.values), copied, strict=True):
            kind[:, 0, :, start : start + copied.shape[3]].copy_(source)


@dataclass(frozen=True, slots=True)
class Branches:
    """Several sequences behind one prefix of S positions, read in one row of T: their ``positions`` (T), and the
    ``mask`` (T, S + T) by which each sees the prefix and itself. A prefix is read once, whatever their number."""

    positions: Tensor
    mask: Tensor

    @classmethod
    def behind(cls, prefix: int, lengths: Sequence[int], device: torch.device) -> "Branches":
        """Branches of ``lengths`` behind ``prefix`` positions."""
        branch = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        positions = prefix + torch.cat([torch.arange(length) for length in lengths])
        own = (branch[:, None] == branch).tril()
        mask = torch.cat((torch.ones(len(branch), prefix, dtype=torch.bool), own), dim=1)
        return cls(positions.to(device), mask.to(device))


def suffix_mask(new: int, whole: int, device: torch.device) -> Tensor:
    """Each of the last ``new`` of ``whole`` positions sees those before it and itself. On a GPU it is SDPA's own kind
    of mask, by which it takes the flash kernel; with numbers it would take one that is several times slower."""
    if device.type == "cuda":
        from torch.nn.attention.bias import causal_lower_right  # late: only there

        return causal_lower_right(new, whole)
    return torch.ones(new, whole, dtype=torch.bool, device=device).tril(whole - new)


class Transformer(nn.Module):
    """Token ids (B, T) to logits (B, T, V)."""

    rope: Tensor  # (2, context, E/2) float32, cosines and sines; built on demand, never stored

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(Block(config, i) for i in range(config.n_layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.output = Linear(config.dim, config.vocab_size)
        if config.tied:
            self.output.weight = self.tok_embeddings.weight
        self.register_buffer("rope", rope_table(config), persistent=False)

    def hidden(self, tokens: Tensor, cache: KVCache | None = None, branches: "Branches | None" = None) -> Tensor:
        """Normalised last hidden states, (B, T, D). With a cache (B = 1), ``tokens`` follow what it holds: one after
        the other, or as ``branches`` that do not see each other."""
        start, new = cache.length if cache else 0, tokens.shape[1]
        if branches:
            rope, mask = torch.complex(*self.rope[:, branches.positions]), branches.mask
        else:
            rope, mask = torch.complex(*self.rope[:, start : start + new]), None
            if start and new > 1:
                mask = suffix_mask(new, start + new, tokens.device)
        x: Tensor = self.tok_embeddings(tokens)
        for layer in self.layers:
            x = layer(x, rope, cache, mask)
        if cache:
            cache.length += tokens.shape[1]
        x = self.norm(x)
        return x

    def forward(self, tokens: Tensor, cache: KVCache | None = None) -> Tensor:
        """Logits (B, T, V) in the model's dtype."""
        logits: Tensor = self.output(self.hidden(tokens, cache))
        return logits


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.attention = Attention(config, index)
        self.feed_forward = FeedForward(config.dim, config.ffn_dim)
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps)

    def forward(self, x: Tensor, rope: Tensor, cache: KVCache | None, mask: Tensor | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rope, cache, mask)
        x = x + self.feed_forward(self.ffn_norm(x))
        return x


class Attention(nn.Module):
    """Grouped-query attention: H/K query heads share a key/value head (Llama 3 Herd §3.2)."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.index, self.width = index, config.width
        self.wq = Linear(config.dim, config.n_heads * config.width)
        self.wk = Linear(config.dim, config.n_kv_heads * config.width)
        self.wv = Linear(config.dim, config.n_kv_heads * config.width)
        self.wo = Linear(config.n_heads * config.width, config.dim)

    def forward(self, x: Tensor, rope: Tensor, cache: KVCache | None, mask: Tensor | None) -> Tensor:
        q, k, v = (
            w(x).unflatten(-1, (-1, self.width)).transpose(1, 2) for w in (self.wq, self.wk, self.wv)
        )  # (B, H|K, T, E)
        q, k = rotate(q, rope), rotate(k, rope)
        if cache:
            k, v = cache.put(self.index, k, v)
        causal = mask is None and q.shape[2] > 1
        y: Tensor = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=True)
        y = self.wo(y.transpose(1, 2).flatten(2))
        return y


class FeedForward(nn.Module):
    """SwiGLU: w2(silu(w1 x) · w3 x)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w1 = Linear(dim, hidden)
        self.w2 = Linear(hidden, dim)
        self.w3 = Linear(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.w2(F.silu(self.w1(x)) * self.w3(x))
        return y


class RMSNorm(nn.Module):
    """x / rms(x) · weight, the mean taken in float32 as Meta does."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).type_as(x) * self.weight


def rotate(x: Tensor, rope: Tensor) -> Tensor:
    """Turn each pair (x[2i], x[2i+1]) of (B, H, T, E) by its position's angle: multiply by ``rope`` (T, E/2) complex64.

    Bit for bit the sums of products written out, in a third of the time (a seventh at 200 positions).
    """
    pairs = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rope).flatten(-2).type_as(x)


def rope_table(config: ModelConfig) -> Tensor:
    """Cosines and sines, (2, context, E/2) float32, with Llama 3.1's scaling where the config has it."""
    frequencies = 1.0 / config.rope_theta ** (torch.arange(0, config.width, 2).float() / config.width)
    if config.rope_scaling:
        frequencies = stretch(frequencies, config.rope_scaling)
    angles = torch.outer(torch.arange(config.context).float(), frequencies)
    return torch.stack((angles.cos(), angles.sin()))


def stretch(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Divide low frequencies by ``factor``, keep high ones, blend between (llama_models apply_scaling)."""
    wavelength = 2 * math.pi / frequencies
    blend = (scaling.original_context / wavelength - scaling.low_freq_factor) / (
        scaling.high_freq_factor - scaling.low_freq_factor
    )
    return torch.lerp(frequencies / scaling.factor, frequencies, blend.clamp(0, 1))
