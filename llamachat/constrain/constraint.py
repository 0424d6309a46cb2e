"""Ids against the automaton of calls: free text, a head that may become a call, a call that must be whole.

A constraint only ever forbids. What the parser reads as a call of an offered tool whose arguments fit passes bit for
bit, but for: a key given twice, keys of a call that mean nothing, a comma too many, text behind a call, a call left
open, arguments as a JSON string, broken UTF-8, space beyond ASCII between tokens, integers whose fraction is undone by
their exponent, and numbers of an enum with an exponent.
Where strings must be quoted, those that are not, needless escapes in them and functions in Python's notation, too; and
a message may not be empty or go in circles.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from llamachat.calls import CODE_INTERPRETER, Offered
from llamachat.constrain.endings import Endings
from llamachat.constrain.envelopes import Calls, TagCall, builtin_target, function_target, json_calls
from llamachat.constrain.heads import judge_head
from llamachat.constrain.keywords import CallList, KeywordCall
from llamachat.constrain.quotations import Said
from llamachat.constrain.scalars import InText, plain
from llamachat.constrain.stacks import FLOOR, SPACE, Stacks, TooAmbiguous, cut, feed, may_end, utf8
from llamachat.offer import Offer
from llamachat.tokenizer import Tokenizer

_SPACES = bytes(SPACE)
_OPEN_QUOTES = b'"`'  # a fence or a string that holds calls: rare, and not held


@dataclass(frozen=True, slots=True)
class _State:
    """``mode``: free text; a head, whose bytes are in ``head``; a call, as far as ``stacks`` tell."""

    mode: Literal["free", "head", "call"] = "head"
    tagged: bool = False
    head: bytes = b""
    stacks: Stacks = ()
    pending: bytes = b""
    """The beginning of a character."""


FREE = _State("free")


class Grammar:
    """The calls of an offer in the words of a tokenizer. One serves any number of generations.

    ``said``: what strings and numbers of functions are quoted from, if they have to be. A function that requires a
    number while none was said can't be called then, if only functions are there: a model that is held might search.
    """

    def __init__(self, tokenizer: Tokenizer, offer: Offer, said: str | None = None) -> None:
        self.tokenizer = tokenizer
        names = (*offer.builtin, *((CODE_INTERPRETER,) if offer.code else ()))
        self.offered = Offered(frozenset(f.name for f in offer.functions), frozenset(offer.builtin), offer.code)
        self.small = said is not None
        """Whether it is for a model that must quote, whose messages are held to an end, too."""
        quotable = None if said is None else Said(said, self._pieces)
        functions = tuple(function_target(f.name, f.parameters, quotable) for f in offer.functions)
        functions = functions if names else tuple(target for target in functions if target.sayable)
        self.callable = replace(self.offered, tools=frozenset(target.name for target in functions))
        targets = (*functions, *(builtin_target(name) for name in names if name not in self.offered.tools))
        written = targets if quotable is None else targets[len(functions) :]  # what Python's literals say is not held
        listed, dotted = KeywordCall(written), KeywordCall(written, dotted=True)
        notations = (json_calls(targets), (TagCall(targets),), (CallList(listed),), (dotted,))
        self.start: Stacks = tuple((Calls(notation), FLOOR) for notation in notations)

    def _pieces(self, text: str) -> list[bytes]:
        return [self.tokenizer.token_bytes(i) for i in self.tokenizer.encode(text)]

    def constraint(self) -> "CallConstraint":
        """A constraint for one generation."""
        return CallConstraint(self)


@lru_cache(maxsize=2)
def vocabulary(tokenizer: Tokenizer) -> tuple[list[bytes], list[int]]:
    """The bytes of the ordinary ids in order, and their ids: a trie for those who bisect."""
    pairs = sorted((tokenizer.token_bytes(i), i) for i in range(tokenizer.n_base))
    return [text for text, _ in pairs], [i for _, i in pairs]


class CallConstraint:
    """Holds one generation to its grammar, as ``sampling.Constraint`` asks."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._state = _State()
        self._in_header = False
        self._next: dict[int, _State | None] = {}
        self._endings = Endings(grammar.tokenizer, grammar.tokenizer.eot_id) if grammar.small else None

    def allows(self, token_id: int) -> bool:
        """Whether ``token_id`` may come next."""
        tokenizer = self._grammar.tokenizer
        if token_id == tokenizer.python_tag_id and not self._grammar.callable:
            return False
        if self._endings and self._state.mode != "call" and not self._endings.allows(token_id):
            return False
        if self._state is FREE or self._in_header:
            return True
        if tokenizer.is_special(token_id):
            ends = token_id in tokenizer.stop_ids or token_id == tokenizer.python_tag_id
            return self._state.mode != "call" or (ends and may_end(self._state.stacks))
        return self._after(token_id) is not None

    def accept(self, token_id: int) -> None:
        """``token_id`` came next, allowed or not; what was not ends the holding."""
        tokenizer = self._grammar.tokenizer
        if self._endings:
            self._endings.accept(token_id)
        if token_id == tokenizer.python_tag_id:
            self._state = self._tagged()
            self._endings = self._endings and Endings(tokenizer, tokenizer.eom_id or tokenizer.eot_id)
        elif token_id in (tokenizer.start_header_id, tokenizer.end_header_id):
            self._in_header = token_id == tokenizer.start_header_id
        elif not self._in_header and not tokenizer.is_special(token_id):
            self._state = self._after(token_id) or FREE
        self._next = {}

    def replaces(self, token_id: int) -> bool:
        """As ``allows``, but no space between the parts of a call and no escapes in what can be written without:
        a model that is lost would go on with them."""
        return self.allows(token_id) and not self._idle(token_id) and not self._odd(token_id)

    def replacements(self) -> list[int]:
        """All ids that may come in place of a refused one."""
        tokenizer = self._grammar.tokenizer
        if self._endings and self._endings.due and self._state.mode != "call":
            return [self._endings.end]
        special = [i for i in range(tokenizer.n_base, tokenizer.n_words) if self.allows(i)]
        if self._state is FREE or self._in_header:
            return [*range(tokenizer.n_base), *special]
        texts, ids = vocabulary(tokenizer)
        found = [ids[at] for at in self._walk(texts, 0, len(texts), 0, self._state)]
        found = sorted([*(i for i in found if not self._idle(i)), *special])
        return [i for i in found if not self._odd(i)] or found

    def release(self) -> None:
        """Allow everything from here on, up to the next tag."""
        self._state, self._next, self._endings = FREE, {}, None

    def _walk(self, texts: Sequence[bytes], low: int, high: int, depth: int, state: _State) -> Iterator[int]:
        """Where in ``texts[low:high]``, which agree in their first ``depth`` bytes, those stand that may come."""
        if len(state.stacks) == 1 and isinstance(state.stacks[0][0], InText):  # most ids, and one by one is faster
            yield from (at for at in range(low, high) if self._read(state, texts[at][depth:]))
            return
        while low < high and len(texts[low]) == depth:
            if _cut(state):
                yield low
            low += 1
        while low < high:
            byte = texts[low][depth]
            prefix = texts[low][: depth + 1]
            end = bisect_left(texts, prefix[:-1] + bytes((byte + 1,)), low, high) if byte < 255 else high
            if following := self._read(state, bytes((byte,))):
                yield from self._walk(texts, low, end, depth + 1, following)
            low = end

    def _idle(self, token_id: int) -> bool:
        tokenizer, state = self._grammar.tokenizer, self._state
        if state.mode != "call" or tokenizer.is_special(token_id) or tokenizer.token_bytes(token_id).strip(_SPACES):
            return False
        after = self._after(token_id)
        return after is not None and after.stacks == state.stacks and not isinstance(state.stacks[0][0], InText)

    def _odd(self, token_id: int) -> bool:
        tokenizer, state = self._grammar.tokenizer, self._state
        if state.mode != "call" or tokenizer.is_special(token_id) or isinstance(state.stacks[0][0], InText):
            return False
        return b"\\" in tokenizer.token_bytes(token_id)

    def _tagged(self) -> _State:
        if self._grammar.offered.code:
            return _State(tagged=True)
        return _State("call", tagged=True, stacks=self._grammar.start)

    def _after(self, token_id: int) -> _State | None:
        if token_id not in self._next:
            read = self._read(self._state, self._grammar.tokenizer.token_bytes(token_id))
            self._next[token_id] = read and _cut(read)
        return self._next[token_id]

    def _read(self, state: _State, text: bytes) -> _State | None:
        """The state after ``text``, None if it may not come."""
        for at in range(len(text)):
            if state.mode != "head":
                return self._held(state, text[at:])
            head = state.head + text[at : at + 1]
            verdict = judge_head(head, self._grammar.callable, tagged=state.tagged)
            if verdict == "refuse":
                return None
            if verdict == "call":  # in a notation that is not held, it is free, but for those who must quote
                begun = self._held(_State("call", state.tagged, stacks=self._grammar.start), head)
                if begun is None and self._grammar.small:
                    return None
                state = begun or FREE
            else:
                state = FREE if verdict == "text" else replace(state, head=head)
        return state

    def _held(self, state: _State, text: bytes) -> _State | None:
        """The same inside a call."""
        stacks, pending = state.stacks, state.pending
        if state is FREE or (len(stacks) == 1 and not pending and plain(stacks[0][0], text)):
            return state
        for byte in text:
            if byte in _OPEN_QUOTES and state.tagged and stacks == self._grammar.start:
                return FREE
            if byte >= 0x80 or pending:
                if (character := utf8(pending, byte)) is None:
                    return None
                pending = character
            try:
                stacks = feed(stacks, byte)
            except TooAmbiguous:
                return FREE
            if not stacks:
                return None
        return _State("call", state.tagged, stacks=stacks, pending=pending)


def _cut(state: _State) -> _State | None:
    """The state where an id ends; None if none may end there."""
    if state.mode != "call":
        return state
    stacks = cut(state.stacks)
    return replace(state, stacks=stacks) if stacks else None
