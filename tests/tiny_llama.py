"""Random Llama models of a few thousand weights, on disk in both layouts: Hugging Face's own writer, Meta's by hand."""

import base64
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from llamachat.checkpoints import open_checkpoint
from llamachat.steps import Decoder
from llamachat.tokenizer import Tokenizer

V = 512  # a byte tokenizer: 256 bytes and 256 special tokens


def rope(factor: float | None, original: int = 64) -> dict[str, Any]:
    """Rope parameters of transformers; ``original`` is small, so that scaling shows within a short test."""
    if factor is None:
        return {"rope_type": "default", "rope_theta": 500_000.0}
    return {
        "rope_type": "llama3", "rope_theta": 500_000.0, "factor": factor, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": original,
    }  # fmt: skip


SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"num_key_value_heads": 4, "rope_parameters": rope(None)},
    "grouped, factor 8": {"num_key_value_heads": 2, "rope_parameters": rope(8.0)},
    "tied, factor 32": {"num_key_value_heads": 1, "tie_word_embeddings": True, "rope_parameters": rope(32.0)},
    "wide heads": {"num_key_value_heads": 2, "head_dim": 24, "num_hidden_layers": 3, "rope_parameters": rope(8.0)},
    "one layer, odd vocabulary": {"num_hidden_layers": 1, "vocab_size": 515, "intermediate_size": 72},
    "narrow heads, many layers": {"num_hidden_layers": 9, "head_dim": 8, "rope_parameters": rope(32.0)},
}


def reference(seed: int = 0, **changes: Any) -> LlamaForCausalLM:
    """transformers' model with random weights; q and k are large, so that a mistake in the rotation shows."""
    config = {
        "vocab_size": V, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_parameters": rope(None),
    }  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**{**config, **changes})).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        scale = 0.3 if "q_proj" in name or "k_proj" in name else 0.1
        weight.copy_(torch.randn(weight.shape, generator=generator) * scale + ("norm" in name))
    return model


def logits_agree(path: Path, model: LlamaForCausalLM, dtype: torch.dtype = torch.float32) -> None:
    """The checkpoint at ``path`` has the logits of ``model`` (float32), never only the same largest ones, which a wrong
    rotation has as well: relative error 1e-5, and in bfloat16 0.015 for each layer and one (transformers itself has
    0.014 with one layer and 0.15 with nine; with a wrong rotation it is 1.3)."""
    ids = torch.randint(model.config.vocab_size, (1, 50), generator=torch.Generator().manual_seed(1))
    expected, found = model(ids).logits, open_checkpoint(path).load_model(dtype=dtype)(ids)
    assert found.dtype == dtype
    error = 1e-5 if dtype == torch.float32 else 0.015 * (1 + model.config.num_hidden_layers)
    assert float((found.float() - expected).norm() / expected.norm()) < error


def rounded(model: LlamaForCausalLM, dtype: torch.dtype) -> LlamaForCausalLM:
    """A copy in ``dtype``, to be saved; ``model`` gets its weights, and keeps computing in float32."""
    small = copy.deepcopy(model).to(dtype)
    for weight, less in zip(model.parameters(), small.parameters(), strict=True):
        weight.copy_(less)
    return small


def write_tokenizer(folder: Path, words: int = 256) -> None:
    """A tiktoken file of the 256 bytes (or fewer, or with pairs of them on top)."""
    tokens = [bytes([i]) for i in range(256)] + [bytes([97, i]) for i in range(words - 256)]
    (folder / "tokenizer.model").write_text(
        "".join(f"{base64.b64encode(t).decode()} {i}\n" for i, t in enumerate(tokens))
    )


def byte_tokenizer() -> Tokenizer:
    return Tokenizer({bytes([i]): i for i in range(256)})


def save_huggingface(model: LlamaForCausalLM, folder: Path, max_shard_size: str = "1GB", **extra: Any) -> Path:
    """Save with transformers; ``extra`` keys go into config.json, or take one out if None."""
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    edit_json(folder / "config.json", **extra)
    write_tokenizer(folder)
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON object, or remove those that are None."""
    data = {**(json.loads(path.read_text()) if path.exists() else {}), **changes}
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def meta_weights(model: LlamaForCausalLM) -> dict[str, Tensor]:
    """The same weights under Meta's names, q and k with adjacent rotary pairs, row by row from the definition."""
    names = {
        "model.embed_tokens": "tok_embeddings", "model.norm": "norm", "lm_head": "output",
        "self_attn.q_proj": "attention.wq",
        "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv", "self_attn.o_proj": "attention.wo",
        "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2", "mlp.up_proj": "feed_forward.w3",
        "post_attention_layernorm": "ffn_norm", "input_layernorm": "attention_norm", "model.layers": "layers",
    }  # fmt: skip
    width, weights = model.config.head_dim, {}
    order = [half * width // 2 + i for i in range(width // 2) for half in (0, 1)]  # Meta's row 2i + half
    for stored, weight in model.state_dict().items():
        name = stored
        for theirs, metas in names.items():
            name = name.replace(theirs, metas)
        if name.endswith(("wq.weight", "wk.weight")):
            weight = torch.cat([head[order] for head in weight.split(width)])
        weights[name] = weight.clone()
    return weights


def save_meta(model: LlamaForCausalLM, folder: Path, shards: int = 1, split_width: bool = False, **params: Any) -> Path:
    """Save as Meta does, over ``shards`` ranks; ``split_width`` splits the embeddings as Meta's older code did."""
    folder.mkdir()
    config = model.config
    plain = {
        "dim": config.hidden_size, "n_layers": config.num_hidden_layers, "n_heads": config.num_attention_heads,
        "n_kv_heads": config.num_key_value_heads, "vocab_size": -1, "multiple_of": 32, "norm_eps": 1e-5,
        "rope_theta": 500_000.0, "max_seq_len": config.max_position_embeddings,
    }  # fmt: skip
    edit_json(folder / "params.json", **{**plain, **params})
    for rank in range(shards):
        part = {}
        for name, weight in meta_weights(model).items():
            columns = name.endswith(("wo.weight", "w2.weight")) or (split_width and name == "tok_embeddings.weight")
            part[name] = weight if weight.ndim == 1 else weight.chunk(shards, int(columns))[rank].clone()
        part["rope.freqs"] = torch.ones(8)
        torch.save(part, folder / f"consolidated.{rank:02d}.pth")
    write_tokenizer(folder)
    return folder


def to_float8(folder: Path, model: LlamaForCausalLM, ending: str = "weight_scale", rows: bool = False) -> Path:
    """Store the layers' matrices as published fp8 checkpoints do, one scale each or one a row, and set ``model`` to
    what was saved."""
    parameters = dict(model.named_parameters())

    def change(weights: dict[str, Tensor]) -> None:
        for name, weight in list(weights.items()):
            if "_proj" in name:
                scale = weight.abs().amax(1, keepdim=True) / 448 if rows else (weight.abs().max() / 448).reshape(1)
                small = (weight / scale).to(torch.float8_e4m3fn)
                stem = name.removesuffix(".weight")
                weights |= {name: small, f"{stem}.{ending}": scale, f"{stem}.input_scale": torch.ones(1)}
                parameters[name].copy_(small.float() * scale)

    return change_weights(folder, change)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """Apply ``change`` to the tensors of the first weight file."""
    file = next(iter([*folder.glob("*.safetensors"), *folder.glob("consolidated.00.pth")]))
    safe = file.suffix == ".safetensors"
    weights = load_file(file) if safe else torch.load(file)
    change(weights)
    save_file(weights, file) if safe else torch.save(weights, file)
    return folder


def count_passes(steps: Any) -> list[str]:
    """A list that grows with each pass of ``steps`` over the weights from now on."""
    passes = list[str]()
    for name in ("hidden", "verify") if isinstance(steps, Decoder) else ("hidden",):
        take = getattr(steps, name)
        setattr(steps, name, lambda *given, take=take, name=name: passes.append(name) or take(*given))
    return passes
