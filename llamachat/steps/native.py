"""A Transformer on the CPU, with native.cpp for the few ids of a step. Knows where tensors lie; computes nothing.

As a ``Decoder`` it has the next id chosen in the same call: what Python does between two steps finds the caches empty.

The library reads the very tensors that torch has, and the same cache; long prompts stay with torch, whose matrix
products are faster there.
"""

import ctypes
import sys
from collections.abc import Callable, Sequence
from random import Random

import torch
from torch import Tensor, nn

from llamachat.model import Block, Branches, KVCache, ModelConfig, Transformer
from llamachat.products import product_dtype
from llamachat.quantise import QuantisedLinear
from llamachat.sampling import SamplingParams, uniform
from llamachat.steps.compiler import Build, native
from llamachat.steps.cores import Cores

MOST = 32  # ids that are verified at once
LONG = {torch.float32: 128, torch.bfloat16: 32}
"""Ids of a prompt above which torch's matrix products are faster, if they are fast in that dtype at all."""
KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2}


class Matrix(ctypes.Structure):
    """As in native.cpp."""

    _fields_ = [
        ("data", ctypes.c_void_p), ("scale", ctypes.c_void_p), ("rows", ctypes.c_int64), ("columns", ctypes.c_int64),
        ("kind", ctypes.c_int32),
    ]  # fmt: skip


class Layer(ctypes.Structure):
    """As in native.cpp."""

    _fields_ = [
        *((name, Matrix) for name in ("wq", "wk", "wv", "wo", "w1", "w2", "w3")),
        ("attention_norm", ctypes.c_void_p), ("ffn_norm", ctypes.c_void_p),
    ]  # fmt: skip


class Model(ctypes.Structure):
    """As in native.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("D", "H", "K", "E", "ffn")), ("eps", ctypes.c_float),
        ("embeddings", Matrix), ("output", Matrix), ("norm", ctypes.c_void_p), ("cosines", ctypes.c_void_p),
        ("sines", ctypes.c_void_p), ("layers", ctypes.POINTER(Layer)), ("n_layers", ctypes.c_int64),
    ]  # fmt: skip


class Cache(ctypes.Structure):
    """As in native.cpp."""

    _fields_ = [
        ("keys", ctypes.c_void_p), ("values", ctypes.c_void_p), ("kind", ctypes.c_int32), ("size", ctypes.c_int64),
        ("length", ctypes.c_int64),
    ]  # fmt: skip


class Settings(ctypes.Structure):
    """As in sampling.h."""

    _fields_ = [
        *((name, ctypes.c_float) for name in ("temperature", "top_p", "min_p")), ("top_k", ctypes.c_int32),
    ]  # fmt: skip


class NativeSteps:
    """Steps and Decoder of ``model``, by the library as soon as that is there. ``threads`` fixes their number."""

    def __init__(self, model: Transformer, threads: int | None = None, build: Build | None = None) -> None:
        self.config: ModelConfig = model.config
        self._torch = model
        self._build = build or native()
        self.cores = Cores(1, threads)
        self._kept: list[Tensor] = []
        """What the library reads."""
        self._model = self._described(model)
        self._draws = Draws(0, None)

    def hidden(self, tokens: Tensor, cache: KVCache | None = None, branches: Branches | None = None) -> Tensor:
        """As Transformer.hidden; (1, T, D) in float32 where the library does it."""
        library, (_, new) = self._build.library, tokens.shape
        if (
            library is None
            or cache is None
            or branches
            or new > longest(cache.keys.dtype)
            or not self._fits(tokens, cache)
        ):
            return self._torch.hidden(tokens, cache, branches)
        found, ids, room = torch.empty(1, new, self.config.dim), tokens.contiguous(), described(cache)
        model, place = ctypes.byref(self._model), ctypes.byref(room)
        self._work(
            new, lambda threads: library.llamachat_hidden(model, place, pointer(ids), new, threads, pointer(found))
        )
        cache.length += new
        return found

    def output(self, hidden: Tensor) -> Tensor:
        """Logits (T, V) of ``hidden`` (T, D); in float32 where the library does it."""
        library = self._build.library
        if library is None or len(hidden) > MOST or hidden.dim() != 2:
            logits: Tensor = self._torch.output(hidden.to(self._torch.norm.weight.dtype))
            return logits
        wide, found = hidden.float().contiguous(), torch.empty(len(hidden), self.config.vocab_size)
        model, threads = ctypes.byref(self._model), self.cores.best
        library.llamachat_logits(model, pointer(wide), len(wide), threads, pointer(found))
        return found

    @property
    def ready(self) -> bool:
        """Whether the library is there."""
        return self._build.library is not None

    def most(self, room: int) -> int:
        """Ids that ``verify`` takes."""
        return min(room, MOST)

    def tune(self) -> None:
        """Nothing: threads are tried while steps are taken."""

    def begin(self, cache: KVCache, sampling: SamplingParams, random: Random) -> None:
        """A generation that goes on from what ``cache`` holds."""
        self._room, self._end = described(cache), min(cache.size, self._torch.rope.shape[1])
        self._settings = Settings(sampling.temperature, sampling.top_p, sampling.min_p, sampling.top_k)
        greedy = sampling.temperature == 0 or sampling.top_k == 1
        self._draws = Draws(cache.length, None if greedy else random)

    def place(self, token_id: int, position: int) -> None:
        """The next ``read`` takes a step with ``token_id`` behind ``position`` positions."""
        self._placed = token_id, position

    def launch(self) -> None:
        """Nothing to start: ``read`` does it all."""

    def read(self, ticket: object) -> int:
        """Take the step; the id that is chosen, -1 if its logits are not finite."""
        token_id, position = self._placed
        return self.verify([token_id], position)[0]

    def verify(self, ids: Sequence[int], position: int) -> list[int]:
        """Read ``ids`` behind ``position`` positions; what is chosen behind each."""
        library, new = self._build.library, len(ids)
        assert library
        assert position + new <= self._end
        assert 0 <= min(ids) <= max(ids) < self.config.vocab_size
        tokens, chosen = (ctypes.c_int64 * new)(*ids), (ctypes.c_int32 * new)()
        drawn = (ctypes.c_float * new)(*self._draws.at(position, new))
        self._room.length = position
        model, room, settings = (ctypes.byref(part) for part in (self._model, self._room, self._settings))
        self._work(
            new, lambda threads: library.llamachat_step(model, room, tokens, new, threads, settings, drawn, chosen)
        )
        return list(chosen)

    def _work(self, new: int, work: Callable[[int], object]) -> None:
        """Steps for one id are alike, so they tell how many threads are best."""
        if new == 1:
            self.cores.run(work)
        else:
            work(self.cores.best)

    def _fits(self, tokens: Tensor, cache: KVCache) -> bool:
        """Whether nothing would be read or written outside of what is there."""
        end, (low, high) = cache.length + tokens.shape[1], torch.aminmax(tokens)
        inside = int(low) >= 0 and int(high) < self.config.vocab_size
        return inside and end <= min(cache.size, self._torch.rope.shape[1])

    def _described(self, model: Transformer) -> Model:
        config, rope = model.config, model.rope.float()
        layers = (Layer * config.n_layers)(*(self._layer(block) for block in model.layers))  # type: ignore[arg-type]
        output = self._matrix(model.output)
        one = getattr(model.output, "weight", None) is model.tok_embeddings.weight
        table = output if one else self._matrix(model.tok_embeddings)
        return Model(
            config.dim, config.n_heads, config.n_kv_heads, config.width, config.ffn_dim, config.norm_eps, table, output,
            self._keep(model.norm.weight.float()), self._keep(rope[0]), self._keep(rope[1]), layers, config.n_layers,
        )  # fmt: skip

    def _layer(self, block: Block) -> Layer:
        a, f = block.attention, block.feed_forward
        matrices = [self._matrix(module) for module in (a.wq, a.wk, a.wv, a.wo, f.w1, f.w2, f.w3)]
        norms = [self._keep(norm.weight.float()) for norm in (block.attention_norm, block.ffn_norm)]
        return Layer(*matrices, *norms)

    def _matrix(self, module: nn.Module) -> Matrix:
        if isinstance(module, QuantisedLinear):
            rows, columns = module.data.shape
            return Matrix(self._keep(module.data), self._keep(module.scale), rows, columns, KINDS[module.data.dtype])
        weight: Tensor = module.weight.detach()  # type: ignore[operator]
        if weight.dtype == torch.float32 and torch.equal(short := weight.bfloat16(), weight):
            weight = short  # half the bytes to read, and nothing lost: most checkpoints hold bfloat16
        return Matrix(self._keep(weight), None, *weight.shape, KINDS[weight.dtype])

    def _keep(self, tensor: Tensor) -> int:
        self._kept.append(tensor.contiguous())
        return self._kept[-1].data_ptr()


class Draws:
    """A random number for each position from ``start`` on, the same however often it is asked for; 0 if greedy."""

    def __init__(self, start: int, random: Random | None) -> None:
        self._start, self._random = start, random
        self._numbers: list[float] = []

    def at(self, position: int, count: int) -> list[float]:
        """Those of ``count`` positions."""
        if self._random is None:
            return [0.0] * count
        end = position - self._start + count
        while len(self._numbers) < end:
            self._numbers.append(uniform(self._random))
        return self._numbers[end - count : end]


def longest(kind: torch.dtype) -> int:
    """The longest prompt that is not better left to torch, with keys and values in ``kind``.

    Llama 3.2 1B on a Zen 3 core, whose torch is slow in bfloat16: 128 ids take 4.3 s here, 23 s there.
    """
    slow = kind == torch.bfloat16 and product_dtype(torch.device("cpu")) != kind
    return sys.maxsize if slow else LONG.get(kind, 0)


def described(cache: KVCache) -> Cache:
    """``cache`` for the library."""
    return Cache(cache.keys.data_ptr(), cache.values.data_ptr(), KINDS[cache.keys.dtype], cache.size, cache.length)


def supports(model: Transformer) -> bool:
    """Whether the library knows all kinds of weights in ``model``."""
    tensors = [tensor for name, tensor in model.state_dict().items() if not name.endswith(".scale")]
    return all(tensor.dtype in KINDS and tensor.device.type == "cpu" for tensor in tensors)


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    """To its numbers."""
    return ctypes.c_void_p(tensor.data_ptr())
