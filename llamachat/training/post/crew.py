"""Many dialogs at a time with one model, each through the product's own loop: every branch of a table is a runtime.

All dialogs are advanced in lockstep: the next pass waits until each of them has asked for ids or has ended. So which
rows share a pass, and with that every rounding, depends on the seeds only, never on how fast a tool was.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

from llamachat.errors import ContextOverflow, EngineError
from llamachat.model import Transformer
from llamachat.picking import REFUSALS, Picker
from llamachat.protocol import Dialect
from llamachat.sampling import Constraint, GenerationStats, SamplingParams
from llamachat.tokenizer import Tokenizer
from llamachat.training.post.decoding import Feed, Table, feed

Work = TypeVar("Work")
PREFILL = 4096  # ids that are read in one pass, padding included


@dataclass(slots=True)
class Request:
    """A generation under way: what is still to be read, what came, and how many ids may still come."""

    prompt: list[int]
    sampling: SamplingParams
    stops: Collection[int]
    constraint: Constraint | None
    left: int
    draws: random.Random
    unread: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def pick(self, logits: Tensor, drawn: int) -> int:
        """``drawn``, or if the constraint refuses it another id, by the same logits (V).

        Logits with Gumbel noise, in falling order, are draws without putting back (arXiv 1903.06059), so all further
        tries take one sort."""
        if self.constraint is None:
            return drawn
        if not self.constraint.allows(drawn):
            noise = torch.Generator().manual_seed(self.draws.getrandbits(62))
            heat = self.sampling.temperature
            gumbel = -torch.empty(len(logits)).exponential_(generator=noise).log().to(logits.device)
            order = (logits / heat + gumbel if heat else logits).topk(REFUSALS).indices.tolist()
            others = (token for token in order if token != drawn and self.constraint.replaces(token))
            found = next(others, None)
            if found is None:
                return Picker(replace(self.sampling, seed=0), self.constraint).pick(logits)
            drawn = found
        self.constraint.accept(drawn)
        return drawn

    def take(self, token_id: int) -> None:
        """Note the next id; the last one ends the generation."""
        self.ids.append(token_id)
        self.unread = [token_id]
        self.left -= 1
        if token_id in self.stops or self.left <= 0:
            self.done.set()


class Branch:
    """The engine of one dialog, as ``agent.Runtime`` asks. The ids of a generation come when it is complete."""

    notice = ""

    def __init__(self, crew: "Crew", number: int, seed: str) -> None:
        self.tokenizer, self.dialect, self.name = crew.tokenizer, crew.dialect, crew.name
        self.context, self.sampling = crew.context, crew.sampling
        self.stats = GenerationStats()
        self.number = number
        self.request: Request | None = None
        self.ended = False
        self._crew, self._draws = crew, random.Random(seed)

    async def generate(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        stop_ids: Collection[int],
        constraint: Constraint | None = None,
    ) -> AsyncGenerator[int, None]:
        """The ids of one reply. Raises ContextOverflow."""
        prompt = list(prompt_ids)
        room = self.context - len(prompt)
        if room <= 0:
            raise ContextOverflow(f"The dialog has {len(prompt):,} tokens, of {self.context:,}.", "Shorten it.")
        stops = {*stop_ids, self.tokenizer.start_header_id}
        request = Request(prompt, sampling, stops, constraint, min(sampling.max_tokens, room), self._draws)
        self.request = request
        self._crew.stirred.set()
        await request.done.wait()
        self.request = None
        self.stats = GenerationStats(prompt_tokens=len(prompt), generated_tokens=len(request.ids))
        for token_id in request.ids:
            yield token_id

    @property
    def waits(self) -> bool:
        """Whether it has asked for ids, or will ask no more."""
        return self.ended or (self.request is not None and not self.request.done.is_set())


@dataclass(slots=True)
class Seat:
    """One table: its branches, the dialogs that run on them, and once they have asked the keys of their prompt."""

    branches: list[Branch]
    dialogs: list[asyncio.Task[None]]
    table: Table | None = None

    @property
    def asking(self) -> Iterator[tuple[Branch, Request]]:
        """The branches that wait for ids."""
        return ((b, b.request) for b in self.branches if b.request and not b.request.done.is_set())


class Crew:
    """A model and its words."""

    def __init__(
        self, model: Transformer, tokenizer: Tokenizer, dialect: Dialect, *, name: str = "", context: int = 0
    ) -> None:
        self.model, self.tokenizer, self.dialect, self.name = model, tokenizer, dialect, name
        self.context = min(context or model.config.context, model.config.context)
        self.sampling = SamplingParams(temperature=1.0, top_p=1.0)
        self.generated = 0
        """Ids that were drawn."""
        self.stirred = asyncio.Event()

    async def play(
        self,
        works: Iterable[Work],
        hold: Callable[[Work, Branch], Coroutine[None, None, None]],
        *,
        branches: int,
        tables: int,
        seed: str = "",
    ) -> None:
        """``hold`` each of ``works`` on ``branches`` branches, all of which must begin with the same prompt."""
        self.stirred = asyncio.Event()  # of the loop that runs now
        waiting = enumerate(works)
        seats: list[Seat] = []
        try:
            while True:
                while len(seats) < tables and (upcoming := next(waiting, None)) is not None:
                    seats.append(self._seat(upcoming[1], hold, branches, f"{seed}-{upcoming[0]}"))
                if not seats:
                    return
                await self._all_asked(seats)
                full, seats = len(seats), [seat for seat in seats if not all(b.ended for b in seat.branches)]
                if len(seats) == full:
                    self._advance(seats)
        finally:
            for task in (dialog for seat in seats for dialog in seat.dialogs):
                task.cancel()

    def _seat(
        self, work: Work, hold: Callable[[Work, Branch], Coroutine[None, None, None]], branches: int, seed: str
    ) -> Seat:
        places = [Branch(self, number, f"{seed}-{number}") for number in range(branches)]

        async def run(branch: Branch) -> None:
            try:
                await hold(work, branch)
            finally:
                branch.ended = True
                self.stirred.set()

        return Seat(places, [asyncio.create_task(run(branch)) for branch in places])

    async def _all_asked(self, seats: Sequence[Seat]) -> None:
        """Wait until every dialog waits for ids, or has ended. Raises what a dialog raised."""
        while not all(branch.waits for seat in seats for branch in seat.branches):
            self.stirred.clear()
            await self.stirred.wait()
            for task in (dialog for seat in seats for dialog in seat.dialogs if dialog.done()):
                task.result()

    @torch.inference_mode()
    def _advance(self, seats: Sequence[Seat]) -> None:
        """Passes until a generation is complete."""
        for seat in seats:
            for branch, request in seat.asking:
                if not request.unread:
                    self._receive(seat, branch, request)
        while all(branch.waits for seat in seats for branch in seat.branches):
            rows = [(seat, branch, request) for seat in seats for branch, request in seat.asking]
            if long := [row for row in rows if len(row[2].unread) > 1]:
                rows = sorted(long, key=lambda row: len(row[2].unread))
                count = max(1, PREFILL // len(rows[-1][2].unread))
                chosen = {id(row[2]) for row in rows[-count:]}
                rows = [row for row in long if id(row[2]) in chosen]  # in the order of tables
            feeds = [Feed(seat.table, branch.number, request.unread) for seat, branch, request in rows if seat.table]
            requests = [request for _, _, request in rows]
            self._draw(self.model.output(feed(self.model, feeds)).float(), requests)

    def _receive(self, seat: Seat, branch: Branch, request: Request) -> None:
        """Find out what of a new prompt is still to be read; the first prompt of a seat makes its table, and the state
        behind it gives a first id."""
        if seat.table is None:
            seat.table = Table(self.model, request.prompt, len(seat.branches))
        table = seat.table
        if request.prompt == table.ids and not table.said[branch.number]:
            self._draw(self.model.output(table.first).float(), [request])
            return
        known = table.ids + table.said[branch.number]
        same = next((i for i, pair in enumerate(zip(known, request.prompt, strict=False)) if pair[0] != pair[1]), None)
        same = min(len(known), len(request.prompt) - 1) if same is None else same
        if same < len(table.ids):
            raise EngineError(
                "The dialogs of one table begin with different prompts.", "This is a defect of llamachat."
            )
        table.said[branch.number] = request.prompt[len(table.ids) : same]
        request.unread = request.prompt[same:]

    def _draw(self, logits: Tensor, requests: Sequence[Request]) -> None:
        """The next id of each request, from its row of ``logits`` (N, V) float32."""
        self.generated += len(requests)
        for row, request, drawn in zip(logits, requests, draw(logits, requests), strict=True):
            request.take(request.pick(row, drawn))


def draw(logits: Tensor, requests: Sequence[Request]) -> list[int]:
    """One id a row, all rows at once: the place where the summed probabilities pass a random number."""
    plain = all(not r.sampling.top_k and r.sampling.top_p == 1.0 for r in requests)
    if not plain:
        pickers = (Picker(replace(r.sampling, seed=r.draws.getrandbits(62))) for r in requests)
        return [picker.pick(row) for picker, row in zip(pickers, logits, strict=True)]
    device = logits.device
    heat = torch.tensor([max(r.sampling.temperature, 1e-30) for r in requests], device=device)
    least = torch.tensor([r.sampling.min_p for r in requests], device=device)
    shares = ((logits - logits.amax(-1, keepdim=True)) / heat[:, None]).softmax(-1)
    if any(r.sampling.min_p for r in requests):
        shares = shares.where(shares >= least[:, None] * shares.amax(-1, keepdim=True), 0.0)
    summed = shares.double().cumsum(-1)
    numbers = torch.tensor([[r.draws.random()] for r in requests], dtype=torch.float64, device=device)
    found = torch.searchsorted(summed, numbers * summed[:, -1:], right=True)[:, 0]
    greedy = torch.tensor([r.sampling.temperature == 0 for r in requests], device=device)
    return found.clamp(max=logits.shape[1] - 1).where(~greedy, logits.argmax(-1)).tolist()
