"""From generators to batches: the mixture, persona and offer of each dialog, and length-sorted micro-batches.

Every sample is a pure function of (seed, index, split). No packing: rows hold one dialog, so attention stays causal.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing import get_context
from typing import Any

import torch
from torch import Tensor

from llamachat.messages import Message
from llamachat.offer import Offer
from llamachat.protocol import encode_header
from llamachat.tokenizer import Tokenizer
from llamachat.training.draw import Draw
from llamachat.training.drills import drills
from llamachat.training.gen_arith import arithmetic
from llamachat.training.gen_attached import attached
from llamachat.training.gen_files import file_questions
from llamachat.training.gen_functions import functions
from llamachat.training.gen_plans import plans
from llamachat.training.gen_refused import refused
from llamachat.training.gen_search import search
from llamachat.training.gen_talk import memory, personas, talk
from llamachat.training.gen_text import text_and_dates
from llamachat.training.offering import unrelated
from llamachat.training.persona import draw_persona
from llamachat.training.sample import Sample, say, user
from llamachat.training.task import Task
from llamachat.training.words import Split

Maker = Callable[[Draw], Task]
MIXTURE: dict[str, tuple[Maker, float]] = {
    "arithmetic": (arithmetic, 0.06),
    "text": (text_and_dates, 0.05),
    "files": (file_questions, 0.05),
    "attached": (attached, 0.03),
    "functions": (functions, 0.45),
    "refused": (refused, 0.03),
    "plans": (plans, 0.11),
    "search": (search, 0.06),
    "talk": (talk, 0.04),
    "personas": (talk, 0.05),
    "memory": (memory, 0.02),
    "drills": (drills, 0.05),
}
"""Families and their shares of the dialogs once the warm-up is over."""
WARM_UP: dict[str, float] = {
    "arithmetic": 0.30,
    "text": 0.12,
    "functions": 0.20,
    "talk": 0.08,
    "memory": 0.05,
    "drills": 0.25,
}
"""Shares of the first samples: copying first, it is the circuit that all the rest needs."""
_BESIDE = {"talk": 0.45, "memory": 0.45, "arithmetic": 0.2, "text": 0.2, "search": 0.2, "files": 0.15, "attached": 0.2}
"""How often functions that are not needed are offered in dialogs of a family."""
LONGEST = 900  # ids; longer dialogs are redrawn


def draw_sample(
    seed: int, index: int, split: Split, shares: dict[str, float] | None = None, roughness: float = 1.0
) -> Sample:
    """Dialog number ``index`` of the stream ``seed``; ``roughness`` as in Draw."""
    draw = Draw(f"{split}-{seed}-{index}", split, roughness=roughness)
    shares = shares or {name: share for name, (_, share) in MIXTURE.items()}
    family = draw.random.choices(list(shares), list(shares.values()))[0]
    return compose(draw, family, MIXTURE[family][0](draw))


def compose(draw: Draw, family: str, task: Task) -> Sample:
    """``task`` under a persona and with tools that suit it; sometimes with small talk before or after."""
    persona, task = personas(draw) if family == "personas" else (draw_persona(draw), task)
    turns = list(task.turns)
    if family not in ("talk", "personas", "drills", "memory") and draw.chance(0.06):
        chat = talk(draw).turns
        if task.search is None and task.code is not False:
            turns = [*chat, *turns] if draw.chance(0.5) else [*turns, *chat]
    messages: list[Message] = []
    slips: set[int] = set()
    for turn in turns:
        spoken = sum(message.role == "assistant" for message in messages)
        slips.update(range(spoken, spoken + turn.slips))
        messages += [user(turn.question, turn.context), *turn.steps, say(persona.style(turn.answer))]
    if draw.chance(_BESIDE.get(family, 0.0)):
        task = replace(task, functions=unrelated(draw))
    return Sample(family, persona.text, _offer(draw, task, bool(persona.text)), tuple(messages), frozenset(slips))


def _offer(draw: Draw, task: Task, spoken: bool) -> Offer:
    """The default chat has python and search, beside the user's functions too: the more so with a persona."""
    both = draw.chance(0.35 if task.functions else 0.6 if spoken else 0.3)
    code = task.code if task.code is not None else both or draw.chance(0.12)
    web = task.search if task.search is not None else both or draw.chance(0.06)
    return Offer(code=code, builtin=("brave_search",) if web else (), functions=task.functions)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right: ``tokens`` (B, T) int64; ``learn`` (B, T) uint8, how much each id counts, 0 for those
    that are only read."""

    tokens: Tensor
    learn: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same on ``device``."""
        return Batch(self.tokens.to(device), self.learn.to(device))


MESSAGE, NAME = 3, 6
"""How often the first id of a message counts, and that of a function's name: what is done is decided there, in 6 % of
the ids; half way through a run these were right in 93 and in 80 % of the cases, the others in 98."""
DIRECT = 6
"""How often it counts where a user is answered without a call. Most requests in training want one, and a model that
has learned how many takes calls for likelier than they are to users: this multiplies the odds by DIRECT / MESSAGE."""
_BEFORE_NAME = '{"type": "function", "name": "'


def counted(tokenizer: Tokenizer, ids: list[int], learn: list[bool]) -> list[int]:
    """How much each of ``ids`` counts."""
    before, user = tokenizer.encode(_BEFORE_NAME), encode_header(tokenizer, "user")
    counts = list(map(int, learn))
    users: list[bool] = []
    for i in range(1, len(ids)):
        if ids[i] == tokenizer.start_header_id:
            users.append(ids[i : i + len(user)] == user)
        elif learn[i] and not learn[i - 1]:
            direct = users[-2:-1] == [True] and ids[i] != tokenizer.python_tag_id
            counts[i] = DIRECT if direct else MESSAGE
        elif learn[i] and ids[max(0, i - len(before)) : i] == before:
            counts[i] = NAME
    return counts


def collate(rows: list[tuple[list[int], list[int]]], pad: int) -> Batch:
    """One batch of ``rows`` of about the same length."""
    longest = max(len(ids) for ids, _ in rows)
    tokens = torch.full((len(rows), longest), pad)
    learn = torch.zeros(len(rows), longest, dtype=torch.uint8)
    for i, (ids, counts) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        learn[i, : len(ids)] = torch.tensor(counts)
    return Batch(tokens, learn)


@dataclass(slots=True)
class Stream:
    """Endless steps of ``micro`` batches, each of at most ``budget`` tokens, padding included.

    ``pool`` and ``at`` say where the stream stands. ``workers`` processes make pools ahead, which changes nothing else:
    a core makes 360,000 ids a second, a GPU wants more.
    """

    tokenizer: Tokenizer
    seed: int
    budget: int = 2048
    micro: int = 4
    warm_pools: int = 0
    pool: int = 0
    at: int = 0
    size: int = 640
    workers: int = 0
    roughness: float = 1.0

    def steps(self) -> Iterator[list[Batch]]:
        """Yield the batches of one optimiser step after another, from where the stream stands."""
        for batches in self._ahead() if self.workers else map(self.batches, count(self.pool)):
            assert len(batches) >= self.micro, "the pools are smaller than a step"
            while self.at + self.micro <= len(batches):
                self.at += self.micro
                yield batches[self.at - self.micro : self.at]
            self.pool, self.at = self.pool + 1, 0

    def _ahead(self) -> Iterator[list[Batch]]:
        with ProcessPoolExecutor(self.workers, get_context("spawn")) as crew:
            last = self.pool + 2 * self.workers
            pools = deque(crew.submit(arrays, self, number) for number in range(self.pool, last))
            for number in count(last):
                yield [Batch(*map(torch.from_numpy, pair)) for pair in pools.popleft().result()]
                pools.append(crew.submit(arrays, self, number))

    def batches(self, pool: int) -> list[Batch]:
        """Those of one pool, shuffled."""
        shares = WARM_UP if pool < self.warm_pools else None
        rows = []
        for i in range(self.size):
            sample = draw_sample(self.seed, pool * self.size + i, "train", shares, self.roughness)
            encoded = sample.encode(self.tokenizer)
            if len(encoded.ids) <= LONGEST:
                rows.append((encoded.ids, counted(self.tokenizer, encoded.ids, encoded.learn)))
        pad = self.tokenizer.pad_id or 0
        batches = [collate(group, pad) for group in grouped(rows, self.budget)]
        Draw(f"order-{self.seed}-{pool}", "train").random.shuffle(batches)
        return batches


def arrays(stream: Stream, pool: int) -> list[tuple[Any, Any]]:
    """A pool's batches as arrays, which go through a pipe without a file descriptor for each."""
    torch.set_num_threads(1)
    return [(batch.tokens.numpy(), batch.learn.numpy()) for batch in stream.batches(pool)]


def grouped(rows: list[tuple[list[int], list[int]]], budget: int) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Rows sorted by length, cut where rows x longest would exceed ``budget``."""
    group: list[tuple[list[int], list[int]]] = []
    for row in sorted(rows, key=lambda row: len(row[0])):
        if group and (len(group) + 1) * len(row[0]) > budget:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def val_batches(tokenizer: Tokenizer, seed: int, family: str, number: int, budget: int = 8192) -> list[Batch]:
    """``number`` held-out dialogs of one family."""
    rows = []
    for i in range(number):
        encoded = draw_sample(seed, i, "val", {family: 1.0}).encode(tokenizer)
        rows.append((encoded.ids, counted(tokenizer, encoded.ids, encoded.learn)))
    return [collate(group, tokenizer.pad_id or 0) for group in grouped(rows, budget)]
