"""The verbs of the tree: try again, change what was said, go elsewhere. Nothing is ever overwritten."""

from llamachat.chat.chat import Chat
from llamachat.chat.conversation import Turn
from llamachat.chat.front import Choice
from llamachat.errors import ConfigError
from llamachat.sessions import Node, Row, short

MOST = 8  # replies that one /best may ask for


async def retry(chat: Chat, how: str) -> None:
    """Answer the last question once more; “no tools” for an answer without them."""
    if how not in ("", "no tools", "without tools"):
        raise ConfigError(f"/retry knows no {how!r}.", "/retry, or /retry no tools.")
    chat.front.take(chat.conversation.retry(tools=not how))


async def edit(chat: Chat, number: str) -> None:
    """Change a message. A question that was changed is asked at once; a reply just stands there."""
    if node := await _chosen(chat, number, "Which message?"):
        await edit_at(chat, node.id)


async def edit_at(chat: Chat, id: str) -> None:
    """Change message ``id``."""
    node = chat.conversation.session.tree.nodes[id]
    if node.message.role not in ("user", "assistant"):
        raise ConfigError("What a tool answered can't be edited.", "Choose a message of yours, or the model's.")
    text = await chat.front.line(f"Edit: {node.message.role}", node.message.text, lines=True)
    if text is None or text == node.message.text:
        return
    if node.message.role == "user":
        chat.front.take(ask_instead(chat, node, text))
    else:
        chat.conversation.free()
        chat.conversation.session.edit(id, text)
        chat.front.show_dialog()


async def retry_at(chat: Chat, id: str) -> None:
    """Answer the question once more that message ``id`` belongs to."""
    chat.front.take(chat.conversation.retry(id))


def ask_instead(chat: Chat, node: Node, text: str) -> Turn:
    """Ask ``text`` where ``node`` asked something else."""
    chat.conversation.free()
    edited = chat.conversation.session.edit(node.id, text)
    return chat.conversation.retry(edited.id)


async def continue_(chat: Chat, _: str) -> None:
    """Go on behind the last reply, or behind what the user makes of its beginning."""
    chat.conversation.free()
    node = _last_reply(chat)
    text = await chat.front.line("Continue from", node.message.text, "What stands here is taken as said.", lines=True)
    if text is not None:
        chat.front.take(chat.conversation.continue_reply(node.id, text))


async def best(chat: Chat, count: str) -> None:
    """Several replies to the last question, the first of which is there; then one is picked."""
    if not (count or "3").isdigit() or not 2 <= int(count or "3") <= MOST:
        raise ConfigError(f"/best asks for 2 to {MOST} replies.", "/best 4, for instance.")
    chat.conversation.free()
    chat.front.take(_several(chat, int(count or "3")))


async def _several(chat: Chat, count: int) -> Turn:
    """The missing replies, one after the other from one prefix: its keys and values are read once."""
    conversation = chat.conversation
    question = conversation.session.tree.question(conversation.session.head) if conversation.session.head else None
    if question is None:
        raise ConfigError("There is no question to answer again.", "Ask something first.")
    tree = conversation.session.tree
    while len(tree.children(question.id)) < count:
        before = len(tree.children(question.id))
        turn = conversation.retry(question.id)
        chat.front.show_dialog()
        async for event in turn:
            yield event
        if len(tree.children(question.id)) == before or _stopped(conversation.last):
            break
    replies = tree.children(question.id)
    rows = [Choice(node.id, short(_words(chat, node), 300), f"reply {i}") for i, node in enumerate(replies, 1)]
    if chosen := await chat.front.pick("Which reply?", rows):
        conversation.session.go(tree.leaf(chosen))
    chat.front.show_dialog()


def _stopped(end: object) -> bool:
    return getattr(end, "stop", "") == "cancelled"


def _words(chat: Chat, node: Node) -> str:
    """The text of a reply, with that of its later steps."""
    tree = chat.conversation.session.tree
    said = [part.message.text for part in tree.reply(node.id) if part.message.role == "assistant"]
    return " ".join(text for text in said if text) or "(calls only)"


async def undo(chat: Chat, _: str) -> None:
    """Back to before the last question, which goes into the prompt again."""
    session = chat.conversation.session
    question = session.tree.question(session.head) if session.head else None
    if question is None or chat.conversation.busy:
        raise ConfigError("There is nothing to go back to.", "Stop the reply first, if one is running.")
    session.go(question.parent)
    chat.front.show_dialog()
    chat.front.put(question.message.text)


async def tree(chat: Chat, _: str) -> None:
    """All branches; choosing a message goes to the end of its branch."""
    session = chat.conversation.session
    rows = [_row(chat, row) for row in session.tree.walk() if row.node.message.role in ("user", "assistant")]
    if not rows:
        raise ConfigError("Nothing was said yet.", "Ask something first.")
    chat.conversation.free()
    if chosen := await chat.front.pick("Tree", rows, chosen=session.head or ""):
        session.go(session.tree.leaf(chosen))
        chat.front.show_dialog()


def _row(chat: Chat, row: Row) -> Choice:
    place = f"‹{row.index}/{row.count}› " if row.count > 1 else ""
    name = f"[{row.node.name}] " if row.node.name else ""
    text = chat.glance(row.node, 80)
    return Choice(row.node.id, f"{'  ' * row.depth}{place}{name}{text}", row.node.message.role)


async def name(chat: Chat, words: str) -> None:
    """Bookmark the branch that is shown."""
    session = chat.conversation.session
    if session.head is None:
        raise ConfigError("Nothing was said yet.", "Ask something first.")
    words = words or await chat.front.line("Name of this branch", session.tree.nodes[session.head].name) or ""
    session.name(session.head, words)
    chat.front.note(
        f"This branch is now called “{words}”; /tree shows it." if words else "This branch has no name now."
    )


def turn_to(chat: Chat, id: str | None, step: int) -> Node | None:
    """Show the next version of message ``id``, or of the last one that has versions; None if there is none.

    Of a call and its result, which are seen as one, either will do.
    """
    session = chat.conversation.session
    path = session.tree.path(id) if id else session.path
    if id:
        start = max((i for i, node in enumerate(path) if node.message.role == "user"), default=0)
        path = path[start + 1 :] or path[-1:]
    places = [node.id for node in reversed(path) if session.tree.place(node.id)[1] > 1]
    if not places or chat.conversation.busy:
        return None
    node = session.turn_to(places[0], step)
    chat.front.show_dialog()
    return node


def _last_reply(chat: Chat) -> Node:
    replies = [node for node in chat.said if node.message.role == "assistant"]
    if not replies:
        raise ConfigError("There is no reply yet.", "Ask something first.")
    return replies[-1]


async def _chosen(chat: Chat, number: str, title: str) -> Node | None:
    """The message that ``number`` names, from 1, or that the user picks."""
    said = chat.said
    if number:
        if not number.isdigit() or not 1 <= int(number) <= len(said):
            raise ConfigError(f"There is no message {number!r}.", f"Choose a number from 1 to {len(said)}.")
        return said[int(number) - 1]
    rows = [Choice(node.id, chat.glance(node, 80), f"{i} · {node.message.role}") for i, node in enumerate(said, 1)]
    if not rows:
        raise ConfigError("Nothing was said yet.", "Ask something first.")
    key = await chat.front.pick(title, rows, chosen=rows[-1].key)
    return next((node for node in said if node.id == key), None)
