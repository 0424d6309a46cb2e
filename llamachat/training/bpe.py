"""Learns the embedded model's byte-level BPE, in tiktoken format. Digits never merge: numbers copy digit by digit.

``python -m llamachat.training.bpe --seed 1 --out llamachat/bundled/nano/tokenizer.model``
"""

import argparse
import base64
import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from tokenizers.decoders import ByteLevel

from llamachat.tokenizer import PATTERN
from llamachat.training.data import draw_sample
from llamachat.training.words import all_words

RANKS = 4096  # 256 bytes + 3840 merges; with Llama's 256 special tokens 4352 ids
_MODULES = """
argparse asyncio collections csv datetime decimal email functools http json logging os pathlib random re
shutil socket sqlite3 ssl statistics string subprocess tempfile textwrap threading time unittest
urllib.request zipfile
"""


def generated(seed: int, count: int) -> Iterator[str]:
    """The texts of ``count`` training dialogs, digits removed."""
    for i in range(count):
        for message in draw_sample(seed, i, "train").opened():
            yield message.text
            for call in message.tool_calls:
                yield json.dumps(dict(call.arguments))


def english() -> Iterator[str]:
    """Docstrings of the standard library: words and code that no generator knows."""
    for name in _MODULES.split():
        module = importlib.import_module(name)
        names = [
            name,
            *(f"{name}.{m.name}" for m in pkgutil.iter_modules(getattr(module, "__path__", ())) if m.name[0] != "_"),
        ]
        for full in names[:12]:
            part = sys.modules.get(full)
            for value in vars(part).values() if part else ():
                if isinstance(doc := getattr(value, "__doc__", None), str):
                    yield doc


def learn(texts: Iterator[str], ranks: int = RANKS) -> dict[bytes, int]:
    """Token bytes to rank: the 256 bytes, then the merges in the order learned."""
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    to_chars = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, to_chars])
    tokenizer.decoder = ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=ranks, initial_alphabet=alphabet, show_progress=False, special_tokens=[])
    tokenizer.train_from_iterator((re.sub(r"\d", " ", text) for text in texts), trainer)
    to_byte = _byte_of_char()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    tokens = [bytes([i]) for i in range(256)]
    for left, right in merges:
        token = bytes(to_byte[c] for c in left + right)
        if token not in tokens:
            tokens.append(token)
    return {token: rank for rank, token in enumerate(tokens[:ranks])}


def _byte_of_char() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes, backwards: 188 bytes stand for themselves, the rest for chr(256 + n)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(other)}


def write(ranks: dict[bytes, int], path: Path) -> None:
    """Write ``ranks`` in tiktoken's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (
        f"{base64.b64encode(token).decode()} {rank}\n"
        for token, rank in sorted(ranks.items(), key=lambda item: item[1])
    )
    path.write_text("".join(lines))


def main() -> None:
    """Learn from 30,000 dialogs of the seed, the word lists and English docstrings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dialogs", type=int, default=30_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    def texts() -> Iterator[str]:
        yield from generated(options.seed, options.dialogs)
        yield all_words()
        for text in english():
            yield from (text, text)  # twice: a word in a docstring is worth two in a template

    ranks = learn(texts())
    write(ranks, options.out)
    print(f"{len(ranks)} ranks -> {options.out}")


if __name__ == "__main__":
    main()
