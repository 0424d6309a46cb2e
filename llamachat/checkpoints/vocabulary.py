"""Hugging Face's tokenizer.json to tiktoken ranks, where both give the same ids. Knows Llama 3's tokenizer only."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from llamachat.checkpoints.settings import Settings
from llamachat.tokenizer import PATTERN

HINT = "Put Meta's tokenizer.model (original/tokenizer.model in Meta's own repositories) beside the weights."


def read_tokenizer_json(path: Path) -> dict[bytes, int]:
    """BPE ranks of a Llama 3 tokenizer.json; its 256 special tokens are left to ``Tokenizer``.

    Raises CheckpointError unless the file provably merges as tiktoken does: Llama 3's split pattern, no normaliser,
    ``ignore_merges``, ids in merge order, and a merge for every way to cut a token into two others.
    """
    settings = Settings.read(path)
    model = settings.section("model")
    if model.data.get("type") != "BPE" or model.data.get("ignore_merges") is not True:
        raise settings.wrong("this is no Llama 3 tokenizer (a BPE with ignore_merges)", HINT)
    if settings.data.get("normalizer") is not None or PATTERN not in _patterns(settings.data.get("pre_tokenizer")):
        raise settings.wrong("it cuts text differently from Llama 3's tokenizer", HINT)
    alphabet = str.maketrans(byte_alphabet())
    try:
        vocab = {token.translate(alphabet): int(i) for token, i in model.section("vocab").data.items()}
        ranks = {token.encode("latin-1"): i for token, i in vocab.items()}
        merged = [vocab[_joined(merge).translate(alphabet)] for merge in model.data["merges"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise settings.wrong("its vocabulary or merges are torn", HINT) from error
    if sorted(ranks.values()) != list(range(len(ranks))) or not all(bytes([i]) in ranks for i in range(256)):
        raise settings.wrong("its ids have gaps, or bytes are missing", HINT)
    if merged != sorted(merged) or len(merged) != _cuts(ranks):
        raise settings.wrong("its merges are not those of a tiktoken vocabulary", HINT)
    return ranks


def byte_alphabet() -> dict[str, str]:
    """GPT-2's printable stand-in for each byte, itself or a character from U+0100 on, to that byte as Latin-1."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): chr(byte) for byte in printable} | {chr(0x100 + i): chr(byte) for i, byte in enumerate(hidden)}


def _patterns(node: Any) -> Iterable[str]:
    """Regular expressions of the Split steps of a pre-tokenizer."""
    steps = node.get("pretokenizers", [node]) if isinstance(node, dict) else []
    return [
        step["pattern"]["Regex"]
        for step in steps
        if isinstance(step, dict) and isinstance(step.get("pattern"), dict) and "Regex" in step["pattern"]
    ]


def _joined(merge: list[str] | str) -> str:
    """The token that a merge makes; it is written as a pair, or as "left right" in older files."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left + right


def _cuts(ranks: dict[bytes, int]) -> int:
    """In how many ways tokens can be cut into two other tokens: tiktoken would merge each of these pairs."""
    return sum(token[:at] in ranks and token[at:] in ranks for token in ranks for at in range(1, len(token)))
