"""What each kind of engine is asked, and how its answers are read: vLLM, SGLang, llama-server. Knows no HTTP.

Every sampling field is sent, as a server has defaults of its own for those that are missing. Sources: vllm
entrypoints/openai/completion/protocol.py; sglang srt/managers/io_struct.py; llama.cpp tools/server/README.md.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from llamachat.remote.lost import lost_ids
from llamachat.sampling import SamplingParams
from llamachat.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Question:
    """One generation: at most ``sampling.max_tokens`` ids after ``prompt``; ``bias`` is added to the logits of ids."""

    prompt: Sequence[int]
    sampling: SamplingParams
    stop_ids: Collection[int]
    bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event tells: ids that are new, how many ids of the prompt were cached (None: not told), whether this
    was the end, at which stop id (None: at none, or not told), and how many ids there are so far by the server's own
    count (None: not told)."""

    ids: tuple[int, ...] = ()
    cached: int | None = None
    done: bool = False
    stop_id: int | None = None
    made: int | None = None


def named(bias: Mapping[int, float]) -> dict[str, float] | None:
    """A bias by the ids' names, as JSON wants it."""
    return {str(token_id): value for token_id, value in bias.items()} or None


@dataclass(frozen=True, slots=True)
class VLLM:
    """``/v1/completions``, each event with the ids that are new. Cached ids are told only with
    --enable-prompt-tokens-details."""

    model: str
    tokenizer: Tokenizer
    kind: ClassVar[str] = "vLLM"
    path: ClassVar[str] = "/v1/completions"

    def body(self, question: Question) -> dict[str, Any]:
        """An OpenAI completion of ids, with vLLM's extensions."""
        sampling = question.sampling
        return {
            "model": self.model, "prompt": list(question.prompt), "max_tokens": sampling.max_tokens, "n": 1,
            "stream": True, "stream_options": {"include_usage": True}, "return_token_ids": True,
            "skip_special_tokens": False, "spaces_between_special_tokens": False,
            "stop_token_ids": sorted(question.stop_ids), "temperature": sampling.temperature, "top_p": sampling.top_p,
            "top_k": sampling.top_k, "min_p": sampling.min_p, "repetition_penalty": 1.0, "presence_penalty": 0.0,
            "frequency_penalty": 0.0, "seed": sampling.seed,
            "logit_bias": named(question.bias),
        }  # fmt: skip

    def read(self, event: Mapping[str, Any], seen: int) -> Piece:
        """The last event has no choices, but the usage."""
        details = (event.get("usage") or {}).get("prompt_tokens_details") or {}
        if not event["choices"]:
            return Piece(cached=details.get("cached_tokens"), done=True)
        choice = event["choices"][0]
        finished = choice.get("finish_reason")
        piece = Piece(tuple(choice["token_ids"] or ()), details.get("cached_tokens"), bool(finished))
        if finished != "stop":
            return piece
        named = choice.get("stop_reason")
        return replace(piece, stop_id=named if isinstance(named, int) else self.tokenizer.eot_id)


@dataclass(frozen=True, slots=True)
class SGLang:
    """``/generate``. Its ids are all so far, or those that are new, as it was started; completion_tokens tells which.
    A seed is not sent: only servers started for it take one."""

    tokenizer: Tokenizer
    kind: ClassVar[str] = "SGLang"
    path: ClassVar[str] = "/generate"

    def body(self, question: Question) -> dict[str, Any]:
        """Its own form; -1 stands for all of top-k."""
        sampling = question.sampling
        return {
            "input_ids": list(question.prompt), "stream": True,
            "sampling_params": {
                "max_new_tokens": sampling.max_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p,
                "top_k": sampling.top_k or -1, "min_p": sampling.min_p, "repetition_penalty": 1.0,
                "presence_penalty": 0.0, "frequency_penalty": 0.0, "stop_token_ids": sorted(question.stop_ids),
                "skip_special_tokens": False, "spaces_between_special_tokens": False, "no_stop_trim": True,
                "logit_bias": named(question.bias),
            },
        }  # fmt: skip

    def read(self, event: Mapping[str, Any], seen: int) -> Piece:
        """Ids, and what it calls meta_info."""
        meta, ids = event["meta_info"], event["output_ids"]
        new = meta["completion_tokens"] - seen
        reason = meta.get("finish_reason") or {}
        stop_id = None
        if reason.get("type") == "stop":
            matched = reason.get("matched")
            stop_id = matched if isinstance(matched, int) else self.tokenizer.eot_id
        ids = tuple(ids[max(0, len(ids) - new) :])
        return Piece(ids, meta.get("cached_tokens"), bool(reason), stop_id, meta["completion_tokens"])


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """``/completion`` of llama.cpp. It sends nothing while a character is incomplete, and then the last id only: the
    others are found from the character's bytes. Its ids that end a reply are those of the GGUF file."""

    tokenizer: Tokenizer
    kind: ClassVar[str] = "llama-server"
    path: ClassVar[str] = "/completion"

    def body(self, question: Question) -> dict[str, Any]:
        """Only our four filters, in our order; nothing that punishes repetition."""
        sampling = question.sampling
        return {
            "prompt": list(question.prompt), "n_predict": sampling.max_tokens, "stream": True, "return_tokens": True,
            "cache_prompt": True, "timings_per_token": True, "stop": [],
            "samplers": ["temperature", "top_k", "top_p", "min_p"],
            "temperature": sampling.temperature, "top_k": sampling.top_k, "top_p": sampling.top_p,
            "min_p": sampling.min_p, "repeat_penalty": 1.0, "ignore_eos": False, "n_probs": 0,
            "seed": -1 if sampling.seed is None else sampling.seed % 2**32,
            "logit_bias": [[token_id, bias] for token_id, bias in question.bias.items()],
        }  # fmt: skip

    def read(self, event: Mapping[str, Any], seen: int) -> Piece:
        """``tokens`` is one id at most; ``timings`` counts those that were not sent."""
        timings = event.get("timings") or {}
        ids, cached = tuple(event["tokens"]), timings.get("cache_n")
        if event.get("stop"):
            ended = self.tokenizer.eot_id if event.get("stop_type") == "eos" else None
            return Piece(ids, cached, True, ended)
        made = timings.get("predicted_n", seen + len(ids))
        if ids and made > seen + len(ids):
            ids = (*lost_ids(self.tokenizer, event["content"], made - seen - len(ids), ids[-1]), *ids)
        return Piece(ids, cached, made=made)


Engine = VLLM | SGLang | LlamaServer
