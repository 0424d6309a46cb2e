"""Models averaged over runs (Llama 3 report §4.1.5): by weights, or by TIES where runs pull apart (arXiv 2306.01708).

Linear: sum_i w_i theta_i / sum_i w_i.
TIES, of the changes tau_i = theta_i - theta_base: keep the largest share of each tau_i by magnitude (trim); for each
weight the sign is that of sum_i tau_i (elect); average the changes that have it (disjoint mean); add to theta_base.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from llamachat.errors import ConfigError

State = Mapping[str, Tensor]


def linear(states: Sequence[State], weights: Sequence[float] | None = None) -> dict[str, Tensor]:
    """The weighted mean of state dicts, in float32. Raises ConfigError where they are of different models."""
    shares = list(weights or [1.0] * len(states))
    if len(shares) != len(states) or sum(shares) <= 0:
        raise ConfigError(f"{len(shares)} weights for {len(states)} models.", "Give one positive weight a model.")
    _check(states)
    total = sum(shares)
    return {
        name: sum((state[name].float() * (share / total) for state, share in zip(states, shares, strict=True)), zero)
        for name, zero in ((name, torch.zeros(())) for name in states[0])
    }


def ties(base: State, states: Sequence[State], keep: float = 0.2, scale: float = 1.0) -> dict[str, Tensor]:
    """TIES, float32: ``keep`` is the share of each model's changes that is kept, ``scale`` multiplies the merged one.

    Trimming is over all weights of a model together, as in the paper. Raises ConfigError.
    """
    if not 0 < keep <= 1:
        raise ConfigError(f"The share to keep is {keep}.", "Choose it above 0 and at most 1.")
    _check([base, *states])
    changes = [{name: state[name].float() - base[name].float() for name in base} for state in states]
    limits = [_limit(change, keep) for change in changes]
    merged = {}
    for name in base:
        kept = [c[name].where(c[name].abs() >= limit, 0.0) for c, limit in zip(changes, limits, strict=True)]
        stacked = torch.stack(kept)
        agreeing = (stacked.sign() == stacked.sum(0).sign()) & (stacked != 0)
        mean = (stacked * agreeing).sum(0) / agreeing.sum(0).clamp(min=1)
        merged[name] = base[name].float() + scale * mean
    return merged


def _limit(change: State, keep: float) -> float:
    """The magnitude that ``keep`` of all changes reach."""
    magnitudes = torch.cat([value.abs().flatten() for value in change.values()])
    rank = max(1, round(keep * len(magnitudes)))
    return float(magnitudes.kthvalue(len(magnitudes) - rank + 1).values)


def _check(states: Sequence[State]) -> None:
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes[1:]):
        raise ConfigError("The models have different shapes.", "Average only runs that began with the same model.")
