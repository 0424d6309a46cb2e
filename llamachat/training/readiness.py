"""How readily a model calls, moved without training: one row of the output layer. Knows no tasks.

With h_i (D) the state before the first id of message i of training dialogs, C = mean_i h_i h_i^T and a ridge e, the
direction d = (C + e I)^-1 mean_i h_i solves min_d mean_i (h_i · d - 1)^2 + e |d|^2; it is scaled so that mean_i h_i · d
is 1. The python tag's row less ``nats`` · d takes that much from its logit wherever a message begins, within a few per
cent; no other row changes. DPO on a model's own mistakes moved little else, after a run of training (docs/log.md,
2026-11-30). ``python -m llamachat.training.readiness --model MODEL --nats 0.6 --out OUT``
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from llamachat.checkpoints import open_checkpoint
from llamachat.model import Transformer
from llamachat.tokenizer import Tokenizer
from llamachat.training.data import draw_sample
from llamachat.training.post.saving import check_free, save_checkpoint

RIDGE = 1e-3  # of the mean of C's diagonal
ROUGHNESS = 0.3  # nearly as plain as what people ask
LONGEST = 700  # ids; longer dialogs cost more than they tell
HEAD = "output.weight"


@torch.no_grad()
def decisions(model: Transformer, tokenizer: Tokenizer, count: int, seed: int = 31) -> Tensor:
    """The states (N, D) before the first id of each message in ``count`` training dialogs with functions."""
    states = []
    for index in range(count):
        encoded = draw_sample(seed, index, "train", {"functions": 1.0}, ROUGHNESS).encode(tokenizer)
        if len(encoded.ids) <= LONGEST:
            hidden = model.hidden(torch.tensor([encoded.ids]))[0]
            learn = encoded.learn
            states += [hidden[i - 1] for i in range(1, len(learn)) if learn[i] and not learn[i - 1]]
    return torch.stack(states)


def direction(states: Tensor) -> Tensor:
    """The short d (D) for which ``states`` (N, D) · d is about 1 everywhere."""
    spread = states.T @ states / len(states)
    ridge = RIDGE * spread.diagonal().mean() * torch.eye(len(spread))
    found: Tensor = torch.linalg.solve(spread + ridge, states.mean(0))
    return found / (states @ found).mean()


def main() -> None:
    """Write a model that calls less readily, by ``--nats``; more readily, if that is negative."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--nats", type=float, required=True)
    parser.add_argument("--count", type=int, default=250, help="dialogs that are read")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    check_free(options.out)
    source = open_checkpoint(options.model)
    tokenizer = source.load_tokenizer()
    model = source.load_model(torch.device("cpu"), torch.float32)
    moved = options.nats * direction(decisions(model, tokenizer, options.count))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state[HEAD][tokenizer.python_tag_id] -= moved
    save_checkpoint(options.out, state, source, name=source.name, dtype=torch.bfloat16)


if __name__ == "__main__":
    main()
