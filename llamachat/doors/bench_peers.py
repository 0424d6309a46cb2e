"""Engines for the bench: ours with random weights of a published shape, and transformers with the very same."""

import os
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from llamachat.checkpoints import open_checkpoint
from llamachat.checkpoints.checkpoint import expected_shapes, hollow
from llamachat.checkpoints.quantised import assemble, quantised
from llamachat.devices import pick_device
from llamachat.doors.bench_runtime import Timing, timing
from llamachat.errors import ConfigError
from llamachat.model import ModelConfig, RopeScaling, Transformer
from llamachat.paths import bundled_model, use_huge_pages
from llamachat.quantise import KINDS, QuantisedLinear, quantise
from llamachat.runtime import LlamaRuntime
from llamachat.steps.compiler import native
from llamachat.testing import byte_tokenizer

SHAPES: dict[str, Callable[[int], ModelConfig]] = {
    "nano": lambda context: replace(open_checkpoint(bundled_model()).config, context=context),  # never out of step
    "1b": lambda context: ModelConfig(
        2048, 16, 32, 8, 8192, 128_256, context, rope_scaling=RopeScaling(32.0), tied=True
    ),
    "3b": lambda context: ModelConfig(
        3072, 28, 24, 8, 8192, 128_256, context, head_dim=128, rope_scaling=RopeScaling(32.0), tied=True
    ),
    "8b": lambda context: ModelConfig(4096, 32, 32, 8, 14_336, 128_256, context, rope_scaling=RopeScaling()),
    "70b": lambda context: ModelConfig(8192, 80, 64, 8, 28_672, 128_256, context, rope_scaling=RopeScaling()),
}


def random_model(
    shape: str, device: str | None, dtype: str | None, context: int, weights: str | None = None
) -> Transformer:
    """Random weights, made on the device; those of the embedded model if
    the shape is "bundled". Raises ConfigError if there is no such shape or it does not fit."""
    if shape == "bundled":
        checkpoint = open_checkpoint(bundled_model())
        return checkpoint.load_model(pick_device(device), getattr(torch, dtype or "float32"))
    if shape not in SHAPES:
        raise ConfigError(f"There is no shape called {shape!r}.", f"Choose bundled or one of {', '.join(SHAPES)}.")
    place, config = pick_device(device), SHAPES[shape](context)
    shapes = expected_shapes(config)
    small = place.type == "cpu" and shape == "nano"
    if dtype not in (None, "float32", "bfloat16"):
        raise ConfigError(f"dtype is {dtype}.", "Choose float32 or bfloat16.")
    if weights not in (None, "bf16", *KINDS):
        raise ConfigError(f"weights is {weights}.", f"Choose bf16, {', '.join(KINDS)}.")
    dtype = dtype or ("bfloat16" if weights else None)
    kind = getattr(torch, dtype or ("float32" if small else "bfloat16"))
    wanted = sum(torch.Size(s).numel() for s in shapes.values()) * (kind.itemsize if weights in (None, "bf16") else 1)
    if wanted > (room := free_memory(place)):
        raise ConfigError(
            f"The shape {shape} takes {wanted / 2**30:.1f} GiB, and {room / 2**30:.1f} GiB are free.",
            "Choose a smaller one.",
        )
    use_huge_pages()

    def drawn() -> Iterator[tuple[str, Tensor]]:
        for name, size in shapes.items():
            tensor = torch.empty(size, dtype=kind, device=place)
            yield name, tensor.fill_(1) if "norm" in name else tensor.normal_(std=0.02)

    if weights in KINDS:
        few = KINDS[KINDS.index(weights)]
        return assemble(config, quantised(drawn(), config, few), few, lambda share: None)
    model = hollow(config)
    state = dict(drawn())
    if config.tied:
        state["output.weight"] = state["tok_embeddings.weight"]
    model.load_state_dict(state, assign=True)
    model.rope = model.rope.to(place)
    return model.eval().requires_grad_(False)


def runtime_of(model: Transformer, threads: int) -> LlamaRuntime:
    """Our engine for a model without words, its library compiled."""
    if model.norm.weight.device.type == "cpu":
        native().wait()
    return LlamaRuntime(model, byte_tokenizer(), name="random", context=model.config.context, threads=threads)


def in_int8(model: Transformer) -> None:
    """Quantise the matrices of ``model``, but for the embeddings."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, QuantisedLinear(quantise(child.weight, "int8")))


def free_memory(device: torch.device) -> int:
    """Bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def bytes_a_token(model: Transformer) -> int:
    """What decoding an id must read of the weights: all but the embeddings, of which it reads a row, unless they are
    the output layer too. A model that fits into the caches may seem to read faster than memory."""
    held = {tensor.data_ptr(): stored(tensor) for tensor in model.state_dict().values()}
    table, head = model.tok_embeddings.weight, getattr(model.output, "weight", None)
    tied = head is not None and head.data_ptr() == table.data_ptr()
    return sum(held.values()) - (0 if tied else stored(table))


def stored(weight: Tensor) -> int:
    """Bytes of ``weight``; the library reads float32 as bfloat16 where that loses nothing."""
    short = weight.dtype == torch.float32 and not weight.is_cuda and torch.equal(weight.bfloat16().float(), weight)
    return int(weight.nbytes) // (2 if short else 1)


def bandwidth(device: torch.device, size: int) -> tuple[float, float]:
    """Bytes a second of memory: read (a sum), and copied (read and written). Medians of 7, over ``size`` bytes."""
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    return (
        size / _median(lambda: source.sum(), device),
        2 * size / _median(lambda: target.copy_(source), device),
    )


def _median(work: Callable[[], object], device: torch.device) -> float:
    """Seconds."""
    taken = []
    for _ in range(8):
        _finish(device)
        start = perf_counter()
        work()
        _finish(device)
        taken.append(perf_counter() - start)
    return statistics.median(taken[1:])


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(model: Transformer) -> int:
    """Bytes: of the GPU, or of this process so far."""
    device = model.norm.weight.device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Peer:
    """transformers' LlamaForCausalLM and its generate(), streaming, with SDPA: as its documentation has it."""

    def __init__(self, model: Transformer, threads: int) -> None:
        from transformers import LlamaForCausalLM

        torch.set_num_threads(threads)
        weight = model.output.weight
        config = their_config(model.config)
        with torch.device("meta"):
            theirs = LlamaForCausalLM(config)
        theirs.load_state_dict(their_weights(model), assign=True)
        theirs.tie_weights()
        rotary = theirs.model.rotary_emb
        theirs.model.rotary_emb = type(rotary)(config).to(weight.device)  # its buffers were made on meta
        self._model: Any = theirs.requires_grad_(False)  # generate() takes care of dropout and the like; Llama has none
        self._device = weight.device

    def logits(self, ids: list[int]) -> Tensor:
        """Logits (T, V) of one sequence."""
        found: Tensor = self._model(torch.tensor([ids], device=self._device)).logits[0]
        return found

    def time(self, ids: list[int], tokens: int) -> Timing:
        """One greedy generation of exactly ``tokens`` ids."""
        clock, tensor = _Clock(), torch.tensor([ids], device=self._device)
        start = perf_counter()
        self._model.generate(
            tensor,
            attention_mask=torch.ones_like(tensor),
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
            streamer=clock,
        )
        return timing(start, clock.times[1:])  # the first is the prompt


class _Clock:
    """A streamer that notes when ids come."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Tensor) -> None:
        self.times.append(perf_counter())

    def end(self) -> None:
        """Nothing to do."""


def their_config(config: ModelConfig) -> Any:
    """transformers' LlamaConfig of the same shape."""
    from transformers import LlamaConfig

    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if scaling := config.rope_scaling:
        rope |= {
            "rope_type": "llama3", "factor": scaling.factor, "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor, "original_max_position_embeddings": scaling.original_context,
        }  # fmt: skip
    return LlamaConfig(
        vocab_size=config.vocab_size, hidden_size=config.dim, intermediate_size=config.ffn_dim,
        num_hidden_layers=config.n_layers, num_attention_heads=config.n_heads, num_key_value_heads=config.n_kv_heads,
        head_dim=config.width, max_position_embeddings=config.context, rms_norm_eps=config.norm_eps,
        tie_word_embeddings=config.tied, rope_parameters=rope,
    )  # fmt: skip


def their_weights(model: Transformer) -> dict[str, Tensor]:
    """The same weights under their names, q and k in their rotary layout; the others are not copied."""
    names = {
        "tok_embeddings": "model.embed_tokens", "layers.": "model.layers.", "output.": "lm_head.",
        "attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj", "attention.wv": "self_attn.v_proj",
        "attention.wo": "self_attn.o_proj", "feed_forward.w1": "mlp.gate_proj", "feed_forward.w2": "mlp.down_proj",
        "feed_forward.w3": "mlp.up_proj", "attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    }  # fmt: skip
    weights = {}
    for name, weight in model.state_dict().items():
        if name.endswith(("wq.weight", "wk.weight")):  # rows 2i and 2i + 1 of each head become i and i + E/2
            weight = weight.unflatten(0, (-1, model.config.width // 2, 2)).transpose(1, 2).flatten(0, 2)
        theirs = "model.norm.weight" if name == "norm.weight" else name
        for ours, their in names.items():
            theirs = theirs.replace(ours, their)
        weights[theirs] = weight
    return weights
