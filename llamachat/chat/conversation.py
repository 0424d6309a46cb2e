"""The conversation: a session, what answers it, and every way to take a turn. Knows no screen and no command.

Each way changes the tree at once and gives an async generator of events, as ``run_turn`` does, which are written down
as they pass. One runs at a time; what is begun must be consumed or closed.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Protocol, runtime_checkable

from llamachat.agent import Approve, Runtime, run_turn
from llamachat.anatomy import Share, TokenView, anatomy, shares
from llamachat.chat.settings import Settings
from llamachat.chat.summary import SO_FAR, sum_up
from llamachat.errors import ConfigError, ContextOverflow, EngineError
from llamachat.messages import Artifact, Dialog, Event, Message, MessageEnd, TurnEnd
from llamachat.offer import Offer, open_dialog
from llamachat.sampling import TokenScore
from llamachat.sessions import Conditions, Node, Recorder, Session
from llamachat.tools import Toolbox
from llamachat.tools.files import Attachment, context_of

FULL = 0.8  # of the window, from which on the user is told

Turn = AsyncGenerator[Event, None]


@runtime_checkable
class Scorer(Protocol):
    """An engine that tells how likely ids are, beside saying some; one behind HTTP may not."""

    async def score(
        self, prefix_ids: Sequence[int], continuations: Sequence[Sequence[int]], alternatives: int = 0
    ) -> list[list[TokenScore]]:
        """Of each id of each continuation behind the prefix, with so many that are likelier or nearly so."""


class Conversation:
    """``approve`` is asked before every call; ``place`` puts an attached file where python finds it by its name.
    ``runtime`` comes later, when it is loaded."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        approve: Approve | None = None,
        place: Callable[[Path], object] | None = None,
    ) -> None:
        self.settings, self.session, self.approve, self.place = settings, session, approve, place
        self.runtime: Runtime | None = None
        self.stop: asyncio.Event | None = None
        """There while a turn runs; setting it ends the turn."""
        self.last: TurnEnd | None = None
        self.bare = False
        """Whether the next message is answered without tools, and no other."""
        self.cached = 0
        """Ids of the latest prompt that were not read again."""

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def busy(self) -> bool:
        """Whether a turn runs."""
        return self.stop is not None

    @property
    def dialog(self) -> Dialog:
        """What is said up to the head, under the present instruction."""
        return self.settings.instruct(self.session.dialog(model=self._speaker or None))

    @property
    def conditions(self) -> Conditions:
        """Under which a message is asked now."""
        settings = self.settings
        return Conditions(
            settings.persona.name,
            settings.instruction or None,
            self._speaker,
            {**settings.persona.sampling, **settings.overrides},
            settings.tools_on,
        )

    @property
    def _speaker(self) -> str:
        """Whose sampled ids can be given back: the model, and how it cuts text."""
        return f"{self.runtime.name} {self.runtime.tokenizer.fingerprint}" if self.runtime else ""

    def wire(self) -> Dialog:
        """The dialog as the model is given it, with what the tools add."""
        runtime = self.engine()
        offer = self.settings.toolbox.offer() if runtime.tokenizer.variant != "3.0" else Offer()
        return open_dialog(self.dialog, offer, runtime.dialect, date.today())

    def tokens(self) -> list[TokenView]:
        """Every id of the prompt so far."""
        runtime = self.engine()
        return anatomy(runtime.tokenizer, self.wire(), runtime.dialect)

    def shares(self) -> list[Share]:
        """What each message takes of the window."""
        runtime = self.engine()
        return shares(runtime.tokenizer, self.wire(), runtime.dialect)

    async def likely(self, prefix: Sequence[int], ids: Sequence[int], alternatives: int) -> list[TokenScore]:
        """How likely the model finds ``ids`` behind ``prefix``. Raises EngineError if its engine can't tell."""
        self.free()
        runtime = self.engine()
        if not isinstance(runtime, Scorer):
            raise EngineError("This engine tells no probabilities.", "Open a checkpoint with /model PATH.")
        return (await runtime.score(prefix, [ids], alternatives))[0]

    def count(self, text: str) -> int:
        """Tokens of ``text``; 0 while there is no model."""
        return len(self.runtime.tokenizer.encode(text)) if self.runtime else 0

    def engine(self) -> Runtime:
        """What answers. Raises EngineError while there is none."""
        if self.runtime is None:
            raise EngineError("There is no model yet.", "Wait until it is loaded, or open one with /model PATH.")
        return self.runtime

    def free(self) -> None:
        """Raises ConfigError while a turn runs."""
        if self.busy:
            raise ConfigError("A message is being answered.", "Stop it first with esc.")

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, text: str, attached: Sequence[Attachment] = ()) -> Turn:
        """The user's next message is in the tree at once; the turn answers it."""
        self.free()
        for attachment in attached:
            if self.place:
                self.place(attachment.path)
        toolbox, self.bare = self.settings.toolbox.only(()) if self.bare else self.settings.toolbox, False
        in_python = any(tool.name == "python" for tool in toolbox.active)
        # A compact dialect is that of a small model, which looks into files with python and is confused by two sights.
        shown = () if in_python and self.runtime and self.runtime.dialect.compact else attached
        message = Message("user", text, context=context_of(shown, in_python))
        files = [Artifact(a.name, "text/plain", str(a.path)) for a in attached]
        before = self.session.head
        asked = self.session.ask(message, self.conditions, files)
        self.stop = asyncio.Event()
        return self._or_back(self._turn(toolbox), asked.id, before)

    def retry(self, id: str | None = None, *, tools: bool = True) -> Turn:
        """The head is at the question of message ``id`` (default: the last) at once; the turn answers it once more, and
        the new reply is a sibling of the old."""
        self.free()
        before, at = self.session.head, id or self.session.head
        question = self.session.retry(at) if at else None
        if question is None:
            self.session.go(before)
            raise ConfigError("There is no question to answer again.", "Ask something first.")
        toolbox = self.settings.toolbox if tools else self.settings.toolbox.only(())
        self.stop = asyncio.Event()
        return self._or_back(self._turn(toolbox, fresh_seed=True), question.id, before)

    def continue_reply(self, id: str, text: str) -> Turn:
        """The model goes on with its reply ``id`` behind ``text``, which may be another beginning than it said."""
        return self.branch(id, self.engine().tokenizer.encode(text.rstrip()))

    def branch(self, id: str, begun: Sequence[int]) -> Turn:
        """The same behind the ids ``begun``, such as those of reply ``id`` up to a place, and another id there."""
        self.free()
        self.engine()
        node, before = self.session.tree.nodes[id], self.session.head
        if node.message.role != "assistant":
            raise ConfigError("Only a reply can be continued.", "Choose a message of the model's.")
        self.session.go(node.parent)
        turn = self._turn(self.settings.toolbox, begun=tuple(begun), continuing=node)
        self.stop = asyncio.Event()
        return self._or_back(turn, node.parent, before)

    async def _or_back(self, turn: Turn, at: str | None, before: str | None) -> Turn:
        """``turn`` below ``at``; if nothing at all is said there, the head goes back to where it was ``before``."""
        try:
            async with aclosing(turn) as events:
                async for event in events:
                    yield event
        finally:
            self.stop = None
            if self.session.head == at:
                self.session.go(before)

    async def _turn(
        self,
        toolbox: Toolbox,
        *,
        fresh_seed: bool = False,
        begun: tuple[int, ...] = (),
        continuing: Node | None = None,
    ) -> Turn:
        runtime, settings = self.engine(), self.settings
        self._fits(runtime)
        sampling = settings.sampling(runtime.sampling)
        if fresh_seed and sampling.seed is not None:  # the same seed would say the same again
            sampling = replace(sampling, seed=sampling.seed + len(self.session.tree.nodes))
        recorder = Recorder(self.session, self.conditions, continuing=continuing)
        turn = run_turn(
            self.dialog,
            runtime,
            toolbox,
            sampling=sampling,
            max_steps=settings.max_steps,
            approve=self.approve,
            stop=self.stop,
            today=date.today(),
            constrained=settings.config.chat.constrained,
            begun=begun,
        )
        try:
            async with aclosing(turn) as events:
                async for event in events:
                    recorder.feed(event)
                    if isinstance(event, TurnEnd):
                        self.last = event
                    elif isinstance(event, MessageEnd) and event.message.role == "assistant":
                        self.cached = runtime.stats.cached_tokens
                    yield event
        finally:
            recorder.close()

    def _fits(self, runtime: Runtime) -> None:
        """Nothing is ever cut silently: a prompt that is too long is not sent."""
        used = sum(share.tokens for share in self.shares()) + 1
        if used >= runtime.context:
            raise ContextOverflow(
                f"The dialog has {used:,} tokens, and the model's window holds {runtime.context:,}.",
                "/compact sums it up, /context shows what could be dropped, /new starts afresh.",
            )

    # ── the window ───────────────────────────────────────────────────────────────────────────────────────────────────

    def fullness(self) -> float:
        """How much of the window the dialog takes, from 0 to 1 and beyond; 0 while there is no model."""
        if self.runtime is None:
            return 0.0
        return (sum(share.tokens for share in self.shares()) + 1) / self.runtime.context

    async def compact(self, tell: Callable[[float], object]) -> int:
        """Put a summary in the place of the dialog, on a branch of its own; pinned messages are kept word for word.

        Gives the number of tokens saved; ``tell`` hears what share of the messages was read. Fails closed: raises
        EngineError, and changes nothing, if the model gives no whole summary, or one that saves nothing;
        ContextOverflow if one message alone is more than its window holds.
        """
        self.free()
        runtime = self.engine()
        before = sum(share.tokens for share in self.shares())
        self.stop = asyncio.Event()
        try:
            summary = await sum_up(self.dialog, runtime, self.settings.sampling(runtime.sampling), self.stop, tell)
        finally:
            self.stop = None
        pinned = [node.id for node in self.session.path if node.flag == "pin"]
        old = self.session.head
        self.session.compact(Message("user", SO_FAR + summary), self.conditions, pinned)
        saved = before - sum(share.tokens for share in self.shares())
        if saved <= 0:
            self.session.go(old)
            raise EngineError("The summary is no shorter than the dialog.", "Nothing was changed; /context may help.")
        return saved
