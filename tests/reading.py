"""How the tests of replies say what they expect: a text in which ``<|…|>`` names are control tokens, and its parts."""

from typing import Any

from llamachat.calls import ErrorCode, Offered, Part
from llamachat.protocol import parse
from llamachat.testing import byte_tokenizer
from llamachat.tokenizer import Tokenizer

BYTES = byte_tokenizer()
TOOLS = frozenset({"get_weather", "add", "math.sqrt", "get-stock", "no_args", "send_mail"})
ALL = Offered(TOOLS, frozenset({"brave_search", "wolfram_alpha"}), code=True)
FUNCTIONS = Offered(TOOLS)
NOTHING = Offered()

TAG = "<|python_tag|>"
OSLO = '{"name": "get_weather", "parameters": {"city": "Oslo"}}'


def read(raw: str, offered: Offered = ALL, tokenizer: Tokenizer = BYTES) -> list[Part]:
    """The parts of ``raw`` as the model said it, end token included."""
    ids = tokenizer.tokenize(raw, bos=False, eos=False, allowed_special="all")
    return [plain(part) for part in parse(tokenizer, ids, offered).parts]


def said(raw: str, offered: Offered = ALL) -> list[Part]:
    """The parts of a message that the model ended."""
    return read(raw + "<|eot_id|>", offered)


def cut(raw: str, offered: Offered = ALL) -> list[Part]:
    """The parts of a message that the token limit ended."""
    return read(raw, offered)


def plain(part: Part) -> Part:
    """The part without what only explains it; ``stop`` is that of the message, and tested apart."""
    return Part(part.kind, "eot", part.name, part.arguments, part.text, part.error)


def text(words: str) -> Part:
    return Part("text", "eot", text=words)


def code(source: str) -> Part:
    return Part("code", "eot", text=source)


def call(name: str, **arguments: Any) -> Part:
    return Part("function", "eot", name, arguments)


def search(query: str, name: str = "brave_search") -> Part:
    return Part("builtin", "eot", name, {"query": query})


def broken(error: ErrorCode, name: str | None = None) -> Part:
    return Part("error", "eot", name, error=error)


WEATHER = call("get_weather", city="Oslo")
