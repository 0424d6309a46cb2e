"""The verbs of the window: what each message takes of it, making room. Nothing is cut silently."""

from llamachat.chat.chat import Chat
from llamachat.chat.front import Choice
from llamachat.sessions import Flag, Node

BAR = 20  # cells of the bar of a message that fills the window
_NEXT: dict[Flag, Flag] = {"": "pin", "pin": "drop", "drop": ""}
_SAID = {"": "", "pin": "pinned: compaction keeps it", "drop": "dropped: the model doesn't see it"}


async def context(chat: Chat, _: str) -> None:
    """The context map; choosing a message pins it, then drops it, then neither."""
    conversation = chat.conversation
    cursor = ""
    while True:
        shares, window = conversation.shares(), conversation.engine().context
        used = sum(share.tokens for share in shares) + 1
        nodes = chat.seen
        rows = []
        opening = len(shares) - len(nodes)
        for share in shares:
            node = nodes[share.message - opening] if share.message >= opening else None
            bar = "█" * max(1, round(BAR * share.tokens / window))
            text = chat.glance(node, 50) if node else "system prompt and tools"
            rows.append(Choice(node.id if node else "", f"{share.tokens:>6,}  {bar} {share.role}: {text}", _flag(node)))
        rows += [Choice(n.id, f"     –  {n.message.role}: {chat.glance(n, 50)}", _flag(n)) for n in _dropped(chat)]
        title = f"Context: {used:,} of {window:,} tokens ({used / window:.0%}). Enter pins, drops, releases."
        key = await chat.front.pick(title, rows, chosen=cursor)
        if key is None:
            return
        if not (cursor := key):  # the system prompt stays
            continue
        node = conversation.session.tree.nodes[key]
        conversation.session.flag(key, _NEXT[node.flag])
        chat.front.show_dialog()


def _flag(node: Node | None) -> str:
    return _SAID[node.flag] if node else ""


def _dropped(chat: Chat) -> list[Node]:
    session = chat.conversation.session
    gone = session.tree.dropped(session.head)
    return [node for node in session.path if node.id in gone]


async def compact(chat: Chat, _: str) -> None:
    """A summary on a branch of its own; /tree leads back."""
    chat.front.note("Summing up …")
    quarter = 0

    def tell(share: float) -> None:
        nonlocal quarter
        if quarter < int(4 * share) < 4:
            quarter = int(4 * share)
            chat.front.note(f"Summing up … {share:.0%}")

    saved = await chat.conversation.compact(tell)
    chat.front.show_dialog()
    chat.front.note(f"The dialog was summed up: {saved:,} tokens fewer. The whole of it is in /tree.")
