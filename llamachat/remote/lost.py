"""Which ids a text was said in, when only their number and the last of them are known. Knows a tokenizer; no server."""

from collections.abc import Iterator

from llamachat.tokenizer import Tokenizer

LONGEST = 64  # bytes that are searched: a character has 4, and as many ids


def lost_ids(tokenizer: Tokenizer, text: str, count: int, last: int) -> tuple[int, ...]:
    """``count`` ids that, with ``last`` behind them, say ``text``; as the tokenizer itself would cut it, if it can be.

    Of several ways the one with the longest tokens first. If there is none (a server shows broken UTF-8 as U+FFFD),
    the ids of the text as it was shown: the same words, though not the same ids.
    """
    own = tokenizer.encode(text)
    if len(own) == count + 1 and own[-1] == last:
        return tuple(own[:-1])
    said, end = text.encode(), b"" if tokenizer.is_special(last) else tokenizer.token_bytes(last)
    if said.endswith(end) and len(said) <= LONGEST:
        for cut in _cuts(tokenizer, said[: len(said) - len(end)], count):
            return cut
    return tuple(tokenizer.encode(text.removesuffix(end.decode(errors="replace"))))


def _cuts(tokenizer: Tokenizer, data: bytes, count: int) -> Iterator[tuple[int, ...]]:
    """Every way to say ``data`` in exactly ``count`` ids."""
    if not count:
        if not data:
            yield ()
        return
    for end in range(len(data) - count + 1, 0, -1):
        first = tokenizer.id_of(data[:end])
        if first is not None:
            for rest in _cuts(tokenizer, data[end:], count - 1):
                yield (first, *rest)
