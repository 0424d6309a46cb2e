"""The verbs that look at ids: what the model sees, how likely it found each, another one in its place. Nothing that was
said is changed: another id begins a branch."""

import math
from collections.abc import Mapping, Sequence

from llamachat.anatomy import TokenView, lookalikes
from llamachat.chat.chat import Chat
from llamachat.chat.front import Alternative, Choice, Inspection, Likely
from llamachat.errors import ConfigError
from llamachat.sessions import Node

ALTERNATIVES = 5  # that are shown of each place


async def tokens(chat: Chat, _: str) -> None:
    """Every id that the model sees, the cursor at the last message."""
    inspect(chat, None)


def inspect(chat: Chat, id: str | None) -> None:
    """Open the inspector at message ``id``, or at the last one."""
    conversation = chat.conversation
    nodes, views = chat.seen, conversation.tokens()
    place = next((i for i, node in enumerate(nodes) if node.id == id), len(nodes) - 1)
    wanted = _opening(views, nodes) + place
    cursor = next((i for i, view in enumerate(views) if view.message == wanted), 0)
    tokenizer = conversation.engine().tokenizer
    texts = [node.message.text + (node.message.context or "") for node in nodes]
    badges = [name for text in texts for name in lookalikes(tokenizer, text)]

    async def likely(at: int) -> Mapping[int, Likely]:
        return await likelihoods(chat, views, at)

    def branch(at: int, instead: Alternative) -> None:
        branch_at(chat, views, nodes, at, instead)

    chat.front.inspect(Inspection(views, conversation.cached, cursor, badges, likely, branch))


async def likelihoods(chat: Chat, views: Sequence[TokenView], at: int) -> dict[int, Likely]:
    """How likely each id of a message was, by place; ``at`` is the place of any of its tokens.

    What the model itself says is told, before temperature, filters and schemas. Headers, which nobody draws, are left
    out. Raises EngineError, and ConfigError while a reply runs.
    """
    first, end = _body(views, at)
    ids = [view.id for view in views[:end]]
    scores = await chat.conversation.likely(ids[:first], ids[first:], ALTERNATIVES) if first < end else []
    tokenizer = chat.conversation.engine().tokenizer

    def text(id: int) -> str:
        return tokenizer.token_bytes(id).decode("utf-8", "backslashreplace")

    return {
        place: Likely(
            math.exp(score.logprob), tuple(Alternative(id, text(id), math.exp(log)) for id, log in score.alternatives)
        )
        for place, score in enumerate(scores, first)
    }


def branch_at(chat: Chat, views: Sequence[TokenView], nodes: Sequence[Node], at: int, instead: Alternative) -> None:
    """Say the reply once more up to token ``at``, ``instead`` there, and let the model go on."""
    index = views[at].message - _opening(views, nodes)
    first, end = _body(views, at)
    if index < 0 or nodes[index].message.role != "assistant" or not first <= at < end:
        raise ConfigError("Only the model's own words can be taken otherwise.", "Choose a token of a reply.")
    if instead.id == views[at].id:
        raise ConfigError("That is what stands there.", "Choose another one.")
    if instead.id in chat.conversation.engine().tokenizer.stop_ids:
        raise ConfigError("The reply would end there.", "/edit can cut a reply.")
    begun = [*(view.id for view in views[first:at]), instead.id]
    chat.front.take(chat.conversation.branch(nodes[index].id, begun))


async def likely(chat: Chat, _: str) -> None:
    """How likely the tokens of the last reply were; one that is chosen can be taken otherwise."""
    nodes, views = chat.seen, chat.conversation.tokens()
    said = [view.message for view in views if view.role == "assistant"]
    if not said:
        raise ConfigError("There is no reply yet.", "Ask something first.")
    found = await likelihoods(chat, views, next(i for i, view in enumerate(views) if view.message == said[-1]))
    rows = [Choice(str(at), f"{percent(one.share)}  {views[at].text!r}", _others(one)) for at, one in found.items()]
    if not (place := await chat.front.pick("How likely each was. Which one may be another?", rows)):
        return
    instead = found[int(place)].instead
    choices = [Choice(str(i), f"{percent(one.share)}  {one.text!r}") for i, one in enumerate(instead)]
    if chosen := await chat.front.pick(f"In the place of {views[int(place)].text!r}", choices):
        branch_at(chat, views, nodes, int(place), instead[int(chosen)])


def percent(share: float) -> str:
    """``37 %``, of five characters; what is rarer than one in a thousand is so."""
    return f"{share:>4.0%}" if share >= 0.095 else f"{share:>4.1%}" if share >= 0.001 else "<.1%"


def _others(one: Likely) -> str:
    return " · ".join(f"{other.text!r} {percent(other.share).strip()}" for other in one.instead[:3])


def _opening(views: Sequence[TokenView], nodes: Sequence[Node]) -> int:
    """How many messages of the prompt are no message of the session: the system prompt and what the tools add."""
    return max((view.message for view in views), default=0) + 1 - len(nodes)


def _body(views: Sequence[TokenView], at: int) -> tuple[int, int]:
    """The places of the message of token ``at``, from behind its header up to behind its last id."""
    inside = [i for i, view in enumerate(views) if view.message == views[at].message]
    end = inside[-1] + 1
    return next((i for i in inside if views[i].source != "template"), end), end
