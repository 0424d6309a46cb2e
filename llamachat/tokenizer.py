"""Text to ids and back: tiktoken plus the special-token tables of Llama 3.0 and 3.1+. Knows no messages.

The one promise that all safety rests on: ``encode()`` never produces a special id, whatever the text.
Reference: llama_models/llama3/tokenizer.py (0.3.0) and meta-llama/llama3 for the 3.0 table.
"""

import base64
import binascii
import codecs
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import tiktoken

from llamachat.errors import TokenizerError

Variant = Literal["3.0", "3.1"]
"""3.0, or "3.1" for 3.1, 3.2 and 3.3: they differ in the names of ids base+4, 5, 8, 10 and 11 (eom, python_tag, …)."""

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
N_SPECIAL = 256
MAX_BLOCK = 400_000  # code points: tiktoken panics on much longer input (openai/tiktoken#195)
SAMPLE = 'The quick brown llama\'s 1,234.5 hats: naïve façade, 東京 привет {"json": [null]}\n\tdef f(x): return x**2 😀'
"""A sentence of many kinds: tokenizers that cut it alike are taken for the same."""
MAX_RUN = 25_000  # of (non-)whitespace: its regex is quadratic there; Meta cuts, and the cut changes the ids


def special_names(variant: Variant) -> list[str]:
    """The 256 special tokens in id order, first one at the end of the BPE ranks."""
    head = ["<|begin_of_text|>", "<|end_of_text|>"]
    if variant == "3.0":
        named = {4: "<|start_header_id|>", 5: "<|end_header_id|>", 7: "<|eot_id|>"}
    else:
        named = {
            2: "<|finetune_right_pad_id|>", 3: "<|step_id|>", 4: "<|start_header_id|>", 5: "<|end_header_id|>",
            6: "<|eom_id|>", 7: "<|eot_id|>", 8: "<|python_tag|>", 9: "<|image|>",
        }  # fmt: skip
    reserved = iter(range(N_SPECIAL))
    return head + [named.get(i) or f"<|reserved_special_token_{next(reserved)}|>" for i in range(N_SPECIAL - 2)]


class Tokenizer:
    """A tiktoken BPE with ``n_base`` ordinary ids, followed by 256 special ids.

    ``bos_id``, ``eos_id``, ``eot_id``, ``start_header_id`` and ``end_header_id`` exist in both variants;
    ``eom_id``, ``python_tag_id`` and ``pad_id`` are None in 3.0. ``stop_ids`` is what ends a generation.
    """

    def __init__(self, ranks: dict[bytes, int], variant: Variant = "3.1") -> None:
        self.variant: Variant = variant
        self.n_base = len(ranks)
        self.n_words = self.n_base + N_SPECIAL
        self.special = {name: self.n_base + i for i, name in enumerate(special_names(variant))}
        self.bos_id = self.special["<|begin_of_text|>"]
        self.eos_id = self.special["<|end_of_text|>"]
        self.eot_id = self.special["<|eot_id|>"]
        self.start_header_id = self.special["<|start_header_id|>"]
        self.end_header_id = self.special["<|end_header_id|>"]
        self.eom_id = self.special.get("<|eom_id|>")
        self.python_tag_id = self.special.get("<|python_tag|>")
        self.pad_id = self.special.get("<|finetune_right_pad_id|>")
        self.stop_ids = frozenset(i for i in (self.eos_id, self.eom_id, self.eot_id) if i is not None)
        self._bpe = tiktoken.Encoding(
            name=f"llama-{variant}", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=self.special
        )

    @property
    def fingerprint(self) -> str:
        """Differs for tokenizers that cut text differently: 8 hex digits, of how they cut a sentence of many kinds."""
        ids = [self.n_base, self.n_words, *self.encode(SAMPLE)]
        return hashlib.sha256(repr(ids).encode()).hexdigest()[:8]

    @classmethod
    def from_file(cls, path: Path | str, variant: Variant = "3.1") -> "Tokenizer":
        """Read a tiktoken file: a base64 token and its rank per line. Raises TokenizerError."""
        return cls(read_ranks(Path(path)), variant)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``, all below ``n_base``: text that spells a control token stays text."""
        return [i for piece in _pieces(text) for i in self._bpe.encode_ordinary(piece)]

    def tokenize(
        self, text: str, *, bos: bool, eos: bool, allowed_special: Iterable[str] | Literal["all"]
    ) -> list[int]:
        """Meta's ``encode``: like ours, but the names in ``allowed_special`` become special ids. For debugging only."""
        allowed = set(self.special) if allowed_special == "all" else set(allowed_special) & set(self.special)
        ids = [i for p in _pieces(text) for i in self._bpe.encode(p, allowed_special=allowed, disallowed_special=())]
        return [self.bos_id] * bos + ids + [self.eos_id] * eos

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids``, special names included, broken UTF-8 as U+FFFD. Raises TokenizerError on a foreign id."""
        return b"".join(self.token_bytes(i) for i in ids).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one id. Raises TokenizerError on a foreign id."""
        if not 0 <= token_id < self.n_words:
            raise TokenizerError(
                f"Token id {token_id} is outside the vocabulary of {self.n_words}.",
                "The ids were probably made with another tokenizer.",
            )
        return self._bpe.decode_single_token_bytes(token_id)

    def id_of(self, data: bytes) -> int | None:
        """The ordinary id of these bytes, if they are one token."""
        try:
            found = self._bpe.encode_single_token(data)
        except KeyError:
            return None
        return None if self.is_special(found) else found

    def is_special(self, token_id: int) -> bool:
        """True for control tokens, and for ids that no text can produce."""
        return not 0 <= token_id < self.n_base


class StreamDecoder:
    """Ids to text, as early as it is certain: the longest valid UTF-8 prefix after every id.

    Bytes that can never become valid give U+FFFD; a special id flushes and shows nothing. Never decode id by id:
    1,352 of Llama's tokens are no valid UTF-8 alone, and 😸 comes in two.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token_id: int) -> str:
        """The text that ``token_id`` settles, possibly empty."""
        if self._tokenizer.is_special(token_id):
            return self.flush()
        return self._utf8.decode(self._tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        """What is left: U+FFFD if a character was cut, else nothing."""
        text = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return text


def read_ranks(path: Path) -> dict[bytes, int]:
    """The BPE ranks of a tiktoken file. Raises TokenizerError if it is missing, torn or something else."""
    hint = "Point to the checkpoint's tokenizer.model (tiktoken format: base64 token, space, rank)."
    try:
        lines = path.read_bytes().splitlines()
        pairs = [line.split() for line in lines if line]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except OSError as error:
        raise TokenizerError(f"Can't read the tokenizer {path}: {error.strerror}.", hint) from error
    except (ValueError, binascii.Error) as error:
        raise TokenizerError(f"{path} is no tiktoken file, or it is torn.", hint) from error
    whole = all(bytes([i]) in ranks for i in range(256))  # tiktoken panics on a byte that is no token
    if sorted(ranks.values()) != list(range(len(ranks))) or not whole:
        raise TokenizerError(f"{path} is torn: ranks or bytes are missing.", hint)
    return ranks


def _pieces(text: str) -> Iterator[str]:
    """Cut ``text`` as Meta does: 400,000 code points a block, and before the 25,001st character of a run
    of one kind (whitespace or not)."""
    for start in range(0, len(text), MAX_BLOCK):
        block = text[start : start + MAX_BLOCK]
        if len(block) <= MAX_RUN:
            yield block
            continue
        cut, run, space = 0, 0, block[0].isspace()
        for at, char in enumerate(block):
            if char.isspace() != space:
                space, run = not space, 1
            elif run == MAX_RUN:
                yield block[cut:at]
                cut, run = at, 1
            else:
                run += 1
        yield block[cut:]
