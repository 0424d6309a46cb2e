"""Our weights and shapes by Hugging Face's names and in its order. Knows names and numbers, no files."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from llamachat.model import ModelConfig
from llamachat.protocol import Dialect
from llamachat.tokenizer import Tokenizer

_TOP = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def foreign_name(name: str) -> str:
    """Hugging Face's name of a tensor of ours."""
    if name in _TOP:
        return _TOP[name]
    match = re.fullmatch(r"layers\.(\d+)\.(.+)\.weight", name)
    if match is None:
        raise KeyError(name)
    return f"model.layers.{match[1]}.{_IN_LAYER[match[2]]}.weight"


def halved(weight: Tensor, width: int) -> Tensor:
    """Rows (heads · E, D) from adjacent rotary pairs (x0 x1 x2 x3 …) to Hugging Face's halves (x0 x2 … x1 x3 …)."""
    return weight.view(-1, width // 2, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def foreign(state: Mapping[str, Tensor], config: ModelConfig, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Tensors by Hugging Face's names, heads in halves; a tied output layer is not stored."""
    for name, weight in state.items():
        if config.tied and name == "output.weight":
            continue
        rotary = name.endswith(("wq.weight", "wk.weight"))
        ordered = halved(weight, config.width) if rotary else weight
        yield foreign_name(name), ordered.detach().to("cpu", dtype).contiguous()


def config_json(
    name: str, config: ModelConfig, tokenizer: Tokenizer, dialect: Dialect, stops: Collection[int], dtype: torch.dtype
) -> dict[str, Any]:
    """config.json, with our own section for what Hugging Face has no words for."""
    scaling = config.rope_scaling
    rope = scaling and {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_context,
    }
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": config.dim,
        "intermediate_size": config.ffn_dim,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.width,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": rope,
        "tie_word_embeddings": config.tied,
        "torch_dtype": str(dtype).removeprefix("torch."),
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": sorted(stops),
        "llamachat": {"name": name, "variant": tokenizer.variant, "dialect": asdict(dialect)},
    }
