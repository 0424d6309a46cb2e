"""The chat line by line: reads one, does it, until the end of input. Knows the talk and stdout."""

import asyncio
import sys
from collections.abc import Iterable

from llamachat.errors import LlamaChatError
from llamachat.plain.show import Show, printer
from llamachat.plain.talk import Talk
from llamachat.sessions import Session, short

_LAST = 400  # characters of what was said last, when a session goes on


def repl(talk: Talk, notices: Iterable[str] = (), first: str = "") -> int:
    """Answer line by line, ``first`` before what is typed, until the end of input. An error ends the turn, not the
    chat.

    Lines are read outside the event loop, so that Ctrl-C at the prompt ends the chat at once.
    """
    show = printer(sys.stdout, files=True)
    with asyncio.Runner() as runner:
        try:
            for text in (*notices, *_greeting(talk.conversation.session)):
                talk.front.note(text)
            runner.run(talk.open())
            if first:
                runner.run(_do(talk, first, show))
            while not talk.front.left and (line := talk.lines.read()) is not None:
                runner.run(_do(talk, line, show))
        finally:
            runner.run(talk.close())
    return 0


async def _do(talk: Talk, line: str, show: Show) -> None:
    """What goes wrong, or is interrupted, ends here."""
    try:
        with talk.interruptible():
            await talk.do(line, show)
            talk.warn_if_full()
    except LlamaChatError as error:
        talk.front.say(error)
    except asyncio.CancelledError:
        talk.front.note("Interrupted.")


def _greeting(session: Session) -> Iterable[str]:
    """Where a session that goes on stands: its last exchange, and what the end of a program cut off."""
    if session.shared:
        yield "This session is open in another llamachat, too; what each adds becomes a branch of its own."
    if session.head and (question := session.tree.question(session.head)):
        yield f"({session.info.title or 'Untitled'}, {len(session.path)} messages)"
        yield f"you: {short(question.message.text, _LAST)}"
        said = [node.message.text for node in session.path if node.message.role == "assistant" and node.message.text]
        if said and question.id != session.head:
            yield f"assistant: {short(said[-1], _LAST)}"
    for node in session.repaired:
        what = f"the call of {node.outcome.call.name}" if node.outcome else f"this reply: {short(node.message.text)}"
        yield f"llamachat ended under way and interrupted {what}"
