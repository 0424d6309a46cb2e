"""Vocabularies of Llama 3 in other formats than tiktoken's, where they give the same ids. Knows no other tokenizer."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from llamachat.checkpoints.settings import FETCH_AGAIN, Settings, quoted
from llamachat.errors import CheckpointError
from llamachat.tokenizer import N_SPECIAL, PATTERN, read_ranks, special_names

HINT = "Put Meta's tokenizer.model (original/tokenizer.model in Meta's own repositories) beside the weights."
MAX_FILE = 2**26  # bytes; Llama 3's tokenizer.json has 17 MB
MAX_TOKEN = 512  # bytes; Llama 3's longest has 128
LLAMA_PRE = ("llama-bpe", "llama3", "llama-v3")
"""How llama.cpp names Llama 3's way to cut text."""
ANCHORS = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


def vocabulary_of(path: Path) -> Callable[[], dict[bytes, int]]:
    """What reads the BPE ranks of tokenizer.model or tokenizer.json. It raises CheckpointError, TokenizerError."""
    if path.stat().st_size > MAX_FILE:
        raise CheckpointError(f"{path} is larger than {MAX_FILE >> 20} MiB.", FETCH_AGAIN)
    return partial(read_tokenizer_json if path.suffix == ".json" else read_ranks, path)


def read_tokenizer_json(path: Path) -> dict[bytes, int]:
    """BPE ranks of a Llama 3 tokenizer.json; its 256 special tokens are left to ``Tokenizer``.

    Raises CheckpointError unless the file provably merges as tiktoken does: Llama 3's split pattern, no normaliser,
    ``ignore_merges``, ids in merge order, and a merge for every way to cut a token into two others.
    """
    settings = Settings.read(path, MAX_FILE)
    model = settings.section("model")
    if model.data.get("type") != "BPE" or model.data.get("ignore_merges") is not True:
        raise settings.wrong("this is no Llama 3 tokenizer (a BPE with ignore_merges)", HINT)
    if settings.data.get("normalizer") is not None or PATTERN not in _patterns(settings.data.get("pre_tokenizer")):
        raise settings.wrong("it cuts text differently from Llama 3's tokenizer", HINT)
    return _ranks(settings, model.section("vocab").data, model.data.get("merges"))


def check_gguf_vocabulary(metadata: Settings) -> None:
    """Raise CheckpointError unless the tokenizer in GGUF's ``metadata`` is Llama 3's, by its makers' words and by its
    control tokens. Cheap; ``read_gguf_vocabulary`` proves it."""
    model, pre = metadata.data.get("tokenizer.ggml.model"), metadata.data.get("tokenizer.ggml.pre")
    if model != "gpt2" or pre not in LLAMA_PRE:
        said = f"{quoted(model)}, {quoted(pre)}"
        raise metadata.wrong(f"the tokenizer is {said}, not Llama 3's ('gpt2', 'llama-bpe')", "Choose a Llama 3 model.")
    tokens = metadata.data.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or len(tokens) < N_SPECIAL:
        raise metadata.wrong("the tokenizer has no tokens")
    names, special = tokens[-N_SPECIAL:], special_names("3.1")
    if any(names[special.index(anchor)] != anchor for anchor in ANCHORS):
        raise metadata.wrong("its last 256 tokens are not Llama 3's control tokens", "Choose a Llama 3 model.")


def read_gguf_vocabulary(metadata: Settings) -> dict[bytes, int]:
    """BPE ranks of a checked vocabulary. Raises CheckpointError unless it provably merges as tiktoken does."""
    tokens = metadata.data["tokenizer.ggml.tokens"][:-N_SPECIAL]
    return _ranks(metadata, {token: i for i, token in enumerate(tokens)}, metadata.data.get("tokenizer.ggml.merges"))


def _ranks(settings: Settings, vocab: Mapping[str, Any], merges: Any) -> dict[bytes, int]:
    """Ranks of tokens in GPT-2's alphabet, with proof that the merges are those of a tiktoken vocabulary."""
    alphabet = str.maketrans(byte_alphabet())
    try:
        ids = {token.translate(alphabet): int(i) for token, i in vocab.items()}
        ranks = {token.encode("latin-1"): i for token, i in ids.items()}
        merged = [ids[_joined(merge).translate(alphabet)] for merge in merges or ()]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise settings.wrong("its vocabulary or merges are torn", HINT) from error
    if sorted(ranks.values()) != list(range(len(ranks))) or not all(bytes([i]) in ranks for i in range(256)):
        raise settings.wrong("its ids have gaps, or bytes are missing", HINT)
    if max(map(len, ranks)) > MAX_TOKEN:
        raise settings.wrong(f"it has tokens of more than {MAX_TOKEN} bytes", HINT)
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
    steps = steps if isinstance(steps, list) else []
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
