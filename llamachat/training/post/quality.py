"""What of sampled dialogs is fit to learn from: rules, scores, near-duplicates (Llama 3 report §4.2.3).

Rules throw out what no reader would want. Scores order the rest: quality is the reward model's rank, difficulty the
share of the model's own replies that failed. Near-duplicates are then dropped in that order, so the best of a group
stays: by the overlap of 3-grams of words, with MinHash to find whom to compare (Broder, 1997).
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Line = Mapping[str, Any]
GRAM = 3  # words
BANDS, ROWS = 16, 4  # of the MinHash signature: two texts that share 60 % of their grams are compared with p = 0.89
_EMOJI = re.compile("[\U0001f300-\U0001faff☀-➿]")
_SORRY = re.compile(r"\b(i'm sorry|i apologi[sz]e|my apologies)\b", re.IGNORECASE)
_PRIME = (1 << 61) - 1


def trouble(line: Line) -> str:
    """Why the assistant's words in a dialog are not fit, or an empty string."""
    said = [m for m in line["messages"] if m["role"] == "assistant"]
    texts = ["".join(m["content"]) for m in said]
    joined = " ".join(texts)
    calls = Counter(repr(call) for m in said for call in m["tool_calls"])
    if not said or not (texts[-1].strip() or said[-1]["tool_calls"]):
        return "no answer"
    if any(m["stop"] not in ("end_of_turn", "end_of_message") for m in said):
        return "cut"
    if "<|" in joined or "�" in joined:
        return "debris"
    if any(repeats(text) for text in texts):
        return "loop"
    if any(count > 2 for count in calls.values()):
        return "same call"
    if joined.count("!") > 3 * len(texts) or len(_EMOJI.findall(joined)) > len(texts):
        return "exclamations"
    return "apologies" if len(_SORRY.findall(joined)) > 1 else ""


def repeats(text: str, gram: int = 5, times: int = 3) -> bool:
    """Whether some ``gram`` words come ``times`` times."""
    words = text.lower().split()
    counts = Counter(tuple(words[i : i + gram]) for i in range(len(words) - gram + 1))
    return any(count >= times for count in counts.values())


def cleaned(lines: Sequence[Line]) -> tuple[list[Line], Counter[str]]:
    """Those that are fit, and how many were thrown out for what."""
    reasons = [trouble(line) for line in lines]
    kept = [line for line, reason in zip(lines, reasons, strict=True) if not reason]
    return kept, Counter(reason for reason in reasons if reason)


def scored(lines: Sequence[Line]) -> list[Line]:
    """The same, the best first: by (0.5 + quality) x (0.5 + difficulty), both in [0, 1], quality being the rank of the
    reward among all."""
    order = sorted(range(len(lines)), key=lambda i: lines[i].get("reward", 0.0))
    place = {i: rank / max(1, len(lines) - 1) for rank, i in enumerate(order)}
    worth = [(0.5 + place[i]) * (0.5 + float(line.get("difficulty", 0.0))) for i, line in enumerate(lines)]
    return [lines[i] for i in sorted(range(len(lines)), key=lambda i: -worth[i])]


def without_near_duplicates(lines: Sequence[Line], limit: float = 0.7) -> list[Line]:
    """Those that share less than ``limit`` of their grams (Jaccard) with each one kept before; what every dialog of an
    offer has, its functions, is not looked at."""
    buckets: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    kept: list[Line] = []
    sets: list[frozenset[int]] = []
    for line in lines:
        grams = grams_of(line)
        bands = list(bands_of(grams))
        near = {number for band in bands for number in buckets.get(band, ())}
        if any(jaccard(grams, sets[number]) >= limit for number in near):
            continue
        for band in bands:
            buckets.setdefault(band, []).append(len(kept))
        kept.append(line)
        sets.append(grams)
    return kept


def grams_of(line: Line) -> frozenset[int]:
    """Hashes of the 3-grams of what user and assistant say."""
    texts = ("".join(m["content"]) + " " + repr(m["tool_calls"]) for m in line["messages"] if m["role"] != "ipython")
    words = re.findall(r"\w+|[^\w\s]", " ".join(texts).lower())
    return frozenset(_number(" ".join(words[i : i + GRAM])) for i in range(max(1, len(words) - GRAM + 1)))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big")


def bands_of(grams: frozenset[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The MinHash signature in bands: the least value under each of 64 linear hashes."""
    signature = [min((a * gram + b) % _PRIME for gram in grams) for a, b in _HASHES]
    return ((band, tuple(signature[band * ROWS : (band + 1) * ROWS])) for band in range(BANDS))


_HASHES = [(_number(f"a{i}") | 1, _number(f"b{i}")) for i in range(BANDS * ROWS)]


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    """The share of common grams."""
    return len(one & other) / max(1, len(one | other))
