"""Hugging Face's layout: config.json and safetensors, in one file or several. Knows LlamaForCausalLM only."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from safetensors import SafetensorError, safe_open
from torch import Tensor

from llamachat.checkpoints.checkpoint import Checkpoint, Shape, check_weights, dialect_of, find_tokenizer
from llamachat.checkpoints.settings import FETCH_AGAIN, Settings
from llamachat.errors import CheckpointError, ConfigError
from llamachat.model import ModelConfig, RopeScaling
from llamachat.protocol import Dialect
from llamachat.sampling import SamplingParams
from llamachat.tokenizer import N_SPECIAL, Variant, special_names

INDEX = "model.safetensors.index.json"
PLAIN = "llamachat runs plain Llama 3 models; choose a checkpoint of that kind."
TOP = {"model.embed_tokens": "tok_embeddings", "model.norm": "norm", "lm_head": "output"}
IN_LAYER = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}


@dataclass(frozen=True, slots=True)
class HuggingFaceWeights:
    """Tensors in safetensors files: ``places`` says for each of our names in which file and under which name it is.

    Hugging Face stores q and k with the two halves of a head apart; ``head_width`` is what it takes to interleave them.
    """

    places: Mapping[str, tuple[Path, str]]
    shapes: Mapping[str, Shape]
    head_width: int

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """Map file by file; only q and k are copied."""
        for file in sorted({file for file, _ in self.places.values()}):
            with open_file(file) as tensors:
                for name, (place, stored) in self.places.items():
                    if place == file:
                        tensor = tensors.get_tensor(stored)
                        rotary = name.endswith(("wq.weight", "wk.weight"))
                        yield name, interleave(tensor, self.head_width) if rotary else tensor


def interleave(weight: Tensor, width: int) -> Tensor:
    """Rows (heads · E, D) from Hugging Face's order (x0 x2 … x1 x3 …) to Meta's, where a rotary pair is adjacent."""
    return weight.view(-1, 2, width // 2, weight.shape[1]).transpose(1, 2).flatten(0, 2)


def read_huggingface(folder: Path) -> Checkpoint:
    """Understand a folder of Hugging Face's. Raises CheckpointError."""
    settings = Settings.read(folder / "config.json")
    generation = Settings.read_if_there(folder / "generation_config.json")
    config = model_config(settings)
    places, shapes = find_tensors(folder)
    if config.tied:  # some files store the table twice
        places.pop("output.weight", None)
        shapes.pop("output.weight", None)
    check_weights(folder, config, shapes)
    own = settings.section("llamachat")
    own.only({"name", "variant", "dialect"}, "Under llamachat, config.json takes name, variant and dialect.")
    stop_ids = _stop_ids(generation, settings)
    variant = variant_of(own, folder, config, stop_ids)
    return Checkpoint(
        path=folder,
        name=str(own.data.get("name") or folder.resolve().name),
        config=config,
        variant=variant,
        dialect=own_dialect(own.section("dialect"), dialect_of(variant, config)),
        tokenizer_path=find_tokenizer(folder),
        weights=HuggingFaceWeights(places, shapes, config.width),
        stop_ids=stop_ids,
        sampling=sampling_of(generation),
    )


def model_config(settings: Settings) -> ModelConfig:
    """Shape of the model. Refuses, with the reason, what our Transformer would compute wrongly."""
    refuse_foreign(settings)
    n_heads, dim = settings.integer("num_attention_heads"), settings.integer("hidden_size")
    width = settings.integer("head_dim", max(1, dim // n_heads))
    rope = settings.section("rope_parameters")  # transformers 5; before, rope_theta stood beside rope_scaling
    scaling = rope if rope.data else settings.section("rope_scaling")
    return ModelConfig(
        dim=dim,
        n_layers=settings.integer("num_hidden_layers"),
        n_heads=n_heads,
        n_kv_heads=settings.integer("num_key_value_heads", n_heads),
        ffn_dim=settings.integer("intermediate_size"),
        vocab_size=settings.integer("vocab_size"),
        context=settings.integer("max_position_embeddings"),
        head_dim=0 if width == dim // n_heads else width,
        norm_eps=settings.number("rms_norm_eps"),
        rope_theta=(rope if "rope_theta" in rope.data else settings).number("rope_theta"),
        rope_scaling=rope_scaling(scaling),
        tied=settings.flag("tie_word_embeddings"),
    )


def refuse_foreign(settings: Settings) -> None:
    """Raise CheckpointError for another architecture, for biases and for quantised weights."""
    data = settings.data
    if data.get("model_type") != "llama":
        raise settings.wrong(f"the model type is {data.get('model_type')!r}, not 'llama'", PLAIN)
    if data.get("hidden_act", "silu") != "silu":
        raise settings.wrong(f"the activation is {data['hidden_act']!r}, not 'silu'", PLAIN)
    for key in ("attention_bias", "mlp_bias"):
        if settings.flag(key):
            raise settings.wrong(f"{key} is on, and Llama 3 has no biases", PLAIN)
    if data.get("quantization_config"):
        raise settings.wrong("the weights are quantised, which llamachat can't read", "Choose the bf16 checkpoint.")


def rope_scaling(rope: Settings) -> RopeScaling | None:
    """Llama 3.1's scaling, or None for plain RoPE; every other kind is refused."""
    kind = rope.data.get("rope_type", rope.data.get("type", "default"))
    if rope.data.get("partial_rotary_factor", 1.0) != 1.0:
        raise rope.wrong("only a part of each head is rotated (partial_rotary_factor)", PLAIN)
    if kind == "default":
        return None
    if kind != "llama3":
        raise rope.wrong(f"the RoPE scaling is {kind!r}; llamachat knows 'llama3' and none", PLAIN)
    return RopeScaling(
        factor=rope.number("factor"),
        low_freq_factor=rope.number("low_freq_factor"),
        high_freq_factor=rope.number("high_freq_factor"),
        original_context=rope.integer("original_max_position_embeddings"),
    )


def find_tensors(folder: Path) -> tuple[dict[str, tuple[Path, str]], dict[str, Shape]]:
    """Where each tensor is, and its shape, both by our names; reads only the files' headers."""
    places: dict[str, tuple[Path, str]] = {}
    shapes: dict[str, Shape] = {}
    for file in weight_files(folder):
        with open_file(file) as tensors:
            for stored in tensors.keys():  # noqa: SIM118 (a safetensors handle is no mapping)
                if not stored.endswith("rotary_emb.inv_freq"):  # a constant that old transformers stored
                    name = our_name(stored)
                    places[name], shapes[name] = (file, stored), tuple(tensors.get_slice(stored).get_shape())
    return places, shapes


def weight_files(folder: Path) -> list[Path]:
    """The files of the index if there is one, else model.safetensors, else all safetensors files."""
    if (folder / INDEX).is_file():
        index = Settings.read(folder / INDEX)
        names = sorted({str(name) for name in index.section("weight_map").data.values()})
        lost = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
        if lost or not names:
            raise CheckpointError(f"{folder} lacks {lost[0] if lost else 'every file'} of its index.", FETCH_AGAIN)
        return [folder / name for name in names]
    single = folder / "model.safetensors"
    return [single] if single.is_file() else sorted(folder.glob("*.safetensors"))


def open_file(file: Path) -> Any:
    """A safetensors handle, a context manager (the package has no types). Raises CheckpointError if it is torn."""
    try:
        return safe_open(file, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} is torn: it is no complete safetensors file.", FETCH_AGAIN) from error


def our_name(stored: str) -> str:
    """Meta's name of a tensor; a name that we don't know stays, and is refused later."""
    if match := re.fullmatch(r"model\.layers\.(\d+)\.(\w+(?:\.\w+)?)\.weight", stored):
        return f"layers.{match[1]}.{IN_LAYER[match[2]]}.weight" if match[2] in IN_LAYER else stored
    stem = stored.removesuffix(".weight")
    return f"{TOP[stem]}.weight" if stem in TOP and stem != stored else stored


def variant_of(own: Settings, folder: Path, config: ModelConfig, stop_ids: frozenset[int]) -> Variant:
    """What the config states; else 3.1 (and later) if RoPE is scaled, eom stops or the tokenizer names it; else 3.0."""
    said = own.data.get("variant")
    if said in get_args(Variant):
        return cast(Variant, said)
    if said is not None:
        raise own.wrong(f"variant is {said!r}", 'Choose "3.0" or "3.1" (also for 3.2 and 3.3).')
    eom = config.vocab_size - N_SPECIAL + special_names("3.1").index("<|eom_id|>")
    added = Settings.read_if_there(folder / "tokenizer_config.json").section("added_tokens_decoder").data.values()
    named = any(isinstance(token, dict) and token.get("content") == "<|eom_id|>" for token in added)
    return "3.1" if config.rope_scaling or eom in stop_ids or named else "3.0"


def own_dialect(section: Settings, default: Dialect) -> Dialect:
    """The dialect that a model of ours states, field by field; ``default`` where it says nothing."""
    kinds = get_type_hints(Dialect)
    section.only(kinds, f"A dialect has {', '.join(kinds)}.")
    for key, value in section.data.items():
        allowed = get_args(kinds[key]) or (True, False)
        if value not in allowed or type(value) is not type(allowed[0]):
            raise section.wrong(f"{key} is {value!r}", f"Choose one of {', '.join(map(repr, allowed))}.")
    return Dialect(**{**{key: getattr(default, key) for key in kinds}, **section.data})


def sampling_of(generation: Settings) -> SamplingParams:
    """What generation_config.json recommends; ``do_sample: false`` means greedy."""
    ours, greedy = SamplingParams(), generation.data.get("do_sample") is False
    try:
        return SamplingParams(
            temperature=0.0 if greedy else generation.number("temperature", ours.temperature, zero=True),
            top_p=generation.number("top_p", ours.top_p),
            top_k=generation.integer("top_k") if generation.data.get("top_k") else 0,
            min_p=generation.number("min_p", ours.min_p, zero=True),
        )
    except ConfigError as error:
        raise generation.wrong(error.message.removesuffix("."), error.hint) from error


def _stop_ids(generation: Settings, settings: Settings) -> frozenset[int]:
    """eos_token_id, one or a list, from generation_config.json, else from config.json (which often has but one)."""
    for source in (generation, settings):
        value = source.data.get("eos_token_id")
        if value is not None:
            ids = value if isinstance(value, list) else [value]
            if not all(isinstance(i, int) for i in ids):
                raise source.wrong(f"eos_token_id is {value!r}, neither an id nor a list of ids")
            return frozenset(ids)
    return frozenset()
