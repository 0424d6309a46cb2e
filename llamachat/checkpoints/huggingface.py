"""Hugging Face's layout: what config.json and its neighbours say. Knows LlamaForCausalLM only, and no weights."""

from pathlib import Path
from typing import cast, get_args, get_type_hints

from llamachat.checkpoints.checkpoint import Checkpoint, check_weights, dialect_of, find_tokenizer
from llamachat.checkpoints.safetensors_files import SafetensorsWeights, find_tensors
from llamachat.checkpoints.settings import Settings, quoted
from llamachat.checkpoints.vocabulary import vocabulary_of
from llamachat.errors import ConfigError
from llamachat.model import ModelConfig, RopeScaling
from llamachat.protocol import Dialect
from llamachat.sampling import SamplingParams
from llamachat.tokenizer import N_SPECIAL, Variant, special_names

PLAIN = "llamachat runs plain Llama 3 models; choose a checkpoint of that kind."
FOREIGN = {
    "mistral": "Mistral slides its attention window and has another tokenizer",
    "mixtral": "Mixtral is a mixture of experts",
    "qwen2": "Qwen2's attention has biases",
    "qwen3": "Qwen3 normalises queries and keys",
    "gemma": "Gemma has other norms and another activation",
    "gemma2": "Gemma 2 has other norms and another activation",
    "gemma3": "Gemma 3 has other norms and another activation",
    "phi": "Phi has other layers",
    "phi3": "Phi-3 fuses its weights and has another tokenizer",
    "mllama": "it sees pictures; the text models of Llama 3.2 have 1B and 3B",
    "llama4": "Llama 4 is a mixture of experts",
}
"""Why the commonest others are not run."""
CHANGED = (
    "sliding_window", "num_local_experts", "num_experts", "attn_logit_softcapping", "final_logit_softcapping",
    "use_qk_norm", "qk_norm", "no_rope_layers", "attention_multiplier", "embedding_multiplier", "logit_scale",
)  # fmt: skip
"""Settings of relatives: a config that says "llama" and has one of them describes another computation."""


def read_huggingface(folder: Path, *, weights: bool = True) -> Checkpoint:
    """Understand a folder of Hugging Face's; without ``weights``, one that has none. Raises CheckpointError."""
    settings = Settings.read(folder / "config.json")
    generation = Settings.read_if_there(folder / "generation_config.json")
    config = model_config(settings)
    tensors = find_tensors(folder, config.width, config.tied) if weights else SafetensorsWeights({}, {}, config.width)
    if weights:
        check_weights(folder, config, tensors.shapes)
    own = settings.section("llamachat")
    own.only({"name", "variant", "dialect"}, "Under llamachat, config.json takes name, variant and dialect.")
    stop_ids = _stop_ids(generation, settings, config.vocab_size)
    tokenizer = find_tokenizer(folder)
    variant = variant_of(own, folder, config, stop_ids)
    return Checkpoint(
        path=folder,
        name=str(own.data.get("name") or folder.resolve().name),
        config=config,
        variant=variant,
        dialect=own_dialect(own.section("dialect"), dialect_of(variant, config)),
        tokenizer_path=tokenizer,
        vocabulary=vocabulary_of(tokenizer),
        weights=tensors,
        stop_ids=stop_ids,
        sampling=sampling_of(generation),
    )


def model_config(settings: Settings) -> ModelConfig:
    """Shape of the model. Refuses, with the reason, what our Transformer would compute wrongly."""
    refuse_foreign(settings)
    n_heads, dim = settings.integer("num_attention_heads"), settings.integer("hidden_size")
    width = settings.integer("head_dim", max(1, dim // n_heads))
    rope = settings.section("rope_parameters")  # transformers 5; before, rope_theta stood beside rope_scaling
    scaling = rope if rope.data.keys() & {"rope_type", "type"} else settings.section("rope_scaling")
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
    """Raise CheckpointError for another architecture, for biases and for weights quantised otherwise than to fp8."""
    data = settings.data
    kind = data.get("model_type")
    if kind != "llama":
        reason = f"; {FOREIGN[kind]}" if isinstance(kind, str) and kind in FOREIGN else ""
        raise settings.wrong(f"the model type is {quoted(kind)}, not 'llama'{reason}", PLAIN)
    if data.get("hidden_act", "silu") != "silu":
        raise settings.wrong(f"the activation is {quoted(data['hidden_act'])}, not 'silu'", PLAIN)
    for key in ("attention_bias", "mlp_bias"):
        if settings.flag(key):
            raise settings.wrong(f"{key} is on, and Llama 3 has no biases", PLAIN)
    if changed := [key for key in CHANGED if data.get(key)]:
        raise settings.wrong(f"it has {changed[0]}, which Llama 3 has not", PLAIN)
    refuse_quantised(settings.section("quantization_config"))


def refuse_quantised(quantised: Settings) -> None:
    """Raise CheckpointError unless the weights are whole or fp8 with plain scales (which the tensors must bear out).

    fp8: AutoFP8 and transformers; fbgemm_fp8: Meta's 405B; compressed-tensors: vLLM's; modelopt: NVIDIA's.
    """
    if not quantised.data:
        return
    method, hint = quantised.data.get("quant_method"), "Choose the bf16 checkpoint, an fp8 one or a GGUF file."
    if method not in ("fp8", "fbgemm_fp8", "compressed-tensors", "modelopt"):
        raise quantised.wrong(f"the weights are quantised by {quoted(method)}, which llamachat can't read", hint)
    if quantised.data.get("weight_block_size"):
        raise quantised.wrong("the fp8 weights are scaled by blocks, not by tensors or rows", hint)
    if quantised.section("transform_config").data.get("config_groups"):
        raise quantised.wrong("the weights are rotated as well as quantised", hint)
    if quantised.section("sparsity_config").data.get("format", "dense") != "dense":
        raise quantised.wrong("the weights are sparse", hint)


def rope_scaling(rope: Settings) -> RopeScaling | None:
    """Llama 3.1's scaling, or None for plain RoPE; every other kind is refused."""
    kind = rope.data.get("rope_type", rope.data.get("type", "default"))
    if rope.data.get("partial_rotary_factor", 1.0) != 1.0:
        raise rope.wrong("only a part of each head is rotated (partial_rotary_factor)", PLAIN)
    if kind == "default":
        return None
    if kind != "llama3":
        raise rope.wrong(f"the RoPE scaling is {quoted(kind)}; llamachat knows 'llama3' and none", PLAIN)
    if rope.number("high_freq_factor") <= rope.number("low_freq_factor"):
        raise rope.wrong("high_freq_factor is not above low_freq_factor")
    return RopeScaling(
        factor=rope.number("factor"),
        low_freq_factor=rope.number("low_freq_factor"),
        high_freq_factor=rope.number("high_freq_factor"),
        original_context=rope.integer("original_max_position_embeddings"),
    )


def variant_of(own: Settings, folder: Path, config: ModelConfig, stop_ids: frozenset[int]) -> Variant:
    """What the config states; else 3.1 (and later) if RoPE is scaled, eom stops or the tokenizer names it; else 3.0."""
    said = own.data.get("variant")
    if said in get_args(Variant):
        return cast(Variant, said)
    if said is not None:
        raise own.wrong(f"variant is {quoted(said)}", 'Choose "3.0" or "3.1" (also for 3.2 and 3.3).')
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
            raise section.wrong(f"{key} is {quoted(value)}", f"Choose one of {', '.join(map(repr, allowed))}.")
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


def _stop_ids(generation: Settings, settings: Settings, vocab_size: int) -> frozenset[int]:
    """eos_token_id, one or a list, from generation_config.json, else from config.json (which often has but one)."""
    for source in (generation, settings):
        value = source.data.get("eos_token_id")
        if value is not None:
            ids = value if isinstance(value, list) else [value]
            if not all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < vocab_size for i in ids):
                raise source.wrong(f"eos_token_id is {quoted(value)}, neither an id nor a list of ids")
            return frozenset(ids)
    return frozenset()
