"""One step of the model as a row of kernels: five a layer, two for the end. Knows buffers and launches; no graph, no
loop of the host.

The residual stream stays in float32; what is multiplied next is in the model's dtype. Nothing here depends on how many
positions there are: kernels read that from memory, so one recording serves every step.
"""

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from llamachat.model import KVCache, Transformer
from llamachat.steps.triton.add_product import add_product
from llamachat.steps.triton.attention import attention
from llamachat.steps.triton.embedding import embedding
from llamachat.steps.triton.gated_product import gated_product
from llamachat.steps.triton.matrices import Layer, Matrix
from llamachat.steps.triton.norm_product import norm_product
from llamachat.steps.triton.sampling import sampling

ROWS = 8  # most new positions of a step
SPLITS = 16  # programs that share the positions of a key/value head: 128 for eight heads, on 132 processors
BLOCK_S = 64
BLOCK_V = 8192


@dataclass(frozen=True, slots=True)
class State:
    """What is on the device between steps, and what a step leaves there. M = ROWS lines."""

    ids: Tensor
    """(M) int64: what is read next."""
    position: Tensor
    """(1) int64: how many positions the cache holds."""
    settings: Tensor
    """(4) float32: temperature, top_p, min_p, top_k."""
    seed: Tensor
    """(1) int32."""
    found: Tensor
    """(M) int32: the id chosen behind each line, -1 if its logits are not finite."""
    residual: Tensor
    """(M, D) float32."""
    logits: Tensor
    """(M, V) float32."""
    qkv: Tensor
    attended: Tensor
    gated: Tensor
    partial: Tensor
    marks: Tensor
    arrived: Tensor

    @classmethod
    def of(cls, model: Transformer) -> "State":
        """Zeros."""
        config, table = model.config, model.tok_embeddings.weight
        heads, width = config.n_kv_heads, config.width

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=table.device)

        pieces = heads * SPLITS * lines_of(model, ROWS)
        return cls(
            ids=zeros(ROWS, dtype=torch.int64),
            position=zeros(1, dtype=torch.int64),
            settings=zeros(4),
            seed=zeros(1, dtype=torch.int32),
            found=zeros(ROWS, dtype=torch.int32),
            residual=zeros(ROWS, config.dim),
            logits=zeros(ROWS, config.vocab_size),
            qkv=zeros(ROWS, (config.n_heads + 2 * heads) * width),
            attended=zeros(ROWS, config.n_heads * width, dtype=table.dtype),
            gated=zeros(ROWS, config.ffn_dim, dtype=table.dtype),
            partial=zeros(pieces * width),
            marks=zeros(pieces * 2),
            arrived=zeros(heads, dtype=torch.int32),
        )


def lines_of(model: Transformer, rows: int) -> int:
    """Lines of a key/value head's scores: its query heads for each row, as many as tl.dot takes."""
    heads = rows * (model.config.n_heads // model.config.n_kv_heads)
    return max(16, int(triton.next_power_of_2(heads)))


class Kernels:
    """Launches steps of ``model``. ``pdl`` says whether kernels may overlap (from Hopper on)."""

    def __init__(self, model: Transformer, layers: list[Layer], head: Matrix, pdl: bool) -> None:
        self.layers, self.head, self.state = layers, head, State.of(model)
        self._model, self._pdl = model, pdl

    def read(self, rows: int, cache: KVCache) -> None:
        """``rows`` of ``ids`` to their residual stream, behind ``position`` positions; keys and values to ``cache``."""
        state = self.state
        self.embed(rows)
        for i, layer in enumerate(self.layers):
            self.norm_product(layer.qkv, layer.attention_norm, state.qkv, rows)
            self.attention(cache.keys[i, 0], cache.values[i, 0], rows)
            self.add_product(layer.out, state.attended, rows)
            self.gated_product(layer.gate_up, layer.ffn_norm, rows)
            self.add_product(layer.down, state.gated, rows)

    def embed(self, rows: int) -> None:
        """``rows`` of ``ids`` to the residual stream. It waits for all before: it is the first of its step."""
        table = self._model.tok_embeddings.weight
        self._launch(
            embedding, (rows,), 4, table, self.state.ids, self.state.residual,
            C=self._model.config.dim, BLOCK=128, PDL=False,
        )  # fmt: skip

    def choose(self, rows: int, chain: bool) -> None:
        """The residual stream to logits to ``found``; with ``chain`` it is what the next step reads."""
        state = self.state
        self.norm_product(self.head, self._model.norm.weight, state.logits, rows)
        self._launch(
            sampling, (rows,), 32,
            state.logits, state.settings, state.seed, state.ids, state.position, state.found,
            self.head.rows, CHAIN=chain, BLOCK=BLOCK_V,
        )  # fmt: skip

    def norm_product(self, matrix: Matrix, gain: Tensor, out: Tensor, rows: int) -> None:
        """``out`` = RMSNorm(residual) Wᵀ."""
        eps = self._model.config.norm_eps
        self._multiply(norm_product, matrix, rows, self.state.residual, gain, out, matrix.rows, EPS=eps)

    def gated_product(self, matrix: Matrix, gain: Tensor, rows: int) -> None:
        """``gated`` = silu(w1 y) · w3 y, y = RMSNorm(residual)."""
        eps = self._model.config.norm_eps
        self._multiply(gated_product, matrix, rows, self.state.residual, gain, self.state.gated, matrix.rows, EPS=eps)

    def add_product(self, matrix: Matrix, x: Tensor, rows: int) -> None:
        """residual += x Wᵀ."""
        self._multiply(add_product, matrix, rows, x, self.state.residual, matrix.rows)

    def attention(self, keys: Tensor, values: Tensor, rows: int) -> None:
        """``attended`` from ``qkv``; ``keys`` and ``values`` (K, S, E) of a layer get the new ones."""
        config, state = self._model.config, self.state
        rope = self._model.rope
        self._launch(
            attention, (config.n_kv_heads, SPLITS), 4,
            state.qkv, keys, values, rope, state.position, state.partial, state.marks, state.arrived, state.attended,
            rope.shape[1], keys.shape[1],
            M=rows, GROUP=config.n_heads // config.n_kv_heads, HEADS=config.n_kv_heads, WIDTH=config.width,
            LINES=lines_of(self._model, rows), SPLITS=SPLITS, BLOCK_S=BLOCK_S,
        )  # fmt: skip

    def _multiply(self, kernel: Any, matrix: Matrix, rows: int, *arguments: Any, **constants: Any) -> None:
        tiles = matrix.tiles(rows)
        self._launch(
            kernel, (matrix.rows // tiles.rows,), tiles.warps, matrix.data, matrix.scale, *arguments,
            M=rows, C=matrix.columns, BLOCK_R=tiles.rows, BLOCK_C=tiles.columns, KIND=matrix.form, **constants,
        )  # fmt: skip

    def _launch(self, kernel: Any, grid: tuple[int, ...], warps: int, *arguments: Any, **constants: Any) -> None:
        constants.setdefault("PDL", self._pdl)
        overlap = {"launch_pdl": True} if constants["PDL"] else {}  # the interpreter does not know the word
        kernel[grid](*arguments, **constants, num_warps=warps, **overlap)
