"""Story: the messages of a session's path as views for the transcript. Knows nodes and views; draws nothing."""

from collections.abc import Iterator

from llamachat.messages import ToolCall, ToolResult
from llamachat.sessions import Node, Session
from llamachat.tools import Toolbox
from llamachat.widgets.message import Notice, ReplyView, UserView
from llamachat.widgets.toolcard import ToolCard
from llamachat.widgets.view import View

_MARKS = {"pin": "pinned", "drop": "dropped: the model does not see it", "": ""}


def views_of(session: Session, toolbox: Toolbox) -> Iterator[View]:
    """What the head's path looks like, from the first message on."""
    for node in session.path:
        yield from _views(session, node, toolbox)


def opening_notes(session: Session, toolbox: Toolbox) -> Iterator[str]:
    """What a user should know of a session that was opened: what was cut off, and who has it open, too."""
    for node in session.repaired:
        what = f"The call of {_title(node.outcome.call, toolbox)}" if node.outcome else "A reply"
        yield f"{what} was interrupted when llamachat ended; what had come of it is kept."
    if session.shared:
        yield "This session is open in another llamachat, too; what is said there stands on branches of its own."


def label_of(session: Session, node: Node) -> str:
    """What stands beside a message: the counter of its versions, the name of its branch. The card of a call bears those
    of a reply without words, which is not seen itself."""
    index, count = session.tree.place(node.id)
    place = f"‹{index}/{count}›" if count > 1 else ""
    above = session.tree.nodes[node.parent] if node.parent and node.message.role == "ipython" else None
    silent = above is not None and above.message.role == "assistant" and not above.message.text.strip()
    return " ".join(part for part in (label_of(session, above) if above and silent else "", node.name, place) if part)


def _views(session: Session, node: Node, toolbox: Toolbox) -> Iterator[View]:
    view: View | None = None
    match node.message.role:
        case "user":
            if node.kind == "compaction":
                yield Notice("The dialog up to here was summed up; /tree leads back to it.", kind="info")
            names = ", ".join(artifact.name for artifact in node.artifacts)
            view = UserView(f"{node.message.text}\n\nAttached: {names}" if names else node.message.text, node.id)
        case "assistant" if node.message.text.strip():
            view = ReplyView(node.message.text, node.id)
            view.end(node.message.stop)
        case "ipython":
            view = _card(session, node, toolbox)
    if view:
        view.label = label_of(session, node)
        if node.flag:
            view.mark = _MARKS[node.flag]
        yield view


def _card(session: Session, node: Node, toolbox: Toolbox) -> ToolCard:
    """A call and its result as it was shown when it ran."""
    outcome = node.outcome
    call = outcome.call if outcome else ToolCall("?")
    card = ToolCard(node.id)
    card.start(call, _title(call, toolbox))
    result = ToolResult(call, node.message.text, outcome.ok if outcome else False, session.artifacts(node.id))
    card.end(result, outcome.seconds if outcome else None)
    return card


def _title(call: ToolCall, toolbox: Toolbox) -> str:
    """The name of what was called, as the user knows it."""
    tool = toolbox.find(call.name)
    return tool.name if tool else call.name
