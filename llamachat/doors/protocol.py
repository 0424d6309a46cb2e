"""The protocol door: JSON lines in, one JSON line out for each, for people who debug prompts. Knows the wire, no model.

A bad line is answered by ``{"id", "error"}``, and the rest go on. ``variant`` is "3.0" or "3.1" (the default).
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from llamachat.errors import ConfigError, LlamaChatError
from llamachat.messages import Message, StopReason, ToolCall
from llamachat.paths import bundled_model
from llamachat.protocol import BUILTIN_TOOLS, CODE_INTERPRETER, Dialect, Offered, Part, encode_dialog, parse
from llamachat.tokenizer import StreamDecoder, Tokenizer, Variant, read_ranks

Line = dict[str, Any]
Answer = Callable[[Tokenizer, Line], Line]

_STOPS = {
    None: None,
    "eot": StopReason.end_of_turn,
    "eom": StopReason.end_of_message,
    "length": StopReason.out_of_tokens,
}
_MISSING = object()
_KINDS = {str: "a string", bool: "true or false", list: "a list", dict: "an object", type(None): "null"}

app = typer.Typer(no_args_is_help=True, help="Look at the wire format: JSON lines in, JSON lines out.")
TokenizerOption = Annotated[
    Path | None, typer.Option("--tokenizer", help="A tokenizer.model; without it, the embedded model's.")
]


@app.command()
def encode(tokenizer: TokenizerOption = None) -> None:
    """{"id","variant","messages"} to {"id","ids"}; also add_generation_prompt, tool_prompt_format, python_tag."""
    _serve(tokenizer, _encode)


@app.command()
def decode(tokenizer: TokenizerOption = None) -> None:
    """{"id","variant","ids"} to {"id","text"}."""
    _serve(tokenizer, lambda model, line: {"text": model.decode(_ids(model, line))})


@app.command()
def stream(tokenizer: TokenizerOption = None) -> None:
    """{"id","variant","ids"} to {"id","chunks"}: the text that each id settles, and what is left at the end."""
    _serve(tokenizer, _stream)


@app.command()
def tokenize(tokenizer: TokenizerOption = None) -> None:
    """{"id","variant","text","bos","eos","allowed_special"} to {"id","ids"}."""
    _serve(tokenizer, _tokenize)


@app.command("parse")
def parse_(tokenizer: TokenizerOption = None) -> None:
    """{"id","variant","ids","ctx"} to {"id","parts"}; ctx: tools and builtin (lists of names), code (true or false)."""
    _serve(tokenizer, _parse)


def _serve(path: Path | None, answer: Answer) -> None:
    """Answer every line of stdin. Exits with 1 if the tokenizer can't be read, with 130 on Ctrl-C."""
    try:
        ranks = read_ranks(path or bundled_model() / "tokenizer.model")

        @cache
        def tokenizer(variant: Variant) -> Tokenizer:
            return Tokenizer(ranks, variant)

        for raw in sys.stdin.buffer:
            sys.stdout.write(json.dumps(_answer(raw, tokenizer, answer), allow_nan=False) + "\n")
            sys.stdout.flush()
    except LlamaChatError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains as it exits
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _answer(raw: bytes, tokenizer: Callable[[Variant], Tokenizer], answer: Answer) -> Line:
    name = None
    try:
        line = _read(raw)
        name = _name(line)
        return {"id": name, **answer(tokenizer(_choice(line, "variant", get_args(Variant), "3.1")), line)}
    except LlamaChatError as error:
        return {"id": name, "error": error.message}
    except RecursionError:
        return {"id": name, "error": "The line is nested too deeply."}


def _name(line: Line) -> str | int | float | None:
    """The id to answer with; one that is no plain value is not repeated."""
    name = line.get("id")
    plain = isinstance(name, str | int) or (isinstance(name, float) and math.isfinite(name))
    return name if plain else None


def _read(raw: bytes) -> Line:
    try:
        line = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ConfigError("The line is not UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("The line is no JSON that we can read.") from error
    if not isinstance(line, dict):
        raise ConfigError("The line is no JSON object.")
    return line


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _encode(tokenizer: Tokenizer, line: Line) -> Line:
    messages = [_message(message) for message in _field(line, "messages", list)]
    calls = _choice(line, "tool_prompt_format", ("json", "function_tag", "python_list"), "json")
    dialect = Dialect(calls, _choice(line, "python_tag", ("code_only", "all_calls"), "code_only"))
    prompt = _field(line, "add_generation_prompt", bool, default=True)
    return {"ids": encode_dialog(tokenizer, messages, dialect, add_generation_prompt=prompt).ids}


def _stream(tokenizer: Tokenizer, line: Line) -> Line:
    decoder = StreamDecoder(tokenizer)
    return {"chunks": [decoder.feed(token_id) for token_id in _ids(tokenizer, line)] + [decoder.flush()]}


def _tokenize(tokenizer: Tokenizer, line: Line) -> Line:
    allowed: Any = line.get("allowed_special")
    if allowed != "all":
        allowed = _strings(line, "allowed_special")
    bos, eos = _field(line, "bos", bool), _field(line, "eos", bool)
    return {"ids": tokenizer.tokenize(_field(line, "text", str), bos=bos, eos=eos, allowed_special=allowed)}


def _parse(tokenizer: Tokenizer, line: Line) -> Line:
    context = _field(line, "ctx", dict)
    tools, builtin = _strings(context, "tools", []), _strings(context, "builtin", [])
    offered = Offered(frozenset(tools), frozenset(builtin), _field(context, "code", bool, default=False))
    return {"parts": [_shown(part) for part in parse(tokenizer, _integers(line), offered).parts]}


def _shown(part: Part) -> Line:
    fields = {name: getattr(part, name) for name in ("to", "kind", "name", "arguments", "text", "stop")}
    return {**fields, "error": part.error} if part.error else fields


def _message(value: Any) -> Message:
    if not isinstance(value, dict):
        raise ConfigError("A message must be an object.")
    role = _choice(value, "role", ("system", "user", "assistant", "ipython", "tool"))
    content = _field(value, "content", str, list)
    calls = tuple(_call(call) for call in _field(value, "tool_calls", list, default=[]))
    stop = _STOPS[_choice(value, "stop", tuple(_STOPS), None)]
    context = _field(value, "context", str, type(None), default=None)
    text = content if isinstance(content, str) else tuple(_strings(value, "content"))
    return Message("ipython" if role == "tool" else role, text, calls, stop, None, context)


def _call(value: Any) -> ToolCall:
    if not isinstance(value, dict):
        raise ConfigError("A tool call must be an object.")
    name, arguments = _field(value, "name", str), _field(value, "arguments", dict)
    needed = "query" if name in BUILTIN_TOOLS else "code" if name == CODE_INTERPRETER else None
    if needed and needed not in arguments:
        raise ConfigError(f'A call of {name} needs the argument "{needed}".')
    return ToolCall(name, arguments)


def _field(line: Line, key: str, *kinds: type, default: Any = _MISSING) -> Any:
    """``line[key]``, if it is of one of the ``kinds``. Raises ConfigError."""
    value = line.get(key, default)
    if value is _MISSING:
        raise ConfigError(f'"{key}" is missing.')
    if not isinstance(value, kinds):
        raise ConfigError(f'"{key}" must be {" or ".join(_KINDS[kind] for kind in kinds)}.')
    return value


def _choice(line: Line, key: str, allowed: Iterable[Any], default: Any = _MISSING) -> Any:
    value = line.get(key, default)
    if value is _MISSING:
        raise ConfigError(f'"{key}" is missing.')
    if not isinstance(value, str | None) or value not in allowed:
        raise ConfigError(f'"{key}" must be one of {json.dumps(list(allowed))}.')
    return value


def _strings(line: Line, key: str, default: Any = _MISSING) -> list[str]:
    values: list[Any] = _field(line, key, list, default=default)
    if not all(isinstance(value, str) for value in values):
        raise ConfigError(f'"{key}" must hold strings only.')
    return values


def _integers(line: Line) -> list[int]:
    values: list[Any] = _field(line, "ids", list)
    if not all(type(value) is int for value in values):
        raise ConfigError('"ids" must hold integers only.')
    return values


def _ids(tokenizer: Tokenizer, line: Line) -> list[int]:
    """The ids, all of them in the vocabulary."""
    ids = _integers(line)
    outside = next((token_id for token_id in ids if not 0 <= token_id < tokenizer.n_words), None)
    if outside is not None:
        raise ConfigError(f"Token id {outside} is outside the vocabulary of {tokenizer.n_words}.")
    return ids


if __name__ == "__main__":
    app()
