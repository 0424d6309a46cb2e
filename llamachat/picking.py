"""Which id comes next, from logits: the filters of SamplingParams, and what a constraint refuses. Knows no model."""

from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor

from llamachat.sampling import Constraint, SamplingParams, TokenScore, uniform

REFUSALS = 64  # draws that a constraint may refuse before it is asked for all that may come


class Picker:
    """Chooses the ids of one generation, among those that ``constraint`` allows.

    It is asked for the id that was drawn; a refused one gets probability 0 and the next is drawn, by the same filters.
    So a model that is right says bit for bit what it would have said, at the price of one question an id.
    """

    def __init__(self, sampling: SamplingParams, constraint: Constraint | None = None) -> None:
        self.sampling = sampling
        self.refused = 0
        self.released = False
        self._constraint = constraint
        self.random = Random(sampling.seed)  # Python's, so that a seed means the same on every device

    @property
    def plain(self) -> bool:
        """Whether nothing but the filters is asked for: then a device may choose by itself."""
        return self._constraint is None and not self.sampling.logprobs

    def pick(self, logits: Tensor) -> int:
        """The next id from ``logits`` (V)."""
        token_id = choose(logits, self.sampling, self.random)
        if self._constraint is not None:
            if not self._constraint.allows(token_id):
                token_id = self._again(logits.clone(), token_id, self._constraint)
            self._constraint.accept(token_id)
        return token_id

    def _again(self, logits: Tensor, refused: int, constraint: Constraint) -> int:
        """An id in place of the refused one; if there is none, that one after all."""
        logits, wanted = logits.float(), refused
        for _ in range(REFUSALS):
            self.refused += 1
            logits[refused] = -torch.inf
            if logits.max() == -torch.inf:
                break
            refused = choose(logits, self.sampling, self.random)
            if constraint.replaces(refused):
                return refused
        allowed = list(constraint.replacements())
        mask = torch.full_like(logits, -torch.inf)
        mask[allowed] = logits[allowed]
        if mask.max() > -torch.inf:
            return choose(mask, self.sampling, self.random)
        self.released = True
        constraint.release()
        return wanted


def choose(logits: Tensor, sampling: SamplingParams, random: Random) -> int:
    """The next id from ``logits`` (V): temperature, then top-k, top-p (the smallest set that reaches it) and min-p.

    Draws one number from ``random``, and none when greedy. Ties go to one of the likeliest.
    """
    if sampling.temperature == 0 or sampling.top_k == 1:
        return int(logits.argmax())
    # The likeliest at 0, so that a tiny temperature overflows to -inf, never to NaN; 1e-30 is still a normal float32.
    scaled = (logits.float() - logits.max()) / max(sampling.temperature, 1e-30)
    if sampling.top_k:
        scaled[scaled < scaled.topk(min(sampling.top_k, len(scaled))).values[-1]] = -torch.inf
    probabilities, ids = likeliest(scaled.softmax(0), sampling)
    keep = probabilities >= sampling.min_p * probabilities[0]
    if sampling.top_p < 1:
        keep &= probabilities.cumsum(0) - probabilities < sampling.top_p
    reached = (probabilities * keep).cumsum(0)
    drawn = uniform(random) * reached[-1]
    return int(ids[(reached <= drawn).sum().clamp(max=keep.sum() - 1)])


def likeliest(probabilities: Tensor, sampling: SamplingParams) -> tuple[Tensor, Tensor]:
    """At least those probabilities (V) that can pass top-p and min-p, in falling order, and their ids.

    512 nearly always do, and take 0.3 ms of a core where sorting all of Llama's 128,256 takes 10 ms.
    """
    head, ids = probabilities.topk(min(512, len(probabilities)))
    if (sampling.top_p < 1 and head.sum() >= sampling.top_p) or head[-1] < sampling.min_p * head[0]:
        return head, ids
    return probabilities.sort(descending=True)


def score_ids(logits: Tensor, ids: Sequence[int], alternatives: int) -> list[TokenScore]:
    """How likely each of ``ids`` (T) was by its row of ``logits`` (T, V), in float32."""
    logprobs = logits.float().log_softmax(-1)
    own = logprobs.gather(1, torch.tensor(ids, device=logits.device)[:, None])[:, 0].tolist()
    best = logprobs.topk(min(alternatives, logprobs.shape[1]))
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    pairs = [tuple(zip(*row, strict=True)) for row in rows]
    return [TokenScore(*scored) for scored in zip(ids, own, pairs, strict=True)]
