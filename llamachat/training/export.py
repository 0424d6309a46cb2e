"""A training checkpoint as a bundle that the ordinary checkpoint loader reads: Hugging Face's layout, bf16.

``python -m llamachat.training.export --run runs/nano --out llamachat/bundled/nano``
"""

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from llamachat.model import ModelConfig
from llamachat.tokenizer import Tokenizer
from llamachat.training.sample import NANO as DIALECT
from llamachat.training.train import NANO

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


def config_json(config: ModelConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """config.json, with our own section for what Hugging Face has no words for."""
    dialect = {key: getattr(DIALECT, key) for key in ("calls", "python_tag", "dates", "compact", "constrained")}
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
        "rope_scaling": None,
        "tie_word_embeddings": config.tied,
        "torch_dtype": "bfloat16",
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": sorted(tokenizer.stop_ids),
        "llamachat": {"name": "nano", "variant": tokenizer.variant, "dialect": dialect},
    }


def export(checkpoint: Path, out: Path, config: ModelConfig = NANO) -> dict[str, Any]:
    """Write weights and JSON files beside ``out``/tokenizer.model. Returns what the checkpoint says of its training."""
    state = torch.load(checkpoint, weights_only=True)
    layers = {name.split(".")[1] for name in state["masters"] if name.startswith("layers.")}
    config = replace(config, n_layers=len(layers))
    tokenizer = Tokenizer.from_file(out / "tokenizer.model")
    tensors = {}
    for name, weight in state["masters"].items():
        rotary = name.endswith(("wq.weight", "wk.weight"))
        tensors[foreign_name(name)] = (
            (halved(weight, config.width) if rotary else weight).to(torch.bfloat16).contiguous()
        )
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    (out / "config.json").write_text(json.dumps(config_json(config, tokenizer), indent=2) + "\n")
    generation = {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": sorted(tokenizer.stop_ids),
        "do_sample": False,
        "temperature": 0.0,
    }
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    return {key: state[key] for key in ("steps", "tokens", "seconds")}


def main() -> None:
    """Export the latest checkpoint of a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    print(json.dumps(export(options.run / "last.pt", options.out)))


if __name__ == "__main__":
    main()
