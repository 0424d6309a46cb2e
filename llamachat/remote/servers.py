"""Which engine a server is, told by what it answers, and whether its model reads as ours does. Knows no generation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llamachat.errors import CheckpointError, EngineError
from llamachat.remote.engines import VLLM, Engine, LlamaServer, SGLang
from llamachat.remote.wire import Address
from llamachat.tokenizer import SAMPLE, Tokenizer
from llamachat.visible import visible

LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Server:
    """Its engine, its model's name, and how many tokens prompt and reply may have together (None: not told)."""

    engine: Engine
    model: str
    context: int | None


def find_server(address: Address, tokenizer: Tokenizer) -> Server:
    """Ask who is there. Raises EngineError, and CheckpointError if its model cuts text otherwise than ``tokenizer``."""
    server = next(_answers(address, tokenizer), None)
    if server is None:
        raise EngineError(
            f"The server at {address.url} is neither vLLM nor SGLang nor llama-server.",
            "Other engines don't tell ids, or only take text; give the address of one of these three.",
        )
    _compare(address, server, tokenizer)
    return server


def _answers(address: Address, tokenizer: Tokenizer) -> Iterator[Server]:
    """Each kind is asked for what only it has."""
    props = _mapping(address.ask("/props"))
    settings = _mapping(props.get("default_generation_settings"))
    listed = _mapping(address.ask("/v1/models"))
    models = [_mapping(model) for model in listed.get("data") or [] if isinstance(model, dict)] or [{}]
    model, longest = models[0], models[0].get("max_model_len")
    if settings:
        name = props.get("model_alias") or model.get("id") or props.get("model_path")
        yield Server(LlamaServer(tokenizer), _name(name), _length(settings.get("n_ctx")))
    about = _mapping(address.ask("/get_model_info"))
    if "is_generation" in about:
        yield Server(SGLang(tokenizer), _name(about.get("model_path")), _length(longest))
    if longest is not None and isinstance(model.get("id"), str):
        yield Server(VLLM(model["id"], tokenizer), _name(model["id"]), _length(longest))


def _compare(address: Address, server: Server, tokenizer: Tokenizer) -> None:
    """Ids of another vocabulary would be another text. A server that does not cut text for others is believed."""
    llama = isinstance(server.engine, LlamaServer)
    named = {"model": server.engine.model} if isinstance(server.engine, VLLM) else {}
    text = {"content": SAMPLE, "add_special": False} if llama else {"prompt": SAMPLE, "add_special_tokens": False}
    answer = address.ask("/tokenize", {**named, **text})
    if answer is not None and _mapping(answer).get("tokens") != tokenizer.encode(SAMPLE):
        raise CheckpointError(
            f"{server.model} at {address.url} cuts text otherwise than the tokenizer that was given here.",
            "Give the folder of the model that runs there: -m FOLDER. It needs no weights.",
        )


def _mapping(said: Any) -> Mapping[str, Any]:
    return said if isinstance(said, dict) else {}


def _name(said: Any) -> str:
    """The last part of a path, fit to be shown."""
    words = visible(str(said or "")).replace("\n", " ").rstrip("/").rsplit("/", 1)[-1].strip()
    return words[:LONGEST_NAME] or "remote"


def _length(said: Any) -> int | None:
    return said if isinstance(said, int) and said > 1 else None
