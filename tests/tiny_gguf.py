"""Random Llama models as GGUF: written by llama.cpp's library ``gguf``, with what its converter does to the weights."""

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import torch
from gguf import GGMLQuantizationType as Kind
from transformers import LlamaForCausalLM

from llamachat.checkpoints.vocabulary import byte_alphabet
from llamachat.tokenizer import special_names

Numbers = npt.NDArray[Any]
SCALES = {
    "Q4_K": (0, 2),
    "Q6_K": (208,),
    "Q5_K": (0, 2),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "IQ4_XS": (0,),
    "IQ4_NL": (0,),
}
"""Where the float16 scales lie in a block of the kinds that the library reads but can't write."""
INNER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def tokens(words: int) -> list[str]:
    """256 bytes, pairs of "a" and a byte on top, and the control tokens; in GPT-2's alphabet."""
    char = {ord(byte): char for char, byte in byte_alphabet().items()}
    pairs = [char[97] + char[i] for i in range(min(256, words - 512))]
    return [char[i] for i in range(256)] + pairs + special_names("3.1")


def permute(weight: Numbers, heads: int) -> Numbers:
    """convert_hf_to_gguf.py, LlamaModel.permute: halves of a head to adjacent pairs."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def back(weight: Numbers, heads: int) -> Numbers:
    """The inverse of ``permute``."""
    pairs = weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def divisors(config: Any) -> Numbers:
    """convert_hf_to_gguf.py: what Llama 3.1's scaling divides each frequency by."""
    rope, dim = config.rope_parameters, config.head_dim
    low, high, original = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    out = []
    for i in range(0, dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / dim)
        smooth = (original / wavelength - low) / (high - low)
        plain = wavelength < original / high
        scaled = 1 / ((1 - smooth) / rope["factor"] + smooth)
        out.append(1.0 if plain else rope["factor"] if wavelength > original / low else scaled)
    return np.array(out, np.float32)


def pack(weight: Numbers, kind: str, generator: np.random.Generator) -> Numbers:
    """Bytes of a weight; random ones where the library can't quantise."""
    if kind not in SCALES:
        return gguf.quants.quantize(weight, Kind[kind])
    block, size = gguf.GGML_QUANT_SIZES[Kind[kind]]
    packed = generator.integers(0, 256, (weight.shape[0], weight.shape[1] // block, size), dtype=np.uint8)
    for number, at in enumerate(SCALES[kind]):
        packed[..., at : at + 2] = np.full(1, (2e-4, 1e-3)[number], np.float16).view(np.uint8)
    return packed.reshape(weight.shape[0], -1)


def save_gguf(
    model: LlamaForCausalLM, file: Path, kind: str = "F32", split: int = 0, output: str = "", **fields: Any
) -> Path:
    """Save ``model`` in the ``kind`` (the output layer in another, if given) and set its weights to what was saved.
    ``fields`` change the metadata (None takes a field out; dots are written as __)."""
    config, generator = model.config, np.random.default_rng(0)
    writer = gguf.GGUFWriter(file, "llama", split_max_tensors=split)
    for key, value in {**metadata(config), **{key.replace("__", "."): value for key, value in fields.items()}}.items():
        if value is not None:
            of = gguf.GGUFValueType.get_type(value)
            of = gguf.GGUFValueType.UINT32 if of == gguf.GGUFValueType.INT32 and value >= 0 else of
            writer.add_key_value(key, value, of)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for stored, parameter in model.named_parameters():
        weight = parameter.numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(stored.split(".")[-2])
        weight = permute(weight, heads) if heads else weight
        name, of = names.get_name(stored, (".weight",)), "F32"
        if weight.ndim > 1:
            of = output if output and name == "output.weight" else kind
            packed = pack(np.ascontiguousarray(weight), of, generator)
            weight = gguf.quants.dequantize(packed, Kind[of])
            writer.add_tensor(name, packed, raw_dtype=Kind[of])
        else:
            writer.add_tensor(name, weight)
        parameter.copy_(torch.from_numpy(back(weight, heads) if heads else weight.copy()))
    if "factor" in config.rope_parameters:
        writer.add_tensor("rope_freqs.weight", divisors(config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def metadata(config: Any) -> dict[str, Any]:
    """What the converter writes of a config and of Llama 3's tokenizer."""
    words = tokens(config.vocab_size)
    merges = [f"{word[0]} {word[1]}" for word in words[256:-256]]
    return {
        "general.name": "Tiny", "llama.block_count": config.num_hidden_layers,
        "llama.context_length": config.max_position_embeddings, "llama.embedding_length": config.hidden_size,
        "llama.feed_forward_length": config.intermediate_size, "llama.vocab_size": config.vocab_size,
        "llama.attention.head_count": config.num_attention_heads,
        "llama.attention.head_count_kv": config.num_key_value_heads,
        "llama.attention.key_length": config.head_dim, "llama.attention.value_length": config.head_dim,
        "llama.attention.layer_norm_rms_epsilon": config.rms_norm_eps, "llama.rope.dimension_count": config.head_dim,
        "llama.rope.freq_base": config.rope_parameters["rope_theta"],
        "llama.rope.scaling.original_context_length": config.rope_parameters.get("original_max_position_embeddings"),
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.token_type": [1] * (len(words) - 256) + [3] * 256,
        "tokenizer.ggml.merges": merges or None, "tokenizer.ggml.bos_token_id": len(words) - 256,
        "tokenizer.ggml.eos_token_id": len(words) - 256 + 9, "tokenizer.chat_template": "{{ messages }}",
    }  # fmt: skip
