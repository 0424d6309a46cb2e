"""Exact match on held-out generated dialogs, by family: of the calls and of the answers.

A greedy decoder says a message exactly if and only if the likeliest id at each of its positions is the right one, so
one forward pass over the dialog tells what decoding id by id would.
``python -m llamachat.training.held_out --count 60 [--show 5] [--family plans]``
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from llamachat.checkpoints import open_checkpoint
from llamachat.model import Transformer
from llamachat.paths import bundled_model
from llamachat.tokenizer import Tokenizer
from llamachat.training.data import MIXTURE, Batch, val_batches


def spoken(learn: Tensor) -> Iterator[tuple[int, int]]:
    """Start and end of each run of learned ids in ``learn`` (T,): one per assistant message."""
    edges = torch.diff(
        (learn > 0).int(), prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int)
    )
    yield from zip((edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist(), strict=True)


@torch.no_grad()
def likeliest(model: Transformer, batch: Batch) -> Tensor:
    """The likeliest id at every position (B, T); position 0 is copied."""
    hidden = model.hidden(batch.tokens[:, :-1])
    best = batch.tokens.clone()
    learn = batch.learn[:, 1:] > 0
    best[:, 1:][learn] = model.output(hidden[learn]).argmax(-1)
    return best


def exact(
    model: Transformer, tokenizer: Tokenizer, batches: list[Batch]
) -> tuple[dict[str, float], list[tuple[str, str, str]]]:
    """Shares of calls and answers said exactly, and the failures as (dialog so far, right, said)."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    failures = []
    for batch in batches:
        best, batch = likeliest(model, batch).cpu(), batch.to(torch.device("cpu"))
        for tokens, guess, learn in zip(batch.tokens, best, batch.learn, strict=True):
            for start, end in spoken(learn):
                kind = "calls" if int(tokens[end - 1]) == tokenizer.eom_id else "answers"
                total[kind] += 1
                if torch.equal(tokens[start:end], guess[start:end]):
                    right[kind] += 1
                else:
                    parts = (tokens[:start], tokens[start:end], guess[start:end])
                    failures.append(tuple(tokenizer.decode(part.tolist()) for part in parts))
    return {kind: right[kind] / total[kind] for kind in total}, failures  # type: ignore[return-value]


def main() -> None:
    """Report on a checkpoint, the embedded model by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=bundled_model())
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--family", choices=tuple(MIXTURE), nargs="*", default=tuple(MIXTURE))
    options = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = open_checkpoint(options.model)
    tokenizer = checkpoint.load_tokenizer()
    model = checkpoint.load_model(torch.device("cpu"), torch.float32, None)
    for family in options.family:
        rates, failures = exact(model, tokenizer, val_batches(tokenizer, 1, family, options.count))
        print(f"{family:12}", "  ".join(f"{kind} {rate:6.1%}" for kind, rate in sorted(rates.items())))
        for dialog, wanted, said in failures[: options.show]:
            print(f"--- {dialog}\n  > {wanted}\n  < {said}")


if __name__ == "__main__":
    main()
