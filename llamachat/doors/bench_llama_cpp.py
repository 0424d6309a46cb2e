"""llama.cpp for the bench, with our very weights: a GGUF file for a moment, and llama-cpp-python to run it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import gguf
import numpy as np
import torch

from llamachat.doors.bench_runtime import Timing, timing
from llamachat.model import Transformer, stretch

NAMES = {
    "tok_embeddings": "token_embd", "attention.wq": "attn_q", "attention.wk": "attn_k", "attention.wv": "attn_v",
    "attention.wo": "attn_output", "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up", "attention_norm": "attn_norm", "layers": "blk",
}  # fmt: skip


class LlamaCpp:
    """Generates greedily with ``kind`` weights (BF16, F32 or Q8_0; by default whatever loses nothing), by its own
    sampler, ids streamed. With Q8_0 it reads its prompts id by id: its product with AMX for more of them crashes on the
    virtual machine where we measured (0.3.36)."""

    def __init__(self, model: Transformer, threads: int, kind: str = "") -> None:
        from llama_cpp import Llama  # type: ignore[import-not-found, import-untyped, unused-ignore]

        short = all(torch.equal(weight.bfloat16().to(weight.dtype), weight) for weight in model.parameters())
        kind = kind or ("BF16" if short else "F32")
        with TemporaryDirectory() as folder:
            file, batch = save_gguf(model, Path(folder) / "bench.gguf", kind), 1 if kind == "Q8_0" else 512
            self._llama: Any = Llama(
                str(file), n_ctx=model.config.context, n_batch=batch, n_threads=threads, n_threads_batch=threads,
                verbose=False, use_mmap=False,
            )  # fmt: skip

    def logits(self, ids: list[int]) -> Any:
        """Logits (V) behind ``ids``."""
        self._llama.reset()
        self._llama.eval(ids)
        return torch.tensor(np.ctypeslib.as_array(self._llama._ctx.get_logits(), (self._llama.n_vocab(),)).copy())

    def time(self, ids: list[int], tokens: int) -> Timing:
        """One greedy generation of exactly ``tokens`` ids."""
        times: list[float] = []
        start = perf_counter()
        for _ in self._llama.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
            times.append(perf_counter())
            if len(times) == tokens:
                break
        return timing(start, times)


def save_gguf(model: Transformer, file: Path, kind: str) -> Path:
    """``model`` without words; matrices as ``kind``."""
    config, writer = model.config, gguf.GGUFWriter(file, "llama")
    of = gguf.GGMLQuantizationType[kind]
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.ffn_dim)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_key_length(config.width)
    writer.add_value_length(config.width)
    writer.add_rope_dimension_count(config.width)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    for name, weight in model.state_dict().items():
        theirs = {"norm.weight": "output_norm.weight"}.get(name, name)
        if name == "output.weight" and config.tied:
            continue
        for ours, their in NAMES.items():
            theirs = theirs.replace(ours, their)
        if weight.ndim == 1:
            writer.add_tensor(theirs, weight.float().numpy())
        elif kind == "BF16":
            writer.add_tensor(theirs, weight.bfloat16().view(torch.uint8).numpy(), raw_dtype=of)
        else:
            writer.add_tensor(theirs, gguf.quants.quantize(weight.float().numpy(), of), raw_dtype=of)
    if config.rope_scaling:
        plain = 1.0 / config.rope_theta ** (torch.arange(0, config.width, 2).float() / config.width)
        writer.add_tensor("rope_freqs.weight", (plain / stretch(plain, config.rope_scaling)).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
